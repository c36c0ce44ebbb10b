"""The changes of documents that need a second person, told a second time: all but a few are laxer.

Each number of a document is compared under its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.engine.plain_terms import Row

LOWER_IS_LAXER = (
    *("zero_from_score", "reduced_from_score", "from_score", "deposit_minor"),
    *("least_zero_from_score", "least_reduced_from_score"),
)
HIGHER_IS_LAXER = (
    *("reduced_credit_share_bp", "limit_minor", "most_hold_minor", "damage_without_consent_minor"),
    *("most_credit_share_bp", "most_deposit_minor", "most_increments", "most_pauses"),
)
HARMLESS = (
    *("id", "name", "category", "replacement_minor", "cancellation_fee_minor"),
    *("tariff", "policy", "currency"),
)
TIMES = ("_minutes", "_hours", "_days", "_us")


def gives_power(kind: str, before: Row | None, after: Row | None) -> bool:
    """Whether a change makes terms laxer."""
    if kind == "tariff" or (kind == "product" and None in (before, after)):
        return False
    if kind == "bounds":
        return _bounds_fall(before or {}, after or {})
    if before is None or after is None:
        return True
    old, new = dict(_flat(before, "")), dict(_flat(after, ""))
    paths = {path for path in {**old, **new} if old.get(path) != new.get(path)}
    return any(not _is_stricter(path, old.get(path), new.get(path)) for path in paths)


def _bounds_fall(before: Row, after: Row) -> bool:
    for name in ("jurisdictions", "second_person"):
        if set(before.get(name, ())) - set(after.get(name, ())):
            return True
    old, new = dict(_flat(before, "")), dict(_flat(after, ""))
    lists = ("jurisdictions", "second_person")
    return any(
        not _is_stricter(path, old[path], new.get(path))
        for path in old
        if old[path] != new.get(path) and not path.startswith(lists)
    )


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each plain value of a document with its path."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, part in enumerate(value):
            yield from _flat(part, f"{path}[{place}]")
    else:
        yield path, value


def _is_stricter(path: str, before: Any, after: Any) -> bool:
    key = path.rpartition(".")[2]
    if key in HARMLESS:
        return "." not in path or key not in ("tariff", "policy", "currency")
    old, new = (it if isinstance(it, int) else None for it in (before, after))
    if key in LOWER_IS_LAXER:
        return old is not None and new is not None and new > old
    if key in HIGHER_IS_LAXER:
        return new is not None and (old is None or new < old)
    return key.endswith(TIMES) and old is not None and new is not None and new < old
