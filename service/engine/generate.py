"""Writes the list of operations from the files of `operations/`, or checks that it is current.

    python service/engine/generate.py           write operations/__init__.py
    python service/engine/generate.py --check   fail if the committed list differs

Each file has one row, `NAME = Operation(…)`, and the row's command. This program imports no file of
the engine, because such an import fails while the list is not current.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OPERATIONS = Path(__file__).resolve().parent / "operations"
LIST = OPERATIONS / "__init__.py"
PACKAGE = "service.engine.operations"

TEXT = '''"""All operations of the engine. `make stubs` writes this from the files beside it."""

from __future__ import annotations

from typing import Any

from service.engine.operation import Operation
{imports}

OPERATIONS: tuple[Operation[Any], ...] = (
{rows}
)

BY_COMMAND: dict[type[Any], Operation[Any]] = {{it.command: it for it in OPERATIONS}}

Command = Any
"""An object of one of the types in BY_COMMAND."""

__all__ = [
    "BY_COMMAND",
    "OPERATIONS",
{exported}
]
'''


class Listed(NamedTuple):
    """A file of an operation: its name, its row, and its public types."""

    file: str
    row: str
    types: list[str]


def listed(path: Path) -> Listed:
    """The operation in a file. Ends the program if there is none, or more than one."""
    body = ast.parse(path.read_text(encoding="utf-8"), str(path)).body
    rows = [name for it in body for name in _rows(it)]
    if len(rows) != 1:
        raise SystemExit(f"{path}: it must have one row NAME = Operation(...), but has {len(rows)}")
    types = [it.name for it in body if isinstance(it, ast.ClassDef) and it.name[0] != "_"]
    return Listed(path.stem, rows[0], sorted(types))


def _rows(it: ast.stmt) -> Iterator[str]:
    match it:
        case ast.Assign([ast.Name(id=name)], ast.Call(ast.Name(id="Operation"))):
            yield name


def text() -> str:
    """The current text of the list's file."""
    found = [listed(path) for path in sorted(OPERATIONS.glob("[!_]*.py"))]
    return TEXT.format(
        imports="\n".join(line for it in found for line in _import(it)),
        rows="\n".join(f"    {it.row}," for it in found),
        exported="\n".join(f'    "{name}",' for name in sorted(_exported(found))),
    )


def _exported(found: list[Listed]) -> Iterator[str]:
    yield "Command"
    for it in found:
        yield from it.types


def _import(it: Listed) -> Iterator[str]:
    names = [it.row, *it.types]
    line = f"from {PACKAGE}.{it.file} import {', '.join(names)}"
    if len(line) <= 100:  # ruff keeps it on one line
        yield line
    else:
        yield f"from {PACKAGE}.{it.file} import ("
        yield from (f"    {name}," for name in names)
        yield ")"


def main() -> int:
    """Writes the list; with --check only compares it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed list")
    if not parser.parse_args().check:
        LIST.write_text(text(), encoding="utf-8")
        return 0
    if LIST.read_text(encoding="utf-8") != text():
        print(f"{LIST} is not current: run `make stubs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
