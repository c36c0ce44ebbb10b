"""A book with every transition and with seals, and an attacker who has its file."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from freehold.v1.credit_service_pb2 import CreditProfile
from sqlalchemy import insert, select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization
from service.domain.captures import Purpose
from service.domain.cases import CaseKind, Outcome, Side, open_case
from service.domain.details import ItemPlace, Order, price_hash
from service.domain.hash_chain import link_of, seal_digest
from service.domain.ledger import Standing
from service.domain.policy import Offer
from service.domain.reviews import ReviewReason
from service.domain.rules import Breaker, Budget, Counted, Of, Rules, Span, Velocity
from service.domain.rules import Outcome as Then
from service.domain.rules_document import json_of_rules
from service.domain.suspense import Direction
from service.domain.verification import Verification, Witness
from service.engine import operations as c
from service.engine.breakers import LossWatch
from service.engine.calls import CaseTold, PassTold, Priced
from service.engine.cases import add_evidence
from service.engine.group_commit import CommitLimits, Committer
from service.engine.ports import SealKeys, Signer
from service.engine.records.refusals import REFUSED
from service.engine.records.requests import TOMBSTONE
from service.engine.records.seals import SealRecord
from service.engine.records.transfers import TransferState
from service.engine.rows import Draft, Rows
from service.engine.workers.seals import Sealer
from service.rpc import (
    authorization_service,
    case_service,
    collection_service,
    credit_service,
    pass_service,
)
from service.rpc.stored import read_payload
from service.signing import PublicKeys, SealKey
from service.storage import rows
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.breakers import BreakerStore, reset_breaker
from service.storage.database import open_database, writing
from service.storage.seals import SqlSealStore
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine import test_passes as passes
from tests.engine import test_quotas as scooters
from tests.engine.calls import (
    authorize,
    confirm,
    pay,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    start,
    stored,
)
from tests.engine.test_damage_bound import damage
from tests.engine.test_reservations import TARIFF as RESERVABLE
from tests.fakes import BACKSTAGE, OTHER_OPERATOR, Desk, horizon_of, new_database
from tests.once import once
from tests.storage.administered import administer

KEY = SealKey(Ed25519PrivateKey.from_private_bytes(b"a key of tests and of no server."))
KEYS = PublicKeys([KEY.public])
TABLES = [table.name for table in t.metadata.sorted_tables]


def live(desk: Desk) -> None:
    """Posts every transition at least once, and leaves some rentals open."""
    for user_id, score in (("ann", 700), ("ben", 550), ("cem", 700), ("fay", 700)):
        desk.put_user(user_id, score)
    for user_id in ("ann", "cem", "fay"):
        desk.do(c.SetLimit(user_id, acts.money(300_000)), caller=PLATFORM)
    _missing(desk)
    _collected(desk)
    _held(desk)
    _in_cash(desk)
    _lost(desk)
    _twice(desk)
    _in_debt(desk)
    _told_late(desk)
    _complaining(desk)
    _attested(desk)
    _at_the_bank(desk)
    _merged(desk)
    _ordered(desk)
    _reviewed(desk)
    _unposted(desk)
    _strict(desk)
    _blocked(desk)
    _raised(desk)
    with writing(desk.store.engine) as connection:
        rate = ("EUR", "CNY", 785, 100)
        connection.execute(insert(t.exposure_rates).values(rate))
    _paused_late(desk)
    _free_minutes(desk)
    _reserved(desk)
    _passed(desk)
    _budgeted(desk)
    administer(desk.store, desk.clock.now_us())
    _broken(desk)
    rental(desk, authorize("dan", accept=(Offer.ZERO,)))  # is declined
    desk.do(c.PayOutOperator("city", acts.money(700), "treasury-1"), caller=PLATFORM)
    desk.do(c.RecordOperatorPayment("city", acts.money(90), "treasury-2"), caller=PLATFORM)
    _with_fees(desk)


def lived(base: Path) -> Path:
    """The file of a book with every transition, which all processes of a test run share.

    `base` is the temporary folder of this process.
    """
    return once(base, "lived", _live_in) / "whole.db"


def _live_in(folder: Path) -> None:
    file = folder / "book.db"
    new_database(f"sqlite:///{file}").close()
    with at(file) as desk:
        live(desk)
        assert not desk.faults
    copy_of(file, "whole.db")


def _free_minutes(desk: Desk) -> None:
    """Kim's scooters, which use free minutes: for good, until the charge is given back, and not at
    all, because the operator charges nothing."""
    desk.put_user("kim", 700)
    scooters.offer(desk)
    for minutes, minor, lowered in ((12, None, False), (45, None, True), (45, 0, False)):
        it = scooters.rent(desk, "kim")
        scooters.after(desk, minutes)
        settled = scooters.settle(desk, it, minor).authorization
        if lowered:
            amount = acts.money(settled.captured_minor)
            rental(desk, acts.lower(settled, amount.amount_minor))
        scooters.after(desk, 1)


def _reserved(desk: Desk) -> None:
    """Sam's scooters with a price for their reservation. The first reservation expires, and is
    billed; then its pick-up is told late, and its fee is given back. The second one is still
    reserved."""
    desk.put_user("sam", 700)
    scooters.offer(desk, RESERVABLE)
    begun_us = desk.clock.now_us()
    it = rental(desk, pick_up("sam", "scooter", asset_id="s-1"))
    it = acts.woken(desk, it, begun_us + 40 * acts.MINUTE_US)
    assert it.captured_minor == 300
    it = rental(desk, acts.picked_up(it, begun_us + 12 * acts.MINUTE_US))
    rental(desk, acts.settle_usage(it))
    rental(desk, pick_up("sam", "scooter", asset_id="s-2"))


def _with_fees(desk: Desk) -> None:
    """Val's umbrellas, whose orders know a fee. One is out, and its fee was raised; the usage of
    another one cost more; and of the last one only damage was charged, because its fee was paid
    elsewhere."""
    desk.put_user("val", 700)
    umbrella = c.Item("umbrella", "", order_fee=acts.money(200))
    order = authorize("val")._replace(items=(umbrella,))
    rental(desk, acts.increment(rental(desk, order), 100))
    it = rental(desk, order)
    desk.clock.advance(desk.clock.now_us() + 2 * acts.DAY_US)
    assert rental(desk, acts.settle_usage(it)).captured_minor == 200
    elsewhere = (umbrella._replace(order_fee=acts.money(0)),)
    it = rental(desk, order._replace(items=elsewhere))
    rental(desk, acts.capture(it, 300, Purpose.DAMAGE, final=True))


def _passed(desk: Desk) -> None:
    """Una's passes of every gift: one is bought, used and paid, one is bought and refunded, and two
    are granted. The use of the one of a day ends with the charge."""
    desk.put_user("una", 700)
    scooters.offer(desk, passes.SOLD)
    held, debt = passes.buy(desk, user_id="una")
    scooters.ride(desk, 25, "una")
    desk.do(pay(debt, 400, reference="una-1"), caller=PLATFORM)
    until_us = held.until_us
    desk.clock.advance(until_us)
    for name, lowered in (("day", True), ("share", False)):
        granted = c.GrantPass("una", "scooter", name, reference=f"{name}-1")
        told = desk.do(granted)
        assert isinstance(told, PassTold)
        until_us = told.held.until_us
        it = scooters.rent(desk, "una")
        scooters.after(desk, 35)
        settled = scooters.settle(desk, it).authorization
        if lowered:
            rental(desk, acts.lower(settled, settled.captured_minor))
            passes.refund(desk, told.held)
    later = c.BuyPass("una", "scooter", "day", until_us)
    bought = desk.do(later)
    assert isinstance(bought, PassTold)
    passes.refund(desk, bought.held)


def _budgeted(desk: Desk) -> None:
    """Tom's carts under a policy with budgets of both spans and with limits of speed: one rental is
    settled, one was never picked up, and two are still out."""
    desk.put_user("tom", 700)
    budgets = tuple(Budget("CNY", span, 500_000, 20_000) for span in Span)
    often = tuple(Velocity(Of.USER, it, 9, Then.DECLINE) for it in Counted)
    with writing(desk.store.engine) as connection:
        policy = connection.execute(select(t.policies)).mappings().first()
        product = connection.execute(select(t.products)).mappings().first()
        assert policy is not None
        assert product is not None
        breakers = (Breaker("CNY", acts.DAY_US, 300),)
        rules = json_of_rules(Rules(velocity=often, budget=budgets, breaker=breakers))
        connection.execute(insert(t.policies), {**policy, "policy_id": "bounded", "rules": rules})
        changes = {"operator_id": "city", "product_id": "cart", "policy_id": "bounded"}
        connection.execute(insert(t.products), {**product, **changes})
    assert desk.engine.terms.follow()
    rental(desk, settle(rental(desk, authorize("tom", "cart")), 0))
    rental(desk, reverse(rental(desk, authorize("tom", "cart"))))
    for _ in range(2):
        rental(desk, authorize("tom", "cart"))


def _broken(desk: Desk) -> None:
    """Uma's carts under the same policy, which has a breaker: a written-off fee opens it, a person
    closes it, and another fee opens it again. Uma is then asked for the whole deposit."""
    desk.put_user("uma", 700)
    watch = LossWatch(desk.engine.terms, BreakerStore(desk.store.engine), lambda _: None)
    for minor in (400, 301):
        desk.clock.advance(desk.clock.now_us() + 1)
        it = rental(desk, settle(rental(desk, authorize("uma", "cart")), minor))
        desk.do(acts.propose(it), caller=PLATFORM)
        desk.do(acts.approve(it), caller=PLATFORM)
        watch.look(desk.clock.now_us())
        if minor == 400:
            asked = by_shell("reset_breaker", [minor], "", "root")
            now_us = desk.clock.now_us()
            reset_breaker(desk.store.engine, asked, "city", 1, "looked", now_us, lambda _: b"")
            assert desk.engine.terms.follow()
    assert rental(desk, authorize("uma", "cart")).reasons[0] == "BREAKER_OPEN"


def _missing(desk: Desk) -> None:
    """Fay's lost items: one stays missing, and two appear. The operator reports no time of docking
    for these two, and for one of them the time to report has ended."""
    gone = [rental(desk, authorize("fay", asset_id=it)) for it in ("x-6", "x-7", "x-8")]
    begun_us = desk.clock.now_us()
    for it in gone:
        rental(desk, acts.lost(acts.woken(desk, it, begun_us + 25 * acts.HOUR_US)))
    rental(desk, reverse(rental(desk, authorize("fay", asset_id="x-6"))))
    acts.woken(desk, gone[0], begun_us + 75 * acts.HOUR_US)
    rental(desk, reverse(rental(desk, authorize("fay", asset_id="x-7"))))


def _collected(desk: Desk) -> None:
    """Ann's first rental: captured twice, then every step of collection."""
    it = rental(desk, authorize(asset_id="x-1"))
    it = rental(desk, acts.capture(it, 700, Purpose.DAMAGE, reference="case-1"))
    it = rental(desk, settle(it, 2_150))
    for command in (
        pay(it, 1_000, reference="p-1"),
        acts.pay_elsewhere(it, 200),
        acts.lower(it, 100, reason="a dent", reference="case-2"),
        acts.dispute(it, 300),
        acts.decide_dispute(it, user_won=True),
        acts.dispute(it, 150),
        acts.decide_dispute(it, user_won=False),
        acts.dispute(it, 50),
        acts.decide_dispute(it, user_won=True, goodwill=True),
        acts.dispute(it, 70),
        acts.refund(it, 400),
        acts.pay_out(it, 300),
        acts.charge_back(it, 150, "b-1"),
        acts.decide_charge_back(it, user_won=False),
        acts.charge_back(it, 120, "b-2"),
        acts.decide_charge_back(it, user_won=True),
        acts.charge_back(it, 40, "b-3"),
        acts.decide_charge_back(it, user_won=True, goodwill=True),
        acts.charge_back(it, 30, "b-4"),
        acts.provision(it, 500),
        acts.provision(it, 350),
    ):
        by_operator = isinstance(command, c.RecordPaidElsewhere | c.LowerCharge | c.RefundCharge)
        rental(desk, command, caller="city" if by_operator else PLATFORM)
    (payout,) = acts.transfers(desk, it)
    desk.do(acts.told(payout, TransferState.FAILED), caller=PLATFORM)
    it = rental(desk, acts.pay_out(it, 50), caller=PLATFORM)
    for state in (TransferState.SUCCEEDED, TransferState.RETURNED):
        desk.do(acts.told(acts.transfers(desk, it)[-1], state), caller=PLATFORM)
    rental(desk, acts.pay_out(it, 250), caller=PLATFORM)
    acts.woken(desk, it, desk.clock.now_us() + 4 * acts.DAY_US)  # dunning's first debit
    debit = acts.transfers(desk, it)[-1]
    for state in (TransferState.FAILED, TransferState.SUCCEEDED):  # a late success
        desk.do(acts.told(debit, state), caller=PLATFORM)
    rental(desk, settle(rental(desk, authorize()), 900))  # a second debit, which stays due


