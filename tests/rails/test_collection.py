"""The payment rail debits an amount that is due, over the wire, until the amount is paid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from freehold.client import Client, FreeholdError
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    GetAuthorizationRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.collection_service_pb2 import PayOutRefundRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest, RecordPaymentRequest, User
from freehold.v1.rail_service_pb2 import (
    ListTransfersRequest,
    ReportTransferRequest,
    ReportTransferResponse,
    Transfer,
)
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest
from freehold.v1.types_pb2 import Money
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain.dunning import DAY_US, LADDER, Rung
from service.rails.callbacks import sign
from service.rails.simulated import Behaviour
from service.storage import schema as t
from tests.fakes import RAIL_SECRET, START_US, Served, serving

HOUR = 1 / 24
ALWAYS = Behaviour(failing_debits=0, failing_payouts=0, repeated=100)
NEVER = Behaviour(failing_debits=100, failing_payouts=100, late_debits=0, repeated=0)
LATE = Behaviour(failing_debits=100, late_debits=100, repeated=100)


class Street:
    """A sandbox server with a rail, its platform and one of its operators."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.platform = Client(served.address, served.platform_key, plaintext=True)
        self.operator = Client(served.address, served.operator_key, plaintext=True)
        self.numbers = iter(range(1_000_000))
        self.start_us = START_US

    def fresh(self) -> str:
        """A request id never used before."""
        return f"r-{next(self.numbers)}"

    def settled(self, amount_minor: int = 500, user_id: str = "ann") -> Authorization:
        """A rental that was settled on credit, for a person who scores 700."""
        user = User(user_id=user_id, features={"score": 700}, scoring_consent=True)
        user.as_of.FromMicroseconds(START_US)
        self.platform.put_users(PutUsersRequest(request_id=self.fresh(), users=[user]))
        rental = self.operator.authorize(
            AuthorizeRequest(request_id=self.fresh(), user_id=user_id, product_id="bike")
        ).authorization
        return self.operator.settle_authorization(
            SettleAuthorizationRequest(
                request_id=self.fresh(), name=rental.name, amount=cny(amount_minor)
            )
        ).authorization

    def after_days(self, days: float) -> None:
        """Moves the clock to this long after the start."""
        request = AdvanceClockRequest()
        request.now.FromMicroseconds(self.start_us + int(days * DAY_US))
        self.platform.advance_clock(request)

    def now(self, rental: Authorization) -> Authorization:
        """The present state of the rental."""
        return self.operator.get_authorization(
            GetAuthorizationRequest(name=rental.name)
        ).authorization

    def transfers(self, user_id: str = "ann") -> list[Transfer]:
        """All transfers of a person, the oldest first."""
        return list(self.platform.list_transfers(ListTransfersRequest(user_id=user_id)).transfers)

    def events(self) -> list[tuple[str, int]]:
        """The collection events, with their days."""
        with self.served.store.engine.connect() as connection:
            rows = connection.execute(
                select(t.outbox.c.transition, t.outbox.c.event_us).order_by(t.outbox.c.sequence)
            ).all()
        return [
            (transition.partition(".")[2], (event_us - START_US) // DAY_US)
            for transition, event_us in rows
            if transition.startswith("collection.")
        ]

    def report(self, body: bytes, signature: str) -> ReportTransferResponse:
        """A call-back of the rail."""
        return self.platform.report_transfer(ReportTransferRequest(body=body, signature=signature))


def cny(amount_minor: int) -> Money:
    """An amount of yuan, in fen."""
    return Money(currency_code="CNY", amount_minor=amount_minor)


@pytest.fixture
def street(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Street]:
    """A street whose rail has the test's behaviour; by default it always pays."""
    behaviour = getattr(request, "param", ALWAYS)
    with serving(tmp_path, rail=behaviour) as served:
        yield Street(served)
        assert verify_books(served.store.engine).fault is None


def test_a_due_amount_is_debited(street: Street) -> None:
    """An amount settled on credit is debited an hour later; a success that the rail reports twice
    is paid once."""
    rental = street.settled()
    street.after_days(HOUR)
    assert street.now(rental).collection == Authorization.COLLECTION_PAID
    (transfer,) = street.transfers()
    assert (transfer.kind, transfer.state) == (Transfer.KIND_DEBIT, Transfer.STATE_SUCCEEDED)
    assert (transfer.amount, transfer.authorization) == (cny(500), rental.name)
    assert [name for name, _ in street.events()] == ["debit_requested", "payment_recorded"]


@pytest.mark.parametrize("street", [NEVER], indirect=True)
def test_dunning_runs_to_its_end(street: Street) -> None:
    """A failed debit is requested again on the published days, with reminders and changes of the
    delinquency range as events, and never after the last dunning step."""
    rental = street.settled()
    days = sorted({it.after_us / DAY_US for it in LADDER})
    for day in [*days, 200, 400]:
        street.after_days(day)
    named = {Rung.DEBIT: "debit_requested", Rung.REMIND: "reminded"}
    begins = {1: "due_1_day", 31: "due_31_days", 61: "due_61_days", 91: "due_91_days"}
    climbed = [event for event in street.events() if event[0] != "debit_failed"]
    expected = [(it.rung, it.after_us // DAY_US) for it in LADDER]
    assert climbed == [(named.get(rung) or begins[day], day) for rung, day in expected]
    debits = [it.rung for it in LADDER].count(Rung.DEBIT)
    assert [it.state for it in street.transfers()] == [Transfer.STATE_FAILED] * debits
    assert {it.detail for it in street.transfers()} == {"INSUFFICIENT_FUNDS"}
    assert street.now(rental).due == cny(500)


@pytest.mark.parametrize("street", [NEVER], indirect=True)
def test_after_a_long_outage_one_debit_is_enough(street: Street) -> None:
    """After a month's outage a person is debited once and reminded once."""
    street.settled()
    street.after_days(30.5)
    names = [name for name, _ in street.events()]
    assert names.count("debit_requested") == names.count("reminded") == 1


@pytest.mark.parametrize("street", [LATE], indirect=True)
def test_a_late_success_is_no_second_payment(street: Street) -> None:
    """When a debit fails, dunning requests another, and then both succeed, one pays, the other is
    owed back, and nothing more is debited."""
    rental = street.settled(800)
    for day in (HOUR, 3):
        street.after_days(day)
    assert [it.state for it in street.transfers()] == [Transfer.STATE_FAILED] * 2
    street.after_days(4 + HOUR)
    first, second = street.transfers()
    assert (first.state, second.state) == (Transfer.STATE_SUCCEEDED, Transfer.STATE_FAILED)
    word = (first.earlier.state, first.earlier.detail)
    assert word == (Transfer.STATE_FAILED, "INSUFFICIENT_FUNDS")
    assert first.earlier.time.seconds == START_US // 1_000_000 + 3_600
    assert not second.HasField("earlier")
    now = street.now(rental)
    assert (now.due, now.refund_payable) == (cny(0), cny(0))
    street.after_days(100)
    assert [it.state for it in street.transfers()] == [Transfer.STATE_SUCCEEDED] * 2
    now = street.now(rental)
    assert (now.due, now.refund_payable) == (cny(0), cny(800))


def test_a_paid_amount_is_not_debited(street: Street) -> None:
    """An amount that was paid before its debit is not debited."""
    rental = street.settled()
    street.platform.record_payment(
        RecordPaymentRequest(
            request_id=street.fresh(),
            authorization=rental.name,
            payment_reference="p-1",
            amount=cny(500),
        )
    )
    street.after_days(100)
    assert street.transfers() == []


@pytest.mark.parametrize("street", [NEVER], indirect=True)
def test_a_payout_that_fails_is_owed_again(street: Street) -> None:
    """A payout that the rail cannot make is owed to the person again."""
    rental = street.settled()
    street.platform.record_payment(
        RecordPaymentRequest(
            request_id=street.fresh(),
            authorization=rental.name,
            payment_reference="p-1",
            amount=cny(700),
        )
    )
    asked = PayOutRefundRequest(request_id=street.fresh(), name=rental.name, amount=cny(200))
    assert street.platform.pay_out_refund(asked).authorization.refund_payable == cny(0)
    street.after_days(HOUR)
    (payout,) = street.transfers()
    assert (payout.kind, payout.state) == (Transfer.KIND_PAYOUT, Transfer.STATE_FAILED)
    assert street.now(rental).refund_payable == cny(200)


def test_the_rails_final_result_stays(tmp_path: Path) -> None:
    """The same report gets the same answer. Another report after the final result is refused, and
    so is an unsigned report."""
    with serving(tmp_path) as served:
        street = Street(served)
        rental = street.settled()
        street.after_days(HOUR)
        (transfer,) = street.transfers()
        assert transfer.state == Transfer.STATE_REQUESTED
        _, user_id, _, transfer_id = transfer.name.split("/")
        body = json.dumps(
            {"user_id": user_id, "transfer_id": transfer_id, "state": "SUCCEEDED"}
        ).encode()
        seconds = START_US // 1_000_000 + 3_600
        with pytest.raises(FreeholdError) as unsigned:
            street.report(body, f"t={seconds},v1={'0' * 64}")
        assert unsigned.value.code is grpc.StatusCode.UNAUTHENTICATED
        assert street.now(rental).due == cny(500)
        first = street.report(body, sign(body, RAIL_SECRET, seconds))
        assert first == street.report(body, sign(body, RAIL_SECRET, seconds + 1))
        assert street.now(rental).due == cny(0)
        other = body.replace(b"SUCCEEDED", b"FAILED")
        with pytest.raises(FreeholdError) as late:
            street.report(other, sign(other, RAIL_SECRET, seconds))
        assert late.value.reason == "TRANSFER_ENDED"
        returned = body.replace(b"SUCCEEDED", b"RETURNED")
        with pytest.raises(FreeholdError) as back:
            street.report(returned, sign(returned, RAIL_SECRET, seconds))
        assert back.value.reason == "DEBIT_NOT_RETURNED"
        unknown = body.replace(transfer_id.encode(), b"0" * 20)
        with pytest.raises(FreeholdError) as missing:
            street.report(unknown, sign(unknown, RAIL_SECRET, seconds))
        assert missing.value.code is grpc.StatusCode.NOT_FOUND
        assert verify_books(served.store.engine).fault is None


def test_a_signed_success_after_the_failure_counts(tmp_path: Path) -> None:
    """R1 over the wire: after FAILED and then SUCCEEDED, repeats of both reports get the answer
    with the stored success. The first debit pays 800. The second debit succeeds too, and its amount
    is owed back."""
    with serving(tmp_path) as served:
        street = Street(served)
        rental = street.settled(800)
        said: list[Transfer] = []

        def say(transfer: Transfer, state: str, days: float) -> None:
            _, user_id, _, transfer_id = transfer.name.split("/")
            told = {"user_id": user_id, "transfer_id": transfer_id, "state": state}
            body = json.dumps(told).encode()
            seconds = (START_US + int(days * DAY_US)) // 1_000_000
            said.append(street.report(body, sign(body, RAIL_SECRET, seconds)).transfer)

        street.after_days(HOUR)
        (first,) = street.transfers()
        say(first, "FAILED", HOUR)
        street.after_days(3)
        _, second = street.transfers()
        say(second, "SUCCEEDED", 3)
        assert street.now(rental).due == cny(0)
        for state in ("SUCCEEDED", "FAILED", "SUCCEEDED"):
            say(first, state, 3)
        assert said[-3] == said[-2] == said[-1]
        assert said[-1].state == Transfer.STATE_SUCCEEDED
        assert said[-1].earlier.state == Transfer.STATE_FAILED
        now = street.now(rental)
        assert (now.due, now.paid, now.refund_payable) == (cny(0), cny(800), cny(800))
        asked = PayOutRefundRequest(request_id=street.fresh(), name=rental.name, amount=cny(800))
        assert street.platform.pay_out_refund(asked).authorization.refund_payable == cny(0)
        assert verify_books(served.store.engine).fault is None
