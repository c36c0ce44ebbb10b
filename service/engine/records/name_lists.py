"""Lists of names as texts of a column: names joined by commas.

The names of features come from the spec of a model, and may contain commas. A list with such a name
is a JSON array. Builds before this rule joined these names by commas too, and such a text is read
as before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_ARRAY = '["'
"""The beginning of a JSON array of texts."""


def text_of_names(names: Sequence[str]) -> str:
    """The text of a list of names; an empty list is an empty text."""
    text = ",".join(names)
    if text.startswith(_ARRAY) or (names and text.count(",") != len(names) - 1):
        return json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))
    return text


def names_of(text: str) -> tuple[str, ...]:
    """The names of a text that `text_of_names` or an earlier build wrote."""
    if text.startswith(_ARRAY):
        try:
            return tuple(map(str, json.loads(text)))
        except (ValueError, TypeError):
            # An earlier build joined names of which the first one begins like an array.
            return tuple(text.split(","))
    return tuple(text.split(",")) if text else ()
