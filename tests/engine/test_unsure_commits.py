"""Conflicts, failures and lost answers of the database."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import State
from service.domain.errors import Unavailable
from service.engine.conflict_pauses import ConflictPauses
from service.engine.engine import Engine, EngineStatistics
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.engine.ports import Conflict
from service.engine.scoring import Assessor
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from tests.engine.calls import authorize, balances, counts, reason, rental, settle, stored
from tests.engine.faults import Fault, FaultyStore
from tests.fakes import START_US, CountingIds, Desk, FakeScorer, encode


class OtherIds(CountingIds):
    """Another process's ids."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


@pytest.fixture
def rival(faulty: FaultyStore, shaky: Desk) -> Desk:
    """Another process on the same database."""
    return Desk(faulty, ids=OtherIds())


def test_a_conflict_is_decided_again(shaky: Desk, faulty: FaultyStore, rival: Desk) -> None:
    """When another process changed a line first, the batch is decided again on the new rows."""
    zero = authorize()
    rental(shaky, zero)
    faulty.plan = [Fault.CONFLICT]
    faulty.interlude = lambda: rental(rival, zero, request_id="rival")
    it = rental(shaky, zero, request_id="r")
    assert (it.state, it.offer, it.reasons) == (State.OFFERED, "REDUCED", ("LINE_EXHAUSTED",))
    assert balances(shaky) == (50_000, 10_200, 39_800, 0)
    assert counts(shaky)["authorizations"] == 3


def test_a_conflict_over_an_item(shaky: Desk, faulty: FaultyStore, rival: Desk) -> None:
    """When another process took the item first, the second decision is a refusal."""
    faulty.plan = [Fault.CONFLICT]
    faulty.interlude = lambda: rental(rival, authorize(asset_id="bike-7"), request_id="rival")
    (result,) = shaky.apply(shaky.work(authorize(asset_id="bike-7")))
    assert reason(result) == "ASSET_IN_USE"


def test_a_conflict_over_a_request_id(shaky: Desk, faulty: FaultyStore, rival: Desk) -> None:
    """When another process applied the same request first, its answer is returned."""
    faulty.plan = [Fault.CONFLICT]
    faulty.interlude = lambda: rental(rival, authorize(), request_id="r")
    (result,) = shaky.apply(shaky.work(authorize(), request_id="r"))
    assert result == encode(rival.answers["r"])
    assert counts(shaky)["authorizations"] == 1


def test_a_person_registered_during_a_conflict(
    shaky: Desk, faulty: FaultyStore, rival: Desk
) -> None:
    """After a conflict the person is scored again, on the features that another process
    recorded."""
    faulty.plan = [Fault.CONFLICT]
    zoe = PutUser("zoe", pack([700.0, 0.0]), START_US, True)
    faulty.interlude = lambda: rival.do(zoe, request_id="rival", caller=PLATFORM)
    it = rental(shaky, authorize("zoe"), request_id="r")
    assert (it.state, it.band) == (State.ACTIVE, "A")


def test_endless_conflicts_are_unavailable(shaky: Desk, faulty: FaultyStore) -> None:
    """After the bounded number of attempts a conflict is UNAVAILABLE, and nothing is written."""
    before = counts(shaky)
    faulty.plan = [Fault.CONFLICT] * 3
    (result,) = shaky.apply(shaky.work(authorize(), request_id="r"))
    assert isinstance(result, Unavailable)
    assert (result.reason, result.retry_after_ms) == ("CONTENTION", 100)
    assert faulty.transactions == 3
    assert counts(shaky) == before
    assert rental(shaky, authorize(), request_id="r").state is State.ACTIVE


def test_a_batch_in_conflict_is_split(shaky: Desk, faulty: FaultyStore) -> None:
    """After repeated conflicts, the commands of a batch are applied one by one. Only a command that
    still has conflicts is refused."""
    faulty.plan = [Fault.CONFLICT] * 3 + [Fault.NONE] + [Fault.CONFLICT] * 3
    results = shaky.apply(
        *(shaky.work(authorize(product_id="umbrella"), request_id=f"r-{n}") for n in range(3))
    )
    assert [reason(result) for result in results] == ["", "CONTENTION", ""]
    assert counts(shaky)["authorizations"] == 2
    split, alone = shaky.faults
    assert str(split) == "3 calls go one by one: Conflict"
    assert isinstance(split.__cause__, Conflict)
    assert isinstance(alone, Conflict)
    assert shaky.engine.statistics == EngineStatistics(conflicts=6, split=1)


