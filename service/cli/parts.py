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
    """What is made of a database's URL; a URL that leads nowhere is an error of its option."""
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
    """An engine for the command, closed when that is over."""
    engine = usable(use, url)
    click.get_current_context().call_on_close(engine.dispose)
    return engine


def missing_library(error: ImportError) -> str | None:
    """The library that is not installed; None when a module of ours is broken."""
    name = (error.name or "").partition(".")[0]
    return None if name in ("service", "models", "freehold") else name or str(error).split("\n")[0]


def now_us() -> int:
    return SystemClock().now_us()


def report_key(record: dict[str, str], as_json: bool, key_only: bool) -> None:
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
    help="Makes it safe to run the command again after an unknown outcome: it is done once. A key "
    "cannot be shown twice, so that a retry replaces it.",
)
key_only_option = click.option("--key-only", is_flag=True, help="Print the key and nothing else.")
postgres_bin_option = click.option(
    "--postgres-bin",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pg_dump and pg_restore; PATH is searched without it.",
)
