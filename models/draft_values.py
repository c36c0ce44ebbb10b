"""The hints of a raw column's values beside its name: ids, times and attributes of persons."""

from __future__ import annotations

import re

import numpy as np

from models import draft_names
from models.dataset import Floats
from models.profiles import Guess, Profile

LONG_NUMBER = 10_000_000
"""Whole numbers from here on, all equally long and another one in each row, are ids."""
# Shorter ones, another one in nearly each row, may be ids.
_MAYBE_LONG, _NEARLY_ALL = 100_000, 0.99
# Numbers follow the rows if this share of their range is the farthest that one is from the line.
_OFF_THE_LINE = 0.02
# They count up if they take this share of the steps at least.
_LEAST_STEPS = 2 / 3
# Days of spreadsheets from 1954 on, seconds and milliseconds from 1980 on.
_COUNTS = (("days", 20e3, 70e3), ("seconds", 315e6, 3e9), ("milliseconds", 315e9, 3e12))
_YEARS = (1950.0, 2100.0)
_PERIOD = re.compile(
    r"(19|20)[0-9]{2}[\s/_-]*([qt][1-4]|w[0-9]{1,2}|h[12])|([qt][1-4]|h[12])[\s/_-]*(19|20)[0-9]{2}",
    re.I,
)
# Answers to a question about a person. One of the second set at least says which question it is; a
# column with any other word is about something else.
_NO_ANSWER = {"", "other", "others", "unknown", "none", "not available", "prefer not to say", "x"}
_TITLES = (
    {"dr", "prof", "rev", "sir"},
    {"mr", "mrs", "ms", "miss", "mister", "herr", "frau", "hr", "fr", "mme", "mlle", "madame",
     "monsieur", "sr", "sra", "srta", "señor", "señora", "dhr", "mevr", "先生", "女士", "小姐"},
)  # fmt: skip
_SEXES = (
    {"diverse", "divers", "nonbinary", "non-binary", "joint"},
    {"male", "female", "man", "woman", "men", "women", "männlich", "weiblich", "mann", "homme",
     "femme", "masculin", "féminin", "hombre", "mujer", "masculino", "femenino", "feminino",
     "maschio", "femmina", "男", "女", "男性", "女性"},
)  # fmt: skip
_MARITAL = (
    {"single", "separated", "civil union", "partner", "single / not married", "civil marriage"},
    {"married", "divorced", "widowed", "widow", "widower", "unmarried", "ledig", "verheiratet",
     "geschieden", "verwitwet", "célibataire", "marié", "divorcé", "soltero", "casado",
     "divorciado", "viudo", "已婚", "未婚", "离异"},
)  # fmt: skip
_ORIGINS = (
    {"white", "black", "mixed"},
    {"asian", "hispanic", "latino", "caucasian", "african american", "african-american",
     "black or african american", "native american", "pacific islander"},
)  # fmt: skip
_BELIEFS = (
    {"atheist", "agnostic"},
    {"christian", "muslim", "hindu", "jewish", "buddhist", "sikh", "catholic", "protestant"},
)  # fmt: skip


def unit_of_time(profile: Profile) -> str | None:
    """The unit of whole numbers that count time since a fixed day, by the column's name, or
    None."""
    values = np.concatenate(profile.numbers)
    if not values.shape[0] or not draft_names.is_time(profile.name):
        return None
    least, greatest = float(values.min()), float(values.max())
    for unit, first, last in _COUNTS:
        if first <= least and greatest <= last:
            return unit
    return None


def are_ids(profile: Profile, of: int) -> bool:
    """Whether numbers, another one in each row, count up or down the rows `of` a table, of which
    some may lack, follow the number of the row, or are long and equally long, as those of contracts
    and telephones are."""
    values = np.concatenate(profile.numbers)
    if values.shape[0] != profile.rows:
        return False
    return _follow_rows(values, of) or _equally_long(profile, LONG_NUMBER)


def _follow_rows(values: Floats, of: int) -> bool:
    steps = np.diff(values)
    if not steps.shape[0] or not ((steps > 0).all() or (steps < 0).all()):
        return False
    spread = float(np.ptp(values))
    step = float(np.gcd.reduce(np.abs(steps).astype(np.int64)))
    if spread / step < of / _LEAST_STEPS:
        return True
    line = np.linspace(values[0], values[-1], values.shape[0])
    return bool(np.abs(values - line).max() <= _OFF_THE_LINE * spread)


def may_be_ids(profile: Profile, distinct: int) -> bool:
    """Whether nearly each row has another number of these, so many `distinct` ones, and all are
    equally long."""
    return distinct >= _NEARLY_ALL * profile.rows and _equally_long(profile, _MAYBE_LONG)


def _equally_long(profile: Profile, least: int) -> bool:
    """Whether all numbers of a column are `least` or more, and have as many digits."""
    values = np.concatenate(profile.numbers)
    if not values.shape[0] or values.min() < least:
        return False
    return len(f"{values.min():.0f}") == len(f"{values.max():.0f}")


def are_periods(profile: Profile, guess: Guess) -> bool:
    """Whether a column holds years, quarters or weeks of an application: by the cells of texts, or
    by its name, with no other numbers than years."""
    if guess.type not in ("text", "integer"):
        return False
    values = np.concatenate(profile.numbers)
    if draft_names.is_calendar(profile.name):
        return not values.shape[0] or bool(_YEARS[0] <= values.min() and values.max() <= _YEARS[1])
    known = [text.strip() for text in profile.other if text not in guess.tokens]
    return bool(known) and not values.shape[0] and all(map(_PERIOD.fullmatch, known))


def are_weights(profile: Profile, guess: Guess) -> bool:
    """Whether a column may hold the weights of the rows, by its name, all above 0."""
    if guess.type not in ("number", "integer") or not draft_names.is_weight(profile.name):
        return False
    return bool((profile.values(guess.notation) > 0).all())


def tell_persons(profile: Profile, guess: Guess) -> bool:
    """Whether the texts of a column are titles, sexes, family statuses, origins or beliefs of
    persons, whatever its name is."""
    if guess.type != "text" or any(each.shape[0] for each in profile.numbers):
        return False
    found = {text.strip().strip(".").lower() for text in profile.other} - _NO_ANSWER
    return any(
        len(found) > 1 and found <= beside | sure and found & sure
        for beside, sure in (_TITLES, _SEXES, _MARITAL, _ORIGINS, _BELIEFS)
    )
