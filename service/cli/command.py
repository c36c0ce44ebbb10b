"""The `freehold` command: its keys, its server, and its errors in one line."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import SQLAlchemyError

from models.errors import ModelError
from service.cli.bindings import bind_key, unbind_key
from service.cli.books import backup, create_key_of_seals, restore, verify
from service.cli.configuration import config
from service.cli.parts import (
    database_option,
    json_option,
    key_only_option,
    missing_library,
    now_us,
    opened,
    report_key,
    request_option,
)
from service.cli.rail_accounts import rail_account
from service.cli.serve import health, serve
from service.domain.access import PLATFORM, new_key
from service.domain.errors import FreeholdError
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.storage.database import telling
from service.storage.opening import open_to_migrate

if TYPE_CHECKING:
    pass

# gRPC's core would write lines of its own to standard error; our errors say what matters.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@click.group()
@click.version_option(package_name="freehold")
def cli() -> None:
    """Freehold: credit-based, deposit-free authorizations."""


@cli.command()
@database_option
@click.option(
    "--shard", is_flag=True, help="Also spread the tables over the nodes of a Citus cluster."
)
def migrate(database: str, shard: bool) -> None:
    """Create or update the schema.

    A new database gets the default limits and policies."""
    from service.storage.admin import install_defaults
    from service.storage.migrate import migrate as apply
    from service.storage.shard import shard as spread

    engine = opened(database, open_to_migrate)
    if not apply(engine):
        click.echo("nothing to migrate: the database has a newer schema, and this build runs on it")
        return
    install_defaults(engine)
    if shard:
        click.echo(f"tables spread: {', '.join(spread(engine)) or 'none'}")
    click.echo("database is up to date")


@cli.group()
def operator() -> None:
    """Add rental operators and their keys."""


@operator.command("create")
@click.argument("operator_id")
@click.option("--name", required=True, help="The operator's name.")
@click.option(
    "--fee-bps",
    type=click.IntRange(0, 10_000),
    default=300,
    show_default=True,
    help="Freehold's commission on captures, in basis points.",
)
@database_option
@json_option
@key_only_option
@request_option
def create_operator(
    operator_id: str,
    name: str,
    fee_bps: int,
    database: str,
    as_json: bool,
    key_only: bool,
    request_id: str,
) -> None:
    """Register an operator and print its API key.

    The operator gets the default products. The key is not shown again."""
    from service.storage import admin

    engine, key = opened(database), new_key()
    admin.create_operator(engine, operator_id, name, fee_bps, now_us(), request_id=request_id)
    of_key = f"{request_id}/key" if request_id else ""
    admin.add_key(engine, key, operator_id, now_us(), request_id=of_key)
    report_key({"operator_id": operator_id, "api_key": key}, as_json, key_only)


@operator.command("create-key")
@click.argument("operator_id")
@database_option
@json_option
@key_only_option
@request_option
def create_operator_key(
    operator_id: str, database: str, as_json: bool, key_only: bool, request_id: str
) -> None:
    """Print a further API key of an operator.

    The key is not shown again."""
    from service.storage import admin

    key = new_key()
    admin.add_key(opened(database), key, operator_id, now_us(), request_id=request_id)
    report_key({"operator_id": operator_id, "api_key": key}, as_json, key_only)


@cli.group()
def platform() -> None:
    """Add keys of the platform."""


@platform.command("create-key")
@database_option
@json_option
@key_only_option
@request_option
def create_platform_key(database: str, as_json: bool, key_only: bool, request_id: str) -> None:
    """Print an API key of the platform.

    The key is not shown again."""
    from service.storage import admin

    key = new_key()
    admin.add_key(opened(database), key, None, now_us(), request_id=request_id)
    report_key({"api_key": key}, as_json, key_only)


@cli.command("revoke-key")
@database_option
@request_option
def revoke_key(database: str, request_id: str) -> None:
    """End an API key that standard input names.

    The key is read from there so that it stays out of the shell's history."""
    from service.storage import admin

    key = sys.stdin.buffer.readline().decode("utf-8", "replace").strip()
    admin.revoke_key(opened(database), key, now_us(), request_id=request_id)
    click.echo("key revoked")


@cli.command()
@database_option
@json_option
def keys(database: str, as_json: bool) -> None:
    """List the API keys with their scopes.

    Only hashes of keys are kept, so the keys themselves cannot be shown. A key has the scopes it
    was created with. This build does not know the scopes in `ignored`. The scopes in `withheld` are
    given to new keys only. A key with `certificates`, SHA-256 fingerprints, needs one of them on
    its connection."""
    from service.storage.admin import list_keys

    found = [
        {
            "key_id": it.key_id,
            "owner": it.operator_id or PLATFORM,
            "created": _instant(it.create_us),
            "revoked": "" if it.revoke_us is None else _instant(it.revoke_us),
            **{name: sorted(scopes) for name, scopes in it.scopes._asdict().items()},
            "certificates": sorted(it.certificates),
        }
        for it in list_keys(opened(database))
    ]
    if as_json:
        click.echo(json.dumps(found))
        return
    for key in found:
        texts = {n: " ".join(it) if isinstance(it, list) else it for n, it in key.items()}
        click.echo("  ".join(f"{name}: {text}" for name, text in texts.items() if text))


def _instant(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).isoformat()


@cli.command()
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="TOML file that describes the data and the model.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the model and its figures.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="Processes that train at the same time.",
)
def train(spec: Path, out: Path, jobs: int) -> None:
    """Train and cross-validate the credit model."""
    try:
        # Training imports it only after minutes; a missing library is reported now.
        import_module("sklearn.linear_model")
        from models.report import print_metrics
        from models.train import train as run
    except ImportError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        text = f"training needs {missing}, which is not installed: pip install 'freehold[train]'"
        raise click.ClickException(text) from error

    print_metrics(run(spec, out, jobs=jobs))


COMMANDS = (
    *(bind_key, unbind_key, create_key_of_seals, rail_account),
    *(verify, backup, restore, serve, health, config),
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Runs the command; an expected failure is one line and no traceback."""
    try:
        cli()
    except FreeholdError as error:
        said: BaseException = error
        text = error.message
    except ModelError as error:
        said, text = error, str(error)
    except StorageFailed as error:
        said, text = error, f"{error}{_told(error.__cause__)}"
    except OutcomeUnknown as error:
        said, text = error, f"{error}: check, or run it again with the same --request-id"
    except SQLAlchemyError as error:
        said, text = error, f"the database refused{_told(error)}"
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        said, text = error, f"{where}{error.strerror or error}"
    except ImportError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        said, text = error, f"{missing} is not installed: install Freehold with its requirements"
    else:
        return
    raise SystemExit(f"Error: {' '.join(text.split())}") from said


def _told(error: BaseException | None) -> str:
    """The driver's own words, for the end of a line.

    PostgreSQL's errors quote rows, so only their kind is shown."""
    if error is None:
        return ""
    said = getattr(error, "orig", None) or error
    return f": {said}" if telling(error) else f": {type(said).__name__}"
