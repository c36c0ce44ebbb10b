"""Pauses that are told after the settlement, together with their end. They never raise the fee.

One call tells the beginning and the end, so a late pause never lacks its end. The operator gives
back the difference between the fee without the pause and the fee with it. The price of a lost item
is no fee: the pause counts when the item is found, or when a complaint is granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.domain import settlement
from service.domain.acts import Act, require, require_rental, require_was_out
from service.domain.authorization import Authorization, State, Step, step
from service.domain.captures import Capture
from service.domain.errors import IllegalState, InvalidInput
from service.domain.meter import Meter, Pause
from service.domain.pauses import PAUSE, bounded, moved_by, stood_already
from service.domain.product import Product
from service.domain.transitions import Transition
from service.domain.usage_ends import usage_end_us

PAUSE_LATE = Act(PAUSE.call, frozenset({State.SETTLED}))


class Bill(NamedTuple):
    """The charge that a late pause may lower.

    `end_us` is the end of the usage, in microseconds since the epoch; None if the price of a lost
    item was charged. `captures` are all captures of the rental.
    """

    end_us: int | None
    captures: Sequence[Capture]


def require_pausable(it: Authorization, *, ended: bool) -> None:
    """Raises IllegalState unless a pause of the rental may be told now.

    `ended` says that the end of the pause is told too, which is required after the settlement.
    """
    if it.state is not State.SETTLED or it.parent_id:
        require(it, PAUSE)
    elif not ended:
        raise IllegalState(
            "ILLEGAL_TRANSITION",
            f"{PAUSE.call} is not allowed in state {it.state} without the end of the pause;"
            " give resumed_at too",
            it.state,
        )


def pause(
    it: Authorization,
    product: Product,
    meter: Meter,
    from_us: int,
    resumed_us: int,
    now_us: int,
    bill: Bill,
) -> tuple[Step, Pause]:
    """Stops the meter of a settled rental from `from_us` until `resumed_us`, or until the policy's
    bound if that is earlier.

    The operator gives back the difference between the fee without the pause and the fee with it. A
    surcharge that the operator asked for is kept. Returns the step, and the part of the pause that
    counts. Raises InvalidInput for a pause that begins at the return or later. Raises IllegalState
    if the meter already stood from then until the return, and in the cases that `bounded` names.
    """
    require_rental(it)
    require(it, PAUSE_LATE)
    require_was_out(it)
    end_us = now_us if bill.end_us is None else usage_end_us(it, bill.end_us)
    if from_us >= end_us:
        raise InvalidInput.of(
            "occurred_at", "occurred_at.closed", "must be before the end of the settled rental"
        )
    # A pause that nobody resumed stopped the meter only until the return.
    used_us = meter.paused_us(end_us)
    from_us, until_us, _ = bounded(it, product, meter, from_us, used_us, resumed_us)
    if from_us >= end_us:
        raise stood_already(it)
    pause = Pause(from_us, min(resumed_us, until_us), resumed=True)
    paused = moved_by(it, pause.length_us)
    if bill.end_us is None:
        return step(paused, (), Transition.PAUSED, from_us), pause
    before_minor = settlement.unwaived_minor(paused, product, end_us, meter)
    after_minor = settlement.unwaived_minor(paused, product, end_us, meter.with_pause(pause))
    # The part above the hold is charged too: it may be a debt.
    charged_minor = settlement.kept_fee_minor(paused, bill.captures) + paused.uncollected_minor
    total_minor = max(after_minor, charged_minor - (before_minor - after_minor))
    given_back = settlement.docked(
        paused, bill.captures, total_minor, Transition.PAUSED, from_us, is_back=False
    )
    return given_back, pause
