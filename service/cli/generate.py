"""Writes SETTINGS.md, the page of all settings, or checks that it is current.

    python -m service.cli.generate           write SETTINGS.md
    python -m service.cli.generate --check   fail if the committed page differs

The meaning of a limit is the docstring below its field.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

from service.cli.settings import Setting, Settings, all_settings

PAGE = Path(__file__).with_name("SETTINGS.md")

HEAD = """# Settings

`make stubs` writes this page. [README.md](README.md#settings) says how to give a setting, and how
to add one. A variable is the setting's name in capitals, with `FREEHOLD_` before it and `_` in the
place of each dot.
"""
COLUMNS = ("setting", "meaning", "default", "bounds", "unit or form", "variable")


def docstrings(kind: type) -> dict[str, str]:
    """The docstrings below the fields of a class."""
    (declared,) = ast.parse(dedent(inspect.getsource(kind))).body
    body = getattr(declared, "body", [])
    found = {}
    for field, text in pairwise(body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                found[name] = _one_line(said)
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _group(path: tuple[str, ...]) -> Any:
    found: Any = Settings()
    for name in path:
        found = getattr(found, name)
    return found


def meaning(it: Setting) -> str:
    """The meaning of a setting in one line. Raises KeyError for a limit without a docstring."""
    return it.meaning or docstrings(type(_group(it.path[:-1])))[it.path[-1]]


def about(path: tuple[str, ...]) -> str:
    """The meaning of a group: the docstring below its field, or that of its class."""
    if not path:
        return "Each of these is also an option of `freehold serve`, with - in the place of _."
    of_field = docstrings(type(_group(path[:-1]))).get(path[-1])
    return of_field or _one_line((inspect.getdoc(type(_group(path))) or "").partition("\n\n")[0])


def text() -> str:
    """The current text of the page."""
    return "\n".join([HEAD, *_parts()])


def _parts() -> Iterator[str]:
    for path, members in groupby(all_settings().values(), lambda it: it.path[:-1]):
        yield f"## {'.'.join(path) or 'The server'}\n\n{about(path)}\n"
        yield f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
        yield from (f"| {' | '.join(_cells(it))} |" for it in members)
        yield ""


def _cells(it: Setting) -> Iterator[str]:
    yield f"`{it.name}`"
    yield meaning(it).replace("|", "\\|")
    default = it.shown(it.default)
    if it.bounds is None:
        yield "" if default is None else str(default).lower()
        yield ""
        yield it.kind.form
    else:
        yield f"{default:,}"
        yield "{:,} to {:,}".format(*it.bounds)
        yield it.unit
    yield f"`{it.variable}`"


def main() -> int:
    """Writes the page; with --check only compares it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed page")
    if not parser.parse_args().check:
        PAGE.write_text(text(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") != text():
        print(f"{PAGE} is not current: run `make stubs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
