"""Puts the server together, runs it, and takes it apart in order."""

from __future__ import annotations

import asyncio
import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog

from service.clock import Clock, SandboxClock
from service.config import CURRENCY, Limits
from service.engine.assess import Assessor
from service.engine.committer import Committer
from service.engine.engine import Engine
from service.engine.sweeper import Sweeper
from service.engine.ports import Scorer
from service.ids import Ids
from service.rpc import authorizations, credit, ledger, sandbox
from service.rpc.authorizations import AuthorizationServicer
from service.rpc.credit import CreditServicer
from service.rpc.keys import KeyRing
from service.rpc.ledger import LedgerServicer
from service.rpc.pipeline import Method, Pipeline
from service.rpc.sandbox import SandboxServicer
from service.rpc.server import GrpcServer
from service.storage.admin import find_principal
from service.storage.store import SqlStore
from service.storage.verify import verify_books

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


class App:
    """One server process."""

    def __init__(self, parts: Parts) -> None:
        limits = parts.limits
        self._parts = parts
        store = parts.store
        assessor = Assessor(store, parts.scorer)
        engine = Engine(
            store,
            assessor,
            parts.clock,
            parts.ids,
            currency=CURRENCY,
            build=build_version(),
            max_attempts=limits.max_attempts,
            log_fault=_log_fault,
        )
        self.committer = Committer(engine.apply, limits.commit)
        self._sweeper = Sweeper(
            store,
            self.committer,
            parts.clock,
            portion=limits.sweep_portion,
            interval_s=limits.sweep_interval_s,
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
        self._server = GrpcServer(pipeline, self._services(assessor), limits)
        self._sweeping: asyncio.Task[None] | None = None

    def _services(self, assessor: Assessor) -> dict[str, list[Method[Any]]]:
        parts, store, small = self._parts, self._parts.store, self._parts.limits.max_message_bytes
        people = CreditServicer(
            self.committer,
            store,
            assessor,
            self._readers,
            clock=parts.clock,
            currency=CURRENCY,
            bulk_in_flight=parts.limits.bulk_in_flight,
        )
        rentals = AuthorizationServicer(self.committer, store, self._readers)
        books = LedgerServicer(partial(verify_books, store.engine), self._readers)
        services = {
            authorizations.SERVICE: rentals.methods(small),
            credit.SERVICE: people.methods(small, parts.limits.max_bulk_message_bytes),
            ledger.SERVICE: books.methods(small),
        }
        if isinstance(parts.clock, SandboxClock):
            hand = SandboxServicer(parts.clock, self._sweeper.sweep)
            services[sandbox.SERVICE] = hand.methods(small)
        return services

    async def start(self, address: str) -> int:
        """Serves on the address; returns the port. Raises AddressInUse."""
        self.committer.start()
        try:
            port = await self._server.start(address)
        except BaseException:
            await self.committer.close()
            self._readers.shutdown()
            raise
        if not isinstance(self._parts.clock, SandboxClock):
            self._sweeping = asyncio.get_running_loop().create_task(self._sweeper.run())
        return port

    async def stop(self) -> None:
        """Stops accepting, lets calls under way finish, drains the queue, closes."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        limits = self._parts.limits
        await self._server.stop(limits.drain_s, limits.notice_s)
        await self.committer.close()
        self._readers.shutdown()
        self._parts.store.close()


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


async def serve(parts: Parts, address: str) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns."""
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
    )
