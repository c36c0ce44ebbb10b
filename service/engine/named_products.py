"""The products that the calls of a batch name by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from service.engine.calls import Work
from service.engine.operations import Authorize, BuyPass, GrantPass
from service.engine.tables import Pair

_SELLING = (BuyPass, GrantPass)


def named_products(batch: Sequence[Work]) -> set[Pair]:
    """The products that calls rent out, or sell passes for: operator id and product id."""
    named = {
        (work.caller, item.product_id)
        for work in batch
        if isinstance(work.command, Authorize)
        for item in work.command.items
    }
    named.update(
        (work.caller, work.command.product_id)
        for work in batch
        if isinstance(work.command, _SELLING)
    )
    return named
