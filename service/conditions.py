"""Conditions of policies in CEL, by Google's own implementation (the package `cel-expr-python`).

The package is loaded with the first condition: a server without conditions needs neither the time
nor the memory. It bounds an evaluation by itself: 32 levels of an expression, and 10,000 rounds of
its loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from service.domain.conditions import VARIABLES, Kind, Variable

MOST_KEPT = 4_096
"""The compiled expressions, and the results, that are kept; then all are made anew."""
MISSING = "conditions need the package cel-expr-python: pip install 'freehold[conditions]'"
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_CODE = re.compile(r"( \(in container ''\))?\s*(\[[A-Z_]+\])?$")
_UNDECLARED = "undeclared reference"


class CelConditions:
    """Checks and evaluates conditions; thread-safe."""

    def __init__(self) -> None:
        # The library does not say that its objects may be shared.
        self._lock = Lock()
        self._environments: dict[bool, Any] = {}
        self._compiled: dict[str, Any] = {}
        self._any: dict[tuple[str, ...], Any] = {}
        self._known: dict[object, Sequence[bool | None]] = {}

    def fault(self, when: str, *, platform: bool) -> str | None:
        """The faults of an expression with line and column, or None."""
        try:
            with self._lock:
                made = self._environment(platform).compile(when)
                kind = made.return_type().name()
        except ImportError:
            return MISSING
        except RuntimeError as error:
            told = _told(str(error))
            return f"{told}; {_variables(platform)}" if _UNDECLARED in told else told
        return None if kind == "BOOL" else f"must be true or false, and is of the type {kind}"

    def evaluated(
        self, whens: tuple[str, ...], values: Mapping[str, object]
    ) -> Sequence[bool | None]:
        """Whether each expression is true for these values; None for one that fails, whatever the
        library raises.

        Equal values have equal results, which are kept if none failed. A variable has values of one
        kind.
        """
        key = whens, tuple(values.items())
        try:
            known = self._known.get(key)
        except TypeError:  # the labels of an order are a table
            return self._evaluated(whens, values)
        if known is None:
            known = self._evaluated(whens, values)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            if None not in known:
                self._known[key] = known
        return known

    def _evaluated(
        self, whens: tuple[str, ...], values: Mapping[str, object]
    ) -> Sequence[bool | None]:
        """Mostly all are false. One expression tells this for all of them, in a third of the
        time."""
        with self._lock:
            try:
                converted = self._environment(True).Activation(values)
            except Exception:
                return (None,) * len(whens)
            if len(whens) > 1 and self._value(self._any_of(whens), converted) is False:
                return (False,) * len(whens)
            return tuple([self._value(self._expression(when), converted) for when in whens])

    def _any_of(self, whens: tuple[str, ...]) -> Any:
        """The expression that is false if each of these is false; None if one is not sound."""
        known = self._any.get(whens)
        if known is None and all(self._expression(when) is not None for when in whens):
            # An expression may end with a comment.
            known = self._any[whens] = self._expression(" || ".join(f"({it}\n)" for it in whens))
        return known

    def _expression(self, when: str) -> Any:
        """The compiled expression, or None if it is not sound."""
        if when not in self._compiled:
            if len(self._compiled) >= MOST_KEPT:
                self._compiled.clear()
                self._any.clear()
            try:
                self._compiled[when] = self._environment(True).compile(when)
            except Exception:
                self._compiled[when] = None
        return self._compiled[when]

    @staticmethod
    def _value(expression: Any, converted: Any) -> bool | None:
        try:
            found = None if expression is None else expression.eval(converted).value()
        except Exception:
            return None
        return found if found is True or found is False else None

    def _environment(self, platform: bool) -> Any:
        """The declared variables: those of the platform's policies, or of operators' ones."""
        if platform not in self._environments:
            from cel_expr_python import cel

            kinds = {
                Kind.INT: cel.Type.INT,
                Kind.BOOL: cel.Type.BOOL,
                Kind.STRING: cel.Type.STRING,
                Kind.STRINGS: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
            }
            variables = {it.name: kinds[it.kind] for it in _readable(platform)}
            self._environments[platform] = cel.NewEnv(variables=variables)
        return self._environments[platform]


def _readable(platform: bool) -> list[Variable]:
    """The variables that a policy of the platform, or of an operator, may read."""
    return [it for it in VARIABLES if platform or not it.platform_only]


def _variables(platform: bool) -> str:
    """The variables with their types, for a fault."""
    named = ", ".join(f"{it.name} ({it.kind})" for it in _readable(platform))
    return f"a condition may read {named}"


def _told(text: str) -> str:
    """The library's text in one line: each fault with its line and column."""
    found = [
        f"line {line}, column {column}: {_CODE.sub('', said).strip()}"
        for line, column, said in _PLACE.findall(text)
    ]
    return "; ".join(found) or _CODE.sub("", " ".join(text.split()))