def _held(desk: Desk) -> None:
    """Rentals that end without a charge, a rental that is still open, and a cut of the limit that
    must wait."""
    rental(desk, reverse(rental(desk, authorize())))
    lapsing = rental(desk, pick_up(asset_id="x-2"))
    open_one = rental(desk, pick_up(product_id="umbrella"), caller=OTHER_OPERATOR)
    open_one = rental(desk, start(open_one, "u-1"), caller=OTHER_OPERATOR)
    rental(desk, acts.increment(open_one, 1_000), caller=OTHER_OPERATOR)
    rental(desk, acts.decrease(open_one, 500), caller=OTHER_OPERATOR)
    acts.woken(desk, lapsing, desk.clock.now_us() + acts.HOUR_US)
    waiting = rental(desk, authorize("cem", "power-bank"))
    desk.do(c.SetLimit("cem", acts.money(5_000)), caller=PLATFORM)
    rental(desk, settle(waiting, 600))


def _in_cash(desk: Desk) -> None:
    """Ben's deposits: overpaid, late, in vain, and for two items at once."""
    rental(desk, confirm(rental(desk, authorize("ben", asset_id="x-3")), 10_000, reference="d-1"))
    late = rental(desk, authorize("ben"))
    acts.woken(desk, late, desk.clock.now_us() + acts.HOUR_US)
    rental(desk, confirm(late, reference="d-2"))
    vain = rental(desk, authorize("ben"))
    desk.do(c.SetStanding("ben", Standing.SUSPENDED), caller=PLATFORM)
    rental(desk, confirm(vain, reference="d-3"))
    desk.do(c.SetStanding("ben", Standing.NORMAL), caller=PLATFORM)
    desk.do(c.SetLimit("ben", acts.money(60_000)), caller=PLATFORM)
    bike, bank = acts.members(desk, acts.group("ben", ("bike", "x-4"), ("bike", "x-5")))
    both = confirm(bike, bike.cash_minor + bank.cash_minor, reference="d-4")
    rental(desk, both)
    rental(desk, settle(bank, 12_000))


