"""A batch: commands in order, each applied completely or not at all."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.errors import DeadlineTooNear, InternalFault, Unavailable
from service.domain.policy import Offer
from service.engine.calls import Answer, Payloads
from service.engine.engine import FEW, BatchSplit, EngineStatistics, Result
from service.engine.feature_values import pack, unpack
from service.engine.operations import OpenBulk, PutUser, Wake
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    pay,
    pick_up,
    profile,
    reason,
    rental,
    reverse,
    settle,
    stored,
)
from tests.fakes import (
    MINUTE_US,
    START_US,
    CountingIds,
    Desk,
    FakeScored,
    FakeScorer,
    FakeUnscorable,
)

ON_BOTH = "the calls of a batch share a transaction"


def test_later_commands_see_earlier_ones(desk: Desk) -> None:
    """A command sees the effects of the commands before it in the batch."""
    zero = (Offer.ZERO,)
    works = [desk.work(authorize(accept=zero), request_id=f"r-{n}") for n in range(3)]
    desk.apply(*works)
    states = [desk.answers[f"r-{n}"].state for n in range(3)]  # type: ignore[union-attr]
    assert states == [State.ACTIVE, State.ACTIVE, State.DECLINED]
    assert balances(desk) == (50_000, 10_200, 39_800, 0)


def test_a_whole_life_in_one_batch(desk: Desk) -> None:
    """Confirming, capturing, settling and paying may all stand in one batch."""
    it = rental(desk, authorize("ben"))
    results = desk.apply(
        desk.work(confirm(it)),
        desk.work(settle(it, 10_000, final=False)),
        desk.work(settle(it, 100)),
        desk.work(pay(it, 150, reference="p"), request_id="last"),
    )
    assert all(isinstance(result, bytes) for result in results)
    last = desk.answers["last"]
    assert isinstance(last, Authorization)
    assert (last.state, last.captured_minor, last.due_minor, last.version) == (
        State.SETTLED, 10_100, 0, 5,
    )  # fmt: skip
    assert stored(desk, it) == last
    assert balances(desk, "ben") == (20_000, 20_000, 0, 0)


def test_answers_come_in_the_order_of_the_batch(desk: Desk) -> None:
    """Every command gets its own answer or refusal, in order."""
    it = rental(desk, authorize())
    results = desk.apply(
        desk.work(authorize(product_id="tank")),
        desk.work(settle(it, 10), request_id="s"),
        desk.work(reverse(it)),
        desk.work(authorize("ben", "umbrella"), request_id="a"),
    )
    assert [reason(result) for result in results] == [
        "PRODUCT_NOT_FOUND", "", "ILLEGAL_TRANSITION", "",
    ]  # fmt: skip


def test_a_refused_command_writes_nothing(desk: Desk) -> None:
    """A refused command writes nothing and does not affect the others of its batch."""
    it = rental(desk, authorize())
    before = counts(desk)
    refusal, _ = desk.apply(desk.work(settle(it, 99_999)), desk.work(settle(it, 5)))
    assert reason(refusal) == "INVALID_INPUT"
    after = counts(desk)
    assert after["requests"] == before["requests"] + 1
    assert after["outbox"] == before["outbox"] + 1


def broken(_answer: Answer, _payloads: Payloads) -> bytes:
    """An encoder that fails."""
    raise KeyError("the caller must not see this")


@pytest.mark.parametrize("alone", [True, False])
def test_an_answer_that_cannot_be_encoded_writes_nothing(desk: Desk, alone: bool) -> None:
    """A defect while encoding an answer is an internal error with only an id. Nothing of its
    command is written, but the rest of the batch is written."""
    before = counts(desk)
    work = desk.work(authorize(asset_id="bike-7"), request_id="r")
    work.encode = broken
    others = [] if alone else [desk.work(authorize("ben", "umbrella"), request_id="s")]
    fault, *rest = desk.apply(work, *others)
    assert isinstance(fault, InternalFault)
    assert "caller" not in str(fault)
    assert fault.metadata["fault_id"] in str(fault)
    assert [type(error) for error in desk.faults] == [KeyError]
    assert all(isinstance(result, bytes) for result in rest)
    assert counts(desk)["authorizations"] == before["authorizations"] + len(rest)
    assert balances(desk) == (50_000, 50_000, 0, 0)
    assert rental(desk, authorize(asset_id="bike-7"), request_id="r").state is State.ACTIVE


def test_one_bad_command_does_not_fail_the_others(desk: Desk) -> None:
    """A command that the database rejects is refused alone; the others of its batch are answered
    and written once."""
    poison = desk.work(authorize("zoe", asset_id="\ud800"), request_id="poison")
    results = desk.apply(
        desk.work(authorize(), request_id="a"), poison, desk.work(authorize("ben"), request_id="b")
    )
    assert [type(result) for result in results] == [bytes, InternalFault, bytes]
    assert counts(desk)["authorizations"] == 2
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_a_large_batch_is_split_into_parts(desk: Desk) -> None:
    """If a large batch fails as a whole, its commands are applied a few at a time, and one by one
    only in the part that fails too."""
    poison = desk.work(authorize("zoe", asset_id="\ud800"), request_id="poison")
    works = [
        desk.work(authorize(product_id="umbrella"), request_id=f"r{n}") for n in range(2 * FEW)
    ]
    results = desk.apply(*works[:3], poison, *works[3:])
    assert [type(it) for it in results] == [bytes] * 3 + [InternalFault] + [bytes] * (2 * FEW - 3)
    assert [str(it).partition(":")[0] for it in desk.faults if isinstance(it, BatchSplit)] == [
        f"{2 * FEW + 1} calls go {FEW} at a time",
        f"{FEW} calls go one by one",
    ]


def test_a_split_batch_is_logged_with_its_reason(desk: Desk) -> None:
    """If the commands of a batch are applied one by one, a log line is written before their
    results. It has the number of commands and the reason, and no person's name. The commands are
    counted."""
    poison = desk.work(authorize("zoe", asset_id="secret-\ud800"), request_id="poison")
    desk.apply(desk.work(authorize()), poison, desk.work(authorize("ben")))
    split, alone = desk.faults
    assert isinstance(split, BatchSplit)
    assert type(split.__cause__) is type(alone)
    assert str(split) == f"3 calls go one by one: {type(alone).__name__}"
    told = "".join(traceback.format_exception(split))
    assert "secret" not in told
    assert "zoe" not in told
    assert desk.engine.statistics == EngineStatistics(split=1)
    desk.faults.clear()
    desk.apply(desk.work(authorize("zoe", asset_id="\ud800"), request_id="poison"))
    assert [type(it) for it in desk.faults] == [type(alone)]
    assert desk.engine.statistics.split == 1


def test_features_of_a_wrong_size_do_not_fail_the_others(desk: Desk) -> None:
    """Features that the model cannot read fail only their own command, with SCORER_FAILED. The
    error is logged once."""
    results = desk.apply(
        desk.work(PutUser("zoe", b"short", START_US, True), caller=PLATFORM),
        desk.work(authorize()),
    )
    assert [type(result) for result in results] == [Unavailable, bytes]
    assert reason(results[0]) == "SCORER_FAILED"
    assert len(desk.faults) == 1
    assert desk.store.line("zoe", "CNY") is None


def test_a_command_that_is_too_late_is_refused_before_the_write(desk: Desk) -> None:
    """A command whose deadline has passed is refused and writes nothing; its id can be used
    again."""
    before = counts(desk)
    work = desk.work(authorize(), request_id="r")
    work.deadline = time.monotonic() - 0.001
    (result,) = desk.apply(work)
    assert isinstance(result, DeadlineTooNear)
    assert counts(desk) == before
    work.deadline = time.monotonic() + 3_600
    (first,) = desk.apply(work)
    assert isinstance(first, bytes)
    work.deadline = time.monotonic() - 0.001
    assert desk.apply(work) == [first]


def test_one_clock_reading_for_each_batch(desk: Desk) -> None:
    """All commands of a batch are decided at the same instant."""
    readings: list[int] = []
    now_us = desk.clock.now_us

    class Ticking:
        """A clock that moves with every reading."""

        trusted = True

        def now_us(self) -> int:
            readings.append(now_us() + len(readings))
            return readings[-1]

    desk.engine._clock = Ticking()
    desk.apply(
        *(desk.work(authorize(product_id="umbrella"), request_id=f"r-{n}") for n in range(5))
    )
    made = {desk.answers[f"r-{n}"].create_us for n in range(5)}  # type: ignore[union-attr]
    assert len(made) == len(readings) == 1


def test_an_empty_batch(desk: Desk) -> None:
    """An empty batch writes nothing."""
    before = counts(desk)
    nothing: list[Result] = []
    assert desk.apply() == nothing
    assert counts(desk) == before


def test_waking_needs_no_request_record(desk: Desk) -> None:
    """A wake-up takes the due steps, is refused where none is due, and stores no request record."""
    it = rental(desk, pick_up())
    before = counts(desk)["requests"]
    wake = Wake("ann", it.authorization_id)
    (early,) = desk.apply(desk.work(wake, request_id=""))
    assert reason(early) == "NOTHING_TO_DO"
    desk.clock.advance(START_US + 30 * MINUTE_US)
    done, again = desk.apply(desk.work(wake, request_id=""), desk.work(wake, request_id=""))
    assert isinstance(done, bytes)
    assert reason(again) == "NOTHING_TO_DO"
    (unknown,) = desk.apply(desk.work(Wake("ann", "nothing"), request_id=""))
    assert reason(unknown) == "AUTHORIZATION_NOT_FOUND"
    assert counts(desk)["requests"] == before
    assert stored(desk, it).close_us == START_US + 30 * MINUTE_US


def test_ids_are_not_used_twice(desk: Desk) -> None:
    """Two processes on one database use different ids."""

    class OtherIds(CountingIds):
        """Another process's ids."""

        def new(self, now_us: int) -> str:
            return "v" + super().new(now_us)[1:]

    other = Desk(desk.store, ids=OtherIds())
    one = rental(desk, authorize(product_id="umbrella"), request_id="one")
    two = rental(other, authorize(product_id="umbrella"), request_id="two")
    assert one.authorization_id != two.authorization_id
    assert balances(desk) == (50_000, 38_200, 11_800, 0)


