"""Rules of policies for the operator of a prepared database."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.prepared import PRODUCT, Prepared, checkpoint, copy
from benchmarks.processes import command

NONE, VELOCITY, CONDITIONS = RULES = ("none", "velocity", "conditions")
_OPERATOR = "bench"
_RULES: dict[str, dict[str, Any]] = {
    NONE: {},
    VELOCITY: {"velocity": [{"of": "USER", "counted": "OPEN", "most": 2, "then": "DECLINE"}]},
    CONDITIONS: {
        "condition": [
            {
                "name": "dear-at-night",
                "when": "hour >= 1 && hour < 5 && order_minor > 50000 && !device_known",
                "then": "REVIEW",
            },
            {
                "name": "many-items",
                "when": "items > 2 && category == 'BIKE' && band != 'A'",
                "then": "FULL",
            },
            {
                "name": "far-station",
                "when": "reserves && station.startsWith('far-') && weekday > 5",
                "then": "REDUCED",
            },
        ]
    },
}
"""The sections of a policy: at most two open rentals of a person, or three conditions. No rule
applies to the people of a benchmark, so that all variants decide alike."""


def with_rules(prepared: Prepared, rules: str, work: Path) -> Prepared:
    """A copy of a prepared database, whose product has a policy of its own with these rules.

    It is made by this checkout's code. Without rules the policy is the operator's own too.
    """
    target = copy(prepared, work / f"rules-{rules}.db")
    terms = ("--database", f"sqlite:///{target}")
    policy = _document("policy", "bike", *terms) | {"name": "ruled"} | _RULES[rules]
    product = _document("product", PRODUCT, "--operator", _OPERATOR, *terms) | {"policy": "ruled"}
    for kind, document in (("policy", policy), ("product", product)):
        path = work / f"{kind}-{rules}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        command(
            "service.cli", kind, "apply", str(path), "--operator", _OPERATOR, "--activate", *terms
        )
    return replace(prepared, database=checkpoint(target))


def _document(kind: str, name: str, *options: str) -> dict[str, Any]:
    told = json.loads(command("service.cli", kind, "show", name, "--json", *options))
    found: dict[str, Any] = told["document"]
    return found
