"""Puts the server together, runs it, and takes it apart in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog

from service.books.verify import verify_books
from service.clock import Clock, ClockNews, SandboxClock, SystemClock
from service.config import CURRENCY, Limits
from service.engine.assess import Assessor
from service.engine.clock_gaps import ClockGaps
from service.engine.committer import Committer
from service.engine.dispatcher import Dispatcher
from service.engine.engine import Engine
from service.engine.folder import Folder
from service.engine.health import Prober
from service.engine.ports import Rail, Scorer
from service.engine.records import ClockGap, SealRecord, TermsFault
from service.engine.sealer import Sealer
from service.engine.sweeper import Sweeper
from service.engine.watch import CatalogWatch
from service.ids import Ids
from service.rpc import (
    authorizations,
    charges,
    collection,
    credit,
    ledger,
    rails,
    returns,
    sandbox,
)
from service.rpc.collection import CollectionReads
from service.rpc.credit import People
from service.rpc.keys import KeyRing
from service.rpc.ledger import LedgerServicer
from service.rpc.mutations import methods_of
from service.rpc.pipeline import Method, Pipeline
from service.rpc.rails import Rails
from service.rpc.reading import AuthorizationReads
from service.rpc.sandbox import SandboxServicer
from service.rpc.server import GrpcServer
from service.rpc.stored import read_answer
from service.signing import PublicKeys, SealKey
from service.storage.admin import find_principal
from service.storage.catalog_mark import catalog_mark
from service.storage.history import History
from service.storage.payables import payables_of
from service.storage.probe import probe
from service.storage.seals import SqlSealStore
from service.storage.store import SqlStore

log = structlog.get_logger("freehold")


def build_version() -> str:
    """The version that decisions are recorded with."""
    try:
        return version("freehold")
    except PackageNotFoundError:
        return "source"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of; tests hand in their own clock, ids and scorer."""

    store: SqlStore
    scorer: Scorer
    clock: Clock
    ids: Ids
    limits: Limits
    rail_secret: bytes | None = None
    """Shared with the payment rail, whose call-backs are signed with it; None: there is no rail."""
    rail: Rail | None = None
    """Where transfers are handed in; None: whoever runs the rail reads them by ListTransfers."""
    seal_key: SealKey | None = None
    """Signs the heads of the books; None: nothing is sealed."""
    clock_vouched: bool = False
    """Somebody says that the machine's clock is right, however long nothing has happened."""


