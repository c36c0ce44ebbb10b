"""The rail's own statement agrees with the books, whatever the rail said in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from service.domain.access import PLATFORM
from service.domain.attestations import Cause
from service.domain.authorization import Authorization, Start
from service.domain.captures import Purpose
from service.domain.cases import CaseKind, Outcome
from service.domain.errors import FreeholdError
from service.domain.policy import Offer
from service.domain.suspense import Direction
from service.engine import operations as c
from service.engine.records.transfers import TransferRecord, TransferState
from tests.conftest import Databases
from tests.engine import acts
from tests.engine.calls import authorize, confirm, pay, reverse, settle, stored_of
from tests.engine.model import Model, Violation
from tests.engine.soak import random_steps
from tests.engine.statement import Statement
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk

REQUESTED, SENT = TransferState.REQUESTED, TransferState.SENT
SUCCEEDED, FAILED = TransferState.SUCCEEDED, TransferState.FAILED
RETURNED, CANCELLED = TransferState.RETURNED, TransferState.CANCELLED
DEBIT = "DEBIT"
STEPS = 100
PEOPLE = ("ann", "ben", "cem", "dan", "eve", "fay")
EVENTS = (
    *("DEBIT late", "PAYOUT late", "PAYOUT RETURNED", "twice", "paid elsewhere"),
    *("unmatched IN", "unmatched OUT", "matched IN", "matched OUT"),
    *("IN to the rail", "OUT to the rail", "operator paid out", "operator pays"),
    *("charge-back", "charge-back of a payment", "charge-back in suspense"),
    *("charge-back overturned", "collection.charge_back_won", "collection.charge_back_reopened"),
    *("collection.debt_booked", "debt paid", "late pick-up", "deposit carried over"),
    *("ReportFound", "authorization.return_presumed", "authorization.paused", "damage"),
    *("WaiveFee", "FOR_USER by operator", "FOR_USER by platform", "silence"),
)
"""Money events, by the calls' names, the statement's lines or the books' transitions."""
JUMPS_US = (acts.MINUTE_US, 7 * acts.MINUTE_US, acts.HOUR_US, 5 * acts.HOUR_US, acts.DAY_US)


class Rail:
    """A payment rail that moves money, keeps a statement, and often reports late or wrongly."""

    def __init__(self, desk: Desk, chance: Random) -> None:
        self._desk, self._chance = desk, chance
        self._name = chance.getrandbits(32)
        self._references = 0
        self._moved: set[str] = set()
        self.statement = Statement(self._overturned, self._spread)
        """All but the transfers, which it knows by the rail's words."""
        self.transferred: Counter[str] = Counter()
        """The transfers' money that each person has really sent or got."""
        self.done: Counter[str] = Counter()
        """The calls that were carried out."""

    def read(self, query: str) -> Sequence[Any]:
        """The rows of a query."""
        with self._desk.store.engine.connect() as connection:
            return connection.exec_driver_sql(query).all()

    def unfinished(self) -> list[tuple[str, str]]:
        """The authorizations with a transfer that it has not executed, or told wrongly."""
        found = self.read(
            "SELECT user_id, authorization_id, transfer_id, state FROM transfers"
            " WHERE state IN ('REQUESTED', 'SENT', 'FAILED') ORDER BY 2"
        )
        open_ = [(row[0], row[1]) for row in found if row[3] != FAILED or row[2] in self._moved]
        return list(dict.fromkeys(open_))

    def _overturned(self, user_id: str, authorization_id: str) -> list[str]:
        found = self.read(
            f"SELECT case_id FROM charge_backs WHERE user_id = '{user_id}'"
            f" AND authorization_id = '{authorization_id}' AND overturned_minor > 0"
        )
        return [row[0] for row in found]

    def _spread(self, user_id: str, case_id: str) -> list[tuple[str, str, int]]:
        found = self.read(
            "SELECT authorization_id, case_id, amount_minor FROM charge_backs"
            f" WHERE user_id = '{user_id}' AND payment <> ''"
        )
        ours = [row for row in found if row[1].startswith("suspense/")]
        return [(row[0], row[1], row[2]) for row in ours if row[1].endswith(f"/{case_id}")]

    def reference(self) -> str:
        """A new reference."""
        self._references += 1
        return f"rail-{self._name}-{self._references}"

    def call(self, caller: str, command: c.Command, name: str = "") -> bool:
        """Makes a call; if it is carried out, its money stands in the statement."""
        try:
            answer = self._desk.do(command, caller=caller)
        except FreeholdError:
            return False
        self.statement.hear(command, answer)
        self.done[name or type(command).__name__] += 1
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
                    self.transferred[it.user_id] += it.amount_minor
                    self._say(it, RETURNED)
            case _:
                pass

    def _move(self, it: TransferRecord) -> None:
        self._moved.add(it.transfer_id)
        self.transferred[it.user_id] += it.amount_minor if it.kind == DEBIT else -it.amount_minor

    def _say(self, it: TransferRecord, state: TransferState) -> None:
        assert self.call(PLATFORM, acts.told(it, state))


