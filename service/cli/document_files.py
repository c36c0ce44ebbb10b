"""Files with documents of terms, in TOML or JSON."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

import click

from service.domain.documents import table_of_json
from service.domain.errors import InvalidInput


def read_table(file: Path) -> dict[str, Any]:
    """The table in a file: JSON if its name ends so, or else TOML. Raises ClickException."""
    try:
        # Some editors write a mark of the byte order before the text.
        text = file.read_text("utf-8-sig")
        if file.suffix == ".json":
            return dict(table_of_json(text))
        table = tomllib.loads(text)
    except InvalidInput as error:
        raise click.ClickException(f"{file}: {error.violations[0].description}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: is not UTF-8: save it in this encoding") from error
    except (OSError, ValueError, RecursionError) as error:
        told = "it has a number of too many digits" if _is_long_number(error) else error
        raise click.ClickException(f"{file}: is not readable TOML: {told}") from error
    faults = [f"{file}: {key} is a date or a time: put it in quotes" for key in _times_in(table)]
    if faults:
        raise click.ClickException("\n".join(faults))
    return table


def _is_long_number(error: Exception) -> bool:
    """True for Python's own refusal of a long number; other faults of TOML are TOMLDecodeError."""
    return isinstance(error, ValueError) and not isinstance(error, tomllib.TOMLDecodeError)


def _times_in(value: object, path: str = "") -> Iterator[str]:
    """The key of each date and time of TOML, which documents do not have."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _times_in(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _times_in(one, f"{path}[{number}]")
    elif isinstance(value, date | time):
        yield path
