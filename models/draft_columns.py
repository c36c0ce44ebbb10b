"""The parts of a draft's columns: inputs, ids, groups, protected attributes, those left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.profiles import Guess, Profile

LEAST_SHARED = 0.1
"""A column of texts is an input if at least this share of the rows has a text that a model can
know, since enough rows have it."""
LONG_NUMBER = 10_000_000
"""Whole numbers from here on, all equally long and another one in each row, are ids."""

_ID_NAME = re.compile(
    r"(^|[_\s.])(id|no|nr|num|number|key|uuid|guid|ref|index|row[_\s]?names?)$|^unnamed|编号|^id",
    re.I,
)
_PERSON_NAME = re.compile(
    r"(cust(omer)?|client|member|user|borrower|applicant|person|account|party)s?"
    r"([\s_.-]*(id|no|num|number|key|code|ref|name|uuid|guid|hash|token))?$|"
    r"(客户|用户)(编?号|代码|名|标识|id)?$",
    re.I,
)
_PROTECTED = re.compile(
    r"(^|[^a-z])(sex|gender|female|male|wom[ae]n|age|senior|elderly|race|black|white|asian|"
    r"hispan\w*|african|afam|ethnic\w*|nationality|foreign\w*|marital\w*|marriage|married|"
    r"religion|disab\w*|pregnan\w*|birth\w*|born|dob|(family|civil|personal)[\s_.-]*status)"
    r"([^a-z]|$)|性别|年龄|出生|生日|民族|婚姻|籍贯|国籍|宗教",
    re.I,
)
_THING = (
    r"(car|vehicle|auto|house|home|building|property|accounts?|acc(oun)?t|credit|loan|asset|item|"
    r"file|history|bureau|card|trade|tl|device|company|business|firm|employment|job|debt|policy)"
)
_AGE_OF_A_THING = re.compile(
    rf"(?<![a-z]){_THING}[\s_.-]*age(?![a-z])|"
    rf"(?<![a-z])age[\s_.-]*((of|the|oldest|newest|latest|first|last|avg|average)[\s_.-]*)*"
    rf"{_THING}(?![a-z])",
    re.I,
)
_AGE = re.compile(r"(^|[^a-z])age([^a-z]|$)|年龄", re.I)
A_DATE = "a date: use it in [time], or derive an age by [[derivation]] with a second date"
_AGE_GROUPS = (25, 35, 45, 55)


@dataclass
class Column:
    """A column of the draft: its part, and the comments above it.

    From a date the months to another date, `age_at`, may be derived.
    """

    profile: Profile
    guess: Guess
    role: str = "input"
    part: str = "feature"
    comments: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    age_at: str | None = None


def one_id(columns: list[Column]) -> None:
    """Only the first of the ids stays one; the others are columns that are left out."""
    for extra in [c for c in columns if c.part == "id"][1:]:
        extra.part = "feature"


def set_part(column: Column, rows: int) -> None:
    """Sets the part of a column of a table, and says why it is none of the inputs."""
    profile, guess = column.profile, column.guess
    distinct = profile.distinct()
    name = profile.name
    column.comments += guess.notes
    if guess.type == "empty":
        exclude(column, "has no values")
        return
    if _PROTECTED.search(_AGE_OF_A_THING.sub("", name)):
        _protect(column)
        return
    whole = guess.type in ("text", "integer")
    if distinct == rows and whole and (_ID_NAME.search(name) or _counted(profile)):
        column.part = "id"
        exclude(column, "each row has another value: taken for an id")
    elif distinct is not None and whole and not guess.missing and _repeats(column, distinct, rows):
        column.part = "group"
        exclude(column, "several rows have one value: taken for a person, kept in one fold")
    elif guess.type == "date":
        exclude(column, A_DATE)
    elif guess.type == "text" and guess.shared < LEAST_SHARED:
        exclude(column, "hardly any text is in enough rows to learn from")
    elif not guess.missing and _constant(profile):
        exclude(column, "all rows have the same value")
    elif guess.special:
        said = ", ".join(f"{v:g}" for v in guess.special)
        column.comments.append(f"{said} taken for special values, which are codes and no amounts")


def exclude(column: Column, reason: str) -> None:
    """Leaves a column out, and says why."""
    column.role = "excluded"
    column.comments.append(reason)


def _constant(profile: Profile) -> bool:
    values = np.concatenate(profile.numbers)
    texts = len(profile.other)
    if profile.blank or (texts and values.shape[0]):
        return False
    return texts == 1 if texts else bool(values.min() == values.max())


def _counted(profile: Profile) -> bool:
    """Numbers that count up the rows, of which a few may lack, or that are long and equally long,
    as those of contracts and telephones are."""
    values = np.concatenate(profile.numbers)
    if values.shape[0] != profile.rows:
        return False
    least, greatest = float(values.min()), float(values.max())
    if np.all(np.diff(values) >= 1.0) and greatest - least < 1.5 * profile.rows:
        return True
    return least >= LONG_NUMBER and len(f"{least:.0f}") == len(f"{greatest:.0f}")


def _repeats(column: Column, distinct: int, rows: int) -> bool:
    """A column of persons: its name says so, and its values repeat."""
    name = column.profile.name
    named = _PERSON_NAME.search(name) or _ID_NAME.search(name)
    return bool(named) and 0.02 * rows < distinct < 0.98 * rows


def _protect(column: Column) -> None:
    profile, guess = column.profile, column.guess
    column.role = "protected"
    if guess.type == "date" or (guess.type == "text" and guess.levels > 20):
        exclude(column, "may be a protected attribute: the model does not see it")
        return
    column.comments.append(
        "may be a protected attribute: it measures fairness, and the model does not see it"
    )
    if guess.type not in ("number", "integer"):
        return
    values = np.concatenate(profile.numbers)
    distinct = np.unique(values)
    if _AGE.search(profile.name) and distinct.shape[0] > 12:
        edges = [float(a) for a in _AGE_GROUPS if distinct[0] < a <= distinct[-1]]
    elif distinct.shape[0] <= 12:
        edges = distinct[1:].tolist()
    else:
        edges = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="higher")).tolist()
        edges = [e for e in edges if e > distinct[0]]
    if edges:
        column.keys["groups"] = edges
        names = [f"from {e:g}" for e in edges]
        column.keys["group_names"] = [f"below {edges[0]:g}", *names]
