"""The files that Freehold ships as data: names of line items, bounds by jurisdiction, and examples
of documents.

Each list is read once and checked as a whole. A server with a damaged list does not start.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from service.domain.documents import DocumentKind
from service.domain.jurisdictions import Jurisdiction, jurisdictions_of
from service.domain.line_items import LineItem, line_items_of


def _text(name: str) -> str:
    return resources.files("service").joinpath(f"data/{name}").read_text("utf-8")


def _document(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))


def example_of(kind: DocumentKind) -> str:
    """A document of this kind in TOML, with every key and its meaning."""
    return _text(f"examples/{kind}.toml")


@cache
def line_items() -> tuple[LineItem, ...]:
    """The names that lines of a bill may have. Raises TermsUnusable if the file is damaged."""
    return line_items_of(_document("line_items.toml"))


@cache
def jurisdictions() -> dict[str, Jurisdiction]:
    """The bounds of tariffs, by the id of a jurisdiction such as CN-BJ.

    Raises TermsUnusable if the file is damaged.
    """
    return jurisdictions_of(_document("jurisdictions.toml"))


def check_reference_data() -> None:
    """Reads all lists. Raises TermsUnusable if a file is damaged."""
    line_items()
    jurisdictions()
