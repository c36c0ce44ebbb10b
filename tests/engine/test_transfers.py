"""The dispatcher: hands all transfers to the payment rail, also when the rail refuses some."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest

from service.domain.errors import NotFound
from service.engine.calls import Work
from service.engine.group_commit import CommitLimits, Committer
from service.engine.operations import ReportTransfer
from service.engine.ports import Deliver
from service.engine.reads import START
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.workers.transfers import Transfers
from service.engine.workers.worker import Worker
from tests.engine.acts import charged, woken
from tests.engine.calls import pay, rental
from tests.fakes import BACKSTAGE, MINUTE_US, Desk, lists_of

ON_BOTH = "transfers are found by statements of their own"

T = TypeVar("T")
HANG_S = 60.0
PORTION = 64
RESEND_US = 10 * MINUTE_US


class Rail:
    """Accepts all transfers except those of some people."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.taken: list[str] = []
        self.asked = 0

    async def submit(self, transfer: TransferRecord) -> None:
        """Accepts or refuses a transfer."""
        self.asked += 1
        if transfer.user_id in self.refused:
            raise ConnectionError("as told")
        self.taken.append(transfer.user_id)

    async def tell(self, deliver: Deliver) -> int:
        """Never reports a result by itself."""
        return 0


class Counter(Committer):
    """A committer that refuses to mark the transfers of some people."""

    def __init__(self, desk: Desk, *refused: str) -> None:
        super().__init__(desk.engine.apply, CommitLimits())
        self.refused = set(refused)

    def submit(self, work: Work) -> asyncio.Future[bytes]:
        """The committer's answer, or a refusal."""
        command = work.command
        if isinstance(command, ReportTransfer) and command.user_id in self.refused:
            raise NotFound("transfer", command.transfer_id)
        return super().submit(work)


def owing(desk: Desk, *users: str) -> None:
    """People with a debit due, in this order."""
    rentals = []
    for user_id in users:
        desk.put_user(user_id, 700)
        rentals.append(charged(desk, user_id))
    for it in rentals:
        woken(desk, it, it.wake_us or 0)


def dispatches(desk: Desk, committer: Counter, rail: Rail, rounds: int = 1) -> list[int]:
    """Several rounds of one dispatcher."""

    async def main() -> list[int]:
        committer.start()
        dispatcher = dispatcher_of(desk, committer, rail)
        taken = [await dispatcher.send_requested() for _ in range(rounds)]
        await committer.close()
        return taken

    return run(main())


def dispatcher_of(desk: Desk, committer: Committer, rail: Rail) -> Transfers:
    """A dispatcher without pauses."""
    return Transfers(
        desk.store,
        rail,
        committer,
        desk.clock,
        BACKSTAGE,
        portion=PORTION,
        resend_us=RESEND_US,
        log_fault=lambda _id, error, _about=None: desk.faults.append(error),
    )


def run(main: Coroutine[object, object, T]) -> T:
    """Runs to the end, or fails after a time limit."""
    return asyncio.run(asyncio.wait_for(main, HANG_S))


def states(desk: Desk, user_id: str) -> list[TransferState]:
    """The states of a person's transfers."""
    page = lists_of(desk.store).transfers(user_id, after=START, size=10, state=None)
    return [it.state for it in page.rows]


CROWD = [f"user-{n}" for n in range(70)]


def test_a_transfer_is_marked_and_handed_in_once(desk: Desk) -> None:
    """A transfer that the rail accepted is marked SENT, and handed in again only after a long time
    without an answer."""
    owing(desk, "ann")
    rail = Rail()
    assert dispatches(desk, Counter(desk), rail, 2) == [1, 0]
    assert states(desk, "ann") == [TransferState.SENT]
    desk.clock.advance(desk.clock.now_us() + RESEND_US)
    assert dispatches(desk, Counter(desk), rail) == [1]
    assert rail.taken == ["ann", "ann"]


def test_a_debit_of_a_paid_amount_is_not_handed_in(desk: Desk) -> None:
    """A debit whose amount was paid before the hand-in is ended and never handed in."""
    desk.put_user("ann", 700)
    it = charged(desk)
    it = woken(desk, it, it.wake_us or 0)
    rental(desk, pay(it, it.due_minor))
    rail = Rail()
    assert dispatches(desk, Counter(desk), rail) == [0]
    assert rail.asked == 0
    assert TransferState.SENT not in states(desk, "ann")


def test_refused_transfers_delay_no_others(desk: Desk) -> None:
    """If the rail refuses more transfers than fit into a portion, the next round reaches the
    transfers behind them. Refused transfers are handed in again after a long time without an
    answer."""
    owing(desk, *CROWD, "zoe")
    rail = Rail(*CROWD)
    assert dispatches(desk, Counter(desk), rail, 3) == [0, 1, 0]
    assert (rail.taken, rail.asked) == (["zoe"], 71)
    assert len(desk.faults) == 70
    rail.refused.clear()
    desk.clock.advance(desk.clock.now_us() + RESEND_US)
    assert sum(dispatches(desk, Counter(desk), rail, 2)) == 71


def test_unmarkable_transfers_delay_no_others(desk: Desk) -> None:
    """If more transfers than fit into a portion can never be marked SENT, the next round reaches
    the transfers behind them, and no unmarked transfer is handed in."""
    owing(desk, *CROWD, "zoe")
    rail = Rail()
    assert dispatches(desk, Counter(desk, *CROWD), rail, 3) == [0, 1, 0]
    assert (rail.taken, rail.asked) == (["zoe"], 1)
    assert states(desk, CROWD[0]) == [TransferState.REQUESTED]


def test_the_dispatcher_goes_on_until_it_is_cancelled(desk: Desk) -> None:
    """The dispatcher goes on dispatching, also after the database was away."""
    owing(desk, "ann")
    away = [ConnectionError("as told")]
    unsent = desk.store.unsent_transfers

    def fail_once(
        before_us: int, limit: int, after: TransferRecord | None = None
    ) -> list[TransferRecord]:
        if away:
            raise away.pop()
        return unsent(before_us, limit, after)

    async def main() -> None:
        committer = Counter(desk)
        committer.start()
        rail = Rail()
        desk.store.unsent_transfers = fail_once  # type: ignore[method-assign]
        worker = Worker(
            "transfers",
            dispatcher_of(desk, committer, rail).work,
            interval_s=0.0,
            log_fault=lambda _id, error, _about=None: desk.faults.append(error),
        )
        task = asyncio.create_task(worker.run())
        while not rail.taken:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await committer.close()

    run(main())
    assert [str(error) for error in desk.faults] == ["as told"]
    assert states(desk, "ann") == [TransferState.SENT]
