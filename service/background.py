"""The work that a server does beside the calls: it wakes, sends, seals, watches and tidies."""

from __future__ import annotations

import asyncio
from functools import partial

from service.alarms import log_seal, tell_owed_back
from service.clock import SandboxClock
from service.engine.engine import Engine, FaultLog
from service.engine.group_commit import Committer
from service.engine.pool import Pool
from service.engine.workers.cases import CaseClock
from service.engine.workers.catalog import CatalogReloader
from service.engine.workers.debts import DebtWatch
from service.engine.workers.figures import FiguresWatch
from service.engine.workers.key_uses import KeyUses
from service.engine.workers.owed_back import OwedBackWatch
from service.engine.workers.payables import PayableCompactor
from service.engine.workers.seals import Sealer
from service.engine.workers.timers import Timers
from service.engine.workers.transfers import Transfers
from service.engine.workers.worker import Work, Worker
from service.parts import Parts
from service.rpc.keys import KeyRing
from service.rpc.rail_service import Rails
from service.storage.horizon import Horizon
from service.storage.seals import SqlSealStore
from service.watching import breaker_work

Works = dict[str, tuple[Work, float, float | None]]
"""Each work with the seconds between two rounds, and those between two portions of a round."""


class Background:
    """The workers of a server, which run until it stops."""

    def __init__(
        self,
        parts: Parts,
        engine: Engine,
        committer: Committer,
        pool: Pool,
        horizon: Horizon,
        keys: KeyRing,
        rails: Rails,
        faults: FaultLog,
    ) -> None:
        """`pool` runs what reads the database, and `rails` hears the payment rail."""
        limits, store = parts.limits, parts.store
        self._parts, self._rails = parts, rails
        self._timers = Timers(store, committer, parts.clock, pool, portion=limits.sweep_portion)
        self._cases = CaseClock(store, committer, parts.clock, pool, portion=limits.sweep_portion)
        self._transfers = _transfers(parts, committer, pool, faults)
        self.sealer = _sealer(parts, committer, horizon, pool, faults)
        self.owed_back = OwedBackWatch(
            store,
            parts.clock,
            pool,
            late_us=int(limits.refund_late_s * 1_000_000),
            report=tell_owed_back,
        )
        self.figures = FiguresWatch(store, parts.clock, pool, self._sealed_sequence)
        self.workers = [
            Worker(name, work, interval_s=interval_s, pause_s=pause_s, log_fault=faults)
            for name, (work, interval_s, pause_s) in self._works(
                engine, committer, pool, keys
            ).items()
        ]

    def start(self) -> None:
        """Starts the workers; call it on the event loop."""
        for worker in self.workers:
            worker.start()

    async def stop(self) -> None:
        """Waits for the ends of the rounds that go on."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    async def last_seal(self, within_s: float) -> None:
        """Seals what has changed since the last seal, if there is a key."""
        if self.sealer is not None:
            await self.sealer.close(within_s)

    async def catch_up(self) -> int:
        """Does the due background work now; returns the number of authorizations woken and of
        cases decided."""
        woken = await self._timers.wake_due() + await self._cases.decide_over()
        if self._transfers is not None:
            await self._transfers.send_requested()
            await self._hear_rail()
        return woken

    def _works(self, engine: Engine, committer: Committer, pool: Pool, keys: KeyRing) -> Works:
        limits, store = self._parts.limits, self._parts.store
        compactor = PayableCompactor(store, committer, pool, rows=limits.fold_rows)
        uses = KeyUses(keys, lambda uses: committer.between(store.note_uses, uses))
        works: Works = {
            # These workers depend only on their own pauses, so they run in a sandbox as well.
            "breakers": breaker_work(engine.terms, store.engine, self._parts.clock, pool, limits),
            "catalog": (CatalogReloader(engine.terms, pool).work, limits.catalog_interval_s, None),
            "debts": (DebtWatch(engine.debts, pool).work, limits.debts_interval_s, None),
            "key uses": (uses.work, limits.keys.use_interval_s, None),
            "owed back": (self.owed_back.work, limits.owed_back_interval_s, None),
            "payables": (compactor.work, limits.fold_interval_s, limits.fold_pause_s),
        }
        if self._parts.tls is not None:
            watch = partial(self._parts.tls.watch, pool)
            works["certificates"] = (watch, limits.tls.check_s, None)
        if self._parts.watched:
            works["figures"] = (self.figures.work, limits.figures_interval_s, None)
        if self.sealer is not None:
            works["seals"] = (self.sealer.seal, limits.seal_interval_s, limits.seal_pause_s)
        if not isinstance(self._parts.clock, SandboxClock):
            works["timers"] = (self._timers.work, limits.sweep_interval_s, None)
            works["cases"] = (self._cases.work, limits.sweep_interval_s, None)
            if self._transfers is not None:
                works["transfers"] = (self._transfers.work, limits.dispatch_interval_s, None)
            if self._parts.rail is not None:
                works["rail"] = (self._hear_rail, limits.dispatch_interval_s, None)
        return works

    def _sealed_sequence(self) -> int:
        """The number of the last event up to which this server sealed every line; 0 if none."""
        return 0 if self.sealer is None else self.sealer.sealed_sequence

    async def _hear_rail(self) -> bool:
        """Lets the rail send its due call-backs; returns False, because no work is left."""
        if self._parts.rail is not None:
            await self._parts.rail.tell(self._rails.report)
        return False


def _transfers(
    parts: Parts, committer: Committer, pool: Pool, faults: FaultLog
) -> Transfers | None:
    if parts.rail is None:
        return None
    return Transfers(
        parts.store,
        parts.rail,
        committer,
        parts.clock,
        pool,
        portion=parts.limits.dispatch_portion,
        resend_us=int(parts.limits.resend_s * 1_000_000),
        log_fault=faults,
    )


def _sealer(
    parts: Parts, committer: Committer, horizon: Horizon, pool: Pool, faults: FaultLog
) -> Sealer | None:
    if parts.seal_key is None:
        return None
    return Sealer(
        SqlSealStore(parts.store.engine, horizon),
        committer,
        parts.clock,
        parts.seal_key,
        pool,
        max_heads=parts.limits.seal_heads,
        pause_s=parts.limits.seal_pause_s,
        log_seal=log_seal,
        log_fault=faults,
    )
