"""Seals worker: signs the heads of changed lines every few seconds.

A hash chain alone shows that an entry was changed, but not that the whole chain was rewritten:
anyone who can write the database can compute every link again. A seal is signed with a key that is
not in the database, and seals are chained. So sealed entries can be neither rewritten nor removed.
Entries after a line's last seal are protected only by the next seal. The removal of the last seals
is detected only with a witness: the number and digest of a seal, noted elsewhere. Therefore each
seal is logged.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from service.clock import Clock
from service.domain.errors import FreeholdError
from service.domain.hash_chain import NO_LINK, seal_digest
from service.engine.calls import own_work
from service.engine.engine import FaultLog
from service.engine.group_commit import Committer
from service.engine.operations import RecordSeal
from service.engine.pool import Pool
from service.engine.ports import SealStore, Signer
from service.engine.records.seals import SealRecord

LogSeal = Callable[[SealRecord], None]


class Sealer:
    """Seals in bounded portions, through the same committer as every call.

    The sealer reads on connections of its own, so calls wait only for the write of the seal.
    Several processes may seal one database: each number is used once, and the later process starts
    over.
    """

    def __init__(
        self,
        store: SealStore,
        committer: Committer,
        clock: Clock,
        signer: Signer,
        pool: Pool,
        *,
        max_heads: int,
        pause_s: float,
        log_seal: LogSeal,
        log_fault: FaultLog,
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._signer = signer
        self._pool = pool
        self._max_heads = max_heads
        self._pause_s = pause_s
        self._log_seal = log_seal
        self._log_fault = log_fault
        self._looked = 0

    @property
    def sealed_sequence(self) -> int:
        """The number of the last event up to which every line was sealed."""
        return self._looked

    async def seal(self) -> bool:
        """Seals a portion of the changed lines; returns True if more wait."""
        found = await self._pool.run(self._store.unsealed, self._looked, self._max_heads)
        if not found.heads:
            self._looked = found.outbox_sequence
            return found.more
        last, heads = found.last, tuple(sorted(found.heads, key=lambda it: it.head))
        number = 1 if last is None else last.number + 1
        previous = NO_LINK if last is None else last.digest
        seal_us = self._clock.now_us()
        covered = [(it.version, it.head) for it in heads]
        digest = seal_digest(number, previous, seal_us, found.outbox_sequence, covered)
        signature = await self._pool.run(self._signer.sign, digest)
        seal = SealRecord(
            number,
            previous,
            digest,
            signature,
            self._signer.key_id,
            seal_us,
            found.outbox_sequence,
            heads,
        )
        try:
            await self._committer.submit(own_work(RecordSeal(seal)))
        except FreeholdError:
            # Another process sealed, or the outcome is unknown: the next round tries again.
            return False
        self._looked = found.outbox_sequence
        self._log_seal(seal)
        return found.more

    async def close(self, within_s: float) -> None:
        """Seals all events until now, as far as the time allows."""
        try:
            async with asyncio.timeout(within_s):
                until = await self._pool.run(self._store.last_event)
                while await self.seal() or self._looked < until:
                    await asyncio.sleep(self._pause_s)
        except Exception as error:
            self._log_fault(secrets.token_hex(8), error)
