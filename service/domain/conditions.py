"""Conditions of a policy: expressions over declared variables, each with a consequence.

The expressions are in CEL (Common Expression Language); an adapter outside of the domain checks and
evaluates them. A policy without conditions pays nothing for them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from service.domain.rules import Condition


class Kind(StrEnum):
    """The type of a variable, as CEL names it."""

    INT = "int"
    BOOL = "bool"
    STRING = "string"
    STRINGS = "map(string, string)"


class Variable(NamedTuple):
    """A variable that conditions may read. One with `platform_only` is for the platform's policies:
    operators do not learn it."""

    name: str
    kind: Kind
    meaning: str
    platform_only: bool = False


VARIABLES = (
    Variable("score", Kind.INT, "the score; 0 for a person without one", platform_only=True),
    Variable("scored", Kind.BOOL, "whether the person has a score"),
    Variable("band", Kind.STRING, "the band of the score; empty without one"),
    Variable("deposit_minor", Kind.INT, "the deposit of the item, in minor units"),
    Variable("order_minor", Kind.INT, "the deposits of all items of the order, in minor units"),
    Variable(
        "order_fee_minor",
        Kind.INT,
        "the known fees of all items of the order, in minor units; 0 if none is known",
    ),
    Variable("items", Kind.INT, "the number of items of the order"),
    Variable("currency", Kind.STRING, "the currency, such as CNY"),
    Variable("product", Kind.STRING, "the id of the product"),
    Variable("category", Kind.STRING, "the category of the product"),
    Variable(
        "hour", Kind.INT, "the hour from 0 to 23, in the order's time zone, the tariff's, or UTC"
    ),
    Variable("weekday", Kind.INT, "the day of the week from 1 (Monday) to 7, as `hour`"),
    Variable("open_rentals", Kind.INT, "the person's open rentals with the operator"),
    Variable("starts_hour", Kind.INT, "the person's rentals with the operator in 60 minutes"),
    Variable("starts_day", Kind.INT, "the person's rentals with the operator in 24 hours"),
    Variable("reserves", Kind.BOOL, "whether the item is picked up later"),
    Variable("station", Kind.STRING, "the station or dock that the order names; may be empty"),
    Variable("labels", Kind.STRINGS, "the labels of the order, by name"),
    Variable("device_known", Kind.BOOL, "whether the order names a device"),
    Variable("account_known", Kind.BOOL, "whether the order names a payment account"),
)
"""All variables; a name never gets another meaning."""
COUNTING = frozenset({"open_rentals", "starts_hour", "starts_day"})
"""The variables for which the rentals of the past are counted."""

MOST_CHARACTERS = 1_000
"""The most characters of an expression."""
_NAMES = frozenset(it.name for it in VARIABLES)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(")


@lru_cache(maxsize=4096)
def reads(when: str) -> tuple[str, ...]:
    """The variables that an expression may read, in the order of their names.

    A word in a text of the expression counts too.
    """
    return tuple(sorted(_NAMES.intersection(_WORD.findall(when))))


@lru_cache(maxsize=4096)
def read_by(conditions: tuple[Condition, ...]) -> tuple[str, ...]:
    """The variables that conditions may read together, in the order of their names."""
    return tuple(sorted({name for it in conditions for name in reads(it.when)}))


def fault_of_form(when: str, *, platform: bool) -> str | None:
    """The fault of an expression that the domain itself finds, or None.

    Two loops could be one in the other, and would make a decision slow for everybody.
    """
    if not 0 < len(when) <= MOST_CHARACTERS:
        return f"must have 1 to {MOST_CHARACTERS} characters"
    if len(_MACRO.findall(when)) > 1:
        return "must have at most one of all, exists, exists_one, map and filter"
    hidden = {it.name for it in VARIABLES if it.platform_only}.intersection(reads(when))
    if hidden and not platform:
        named = ", ".join(sorted(hidden))
        return f"reads {named}, which only a policy of the platform may do"
    return None


def counts_rentals(conditions: tuple[Condition, ...] | None) -> bool:
    """True if a condition reads how many rentals a person has or had."""
    return conditions is not None and not COUNTING.isdisjoint(read_by(conditions))
