"""Payables: what operators are owed is added up, so that a payout finds few rows.

Each batch writes one row for each operator whom it concerns, so that no two calls wait for one
balance. Left alone they would be added up by the payout, inside the one writer: 1,000,000 rows
took it 3 s. So they are added up beside the calls, a bounded portion in each transaction.
"""

from __future__ import annotations

from service.domain.errors import InvariantBroken
from service.engine.calls import Answer, BytesOf, Folded, own_work
from service.engine.group_commit import Committer
from service.engine.operations import FoldPayable
from service.engine.pool import Pool
from service.engine.ports import PayableKey, Store

MORE = b"more"


def _more(answer: Answer, _bytes_of: BytesOf) -> bytes:
    if not isinstance(answer, Folded):
        raise InvariantBroken("an answer of another kind")
    return MORE if answer.more else b""


class PayableCompactor:
    """Adds balances up, one portion of one balance at a time.

    Several processes may compact one database: each row is taken by one of them.
    """

    def __init__(self, store: Store, committer: Committer, pool: Pool, *, rows: int) -> None:
        """A balance in more than `rows` rows is added up."""
        self._store = store
        self._committer = committer
        self._pool = pool
        self._rows = rows
        self._waiting: list[PayableKey] = []

    async def work(self) -> bool:
        """Adds up a portion of a balance; returns whether more is waiting."""
        if not self._waiting:
            self._waiting = await self._pool.run(self._store.unfolded, self._rows)
        if not self._waiting:
            return False
        # Taken off first: a balance that cannot be added up now must not stop the others.
        key = self._waiting.pop()
        if await self._committer.submit(own_work(FoldPayable(*key), _more)) == MORE:
            self._waiting.append(key)
        return bool(self._waiting)
