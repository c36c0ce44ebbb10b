"""Transfers worker: hands each transfer to the payment rail at least once."""

from __future__ import annotations

import secrets

from service.clock import Clock
from service.domain.errors import FreeholdError, InvariantBroken
from service.engine.calls import Answer, Payloads, own_work
from service.engine.engine import FaultLog
from service.engine.group_commit import Committer
from service.engine.operations import ReportTransfer
from service.engine.pool import Pool
from service.engine.ports import Rail, Store
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.workers.scan import Scan


def _state(answer: Answer, _payloads: Payloads) -> bytes:
    if not isinstance(answer, TransferRecord):
        raise InvariantBroken("the answer is not of the method's type")
    return answer.state.encode()


class Transfers:
    """Hands requested transfers to the rail, in bounded portions.

    A transfer is first marked as SENT, and then handed in. A debit of more than the amount due by
    then is cancelled instead. If the process dies in between, or the rail does not accept the
    transfer, it stays SENT. A transfer that the rail has not answered for long is handed in again.
    The rail recognises a repeated transfer by its id, and executes it at most once.
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
        """Sends every transfer that must be sent by now; returns the number that the rail accepted.

        While the clock is not trusted, it sends no transfer, because the age of sent transfers is
        then unknown.
        """
        if not self._clock.trusted:
            return 0
        return await self._scan.round()

    async def work(self) -> bool:
        """Runs one round; returns False, because no work is left."""
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
            return False  # it may not be marked as SENT; a later round tries again
        except Exception as error:
            self._log_fault(secrets.token_hex(8), error)
            return False
        return True
