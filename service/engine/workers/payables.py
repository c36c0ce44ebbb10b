"""Payables worker: merges the rows of operators' balances, so that a payout reads few rows.

Each batch writes one balance row for each of its operators, so calls do not contend for one row.
Without this worker, a payout would add up all these rows inside the only writer: 1,000,000 rows
took 3 s. The worker merges a bounded portion in each transaction.
"""

from __future__ import annotations

from service.domain.errors import InvariantBroken
from service.engine.calls import Answer, Folded, Payloads, own_work
from service.engine.group_commit import Committer
from service.engine.operations import FoldPayable
from service.engine.pool import Pool
from service.engine.ports import PayableKey, Store

MORE = b"more"


def _more(answer: Answer, _payloads: Payloads) -> bytes:
    if not isinstance(answer, Folded):
        raise InvariantBroken("the answer is not of the method's type")
    return MORE if answer.more else b""


class PayableCompactor:
    """Merges the rows of balances, one portion of one balance at a time.

    Several processes may run it on one database: each row is merged by one of them.
    """

    def __init__(self, store: Store, committer: Committer, pool: Pool, *, rows: int) -> None:
        """Balances of more than `rows` rows are merged."""
        self._store = store
        self._committer = committer
        self._pool = pool
        self._rows = rows
        self._waiting: list[PayableKey] = []

    async def work(self) -> bool:
        """Merges a portion of a balance; returns True if more is waiting."""
        if not self._waiting:
            self._waiting = await self._pool.run(self._store.unfolded, self._rows)
        if not self._waiting:
            return False
        # The key is removed first, so that a balance that fails does not stop the others.
        key = self._waiting.pop()
        if await self._committer.submit(own_work(FoldPayable(*key), _more)) == MORE:
            self._waiting.append(key)
        return bool(self._waiting)
