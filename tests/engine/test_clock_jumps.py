"""A4: the machine's clock jumps during rentals. No rental ends by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from freehold.client import Client
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    GetAuthorizationRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.credit_service_pb2 import PutUsersRequest, User

from service.books.verify import verify_books
from service.clock import CLOCK_LIMITS, ClockNews
from service.config import Limits
from service.domain.authorization import Custody, State
from service.engine.group_commit import CommitLimits, Committer
from service.engine.workers.timers import Timers
from service.engine.workers.transfers import Transfers
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.engine.acts import charged, settle_usage, transfers
from tests.engine.calls import authorize, balances, pick_up, refused, rental, stored
from tests.engine.test_catalog_reloader import OtherIds
from tests.engine.test_transfers import PORTION, RESEND_US, Rail
from tests.fakes import BACKSTAGE, MINUTE_US, START_US, Desk, serving
from tests.machine import YEAR_S, Machine

HANG_S = 60.0
MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S


@pytest.fixture
def machine() -> Machine:
    return Machine()


def desk_on(url: str, machine: Machine, *, other: bool = False) -> Iterator[Desk]:
    """An engine of a process on a machine; another process gets ids of its own."""
    made = Desk(
        SqlStore(open_database(url)), ids=OtherIds() if other else None, machine=machine.clock()
    )
    yield made
    assert verify_books(made.store.engine).fault is None
    made.store.close()


@pytest.fixture
def hall(url: str, machine: Machine) -> Iterator[Desk]:
    """An engine of a process on the machine, with Ann at 700 and Ben at 700."""
    for desk in desk_on(url, machine):
        desk.put_user("ann", 700)
        desk.put_user("ben", 700)
        yield desk


def in_a_process(desk: Desk, act: Callable[[Committer], Awaitable[int]]) -> int:
    """The result of a call through a committer of the engine's process."""

    async def main() -> int:
        committer = Committer(desk.engine.apply, CommitLimits())
        committer.start()
        result = await act(committer)
        await committer.close()
        return result

    return asyncio.run(asyncio.wait_for(main(), HANG_S))


def sweep(desk: Desk) -> int:
    """One round of the process's sweeper; returns how many authorizations it woke."""

    def act(committer: Committer) -> Awaitable[int]:
        return Timers(desk.store, committer, desk.engine._clock, BACKSTAGE, portion=100).wake_due()

    return in_a_process(desk, act)


def dispatch(desk: Desk, rail: Rail) -> int:
    """One round of the process's dispatcher; returns how many transfers the rail took."""

    def act(committer: Committer) -> Awaitable[int]:
        return Transfers(
            *(desk.store, rail, committer, desk.engine._clock, BACKSTAGE),
            portion=PORTION,
            resend_us=RESEND_US,
            log_fault=lambda _id, error, _about=None: desk.faults.append(error),
        ).send_requested()

    return in_a_process(desk, act)


def test_a4_a_clock_ten_years_ahead_for_four_seconds(hall: Desk, machine: Machine) -> None:
    """A4: while the clock is ten years ahead, the sweeper captures, loses, sells and expires
    nothing, and calls are answered as of the right time; once the clock is right, timers fire
    again."""
    active = rental(hall, authorize())
    hold = rental(hall, pick_up("ben"))
    machine.pass_s(10 * MINUTE_S)
    back = rental(hall, authorize("ben", "umbrella"))
    before = balances(hall)
    machine.set_clock(10 * YEAR_S)
    for _ in range(4):
        machine.pass_s(1)
        assert sweep(hall) == 0
    ended = rental(hall, settle_usage(back))
    assert (ended.captured_minor, ended.close_us) == (0, START_US + 604_000_000)
    during = rental(hall, authorize("ann", "umbrella"))
    assert during.create_us == START_US + 604_000_000
    machine.set_clock(-10 * YEAR_S)
    assert sweep(hall) == 0
    assert stored(hall, active) == active
    assert stored(hall, hold) == hold
    assert balances(hall) == (before[0], before[1] - 5_900, before[2] + 5_900, 0)
    assert machine.told == [(ClockNews.JUMPED, 10 * YEAR_S * 1_000_000), (ClockNews.RIGHT_AGAIN, 0)]

    machine.pass_s(20 * MINUTE_S)
    assert sweep(hall) == 1
    assert stored(hall, hold).state is State.EXPIRED
    machine.pass_s(DAY_S)
    sweep(hall)
    assert stored(hall, active).state is State.OVERDUE
    machine.pass_s(10 * DAY_S)
    sweep(hall)
    lost = stored(hall, active)
    assert (lost.state, lost.captured_minor) == (State.SETTLED, 19_900)
    assert lost.custody is not Custody.SOLD
    assert START_US < (lost.lost_us or 0) < START_US + 11 * DAY_S * 1_000_000


