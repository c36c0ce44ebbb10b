"""The parts of a draft's columns: inputs, ids, groups, protected attributes, those left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models import draft_names, draft_values, profiles, units
from models.profiles import Guess, Profile
from models.spec_columns import Notation

LEAST_SHARED = 0.1
"""A column of texts is an input if at least this share of the rows has a text that a model can
know, since enough rows have it."""
_MOST_SHARED_CODES = 0.5
_FEWEST_AMOUNTS = 12
_NOTATIONS = "most cells look like numbers: give them one notation, or a unit"
A_LATE_DATE = "LEAK? a date after the outcome, by its name: that it is filled tells the outcome"
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


def unreadable(profile: Profile, kind: str) -> Column:
    """A column whose type is no number, text or date, which is left out."""
    column = Column(profile, Guess("empty", Notation(missing=())))
    exclude(column, f"has type {kind}, which is no number, text or date")
    return column


def set_part(column: Column, rows: int, of: int) -> None:
    """Sets the part of a column by its `rows` rows `of` a table, and says why it is none of the
    inputs."""
    profile, guess = column.profile, column.guess
    name = profile.name
    column.comments += guess.notes
    if guess.type == "empty":
        exclude(column, "has no values")
        return
    if draft_names.is_protected(name) or draft_values.tell_persons(profile, guess):
        _protect(column)
        return
    distinct = profile.distinct()
    whole = guess.type in ("text", "integer")
    unique = distinct == rows and whole
    numbers = guess.type == "integer"
    if numbers and (unit := draft_values.unit_of_time(profile)):
        exclude(column, f"{unit} since a fixed day: in a model they only say how late it is")
    elif unique and (draft_names.is_id(name) or draft_values.are_ids(profile, of)):
        column.part = "id"
        exclude(column, "each row has another value: taken for an id")
    elif distinct is not None and whole and not guess.missing and _repeats(column, distinct, rows):
        column.part = "group"
        exclude(column, "several rows have one value: taken for a person, kept in one fold")
    elif guess.type == "date":
        exclude(column, A_LATE_DATE if draft_names.is_afterwards(name) else A_DATE)
    elif draft_names.is_afterwards(name):
        exclude(
            column, 'LEAK? its name says that it is written after the outcome: else role = "input"'
        )
    elif draft_values.are_weights(profile, guess):
        exclude(column, "may be the weight of a row: then name it in [weight]")
    elif guess.type == "text" and guess.shared < LEAST_SHARED:
        exclude(column, "hardly any text is in enough rows to learn from")
        if _like_numbers(profile):
            column.comments.append(_NOTATIONS)
    elif not guess.missing and _constant(profile):
        exclude(column, "all rows have the same value")
    if column.part == "feature" and column.role == "input":
        if numbers:
            _codes(column)
        _tell_doubts(column, distinct or 0)


def _tell_doubts(column: Column, distinct: int) -> None:
    """Says what else the values of an input, of which so many are `distinct`, may be."""
    profile, special = column.profile, column.guess.special
    if column.guess.type == "text" and _all_like_numbers(profile):
        column.comments.append(_NOTATIONS)
    if special:
        said = ", ".join(map(_full, special))
        column.comments.append(f"{said} taken for special values, which are codes and no amounts")
    if draft_names.is_perhaps_later(profile.name):
        column.comments.append(
            'LEAK? it may be of a day after the decision: then give it role = "excluded"'
        )
    elif draft_values.are_periods(profile, column.guess):
        column.comments.append(
            "a time, as a date is: in a model it only says how late it is, so think of excluding it"
        )
    elif column.guess.type == "integer" and draft_values.may_be_ids(profile, distinct):
        column.comments.append(
            "nearly each row has another number, all equally long: if they are ids, exclude them"
        )


def _full(value: float) -> str:
    """A number with all of its digits."""
    return f"{value:.0f}" if value == int(value) else repr(value)


def _like_numbers(profile: Profile) -> bool:
    """Whether most different texts of a column are numbers with marks or a unit."""
    return sum(map(units.is_number, profile.other)) > len(profile.other) / 2


def _all_like_numbers(profile: Profile) -> bool:
    """Whether each text of a column of many amounts is such a number."""
    texts = [text for text in profile.other if text not in profiles.TOKENS]
    values = np.unique(np.concatenate(profile.numbers)).shape[0]
    return len(texts) + values >= _FEWEST_AMOUNTS and all(map(units.is_number, texts))


def _codes(column: Column) -> None:
    """Makes whole numbers a category where the column's name or the zeros before them say that they
    are codes, if enough rows share each."""
    named = draft_names.is_code(column.profile.name)
    values = np.concatenate(column.profile.numbers)
    _, counts = np.unique(values, return_counts=True)
    if not (named or column.profile.digits.codes) or counts.shape[0] <= 2:
        return
    why = (
        "its name says that the numbers" if named else "the zeros before its numbers say that they"
    )
    # Codes begin at 1; counts, also with zeros before them, at 0.
    amounts = not named and values.min() == 0.0
    if amounts or profiles.shared(counts.tolist(), column.profile.rows) < _MOST_SHARED_CODES:
        column.comments.append(f"{why} are codes: is a larger one more?")
        return
    column.guess = replace(column.guess, type="code", special=())
    column.comments.append(f"{why} are codes, so each is a category")


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


def _repeats(column: Column, distinct: int, rows: int) -> bool:
    """A column of persons: its name says so, and its values repeat."""
    name = column.profile.name
    named = draft_names.is_person(name) or draft_names.is_id(name)
    return named and 0.02 * rows < distinct < 0.98 * rows


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
    values = profile.values(guess.notation)
    distinct = np.unique(values)
    if draft_names.is_age(profile.name) and distinct.shape[0] > 12:
        edges = [float(a) for a in _AGE_GROUPS if distinct[0] < a <= distinct[-1]]
    elif distinct.shape[0] <= 12:
        edges = distinct[1:].tolist()
    else:
        edges = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="higher")).tolist()
        edges = [e for e in edges if e > distinct[0]]
    if edges:
        column.keys["groups"] = edges
        names = [f"from {_full(e)}" for e in edges]
        column.keys["group_names"] = [f"below {_full(edges[0])}", *names]