class Lives:
    """People who rent from two operators, and all that happens to their money."""

    def __init__(self, desk: Desk, rail: Rail, chance: Random) -> None:
        self._desk, self._rail, self._chance = desk, rail, chance
        desk.put_users(dan=700, eve=560, fay=700)

    def rentals(self) -> list[Authorization]:
        """All authorizations as they are stored."""
        return [self._stored(*name) for name in self._names()]

    def _names(self) -> Sequence[Any]:
        return self._rail.read("SELECT user_id, authorization_id FROM authorizations ORDER BY 2")

    def _stored(self, user_id: str, authorization_id: str) -> Authorization:
        return stored_of(self._desk, user_id, authorization_id)

    def _one(self) -> Authorization:
        """Mostly one of the latest rentals."""
        names = self._names()
        return self._stored(*self._chance.choice((*names[-12:], *names[-6:])))

    def go_on(self) -> None:
        """Some rentals, through many steps; then the rail has said everything."""
        rail, chance = self._rail, self._chance
        for _ in range(6):
            self._asks()
        for _ in range(STEPS):
            draw = chance.random()
            if draw < 0.1:
                self._asks()
            elif draw < 0.25:
                self._of_the_rail(self._one())
            elif draw < 0.37:
                self._time_passes()
            else:
                it = self._one()
                wanted = self._about(it)
                chance.shuffle(wanted)
                any(rail.call(caller, command, name) for caller, name, command in wanted[:8])
            rail.tend(self._one())
        for _ in range(4):
            for name in rail.unfinished():
                rail.tend(self._stored(*name), honest=True)

    def _asks(self) -> None:
        """Somebody asks for an item, and mostly pays what is asked."""
        chance, rail = self._chance, self._rail
        user_id, operator = chance.choice(PEOPLE), self._operator()
        product, item = chance.choice((("bike", "bike-1"), ("power-bank", ""), ("umbrella", "")))
        begin = chance.choice((Start.IMMEDIATE, Start.ON_PICKUP))
        offers = chance.choice(((), (), (Offer.FULL,)))
        asked = authorize(user_id, product, item, start=begin, accept=offers)
        if rail.call(operator, asked):
            it = self._stored(*self._names()[-1])
            paid = it.cash_minor + chance.choice((0, 0, 700))
            if paid and chance.random() < 0.9:
                rail.call(operator, confirm(it, paid, reference=rail.reference()))

    def _operator(self) -> str:
        return self._chance.choice((OPERATOR, OTHER_OPERATOR))

    def _time_passes(self) -> None:
        """Timers are met, and complaints that nobody answered are granted."""
        desk = self._desk
        desk.clock.advance(desk.clock.now_us() + self._chance.choice(JUMPS_US))
        now_us = desk.clock.now_us()
        for name in [row[1:] for row in desk.store.waking(now_us, 100)]:
            desk.apply(desk.work(c.Wake(*name), caller="", request_id=""))
        for case in [row[1:] for row in desk.store.cases_over(now_us, 100)]:
            desk.apply(desk.work(c.DecideCase(*case), caller="", request_id=""))
            self._rail.done["silence"] += 1

    def _of_the_rail(self, it: Authorization) -> None:
        """Money that matches nothing, its matches, and the operators' accounts."""
        rail, chance, operator = self._rail, self._chance, self._operator()
        amount = chance.choice((1, 300, it.due_minor or 50, 1_250))
        match chance.choice(("unmatched", "matched", "matched", "matched", "paid out", "pays")):
            case "unmatched":
                way = chance.choice(list(Direction))
                command = c.RecordUnmatched(way, acts.money(amount), rail.reference())
                rail.call(PLATFORM, command, f"unmatched {way}")
            case "matched":
                self._match()
            case "paid out":
                query = (
                    "SELECT coalesce(sum(amount_minor), 0) FROM operator_payables"
                    f" WHERE operator_id = '{operator}'"
                )
                owed = int(rail.read(query)[0][0])
                part = acts.money(max(1, chance.choice((owed, owed // 2))))
                rail.call(PLATFORM, c.PayOutOperator(operator, part, rail.reference()))
            case _:
                paid = acts.money(amount)
                rail.call(PLATFORM, c.RecordOperatorPayment(operator, paid, rail.reference()))

    def _match(self) -> None:
        rail, chance = self._rail, self._chance
        items = rail.read(
            "SELECT payment_reference, direction, open_minor FROM suspense"
            " WHERE caller = 'platform' AND open_minor > 0"
        )
        if not items:
            return
        reference, way, open_minor = chance.choice(items)
        money = acts.money(chance.choice((open_minor, open_minor, max(1, open_minor // 2))))
        if chance.random() < 0.25:
            rail.call(PLATFORM, c.MatchSuspense(reference, money, "key-1"), f"{way} to the rail")
            return
        it = self._one()
        payment = chance.choice(self._payments(it) or ["none"]) if way == "OUT" else ""
        for by in ("key-1", "key-2"):
            command = c.MatchSuspense(reference, money, by, *acts.name(it), payment)
            if not rail.call(PLATFORM, command, f"{way} matched"):
                return

    def _payments(self, it: Authorization) -> list[str]:
        found = self._rail.read(
            "SELECT payment_reference FROM payments"
            f" WHERE authorization_id = '{it.authorization_id}' AND user_id = '{it.user_id}'"
        )
        return [row[0].removeprefix("transfers/") for row in found]

    def _ids(self, table: str, it: Authorization, condition: str) -> list[str]:
        found = self._rail.read(
            f"SELECT case_id FROM {table} WHERE authorization_id = '{it.authorization_id}'"
            f" AND user_id = '{it.user_id}' AND {condition}"
        )
        return [row[0] for row in found] or ["none"]

    def _about(self, it: Authorization) -> list[tuple[str, str, c.Command]]:
        """The calls that somebody could make about a rental; some are refused."""
        chance, rail, name = self._chance, self._rail, acts.name(it)
        now_us, mine = self._desk.clock.now_us(), it.operator_id
        amount = chance.choice((1, 300, 1_250, it.due_minor, it.refund_payable_minor))
        amount = min(amount or 33, 20_000)
        start_us = it.start_us or it.create_us
        occurred_us = chance.choice((None, start_us, (start_us + now_us) // 2))
        before_us = None if it.close_us is None else it.close_us - 1
        took = chance.choice((amount, it.chargeable_back_minor))
        payment = chance.choice(self._payments(it) or ["none"])
        bank_case = chance.choice(self._ids("charge_backs", it, "amount_minor > 0"))
        complaint = chance.choice(self._ids("cases", it, "state = 'OPEN'"))
        won, goodwill = chance.random() < 0.5, chance.random() < 0.3
        about = chance.choice((CaseKind.WRONG_FEE, CaseKind.DAMAGE_NOT_MINE))
        answerer = chance.choice((mine, PLATFORM))
        granted = chance.choice((Outcome.FOR_USER, Outcome.FOR_OPERATOR))
        damage = c.Authorize(
            it.user_id, (c.Item(it.product_id, ""),), Start.IMMEDIATE, (), parent_id=name[1],
            amount=acts.money(3_000),
        )  # fmt: skip
        debt = c.BookDebt(*name, acts.money(amount), rail.reference(), "photo-1")
        named = c.RecordChargeBack(*name, rail.reference(), acts.money(took), "", payment)
        return [
            (mine, "late pick-up" if it.state == "EXPIRED" else "", acts.picked_up(
                it, before_us, it.asset_id or "u-1")),
            (mine, "", settle(it, min(amount, it.held_minor))),
            (mine, "", acts.settle_usage(it, occurred_us)),
            (mine, "damage", acts.capture(it, 500, Purpose.DAMAGE)),
            (mine, "", damage),
            (mine, "", reverse(it)),
            (mine, "", acts.increment(it, 1_000, 1_000, rail.reference())),
            (mine, "", acts.decrease(it, amount)),
            (mine, "", acts.claim_return(it)),
            (mine, "", acts.contest(it)),
            (mine, "", acts.lost(it)),
            (mine, "", acts.found(it, occurred_us)),
            (mine, "", acts.pause(it, cause=Cause.CABINET_FULL)),
            (mine, "", acts.resume(it)),
            (mine, "", acts.waive(it, chance.choice((None, amount)))),
            (mine, "", debt),
            (mine, "", acts.lower(it, amount)),
            (mine, "", acts.refund(it, chance.choice((amount, it.refundable_minor)))),
            (mine, "", acts.pay_elsewhere(it, amount, rail.reference())),
            (mine, "", c.OpenComplaint(*name, about, chance.choice((None, acts.money(amount))))),
            (answerer, f"{granted} by {'platform' if answerer == PLATFORM else 'operator'}",
             c.ResolveCase(*name, complaint, granted)),
            (PLATFORM, "", pay(it, amount, reference=rail.reference())),
            (PLATFORM, "", pay(it, it.due_minor or 1, reference=rail.reference())),
            (PLATFORM, "", acts.pay_out(it, chance.choice((amount, it.payable_out_minor)))),
            (PLATFORM, "", acts.pay_out(it, it.payable_out_minor)),
            (PLATFORM, "", acts.dispute(it, amount)),
            (PLATFORM, "", acts.decide_dispute(it, user_won=won, goodwill=goodwill)),
            (PLATFORM, "", acts.charge_back(it, took, rail.reference())),
            (PLATFORM, "", named),
            (PLATFORM, "", acts.decide_charge_back(it, user_won=won, goodwill=goodwill)),
            (PLATFORM, "", c.ResolveChargeBack(*name, won, goodwill, "", bank_case)),
            (PLATFORM, "", c.ResolveChargeBack(*name, won, goodwill, "", bank_case)),
            (PLATFORM, "", c.ForgiveCharge(*name)),
            (PLATFORM, "", acts.propose(it)),
            (PLATFORM, "", acts.approve(it)),
        ]  # fmt: skip


def _compare(rail: Rail) -> None:
    """The books have the money of the statement, and the transfers that really moved."""
    expected = rail.statement.expected(rail.read)
    assert rail.statement.found(rail.read) == expected
    people = Counter(rail.statement.people)
    people.update(rail.transferred)
    assert {f"person {name}": minor for name, minor in people.items() if minor} == {
        name: minor for name, minor in expected.items() if name.startswith("person ")
    }


@pytest.mark.parametrize("seed", range(6))
def test_the_rails_statement_agrees_with_the_books(desk: Desk, seed: int) -> None:
    """Once the rail has corrected its reports, its statement and the books' cash are equal: in all,
    in suspense, for each person (paid less owed back less overpaid) and for each operator."""
    rail = Rail(desk, Random(seed))
    lives = Lives(desk, rail, Random(seed))
    lives.go_on()
    states = {each.state for it in lives.rentals() for each in acts.transfers(desk, it)}
    assert not states & {REQUESTED, SENT}
    _compare(rail)


# What the rail does is the same on every database.
@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_the_rail_behaves_as_real_rails_do(desk: Desk) -> None:
    """In these lives, debits and payouts succeed late, payouts return, money goes out twice, and
    every kind of money event happens."""
    chance = Random(6)
    rail = Rail(desk, chance)
    lives, missing = Lives(desk, rail, chance), set(EVENTS)
    for _ in range(60):
        lives.go_on()
        missing -= _found(rail)
        if not missing:
            break
    assert not missing
    _compare(rail)


def _found(rail: Rail) -> set[str]:
    """The events so far."""
    found = {*rail.done, *rail.statement.kinds}
    queries = {
        "twice": "overpaid_minor > 0 OR overpaid_written_off_minor > 0",
        "debt paid": "unheld_minor > 0 AND paid_minor > 0",
    }
    for event, condition in queries.items():
        if rail.read(f"SELECT 1 FROM authorizations WHERE {condition} LIMIT 1"):
            found.add(event)
    for kind, state, earlier in rail.read(
        "SELECT DISTINCT kind, state, earlier_state FROM transfers"
    ):
        found |= {f"{kind} {state}", f"{kind} late" if earlier else ""}
    for (transition,) in rail.read("SELECT DISTINCT transition FROM outbox"):
        found.add(transition)
    carried = rail.read("SELECT count(*) FROM late_pickups WHERE deposit_minor > 0")[0][0]
    return found | ({"deposit carried over"} if carried else set())


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
