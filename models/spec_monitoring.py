"""The spec's [monitoring]: thresholds of drift, and the reviews that they call for.

They are decided with the model and kept in its manifest, so nobody moves them after the fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from models.toml_table import TomlTable

MONITORING_KEYS = (
    "amber", "red", "significance", "fewest_people", "amber_review", "red_review",
)  # fmt: skip


@dataclass(frozen=True)
class Monitoring:
    """Thresholds of the population stability index, and the review that each calls for.

    An index from `amber` or `red` on, and beyond chance at the level `significance`, has that
    light. Of fewer than `fewest_people` people nothing is said.
    """

    amber: float = 0.10
    red: float = 0.25
    significance: float = 0.01
    fewest_people: int = 200
    amber_review: str = "find out why it moved"
    red_review: str = "review the model before it decides further"


HOUSE = Monitoring()
"""The house rules, for a spec without thresholds of its own."""


def monitoring(top: TomlTable) -> Monitoring:
    """The [monitoring] table, or the house rules where the spec has none."""
    table = TomlTable("monitoring", top.get("monitoring", {}), MONITORING_KEYS, top.faults)
    usual = HOUSE
    found = Monitoring(
        amber=table.number("amber", 0.001, 100.0, usual.amber),
        red=table.number("red", 0.001, 100.0, usual.red),
        significance=table.number("significance", 1e-9, 0.5, usual.significance),
        fewest_people=table.integer("fewest_people", 1, 1_000_000, usual.fewest_people),
        amber_review=table.text("amber_review", usual.amber_review),
        red_review=table.text("red_review", usual.red_review),
    )
    if found.red < found.amber:
        table.fault("red", "must not be below monitoring.amber")
    return found


def to_json(it: Monitoring) -> dict[str, Any]:
    """The thresholds and reviews in a manifest."""
    return asdict(it)


def from_json(document: Mapping[str, Any]) -> Monitoring:
    """The reverse of `to_json`; raises KeyError for anything else."""
    return Monitoring(**{name: document[name] for name in MONITORING_KEYS})
