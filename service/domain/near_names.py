"""The known name that is most like a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near_name(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like this one, if it is at least so like it, from 0 to 1 as
    `difflib` measures it; or None."""
    found = difflib.get_close_matches(name, sorted(known), 1, likeness)
    return found[0] if found else None
