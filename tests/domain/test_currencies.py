"""Exact amounts in a currency's own unit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.currencies import decimal_of, exponent_of, minor_of_decimal
from service.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("1.50", "CNY", 150),
        ("1.5", "CNY", 150),
        ("0.155", "CNY", None),
        ("130", "JPY", 130),
        ("130.0", "JPY", 130),
        ("1.5", "JPY", None),
        ("0.155", "KWD", 155),
        ("-2", "EUR", -200),
        ("NaN", "EUR", None),
        ("Infinity", "EUR", None),
        ("1e999999", "EUR", None),
        ("1e-999999", "EUR", None),
        ("1.500000000000000000000000000001", "CNY", None),
    ],
)
def test_a_decimal_is_a_whole_number_of_minor_units(
    amount: str, currency: str, minor: int | None
) -> None:
    """A decimal is taken only if it is a whole number of the currency's minor units."""
    assert minor_of_decimal(Decimal(amount), currency) == minor


@given(st.integers(-(10**12), 10**12), st.sampled_from(["JPY", "CNY", "KWD", "CLF"]))
def test_minor_units_return_unchanged(minor: int, currency: str) -> None:
    """An amount in minor units is the same after it was written as a decimal."""
    assert minor_of_decimal(decimal_of(minor, currency), currency) == minor


def test_a_code_without_minor_units_is_refused() -> None:
    """Gold is no currency that people pay with."""
    assert exponent_of("CNY") == 2
    with pytest.raises(InvalidInput):
        exponent_of("XAU")
