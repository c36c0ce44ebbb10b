"""The gate on the approval of protected groups.

A group is compared with the group that the spec names, or else with the largest of its attribute. A
clear and large difference blocks the model: a server refuses to serve it until two people have
accepted it, each with a reason. A smaller difference needs their signatures too, and is only warned
of without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BLOCKED, TWO_SIGNATURES, FINE = "blocked", "two signatures", "fine"

NEEDED = "two people accept it, each by `freehold model accept FOLDER --reason TEXT`"

# The ratio of the rates of approval, and its upper 95 % bound.
BLOCKING_RATIO, BLOCKING_RATIO_HIGH, LEAST_RATIO = 0.75, 0.80, 0.80
# The gap among good payers, and its lower 95 % bound.
BLOCKING_GAP, BLOCKING_GAP_LOW, MOST_GAP = 0.15, 0.10, 0.05


def judge(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verdict on the attributes of `fairness.all_rows`, and the groups that it rests on.

    Small groups are not judged.
    """
    groups = []
    for attribute in attributes:
        of_name = {group["group"]: group for group in attribute["groups"]}
        reference = of_name[attribute["compared_with"]]
        for name, group in of_name.items():
            verdict = FINE if group["small"] else _of(group, reference)
            if verdict != FINE:
                found = {"attribute": attribute["attribute"], "group": name, "verdict": verdict}
                groups.append(found)
    verdicts = {group["verdict"] for group in groups}
    worst = next((v for v in (BLOCKED, TWO_SIGNATURES) if v in verdicts), FINE)
    return {"verdict": worst, "groups": groups}


def unjudged(attributes: Sequence[Mapping[str, Any]]) -> str:
    """Why no group of these attributes was judged; empty where one was."""
    if not attributes:
        return "no protected column has groups"
    for attribute in attributes:
        for group in attribute["groups"]:
            if group["group"] != attribute["compared_with"] and not group["small"]:
                return ""
    return "each group but the one that it is compared with is small"


def verdict_of(metrics: Mapping[str, Any]) -> str:
    """The verdict in the content of `metrics.json`; figures of earlier builds have none, and are
    fine."""
    gate = metrics.get("fairness", {}).get("gate", {})
    return str(gate.get("verdict", FINE))


def warning(gate: Mapping[str, Any]) -> list[str]:
    """A warning that names the groups of a verdict that is not fine."""
    if gate["verdict"] == FINE:
        return []
    marked = gate["verdict"] == BLOCKED
    names = "; ".join(
        f"{g['attribute']} {g['group']}" + (f" ({g['verdict']})" if marked else "")
        for g in gate["groups"]
    )
    about = f"fairness: {gate['verdict']}; approved too seldom: {names}"
    if marked:
        return [f"{about}; servers refuse this model, unless {NEEDED}"]
    return [f"{about}; {NEEDED}"]


def _of(group: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    ratio, gap = group["ratio"] or _ratio_of_none(group, reference), group["gap_of_good"]
    blocked = warned = False
    if ratio is not None:
        high = ratio["interval"][1]
        blocked = ratio["value"] < BLOCKING_RATIO and high < BLOCKING_RATIO_HIGH
        warned = ratio["value"] < LEAST_RATIO
    if gap is not None:
        low = gap["interval"][0]
        blocked = blocked or (gap["value"] > BLOCKING_GAP and low > BLOCKING_GAP_LOW)
        warned = warned or gap["value"] > MOST_GAP
    return BLOCKED if blocked else TWO_SIGNATURES if warned else FINE


def _ratio_of_none(group: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ratio of a group of which nobody is approved, whose interval has no formula: its upper
    bound is the one of the group's rate."""
    approval, others = group["approval"], reference["approval"]["value"]
    if approval["value"] != 0.0 or not others:
        return None
    return {"value": 0.0, "interval": [0.0, approval["interval"][1] / others]}
