"""Parts of the commands: their common options, and how they open a database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from service.clock import SystemClock
from service.storage.opening import open_current

T = TypeVar("T")

DATABASE_HELP = "Database URL, for example sqlite:///freehold.db"


def usable(use: Callable[[str], T], url: str) -> T:
    """The result of `use` for a database's URL.

    Raises ClickException if the driver is missing, and BadParameter for an unusable URL."""
    try:
        return use(url)
    except ImportError as error:
        if missing_library(error) is None:
            raise
        text = "PostgreSQL's driver is not installed: pip install 'freehold[postgres]'"
        raise click.ClickException(text) from error
    except (ArgumentError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--database") from error


def opened(url: str, use: Callable[[str], Engine] = open_current) -> Engine:
    """An engine for the command, closed at the command's end."""
    engine = usable(use, url)
    click.get_current_context().call_on_close(engine.dispose)
    return engine


def missing_library(error: ImportError) -> str | None:
    """The name of the missing library; None if a module of Freehold itself is broken."""
    name = (error.name or "").partition(".")[0]
    return None if name in ("service", "models", "freehold") else name or str(error).split("\n")[0]


def now_us() -> int:
    """Microseconds since the epoch, UTC, by the machine's clock."""
    return SystemClock().now_us()


def report_key(record: dict[str, str], as_json: bool, key_only: bool) -> None:
    """Prints a new key: alone, as JSON, or as lines for a person."""
    if key_only:
        click.echo(record["api_key"])
    elif as_json:
        click.echo(json.dumps(record))
    else:
        for name, value in record.items():
            click.echo(f"{name.replace('_', ' ')}: {value}")


database_option = click.option(
    "--database", required=True, envvar="FREEHOLD_DATABASE", help=DATABASE_HELP
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
request_option = click.option(
    "--request-id",
    default="",
    help="Id for a safe retry: a command with the same id is done once. A key is shown only once, "
    "so a retry makes a new key in place of the first.",
)
key_only_option = click.option("--key-only", is_flag=True, help="Print the key and nothing else.")
postgres_bin_option = click.option(
    "--postgres-bin",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pg_dump and pg_restore; the default is to search PATH and the usual folders.",
)
