"""The names of the lines of a bill, and the list of them that a product's terms may give.

The names that exist are data, by category of product (`service/data/line_items.toml`). Without a
list in the product's terms, a line may have any name and any text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from service.domain.errors import InvalidInput, TermsUnusable, Violation

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
MOST_NAMES = 50
"""A list of these, with the longest names, fits into its column."""
EVERY = "*"
"""In place of a category: all categories."""


class LineItem(NamedTuple):
    """One name, the categories whose products may use it, and its words for the user."""

    name: str
    categories: tuple[str, ...]
    zh: str
    en: str


def line_items_of(document: Mapping[str, Any]) -> tuple[LineItem, ...]:
    """The names of a parsed `line_items.toml`, in its order.

    Raises TermsUnusable if an entry lacks a key, a name is malformed or given twice.
    """
    found: dict[str, LineItem] = {}
    for place, entry in enumerate(document.get("item", ())):
        if set(entry) != set(LineItem._fields):
            raise TermsUnusable(f"line_items.toml: item[{place}] must have {LineItem._fields}")
        item = LineItem(entry["name"], tuple(entry["categories"]), entry["zh"], entry["en"])
        if not NAME.fullmatch(item.name) or item.name in found:
            raise TermsUnusable(f"line_items.toml: item[{place}] is malformed or there twice")
        if not item.categories or not item.zh or not item.en:
            raise TermsUnusable(f"line_items.toml: item[{place}] lacks a category or words")
        found[item.name] = item
    return tuple(found.values())


def names_of(items: Sequence[LineItem], category: str) -> tuple[str, ...]:
    """The names that products of a category may use, in the order of the list."""
    return tuple(it.name for it in items if EVERY in it.categories or category in it.categories)


def names_text(names: Sequence[str]) -> str:
    """A list of names as it is kept: a JSON array without spaces."""
    return json.dumps(list(names), separators=(",", ":"))


def names_of_text(text: str) -> tuple[str, ...]:
    """The names of a text that `names_text` writes. Raises InvalidInput for another text."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    sound = isinstance(found, list) and all(isinstance(it, str) for it in found)
    if not sound or not found or len(set(found)) < len(found) or not all(map(_is_name, found)):
        raise InvalidInput.of("line_items", "line_items.form", "is not a list of names")
    return tuple(found)


def _is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def unknown_items(
    listed: Sequence[str], category: str, items: Sequence[LineItem]
) -> tuple[Violation, ...]:
    """A fault for each name in a product's list that is no line item of its category."""
    allowed = names_of(items, category)
    text = f"is no line item of the category {category}: use {', '.join(allowed)}"
    return tuple(
        Violation(f"line_items[{place}]", "line_items.unknown", f"{name} {text}")
        for place, name in enumerate(listed)
        if name not in allowed
    )


def require_listed(named: Sequence[str], listed: tuple[str, ...] | None) -> None:
    """Raises InvalidInput unless each line of a bill has a name of the product's list.

    `named` has the name of each line, empty for none. `listed` is None if the product's terms have
    no list: then every name is allowed.
    """
    if listed is None:
        return
    text = f"the product's terms list the line items: must be one of {', '.join(listed)}"
    faults = [
        Violation(f"line_items[{place}].item", "line_items.item.listed", text)
        for place, name in enumerate(named)
        if name not in listed
    ]
    if faults:
        raise InvalidInput(faults)
