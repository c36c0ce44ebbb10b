"""`freehold serve` and `freehold health`."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_IRWXO
from typing import TYPE_CHECKING, Any

import click

from service.cli.parts import OPTIONS, load_model, loaded, opened, settings_options
from service.cli.settings import ADDRESS, Settings
from service.clock import Clock, SandboxClock, SystemClock

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from models.scorer import ModelScorer
    from service.rails.simulated import SimulatedRail
    from service.rpc.tls import ServerTls

FILE = click.Path(dir_okay=False, path_type=Path)


def _warn_of_model(model_id: str, why: str) -> None:
    """One line of the server's log."""
    # Its import takes an eighth of a command's start, and only a server writes a log.
    import structlog

    structlog.get_logger("freehold").warning("model", model_id=model_id, why=why)


@click.command()
@settings_options(*(it.name for it in OPTIONS))
@click.option(
    "--trust-clock",
    is_flag=True,
    help="Start even if nothing was recorded for more than 30 days. Check the clock first.",
)
def serve(options: dict[str, Any], config_file: Path | None, trust_clock: bool) -> None:
    """Serve the API until SIGTERM.

    Every setting can also be given by the environment or a file, limits too; see `freehold config
    show`."""
    import uvloop

    from service.alarms import warn_of_open_files
    from service.ids import RandomIds
    from service.logs import configure_logs
    from service.parts import Parts
    from service.rpc.server import CannotListen
    from service.rpc.transports import TransportMissing
    from service.serving import serve as run
    from service.signing import load_seal_key
    from service.storage.database import files_open_to_others, serving
    from service.storage.store import SqlStore

    settings = loaded(options, config_file).settings
    limits = settings.limits
    log_stream = configure_logs(limits.log)
    tls = _tls(settings)
    engine = opened(settings.database)
    clock = _clock(settings)
    secret, rail = _rail(settings, clock)
    signer = None if settings.seal_key is None else load_seal_key(settings.seal_key)
    with serving(engine):
        secrets = _open_secrets(settings.rail_secret)
        warn_of_open_files([*files_open_to_others(engine), *secrets])
        store, scorer = SqlStore(engine), load_model(settings)
        require_fair(engine, scorer)
        warn_of_findings(engine, scorer.model_id)
        require_real(scorer, sandbox=settings.sandbox is not None)
        scorer.bound_reasons(limits.reasons_budget_s)
        for why in scorer.warnings:
            _warn_of_model(model_id=scorer.model_id, why=why)
        parts = Parts(
            store,
            scorer,
            clock,
            RandomIds(),
            limits,
            secret,
            rail,
            signer,
            trust_clock,
            tls,
            watched=settings.metrics is not None,
            transport=settings.transport,
        )
        try:
            uvloop.run(run(parts, settings.listen, settings.metrics, log_stream))
        except (CannotListen, TransportMissing) as error:
            raise click.ClickException(str(error)) from error


def require_fair(engine: Engine, scorer: ModelScorer) -> None:
    """Raises ModelBlocked for a blocked model without two people who accept it; a difference that
    needs their signatures is only warned of."""
    from models.fairness_gate import BLOCKED, NEEDED, TWO_SIGNATURES
    from service.storage.models import SIGNATURES, people_who_accept, require_accepted

    verdict, model_id = scorer.manifest.fairness, scorer.model_id
    if verdict == BLOCKED:
        require_accepted(engine, model_id)
    elif verdict == TWO_SIGNATURES and len(people_who_accept(engine, model_id)) < SIGNATURES:
        why = f"fairness: approval differs between groups; let {NEEDED}"
        _warn_of_model(model_id=model_id, why=why)


