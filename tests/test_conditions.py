"""Conditions in CEL: their check, their evaluation and its bounds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from service.conditions import CelConditions
from service.domain.conditions import VARIABLES, Kind, fault_of_form, reads

VALUES: dict[Kind, Any] = {
    Kind.INT: 7,
    Kind.BOOL: True,
    Kind.STRING: "BIKE",
    Kind.STRINGS: {"trip": "work"},
}


@pytest.fixture(scope="module")
def cel() -> CelConditions:
    """The evaluator of a server."""
    return CelConditions()


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda it: it.name)
def test_each_variable_has_its_declared_type(cel: CelConditions, variable: Any) -> None:
    """Each declared variable may be compared with a value of its type, and with no other."""
    right = {
        Kind.INT: "{} == 7",
        Kind.BOOL: "{}",
        Kind.STRING: "{} == 'BIKE'",
        Kind.STRINGS: "{}['trip'] == 'work'",
    }
    when = right[variable.kind].format(variable.name)
    assert cel.fault(when, platform=True) is None
    assert cel.evaluated((when,), {variable.name: VALUES[variable.kind]}) == (True,)
    wrong = "== 'x'" if variable.kind is not Kind.STRING else "== 1"
    assert "line 1" in str(cel.fault(f"{variable.name} {wrong}", platform=True))


def test_a_fault_names_line_and_column(cel: CelConditions) -> None:
    """A fault is told with its line and column; one of an unknown name tells what may be read."""
    when = "hour > 3 &&\n  huor < 5"
    fault = cel.fault(when, platform=True)
    assert fault is not None
    beginning = "line 2, column 3: undeclared reference to 'huor'; a condition may read "
    assert fault.startswith(f"{beginning}score (int), scored (bool), ")
    assert str(cel.fault(when, platform=False)).startswith(f"{beginning}scored (bool), ")


@pytest.mark.parametrize("when", ["hour", "1 + 1", "labels['x']", "'true'"])
def test_a_condition_is_true_or_false(cel: CelConditions, when: str) -> None:
    """An expression of another type than bool is refused."""
    assert "must be true or false" in str(cel.fault(when, platform=True))


def test_operators_do_not_read_the_score(cel: CelConditions) -> None:
    """The score is a variable of the platform's policies only."""
    assert cel.fault("score > 600", platform=True) is None
    assert "score" in str(cel.fault("score > 600", platform=False))
    assert "score" in str(fault_of_form("score > 600", platform=False))
    assert fault_of_form("scored", platform=False) is None


@pytest.mark.parametrize(
    "when",
    ["1 / (hour - 7) == 1", "labels['none'] == 'x'", "hour * 9223372036854775807 > 0", "huor > 1"],
)
def test_an_evaluation_that_fails_says_so(cel: CelConditions, when: str) -> None:
    """A division by zero, a missing label, an overflow and an unknown name have no result, and
    change no other result."""
    values = {"hour": 7, "labels": {"trip": "work"}}
    assert cel.evaluated((when,), values) == (None,)
    assert cel.evaluated(("hour == 6", when, "hour == 7"), values) == (False, None, True)
    assert cel.evaluated(("hour == 6", when), values) == (False, None)


def test_a_missing_value_fails_alone(cel: CelConditions) -> None:
    """A variable without a value fails, and the next evaluation is right again."""
    assert cel.evaluated(("hour > 3",), {}) == (None,)
    assert cel.evaluated(("hour > 3", "hour > 5"), {"hour": 4}) == (True, False)
    assert cel.evaluated(("hour > 4", "hour > 5"), {"hour": 4}) == (False, False)


def test_each_expression_is_sound_by_itself(cel: CelConditions) -> None:
    """Expressions are evaluated together only if each is whole: a comment at the end of one and
    parentheses that another one closes change nothing."""
    values = {"hour": 4}
    assert cel.evaluated(("hour > 4 // late", "hour > 5"), values) == (False, False)
    assert cel.evaluated(("false) || (false", "hour > 5"), values) == (None, False)
    assert cel.evaluated((), values) == ()


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("", "must have 1 to 1000 characters"),
        ("hour > 1" + " " * 1_000, "must have 1 to 1000 characters"),
        ("[1].all(x, [2].all(y, y > x))", "at most one of all"),
    ],
)
def test_an_expression_is_bounded(when: str, text: str) -> None:
    """An expression has at most 1,000 characters and one loop."""
    assert text in str(fault_of_form(when, platform=True))


def evaluation_s(when: str) -> float:
    """The seconds of CPU time that an expression's first evaluation takes."""
    begun = time.process_time()
    CelConditions().evaluated((when,), {"station": "a" * 200})
    return time.process_time() - begun


def test_the_slowest_expressions_end_soon() -> None:
    """The longest loop, the deepest nesting and the worst pattern that a text of 1,000 characters
    allows are evaluated or refused within 50 ms."""
    numbers = ",".join("1" for _ in range(450))
    for when in (
        f"[{numbers}].all(x, [{numbers[:20]}].size() > x - 10)",
        "(" * 490 + "true" + ")" * 490,
        "station.matches('" + "(a+)+" * 100 + "$')",
        "!" * 900 + "true",
    ):
        assert fault_of_form(when, platform=True) is None
        # The least of three times, since a busy machine's caches are shared.
        assert min(evaluation_s(when) for _ in range(3)) < 0.05, when[:40]


def test_an_expression_reads_the_variables_that_it_names() -> None:
    """The variables are found by their names, each once and in order."""
    assert reads("hour > 3 && hour < 5 || band == 'A' && hours") == ("band", "hour")