def _lost(desk: Desk) -> None:
    """Ann's last rentals: a claimed return, and a lost one that is written off, paid and found."""
    claimed = rental(desk, acts.claim_return(rental(desk, authorize())))
    acts.woken(desk, claimed, desk.clock.now_us() + 48 * acts.HOUR_US)
    it = rental(desk, authorize())
    it = acts.woken(desk, it, desk.clock.now_us() + 25 * acts.HOUR_US)
    it = rental(desk, acts.lost(it))
    rental(desk, acts.provision(it, 5_000), caller=PLATFORM)
    rental(desk, acts.propose(it), caller=PLATFORM)
    rental(desk, acts.approve(it), caller=PLATFORM)
    rental(desk, pay(it, 8_000, reference="p-2"), caller=PLATFORM)
    rental(desk, acts.found(it))
    it = rental(desk, authorize())
    it = acts.woken(desk, it, desk.clock.now_us() + 25 * acts.HOUR_US)
    it = rental(desk, acts.lost(it))
    rental(desk, pay(it, 1_900, reference="p-3"), caller=PLATFORM)
    rental(desk, acts.found(it))


def _twice(desk: Desk) -> None:
    """Ben's deposits that went out twice: the rail reports payouts as failed that arrived."""
    for number in (1, 2):
        it = rental(desk, reverse(rental(desk, confirm(rental(desk, authorize("ben")),
                                                       reference=f"t-{number}"))))  # fmt: skip
        for _ in range(2):
            it = rental(desk, acts.pay_out(it, it.refund_payable_minor), caller=PLATFORM)
            desk.do(acts.told(acts.transfers(desk, it)[-1], TransferState.FAILED), caller=PLATFORM)
            it = stored(desk, it)
        rental(desk, acts.pay_out(it, it.refund_payable_minor), caller=PLATFORM)
        first, second, _ = acts.transfers(desk, it)
        for payout in (first, second):  # the third is cancelled
            desk.do(acts.told(payout, TransferState.SUCCEEDED), caller=PLATFORM)
    rental(desk, acts.propose(stored(desk, it)), caller=PLATFORM)
    rental(desk, acts.approve(it), caller=PLATFORM)


