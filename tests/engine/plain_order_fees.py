"""The fees of orders, told a second time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from service.domain.money import Money
from service.engine import operations as c
from tests.engine.plain_terms import CURRENCY, Refused, Row, minor

FEES = (0, 0, 1, 300, 700, 1_200, 5_000, 9_900, 9_901, 20_001)


def fees_of(asked: c.Authorize, terms: Sequence[Row]) -> list[int | None]:
    """The fee of each item; refuses one that its terms do not allow, and any for damage."""
    found: list[int | None] = []
    for item, of in zip(asked.items, terms, strict=True):
        if item.order_fee is None:
            found.append(None)
            continue
        fee, most = minor(item.order_fee), of["most_hold"]
        if asked.parent_id or 0 < of["buy_out"] < fee:
            raise Refused("INVALID_INPUT")
        if most is not None and of["deposit"] + fee > most:
            raise Refused("INVALID_INPUT")
        found.append(fee)
    return found


def allowed(it: Row, purpose: str, charged: int, amount: int) -> bool:
    """Whether the order's fee allows a capture, after the fees charged before."""
    most = it["order_fee"]
    if most is None or amount == 0 or purpose == "DAMAGE":
        return True
    if most == 0:
        return False
    return bool(purpose != "FEE" or charged + amount <= most)


def raised(it: Row, by: int) -> int | None:
    """The fee after an increment."""
    most: int | None = it["order_fee"]
    return most + by if most else most


def any_fee(chance: Random) -> Money | None:
    """A fee, or mostly none."""
    if chance.random() < 0.75:
        return None
    return Money(CURRENCY if chance.random() < 0.98 else "EUR", chance.choice(FEES))
