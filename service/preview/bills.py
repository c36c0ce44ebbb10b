"""The fees of rentals that happened, by the tariff in force and by a draft.

The fee of a lost item is the buy-out price. If the draft's fee would not have reached this price
when the item counted as lost, the rental would have gone on: its fee is then a range, from the fee
until that time to the draft's buy-out price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from service.domain.meter import Meter
from service.domain.metered import fee_between
from service.domain.product import Product
from service.preview.report import Fees, Range
from service.preview.usages import Usage


def fee_of(usage: Usage, product: Product, meter: Meter) -> Range:
    """The fee of a usage under a product's tariff and with a meter, in minor units."""
    tariff, end_us = product.tariff, usage.end_us
    if usage.lost and usage.reported:
        return _bounded(usage, Range(tariff.buy_out_minor, tariff.buy_out_minor))
    free_us = product.policy.free_cancellation_us
    times = (usage.start_us, end_us, meter, free_us, usage.reserved_us)
    minor = fee_between(tariff, *times, usage.order_fee_minor).total_minor
    if not usage.lost:
        return _bounded(usage, Range(minor, minor))
    # The price of a lost item is not reduced by pauses or waivers.
    return _bounded(usage, Range(minor, tariff.buy_out_minor))


def _bounded(usage: Usage, fee: Range) -> Range:
    """The part of the fee that the hold covers, less the amounts given up after the capture."""
    least, most = (
        max(0, (it if usage.hold_minor is None else min(it, usage.hold_minor)) - given)
        for it in fee
        for given in [usage.meter.given_minor]
    )
    return Range(least, most)


def before_of(usage: Usage, product: Product) -> int:
    """The fee by the tariff in force: that of a lost item is the buy-out price."""
    fee = fee_of(usage, product, usage.meter)
    return fee.most if usage.lost else fee.least


def _everywhere(draft: Product) -> list[Product]:
    """A draft at the usual prices, and at those of each place."""
    of_places = {it.tariff.place: it for it in draft.by_station.values()}
    return [draft, *of_places.values()]


def _together(fees: Iterable[Range]) -> Range:
    """The least and the most of some fees."""
    least, most = zip(*fees, strict=True)
    return Range(min(least), max(most))


def fees_of(usages: Iterable[Usage], in_force: dict[tuple[str, int], Product],
            drafts: dict[tuple[str, int], Product],
            meters: Mapping[tuple[str, str], Meter]) -> tuple[Fees, ...]:  # fmt: skip
    """The fees of usages in each currency; products are named by their ids and revisions. `meters`
    are those of rentals under the drafts, if tariffs have quotas. A rental whose order's station is
    not known may have the prices of any place."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * 8)
    everywhere: dict[tuple[str, int], list[Product]] = {}
    for usage in usages:
        name = usage.product_id, usage.revision
        product, draft = in_force[name], drafts[name]
        before, meter = before_of(usage, product), meters.get(usage.rental, usage.meter)
        if usage.station is None:
            possible = everywhere.setdefault(name, _everywhere(draft))
        else:
            possible = [draft.at(usage.station)]
        least, most = _together(
            Range(before, before) if it.tariff == product.tariff else fee_of(usage, it, meter)
            for it in possible
        )
        total = sums[product.currency]
        values = (
            *(1, usage.charged_minor, before, least, most),
            *(least > before, most < before, least < most),
        )
        for place, value in enumerate(values):
            total[place] += value
    return tuple(
        Fees(currency, rentals, charged, before, Range(least, most), higher, lower, open_ended)
        for currency, (rentals, charged, before, least, most, higher, lower, open_ended) in sorted(
            sums.items()
        )
    )