def test_a4_a_call_during_the_jump_ends_no_hold(hall: Desk, machine: Machine) -> None:
    """A4: a call needs a line or an item that other rentals hold: their timers run by the right
    time, and no hold ends because the wrong clock says that it has lapsed."""
    holds = [rental(hall, pick_up("ann", asset_id="bike-1")), rental(hall, pick_up())]
    machine.set_clock(10 * YEAR_S)
    assert rental(hall, pick_up()).cash_minor > 0
    assert refused(hall, pick_up("ben", asset_id="bike-1")).reason == "ASSET_IN_USE"
    assert [stored(hall, it).state for it in holds] == [State.AUTHORIZED, State.AUTHORIZED]


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S, -10 * YEAR_S])
def test_a4_a_jump_that_stays(hall: Desk, machine: Machine, off_s: int) -> None:
    """A4: while the clock stays wrong, forward or back, nothing is swept, however long that takes.
    A new process uses the wrong clock."""
    hold = rental(hall, pick_up())
    machine.set_clock(off_s)
    machine.pass_s(DAY_S)
    assert sweep(hall) == 0
    assert stored(hall, hold) == hold
    machine.set_clock(-off_s)
    assert sweep(hall) == 1
    assert stored(hall, hold).state is State.EXPIRED


def test_a4_a_small_step_does_not_stop_the_sweeper(hall: Desk, machine: Machine) -> None:
    """A4: a step of a few seconds does not stop the sweeper."""
    hold = rental(hall, pick_up())
    machine.set_clock(int(CLOCK_LIMITS.most_apart_s))
    machine.pass_s(30 * MINUTE_S)
    assert sweep(hall) == 1
    assert stored(hall, hold).state is State.EXPIRED


def test_a4_a_wrong_clock_hands_in_nothing(hall: Desk, machine: Machine) -> None:
    """A4: while the clock is wrong no transfer is handed in again, however long it has no
    answer."""
    it = charged(hall, "ann")
    machine.pass_s(((it.wake_us or 0) - START_US) / 1_000_000)
    assert sweep(hall) == 1
    rail = Rail()
    assert dispatch(hall, rail) == 1
    machine.set_clock(DAY_S)
    assert dispatch(hall, rail) == 0
    machine.pass_s(RESEND_US / 1_000_000)
    assert dispatch(hall, rail) == 0
    machine.set_clock(-DAY_S)
    assert dispatch(hall, rail) == 1
    assert rail.taken == ["ann", "ann"]
    assert len(transfers(hall, it)) == 1


def test_a4_a_jump_harms_no_other_server(hall: Desk, url: str, machine: Machine) -> None:
    """A4: two servers use one database, and the clock of one jumps. That server ends no hold of the
    other. The other server ends the due holds, and the entries of both stay in order."""
    well = Machine()
    for other in desk_on(url, well, other=True):
        active = rental(other, authorize())
        hold = rental(other, pick_up("ben"))
        machine.set_clock(10 * YEAR_S)
        for each in (machine, well):
            each.pass_s(29 * MINUTE_S)
        assert sweep(hall) == 0
        assert rental(hall, authorize("ben", "umbrella")).create_us < START_US + 30 * MINUTE_US
        assert (sweep(other), stored(other, hold)) == (0, hold)
        for each in (machine, well):
            each.pass_s(MINUTE_S)
        assert (sweep(hall), sweep(other)) == (0, 1)
        assert stored(other, hold).state is State.EXPIRED
        assert stored(other, active) == active


def test_a4_a_running_sweeper_survives_a_jump(tmp_path: Path, machine: Machine) -> None:
    """A4: a server that sweeps all the time keeps an active rental through four seconds with the
    clock ten years ahead. The bill is the same as without these seconds."""
    limits = Limits(sweep_interval_s=0.02)
    with serving(tmp_path, limits=limits, clock=machine.clock()) as served:
        with Client(served.address, served.platform_key, plaintext=True) as platform:
            user = User(user_id="ann", features={"score": 700}, scoring_consent=True)
            user.as_of.FromMicroseconds(START_US)
            platform.put_users(PutUsersRequest(request_id="p", users=[user]))
        with Client(served.address, served.operator_key, plaintext=True) as operator:
            asked = AuthorizeRequest(request_id="a", user_id="ann", product_id="bike")
            name = operator.authorize(asked).authorization.name
            machine.set_clock(10 * YEAR_S)
            for _ in range(4):
                machine.pass_s(1)
                time.sleep(0.1)
            machine.set_clock(-10 * YEAR_S)
            time.sleep(0.1)
            found = operator.get_authorization(GetAuthorizationRequest(name=name)).authorization
            assert found.state == Authorization.STATE_ACTIVE
            machine.pass_s(HOUR_S - 4)
            usage = SettleAuthorizationRequest.Usage()
            ended = SettleAuthorizationRequest(request_id="s", name=name, usage=usage)
            assert operator.settle_authorization(ended).authorization.due.amount_minor == 550
