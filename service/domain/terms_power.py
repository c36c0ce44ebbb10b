"""Changes of terms that give power or risk more money: a person needs a second one for them."""

from __future__ import annotations

from typing import Any

from service.domain.documents import Difference, DocumentKind, Table, differences

DOWN = frozenset(
    {
        "zero_from_score",
        "reduced_from_score",
        "from_score",
        "deposit_minor",
        "least_zero_from_score",
        "least_reduced_from_score",
        "worth_minor",
    }
)
"""Keys whose fall makes terms laxer."""
UP = frozenset(
    {
        "reduced_credit_share_bp",
        "limit_minor",
        "most_hold_minor",
        "damage_without_consent_minor",
        "most_credit_share_bp",
        "most_deposit_minor",
        "most_increments",
        "most_pauses",
        "of_minor",
    }
)
"""Keys whose rise makes terms laxer; so does their absence."""
HARMLESS = frozenset({"id", "name", "category", "replacement_minor", "cancellation_fee_minor"})
"""Keys that give no power. A tariff gives none either: no rental costs more than the user saw."""


def gives_power(kind: DocumentKind, before: Table | None, after: Table | None) -> tuple[str, ...]:
    """The paths of the changes between two documents that make the terms laxer, sorted.

    `before` is None for the first revision, and `after` for the end of a document. A first policy,
    a first document of limits and each other key that is not known to be stricter count as laxer,
    so that a new key is never overlooked. A first product gives no power by itself.
    """
    if kind is DocumentKind.TARIFF:
        return ()
    if kind is DocumentKind.PRODUCT:
        if before is None or after is None:
            return ()
    elif kind is DocumentKind.BOUNDS:
        return _wider(before or {}, after or {})
    elif before is None or after is None:
        return (str(kind),)
    return tuple(it.path for it in differences(before, after) if not _stricter(it))


def _wider(before: Table, after: Table) -> tuple[str, ...]:
    """The paths of the bounds that allow more than before. No bound allows more than any bound."""
    listed = ("jurisdictions", "second_person")
    wider = [it for it in listed if not set(before.get(it, ())) <= set(after.get(it, ()))]
    for it in differences(before, after):
        if it.path not in listed and it.before and not _stricter(it):
            wider.append(it.path)
    return tuple(sorted(wider))


def _stricter(it: Difference) -> bool:
    key = it.path.rpartition(".")[2]
    if key in HARMLESS or it.path in ("tariff", "policy", "currency"):
        # The policy of a product is compared by its own values.
        return True
    before, after = _number(it.before), _number(it.after)
    if key in DOWN:
        return bool(it.after) and before is not None and after is not None and after > before
    if key in UP:
        return bool(it.after) and after is not None and (before is None or after < before)
    if key.endswith(("_minutes", "_hours", "_days", "_us")):
        return before is not None and after is not None and after < before
    return False


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return None
