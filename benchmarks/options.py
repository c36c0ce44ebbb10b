"""The options that several benchmarks take, each written once.

Each function returns a click option; `text` is its line in the benchmark's help.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from service.config import AIO, TRANSPORTS

FOLDER = Path(__file__).resolve().parent.parent / ".freehold"
"""The checkout's own folder for results and models, in which benchmarks work by default."""

_ON_DISK = "Folder for the database files; on a disk, for honest figures."
_TRAINED_HERE = "A model directory; without it one is trained once, as `model` in the folder."

Option: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


def folder_option(text: str = _ON_DISK) -> Option:
    """`--folder`, an absolute path; the benchmark makes the folder if it is missing."""
    return click.option(
        "--folder",
        default=FOLDER,
        show_default=FOLDER.name,
        type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
        help=text,
    )


def model_option(text: str = _TRAINED_HERE) -> Option:
    """`--model`, the absolute path of a folder that exists, or None."""
    return _existing_folder("--model", text)


def beside_option(text: str) -> Option:
    """`--beside`, the absolute path of another checkout, or None."""
    return _existing_folder("--beside", text)


def transport_option() -> Option:
    """`--transport`, one of `config.TRANSPORTS`."""
    return click.option(
        "--transport",
        default=AIO,
        show_default=True,
        type=click.Choice(TRANSPORTS),
        help="The transport of Freehold's servers.",
    )


def json_option() -> Option:
    """`--json FILE`, as the parameter `json_file`: a path, or None."""
    return click.option(
        "--json",
        "json_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the figures to this file.",
    )


def _existing_folder(name: str, text: str) -> Option:
    kind = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
    return click.option(name, type=kind, help=text)
