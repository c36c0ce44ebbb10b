"""D1: a batch starts again at most once, however many lapsed holds block its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any, NoReturn

import pytest

from service.books.verify import verify_books
from service.clock import SandboxClock
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.policy import Offer
from service.engine.calls import Group, Work, own_work
from service.engine.engine import Engine
from service.engine.feature_values import pack
from service.engine.operation import Operation
from service.engine.operations import (
    BY_COMMAND,
    Command,
    FoldPayable,
    PayOutOperator,
    PutUser,
    Wake,
)
from service.engine.operations.wake import WAKE
from service.engine.ports import ReadAgain
from service.engine.rows import Rows, Wish
from service.engine.scoring import Assessor
from service.engine.tables import LINES
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from service.storage.payables import payables_of
from service.storage.transaction import SqlTransaction
from tests.engine.acts import Books, charged, group, increment, money, revise
from tests.engine.calls import authorize, balances, counts, pick_up, reason, rental, stored
from tests.fakes import MINUTE_US, OPERATOR, START_US, Desk, FakeScorer

ON_BOTH = "the calls of a batch share a transaction"

ITEM = "bike-7"
LAPSE_US = START_US + 30 * MINUTE_US
ZERO = (Offer.ZERO,)
MANY = 64


class Effort:
    """Counts the transactions, the lines they locked, and the decisions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.locked: list[set[str]] = []
        self.decisions = self.wakes = 0
        read = SqlTransaction.read

        def counted_read(transaction: SqlTransaction, rows: Rows, wishes: Iterable[Wish]) -> None:
            wishes = list(wishes)
            self.locked += [set(wish.keys) for wish in wishes if wish.table is LINES]
            read(transaction, rows, wishes)

        def counted(operation: Operation[Any]) -> Operation[Any]:
            def decide(work: Work, *rest: Any) -> Any:
                self.decisions += 1
                self.wakes += isinstance(work.command, Wake)
                return operation.decide(work, *rest)

            return replace(operation, decide=decide)

        monkeypatch.setattr(SqlTransaction, "read", counted_read)
        for kind, operation in list(BY_COMMAND.items()):
            monkeypatch.setitem(BY_COMMAND, kind, counted(operation))


@pytest.fixture
def effort(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Effort]:
    """Counts from its call on."""
    return lambda: Effort(monkeypatch)


def people(desk: Desk, number: int) -> list[str]:
    """This many people, with lines of 50,000 each."""
    names = [f"user-{n:03}" for n in range(number)]
    done(desk, *(PutUser(it, pack([700.0, 0.0]), START_US, True) for it in names), caller=PLATFORM)
    return names


def done(desk: Desk, *commands: Command, **given: str) -> list[Authorization]:
    """The authorizations that one batch of commands returns."""
    works = [desk.work(it, **given) for it in commands]  # type: ignore[arg-type]
    assert [reason(it) for it in desk.apply(*works)] == [""] * len(works)
    found: list[Authorization] = []
    for work in works:
        answer = desk.answers[work.request_id]
        if isinstance(answer, Group):
            found += answer.authorizations
        elif isinstance(answer, Authorization):
            found.append(answer)
    return found


def states(desk: Desk, holds: Iterable[Authorization]) -> set[State]:
    """The stored states of authorizations."""
    return {stored(desk, it).state for it in holds}


def test_d1_64_people_with_lapsed_holds_of_their_own(
    desk: Desk, effort: Callable[[], Effort]
) -> None:
    """D1: the lines of 64 callers are taken by their own lapsed holds. All calls are decided in one
    transaction, each of them twice."""
    names = people(desk, MANY)
    waiting = [it for _ in range(2) for it in done(desk, *map(pick_up, names))]
    desk.clock.advance(LAPSE_US)
    spent = effort()
    answers = done(desk, *(authorize(name, accept=ZERO) for name in names))
    assert {it.state for it in answers} == {State.ACTIVE}
    assert states(desk, waiting) == {State.EXPIRED}
    assert len(spent.locked) == 1
    assert (spent.decisions, spent.wakes) == (2 * MANY + 2 * MANY, 2 * MANY)


def test_d1_64_items_in_lapsed_holds_of_others(desk: Desk, effort: Callable[[], Effort]) -> None:
    """D1: 64 callers ask for items in the lapsed holds of 64 other people. The batch starts again
    once, with the lines of all the other people locked."""
    names = people(desk, 2 * MANY)
    holders, callers = names[:MANY], names[MANY:]
    waiting = done(desk, *(pick_up(it, "umbrella", f"of-{it}") for it in holders))
    desk.clock.advance(LAPSE_US)
    spent = effort()
    pairs = zip(callers, holders, strict=True)
    answers = done(desk, *(authorize(it, "umbrella", f"of-{other}") for it, other in pairs))
    assert {it.state for it in answers} == {State.ACTIVE}
    assert states(desk, waiting) == {State.EXPIRED}
    assert spent.locked == [set(callers), set(names)]
    assert spent.wakes == MANY
    assert spent.decisions <= 2 * MANY + spent.wakes + 1