def _in_debt(desk: Desk) -> None:
    """Eve's debts without a hold: paid, lowered, disputed, dropped, and one that stays due."""
    desk.put_user("eve", 700)
    rented = rental(desk, settle(rental(desk, authorize("eve")), 0))
    paid, disputed, due = (
        rental(desk, c.BookDebt(*acts.name(rented), acts.money(minor), reference, "photo", "yes"))
        for minor, reference in ((4_000, "dent"), (3_000, "lock"), (2_000, "tyre"))
    )
    for command in (
        pay(paid, 1_050, reference="e-1"),
        acts.pay_elsewhere(paid, 950, "e-3"),
        acts.lower(paid, 500),
        acts.dispute(disputed, 1_000),
        acts.decide_dispute(disputed, user_won=True),
        acts.dispute(disputed, 700),
        acts.decide_dispute(disputed, user_won=False),
        acts.dispute(disputed, 300),
        acts.refund(paid, 200),
        pay(due, 100, reference="e-2"),
    ):
        by_operator = isinstance(command, c.RecordPaidElsewhere | c.LowerCharge | c.RefundCharge)
        rental(desk, command, caller="city" if by_operator else PLATFORM)
    end_us = stored(desk, paid).unheld_until_us or 0
    it = acts.woken(desk, paid, end_us)  # a debit, which delays the end
    desk.do(acts.told(acts.transfers(desk, it)[-1], TransferState.FAILED), caller=PLATFORM)
    acts.woken(desk, it, end_us)


def _told_late(desk: Desk) -> None:
    """Gus's pick-up, which was reported after his reservation had ended. His deposit is held again,
    and Hal loses the item that was promised to Hal."""
    desk.put_user("gus", 550)
    desk.put_user("hal", 700)
    it = rental(desk, confirm(rental(desk, pick_up("gus", asset_id="x-10")), reference="g-1"))
    end_us = it.expire_us or 0
    it = acts.woken(desk, it, end_us)
    rental(desk, pick_up("hal", asset_id="x-10"))
    rental(desk, acts.picked_up(it, end_us - acts.MINUTE_US))


def _complaining(desk: Desk) -> None:
    """Ivy's cases: a claim, a dispute, complaints that were granted, refused and decided by time,
    one that is open, a late claim, and a question of the platform."""
    desk.put_user("ivy", 700)
    it = rental(desk, acts.claim_return(rental(desk, authorize("ivy"))))
    it = rental(desk, acts.contest(it))
    it = rental(desk, settle(it, 1_000))
    rental(desk, acts.dispute(it, 300), caller=PLATFORM)

    def asked(command: c.Command, caller: str = "city") -> tuple[str, str, str]:
        answer = desk.do(command, caller=caller)
        assert isinstance(answer, CaseTold)
        return answer.case[:3]

    granted = asked(c.OpenComplaint(*acts.name(it), CaseKind.WRONG_FEE, acts.money(100), "dear"))
    refused = asked(c.OpenComplaint(*acts.name(it), CaseKind.NOT_MINE, None, "not me"))
    asked(c.AddEvidence(*refused, side=Side.OPERATOR, text="photo"))
    asked(c.ResolveCase(*granted, outcome=Outcome.IN_PART, amount=acts.money(60), reason="half"))
    asked(c.ResolveCase(*refused, outcome=Outcome.FOR_OPERATOR), PLATFORM)
    rental(desk, c.ClaimReturn(*acts.name(it), desk.clock.now_us(), "dock-7"))
    over = asked(c.OpenComplaint(*acts.name(it), CaseKind.ITEM_AT_FAULT, acts.money(50), "flat"))
    desk.clock.advance(desk.clock.now_us() + 48 * acts.HOUR_US)
    (result,) = desk.apply(desk.work(c.DecideCase(*over), caller="", request_id=""))
    assert isinstance(result, bytes), result
    asked(c.OpenComplaint(*acts.name(it), CaseKind.OTHER, None, "unkind"))
    draft = Draft(list)
    question = open_case(
        desk.engine._ids.new(desk.clock.now_us()),
        CaseKind.SECOND_REFERENCE,
        desk.clock.now_us(),
        user_id="ivy",
        authorization_id=it.authorization_id,
        reference="p-1",
    )
    add_evidence(draft, question, Side.PLATFORM, "seen twice", "p-1", desk.clock.now_us())
    changed = Rows()
    changed.merge(draft)
    with desk.store.begin() as transaction:
        transaction.write(changed)
    said = c.AddEvidence(*question[:3], Side.PLATFORM, "the same bank statement")
    desk.do(said, caller=PLATFORM)


