"""Money: whole minor units of one currency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.money import Money, share_minor

AMOUNTS = st.integers(min_value=0, max_value=10**12)
SHARES = st.integers(min_value=0, max_value=10_000)


def test_amounts_of_one_currency_add_and_subtract() -> None:
    """Amounts of one currency add up, and a difference may be negative."""
    assert Money("CNY", 150) + Money("CNY", 50) == Money("CNY", 200)
    assert Money("CNY", 50) - Money("CNY", 150) == Money("CNY", -100)


@pytest.mark.parametrize("sign", ["+", "-"])
def test_currencies_do_not_mix(sign: str) -> None:
    """Adding or subtracting another currency is refused, and the error names the expected one."""
    left, right = Money("CNY", 1), Money("EUR", 1)
    with pytest.raises(InvalidInput) as refused:
        _ = left + right if sign == "+" else left - right
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("currency_code", "currency.mismatch")
    assert "CNY" in violation.description


def test_an_amount_is_given_only_for_its_currency() -> None:
    """An amount in another currency than expected is refused, and the violation names the caller's
    field."""
    assert Money("CNY", 7).require("CNY") == 7
    with pytest.raises(InvalidInput) as refused:
        Money("EUR", 7).require("CNY", "paid.currency_code")
    assert refused.value.violations[0].field == "paid.currency_code"


def test_two_amounts_cannot_be_multiplied() -> None:
    """Multiplying two amounts is refused."""
    with pytest.raises(TypeError):
        Money("CNY", 2) * Money("CNY", 2)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("amount_minor", "basis_points", "share"),
    [(0, 300, 0), (33, 300, 0), (34, 300, 1), (9_999, 1, 0), (10_000, 1, 1), (7, 10_000, 7),
     (7, 0, 0), (19_901, 5_000, 9_950), (10**12, 9_999, 999_900_000_000)],
)  # fmt: skip
def test_a_share_is_floored(amount_minor: int, basis_points: int, share: int) -> None:
    """A share in basis points is rounded down to a whole minor unit."""
    assert share_minor(amount_minor, basis_points) == share


@given(amount_minor=AMOUNTS, basis_points=SHARES)
def test_a_share_is_rounded_by_less_than_one_unit(amount_minor: int, basis_points: int) -> None:
    """A share is at most the whole and less than one unit below the exact share."""
    share = share_minor(amount_minor, basis_points)
    assert 0 <= share <= amount_minor
    assert share * 10_000 <= amount_minor * basis_points < (share + 1) * 10_000


@given(one=AMOUNTS, other=AMOUNTS, basis_points=SHARES)
def test_a_share_grows_with_the_amount(one: int, other: int, basis_points: int) -> None:
    """The share of a larger amount is never smaller."""
    low, high = sorted((one, other))
    assert share_minor(low, basis_points) <= share_minor(high, basis_points)
