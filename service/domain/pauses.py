"""Pauses: the meter of a rental stands while the item cannot be returned or used.

All instants that follow from the meter move with it: the due time, and the time of loss. When a
pause begins, they move as if it lasted until the policy's bound. When the rental is resumed, they
move back by the rest of that time. So the bound needs no timer: the meter runs on by itself.
"""

from __future__ import annotations

from service.domain.acts import Act, require, require_rental
from service.domain.authorization import Authorization, State, Step, step
from service.domain.errors import IllegalState, InvariantBroken
from service.domain.hold import put_off
from service.domain.meter import Meter, Pause
from service.domain.product import Product
from service.domain.tariff import MINUTE_US
from service.domain.transitions import Transition

PAUSE = Act("PauseRental", frozenset({State.ACTIVE, State.OVERDUE}))
RESUME = Act("ResumeRental", frozenset({State.ACTIVE, State.OVERDUE}))


def pause(
    authorization: Authorization, product: Product, meter: Meter, from_us: int, now_us: int
) -> tuple[Step, Pause]:
    """The meter stands from `from_us` on, for at most the rest of the policy's time.

    A pause that would begin within the last one begins at its end. Raises IllegalState if the meter
    stands already, or if the rental has used up the policy's time or number of pauses.
    """
    require_rental(authorization)
    require(authorization, PAUSE)
    if meter.pauses and now_us < meter.pauses[-1].until_us:
        raise IllegalState(
            "ALREADY_PAUSED",
            f"the rental is paused; end the pause with {RESUME.call}",
            authorization.state,
        )
    policy = product.policy
    left_us = policy.pause_limit_us - meter.paused_whole_us
    if left_us <= 0 or len(meter.pauses) >= policy.most_pauses:
        raise IllegalState(
            "PAUSE_LIMIT_REACHED",
            f"the policy allows {policy.most_pauses} pauses of together"
            f" {policy.pause_limit_us // MINUTE_US} minutes; waive the fee instead",
            authorization.state,
        )
    if meter.pauses:
        from_us = max(from_us, meter.pauses[-1].until_us)
    paused = Pause(from_us, from_us + left_us)
    moved = _moved(authorization, left_us)
    late = moved.due_us is None or moved.due_us <= now_us
    state = authorization.state if late else State.ACTIVE
    return step(moved, (), Transition.PAUSED, from_us, state=state), paused


def resume(
    authorization: Authorization, product: Product, meter: Meter, at_us: int, now_us: int
) -> tuple[Step, Pause]:
    """The meter runs on at `at_us`, which may be told later, at `now_us`.

    The item does not count as lost before it was overdue for the policy's time. Raises IllegalState
    unless a pause goes on at `at_us`.
    """
    require_rental(authorization)
    require(authorization, RESUME)
    last = meter.pauses[-1] if meter.pauses else None
    if last is None or last.resumed or at_us >= last.until_us:
        bound = "" if last is None or last.resumed else ": it ended at the policy's bound"
        raise IllegalState(
            "NOT_PAUSED", f"no pause goes on at this time{bound}", authorization.state
        )
    ended = Pause(last.from_us, max(at_us, last.from_us), resumed=True)
    moved = _moved(authorization, ended.until_us - last.until_us)
    if moved.due_us is None:
        raise InvariantBroken("a rental has no due time")
    lost_us = put_off(moved.lost_us, product, max(moved.due_us, now_us))
    return step(moved, (), Transition.RESUMED, ended.until_us, lost_us=lost_us), ended


def _moved(it: Authorization, by_us: int) -> Authorization:
    """The authorization with all instants of its meter moved."""
    return it._replace(
        paused_us=it.paused_us + by_us,
        due_us=None if it.due_us is None else it.due_us + by_us,
        lost_us=None if it.lost_us is None else it.lost_us + by_us,
    )
