"""Transfers: handed to the payment rail at least once; the rail does each at most once."""

from __future__ import annotations

import secrets

from service.clock import Clock
from service.domain.errors import FreeholdError, InvariantBroken
from service.engine.calls import Answer, BytesOf, own_work
from service.engine.engine import FaultLog
from service.engine.group_commit import Committer
from service.engine.operations import ReportTransfer
from service.engine.pool import Pool
from service.engine.ports import Rail, Store
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.workers.scan import Scan


def _state(answer: Answer, _bytes_of: BytesOf) -> bytes:
    if not isinstance(answer, TransferRecord):
        raise InvariantBroken("an answer of another kind")
    return answer.state.encode()


class Transfers:
    """Hands requested transfers to the rail, in bounded portions.

    A transfer is first marked as sent, which is refused to a debit of more than is due by then, and
    then handed in. Whoever is killed in between, or whose rail does not take it, leaves it marked;
    what the rail has not answered for long is handed in again. The transfer's id tells the rail
    that it is the same.
    """

    def __init__(
        self,
        store: Store,
        rail: Rail,
        committer: Committer,
        clock: Clock,
        pool: Pool,
        *,
        portion: int,
        resend_us: int,
        log_fault: FaultLog,
    ) -> None:
        self._store = store
        self._rail = rail
        self._committer = committer
        self._clock = clock
        self._resend_us = resend_us
        self._log_fault = log_fault
        self._scan = Scan(self._unsent, self._send, portion, pool)

    async def send_requested(self) -> int:
        """Sends every transfer that is to be sent by now; returns how many the rail took.

        A clock that is not trusted sends none: what was sent may not be long ago.
        """
        if not self._clock.trusted:
            return 0
        return await self._scan.round()

    async def work(self) -> bool:
        """One round; nothing more waits after it."""
        await self.send_requested()
        return False

    def _unsent(self, after: TransferRecord | None, limit: int) -> list[TransferRecord]:
        return self._store.unsent_transfers(self._clock.now_us() - self._resend_us, limit, after)

    async def _send(self, transfer: TransferRecord) -> bool:
        command = ReportTransfer(transfer.user_id, transfer.transfer_id, TransferState.SENT)
        try:
            if (
                await self._committer.submit(own_work(command, _state))
                != TransferState.SENT.encode()
            ):
                return False
            await self._rail.submit(transfer)
        except FreeholdError:
            return False  # not known to be marked; a later round looks again
        except Exception as error:
            self._log_fault(secrets.token_hex(8), error)
            return False
        return True
