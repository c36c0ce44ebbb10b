"""Euros beside yuan in the engine's tests: limits, rates, and products with euro prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind
from service.domain.ledger import Line
from service.storage.admin import by_shell
from service.storage.terms_acts import Order, apply_terms
from tests.fakes import OPERATOR, START_US, Desk

EUR = "EUR"
STEPS = {"CNY": ((500, 10_000), (650, 50_000)), EUR: ((500, 2_000), (650, 6_000))}
"""The limits from each score, in minor units."""
EURO_RATE = (785, 100)
"""1.00 euro is worth 7.85 yuan."""
SCOOTER_MINOR = 4_000
"""The deposit of a scooter, in cents."""


def offer_euros(
    desk: Desk,
    rates: Mapping[str, tuple[int, int]] | None = None,
    steps: Mapping[str, Any] = STEPS,
) -> None:
    """Gives the terms limits in euros and city's scooters, which are priced in euros.

    `rates` are those of a total exposure in yuan; None means that each currency is by itself.
    """
    change_limits(desk, rates, steps)
    tariff = {
        **{"name": "scooter-2026", "currency": EUR, "rounding": "STARTED", "buy_out_minor": 4_000},
        "segment": [{"interval_minutes": 15, "price_minor": 50}],
    }
    product = {
        **{"id": "scooter", "category": "BIKE", "currency": EUR, "tariff": "scooter-2026"},
        **{"deposit_minor": SCOOTER_MINOR, "replacement_minor": 9_000, "policy": "bike"},
        "most_hold_minor": 9_000,
    }
    apply(desk, DocumentKind.TARIFF, tariff, OPERATOR)
    apply(desk, DocumentKind.PRODUCT, product, OPERATOR)
    desk.engine.terms.follow()


def change_limits(
    desk: Desk,
    rates: Mapping[str, tuple[int, int]] | None = None,
    steps: Mapping[str, Any] = STEPS,
) -> None:
    """Puts limits into force, with the rates of a total exposure in yuan, if any."""
    table: dict[str, Any] = {
        "limit": [
            {"currency": currency, "from_score": score, "limit_minor": minor}
            for currency, of in steps.items()
            for score, minor in of
        ]
    }
    if rates is not None:
        rows = [
            {"currency": currency, "worth_minor": worth, "of_minor": of}
            for currency, (worth, of) in rates.items()
        ]
        table["exposure"] = {"currency": "CNY", "rate": rows}
    apply(desk, DocumentKind.LIMITS, table, PLATFORM)
    desk.engine.terms.follow()


def apply(desk: Desk, kind: DocumentKind, table: dict[str, Any], owner: str) -> None:
    """Puts a document into force."""
    order = Order(kind, owner, table, "", activate=True)
    now_us = max(START_US, desk.clock.now_us())
    asked = by_shell("apply_terms", [kind, table], "", "tester")
    apply_terms(desk.store.engine, asked, order, now_us, lambda _: b"")


def line_in(desk: Desk, currency: str, user_id: str = "ann") -> Line | None:
    """A person's line in a currency as it is stored."""
    return desk.store.line(user_id, currency)


def limit_in(desk: Desk, currency: str, user_id: str = "ann") -> int | None:
    """The limit of a person's line in a currency; None without a line."""
    line = line_in(desk, currency, user_id)
    return None if line is None else line.limit_minor
