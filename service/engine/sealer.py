"""The sealer: every few seconds it signs the heads of the lines that changed.

A chain by itself shows that something was changed, not that all of it was made anew: whoever has
the database can compute every link again. A seal is signed with a key that the database does not
have, and seals are chained, so that what was sealed can neither be rewritten nor cut off. What a
line got after its last seal is protected only by the next one; and seals cut off at the end are
missed only by somebody who noted one, which is why each is logged.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from service.clock import Clock
from service.domain.chain import NO_LINK, seal_digest
from service.domain.errors import FreeholdError
from service.engine.commands import RecordSeal, own_work
from service.engine.committer import Committer
from service.engine.engine import FaultLog
from service.engine.pool import Pool
from service.engine.ports import OutboxMark, SealStore, Signer
from service.engine.records import SealRecord

LogSeal = Callable[[SealRecord], None]


class Sealer:
    """Seals in bounded portions, through the same committer as every call.

    It reads on connections of its own, so that calls wait only for the write of the seal. Several
    processes may seal one database: a number is given once, and whoever comes second looks again.
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
        interval_s: float,
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
        self._interval_s = interval_s
        self._pause_s = pause_s
        self._log_seal = log_seal
        self._log_fault = log_fault
        self._seen: OutboxMark | None = None
        self._settled = 0
        self._looked = 0

    async def seal(self) -> bool:
        """Seals a portion of what changed; returns whether more is waiting."""
        mark = await self._pool.run(self._store.outbox_mark)
        self._settle(mark)
        found = await self._pool.run(
            self._store.unsealed, self._looked, self._settled, self._max_heads
        )
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
            return False  # another process sealed, or the outcome is unknown: the next round looks
        self._looked = found.outbox_sequence
        self._log_seal(seal)
        return found.more

    def _settle(self, mark: OutboxMark) -> None:
        """How far the outbox is complete: no transaction can put an event there any more.

        On PostgreSQL an event with a later number may be committed first. So a number that was
        seen counts only once every transaction has ended that was under way when it was seen.
        Whoever keeps a transaction open, anywhere on that server, keeps seals waiting.
        """
        if self._seen is not None and mark.oldest_open >= self._seen.next_transaction:
            self._settled = self._seen.sequence
            self._seen = None
        if mark.oldest_open >= mark.next_transaction:
            self._settled = mark.sequence  # nothing is under way
        elif self._seen is None:
            self._seen = mark

    async def close(self, within_s: float) -> None:
        """Seals all that happened until now, as far as the time allows."""
        try:
            async with asyncio.timeout(within_s):
                until = (await self._pool.run(self._store.outbox_mark)).sequence
                while await self.seal() or self._looked < until:
                    await asyncio.sleep(self._pause_s)
        except Exception as error:
            self._log_fault(secrets.token_hex(8), error)

    async def run(self) -> None:
        """Seals at intervals until cancelled; what is waiting comes in quick succession."""
        while True:
            more = False
            try:
                more = await self.seal()
            except Exception as error:
                # What could not be sealed now is looked for again in the next round.
                self._log_fault(secrets.token_hex(8), error)
            await asyncio.sleep(self._pause_s if more else self._interval_s)