@pytest.mark.parametrize("number", [4, 32])
def test_d1_lapsed_holds_behind_lapsed_holds(
    desk: Desk, effort: Callable[[], Effort], number: int
) -> None:
    """D1: if a lapsed hold is found only after another one ended, the batch does not start again
    more often, for any number of callers. Here each caller waits for an item in the next person's
    lapsed hold, and then for the line."""
    names = people(desk, number + 1)
    waiting = done(desk, *(pick_up(it, "bike", f"of-{it}") for it in names))
    waiting += done(desk, *map(pick_up, names))
    desk.clock.advance(LAPSE_US)
    spent = effort()
    pairs = pairwise(names)
    answers = done(desk, *(authorize(it, "bike", f"of-{n}", accept=ZERO) for it, n in pairs))
    assert {it.state for it in answers} == {State.ACTIVE}
    assert states(desk, waiting) == {State.EXPIRED}
    assert spent.locked == [set(names[:-1]), set(names)]
    assert spent.decisions <= 6 * number + spent.wakes


def test_d1_the_same_person_twice(desk: Desk, effort: Callable[[], Effort]) -> None:
    """D1: a person who asks three times in a batch gets exactly the amount of the lapsed holds; the
    holds end once."""
    done(desk, pick_up(), pick_up())
    desk.clock.advance(LAPSE_US)
    books, spent = Books(desk), effort()
    answers = done(desk, *[authorize(accept=ZERO)] * 3)
    assert [it.state for it in answers] == [State.ACTIVE, State.ACTIVE, State.DECLINED]
    released, held = ("line", "available / held", 19_900), ("line", "held / available", 19_900)
    books.expect(
        [released, released, held, held],
        "authorization.expired", "authorization.expired",
        "authorization.active", "authorization.active", "authorization.declined",
    )  # fmt: skip
    assert (len(spent.locked), spent.wakes) == (1, 2)
    assert balances(desk) == (50_000, 10_200, 39_800, 0)


def test_d1_groups_of_items_in_lapsed_holds(desk: Desk, effort: Callable[[], Effort]) -> None:
    """D1: if the line and the items of groups are taken by the lapsed holds of several people, the
    batch starts again once."""
    names = people(desk, 6)
    waiting = done(desk, *(pick_up(it, "umbrella", f"of-{it}") for it in names[2:]))
    waiting += done(desk, *[pick_up(it) for it in names[:2]] * 2)
    desk.clock.advance(LAPSE_US)
    spent = effort()
    wanted: list[Command] = [
        group(it, ("umbrella", f"of-{a}"), ("umbrella", f"of-{b}"), ("bike", ""), accept=ZERO)
        for it, a, b in zip(names[:2], names[2:4], names[4:], strict=True)
    ]
    answers = done(desk, *wanted)
    assert [it.state for it in answers] == [State.ACTIVE] * 6
    assert states(desk, waiting) == {State.EXPIRED}
    assert spent.locked == [set(names[:2]), set(names)]


def test_d1_only_blocking_holds_end(desk: Desk, effort: Callable[[], Effort]) -> None:
    """D1: lapsed holds that block no call are left to the sweeper, even those of the batch's
    people."""
    one, other, third = people(desk, 3)
    blocking = done(desk, pick_up(one), pick_up(one))
    harmless = done(desk, pick_up(other), pick_up(third, "umbrella", ITEM))
    desk.clock.advance(LAPSE_US)
    spent = effort()
    works = [authorize(one, accept=ZERO), authorize(other), authorize(other, "umbrella", "bike-8")]
    assert {it.state for it in done(desk, *works)} == {State.ACTIVE}
    assert states(desk, blocking) == {State.EXPIRED}
    assert [stored(desk, it) for it in harmless] == harmless
    assert len(spent.locked) == 1


def test_d1_increments_and_a_named_lapsed_hold(desk: Desk, effort: Callable[[], Effort]) -> None:
    """D1: in a batch, lapsed holds block no increment. An increment of a lapsed hold is refused
    because of the hold's state, and the other calls continue."""
    one, other = people(desk, 2)
    held = done(desk, authorize(one), authorize(other))
    waiting = done(desk, pick_up(one), pick_up(other))
    desk.clock.advance(LAPSE_US)
    spent = effort()
    works = [desk.work(increment(it, 20_000)) for it in (*held, waiting[0])]
    results = desk.apply(*works)
    assert [reason(it) for it in results] == ["", "", "ILLEGAL_TRANSITION"]
    assert states(desk, waiting) == {State.EXPIRED}
    assert len(spent.locked) == 1


