"""Runs a server process: its signals, its threads' turns, and its first and last log lines."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial

import structlog

from service.app import App, build_version
from service.clock import SandboxClock
from service.ending import FAILED, heed_signals
from service.engine.pool import NoPool
from service.logs import LogStream, end_process
from service.metrics.collector import registry_of, text_of
from service.metrics.endpoint import PATH, Endpoint
from service.notify import notify, pet_watchdog
from service.parts import Parts
from service.rpc.unix_socket import UNIX

log = structlog.get_logger("freehold")


def _calm_collector() -> None:
    """Keeps the garbage collector away from objects that live as long as the server.

    A full collection over the imported libraries stopped every call for about 100 ms. Existing
    objects are frozen. The only cycles of a call are gRPC's own: the function that looks for the
    method's handler refers to itself, and keeps the call's metadata. These are six objects and
    about 1 KB a call, so young objects may accumulate: a collection comes after 8,000 calls.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _take_turns() -> None:
    """Keeps the server's threads from interrupting each other; affects threads started from now on.

    gRPC's threads, the loop and the writer wake one another several times a call. On Linux a batch
    thread that wakes does not interrupt the running thread; it runs next. If all threads share a
    core, that saves many switches. For the same reason a thread keeps the interpreter's lock for 10
    ms instead of 5 ms when another thread asks for the lock. So the writer decides a whole batch in
    one turn.
    """
    sys.setswitchinterval(0.010)
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # the system may not allow it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _export(app: App, address: str, log_stream: LogStream | None) -> Endpoint:
    """Serves the metrics on the address; raises CannotListen."""
    make = partial(text_of, registry_of(app, log_stream))
    endpoint = Endpoint(make, app.parts.limits.metrics, app.faults)
    port = endpoint.start(address)
    log.info("metrics", address=f"{address.rpartition(':')[0]}:{port}", path=PATH)
    return endpoint


async def serve(
    parts: Parts, address: str, metrics: str | None = None, log_stream: LogStream | None = None
) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns; raises as `App.start`.

    Ends the process if a part of the server fails or does not end in time, or after a second
    signal.
    `metrics` is the address of the endpoint for Prometheus. `log_stream` counts dropped lines.
    """
    _take_turns()
    stopping = asyncio.Event()
    asyncio.get_running_loop().set_default_executor(NoPool())
    limits = parts.limits
    end = partial(end_process, limits=limits.log)
    heed_signals(stopping.set, limits.drain_s + 2 * limits.closing_s, end)
    app = App(parts, stopping.set)
    _calm_collector()
    endpoint = None if metrics is None else _export(app, metrics, log_stream)
    try:
        port = await app.start(address)
    except BaseException:
        if endpoint is not None:
            endpoint.stop()
        raise
    host = address.rpartition(":")[0]
    petting = asyncio.create_task(pet_watchdog())
    notify("READY=1")
    log.info(
        "serving",
        # A socket file has no port.
        address=address if address.startswith(UNIX) else f"{host}:{port}",
        tls=parts.tls is not None,
        model_id=parts.scorer.model_id,
        sandbox=isinstance(parts.clock, SandboxClock),
        build=build_version(),
    )
    if parts.seal_key is None:
        log.warning("unsealed", why="no --seal-key was given: the books are chained, not signed")
    await stopping.wait()
    notify("STOPPING=1")
    log.info("stopping", waiting=app.committer.waiting)
    running = await app.stop()
    petting.cancel()
    if endpoint is not None:
        endpoint.stop()
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
    if running:
        log.error("not_ended_in_time", parts=running)
    if running or app.failed:
        end(FAILED)
