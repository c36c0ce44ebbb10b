"""The document of the limits that follow from scores, in each currency.

`service/data/examples/limits.toml` has every key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from service.domain.credit import LimitStep
from service.domain.document_fields import CURRENCY, MOST_MINOR, MOST_SCORE, Fields, require_none
from service.domain.documents import Table
from service.domain.errors import Violation
from service.domain.exposure import Rate, TotalExposure

LIMITS_NAME = "limits"
"""The name of the one document of limits."""
MOST_STEPS = 1_000
MOST_RATES = 200


class Limit(NamedTuple):
    """The limit, in minor units of a currency, of scores from `from_score` up."""

    currency: str
    from_score: int
    limit_minor: int


class LimitsDocument(NamedTuple):
    """The steps of each currency, by currency and score, and the total exposure of a person's lines
    in several currencies; None means that each line is by itself."""

    limits: tuple[Limit, ...]
    total: TotalExposure | None = None

    @property
    def currencies(self) -> frozenset[str]:
        """The currencies that have limits."""
        return frozenset(it.currency for it in self.limits)


def read_limits(table: Table) -> LimitsDocument:
    """Reads a document of limits.

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
    total = _read_total(document)
    document.end()
    if not faults:
        _compare(read)
    require_none(faults)
    return LimitsDocument(tuple(sorted(step for step, _ in read)), total)


def _read_total(document: Fields) -> TotalExposure | None:
    """The section of the total exposure."""
    if not document.has("exposure"):
        return None
    it = Fields(document.take("exposure"), document.faults, "exposure")
    currency = it.text("currency", CURRENCY)
    rates: dict[str, Rate] = {}
    rows = it.tables("rate", MOST_RATES)
    if not rows:
        it.fault("rate", "empty", "must have at least one [[exposure.rate]]")
    for row in rows:
        of = row.text("currency", CURRENCY)
        if of == currency:
            row.fault("currency", "of_total", f"{of} is the currency of the total: remove the rate")
        elif of in rates:
            row.fault("currency", "repeated", f"{of} has two rates: remove one")
        worth_minor = row.whole("worth_minor", 1, MOST_MINOR)
        rates[of] = Rate(worth_minor, row.whole("of_minor", 1, MOST_MINOR))
        row.end()
    it.end()
    return TotalExposure(currency, dict(sorted(rates.items())))


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


def write_limits(it: LimitsDocument) -> dict[str, Any]:
    """The document of limits; without a total exposure it has no such section."""
    written: dict[str, Any] = {"limit": [step._asdict() for step in sorted(it.limits)]}
    if it.total is not None:
        rates = sorted(it.total.rates.items())
        rows = [{"currency": currency, **rate._asdict()} for currency, rate in rates]
        written["exposure"] = {"currency": it.total.currency, "rate": rows}
    return written


def limits_of(steps: Mapping[str, Iterable[LimitStep]]) -> tuple[Limit, ...]:
    """The steps of each currency as a document has them."""
    return tuple(
        sorted(Limit(key, it.from_score, it.limit_minor) for key in steps for it in steps[key])
    )
