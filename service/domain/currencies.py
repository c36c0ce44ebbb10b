"""The minor units of currencies, and exact amounts in a currency's own unit.

The exponents are those of ISO 4217 (list one): most currencies have hundredths.
"""

from __future__ import annotations

from decimal import Decimal

from service.domain.errors import InvalidInput

MOST_DIGITS = 30
"""No sensible amount has more digits before or after its point."""
_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENTS = {code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()}
_WITHOUT = frozenset(
    # Metals, units of account, and codes for tests.
    "XAD XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX".split()  # noqa: SIM905
)
"""Codes that have no minor unit."""


def exponent_of(currency: str) -> int:
    """The number of decimals of a currency's minor unit, for example 2 for CNY and 0 for JPY.

    Raises InvalidInput for a code that has no minor unit.
    """
    if currency in _WITHOUT:
        text = f"{currency} has no minor unit: use a currency that people pay with"
        raise InvalidInput.of("currency", "currency.without_minor_unit", text)
    return _EXPONENTS.get(currency, 2)


def decimal_of(amount_minor: int, currency: str) -> Decimal:
    """An amount in minor units as a decimal of the currency's own unit: 150 of CNY are 1.50."""
    return Decimal(amount_minor).scaleb(-exponent_of(currency))


def minor_of_decimal(amount: Decimal | int, currency: str) -> int | None:
    """A decimal of the currency's own unit in minor units; None if it is no whole number of them.

    1.5 of CNY are 150; 0.155 of CNY and 1.5 of JPY are None.
    """
    amount = Decimal(amount)
    # A text of a few characters can name a number with a million digits.
    if not amount.is_finite() or (amount and abs(amount.adjusted()) > MOST_DIGITS):
        return None
    numerator, denominator = amount.as_integer_ratio()
    whole, rest = divmod(numerator * 10 ** exponent_of(currency), denominator)
    return None if rest else whole