class App:
    """One server process."""

    def __init__(self, parts: Parts) -> None:
        limits = parts.limits
        self._parts = parts
        store = parts.store
        assessor = Assessor(store, parts.scorer)
        self.clock_gaps = ClockGaps(_warn_of_gap)
        engine = Engine(
            store,
            assessor,
            parts.clock,
            parts.ids,
            currency=CURRENCY,
            build=build_version(),
            max_attempts=limits.max_attempts,
            log_fault=_log_fault,
            log_terms=_log_terms,
            notice_gap=self.clock_gaps.add,
            pauses=limits.conflict_pauses,
        )
        self.engine_statistics = engine.statistics
        self._prober = Prober(
            partial(probe, store.engine), self._tell_health, limits.probe, _log_health
        )
        self.committer = Committer(self._prober.noticing(engine.apply), limits.commit)
        self._sweeper = Sweeper(
            store,
            self.committer,
            parts.clock,
            portion=limits.sweep_portion,
            interval_s=limits.sweep_interval_s,
            log_fault=_log_fault,
        )
        self._watch = CatalogWatch(
            partial(catalog_mark, store.engine),
            engine.catalog_changed,
            interval_s=limits.catalog_interval_s,
            log_fault=_log_fault,
        )
        self._folder = Folder(
            store,
            self.committer,
            rows=limits.fold_rows,
            interval_s=limits.fold_interval_s,
            pause_s=limits.fold_pause_s,
            log_fault=_log_fault,
        )
        self._readers = ThreadPoolExecutor(limits.reader_threads, thread_name_prefix="reader")
        keys = KeyRing(
            partial(find_principal, store.engine),
            cache_s=limits.key_cache_s,
            max_cached=limits.max_cached_keys,
        )
        pipeline = Pipeline(
            keys,
            min_time_left_s=limits.min_time_left_s,
            max_calls=limits.max_calls_a_caller,
        )
        self._rails = Rails(self.committer, store, self._readers, parts.clock, parts.rail_secret)
        self._dispatcher = _dispatcher(parts, self.committer)
        self._sealer = _sealer(parts, self.committer)
        self._server = GrpcServer(pipeline, self._services(assessor), limits)
        self._background: list[asyncio.Task[None]] = []

    def _services(self, assessor: Assessor) -> dict[str, list[Method[Any]]]:
        parts, store, small = self._parts, self._parts.store, self._parts.limits.max_message_bytes
        people = People(
            self.committer,
            store,
            assessor,
            self._readers,
            currency=CURRENCY,
            bulk_in_flight=parts.limits.bulk_in_flight,
        )
        rentals = AuthorizationReads(store, self._readers)
        treasury = CollectionReads(partial(payables_of, store.engine), self._readers)
        signer = parts.seal_key
        keys = None if signer is None else PublicKeys([signer.public])
        verify = partial(verify_books, store.engine, keys, read_answer=read_answer)
        books = LedgerServicer(verify, History(store.engine), self._readers)
        changing = partial(methods_of, self.committer)
        services = {
            authorizations.SERVICE: [
                *rentals.methods(small),
                *changing(authorizations.MUTATIONS, small),
                *changing(returns.MUTATIONS, small),
                *changing(charges.MUTATIONS, small),
            ],
            credit.SERVICE: [
                *people.methods(small, parts.limits.max_bulk_message_bytes),
                *credit.Reviews(store, self._readers).methods(small),
                *changing(credit.MUTATIONS, small),
            ],
            collection.SERVICE: [
                *treasury.methods(small),
                *changing(collection.MUTATIONS, small),
            ],
            ledger.SERVICE: books.methods(small),
            rails.SERVICE: self._rails.methods(small),
        }
        if isinstance(parts.clock, SandboxClock):
            hand = SandboxServicer(parts.clock, self._catch_up)
            services[sandbox.SERVICE] = hand.methods(small)
        return services

    async def start(self, address: str) -> int:
        """Serves on the address; returns the port. Raises CannotListen, and ClockUnproven where
        the machine's clock is far ahead of the database and nobody vouches for it."""
        if isinstance(self._parts.clock, SystemClock):
            newest_us = self._parts.store.newest_us()
            self._parts.clock.compare_start(newest_us, vouched=self._parts.clock_vouched)
        self.committer.start()
        try:
            port = await self._server.start(address)
        except BaseException:
            await self.committer.close()
            self._readers.shutdown()
            raise
        await self._prober.start()
        if not isinstance(self._parts.clock, SandboxClock):
            loop = asyncio.get_running_loop()
            self._background = [loop.create_task(work) for work in self._background_work()]
        # These go by no clock but their own pauses, so in a sandbox as well.
        self._background.append(asyncio.create_task(self._prober.run()))
        self._background.append(asyncio.create_task(self._watch.run()))
        self._background.append(asyncio.create_task(self._folder.run()))
        if self._sealer is not None:
            self._background.append(asyncio.create_task(self._sealer.run()))
        return port

    async def _tell_health(self, serving: bool) -> None:
        self._parts.store.doubt()
        await self._server.set_serving(serving)

    def _background_work(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on beside the calls until the server stops."""
        works = [self._sweeper.run()]
        if self._dispatcher is not None:
            works.append(self._dispatcher.run())
        if self._parts.rail is not None:
            works.append(self._telling(self._parts.rail))
        return works

    async def _telling(self, rail: Rail) -> None:
        while True:
            await rail.tell(self._deliver)
            await asyncio.sleep(self._parts.limits.dispatch_interval_s)

    async def _deliver(self, body: bytes, signature: str) -> None:
        await self._rails.report(body, signature)

    async def _catch_up(self) -> int:
        """All that the background would do by now; returns how many authorizations time woke."""
        woken = await self._sweeper.sweep()
        if self._dispatcher is not None and self._parts.rail is not None:
            await self._dispatcher.dispatch()
            await self._parts.rail.tell(self._deliver)
        return woken

    async def stop(self) -> None:
        """Stops accepting, lets calls under way finish, drains the queue, closes."""
        self._prober.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        limits = self._parts.limits
        await self._server.stop(limits.drain_s, limits.notice_s)
        if self._sealer is not None:
            await self._sealer.close(limits.last_seal_s)
        await self.committer.close()
        self._readers.shutdown()
        self._parts.store.close()


def _dispatcher(parts: Parts, committer: Committer) -> Dispatcher | None:
    if parts.rail is None:
        return None
    limits = parts.limits
    return Dispatcher(
        parts.store,
        parts.rail,
        committer,
        parts.clock,
        portion=limits.dispatch_portion,
        interval_s=limits.dispatch_interval_s,
        resend_us=int(limits.resend_s * 1_000_000),
        log_fault=_log_fault,
    )


def _sealer(parts: Parts, committer: Committer) -> Sealer | None:
    if parts.seal_key is None:
        return None
    limits = parts.limits
    return Sealer(
        SqlSealStore(parts.store.engine),
        committer,
        parts.clock,
        parts.seal_key,
        max_heads=limits.seal_heads,
        interval_s=limits.seal_interval_s,
        pause_s=limits.seal_pause_s,
        log_seal=_log_seal,
        log_fault=_log_fault,
    )


CLOCK_NEWS = {
    ClockNews.JUMPED: "the machine's clock was set: time goes on as before, and until the clock "
    "is right again nothing lapses, is lost, sold or debited by time alone; where it is right as "
    "it is, restart the server",
    ClockNews.RIGHT_AGAIN: "the machine's clock is followed again",
    ClockNews.BEHIND: "the machine's clock is behind the newest event in the database: one of "
    "them is wrong; set the clock and restart the server",
}


def log_clock(news: ClockNews, off_us: int) -> None:
    """Writes to the log what the clock has to tell."""
    # A log that cannot be written must not stop whoever asks for the time.
    with suppress(Exception):
        write = log.info if news is ClockNews.RIGHT_AGAIN else log.error
        write(str(news), off_s=round(off_us / 1_000_000, 3), what=CLOCK_NEWS[news])


def _log_seal(seal: SealRecord) -> None:
    # Noted elsewhere, with the log: a witness of seals that somebody may cut off.
    with suppress(Exception):
        witness = f"{seal.number}:{seal.digest.hex()}"
        log.info("seal", witness=witness, heads=len(seal.heads), key_id=seal.key_id)


def _log_terms(fault: TermsFault, *, mended: bool) -> None:
    with suppress(Exception):
        write, event = (log.info, "terms_right_again") if mended else (log.error, "terms_wrong")
        write(event, kind=str(fault.kind), of=[str(part) for part in fault.key], why=fault.why)


def _warn_of_gap(gap: ClockGap, seen: int) -> None:
    # An operator's id is no person's.
    with suppress(Exception):
        log.warning(
            "clock ahead",
            operator_id=gap.caller,
            method=gap.method,
            ahead_s=round(gap.gap_us / 1_000_000, 3),
            seen=seen,
            why="the time that was told is more than a minute later than this server's: it was"
            " taken as now; set the clock that is wrong",
        )


def _log_health(serving: bool, error: BaseException | None) -> None:
    with suppress(Exception):
        if serving:
            log.info("storage is back")
        else:
            # Why a batch was refused stands in the fault that was logged before.
            why = "a batch was refused" if error is None else str(error)
            cause = None if error is None else error.__cause__
            said = cause and (str(cause) or type(cause).__name__).splitlines()[0]
            log.error("storage is away", why=why, cause=said)


def _log_fault(fault_id: str, error: BaseException) -> None:
    # A log that cannot be written (closed pipe, full disk) must not stop the calls.
    with suppress(Exception):
        log.error("fault", fault_id=fault_id, exc_info=error)


def _calm_collector() -> None:
    """Keeps the garbage collector from walking what lives as long as the server.

    A full collection over the imported libraries stopped every call for about 100 ms. What is
    there now is set aside; calls make few cycles, so that young objects may gather.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _take_turns() -> None:
    """Keeps the server's threads from interrupting each other; for those that start from here on.

    gRPC's threads, the loop and the writer wake one another several times a call. To Linux, what
    is marked as a batch job does not, when it wakes, interrupt what runs: it comes next. Where
    all share a core that spares many switches of threads.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # where that is not allowed
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def serve(parts: Parts, address: str) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns; raises as `App.start`."""
    _take_turns()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    app = App(parts)
    _calm_collector()
    port = await app.start(address)
    host = address.rpartition(":")[0]
    log.info(
        "serving",
        address=f"{host}:{port}",
        model_id=parts.scorer.model_id,
        sandbox=isinstance(parts.clock, SandboxClock),
        build=build_version(),
    )
    if parts.seal_key is None:
        log.warning("unsealed", why="no --seal-key was given: the books are chained, not signed")
    await stopping.wait()
    log.info("stopping", waiting=app.committer.waiting)
    await app.stop()
    statistics = app.committer.statistics
    log.info(
        "stopped",
        batches=statistics.batches,
        commands=statistics.commands,
        batch_mean=round(statistics.batch_mean, 2),
        batch_histogram={str(size): n for size, n in sorted(statistics.sizes.items())},
        times_ahead=app.clock_gaps.ahead,
        times_far_ahead=app.clock_gaps.far_ahead,
        times_before_start=app.clock_gaps.before_start,
        **asdict(app.engine_statistics),
    )
