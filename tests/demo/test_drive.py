"""The driver, with a stand-in server on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc.aio
import numpy as np
import pytest
from freehold.client import AsyncClient, FreeholdError
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.types_pb2 import OFFER_REDUCED

from service.demo import drive, tally
from service.demo.day import DAY_S, LOST_AFTER_S, Fate, Rental
from service.demo.drive import Driver, Journal
from service.demo.population import Population
from tests.demo.fake import FakeFreehold, serve

Answer = TypeVar("Answer")

EPOCH = datetime(2026, 6, 1, tzinfo=UTC)
SCORES = {"person-0": 700, "person-1": 520, "person-2": 400}


def people() -> Population:
    return Population(
        ids=tuple(SCORES),
        names=("income", "age"),
        features=np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]]),
        label=np.array([0, 1, 1], dtype=np.int8),
        consent=np.array([True, True, False]),
    )


RIDE = Rental(
    index=0,
    person=0,
    product=0,
    start_s=3600,
    duration_s=1000,
    reserved=False,
    fate=Fate.RIDE,
    cancel_after_s=60,
    pickup_after_s=120,
    pay_after_s=600,
    patience=0.9,
    unpaid=False,
    lost=False,
    lost_paid=False,
)


@dataclass
class World:
    fake: FakeFreehold
    operator: AsyncClient
    platform: AsyncClient
    runner: asyncio.Runner

    def do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self.runner.run(work)

    def run(self, *rentals: Rental) -> Journal:
        plan = [replace(rental, index=i) for i, rental in enumerate(rentals)]
        driver = Driver(plan, people(), self.operator, self.platform, EPOCH, in_flight=4)
        return self.do(driver.run(lambda second, begun: None))

    def methods(self, index: int) -> list[str]:
        return [m for m, request_id in self.fake.calls if request_id.endswith(f"{index:06d}")]


@pytest.fixture
def world() -> Iterator[World]:
    fake = FakeFreehold(SCORES)

    async def begin() -> tuple[grpc.aio.Server, AsyncClient, AsyncClient]:
        server, address = await serve(fake)
        return (
            server,
            AsyncClient(address, "o", plaintext=True),
            AsyncClient(address, "p", plaintext=True),
        )

    async def end() -> None:
        await operator.close()
        await platform.close()
        await server.stop(None)

    with asyncio.Runner() as runner:
        server, operator, platform = runner.run(begin())
        yield World(fake, operator, platform, runner)
        runner.run(end())


def test_common_rental(world: World) -> None:
    """A common rental is authorized, settled at its fee, and paid."""
    journal = world.run(RIDE)
    record = journal.records[0]
    assert world.methods(0) == ["Authorize", "SettleAuthorization", "RecordPayment"]
    assert (record.state, record.captured_minor, record.due_minor) == (
        Authorization.STATE_SETTLED,
        350,
        0,
    )
    assert (record.held_credit_minor, record.held_cash_minor) == (19_900, 0)
    assert journal.calls == 3
    # Begun at the tick of 01:00; returned 1,000 s later, at the tick after that.
    assert (record.asked_s, record.closed_s) == (3600, 4800)


def test_clock_moves_forward_and_a_day_beyond(world: World) -> None:
    """The clock only moves forward, at the end by a whole day."""
    journal = world.run(RIDE, replace(RIDE, start_s=50_000))
    instants = world.fake.instants
    assert instants == sorted(instants)
    assert instants[0] == EPOCH + timedelta(seconds=3600)
    assert instants[-1] - instants[-2] == timedelta(seconds=DAY_S)
    assert journal.ticks == len(instants)


def test_unpaid(world: World) -> None:
    """A person who does not pay leaves the fee due."""
    journal = world.run(replace(RIDE, unpaid=True))
    assert world.methods(0) == ["Authorize", "SettleAuthorization"]
    assert journal.records[0].due_minor == 350


def test_cash_offer_is_confirmed(world: World) -> None:
    """An offer that asks for cash is confirmed with that amount, and the fee is taken from it."""
    journal = world.run(replace(RIDE, person=1, unpaid=True))
    record = journal.records[0]
    assert world.methods(0) == ["Authorize", "ConfirmAuthorization", "SettleAuthorization"]
    assert record.offer == OFFER_REDUCED
    assert (record.held_credit_minor, record.held_cash_minor) == (9_950, 9_950)
    assert record.due_minor == 0


def test_walking_away(world: World) -> None:
    """An impatient person leaves the offer, and it expires."""
    journal = world.run(replace(RIDE, person=2, patience=0.1))
    assert world.methods(0) == ["Authorize"]
    assert journal.expired == 1
    assert journal.records[0].state == Authorization.STATE_OFFERED


def test_line_used_up_before_the_cash(world: World) -> None:
    """A confirmation without room on the line is declined, and the cash owed back."""
    world.fake.exhausted.add("person-1")
    journal = world.run(replace(RIDE, person=1))
    assert journal.records[0].state == Authorization.STATE_DECLINED
    assert drive.discrepancies(journal.records, list(world.fake.found.values())) == []


def test_reserved_and_picked_up(world: World) -> None:
    """A reservation is picked up within its window before it is settled."""
    world.run(replace(RIDE, reserved=True))
    assert world.methods(0)[:3] == ["Authorize", "StartRental", "SettleAuthorization"]


def test_no_show(world: World) -> None:
    """A reservation without a pick-up expires."""
    journal = world.run(replace(RIDE, reserved=True, fate=Fate.NO_SHOW))
    assert world.methods(0) == ["Authorize"]
    assert journal.expired == 1


@pytest.mark.parametrize("reserved", [False, True])
def test_cancelled(world: World, reserved: bool) -> None:
    """A cancellation reverses the authorization, before or after the pick-up."""
    journal = world.run(replace(RIDE, reserved=reserved, fate=Fate.CANCEL))
    assert world.methods(0) == ["Authorize", "ReverseAuthorization"]
    assert journal.records[0].state == Authorization.STATE_REVERSED


def test_reversed_before_it_arrives(world: World) -> None:
    """An Authorize that is reversed before it arrives is declined."""
    journal = world.run(replace(RIDE, fate=Fate.UNDO))
    assert world.methods(0) == ["ReverseAuthorization", "Authorize"]
    record = journal.records[0]
    assert record.state == Authorization.STATE_DECLINED
    assert record.offer is None
    assert record.reasons == ("CANCELLED_BEFORE_ARRIVAL",)


def test_lost(world: World) -> None:
    """An item that is not returned is settled at the hold after the stated days."""
    journal = world.run(
        replace(RIDE, lost=True), replace(RIDE, lost=True, lost_paid=True, person=2)
    )
    unpaid, in_cash = journal.records
    assert (unpaid.captured_minor, unpaid.due_minor) == (19_900, 19_900)
    assert unpaid.closed_s == 3600 + LOST_AFTER_S
    assert (in_cash.captured_minor, in_cash.due_minor) == (19_900, 0)


def test_one_person_keeps_the_order(world: World) -> None:
    """Rentals of one person on the same tick are authorized in the plan's order."""
    world.run(*[RIDE] * 20)
    asked = [request_id for method, request_id in world.fake.calls if method == "Authorize"]
    assert asked == [f"a-{i:06d}" for i in range(20)]


