"""The spec's [card]: the people and the uses that a model is for, as its owner declares them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from models.toml_table import TomlTable

TIERS = ("low", "medium", "high")
"""How much depends on the model, for the people who review it."""
CARD_KEYS = (
    "owner", "tier", "intended_uses", "forbidden_uses", "limitations", "review_triggers",
)  # fmt: skip


@dataclass(frozen=True)
class Card:
    """The owner of a model, its tier, its intended and forbidden uses, its limitations, and the
    events after which it is reviewed."""

    owner: str
    tier: str
    intended_uses: tuple[str, ...]
    forbidden_uses: tuple[str, ...]
    limitations: tuple[str, ...]
    review_triggers: tuple[str, ...]


def card(top: TomlTable) -> Card | None:
    """The [card] table; None where the spec has none."""
    if not top.has("card"):
        return None
    table = TomlTable("card", top.get("card", {}), CARD_KEYS, top.faults)
    uses = _texts(table, "intended_uses", ...)
    if not uses and table.has("intended_uses"):
        table.fault("intended_uses", "must not be empty")
    return Card(
        owner=table.text("owner"),
        tier=table.choice("tier", TIERS),
        intended_uses=uses,
        forbidden_uses=_texts(table, "forbidden_uses", []),
        limitations=_texts(table, "limitations", []),
        review_triggers=_texts(table, "review_triggers", []),
    )


def _texts(table: TomlTable, name: str, usual: object) -> tuple[str, ...]:
    found = tuple(table.list_of(name, str, usual))
    if any(not text.strip() for text in found):
        table.fault(name, "must not have a blank text")
    return found


def to_json(it: Card) -> dict[str, Any]:
    """The card in a manifest and in metrics.json."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(it).items()}