def _raised(desk: Desk) -> None:
    """Ulf's increments: one is granted, and the line or the missing deposit refuses the others."""
    desk.put_user("ulf", 550)
    it = rental(desk, confirm(rental(desk, authorize("ulf")), reference="p-ulf"))
    refused(desk, acts.increment(it, 400))
    refused(desk, acts.increment(it, 30_000))
    it = rental(desk, acts.increment(it, 300, 150, "p-ulf-2"))
    refused(desk, acts.increment(it, 400))


def _blocked(desk: Desk) -> None:
    """Pia's two rentals, whose items she could not return. Each complaint was granted while the
    item was out. One item is still out, and the other one came back later."""
    desk.put_user("pia", 700)
    for place in range(2):
        it = rental(desk, authorize("pia"))
        desk.clock.advance(desk.clock.now_us() + acts.HOUR_US)
        rental(desk, c.Settle(*acts.name(it), None, final=False))
        told_us = it.start_us
        opened = c.OpenComplaint(*acts.name(it), CaseKind.RETURN_BLOCKED, None, "full", "", told_us)
        answer = desk.do(opened)
        assert isinstance(answer, CaseTold)
        desk.do(c.ResolveCase(*answer.case[:3], outcome=Outcome.FOR_USER))
        if place:
            rental(desk, acts.settle_usage(it))


def _attested(desk: Desk) -> None:
    """Joe's three rentals. The first was paused twice, waived in part and returned by post. The
    second was returned by hand, and its captured fee was waived. The third has a running pause."""
    desk.put_user("joe", 800)
    desk.do(c.SetLimit("joe", acts.money(100_000)), caller=PLATFORM)
    it = rental(desk, authorize("joe"))
    begun_us = desk.clock.now_us()
    rental(desk, acts.pause(it))
    desk.clock.advance(begun_us + 20 * acts.MINUTE_US)
    rental(desk, acts.resume(it, begun_us + 10 * acts.MINUTE_US))
    rental(desk, acts.pause(it, begun_us + 15 * acts.MINUTE_US))
    rental(desk, acts.waive(it, 100))
    rental(desk, acts.hand_over(it, AttestationKind.BY_POST, desk.clock.now_us()))
    it = rental(desk, authorize("joe"))
    rental(desk, acts.capture(it, 150))
    rental(desk, acts.waive(it))
    rental(desk, acts.hand_over(it, AttestationKind.BY_HAND, desk.clock.now_us(), 0))
    rental(desk, acts.pause(rental(desk, authorize("joe", "power-bank"))))