def test_refusal_names_the_rental(world: World) -> None:
    """An unexpected failure of a call ends the run, with the rental and the step."""
    world.fake.scores = {}
    with pytest.raises(ExceptionGroup) as caught:
        world.run(RIDE)
    error = caught.value.exceptions[0]
    assert isinstance(error, FreeholdError)
    assert error.__notes__ == ["rental 0, AUTHORIZE"]


def test_load_people(world: World) -> None:
    """People are registered with consent and without missing values; the scores return in order."""
    done: list[int] = []
    scores = world.do(drive.load_people(world.platform, people(), EPOCH, done.append))
    assert scores == [700, 520, 400]
    assert sum(done) == 3
    assert world.fake.registered == {"person-0": True, "person-1": True, "person-2": False}
    assert people().values(1) == {"income": 3.0}


def test_list_and_compare(world: World) -> None:
    """The list is read to its end, and equals the operator's answers."""
    journal = world.run(
        *[RIDE] * 10,
        replace(RIDE, person=2, patience=0.0),
        replace(RIDE, reserved=True, fate=Fate.NO_SHOW),
        replace(RIDE, fate=Fate.UNDO),
    )
    pages: list[int] = []
    listed = world.do(drive.list_all(world.operator, pages.append))
    assert pages == [7, 6]
    assert drive.discrepancies(journal.records, listed) == []
    states = tally.by_end_state(tally.classify(journal.records, listed))
    assert states["SETTLED_PAID"] == 10
    assert (states["EXPIRED_OFFER"], states["EXPIRED_UNPICKED"], states["DECLINED"]) == (1, 1, 1)


def test_discrepancies_are_found(world: World) -> None:
    """Every difference between the list and the answers is reported."""
    journal = world.run(RIDE, RIDE, RIDE)
    listed = world.do(drive.list_all(world.operator, lambda n: None))
    listed[0].captured.amount_minor += 1
    listed[1].request_id = "foreign"
    wrong = drive.discrepancies(journal.records, [*listed, listed[2]])
    assert [sentence.split(":")[0] for sentence in wrong] == [
        "the list names an authorization twice",
        "a-000000",
        "a-000001",
        "foreign",
    ]
