"""Pauses: the meter of a rental stands while the item cannot be returned or used.

All instants that follow from the meter move with it: the due time, and the time of loss. When a
pause begins, they move as if it lasted until the policy's bound. When the rental is resumed, they
move back by the rest of that time. So the bound needs no timer: the meter runs on by itself. For
pauses told after the settlement see `late_pauses.py`.
"""

from __future__ import annotations

from service.domain.acts import Act, require, require_rental
from service.domain.attestations import resumable
from service.domain.authorization import Authorization, State, Step, step
from service.domain.errors import IllegalState, InvalidInput, InvariantBroken
from service.domain.hold import lost_after_us, put_off
from service.domain.meter import Meter, Pause
from service.domain.product import Product
from service.domain.tariff import MINUTE_US
from service.domain.transitions import Transition
from service.domain.usage_ends import started_us

PAUSE = Act("PauseRental", frozenset({State.ACTIVE, State.OVERDUE}))
RESUME = Act("ResumeRental", frozenset({State.ACTIVE, State.OVERDUE}))


def pause(
    authorization: Authorization,
    product: Product,
    meter: Meter,
    from_us: int,
    now_us: int,
    resumed_us: int | None = None,
) -> tuple[Step, Pause]:
    """The meter stands from `from_us` on, for at most the rest of the policy's time.

    `resumed_us` is the end, if the same call tells it. The returned pause lasts until its bound
    nevertheless. A pause may be told after a later pause; it then ends at the latest where the
    later pause begins. A pause that would begin within another one begins at the end of that one.
    Raises IllegalState if the meter stands already, and in the cases that `bounded` names.
    """
    require_rental(authorization)
    require(authorization, PAUSE)
    if any(now_us < it.until_us for it in meter.pauses):
        raise IllegalState(
            "ALREADY_PAUSED",
            f"the rental is paused; end the pause with {RESUME.call}",
            authorization.state,
        )
    used_us = meter.paused_whole_us
    paused = bounded(authorization, product, meter, from_us, used_us, resumed_us)
    ended = resumed_us is not None and resumed_us < paused.until_us
    until_us = resumed_us if resumed_us is not None and ended else paused.until_us
    moved = moved_by(authorization, until_us - paused.from_us)
    late = moved.due_us is None or moved.due_us <= now_us
    state = authorization.state if late else State.ACTIVE
    known = meter.with_pause(Pause(paused.from_us, until_us))
    if ended:
        lost_us = _lost_us(moved, product, known, now_us)
    else:
        lost_us = _later(moved.lost_us, _reached_us(moved, product, known))
    told = step(moved, (), Transition.PAUSED, paused.from_us, state=state, lost_us=lost_us)
    return told, paused


def bounded(
    it: Authorization,
    product: Product,
    meter: Meter,
    from_us: int,
    used_us: int,
    resumed_us: int | None,
) -> Pause:
    """The pause from `from_us` until its bound. If another pause goes on at `from_us`, it begins at
    the end of that one.

    `used_us` is the time of earlier pauses that counts towards the policy's time. Raises
    IllegalState if the policy's time or number of pauses is used up, or if the meter already stood
    until `resumed_us`. Raises InvalidInput for an end that is not after the beginning.
    """
    if resumed_us is not None and resumed_us <= from_us:
        raise InvalidInput.of(
            "resumed_at",
            "resumed_at.before_pause",
            "must be after the beginning of the pause; give occurred_at too",
        )
    policy = product.policy
    left_us = policy.pause_limit_us - used_us
    if left_us <= 0 or len(meter.pauses) >= policy.most_pauses:
        raise IllegalState(
            "PAUSE_LIMIT_REACHED",
            f"the policy allows at most {policy.most_pauses} pauses, of"
            f" {policy.pause_limit_us // MINUTE_US} minutes in all; waive the fee instead",
            it.state,
        )
    from_us = meter.running_us(from_us)
    if resumed_us is not None and resumed_us <= from_us:
        raise stood_already(it)
    next_us = meter.next_pause_us(from_us)
    bound_us = from_us + left_us
    return Pause(from_us, bound_us if next_us is None else min(bound_us, next_us))


def stood_already(it: Authorization) -> IllegalState:
    """The error for a pause during which the meter stood already."""
    return IllegalState("ALREADY_PAUSED", "the rental was already paused at that time", it.state)


def resume(
    authorization: Authorization, product: Product, meter: Meter, at_us: int, now_us: int
) -> tuple[Step, Pause]:
    """The meter runs on at `at_us`, which may be told later, at `now_us`.

    The item does not count as lost before it was overdue for the policy's time. Raises IllegalState
    unless a pause goes on at `at_us`.
    """
    require_rental(authorization)
    require(authorization, RESUME)
    pause = _going_on(meter, at_us)
    if pause is None:
        over = any(not it.resumed for it in meter.pauses)
        bound = ": it ended at the policy's bound, or where another began" if over else ""
        raise IllegalState(
            "NOT_PAUSED", f"no pause goes on at this time{bound}", authorization.state
        )
    ended = Pause(pause.from_us, max(at_us, pause.from_us), resumed=True)
    moved = moved_by(authorization, ended.until_us - pause.until_us)
    known = meter._replace(pauses=tuple(ended if it is pause else it for it in meter.pauses))
    lost_us = _lost_us(moved, product, known, now_us)
    return step(moved, (), Transition.RESUMED, ended.until_us, lost_us=lost_us), ended


def _going_on(meter: Meter, at_us: int) -> Pause | None:
    """The pause without a resume that goes on at an instant, or else the first one that begins
    later.

    A rental that was resumed before its pause began was never paused.
    """
    place = resumable(meter.pauses, at_us)
    if place is not None:
        return meter.pauses[place]
    return next((it for it in meter.pauses if it.from_us > at_us and not it.resumed), None)


def _lost_us(resumed: Authorization, product: Product, meter: Meter, now_us: int) -> int | None:
    """The time of loss of a resumed rental: until then, the item is overdue for the policy's
    time."""
    if resumed.due_us is None:
        raise InvariantBroken("a rental has no due time")
    reached_us = _reached_us(resumed, product, meter)
    return put_off(reached_us, product, max(resumed.due_us, now_us))


def _reached_us(moved: Authorization, product: Product, meter: Meter) -> int | None:
    """The time at which the fee reaches the buy-out cap, from a rental whose instants were moved.

    With prices of hours it is not only moved: units after a pause have other prices.
    """
    if not product.tariff.by_clock:
        return moved.lost_us
    start_us = started_us(moved)
    after_us = lost_after_us(product.tariff, start_us, meter.times, product.pass_minutes)
    return None if after_us is None else start_us + after_us


def _later(one_us: int | None, other_us: int | None) -> int | None:
    """The later one of two instants; None means never."""
    return None if one_us is None or other_us is None else max(one_us, other_us)


def moved_by(it: Authorization, by_us: int) -> Authorization:
    """The authorization with all instants of its meter moved."""
    return it._replace(
        paused_us=it.paused_us + by_us,
        due_us=None if it.due_us is None else it.due_us + by_us,
        lost_us=None if it.lost_us is None else it.lost_us + by_us,
    )