def test_a_retried_registration_does_not_answer_a_newer_one(desk: Desk) -> None:
    """In a batch with a new registration and a retry of an older one, the new one is scored on its
    own features, and the retry gets its first answer."""
    old = PutUser("zoe", pack([700.0, 0.0]), START_US, True)
    new = PutUser("zoe", pack([400.0, 0.0]), START_US, True)
    (first,) = desk.apply(desk.work(old, request_id="old", caller=PLATFORM))
    _, again = desk.apply(
        desk.work(new, request_id="new", caller=PLATFORM),
        desk.work(old, request_id="old", caller=PLATFORM),
    )
    assert again == first
    assert profile(desk.answers["new"]).score == 400
    assert balances(desk, "zoe") == (0, 0, 0, 0)


def test_refused_features_decide_nothing(desk: Desk) -> None:
    """Refused features do not count for an Authorize of the same batch."""
    better = PutUser("cem", pack([900.0, 0.0]), START_US - 1, True)
    refusal, _ = desk.apply(
        desk.work(better, caller=PLATFORM), desk.work(authorize("cem"), request_id="r")
    )
    assert reason(refusal) == "FEATURES_OUTDATED"
    answer = desk.answers["r"]
    assert isinstance(answer, Authorization)
    assert (answer.offer, answer.band) == (Offer.FULL, "E")


