"""`freehold config`: the settings that a server would run with."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from service.cli.parts import OPTIONS, json_option, loaded, settings_options
from service.cli.settings import Setting, all_settings
from service.cli.sources import DEFAULT, Loaded

server_options = settings_options(*(it.name for it in OPTIONS))


@click.group()
def config() -> None:
    """Show and check the settings of `freehold serve`.

    The options are those of `freehold serve`. Settings come from options, then the environment,
    then the file, then the defaults."""


@config.command()
@server_options
@json_option
def show(options: dict[str, Any], config_file: Path | None, as_json: bool) -> None:
    """Print every setting with its value and its source.

    Its bounds and its unit are shown too. The output is a configuration file in TOML. Passwords
    are not shown."""
    found = loaded(options, config_file, required=False)
    if as_json:
        shown = [_described(it, found) for it in all_settings().values()]
        click.echo(json.dumps({"settings": shown}))
        return
    for group, members in groupby(all_settings().values(), lambda it: it.path[:-1]):
        if group:
            click.echo(f"\n[{'.'.join(group)}]")
        for it in members:
            click.echo(_line(it, found))


@config.command()
@server_options
def check(options: dict[str, Any], config_file: Path | None) -> None:
    """Check the settings, without starting a server.

    If some are wrong or missing, the exit code is 1 and each of them is named."""
    loaded(options, config_file)
    click.echo("the settings are right")


def _described(it: Setting, found: Loaded) -> dict[str, Any]:
    low, high = it.bounds or (None, None)
    return {
        "name": it.name,
        "value": _value(it, found),
        "source": found.sources.get(it.path, DEFAULT),
        "low": low,
        "high": high,
        "unit": it.unit,
        "variable": it.variable,
    }


def _value(it: Setting, found: Loaded) -> Any:
    """A setting's value, without secrets; None if it has none."""
    value: Any = found.settings
    for name in it.path:
        value = getattr(value, name)
    return it.shown(value)


def _line(it: Setting, found: Loaded) -> str:
    value = _value(it, found)
    notes = [found.sources.get(it.path, DEFAULT)]
    if it.bounds is not None:
        low, high = it.bounds
        notes.append(f"{it.unit} from {low} to {high}".strip())
    if value is None:
        return f"# {it.path[-1]} is not set"
    return f"{it.path[-1]} = {json.dumps(value, ensure_ascii=False)}  # {'; '.join(notes)}"
