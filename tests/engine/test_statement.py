"""The rail's own statement agrees with the books, whatever the rail said in between."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

import pytest
from sqlalchemy import text

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.errors import FreeholdError
from service.engine import operations as c
from service.engine.records.transfers import TransferRecord, TransferState
from tests.conftest import Databases
from tests.engine import acts
from tests.engine.calls import authorize, confirm, pay, rental, reverse, settle, stored
from tests.engine.model import Model, Violation
from tests.engine.soak import random_steps
from tests.fakes import OPERATOR, Desk

REQUESTED, SENT = TransferState.REQUESTED, TransferState.SENT
SUCCEEDED, FAILED = TransferState.SUCCEEDED, TransferState.FAILED
RETURNED, CANCELLED = TransferState.RETURNED, TransferState.CANCELLED
DEBIT = "DEBIT"
STEPS = 120


class Rail:
    """A payment rail that moves money, keeps a statement, and often reports late or wrongly."""

    def __init__(self, desk: Desk, chance: Random) -> None:
        self._desk, self._chance = desk, chance
        self._name = chance.getrandbits(32)
        self._references = 0
        self._moved: set[str] = set()
        self.statement: Counter[str] = Counter()
        """The balance of each person's money at the rail."""

    def reference(self) -> str:
        """A new reference."""
        self._references += 1
        return f"rail-{self._name}-{self._references}"

    def comes(self, it: Authorization, command: c.Command, amount_minor: int) -> bool:
        """Money of a person comes in (or, if negative, is taken back), and the call that records it
        is made; False if it is refused."""
        try:
            self._desk.do(command, caller=PLATFORM)
        except FreeholdError:
            return False
        self.statement[it.user_id] += amount_minor
        return True

    def tend(self, it: Authorization, *, honest: bool = False) -> None:
        """Goes on with the transfers of an authorization.

        An honest rail executes what it has, and corrects each false report.
        """
        for transfer in acts.transfers(self._desk, it):
            if honest or self._chance.random() < 0.6:
                self._go_on(transfer, honest=honest)

    def _go_on(self, it: TransferRecord, *, honest: bool) -> None:
        moved = it.transfer_id in self._moved
        match it.state:
            case TransferState.REQUESTED:
                self._say(it, SENT)
            case TransferState.SENT:
                if honest or self._chance.random() < 0.7:
                    self._move(it)
                    lies = not honest and self._chance.random() < 0.4
                    self._say(it, FAILED if lies else SUCCEEDED)
                else:
                    self._say(it, FAILED)
            case TransferState.FAILED if moved and (honest or self._chance.random() < 0.4):
                self._say(it, SUCCEEDED)
            case TransferState.SUCCEEDED if it.kind != DEBIT and not honest:
                if self._chance.random() < 0.15:
                    self.statement[it.user_id] += it.amount_minor
                    self._say(it, RETURNED)
            case _:
                pass

    def _move(self, it: TransferRecord) -> None:
        self._moved.add(it.transfer_id)
        self.statement[it.user_id] += it.amount_minor if it.kind == DEBIT else -it.amount_minor

    def _say(self, it: TransferRecord, state: TransferState) -> None:
        self._desk.do(acts.told(it, state), caller=PLATFORM)


def _act(desk: Desk, rail: Rail, it: Authorization, chance: Random) -> None:
    """One thing that a person, an operator, the platform or a bank does; some are refused."""
    amount = chance.choice((1, 300, 1_250, it.due_minor, it.refund_payable_minor, it.held_minor))
    name, operator = acts.name(it), OPERATOR
    caller, command = chance.choice(
        (
            (operator, settle(it, min(amount, it.held_minor))),
            (operator, reverse(it)),
            (operator, acts.lower(it, amount)),
            (operator, acts.refund(it, chance.choice((amount, it.refundable_minor)))),
            (operator, acts.pay_elsewhere(it, amount, rail.reference())),
            (PLATFORM, acts.pay_out(it, chance.choice((amount, it.payable_out_minor)))),
            (PLATFORM, acts.pay_out(it, it.payable_out_minor)),
            (PLATFORM, acts.dispute(it, amount)),
            (PLATFORM, acts.decide_dispute(it, user_won=chance.random() < 0.5)),
            (PLATFORM, c.ForgiveCharge(*name)),
            (PLATFORM, acts.propose(it)),
            (PLATFORM, acts.approve(it)),
            (None, None),
            (None, None),
        )
    )
    if command is None:
        _money_moves(desk, rail, it, chance, amount)
        return
    with suppress(FreeholdError):
        desk.do(command, caller=caller or PLATFORM)


