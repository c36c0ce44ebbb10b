"""The parts of a condition that its outcome follows from: alternatives of terms that all hold.

`hour < 6 && score < 600` has two terms. Each reads fewer values than the whole, so it has fewer
combinations of them. CEL's `&&` and `||` do not depend on the order: a term that fails is passed
over if another one decides. Source: CEL, Language Definition, "Logical Operators".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WHOLE = re.compile(r"\\|//|\?|\"\"\"|'''")
"""The marks of an expression that is not taken apart: escapes, comments, choices, long texts."""
_TOKEN = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|&&|\|\||[\[({]|[\])}]|[^\"'&|\[\](){}]+|.", re.DOTALL)


@lru_cache(maxsize=4096)
def alternatives_of(when: str) -> tuple[tuple[str, ...], ...]:
    """The terms of each alternative of an expression; one that is not taken apart is one term."""
    whole = ((when,),)
    if _WHOLE.search(when):
        return whole
    found, depth = [[""]], 0
    for token in _TOKEN.findall(when):
        if token in "\"'":
            return whole
        depth += (token in "([{") - (token in ")]}")
        if depth == 0 and token == "||":
            found.append([""])
        elif depth == 0 and token == "&&":
            found[-1].append("")
        else:
            found[-1][-1] += token
    if depth or not all(term.strip() for terms in found for term in terms):
        return whole
    return tuple(map(tuple, found))


def holds(
    terms: Iterable[Iterable[bool | None]],
) -> bool | None:
    """The outcome of alternatives from those of their terms; None for one that fails."""
    return _any([_all(it) for it in terms])


def _all(outcomes: Iterable[bool | None]) -> bool | None:
    found = list(outcomes)
    return False if False in found else (None if None in found else True)


def _any(outcomes: list[bool | None]) -> bool | None:
    return True if True in outcomes else (None if None in outcomes else False)
