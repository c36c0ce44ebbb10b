"""Ages for a draft: the months from a table's dates to the date of its decisions.

A date alone is no column of a model, because time goes on: a model of last year's applications
would know none of this year's. The months between two dates mean the same in each year.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from math import inf

import numpy as np

from models import derivations
from models.dataset import Floats
from models.derivations import Derivation
from models.spec_columns import LAST_YEAR

# Names of dates that are known only after a decision, or that lie ahead of it.
_LATER = re.compile(
    r"next|end(ed|s)?([^a-z]|$)|clos|due|pay|pymnt|paid|matur|settle|default|charge|return|finish|"
    r"expir|updat|到期|还款|结清|逾期",
    re.I,
)
_FIRST_DAY = date(1970, 1, 1)
MOST_LATER = 0.01
"""The share of rows in which another date may lie after the date of the decision."""


def decision(dates: Mapping[str, Floats], today: date) -> str | None:
    """The name of the date of the decision among (n,) columns of days: each row has it, not after
    `today`, and hardly any row has another date after it. None where no column is like that."""
    last = (today - _FIRST_DAY).days
    known = {
        name: days
        for name, days in dates.items()
        if not _LATER.search(name) and not (days > last).any()
    }
    if len(known) < 2:
        return None
    for name, days in known.items():
        if not np.isnan(days).any() and not any(_after(days, it) for it in known.values()):
            return name
    return None


def _after(decided: Floats, other: Floats) -> bool:
    """Whether too many rows have the other date after the decision."""
    both = ~np.isnan(other)
    return bool((other[both] > decided[both]).sum() > MOST_LATER * both.sum())


def centuries(name: str, this_year: int) -> int:
    """The latest year that two digits mean in the dates of a column, as far as its name says."""
    return LAST_YEAR if _LATER.search(name) else this_year


def earlier(dates: Mapping[str, Floats], decided: str) -> Sequence[str]:
    """The names of the dates whose months until the decision may be a column of a model."""
    return [name for name in dates if name != decided and not _LATER.search(name)]


def months(start: Floats, end: Floats) -> Floats:
    """The months between two (n,) columns of days, as the derivation `months_between` counts."""
    return derivations.compute(_MONTHS, (start, end))


_MONTHS = Derivation("", "months_between", ("", ""), -inf, inf, (), 0, None)
