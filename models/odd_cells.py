"""The cells of a column that are not what its other cells are, such as `error` among numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# At most so many different ones, in such a share of the rows.
_MOST_ODD, _MOST_ODD_SHARE = 20, 0.01
_SAID = 3


def few(odd: Sequence[str], counts: Mapping[str, int], rows: int) -> bool:
    """Whether these cells are so few of `rows` that a column may be what its other cells are."""
    return len(odd) <= _MOST_ODD and sum(map(counts.__getitem__, odd)) <= _MOST_ODD_SHARE * rows


def note(odd: Sequence[str], counts: Mapping[str, int], kind: str) -> str:
    """A note on cells that are no `kind`."""
    rows = sum(map(counts.__getitem__, odd))
    return f"{rows} cells are no {kind} and count as missing: {shown(odd)}"


def shown(cells: Sequence[str]) -> str:
    """The first of these cells."""
    return ", ".join(map(repr, cells[:_SAID])) + (" and others" if len(cells) > _SAID else "")
