"""Fees and amounts."""

from __future__ import annotations

import pytest

from service.demo.tariff import PRODUCTS, Tariff, assumptions, yuan

TARIFF = Tariff(100, 10, 30, 200, 1_000)


@pytest.mark.parametrize(
    ("duration_s", "fee_minor"),
    [
        (0, 100),
        (600, 100),
        (601, 300),
        (600 + 1800, 300),
        (600 + 1801, 500),
        (600 + 5 * 1800, 1_000),
        (86_399, 1_000),
        (86_400, 1_000),
        (86_401, 1_200),
        (2 * 86_400 + 1, 2_200),
    ],
)
def test_fee(duration_s: int, fee_minor: int) -> None:
    """Start fee, free minutes, started intervals, and the cap of each 24 hours make the fee."""
    assert TARIFF.fee_minor(duration_s) == fee_minor


def test_longer_never_costs_less() -> None:
    """A longer rental never costs less, for every product."""
    for product in PRODUCTS:
        fees = [product.tariff.fee_minor(s) for s in range(0, 3 * 86_400, 97)]
        assert fees == sorted(fees)


def test_never_above_the_hold() -> None:
    """A charge never exceeds the hold."""
    bike = PRODUCTS[0]
    assert bike.charge_minor(400 * 86_400, bike.deposit_minor) == bike.deposit_minor
    assert bike.charge_minor(60, bike.deposit_minor) == bike.tariff.fee_minor(60)


def test_mix_is_whole() -> None:
    """The products' shares add up to all rentals."""
    assert sum(p.share_percent for p in PRODUCTS) == 100


def test_yuan() -> None:
    """Fen are written as yuan without rounding."""
    assert [yuan(n) for n in (0, 5, 100, 1_234_567, -1)] == [
        "0.00",
        "0.05",
        "1.00",
        "12,345.67",
        "-0.01",
    ]


def test_assumptions_name_every_product() -> None:
    """Each product's terms are among the assumptions."""
    assert len(assumptions()) == len(PRODUCTS)