def warn_of_findings(engine: Engine, model_id: str) -> None:
    """Logs the open findings of high severity on the served model, which stays in service: only
    people can say whether another model is better, and a business must not stop by a note."""
    from service.storage.database import reading
    from service.storage.findings import high_findings

    with reading(engine) as connection:
        numbers = high_findings(connection, model_id).get(model_id)
    if numbers:
        why = (
            f"it has open findings of high severity ({', '.join(map(str, numbers))}): read them by "
            "`freehold model finding list`, and serve another model, or let another person close"
            " them"
        )
        _warn_of_model(model_id=model_id, why=why)


def require_real(scorer: ModelScorer, *, sandbox: bool) -> None:
    """Raises ModelSimulated for a model of simulated outcomes outside a sandbox."""
    from service.storage.models import ModelSimulated

    if scorer.manifest.simulated and not sandbox:
        raise ModelSimulated(scorer.model_id)


def _open_secrets(*files: Path | None) -> list[str]:
    """The files that every user of the machine may read or write; the group may be the server's."""
    return [str(it) for it in files if it is not None and it.stat().st_mode & S_IRWXO]


def _tls(settings: Settings) -> ServerTls | None:
    """The server's certificate, or None for plaintext. Raises TlsUnusable."""
    from service.alarms import TLS_ALARMS
    from service.certificates import Certificates, TlsFiles
    from service.rpc.tls import ServerTls

    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    files = TlsFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    tls = ServerTls(Certificates(files, TLS_ALARMS), settings.limits.tls)
    tls.warn()
    return tls


@click.command()
@click.argument("address", envvar="FREEHOLD_ADDRESS")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    show_default=True,
    help="Seconds to keep asking a server that does not serve yet.",
)
@click.option(
    "--tls-ca",
    type=FILE,
    envvar="FREEHOLD_TLS_CA",
    help="PEM file with the authority of the server's certificate; asks by TLS.",
)
@click.option(
    "--tls-certificate",
    type=FILE,
    help="PEM file with a certificate, for a server that asks for one.",
)
@click.option("--tls-key", type=FILE, help="PEM file with that certificate's key.")
@click.option("--tls-name", help="The name in the server's certificate, if ADDRESS has another.")
def health(
    address: str,
    wait_s: float,
    tls_ca: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_name: str | None,
) -> None:
    """Ask a server whether it serves.

    ADDRESS is HOST:PORT or unix:PATH. The exit code is 0 if the server serves. No key is needed."""
    from service.rpc.health_client import NotServing, TlsFiles, require_serving

    try:
        ADDRESS.read(address)
    except ValueError as error:
        raise click.BadParameter(f"{address}: {error}", param_hint="ADDRESS") from error
    files = TlsFiles(tls_ca, tls_certificate, tls_key, tls_name)
    if tls_ca is None and files != TlsFiles():
        raise click.BadParameter("give --tls-ca too", param_hint="--tls-certificate, --tls-name")
    try:
        require_serving(address, wait_s, None if tls_ca is None else files)
    except NotServing as error:
        raise click.ClickException(f"{address} does not serve: {error}") from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo("SERVING")


def _rail(settings: Settings, clock: Clock) -> tuple[bytes | None, SimulatedRail | None]:
    """The secret shared with the payment rail, and the simulated rail; None if absent.

    Raises BadParameter."""
    from service.rails.callbacks import SECRET_BYTES
    from service.rails.simulated import SimulatedRail

    secret = None
    if settings.rail_secret is not None:
        secret = settings.rail_secret.read_bytes().strip()
        if len(secret) < SECRET_BYTES:
            raise click.BadParameter(
                f"the file has fewer than {SECRET_BYTES} bytes", param_hint="--rail-secret"
            )
    elif settings.simulated_rail:
        secret = os.urandom(32)
    if settings.simulated_rail and secret is not None and isinstance(clock, SandboxClock):
        return secret, SimulatedRail(secret, clock)
    return secret, None


def _clock(settings: Settings) -> Clock:
    if settings.sandbox is None:
        from service.alarms import log_clock

        return SystemClock(tell=log_clock, limits=settings.limits.clock)
    return SandboxClock(int(settings.sandbox.timestamp()) * 1_000_000)
