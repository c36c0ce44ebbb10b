"""`freehold serve` and `freehold health`."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from service.cli.parts import database_option, opened
from service.clock import Clock, SandboxClock, SystemClock

if TYPE_CHECKING:
    from service.rails.simulated import SimulatedRail


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:50051",
    show_default=True,
    help="Address to listen on, HOST:PORT.",
)
@database_option
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder that `freehold train` wrote.",
)
@click.option(
    "--sandbox",
    metavar="INSTANT",
    help="Use a clock that starts at this instant (ISO 8601) and moves only by "
    "SandboxService.AdvanceClock.",
)
@click.option(
    "--rail-secret",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="FREEHOLD_RAIL_SECRET",
    help="File with the secret by which the payment rail signs its call-backs.",
)
@click.option(
    "--seal-key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FREEHOLD_SEAL_KEY",
    help="File that `freehold create-seal-key` wrote. Without it the books are not sealed.",
)
@click.option(
    "--simulated-rail",
    is_flag=True,
    help="Use a simulated payment rail, which moves no money; only with --sandbox.",
)
@click.option(
    "--trust-clock",
    is_flag=True,
    help="Start even if nothing was recorded for more than 30 days. Check the clock first.",
)
def serve(
    listen: str,
    database: str,
    model: Path,
    sandbox: str | None,
    rail_secret: Path | None,
    simulated_rail: bool,
    seal_key: Path | None,
    trust_clock: bool,
) -> None:
    """Serve the API until SIGTERM."""
    import uvloop

    from models.scorer import ModelScorer
    from service.app import Parts
    from service.config import LIMITS
    from service.ids import RandomIds
    from service.logs import configure_logs
    from service.rpc.server import CannotListen
    from service.serving import serve as run
    from service.signing import load_seal_key
    from service.storage.database import serving
    from service.storage.store import SqlStore

    configure_logs()
    _check_address(listen, "--listen")
    engine = opened(database)
    clock = _clock(sandbox)
    secret, rail = _rail(rail_secret, simulated_rail, clock)
    signer = None if seal_key is None else load_seal_key(seal_key)
    with serving(engine):
        store, scorer = SqlStore(engine), ModelScorer.load(model)
        scorer.bound_reasons(LIMITS.reasons_budget_s)
        for why in scorer.warnings:
            structlog.get_logger("freehold").warning("model", model_id=scorer.model_id, why=why)
        parts = Parts(store, scorer, clock, RandomIds(), LIMITS, secret, rail, signer, trust_clock)
        try:
            uvloop.run(run(parts, listen))
        except CannotListen as error:
            raise click.ClickException(str(error)) from error


def _check_address(address: str, hint: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        raise click.BadParameter(f"{address} is not HOST:PORT", param_hint=hint)


@click.command()
@click.argument("address", envvar="FREEHOLD_ADDRESS")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Seconds to keep asking a server that does not serve yet.",
)
def health(address: str, wait_s: float) -> None:
    """Ask a server whether it serves.

    ADDRESS is HOST:PORT. The exit code is 0 if the server serves. No key is needed."""
    from service.rpc.health_client import NotServing, require_serving

    _check_address(address, "ADDRESS")
    try:
        require_serving(address, wait_s)
    except NotServing as error:
        raise click.ClickException(f"{address} does not serve: {error}") from error
    click.echo("SERVING")


def _rail(
    secret_file: Path | None, simulated: bool, clock: Clock
) -> tuple[bytes | None, SimulatedRail | None]:
    """The secret shared with the payment rail, and the simulated rail; None if absent.

    Raises BadParameter."""
    from service.rails.callbacks import SECRET_BYTES
    from service.rails.simulated import SimulatedRail

    if simulated and not isinstance(clock, SandboxClock):
        raise click.BadParameter("is allowed only with --sandbox", param_hint="--simulated-rail")
    secret = None
    if secret_file is not None:
        secret = secret_file.read_bytes().strip()
        if len(secret) < SECRET_BYTES:
            raise click.BadParameter(
                f"the file has fewer than {SECRET_BYTES} bytes", param_hint="--rail-secret"
            )
    elif simulated:
        secret = os.urandom(32)
    rail = SimulatedRail(secret, clock) if simulated and secret is not None else None
    return secret, rail


def _clock(sandbox: str | None) -> Clock:
    if sandbox is None:
        from service.alarms import log_clock
        from service.config import LIMITS

        return SystemClock(tell=log_clock, limits=LIMITS.clock)
    try:
        start = datetime.fromisoformat(sandbox)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--sandbox") from error
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    if not 2020 <= start.year < 2055:
        raise click.BadParameter("the year must be from 2020 to 2054", param_hint="--sandbox")
    return SandboxClock(int(start.timestamp()) * 1_000_000)