def _paused_late(desk: Desk) -> None:
    """Uma's rental of 3:00: a pause was told with its end while she had the item, and two more were
    told after the settlement."""
    desk.put_user("uma", 800)
    it = rental(desk, authorize("uma", "power-bank"))
    hour_us, begun_us = acts.HOUR_US, desk.clock.now_us()
    desk.clock.advance(begun_us + 3 * hour_us)
    rental(desk, acts.pause(it, begun_us, resumed_us=begun_us + hour_us // 2))
    it = rental(desk, acts.settle_usage(it))
    for hours in (1, 2):
        from_us = begun_us + hours * hour_us
        rental(desk, acts.pause(it, from_us, resumed_us=from_us + hour_us // 2))


def _at_the_bank(desk: Desk) -> None:
    """Gil's charge-backs: one decided twice and lost, one that came back, one that is open with a
    part in suspense; and money in suspense: returned, matched to Gil, and proposed."""
    desk.put_user("gil", 700)
    it = rental(desk, settle(rental(desk, authorize("gil")), 4_000))
    it = rental(desk, pay(it, 1_000, reference="g-11"), caller=PLATFORM)
    it = rental(desk, pay(it, 2_000, reference="g-12"), caller=PLATFORM)

    def took(case_id: str, minor: int, payment: str) -> c.Command:
        return c.RecordChargeBack(*acts.name(it), case_id, acts.money(minor), payment=payment)

    def decides(case_id: str, *, user_won: bool) -> c.Command:
        return c.ResolveChargeBack(*acts.name(it), user_won, False, "the bank", case_id)

    def match(reference: str, minor: int, *named: str) -> c.Command:
        by, payment, *target = named
        user_id, authorization_id = target or ("", "")
        money = acts.money(minor)
        return c.MatchSuspense(reference, money, by, user_id, authorization_id, payment)

    gil = acts.name(it)
    for command in (
        took("case-1", 300, "g-11"),
        decides("case-1", user_won=True),
        decides("case-1", user_won=False),
        decides("case-1", user_won=True),
        took("case-2", 200, "g-12"),
        decides("case-2", user_won=False),
        took("case-3", 900, "g-11"),
        c.RecordUnmatched(Direction.IN, acts.money(1_500), "odd-1"),
        match("odd-1", 400, "key-1", "", *gil),
        match("odd-1", 400, "key-2", "", *gil),
        match("odd-1", 600, "key-1", ""),
        match("odd-1", 100, "key-2", "", *gil),
        c.RecordUnmatched(Direction.OUT, acts.money(700), "odd-2"),
        match("odd-2", 250, "key-1", "g-12", *gil),
        match("odd-2", 50, "key-1", ""),
    ):
        desk.do(command, caller=PLATFORM)


def _merged(desk: Desk) -> None:
    """Kim is merged into Lea while a charge is due on Kim's line. Kim then asks for a rental, and
    Lea gets it. A merge of Max into Lea is only proposed."""
    desk.put_users(kim=700, lea=700, max=700)
    rental(desk, settle(rental(desk, authorize("kim")), 700))
    desk.do(c.ProposeMerge("kim", "lea", "same card", "key-1"), caller=PLATFORM)
    desk.do(c.ApproveMerge("kim", "lea", "key-2"), caller=PLATFORM)
    rental(desk, reverse(rental(desk, authorize("kim"))))
    desk.put_user("kim", 710)
    desk.do(c.ProposeMerge("max", "lea", "same name", "key-2"), caller=PLATFORM)


def _strict(desk: Desk) -> None:
    """Ora's rentals under strict terms. She cancels a reservation for its fee, and ends a rental
    within the free time. She consents to damage in three forms: in the rental, by a damage charge
    that is raised later, and by a debt."""
    desk.put_user("ora", 700)
    with writing(desk.store.engine) as connection:
        policy = connection.execute(select(t.policies)).mappings().first()
        product = connection.execute(select(t.products)).mappings().first()
        assert policy is not None
        assert product is not None
        connection.execute(
            insert(t.policies),
            {**policy, "policy_id": "strict", "free_cancellation_us": 5 * acts.MINUTE_US},
        )
        changes = {"operator_id": "city", "product_id": "locker", "policy_id": "strict"}
        bounds = {"cancellation_fee_minor": 200, "damage_without_consent_minor": 1_000}
        listed = {"line_items": '["USAGE","ITEM_DAMAGED"]'}
        connection.execute(insert(t.products), {**product, **changes, **bounds, **listed})
    assert desk.engine.terms.follow()
    reserved = rental(desk, pick_up("ora", "locker"))
    rented = rental(desk, authorize("ora", "locker"))
    rental(desk, acts.settle_usage(rented))
    desk.clock.advance(desk.clock.now_us() + 6 * acts.MINUTE_US)
    rental(desk, replace(reverse(reserved), by_user=True))
    it = rental(desk, authorize("ora", "locker"))
    consent: Any = {"user_consent_reference": "form-1"}
    it = rental(desk, replace(acts.capture(it, 1_500, Purpose.DAMAGE), **consent))
    it = rental(desk, settle(it, 300))
    charge = rental(desk, damage(it, 1_200, "locker")._replace(**consent))
    charge = rental(desk, replace(acts.increment(charge, 300), **consent))
    rental(desk, settle(charge, 1_400))
    debt = c.BookDebt(*acts.name(it), acts.money(1_100), "dent", "photo", "form-2")
    rental(desk, debt)


def _ordered(desk: Desk) -> None:
    """Nia's rental of an order, with the price shown and both hand-overs."""
    desk.put_user("nia", 700)
    order = Order(
        "order-1", '{"lane":"3"}', ItemPlace("dock-1"), "device", "account", "wechat", "PRC"
    )
    asked = pick_up("nia")
    shown = price_hash(desk.engine.terms.used.catalog.products["city", asked.items[0].product_id])
    items = tuple(it._replace(price_hash=shown) for it in asked.items)
    priced = desk.do(asked._replace(items=items, order=order))
    assert isinstance(priced, Priced)
    assert isinstance(priced.answer, Authorization)
    it = rental(
        desk, c.StartRental(*acts.name(priced.answer), "", None, ItemPlace("dock-2", "new"))
    )
    back = ItemPlace("dock-3", "a dent")
    rental(desk, c.Settle(*acts.name(it), acts.money(300), True, place=back))


def _reviewed(desk: Desk) -> None:
    """Rex is watched. One person approves his order, and another one refuses his next one."""
    desk.put_user("rex", 700)
    desk.do(c.SetStanding("rex", Standing.WATCHED), caller=PLATFORM)
    asked = [authorize("rex", asset_id=asset_id) for asset_id in ("r-1", "r-2")]
    waiting = [acts.name(rental(desk, it)) for it in asked]
    known = ReviewReason.HISTORY, "ten rentals, all paid"
    desk.do(c.ResolveReview(*waiting[0], True, "persons/bob", *known), caller=PLATFORM)
    desk.do(c.ResolveReview(*waiting[1], False, "key-1"), caller=PLATFORM)


def _unposted(desk: Desk) -> None:
    """Oda's damage takes the whole hold, so that the return moves no money."""
    desk.put_user("oda", 700)
    it = rental(desk, authorize("oda"))
    rental(desk, acts.capture(it, it.credit_minor, Purpose.DAMAGE))
    rental(desk, c.Settle(*acts.name(it), None, True))


# -- seals --------------------------------------------------------------------------------------


def seal(desk: Desk, signer: Signer = KEY, *, max_heads: int = 1_000) -> list[SealRecord]:
    """Seals until nothing is left, on PostgreSQL also past transactions under way; returns the
    seals."""
    made: list[SealRecord] = []

    async def run() -> None:
        committer = Committer(desk.engine.apply, CommitLimits())
        committer.start()
        sealer = Sealer(
            SqlSealStore(desk.store.engine, horizon_of(desk.store)),
            committer,
            desk.clock,
            signer,
            BACKSTAGE,
            max_heads=max_heads,
            pause_s=0.0,
            log_seal=made.append,
            log_fault=lambda _id, error, _about=None: desk.faults.append(error),
        )
        await sealer.close(30.0)
        await committer.close()

    asyncio.run(run())
    return made


def witness(it: SealRecord) -> Witness:
    """An outsider's note of a seal."""
    return Witness(it.number, it.digest)


# -- the file and its server --------------------------------------------------------------------


@contextmanager
def at(file: Path) -> Iterator[Desk]:
    """An engine on the file, which is closed afterwards."""
    desk = Desk(SqlStore(open_database(f"sqlite:///{file}")))
    try:
        yield desk
    finally:
        desk.store.close()


def verified(
    file: Path, keys: SealKeys | None = KEYS, witnesses: Sequence[Witness] = ()
) -> Verification:
    """The verification's result for the file."""
    engine = open_database(f"sqlite:///{file}")
    try:
        return verify_books(engine, keys, witnesses, read_payload=read_payload)
    finally:
        engine.dispose()


@contextmanager
def attack(file: Path) -> Iterator[sqlite3.Connection]:
    """The file in the hands of an attacker, without triggers and CHECKs."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute("PRAGMA synchronous=OFF")
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    # In one transaction: each on its own takes as long as all together.
    connection.execute("BEGIN")
    for (name,) in connection.execute(triggers).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def keeping_triggers(file: Path) -> Iterator[None]:
    """Makes the triggers again that an attacker drops in this block."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    with closing(sqlite3.connect(file)) as connection:
        before = connection.execute(query).fetchall()
    yield
    with closing(sqlite3.connect(file)) as connection:
        left = {name for name, _ in connection.execute(query)}
        connection.executescript(";".join(sql for name, sql in before if name not in left))


def tamper(file: Path, *statements: str) -> None:
    """Changes rows by plain SQL; each statement must change something."""
    with attack(file) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount >= 1, statement


def relink(file: Path, user_id: str = "ann", currency: str = "CNY") -> None:
    """Computes every link of a line anew, and its head, as an attacker with the file can."""
    where = "WHERE user_id = ? AND currency = ?"
    key = (user_id, currency)
    with attack(file) as connection:
        (subject,) = connection.execute(f"SELECT subject FROM lines {where}", key).fetchone()
        head = b""
        found = connection.execute(f"SELECT * FROM entries {where} ORDER BY sequence", key)
        for row in found.fetchall():
            head = link_of(head, subject, rows.entry_of(row))
            connection.execute(f"UPDATE entries SET link = ? {where} AND sequence = ?",
                               (head, *key, row[2]))  # fmt: skip
        connection.execute(f"UPDATE lines SET head = ? {where}", (head, *key))


def reseal(file: Path, sign: Signer | None = None) -> None:
    """Makes every seal anew over the present heads: with a key, or with the old signatures."""
    with attack(file) as connection:
        previous = b""
        for row in connection.execute("SELECT * FROM seals ORDER BY number").fetchall():
            number, _, _, signature, key_id, seal_us, outbox_sequence = row
            heads = "SELECT version, head FROM sealed_heads WHERE number = ? ORDER BY head"
            covered = connection.execute(heads, (number,)).fetchall()
            digest = seal_digest(number, previous, seal_us, outbox_sequence, covered)
            if sign is not None:
                signature, key_id = sign.sign(digest), sign.key_id
            connection.execute(
                "UPDATE seals SET previous=?, digest=?, signature=?, key_id=? WHERE number=?",
                (previous, digest, signature, key_id, number),
            )
            previous = digest


def restore(file: Path, older: Path, *, leave: Sequence[str] = ()) -> None:
    """Puts the rows of an older copy into every table except these."""
    with attack(file) as connection:
        connection.commit()
        connection.execute("ATTACH ? AS older", (str(older),))
        for table in TABLES:
            if table not in leave:
                connection.execute(f"DELETE FROM main.{table}")
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM older.{table}")
        connection.commit()
        connection.execute("DETACH older")


def copy_of(file: Path, name: str) -> Path:
    """A copy beside the file, which no process has open."""
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Path(shutil.copy(file, file.with_name(name)))


def multiply(file: Path, times: int) -> None:
    """Adds this many people with the same rentals under other names."""
    own: dict[str, dict[str, str]] = {
        "lines": {"subject_key": "x''"},  # the chain does not contain the person's name
        "entries": {},
        "authorizations": {
            "request_id": "''",
            "asset_id": "{n} || asset_id",
            # The copies have no passes, which tell their calls.
            "reasons": "CASE old.reasons WHEN 'PASS_BOUGHT' THEN '' ELSE old.reasons END",
        },
        "users": {
            "alias_of": "CASE old.alias_of WHEN '' THEN '' ELSE {n} || old.alias_of END",
        },
        "aliases": {"survivor": "{n} || old.survivor"},
        # The copies have no requests, which tell the groups: no counts can be compared.
        "decisions": {"read_values": "NULL"},
        "transfers": {"transfer_id": "{n} || transfer_id"},
        "debts": {},
        "late_pickups": {},
        "authorization_details": {},
        "consents": {},
        # The number goes before the id, which may stand after the name of the collection.
        "payments": {
            "payment_reference": "CASE WHEN payment_reference LIKE 'transfers/%'"
            " THEN 'transfers/' || {n} || substr(payment_reference, 11)"
            " ELSE {n} || payment_reference END",
            # The copies' charge-backs are those of an earlier build, which had no rows.
            "kind": "CASE old.kind WHEN 'CASE' THEN 'CHARGE_BACK' ELSE old.kind END",
        },
        "open_items": {"asset_id": "{n} || asset_id"},
        "captures": {},
        "corrections": {},
        "cases": {},
        "case_evidence": {},
        "attestations": {},
        # A payload contains its person's name.
        "outbox": {"sequence": "NULL", "operator_id": "''", "payload": "x''"},
    }
    people = f"(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {times})"
    people += f" SELECT 'p{times}-' || n || '-' AS n FROM n) AS copies"
    with attack(file) as connection:
        for table, changed in own.items():
            columns = [column.name for column in t.metadata.tables[table].columns]
            values: dict[str, Any] = {name: f"old.{name}" for name in columns}
            if "user_id" in values:
                values["user_id"] = "copies.n || old.user_id"
            for name, value in changed.items():
                values[name] = value.format(n="copies.n")
            if "asset_id" in changed:
                values["asset_id"] = (
                    "CASE old.asset_id WHEN '' THEN '' ELSE copies.n || old.asset_id END"
                )
            where = "WHERE old.user_id NOT LIKE '%/%'" if "user_id" in columns else ""
            connection.execute(
                f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())}"
                f" FROM {table} AS old, {people} {where}"
            )
        for table, names in (
            ("budget_accounts", ("granted_minor", "folded_minor")),
            ("budget_leases", ("granted_minor", "net_minor")),
        ):
            more = ", ".join(f"{name} = {name} * {times + 1}" for name in names)
            connection.execute(f"UPDATE {table} SET {more}")
        owed = "CASE 'operator_payable' WHEN credit THEN amount_minor WHEN debit THEN -amount_minor"
        connection.execute("DELETE FROM operator_payables")
        connection.execute(
            f"INSERT INTO operator_payables SELECT operator_id, currency, 'all', sum({owed} END)"
            " FROM entries WHERE 'operator_payable' IN (debit, credit) GROUP BY 1, 2"
        )


# -- answers ------------------------------------------------------------------------------------


_RESPONSES: dict[str, type[Any]] = {
    it.name: it.response
    for service in (
        *(authorization_service, credit_service, collection_service, case_service),
        pass_service,
    )
    for it in service.MUTATIONS
}
_METHODS = {
    **{
        it: f"{it}Authorization" for it in ("Confirm", "Decrease", "Increment", "Reverse", "Settle")
    },
    **{"SetLimit": "SetCreditLimit", "PutUser": "PutUsers"},
}
"""The contract's names of the commands that have other ones."""


def real_answers(file: Path) -> None:
    """Writes methods and answers of the contract in place of the tests' own: each answer is about
    its call's person or authorization. The server keeps no answers of the rail's reports."""
    with keeping_triggers(file), attack(file) as connection:
        connection.execute("DELETE FROM requests WHERE method = 'ReportTransfer'")
        query = "SELECT rowid, method, user_id, authorization_id, answer FROM requests"
        for row, command, user_id, authorization_id, said in connection.execute(query).fetchall():
            if command.endswith(REFUSED) or command == TOMBSTONE:
                continue
            method = _METHODS.get(command, command)
            kind = CreditProfile if method == "PutUsers" else _RESPONSES[method]
            message = _answer(kind(), user_id, authorization_id)
            if not authorization_id and "case" in kind.DESCRIPTOR.fields_by_name:
                # A question of the platform: the answer names it.
                (case_id,) = re.findall(rb"case_id='([^']+)'", said)
                message.case.name = f"cases/{case_id.decode()}"
                message.case.kind = case_service.KINDS[CaseKind.SECOND_REFERENCE]
            if method.endswith("Pass"):
                (pass_id,) = re.findall(rb"pass_id='([^']+)'", said)
                message.held.name = f"users/{user_id}/passes/{pass_id.decode()}"
            answer = message.SerializeToString()
            change = "UPDATE requests SET method = ?, answer = ? WHERE rowid = ?"
            connection.execute(change, (method, answer, row))


def _answer(message: Any, user_id: str, authorization_id: str) -> Any:
    """An answer about this person or authorization."""
    name = f"users/{user_id}/authorizations/{authorization_id}" if authorization_id else ""
    fields = message.DESCRIPTOR.fields_by_name
    if "user_id" in fields:
        message.user_id = user_id
    elif "line" in fields:
        message.line.user_id = user_id
    elif "authorizations" in fields:
        message.authorizations.add(name=name)
    elif "case" in fields:
        message.case.authorization = name
    elif name and "authorization" in fields:
        message.authorization.name = name
        message.authorization.product_id = "of no meaning"
    return message
