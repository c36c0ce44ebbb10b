"""Reads the section `[[condition]]` of a policy's document.

The form is checked here; an adapter of the language checks the expressions themselves.
"""

from __future__ import annotations

import re
from typing import Protocol

from service.domain.conditions import fault_of_form
from service.domain.document_fields import Fields
from service.domain.errors import Violation
from service.domain.rules import Condition, Outcome

MOST_CONDITIONS = 8
"""The most conditions of one policy."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TEXT = re.compile(r"(?s).*")


class Checker(Protocol):
    """Checks an expression; returns its faults with line and column, or None."""

    def __call__(self, when: str, *, platform: bool) -> str | None: ...


def read_conditions(fields: Fields, platform: bool) -> tuple[Condition, ...] | None:
    """The conditions in their order; None without any. Faults are noted in `fields`."""
    found: list[Condition] = []
    for row in fields.tables("condition", MOST_CONDITIONS):
        it = Condition(
            row.text("name", NAME), row.text("when", TEXT), Outcome(row.choice("then", Outcome))
        )
        fault = fault_of_form(it.when, platform=platform)
        if fault is not None:
            row.fault("when", "wrong", fault)
        if it.name in [other.name for other in found]:
            row.fault("name", "twice", "names two conditions: rename one")
        row.end()
        found.append(it)
    return tuple(found) or None


def faults_of_conditions(
    conditions: tuple[Condition, ...] | None, check: Checker, *, platform: bool
) -> list[Violation]:
    """The faults of the expressions of a policy, each with its path in the document."""
    faults = []
    for place, it in enumerate(conditions or ()):
        text = check(it.when, platform=platform)
        if text is not None:
            faults.append(Violation(f"condition[{place}].when", "condition.when.wrong", text))
    return faults
