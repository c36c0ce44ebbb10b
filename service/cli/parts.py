"""Parts of the commands: their common options, and how they open a database."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from service.cli.settings import SWITCH, Setting, Settings, all_settings, derivations_of
from service.cli.sources import Loaded, SettingsWrong, load
from service.clock import SystemClock
from service.config import Limits
from service.storage.opening import open_current

if TYPE_CHECKING:
    from models.scorer import ModelScorer

T = TypeVar("T")

OPTIONS = tuple(it for it in all_settings().values() if it.option is not None)
"""The settings that have an option."""
LIMITS_GIVEN = "service.cli.limits"

Command = Callable[..., Any]

NUMBER = click.IntRange(1, 10**9)
"""The number of a row or of a revision, as a command takes it; all databases take it too."""


class WrongSettings(click.ClickException):
    """Every fault of the settings, one a line."""

    def __init__(self, wrong: SettingsWrong) -> None:
        faults = [str(it) for it in wrong.args]
        head = [f"{len(faults)} settings are wrong:"] if len(faults) > 1 else []
        super().__init__("\n  ".join([*head, *faults]))


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with settings in TOML. Options and the environment come before it.",
)


def _option(it: Setting) -> Callable[[Command], Command]:
    """The option of a setting. The value stays a text: settings are read together, see `load`."""
    note = f"  [default: {it.default}]" if isinstance(it.default, str) else ""
    name = f"{it.option}/--no-{str(it.option)[2:]}" if it.kind is SWITCH else str(it.option)
    return click.option(
        name,
        it.name,
        default=None,
        metavar=it.kind.form or None,
        help=f"{it.meaning}{note}",
        is_flag=it.kind is SWITCH,
    )


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Gives a command --config, and the options of these settings.

    In place of the options the command gets their values as one dictionary `options`, and
    `config_file`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def taken(*words: Any, **given: Any) -> Any:
            options = {name: given.pop(name) for name in names}
            return command(*words, options=options, **given)

        run: Command = taken
        for it in reversed(OPTIONS):
            if it.name in names:
                run = _option(it)(run)
        return config_option(run)

    return decorate


def loaded(options: dict[str, Any], config_file: Path | None, *, required: bool = True) -> Loaded:
    """The settings of this command; its limits count for `opened` too. Raises WrongSettings."""
    try:
        found = load(options, options, os.environ, config_file, required=required)
    except SettingsWrong as error:
        raise WrongSettings(error) from error
    click.get_current_context().meta[LIMITS_GIVEN] = found.settings.limits
    return found


def load_model(settings: Settings) -> ModelScorer:
    """The model of the settings, whose modules they allow."""
    from models.scorer import ModelScorer

    return ModelScorer.load(settings.model, derivations=derivations_of(settings))


def limits_given() -> Limits:
    """The limits of this command."""
    limits: Limits = click.get_current_context().meta[LIMITS_GIVEN]
    return limits


def database_option(command: Command) -> Command:
    """Gives a command --config and --database, and passes it `database`, the URL."""

    @settings_options("database")
    @wraps(command)
    def run(*words: Any, options: dict[str, Any], config_file: Path | None, **given: Any) -> Any:
        settings = loaded(options, config_file).settings
        return command(*words, database=settings.database, **given)

    return run


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


def opened(url: str, use: Callable[..., Engine] = open_current) -> Engine:
    """An engine for the command, with the command's limits, closed at the command's end."""
    engine = usable(partial(use, limits=limits_given()), url)
    click.get_current_context().call_on_close(engine.dispose)
    return engine


def missing_library(error: ImportError) -> str | None:
    """The name of the missing library; None if a module of Freehold itself is broken."""
    name = (error.name or "").partition(".")[0]
    return None if name in ("service", "models", "freehold") else name or str(error).split("\n")[0]


def now_us() -> int:
    """Microseconds since the epoch, UTC, by the machine's clock."""
    return SystemClock().now_us()


def instant_text(instant_us: int | None) -> str:
    """An instant as ISO 8601 in UTC, to the second; empty for None."""
    if instant_us is None:
        return ""
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).isoformat()


def shell_user() -> str:
    """The name of the user who runs the command, before sudo, for the record of acts."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a user without a name


def report_key(record: dict[str, str], as_json: bool, key_only: bool) -> None:
    """Prints a new key: alone, as JSON, or as lines for a person."""
    if key_only:
        click.echo(record["api_key"])
    elif as_json:
        click.echo(json.dumps(record))
    else:
        for name, value in record.items():
            click.echo(f"{name.replace('_', ' ')}: {value}")


def report_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, nothing: str) -> None:
    """Prints rows as JSON, or each as lines with the fields that have a value; `nothing` if none.

    Further lines of a row are indented.
    """
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        texts = {name: _text(value) for name, value in row.items()}
        # No line ends between a name and its value.
        line = "  ".join(f"{name}:\0{it}" for name, it in texts.items() if it)
        click.echo(_ROW.fill(line).replace("\0", " "))
    if not rows:
        click.echo(nothing)


_ROW = TextWrapper(
    width=100, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)


def numbered(count: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 line`, `2 lines`; `many` is a plural without an s at its end."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _text(value: Any) -> str:
    """A field's value in a line: a list as its items, an object as JSON, None as nothing."""
    if isinstance(value, list):
        return " ".join(value)
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, dict) else str(value)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_SAFE_RETRY = "Id for a safe retry: a command with the same id is done once."
request_option = click.option("--request-id", default="", help=_SAFE_RETRY)
key_request_option = click.option(
    "--request-id",
    default="",
    help=f"{_SAFE_RETRY} A key is shown only once, so a retry makes a new key in place of the "
    "first.",
)
key_only_option = click.option("--key-only", is_flag=True, help="Print the key and nothing else.")
postgres_bin_option = click.option(
    "--postgres-bin",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pg_dump and pg_restore; the default is to search PATH and the usual folders.",
)
