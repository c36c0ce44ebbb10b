"""Any commands in any order, with retries, clock jumps and lost answers, against plain rules."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, select

from service.domain.authorization import Authorization, Start
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.assess import pack
from service.engine.commands import (
    Answer,
    Authorize,
    Command,
    Confirm,
    Expire,
    Profile,
    PutUser,
    RecordPayment,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
    Tombstone,
)
from service.engine.engine import Result
from service.engine.records import PLATFORM
from service.storage import rows
from service.storage import tables as t
from service.storage.database import open_database
from service.storage.verify import verify_books
from tests.conftest import NewFile
from tests.engine.calls import reason
from tests.engine.faults import Fault, FaultyStore
from tests.engine.reference import MINUTE_US, TOMBSTONE, Key, Reference, Refused, Row
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk, encode

USERS = ("ann", "ben", "cem")
OPERATORS = (OPERATOR, OTHER_OPERATOR)
ASSETS = ("", "", "x-1", "x-2")
SCORES = (None, 499, 500, 550, 600, 650, 800)
ACCEPT = [(), (), (), (Offer.ZERO,), (Offer.FULL, Offer.ZERO), (Offer.REDUCED, Offer.FULL)]
KINDS = (
    ["authorize"] * 5 + ["settle"] * 4 + ["confirm"] * 3 + ["start", "reverse", "pay"] * 2
    + ["origin", "origin unseen", "retry", "retry", "reuse", "ghost"]
)  # fmt: skip
FITS: dict[str, Callable[[Row], bool]] = {
    "confirm": lambda it: it["state"] == "OFFERED",
    "start": lambda it: it["state"] == "AUTHORIZED",
    "settle": lambda it: it["state"] == "ACTIVE",
    "reverse": lambda it: it["state"] in ("OFFERED", "AUTHORIZED", "ACTIVE"),
    "pay": lambda it: it["drawn"] > it["paid"],
    "ghost": lambda it: True,
}
JUMPS_US = [
    1,
    MINUTE_US,
    15 * MINUTE_US,
    30 * MINUTE_US - 1,
    30 * MINUTE_US,
    201 * 1_440 * MINUTE_US,
]


class Call(NamedTuple):
    """One call as a client sends it."""

    caller: str
    request_id: str
    command: Command


class Rentals(RuleBasedStateMachine):
    """Two operators, three people, one engine on a database that sometimes fails."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        engine = open_database(f"sqlite:///{file}")
        # No power is cut here, so nothing needs to reach the disk.
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF"))
        self.store = FaultyStore(engine)
        self.desk = Desk(self.store)
        self.reference = Reference()
        self.calls: list[Call] = []
        self.answers: dict[Key, bytes] = {}
        self.numbers = 0

    # -- what may happen ---------------------------------------------------------------------

    @rule(data=st.data(), size=st.sampled_from([1, 1, 1, 2, 3, 6]))
    def calls_arrive(self, data: st.DataObject, size: int) -> None:
        """A batch of calls, new ones and retries."""
        self.apply([self.draw_call(data) for _ in range(size)], Fault.NONE)

    @rule(data=st.data(), size=st.sampled_from([1, 4, 8]))
    def many_calls_arrive(self, data: st.DataObject, size: int) -> None:
        """A busy moment."""
        self.apply([self.draw_call(data) for _ in range(size)], Fault.NONE)

    @rule(
        data=st.data(),
        size=st.sampled_from([1, 1, 2, 3]),
        fault=st.sampled_from([fault for fault in Fault if fault is not Fault.NONE]),
    )
    def calls_arrive_at_a_bad_time(self, data: st.DataObject, size: int, fault: Fault) -> None:
        """A batch whose transaction goes wrong."""
        self.apply([self.draw_call(data) for _ in range(size)], fault)

    @initialize()
    def two_are_known(self) -> None:
        """Ann and Ben are registered, Cem comes unknown."""
        self.person_is_put("ann", 800, True)
        self.person_is_put("ben", 550, True)

    @rule(user_id=st.sampled_from(USERS), score=st.sampled_from(SCORES), consent=st.booleans())
    def person_is_put(self, user_id: str, score: int | None, consent: bool) -> None:
        """A person is registered, or gets newer features."""
        now_us = self.desk.clock.now_us()
        raw = pack([math.nan if score is None else score, 0.0])
        call = Call(PLATFORM, self.fresh("put"), PutUser(user_id, raw, now_us, consent))
        expected = self.reference.put_user(user_id, score, consent, now_us)
        (result,) = self.send([call])
        self.reference.requests[PLATFORM, call.request_id] = call.command
        self.keep(call, result, expected)

    @precondition(lambda self: any(c.caller == PLATFORM for c in self.calls))
    @rule(data=st.data())
    def a_registration_is_retried(self, data: st.DataObject) -> None:
        """A registration is sent again and changes nothing."""
        put = [call for call in self.calls if isinstance(call.command, PutUser)]
        if put:
            self.apply([data.draw(st.sampled_from(put))], Fault.NONE)

    @rule(jump_us=st.sampled_from(JUMPS_US))
    def time_passes(self, jump_us: int) -> None:
        """The clock goes on."""
        self.desk.clock.advance(self.desk.clock.now_us() + jump_us)

    @rule()
    def the_sweeper_comes(self) -> None:
        """What has lapsed expires."""
        now_us = self.desk.clock.now_us()
        expected = self.reference.lapsed(now_us)
        lapsed = self.store.lapsed(now_us, 1_000)
        assert {self.reference.origin[name] for name in lapsed} == set(expected)
        works = [self.desk.work(Expire(*name), request_id="", caller="") for name in lapsed]
        assert all(isinstance(result, bytes) for result in self.desk.apply(*works))
        for key in expected:
            self.reference.expire(key, now_us)

    # -- what must hold ----------------------------------------------------------------------

    @invariant()
    def the_stored_rows_equal_the_reference(self) -> None:
        """Lines, authorizations and items are as the plain rules say; limits are the sums."""
        with self.store.engine.connect() as connection:
            lines = connection.execute(select(t.lines)).mappings().all()
            rentals = [
                rows.authorization_of(r) for r in connection.execute(select(t.authorizations))
            ]
            items = {(r[0], r[1]): r[3] for r in connection.execute(select(t.open_items))}
        for row in lines:
            assert row["limit_minor"] == (
                row["available_minor"] + row["held_minor"] + row["drawn_minor"]
            )
            assert min(value for name, value in row.items() if name.endswith("_minor")) >= 0
            assert row["receivable_minor"] == row["drawn_minor"]
        assert {row["user_id"]: as_line(row) for row in lines} == self.reference.lines
        assert {
            (it.operator_id, it.request_id): as_row(it) for it in rentals
        } == self.reference.rentals
        names = {key: name[1] for name, key in self.reference.origin.items()}
        assert items == {item: names[key] for item, key in self.reference.items.items()}

    def teardown(self) -> None:
        """At the end the books verify and every answer is still the same."""
        for call in list(self.calls):
            first = self.answers.get((call.caller, call.request_id))
            if first is not None and call.command == self.reference.requests[call[:2]]:
                assert self.send([call]) == [first]
        found = verify_books(self.store.engine)
        assert found.fault is None
        assert found.authorizations == len(self.reference.rentals)
        assert [error for error in self.desk.faults if isinstance(error, KeyError)] == []
        self.store.close()
        shutil.rmtree(self.file.parent)

    # -- how ---------------------------------------------------------------------------------

    def fresh(self, prefix: str) -> str:
        """A request id never used before."""
        self.numbers += 1
        return f"{prefix}-{self.numbers}"

    def first(self, call: Call) -> Any:
        """What the call's request id was first carried out for; not yet: the Authorize itself."""
        carried_out = self.reference.requests.get(call[:2])
        asked = call.command if isinstance(call.command, Authorize) else None
        return asked if carried_out in (None, TOMBSTONE) else carried_out

    def draw_call(self, data: st.DataObject) -> Call:
        """Any call: sensible ones mostly, and every kind of nonsense."""
        kind = data.draw(st.sampled_from(KINDS), label="kind")
        caller = data.draw(st.sampled_from(OPERATORS), label="caller")
        sent = [call for call in self.calls if not isinstance(call.command, PutUser)]
        if kind in ("retry", "reuse") and sent:
            old = data.draw(st.sampled_from(sent), label="old")
            # An id is reused where its first use was carried out, or was an Authorize as well.
            if kind == "retry" or not isinstance(self.first(old), Authorize | Settle | Confirm):
                return old
            return Call(old.caller, old.request_id, self.draw_authorize(data))
        origins = [call for call in sent if isinstance(self.first(call), Authorize)]
        if kind == "origin" and origins:
            old = data.draw(st.sampled_from(origins), label="old")
            user_id = data.draw(st.sampled_from([self.first(old).user_id] * 3 + [*USERS]))
            undo = ReverseByOrigin(user_id, old.request_id, None)
            return Call(old.caller, self.fresh(old.caller), undo)
        if kind == "origin unseen":
            user_id = data.draw(st.sampled_from(USERS))
            # The very next Authorize with this id will meet the tombstone.
            unseen = self.fresh(caller)
            self.calls.append(Call(caller, unseen, self.draw_authorize(data)))
            return Call(caller, self.fresh(caller), ReverseByOrigin(user_id, unseen, None))
        names = list(self.reference.origin)
        if kind in ("settle", "confirm", "start", "reverse", "pay", "ghost") and names:
            fitting = [name for name in names if FITS[kind](self.rental_of(name))]
            if data.draw(st.sampled_from([True] * 5 + [False]), label="fitting") and fitting:
                names = fitting
            name = data.draw(st.sampled_from(names), label="name")
            it = self.rental_of(name)
            if kind == "ghost":
                kind, name = "settle", (name[0], "0" * 20)
            caller = data.draw(st.sampled_from([it["operator"]] * 8 + [*OPERATORS]), label="caller")
            if kind == "pay":
                caller = PLATFORM
            command = self.draw_step(data, kind, name, it)
            return Call(caller, self.fresh(caller), command)
        return Call(caller, self.fresh(caller), self.draw_authorize(data))

    def rental_of(self, name: Key) -> Row:
        """The rental of a user and authorization id."""
        return self.reference.rentals[self.reference.origin[name]]

    def draw_authorize(self, data: st.DataObject) -> Authorize:
        """Somebody wants something."""
        return Authorize(
            data.draw(st.sampled_from(USERS)),
            data.draw(st.sampled_from(["bike", "umbrella", "power-bank"] * 3 + ["tank"])),
            data.draw(st.sampled_from(ASSETS)),
            data.draw(st.sampled_from([Start.IMMEDIATE, Start.IMMEDIATE, Start.ON_PICKUP])),
            data.draw(st.sampled_from(ACCEPT)),
            None,
        )

    def draw_step(self, data: st.DataObject, kind: str, name: Key, it: Row) -> Command:
        """Something that follows on an authorization."""
        version = data.draw(st.sampled_from([None] * 6 + [it["version"]] * 2 + [it["version"] + 1]))
        reference = data.draw(st.sampled_from([self.fresh("p")] * 4 + ["p-1"]))
        held, due = it["held_credit"] + it["held_cash"], it["drawn"] - it["paid"]
        if kind == "confirm":
            paid = data.draw(st.sampled_from([it["cash"] or 1] * 3 + [it["cash"] + 50, 1]))
            return Confirm(*name, reference, Money("CNY", paid), version)
        if kind == "pay":
            paid = data.draw(st.sampled_from([due or 1, due + 10, 1]))
            return RecordPayment(*name, reference, Money("CNY", paid))
        if kind == "start":
            return StartRental(*name, data.draw(st.sampled_from(ASSETS)), version)
        if kind == "reverse":
            return Reverse(*name, version)
        amount = data.draw(st.sampled_from([0, 1, 33, 1_000, held // 2, held, held + 1]))
        return Settle(*name, Money("CNY", amount), data.draw(st.booleans()), version)

    def send(self, calls: list[Call]) -> list[Result]:
        """The engine's results."""
        self.calls += calls
        return self.desk.apply(
            *(self.desk.work(c.command, request_id=c.request_id, caller=c.caller) for c in calls)
        )

    def apply(self, calls: list[Call], fault: Fault) -> None:
        """Lets the engine and the reference do the same, and compares what they say."""
        now_us = self.desk.clock.now_us()
        self.store.plan = [fault]
        results = self.send(calls)
        if fault in (Fault.UNKNOWN, Fault.AWAY, Fault.FAILED):
            expected = "OUTCOME_UNKNOWN" if fault is Fault.UNKNOWN else "STORAGE_UNAVAILABLE"
            assert [reason(result) for result in results] == [expected] * len(calls)
            return
        for call, result in zip(calls, results, strict=True):
            if fault is Fault.LOST:
                assert reason(result) == "OUTCOME_UNKNOWN"
            answer: Any = None
            why = ""
            try:
                answer = self.reference.run(*call, now_us)
            except Refused as refusal:
                why = str(refusal)
            if why:
                assert fault is Fault.LOST or reason(result) == why, (call, result)
            elif answer is not None:
                self.keep(call, None if fault is Fault.LOST else result, answer)
            elif fault is not Fault.LOST:
                assert result == self.answers[call[:2]]

    def keep(self, call: Call, result: Result | None, expected: Any) -> None:
        """Compares an answer that was made now, and keeps its bytes for retries."""
        answer = self.desk.answers[call.request_id]
        assert result is None or result == encode(answer)
        self.answers[call[:2]] = encode(answer)
        assert as_expected(answer) == expected
        if isinstance(call.command, Authorize) and isinstance(answer, Authorization):
            self.reference.origin[answer.user_id, answer.authorization_id] = call[:2]


def as_line(row: Any) -> Row:
    """A stored line in the reference's form."""
    return {
        "limit": row["limit_minor"], "available": row["available_minor"],
        "held": row["held_minor"], "drawn": row["drawn_minor"],
        "pending": row["cut_pending_minor"], "deposit": row["deposit_minor"],
        "refund": row["refund_payable_minor"],
    }  # fmt: skip


def as_row(it: Authorization) -> Row:
    """An authorization in the reference's form."""
    return {
        "user": it.user_id, "operator": it.operator_id, "asset": it.asset_id,
        "waits": it.start is Start.ON_PICKUP, "offer": it.offer, "reasons": it.reasons,
        "credit": it.credit_minor, "cash": it.cash_minor, "state": it.state,
        "held_credit": it.held_credit_minor, "held_cash": it.held_cash_minor,
        "captured": it.captured_minor, "drawn": it.captured_credit_minor, "fee": it.fee_minor,
        "paid": it.paid_minor, "refund": it.refund_payable_minor, "version": it.version,
        "start_us": it.start_us, "expire_us": it.expire_us, "close_us": it.close_us,
    }  # fmt: skip


def as_expected(answer: Answer) -> Any:
    """An answer in the reference's form."""
    if isinstance(answer, Tombstone):
        return TOMBSTONE
    if isinstance(answer, Profile):
        line = as_line(dataclasses.asdict(answer.line))
        return {"score": answer.score, "features": answer.feature_version, **line}
    assert isinstance(answer, Authorization)
    return as_row(answer)


def test_the_engine_agrees_with_the_plain_rules(new_file: NewFile) -> None:
    """Whatever two operators and three people do in whatever order, with retries, batches, clock
    jumps, conflicts and lost answers: every answer and every balance is what the plain rules
    say, a retry gives the first answer, and at the end the books verify."""
    default = settings.default
    assert default is not None
    machine: Any = lambda: Rentals(new_file())  # noqa: E731
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, default.max_examples // 3),
            stateful_step_count=default.stateful_step_count,
        ),
    )
