"""The folder: adds up what operators are owed, so that a payout finds few rows.

Each batch writes one row for each operator whom it concerns, so that no two calls wait for one
balance. Left alone they would be added up by the payout, inside the one writer: 1,000,000 rows
took it 3 s. So they are added up beside the calls, a bounded portion in each transaction.
"""

from __future__ import annotations

import asyncio
import secrets

from service.domain.errors import FreeholdError, InvariantBroken
from service.engine.commands import Answer, Folded, FoldPayable, own_work
from service.engine.committer import Committer
from service.engine.engine import FaultLog
from service.engine.pool import Pool
from service.engine.ports import Store

MORE = b"more"


def _more(answer: Answer) -> bytes:
    if not isinstance(answer, Folded):
        raise InvariantBroken("an answer of another kind")
    return MORE if answer.more else b""


class Folder:
    """Folds at intervals, through the same committer as every call.

    Several processes may fold one database: each row is taken by one of them.
    """

    def __init__(
        self,
        store: Store,
        committer: Committer,
        pool: Pool,
        *,
        rows: int,
        interval_s: float,
        pause_s: float,
        log_fault: FaultLog,
    ) -> None:
        self._store = store
        self._committer = committer
        self._pool = pool
        self._rows = rows
        self._interval_s = interval_s
        self._pause_s = pause_s
        self._log_fault = log_fault

    async def fold(self) -> None:
        """Folds the balances that have come to stand in more than so many rows."""
        for operator_id, currency in await self._pool.run(self._store.unfolded, self._rows):
            while (
                await self._committer.submit(own_work(FoldPayable(operator_id, currency), _more))
                == MORE
            ):
                await asyncio.sleep(self._pause_s)

    async def run(self) -> None:
        """Folds at intervals until cancelled."""
        while True:
            try:
                await self.fold()
            except FreeholdError:
                pass  # busy or away; what is left is folded in the next round
            except Exception as error:
                self._log_fault(secrets.token_hex(8), error)
            await asyncio.sleep(self._interval_s)