def test_d1_a_lapsed_hold_under_terms_that_are_new(
    desk: Desk, effort: Callable[[], Effort]
) -> None:
    """D1: a lapsed hold may be under terms that another process has added since; they are read
    before it ends."""
    rival = Engine(
        desk.store, Assessor(desk.store, FakeScorer()), SandboxClock(LAPSE_US),
        desk.engine._ids, currency="CNY", build="test", max_attempts=3,
        log_fault=lambda _id, error, _about=None: desk.faults.append(error),
        log_terms=lambda fault, mended: desk.terms.append((fault, mended)),
        notice_gap=desk.clock_gaps.append, encode=encode_authorization,
        encode_beside=encode_beside,
    )  # fmt: skip
    revise(desk.store.engine, "bike", deposit_minor=20_000)
    desk.engine.terms.follow()
    waiting = done(desk, pick_up(), pick_up())
    assert {it.held_minor for it in waiting} == {20_000}
    spent = effort()
    work = desk.work(authorize("ann", "umbrella", accept=ZERO), request_id="late")
    works = [desk.work(authorize(accept=ZERO)), work]
    assert [reason(it) for it in rival.apply(works)] == ["", ""]
    assert states(desk, waiting) == {State.EXPIRED}
    assert len(spent.locked) == 2
    assert desk.faults == []


def test_d1_a_database_that_goes_away_while_lapsed_holds_are_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1: if the database becomes unavailable while a batch looks for lapsed holds, nothing is
    written, and all its calls get UNAVAILABLE instead of an internal error."""
    done(desk, pick_up(), pick_up())
    desk.clock.advance(LAPSE_US)
    before = counts(desk)

    def gone(*_: object) -> NoReturn:
        raise desk.store._driver.OperationalError("gone")

    works = [desk.work(authorize("ben", "umbrella")), desk.work(authorize(accept=ZERO))]
    with monkeypatch.context() as patched:
        patched.setattr(SqlTransaction, "lapsed", gone)
        results = desk.apply(*works)
    assert [reason(it) for it in results] == ["STORAGE_UNAVAILABLE"] * 2
    assert counts(desk) == before
    assert [reason(it) for it in desk.apply(*works)] == ["", ""]


def test_d1_a_lapsed_hold_that_cannot_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, effort: Callable[[], Effort]
) -> None:
    """D1: a lapsed hold that cannot end because of a defect stays, is tried once, and is logged;
    the call is answered."""
    (waiting,) = done(desk, pick_up(asset_id=ITEM))
    desk.clock.advance(LAPSE_US)

    def broken(*_: object) -> NoReturn:
        raise KeyError("a defect")

    monkeypatch.setitem(BY_COMMAND, Wake, replace(WAKE, decide=broken))
    spent = effort()
    (result,) = desk.apply(desk.work(authorize("ben", "umbrella", ITEM)))
    assert reason(result) == "ASSET_IN_USE"
    assert (spent.wakes, [type(it) for it in desk.faults]) == (1, [KeyError])
    monkeypatch.undo()
    assert rental(desk, authorize("ben", "umbrella", ITEM)).state is State.ACTIVE
    assert stored(desk, waiting).state is State.EXPIRED


@pytest.mark.parametrize("paid_minor", [0, 100])
def test_d1_payables_outlive_a_second_start(
    desk: Desk, effort: Callable[[], Effort], paid_minor: int
) -> None:
    """D1: a batch merges or pays out an operator's payable, and then must lock the line of a lapsed
    hold. No part of the payable is lost."""
    charged(desk)
    charged(desk)
    owed_minor = payables_of(desk.store.engine, OPERATOR)["CNY"]
    assert owed_minor > paid_minor
    (waiting,) = done(desk, pick_up("ben", "umbrella", ITEM))
    desk.clock.advance(LAPSE_US)
    taking = own_work(FoldPayable(OPERATOR, "CNY"))
    if paid_minor:
        paid = PayOutOperator(OPERATOR, money(paid_minor), "paid-1")
        taking = desk.work(paid, caller=PLATFORM)
    spent = effort()
    results = desk.apply(taking, desk.work(authorize("cem", "umbrella", ITEM)))
    assert [reason(it) for it in results] == ["", ""]
    assert len(spent.locked) == 2
    assert states(desk, [waiting]) == {State.EXPIRED}
    assert payables_of(desk.store.engine, OPERATOR) == {"CNY": owed_minor - paid_minor}
    assert verify_books(desk.store.engine).fault is None
    assert desk.faults == []


def test_d1_a_batch_does_not_start_again_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1: a call that needs more rows in every transaction is refused in the end and writes
    nothing."""
    before = counts(desk)

    def more(*_: object) -> NoReturn:
        raise ReadAgain(frozenset())

    with monkeypatch.context() as patched:
        patched.setattr("service.engine.lapsed_holds.LapsedHolds.in_the_way", more)
        (refusal,) = desk.apply(desk.work(authorize("nobody")))
    assert reason(refusal) == "CONTENTION"
    assert desk.engine.statistics.read_again == 3
    assert counts(desk) == before
