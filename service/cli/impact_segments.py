"""The groups by which an impact tells people apart."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from service.engine.segments import MISSING, Segment, number_text

if TYPE_CHECKING:
    from models.scorer import ModelScorer
    from models.spec_columns import Feature
    from service.storage.impact import OnRecord, Schemas

MOST_GROUPS = 12
"""The periods of a date, or the values of a number, that are groups of their own."""
_BINNED, _VALUES = ("number", "integer"), ("code", "text")
_MONTHS = (1, 3, 12, 60, 120, 600, 1_200, 120_000)
"""The lengths of periods in months; the last one has every date."""
_EPOCH = date(1970, 1, 1).toordinal()


class Known(NamedTuple):
    """The features that two models and a spec know.

    declared  the protected columns of the candidate's spec, by name
    models    the candidate, and the served model
    """

    declared: Mapping[str, Feature]
    models: Collection[ModelScorer]

    def feature(self, name: str) -> Feature | None:
        """The feature, or None if neither model nor spec knows it."""
        if name in self.declared:
            return self.declared[name]
        raw = (it for model in self.models for it in model.manifest.raw)
        return next((it for it in raw if it.name == name), None)

    def edges(self, name: str) -> list[float] | None:
        """The edges of the bins that a model's reference has for a number."""
        for model in self.models:
            document = model.manifest.document
            types = {column["name"]: column["type"] for column in document["raw"]}
            for column in document["reference"]:
                if column["name"] == name and types[name] in _BINNED:
                    return [float.fromhex(it) for it in column["edges"]]
        return None


def segments(names: Sequence[str], known: Known, record: OnRecord) -> list[Segment]:
    """A segment for each name that people on record have.

    Its groups are those of the spec for a protected column; or the bins of a model's reference for
    a number; or calendar periods for a date; or ten groups of equal size for a number of many
    values; or else the values.
    """
    unread = [name for name in names if _by_record(known, name)]
    numbers = record.numbers(unread) if unread else {}
    return [_segment(name, known, record.schemas, numbers.get(name, ())) for name in names]


def _by_record(known: Known, name: str) -> bool:
    """Whether the values on record decide the groups."""
    it = known.feature(name)
    if it is None:
        return True
    if it.groups or it.type in _VALUES:
        return False
    return it.type == "date" or known.edges(name) is None


def _segment(name: str, known: Known, schemas: Schemas, numbers: Iterable[float]) -> Segment:
    it, protected = known.feature(name), name in known.declared
    texts = {} if it is None else dict.fromkeys(it.notation.missing, MISSING)
    special: Collection[float] = () if it is None else it.special
    lows: Sequence[float] = ()
    labels: Sequence[str] = ()
    if it is not None and it.groups:
        lows, labels, special = it.groups, it.group_names, ()
    elif it is not None and it.type in _VALUES:
        pairs = zip(it.group_names, it.group_values, strict=False)
        texts |= {text: group for group, of_group in pairs for text in of_group}
    elif it is not None and it.type == "date":
        lows, labels, special = periods(numbers)
    elif (edges := known.edges(name)) is not None:
        lows, labels = bins(edges)
    else:
        lows, labels, special = of_values(numbers, special)
    return Segment(
        name, schemas, protected=protected, lows=lows, names=labels, special=special, texts=texts
    )


class Groups(NamedTuple):
    """Groups of numbers, as a `Segment` has them."""

    lows: Sequence[float]
    names: Sequence[str]
    special: Collection[float]


def periods(days: Iterable[float]) -> Groups:
    """Calendar periods of the shortest length of which at most `MOST_GROUPS` have a date; `days`
    are counted from 1970. A number that is no date is a group of its own."""
    values = set(days)
    dates = sorted({found for it in values if (found := _date(it)) is not None})
    for months in _MONTHS:
        starts = sorted({_start(it, months) for it in dates})
        if len(starts) <= MOST_GROUPS:
            break
    firsts = [float(date(1 + it // 12, 1 + it % 12, 1).toordinal() - _EPOCH) for it in starts]
    names = [_period(it, months) for it in starts]
    return Groups(firsts[1:], names, {it for it in values if _date(it) is None})


def _date(days: float) -> date | None:
    try:
        return date.fromordinal(math.floor(days) + _EPOCH)
    except (OverflowError, ValueError):
        return None


def _start(it: date, months: int) -> int:
    """The first month of the period, counted from January of the year 1."""
    if months <= 12:
        return (it.year - 1) * 12 + (it.month - 1) // months * months
    years = months // 12
    return max((it.year // years * years - 1) * 12, 0)


def _period(start: int, months: int) -> str:
    """The name of a period."""
    year, month = 1 + start // 12, 1 + start % 12
    if months == 1:
        return f"{year:04}-{month:02}"
    if months < 12:
        return f"{year:04}-{month:02} to {year:04}-{month + months - 1:02}"
    years = months // 12
    return f"{year:04}" if years == 1 else f"{year:04} to {year // years * years + years - 1:04}"


def bins(edges: Sequence[float]) -> tuple[list[float], list[str]]:
    """Bins that are open below and closed above: their least values but the first, and names."""
    return [math.nextafter(it, math.inf) for it in edges], list(_labels(edges))


def of_values(numbers: Iterable[float], special: Collection[float]) -> Groups:
    """The values themselves if there are at most `MOST_GROUPS`, or else ten groups of about the
    same size; special values are groups of their own."""
    import numpy as np

    from models.reference import equal_mass

    values = np.fromiter(numbers, dtype=np.float64)
    few = np.unique(values)
    if few.shape[0] <= MOST_GROUPS:
        alone = few.tolist()
        return Groups((), [number_text(it) for it in alone], {*alone})
    lows, names = bins(equal_mass(values[~np.isin(values, list(special))]))
    return Groups(lows, names, special)


def _labels(edges: Sequence[float]) -> Iterator[str]:
    """The names of the bins between edges."""
    texts = [number_text(it) for it in edges]
    if not texts:
        yield "all numbers"
        return
    yield f"up to {texts[0]}"
    for low, high in pairwise(texts):
        yield f"over {low}, up to {high}"
    yield f"over {texts[-1]}"
