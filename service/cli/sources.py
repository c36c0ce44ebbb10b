"""The sources of settings: options, the environment, a file, and the defaults, in this order.

Every fault is found and told, not only the first. A value that another source overrides is not
looked at. The environment may have other variables that begin with FREEHOLD_, for clients and
tests; only those that begin with FREEHOLD_LIMITS_ must be settings.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from service.cli.settings import (
    Names,
    Setting,
    Settings,
    all_settings,
    changed,
    conflicts,
    variable,
)
from service.config import LimitsWrong
from service.domain.near_names import near_name

CONFIG_VARIABLE = variable("config")
LIMITS_VARIABLES = variable("limits_")
GROUP = "limits"
DEFAULT = "default"
MOST_SHOWN = 80


class SettingsWrong(ValueError):
    """Settings that are wrong; each argument is a fault, in one line."""


class Given(NamedTuple):
    """A value as it was given, and where: an option, a variable, or a line of a file.

    `typed` is true if the value has a type of TOML; any other value may be a text.
    """

    value: Any
    source: str
    typed: bool = False


class Loaded(NamedTuple):
    """The settings, and where each comes from, by its path; a default is absent."""

    settings: Settings
    sources: Mapping[Names, str]


class File:
    """A configuration file in TOML."""

    def __init__(self, path: Path) -> None:
        """Reads the file. Raises SettingsWrong if it cannot be read, or is no TOML."""
        self.path = path
        try:
            self._text = path.read_text("utf-8")
            self.content: dict[str, Any] = tomllib.loads(self._text)
        except OSError as error:
            raise SettingsWrong(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsWrong(f"{path} is no text in UTF-8") from error
        except ValueError as error:  # numbers of very many digits too
            raise SettingsWrong(f"{path} is not TOML: {error}") from error

    def source(self, path: Names) -> str:
        """The file and the line of a key."""
        return f"{self.path}, line {self._lines[path]}"

    @cached_property
    def _lines(self) -> dict[Names, int]:
        """The line on which each key begins.

        A key is on the line with which the file first has it. The parser tells no lines, so it
        reads the beginnings of the file, each a line longer. A beginning that ends within a value
        cannot be read.
        """
        lines: dict[Names, int] = {}
        text, begun = "", 1
        for number, line in enumerate(self._text.split("\n"), 1):
            text += f"{line}\n"
            try:
                content = tomllib.loads(text)
            except tomllib.TOMLDecodeError:
                continue
            for path in _paths(content):
                lines.setdefault(path, begun)
            begun = number + 1
        return lines


def _paths(table: Mapping[str, Any], path: Names = ()) -> Iterator[Names]:
    for key, value in table.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from _paths(value, (*path, key))


def load(
    wanted: Iterable[str],
    options: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Path | None,
    *,
    required: bool = True,
) -> Loaded:
    """The settings of a command.

    `wanted` has the names of the settings that the command uses, besides all limits. `options` has
    the options that were given, None if one was not. Without `file`, the environment may name one.
    Raises SettingsWrong with every fault. With `required`, a missing setting is a fault too.
    """
    used = [it for it in all_settings().values() if it.path[0] in {GROUP, *wanted}]
    faults: list[str] = []
    given = dict(_from_options(used, options))
    _add(given, _from_environment(used, environment, faults))
    named = environment.get(CONFIG_VARIABLE)
    if path := file or (Path(named) if named else None):
        _add(given, _from_file(path, faults))
    return _checked(used, given, faults, required)


def _add(given: dict[Names, Given], more: Iterable[tuple[Names, Given]]) -> None:
    for path, value in more:
        given.setdefault(path, value)


def _checked(
    used: list[Setting], given: Mapping[Names, Given], faults: list[str], required: bool
) -> Loaded:
    values, sources = {}, {}
    for it in used:
        found = given.get(it.path)
        if found is not None:
            try:
                values[it.path] = _read(it, found)
                sources[it.path] = found.source
            except ValueError as error:
                said = _shown(it, found.value)
                faults.append(f"{it.name} is {said} ({found.source}): {error}")
        elif it.required and required:
            faults.append(
                f"{it.name} is missing: give {it.option}, {it.variable}, or {it.name} in the"
                " configuration file"
            )
    settings = Settings()
    try:
        settings = changed(settings, values)
    except LimitsWrong as error:
        faults += [f"{GROUP}.{fault}" for fault in error.args]
    for name, text in conflicts(settings):
        faults.append(f"{name} ({sources.get((name,), DEFAULT)}): {text}")
    if faults:
        raise SettingsWrong(*faults)
    return Loaded(settings, sources)


def _read(it: Setting, found: Given) -> Any:
    # To Python, true is a number; to whoever wrote the file, it is not.
    if found.typed and type(found.value) not in it.kind.forms:
        raise ValueError(it.kind.asked)
    return it.kind.read(found.value)


def _shown(it: Setting, value: Any) -> str:
    """A wrong value, shortened and without secrets."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return json.dumps(it.shown(value), ensure_ascii=False)[:MOST_SHOWN]


# -- sources -------------------------------------------------------------------------------------


def _from_options(used: list[Setting], options: Mapping[str, Any]) -> Iterator[tuple[Names, Given]]:
    for it in used:
        if it.option is not None and (value := options.get(it.name)) is not None:
            yield it.path, Given(value, it.option)


def _from_environment(
    used: list[Setting], environment: Mapping[str, str], faults: list[str]
) -> Iterator[tuple[Names, Given]]:
    for it in used:
        # An empty variable is how many programs write one that is not given.
        if value := environment.get(it.variable):
            yield it.path, Given(value, it.variable)
    known = {it.variable for it in all_settings().values()}
    for name in sorted(environment):
        if name.startswith(LIMITS_VARIABLES) and name not in known:
            faults.append(f"{name} is no setting{_nearest(name, known, '_')}")


def _from_file(path: Path, faults: list[str]) -> Iterator[tuple[Names, Given]]:
    try:
        file = File(path)
    except SettingsWrong as error:
        faults += error.args
        return
    yield from _flat(file, file.content, (), faults)


def _flat(
    file: File, table: Mapping[str, Any], path: Names, faults: list[str]
) -> Iterator[tuple[Names, Given]]:
    """The settings in a table of the file; names that are no settings are faults."""
    names = all_settings()
    groups = {it[:-1] for it in names}
    for key, value in table.items():
        here = (*path, key)
        if here in names:
            yield here, Given(value, file.source(here), typed=True)
        elif here in groups and isinstance(value, dict):
            yield from _flat(file, value, here, faults)
        elif here in groups:
            faults.append(f"{'.'.join(here)} ({file.source(here)}) is a table: give its settings")
        else:
            known = {".".join(it) for it in (*names, *groups)}
            near = _nearest(".".join(here), known, ".")
            faults.append(f"{'.'.join(here)} ({file.source(here)}) is no setting{near}")


def _nearest(name: str, known: Iterable[str], dot: str) -> str:
    """A question for the known name that is most like this one; nothing if none is."""
    last = name.rpartition(dot)[2]
    same = [it for it in known if it.endswith(f"{dot}{last}")]
    near = near_name(name, same, 0.0) if same else near_name(name, known)
    return "" if near is None else f": did you mean {near}?"
