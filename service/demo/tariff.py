"""The prices, deposits and item values of the three products."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

CURRENCY = "CNY"
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in fen and times in minutes; the cap holds for each 24 hours from the start."""

    start_fee_minor: int
    free_minutes: int
    interval_minutes: int
    interval_price_minor: int
    day_cap_minor: int

    def fee_minor(self, duration_s: int) -> int:
        """The fee of a rental of `duration_s` seconds, in fen.

        Every full 24 hours cost the cap; the rest costs at most the cap. The start fee and the
        free minutes count once, in the first 24 hours.
        """
        day_s = _DAY_MINUTES * 60
        days, rest_s = divmod(max(0, duration_s), day_s)
        if days == 0:
            billable_s = max(0, rest_s - self.free_minutes * 60)
            return min(self.day_cap_minor, self.start_fee_minor + self._intervals_minor(billable_s))
        return days * self.day_cap_minor + min(self.day_cap_minor, self._intervals_minor(rest_s))

    def _intervals_minor(self, seconds: int) -> int:
        """Every started interval is paid in full."""
        return -(-seconds // (self.interval_minutes * 60)) * self.interval_price_minor


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the operator; amounts in fen."""

    product_id: str
    title: str
    deposit_minor: int
    replacement_minor: int
    share_percent: int
    tariff: Tariff

    def charge_minor(self, duration_s: int, held_minor: int) -> int:
        """The amount to settle: the fee, never above the hold."""
        return min(held_minor, self.tariff.fee_minor(duration_s))


_MIX = {"bike": ("Bike", 50), "power-bank": ("Power bank", 30), "umbrella": ("Umbrella", 20)}
"""Title and assumed share of the day's rentals, in percent, by product."""


def _default_products() -> tuple[Product, ...]:
    text = resources.files("service").joinpath("data/defaults.toml").read_text("utf-8")
    terms = {product["product_id"]: product for product in tomllib.loads(text)["product"]}
    return tuple(
        Product(
            product_id=name,
            title=title,
            deposit_minor=terms[name]["deposit_minor"],
            replacement_minor=terms[name]["replacement_minor"],
            share_percent=share,
            tariff=Tariff(
                start_fee_minor=terms[name]["start_fee_minor"],
                free_minutes=terms[name]["free_minutes"],
                interval_minutes=terms[name]["interval_minutes"],
                interval_price_minor=terms[name]["interval_price_minor"],
                day_cap_minor=terms[name]["day_cap_minor"],
            ),
        )
        for name, (title, share) in _MIX.items()
    )


PRODUCTS = _default_products()
"""Deposits, values and tariffs of a new operator of the server."""


def yuan(amount_minor: int) -> str:
    """Fen as yuan with two decimals, exactly: 1234567 is "12,345.67"."""
    sign = "-" if amount_minor < 0 else ""
    whole, rest = divmod(abs(amount_minor), 100)
    return f"{sign}{whole:,}.{rest:02d}"


def assumptions() -> list[str]:
    """One sentence for each product."""
    sentences = []
    for p in PRODUCTS:
        t = p.tariff
        sentences.append(
            f"{p.title}: {p.share_percent} % of rentals; deposit {yuan(p.deposit_minor)} yuan, "
            f"replacement value {yuan(p.replacement_minor)} yuan; tariff {yuan(t.start_fee_minor)} "
            f"yuan to start, {t.free_minutes} free minutes, then "
            f"{yuan(t.interval_price_minor)} yuan for every started {t.interval_minutes} minutes, "
            f"at most {yuan(t.day_cap_minor)} yuan in 24 hours; never more than the hold."
        )
    return sentences