def test_a_batch_waits_between_conflicts(shaky: Desk, faulty: FaultyStore) -> None:
    """Between two attempts the writer waits for a random time, with a bound that doubles up to a
    maximum. It does not wait before the first attempt or after the last."""
    waits: list[float] = []
    draws = iter([0.0, 0.5, 1.0, 1.0, 1.0])
    pauses = ConflictPauses(0.001, 0.004, lambda: next(draws), waits.append)
    engine = Engine(
        shaky.store, Assessor(shaky.store, FakeScorer()), shaky.clock, CountingIds(),
        currency="CNY", build="test", max_attempts=6, pauses=pauses,
        log_fault=lambda _id, error, _about=None: shaky.faults.append(error),
        log_terms=lambda fault, mended: shaky.terms.append((fault, mended)),
        notice_gap=shaky.clock_gaps.append, encode=encode_authorization,
        encode_beside=encode_beside,
    )  # fmt: skip
    faulty.plan = [Fault.CONFLICT] * 6
    (result,) = engine.apply([shaky.work(authorize())])
    assert reason(result) == "CONTENTION"
    assert waits == [0.0, 0.001, 0.004, 0.004, 0.004]
    assert engine.statistics.conflicts == 6


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.FAILED])
def test_a_failed_transaction_writes_nothing(
    shaky: Desk, faulty: FaultyStore, fault: Fault
) -> None:
    """When the database is away or refuses, the answer is UNAVAILABLE, nothing is written, and the
    same id may be retried."""
    before = counts(shaky)
    faulty.plan = [fault]
    (result,) = shaky.apply(shaky.work(authorize(), request_id="r"))
    assert isinstance(result, Unavailable)
    assert result.reason == "STORAGE_UNAVAILABLE"
    assert counts(shaky) == before
    assert rental(shaky, authorize(), request_id="r").state is State.ACTIVE


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.FAILED])
def test_a_failed_batch_is_refused_together(shaky: Desk, faulty: FaultyStore, fault: Fault) -> None:
    """When a batch's transaction fails, all its commands are UNAVAILABLE after one attempt, nothing
    is written, and retries pass."""
    before = counts(shaky)
    faulty.plan = [fault]
    works = [shaky.work(authorize(product_id="umbrella"), request_id=f"r-{n}") for n in range(3)]
    results = shaky.apply(*works)
    assert [reason(result) for result in results] == ["STORAGE_UNAVAILABLE"] * 3
    assert faulty.transactions == 1
    assert counts(shaky) == before
    assert [reason(result) for result in shaky.apply(*works)] == [""] * 3


@pytest.mark.parametrize(("fault", "written"), [(Fault.LOST, 1), (Fault.UNKNOWN, 0)])
def test_an_unknown_outcome_is_not_a_failure(
    shaky: Desk, faulty: FaultyStore, fault: Fault, written: int
) -> None:
    """When the answer to COMMIT is lost, the answer is UNAVAILABLE with OUTCOME_UNKNOWN; a retry
    with the same id gets the true answer, and there is at most one effect."""
    faulty.plan = [fault]
    (result,) = shaky.apply(shaky.work(authorize(), request_id="r"))
    assert isinstance(result, Unavailable)
    assert result.reason == "OUTCOME_UNKNOWN"
    assert counts(shaky)["authorizations"] == written
    decided = shaky.answers["r"]
    (truth,) = shaky.apply(shaky.work(authorize(), request_id="r"))
    assert truth == encode(shaky.answers["r"])
    assert (truth == encode(decided)) is bool(written)
    assert balances(shaky) == (50_000, 30_100, 19_900, 0)
    assert counts(shaky)["authorizations"] == 1


def test_an_unknown_outcome_of_a_batch(shaky: Desk, faulty: FaultyStore) -> None:
    """If a batch's outcome is unknown, the engine tries none of its commands again. The outcome of
    its refusals is unknown too, and retries get the true answers."""
    it = rental(shaky, authorize(), request_id="first")
    faulty.plan = [Fault.LOST]
    works = [
        shaky.work(settle(it, 10), request_id="s"),
        shaky.work(settle(it, 10), request_id="t"),
        shaky.work(authorize(), request_id="a"),
    ]
    results = shaky.apply(*works)
    assert [reason(result) for result in results] == ["OUTCOME_UNKNOWN"] * 3
    assert stored(shaky, it).captured_minor == 10
    retried = shaky.apply(*works)
    assert [reason(result) for result in retried] == ["", "ILLEGAL_TRANSITION", ""]
    assert counts(shaky)["authorizations"] == 2
    assert balances(shaky) == (50_000, 30_090, 19_900, 10)


def test_a_lost_answer_after_a_conflict(shaky: Desk, faulty: FaultyStore) -> None:
    """When the answer to the COMMIT of a second attempt is lost, the outcome is reported as
    unknown."""
    faulty.plan = [Fault.CONFLICT, Fault.LOST]
    (result,) = shaky.apply(shaky.work(authorize(), request_id="r"))
    assert reason(result) == "OUTCOME_UNKNOWN"
    shaky.apply(shaky.work(authorize(), request_id="r"))
    assert counts(shaky)["authorizations"] == 1


def test_every_fault_is_logged(shaky: Desk, faulty: FaultyStore) -> None:
    """The details of a fault, which the caller does not get, are logged."""
    faulty.plan = [Fault.LOST, Fault.FAILED]
    shaky.apply(shaky.work(authorize(), request_id="r"))
    shaky.apply(shaky.work(authorize(), request_id="s"))
    assert [type(error).__name__ for error in shaky.faults] == ["OutcomeUnknown", "StorageFailed"]
