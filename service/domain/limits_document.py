"""The document of the limits that follow from scores, in each currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from service.domain.credit import LimitStep
from service.domain.document_fields import CURRENCY, MOST_MINOR, MOST_SCORE, Fields, require_none
from service.domain.documents import Table
from service.domain.errors import Violation

LIMITS_NAME = "limits"
"""The name of the one document of limits."""
MOST_STEPS = 1_000


class Limit(NamedTuple):
    """The limit, in minor units of a currency, of scores from `from_score` up."""

    currency: str
    from_score: int
    limit_minor: int


def read_limits(table: Table) -> tuple[Limit, ...]:
    """Reads a document of limits: the steps of each currency, by currency and score.

    A higher score never has a lower limit. Raises InvalidInput (TERMS_WRONG) with all faults.
    """
    faults: list[Violation] = []
    document = Fields(table, faults)
    if not document.has("limit"):
        document.fault("limit", "missing", "is missing: give at least one [[limit]]")
    tables = document.tables("limit", MOST_STEPS)
    if document.has("limit") and not tables and not faults:
        document.fault("limit", "empty", "must have at least one [[limit]]")
    read = []
    for it in tables:
        step = Limit(
            it.text("currency", CURRENCY),
            it.whole("from_score", -MOST_SCORE, MOST_SCORE),
            it.whole("limit_minor", 0, MOST_MINOR),
        )
        it.end()
        read.append((step, it))
    document.end()
    if not faults:
        _compare(read)
    require_none(faults)
    return tuple(sorted(step for step, _ in read))


def _compare(read: list[tuple[Limit, Fields]]) -> None:
    """Adds a fault for each step that is there twice, or is below the limit of a lower score."""
    before: dict[str, Limit] = {}
    for step, it in sorted(read, key=lambda pair: pair[0]):
        last = before.get(step.currency)
        if last is not None and last.from_score == step.from_score:
            it.fault("from_score", "repeated", f"{step.currency} has two limits from this score")
        elif last is not None and last.limit_minor > step.limit_minor:
            text = f"must not be below the limit {last.limit_minor} from score {last.from_score}"
            it.fault("limit_minor", "falls", text)
        before[step.currency] = step


def write_limits(limits: Iterable[Limit]) -> dict[str, Any]:
    """The document of limits."""
    return {"limit": [it._asdict() for it in sorted(limits)]}


def limits_of(steps: Mapping[str, Iterable[LimitStep]]) -> tuple[Limit, ...]:
    """The steps of each currency as a document has them."""
    return tuple(
        sorted(Limit(key, it.from_score, it.limit_minor) for key in steps for it in steps[key])
    )
