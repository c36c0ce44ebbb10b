"""The known name that is most like a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MIN_LIKENESS = 0.6
"""The least likeness of a near name, from 0 to 1, as `difflib` measures it."""


def near_name(name: str, known: Iterable[str], likeness: float = MIN_LIKENESS) -> str | None:
    """The known name that is most like this one, if it is at least so like it; or None."""
    found = difflib.get_close_matches(name, sorted(known), 1, likeness)
    return found[0] if found else None
