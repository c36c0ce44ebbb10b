"""The free minutes of quotas and passes under a draft: used up in the order in which rentals were
settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from service.domain.meter import Meter
from service.domain.metered import fee_between, quota_minutes
from service.domain.product import Product
from service.domain.quotas import divided, pools_of
from service.domain.segment_tariff import SegmentTariff
from service.preview.usages import Usage


def have_quotas(products: Iterable[Product]) -> bool:
    """True if a tariff of these products has quotas, or sells passes."""
    return any(it.tariff.quotas or it.tariff.passes for it in products)


def meters_under(
    usages: Iterable[Usage], drafts: Mapping[tuple[str, int], Product]
) -> dict[tuple[str, str], Meter]:
    """The meter of each rental with the free minutes that are left for it under the drafts.

    Minutes come back if nothing of the charge is left; here they are free again at once.
    """
    used: Counter[tuple[str, str, str, int]] = Counter()
    found = {}
    for usage in sorted(usages, key=lambda it: (it.close_us, it.start_us)):
        product = drafts[usage.product_id, usage.revision].at(usage.station or "")
        meter = usage.meter._replace(quota_minutes=0, quota_fixed=False)
        meter = meter._replace(pass_minutes=0, pass_percent=0)
        pools = pools_of(product.tariff, usage.start_us)
        held = usage.held if isinstance(product.tariff, SegmentTariff) else None
        if held is not None:
            pools = (held, *pools)
        keys = [(usage.rental[0], it.name, str(it.per), it.period_us) for it in pools]
        left = [max(0, it.most_minutes - used[key]) for it, key in zip(pools, keys, strict=True)]
        meter = meter._replace(quota_minutes=sum(left))
        if held is not None:
            meter = meter._replace(pass_minutes=left[0], pass_percent=held.percent)
        found[usage.rental] = meter
        if usage.lost or not sum(left) or usage.given_back:
            continue
        times = usage.start_us, usage.end_us
        free_us = product.policy.free_cancellation_us
        reserved_us, most_minor = usage.reserved_us, usage.order_fee_minor
        fee = fee_between(product.tariff, *times, meter, free_us, reserved_us, most_minor)
        if not usage.charged_minor and any(it.amount_minor for it in fee.lines):
            continue
        for pool, key, part in zip(pools, keys, divided(quota_minutes(fee), left), strict=True):
            # Each rental has the whole minutes of a pass for each.
            used[key] += part if pool.counted else 0
    return found
