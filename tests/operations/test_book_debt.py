"""R9, BookDebt: damage that no line and no deposit covers is a debt with recourse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.debts import AFTER_DISPUTE_US
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Standing
from service.engine import operations as c
from service.engine.operations import BookDebt
from service.engine.records.transfers import TransferState
from service.rpc.stored import read_payload
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, Books, money
from tests.engine.calls import (
    authorize,
    balances,
    line,
    pay,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    stored,
)
from tests.engine.test_transitions_damage import damage
from tests.fakes import OTHER_OPERATOR, START_US, Desk
from tests.operations.call import AMOUNT, Call
from tests.rpc import ready
from tests.rpc.support import Desks

DEPOSIT_MINOR = 19_900
DEBT_US = 90 * DAY_US
BOOKED = ("money", "receivable_unheld / operator_deferred")
DROPPED = ("money", "operator_deferred / receivable_unheld")


def _has_damage(desk: Desks, request: Any) -> None:
    request.name = ready.settled(desk).name
    request.business_reference = desk.platform.fresh("damage")
    request.evidence = "photo-1"


CALLS = (
    Call(
        method="BookDebt",
        required=frozenset({"name", "amount", "business_reference", "evidence"}),
        parts=(
            {
                **AMOUNT,
                "business_reference": "damage-1",
                "evidence": "https://example.com/case?id=4711",
                "user_consent_reference": "consent-1",
            },
        ),
        fill=_has_damage,
        race="debt",
    ),
)


def book(
    rented: Authorization, amount_minor: int = 4_000, reference: str = "damage-1", consent: str = ""
) -> BookDebt:
    """Books damage to the item of a rental."""
    return BookDebt(*acts.name(rented), money(amount_minor), reference, "photo-1", consent)


def rented(desk: Desk, user_id: str = "ann") -> Authorization:
    """A settled and paid rental."""
    it = acts.charged(desk, user_id, 500)
    return rental(desk, pay(it, 500, reference=f"fee-{user_id}"), caller=PLATFORM)


def in_debt(desk: Desk, amount_minor: int = 4_000) -> Authorization:
    """A debt of a new rental of Ann."""
    return rental(desk, book(rented(desk), amount_minor))


def suspended(desk: Desk, user_id: str = "ann") -> None:
    """Suspends a person."""
    desk.do(c.SetStanding(user_id, Standing.SUSPENDED), caller=PLATFORM)


def test_r9_a_suspended_persons_damage_is_booked(desk: Desk) -> None:
    """R9: the damage charge of a suspended person is declined; BookDebt books it: receivable_unheld
    x / operator_deferred x. The line stays as it is, and the operator is owed nothing yet."""
    parent = rented(desk)
    suspended(desk)
    assert rental(desk, damage(parent, 4_000)).reasons == ("USER_SUSPENDED",)
    books, before = Books(desk), balances(desk)
    it = books.step(book(parent), [(*BOOKED, 4_000)], "collection.debt_booked")
    assert (it.state, it.custody, it.collection) == (
        State.SETTLED, Custody.IN_STATION, Collection.DUE,
    )  # fmt: skip
    assert (it.unheld_minor, it.unheld_due_minor, it.due_minor) == (4_000, 4_000, 0)
    assert (it.parent_id, it.captured_minor, it.fee_minor) == (parent.authorization_id, 0, 0)
    assert it.unheld_until_us == START_US + DEBT_US
    assert balances(desk) == before
    assert line(desk).unheld_minor == 4_000
    assert stored(desk, parent) == parent


def test_r9_a_full_line_is_no_obstacle(desk: Desk) -> None:
    """R9: the damage charge on a full line is declined, and is booked as a debt."""
    parent = rented(desk)
    desk.do(c.SetLimit("ann", money(0)), caller=PLATFORM)
    assert rental(desk, damage(parent, 4_000)).state is not State.ACTIVE
    assert rental(desk, book(parent)).unheld_due_minor == 4_000
    assert balances(desk) == (0, 0, 0, 0)


def test_r9_a_paid_debt_gives_the_operator_its_share(desk: Desk) -> None:
    """R9: a payment of x posts cash x / receivable_unheld x, and operator_deferred x /
    operator_payable x-f, fee_income f; f is the floored share of the whole paid amount."""
    it, books = in_debt(desk), Books(desk)
    it = books.step(
        pay(it, 1_033, reference="p-1"),
        [
            ("money", "cash / receivable_unheld", 1_033),
            ("money", "operator_deferred / operator_payable", 1_003),
            ("money", "operator_deferred / fee_income", 30),
        ],
        "collection.payment_recorded",
    )
    assert (it.collection, it.unheld_due_minor, it.captured_minor) == (
        Collection.PAYING, 2_967, 1_033,
    )  # fmt: skip
    it = books.step(
        pay(it, 3_000, reference="p-2"),
        [
            ("money", "cash / receivable_unheld", 2_967),
            ("money", "operator_deferred / operator_payable", 2_877),
            ("money", "operator_deferred / fee_income", 90),
            ("money", "cash / refund_payable", 33),
        ],
        "collection.payment_recorded",
    )
    assert (it.captured_minor, it.fee_minor, it.refund_payable_minor) == (4_000, 120, 33)
    assert (it.unheld_due_minor, it.life_us) == (0, None)
    assert line(desk).unheld_minor == 0


def test_r9_money_owed_back_pays_the_due_part_of_the_debt(desk: Desk) -> None:
    """R9: when money owed back would be paid out by time, it first pays the due part of the
    debt."""
    it = rental(desk, acts.dispute(in_debt(desk), 4_000), caller=PLATFORM)
    it = rental(desk, pay(it, 1_000), caller=PLATFORM)
    it = rental(desk, acts.decide_dispute(it, user_won=False), caller=PLATFORM)
    assert (it.refund_payable_minor, it.unheld_due_minor) == (1_000, 4_000)
    it = acts.woken(desk, rental(desk, acts.lower(it, 3_500)), START_US + HOUR_US)
    assert (it.debiting_minor, it.refund_us) == (500, None)
    (debit,) = acts.transfers(desk, it)
    for said in (TransferState.SENT, TransferState.FAILED):
        desk.do(acts.told(debit, said), caller=PLATFORM)
    books = Books(desk)
    it = acts.woken(desk, it, START_US + DAY_US)
    assert books.news().rows[:3] == [
        ("money", "refund_payable / receivable_unheld", 500),
        ("money", "operator_deferred / operator_payable", 485),
        ("money", "operator_deferred / fee_income", 15),
    ]
    assert (it.unheld_due_minor, it.captured_minor, it.fee_minor) == (0, 500, 15)


def test_r9_the_operator_lowers_a_debt(desk: Desk) -> None:
    """R9: a lowered debt posts operator_deferred x / receivable_unheld x; no allowance, no line."""
    it = in_debt(desk)
    it = Books(desk).step(acts.lower(it, 1_500), [(*DROPPED, 1_500)], "collection.lowered")
    assert (it.unheld_due_minor, it.unheld_dropped_minor, it.conceded_minor) == (2_500, 1_500, 0)
    error = refused(desk, acts.lower(it, 2_501))
    assert isinstance(error, InvalidInput)
    it = rental(desk, acts.lower(it, 2_500))
    assert (it.collection, it.wake_us, it.captured_minor) == (Collection.NONE, None, 0)


def test_r9_a_dispute_lost_by_the_operator_drops_the_debt(desk: Desk) -> None:
    """R9: a disputed debt is not collected and posts nothing; when the person wins, it posts
    operator_deferred x / receivable_unheld x."""
    it, books = in_debt(desk), Books(desk)
    it = books.step(acts.dispute(it, 4_000), [], "collection.dispute_opened", caller=PLATFORM)
    assert (it.collection, it.unheld_due_minor, it.wake_us) == (Collection.DISPUTED, 0, None)
    assert line(desk).unheld_minor == 4_000
    wins = acts.decide_dispute(it, user_won=True)
    it = books.step(wins, [(*DROPPED, 4_000)], "collection.dispute_won", caller=PLATFORM)
    assert (it.unheld_disputed_minor, it.unheld_dropped_minor) == (0, 4_000)


def test_r9_a_dispute_lost_by_the_person_is_due_for_a_month_more(desk: Desk) -> None:
    """R9: after a dispute that the person lost, the debt is due again, for at least 30 days, even
    if the time to pay had passed meanwhile."""
    it = rental(desk, acts.dispute(in_debt(desk), 3_000), caller=PLATFORM)
    assert it.unheld_due_minor == 1_000
    late_us = START_US + DEBT_US + DAY_US
    desk.clock.advance(late_us)
    loses = acts.decide_dispute(it, user_won=False)
    # The part that was not disputed is asked for by debits, and dropped in time.
    it = rental(desk, loses, caller=PLATFORM)
    assert (it.unheld_disputed_minor, it.unheld_until_us) == (0, late_us + AFTER_DISPUTE_US)
    assert it.unheld_due_minor >= 3_000


def test_r9_freehold_bears_no_part_of_a_debt(desk: Desk) -> None:
    """R9: a dispute of a debt is not decided with goodwill, and a debt is not forgiven, provided
    for, or written off, because Freehold bears no loss of a debt."""
    it = rental(desk, acts.dispute(in_debt(desk), 1_000), caller=PLATFORM)
    goodwill = acts.decide_dispute(it, user_won=True, goodwill=True)
    assert refused(desk, goodwill, caller=PLATFORM).reason == "NO_GOODWILL_FOR_A_DEBT"
    assert refused(desk, c.ForgiveCharge(*acts.name(it)), caller=PLATFORM).reason == "NOTHING_DUE"
    assert refused(desk, acts.propose(it), caller=PLATFORM).reason == "NOTHING_DUE"
    assert refused(desk, acts.provision(it, 1), caller=PLATFORM).reason == "INVALID_INPUT"
    assert stored(desk, it) == it


def test_r9_an_unpaid_debt_is_dropped_after_the_policys_days(desk: Desk) -> None:
    """R9: the part that is not paid within the policy's days is dropped when these days end:
    operator_deferred x / receivable_unheld x."""
    it = rental(desk, pay(in_debt(desk), 1_000, reference="p-1"), caller=PLATFORM)
    for at_us in [START_US + n * DAY_US for n in (1, 4, 8, 15, 31, 62)]:
        it = acts.woken(desk, it, at_us)
        for debit in acts.transfers(desk, it):
            if debit.state is TransferState.REQUESTED:
                desk.do(acts.told(debit, TransferState.SENT), caller=PLATFORM)
                desk.do(acts.told(debit, TransferState.FAILED), caller=PLATFORM)
    it = stored(desk, it)
    assert it.unheld_due_minor == 3_000
    books = Books(desk)
    it = books.wake(it, START_US + DEBT_US, [(*DROPPED, 3_000)], "collection.debt_dropped")
    assert (it.unheld_due_minor, it.unheld_dropped_minor, it.wake_us) == (0, 3_000, None)
    assert (it.collection, it.captured_minor, it.fee_minor) == (Collection.PAID, 1_000, 30)
    # Money that comes later is owed back.
    books.step(
        pay(it, 700, reference="p-2"),
        [("money", "cash / refund_payable", 700)],
        "collection.payment_recorded",
    )


def test_r9_a_policy_sets_the_days(desk: Desk) -> None:
    """R9: the days to pay are those of the policy under which the rental began."""
    acts.change_terms(desk, t.policies, "bike", debt_window_us=7 * DAY_US)
    it = in_debt(desk)
    assert it.unheld_until_us == START_US + 7 * DAY_US


def test_r9_a_debt_is_not_dropped_while_a_debit_is_under_way(desk: Desk) -> None:
    """R9: while the rail has not answered a debit, the debt waits. A success pays the debt; after a
    failure it is dropped as of its end."""
    for said, paid_minor in ((TransferState.SUCCEEDED, 4_000), (TransferState.FAILED, 0)):
        user_id = f"zoe-{said}"
        desk.put_user(user_id, 700)
        it = rental(desk, book(rented(desk, user_id)))
        end_us = it.unheld_until_us or 0
        it = acts.woken(desk, it, desk.clock.now_us() + HOUR_US)
        (debit,) = acts.transfers(desk, it)
        assert debit.amount_minor == it.debiting_minor == 4_000
        desk.do(acts.told(debit, TransferState.SENT), caller=PLATFORM)
        it = acts.woken(desk, it, end_us)
        assert it.unheld_dropped_minor == 0
        desk.do(acts.told(debit, said), caller=PLATFORM)
        it = stored(desk, it)
        if said is TransferState.FAILED:
            it = acts.woken(desk, it, desk.clock.now_us())
        assert (it.paid_minor, it.unheld_dropped_minor) == (paid_minor, 4_000 - paid_minor)


def test_r9_a_debt_is_booked_once(desk: Desk) -> None:
    """R9: each business reference of a rental is booked once, under any request id; the refusal
    names the debt."""
    parent = rented(desk)
    it = rental(desk, book(parent), request_id="one")
    assert rental(desk, book(parent), request_id="one") == it
    error = refused(desk, book(parent, 1), request_id="two")
    assert (error.reason, error.metadata) == (
        "BUSINESS_REFERENCE_REUSED",
        {"business_reference": "damage-1", "debt": it.name},
    )
    assert rental(desk, book(parent, 1, "damage-2")).unheld_minor == 1
    other = rental(desk, settle(rental(desk, authorize()), 0))
    assert rental(desk, book(other)).unheld_minor == 4_000


def test_r9_all_debts_of_a_rental_are_within_the_price_list(desk: Desk) -> None:
    """R9: the debts of one rental are together at most the deposit of its product."""
    parent = rented(desk)
    rental(desk, book(parent, DEPOSIT_MINOR - 1, "a"))
    for amount_minor in (0, 2):
        error = refused(desk, book(parent, amount_minor, "b"))
        assert isinstance(error, InvalidInput)
        assert error.violations[0].rule in ("amount.positive", "amount.exceeds_damage")
    rental(desk, book(parent, 1, "b"))
    assert refused(desk, book(parent, 1, "c")).reason == "INVALID_INPUT"


def test_r9_a_debt_cites_a_closed_rental_whose_item_was_out(desk: Desk) -> None:
    """R9: a debt cites a closed rental of the same operator, and the rental's item must have been
    out. A debt cannot cite a debt."""
    parent = rented(desk)
    going = rental(desk, authorize("ann", "umbrella"))
    assert refused(desk, book(going)).reason == "ILLEGAL_TRANSITION"
    for never in (rental(desk, reverse(rental(desk, pick_up()))), rental(desk, book(parent))):
        assert refused(desk, book(never)).reason == "PARENT_NEVER_OUT"
    for caller in (OTHER_OPERATOR, PLATFORM):
        assert refused(desk, book(parent), caller=caller).reason == "AUTHORIZATION_NOT_FOUND"
    stale = replace(book(parent, 1, "b"), expected_version=parent.version + 1)
    assert refused(desk, stale).reason == "VERSION_MISMATCH"
    out = rental(desk, reverse(rental(desk, authorize())))
    assert rental(desk, book(out)).unheld_minor == 4_000


@pytest.mark.parametrize(
    "command", [lambda it: settle(it, 1), reverse, acts.claim_return, acts.lost, acts.found]
)
def test_r9_a_debt_has_no_item(desk: Desk, command: Any) -> None:
    """R9: a debt is not settled, reversed, returned, lost or found."""
    it = in_debt(desk)
    assert isinstance(refused(desk, command(it)), IllegalState)
    assert stored(desk, it) == it


def test_r9_the_person_pays_the_operator(desk: Desk) -> None:
    """R9: if the person pays a debt to the operator, the operator owes Freehold the commission."""
    it = in_debt(desk)
    it = Books(desk).step(
        acts.pay_elsewhere(it, 4_000),
        [
            ("money", "operator_payable / receivable_unheld", 4_000),
            ("money", "operator_deferred / operator_payable", 3_880),
            ("money", "operator_deferred / fee_income", 120),
        ],
        "collection.paid_elsewhere",
    )
    assert (it.collection, it.elsewhere_minor, it.fee_minor) == (Collection.PAID, 4_000, 120)


def test_r9_a_paid_debt_is_refunded_and_charged_back(desk: Desk) -> None:
    """R9: a paid debt is an ordinary charge. The operator refunds a part of it, and the bank takes
    back the rest. The operator loses this rest with the commission."""
    it = rental(desk, pay(in_debt(desk), 4_000), caller=PLATFORM)
    it = Books(desk).step(
        acts.refund(it, 1_000),
        [
            ("money", "operator_payable / refund_payable", 970),
            ("money", "fee_income / refund_payable", 30),
        ],
        "collection.refunded",
    )
    it = rental(desk, acts.pay_out(it, 1_000), caller=PLATFORM)
    it = rental(desk, acts.charge_back(it, 3_000), caller=PLATFORM)
    it = Books(desk).step(
        acts.decide_charge_back(it, user_won=True),
        [
            ("money", "operator_payable / receivable_charged_back", 2_910),
            ("money", "fee_income / receivable_charged_back", 90),
        ],
        "collection.charge_back_won",
        caller=PLATFORM,
    )
    assert (it.conceded_minor, it.fee_minor, it.refundable_minor) == (4_000, 0, 0)


def test_r9_freehold_bears_no_charge_back_of_a_debt(desk: Desk) -> None:
    """R9: a charge-back of a paid debt is not decided with goodwill, even if it is reopened. The
    operator loses 4,000 of 4,000, including the commission."""
    it = rental(desk, pay(in_debt(desk), 4_000, reference="pay-1"), caller=PLATFORM)
    it = rental(desk, acts.charge_back(it, 4_000), caller=PLATFORM)
    goodwill = acts.decide_charge_back(it, user_won=True, goodwill=True)
    assert refused(desk, goodwill, caller=PLATFORM).reason == "NO_GOODWILL_FOR_A_DEBT"
    it = rental(desk, acts.decide_charge_back(it, user_won=False), caller=PLATFORM)
    again = c.ResolveChargeBack(*acts.name(it), True, True, "", "bank-1")
    assert refused(desk, again, caller=PLATFORM).reason == "NO_GOODWILL_FOR_A_DEBT"
    assert stored(desk, it) == it
    it = Books(desk).step(
        c.ResolveChargeBack(*acts.name(it), True, False, "", "bank-1"),
        [
            ("money", "receivable_charged_back / cash", 4_000),
            ("money", "operator_payable / receivable_charged_back", 3_880),
            ("money", "fee_income / receivable_charged_back", 120),
        ],
        "collection.charge_back_reopened",
        "collection.charge_back_won",
        caller=PLATFORM,
    )
    assert (it.conceded_minor, it.goodwill_minor) == (4_000, 0)


def test_r9_a_debit_of_more_than_the_debt_is_cancelled(desk: Desk) -> None:
    """R9: the ladder debits the due part of a debt. A debit of more than the due part is cancelled
    before it is sent."""
    it = acts.woken(desk, in_debt(desk), START_US + HOUR_US)
    (debit,) = acts.transfers(desk, it)
    rental(desk, acts.lower(it, 1))
    desk.do(acts.told(debit, TransferState.SENT), caller=PLATFORM)
    assert acts.transfers(desk, it)[0].state is TransferState.CANCELLED
    it = stored(desk, it)
    assert (it.debiting_minor, it.unheld_due_minor) == (0, 3_999)


def test_r9_evidence_and_consent_are_kept(desk: Desk) -> None:
    """R9: the booking keeps the operator's evidence, and the reference to the user's consent."""
    parent = rented(desk)
    it = rental(desk, book(parent, consent="consent-7"))
    with desk.store.engine.connect() as connection:
        (row,) = connection.execute(select(t.debts)).mappings()
    assert dict(row) == {
        "user_id": "ann",
        "parent_id": parent.authorization_id,
        "business_reference": "damage-1",
        "authorization_id": it.authorization_id,
        "operator_id": "city",
        "amount_minor": 4_000,
        "currency": "CNY",
        "evidence": "photo-1",
        "user_consent_reference": "consent-7",
        "record_us": START_US,
    }


def test_r9_the_books_agree(desk: Desk) -> None:
    """R9: the books verify after any life of a debt."""
    parent = rented(desk)
    paid, lowered, disputed = (rental(desk, book(parent, 900, name)) for name in "abc")
    rental(desk, pay(paid, 950, reference="p-1"), caller=PLATFORM)
    rental(desk, acts.lower(lowered, 900))
    rental(desk, acts.dispute(disputed, 300), caller=PLATFORM)
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None
