"""Conditions of policies in CEL, by Google's own implementation (the package `cel-expr-python`).

The package is loaded with the first condition: a server without conditions needs neither the time
nor the memory. It bounds an evaluation by itself: 32 levels of an expression, and 10,000 rounds of
its loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from threading import Lock
from typing import Any

from service.domain.conditions import VARIABLES, Kind
from service.engine.ports import ConditionFailed

MOST_KEPT = 4_096
"""The compiled expressions that are kept; then all are compiled anew."""
MISSING = "conditions need the package cel-expr-python: pip install 'freehold[conditions]'"
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_CODE = re.compile(r"\s*\[[A-Z_]+\]$")


class CelConditions:
    """Checks and evaluates conditions; thread-safe."""

    def __init__(self) -> None:
        # The library does not say that its objects may be shared.
        self._lock = Lock()
        self._environments: dict[bool, Any] = {}
        self._compiled: dict[str, Any] = {}

    def fault(self, when: str, *, platform: bool) -> str | None:
        """The faults of an expression with line and column, or None."""
        try:
            with self._lock:
                made = self._environment(platform).compile(when)
                kind = made.return_type().name()
        except ImportError:
            return MISSING
        except RuntimeError as error:
            return _told(str(error))
        return None if kind == "BOOL" else f"must be true or false, and is of the type {kind}"

    def holds(self, when: str, values: Mapping[str, object]) -> bool:
        """Whether an expression is true for these values. Raises ConditionFailed."""
        try:
            with self._lock:
                made = self._compiled.get(when)
                if made is None:
                    made = self._environment(True).compile(when)
                    if len(self._compiled) >= MOST_KEPT:
                        self._compiled.clear()
                    self._compiled[when] = made
                found = made.eval(data=values).value()
        except ImportError as error:
            raise ConditionFailed(MISSING) from error
        except Exception as error:
            # Whatever the library raises, one condition must not end a batch.
            raise ConditionFailed(_told(str(error))) from error
        if found is True or found is False:
            return bool(found)
        raise ConditionFailed(_told(str(found)))

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
            variables = {
                it.name: kinds[it.kind] for it in VARIABLES if platform or not it.platform_only
            }
            self._environments[platform] = cel.NewEnv(variables=variables)
        return self._environments[platform]


def _told(text: str) -> str:
    """The library's text in one line: each fault with its line and column."""
    found = [
        f"line {line}, column {column}: {_CODE.sub('', said).strip()}"
        for line, column, said in _PLACE.findall(text)
    ]
    return "; ".join(found) or _CODE.sub("", " ".join(text.split()))