def _money_moves(desk: Desk, rail: Rail, it: Authorization, chance: Random, amount: int) -> None:
    match chance.choice(("pays", "bank takes", "bank gives", "person keeps")):
        case "pays":
            rail.comes(it, pay(it, amount, reference=rail.reference()), amount)
        case "bank takes":
            taken = chance.choice((amount, it.chargeable_back_minor))
            rail.comes(it, acts.charge_back(it, taken, rail.reference()), -taken)
        case "bank gives":
            rail.comes(it, acts.decide_charge_back(it, user_won=False), it.charged_back_minor)
        case _:
            rail.comes(it, acts.decide_charge_back(it, user_won=True), 0)


def _lives(desk: Desk, chance: Random) -> tuple[Rail, list[Authorization]]:
    """Rentals of three persons, some with a deposit, through many steps; then all words are in."""
    rail = Rail(desk, chance)
    rentals = []
    for user_id in ("ann", "ben", "ben", "ann", "cem"):
        it = rental(desk, authorize(user_id))
        if it.state is State.OFFERED:
            paid = it.cash_minor + chance.choice((0, 0, 700))
            rail.comes(it, confirm(it, paid, reference=rail.reference()), paid)
        rentals.append(it)
    for _ in range(STEPS):
        it = stored(desk, chance.choice(rentals))
        _act(desk, rail, it, chance)
        rail.tend(stored(desk, it))
        if chance.random() < 0.1:
            desk.clock.advance(desk.clock.now_us() + acts.DAY_US)
            for each in rentals:
                if (at := stored(desk, each).wake_us) and at <= desk.clock.now_us():
                    desk.apply(desk.work(acts.wake(each), caller="", request_id=""))
    for _ in range(4):
        for it in rentals:
            rail.tend(it, honest=True)
    for it in rentals:  # so that the next lives find free credit
        with suppress(FreeholdError):
            desk.do(settle(stored(desk, it), 0))
    return rail, [stored(desk, it) for it in rentals]


@pytest.mark.parametrize("seed", range(12))
def test_the_rails_statement_agrees_with_the_books(desk: Desk, seed: int) -> None:
    """Once the rail has corrected its reports, its statement equals the books' cash, in all and for
    each person: paid less owed back less overpaid."""
    rail, rentals = _lives(desk, Random(seed))
    states = {each.state for it in rentals for each in acts.transfers(desk, it)}
    assert not states & {REQUESTED, SENT}
    with desk.store.engine.connect() as connection:
        cash_minor = connection.scalar(
            text(
                "SELECT coalesce(sum(CASE WHEN debit = 'cash' THEN amount_minor ELSE"
                " -amount_minor END), 0) FROM entries WHERE debit = 'cash' OR credit = 'cash'"
            )
        )
        owed_minor = connection.scalar(
            text(
                "SELECT coalesce(sum(CASE WHEN credit = 'operator_payable' THEN amount_minor ELSE"
                " -amount_minor END), 0) FROM entries"
                " WHERE debit = 'operator_payable' OR credit = 'operator_payable'"
            )
        )
    assert cash_minor == rail.statement.total()
    kept: Counter[str] = Counter()
    for it in rentals:
        kept[it.user_id] += it.refundable_minor - it.elsewhere_minor - it.charged_back_minor
        kept[it.user_id] += it.held_cash_minor + it.refund_payable_minor
        kept[it.user_id] -= it.overpaid_minor + it.overpaid_written_off_minor
    assert +kept == +rail.statement
    theirs = [it.captured_minor - it.conceded_minor - it.fee_minor for it in rentals]
    assert owed_minor == sum(theirs) - sum(it.elsewhere_minor for it in rentals)


def test_the_rail_does_what_rails_really_do(desk: Desk) -> None:
    """Among these lives are late successes of both kinds, returned payouts, and money that went
    twice."""
    found: set[str] = set()
    for seed in range(40):
        chance = Random(seed)
        rail, rentals = _lives(desk, chance)
        for it in rentals:
            for each in acts.transfers(desk, it):
                found |= {f"{each.kind} late"} if each.earlier_state else set()
                found |= {f"{each.kind} {each.state}"}
            found |= {"twice"} if it.overpaid_minor or it.overpaid_written_off_minor else set()
        if {"DEBIT late", "PAYOUT late", "PAYOUT RETURNED", "twice"} <= found:
            return
        rail.statement.clear()
    raise AssertionError(sorted(found))


@pytest.mark.parametrize("part", ["a person's payment", "suspense", "an operator's payout", "till"])
def test_the_random_model_compares_the_statement(databases: Databases, part: str) -> None:
    """One fen in the rail's statement that the books do not have ends a random run."""
    model = Model(databases.new())
    try:
        for step in random_steps(part):
            model.do(step)
            if model.commands >= 40:
                break
        model.finish()
        match part:
            case "suspense":
                model.statement.suspense += 1
            case "till":
                model.statement.tills["city"] += 1
            case "an operator's payout":
                model.statement.operators["harbour"] -= 1
            case _:
                model.statement.people["ann"] += 1
        with pytest.raises(Violation, match="rail"):
            model.finish()
    finally:
        model.close()
        databases.drop(model.url)