class FragileScorer(FakeScorer):
    """A scorer that fails on one person's features."""

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[FakeScored | FakeUnscorable, tuple[str, ...]]]:
        """Raises for a score of 13."""
        if any(unpack(row)[0] == 13 for row in rows):
            raise RuntimeError("the model broke")
        return super().score_with_reasons(rows, below)


def test_features_that_break_the_model_do_not_fail_the_others(store: SqlStore) -> None:
    """Features on which the model raises an error fail only their own command, with SCORER_FAILED
    and without the error's text. The error is logged once."""
    desk = Desk(store, scorer=FragileScorer())
    desk.put_user("ann", 700)
    results = desk.apply(
        desk.work(authorize()),
        desk.work(PutUser("zoe", pack([13.0, 0.0]), START_US, True), caller=PLATFORM),
        desk.work(authorize("new")),
    )
    assert [type(result) for result in results] == [bytes, Unavailable, bytes]
    assert reason(results[1]) == "SCORER_FAILED"
    assert "broke" not in str(results[1])
    assert [str(error) for error in desk.faults] == ["the model broke"]
    assert desk.store.line("zoe", "CNY") is None


def test_a_bulk_call_has_a_request_id(desk: Desk) -> None:
    """The id of a bulk call is recorded like any other: a retry gets the answer, another body is
    refused."""
    first = desk.work(OpenBulk(), request_id="r", caller=PLATFORM, body=b"people")
    (answer,) = desk.apply(first)
    assert isinstance(answer, bytes)
    assert desk.apply(first) == [answer]
    (other,) = desk.apply(desk.work(OpenBulk(), request_id="r", caller=PLATFORM, body=b"others"))
    assert reason(other) == "REQUEST_ID_REUSED"


def test_a_case_that_a_batch_closes_and_opens_again(desk: Desk) -> None:
    """One batch can end a claim and accept a new claim on the same rental. The new case takes the
    place of the closed case."""
    it = rental(desk, acts.claim_return(rental(desk, authorize())))
    before = desk.engine.statistics.conflicts
    results = desk.apply(desk.work(acts.contest(it)), desk.work(acts.claim_return(it)))
    assert all(isinstance(result, bytes) for result in results), results
    assert (desk.engine.statistics.conflicts, desk.engine.statistics.split) == (before, 0)
