"""Races for the next state of an authorization, between callers and with time."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.credit_service_pb2 import STANDING_WATCHED, ResolveReviewRequest

from benchmarks.races_arena import Call
from benchmarks.races_course import course_of, require_steps, won_first
from benchmarks.races_round import (
    FAILED,
    FULL,
    HOUR_US,
    MINUTE_US,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    of,
    refused,
    rental,
    span,
    state_of,
    told,
    yuan,
)
from service.domain.transitions import Transition as T

OFFER_WINDOW_US = 15 * MINUTE_US
"""The default policies' period."""


async def pickup(r: Round) -> None:
    """Of pick-up, reversal and expiry of a reservation, one ends it, and a pick-up stays.

    A started rental may still be reversed, but never expires. An ended reservation never changes
    again.
    """
    user_id = await r.person()
    held = await r.reserve(user_id, r.after_us(MINUTE_US), **ZERO)
    calls = [r.call("start", Methods.start_rental, name=held.name) for _ in "ab"]
    if r.number % 3:
        calls.append(r.call("reverse", Methods.reverse_authorization, name=held.name))
    answers = await r.race(calls, at_us=r.instant_us(MINUTE_US), time="expiry")
    course = await course_of(r, held)
    require_steps(r, answers, course, {"start": T.STARTED, "reverse": T.REVERSED})
    names = {T.STARTED: "start", T.REVERSED: "reverse", T.EXPIRED: "expiry"}
    won_first(r, answers, course, names, T.EXPIRED)
    r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", course.states)
    held_minor = (await r.stored()).lines[user_id].held_minor
    still_minor = UMBRELLA_MINOR if course.state == "ACTIVE" else 0
    r.require(held_minor == still_minor, f"{held_minor} is held in state {course.state}")


async def offer(r: Round) -> None:
    """Of confirmations, reversal and expiry of an offer, one wins, and no received money is lost.

    Money that is not held as a deposit is owed back.
    """
    user_id = await r.person()
    async with r.turn():  # all windows are equal, so the offers of a wave begin apart
        await r.advance(r.instant_us(0))
        offered = await r.authorize(user_id, **FULL)
    calls = [
        r.call(
            "confirm",
            Methods.confirm_authorization,
            name=offered.name,
            payment_reference=r.reference(),
            paid=yuan(UMBRELLA_MINOR),
        )
        for _ in "ab"
    ]
    calls.append(r.call("reverse", Methods.reverse_authorization, name=offered.name))
    answers = await r.race(calls, at_us=r.instant_us(OFFER_WINDOW_US), time="expiry")
    course = await course_of(r, offered)
    require_steps(r, answers, course, {"reverse": T.REVERSED})
    names = {T.ACTIVE: "confirm", T.REVERSED: "reverse", T.EXPIRED: "expiry"}
    won_first(r, answers, course, names, T.EXPIRED)
    r.require(len(told(of(answers, "confirm"))) == 2, "a payment was refused")
    r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", course.states)
    line_ = (await r.stored()).lines[user_id]
    kept = (line_.deposit_minor, line_.refund_payable_minor)
    deposit_minor = UMBRELLA_MINOR if course.state == "ACTIVE" else 0
    r.require(kept == (deposit_minor, 2 * UMBRELLA_MINOR - deposit_minor), f"kept {kept}")


async def capture(r: Round) -> None:
    """Of settlements and the loss of one overdue rental, exactly one succeeds; the others get the
    state.

    Time comes to the instant at which the item counts as lost. A reversal always loses, because an
    overdue rental is not reversed.
    """
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(r.after_us(71 * HOUR_US)), **ZERO)
    longer = await r.do(Methods.extend_rental, name=held.name, duration=span(71 * HOUR_US))
    lost_us = longer.authorization.lost_time.ToMicroseconds()
    calls = [_settle(r, held, 300 + number) for number in range(2)]
    calls += [r.call("reverse", Methods.reverse_authorization, name=held.name) for _ in "ab"]
    answers = await r.race(calls, at_us=lost_us, time="loss")
    course = await course_of(r, held)
    require_steps(r, answers, course, {"settle": T.SETTLED})
    won_first(r, answers, course, {T.SETTLED: "settle", T.LOST: "loss"}, T.LOST)
    r.require(
        sum(course.steps.count(it) for it in (T.SETTLED, T.REVERSED, T.LOST)) == 1,
        f"not one end: {list(course.steps)}",
    )
    r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", course.states)
    stored = (await r.stored()).authorization(held.name)
    if T.LOST in course.steps:
        captured_minor = UMBRELLA_MINOR
    else:
        captured_minor = sum(rental(it).captured.amount_minor for it in told(of(answers, "settle")))
    r.require(stored.captured_minor == captured_minor, f"captured {stored.captured_minor}")
    r.require((stored.custody == "MISSING") == (T.LOST in course.steps), str(stored.custody))


def _settle(r: Round, held: Authorization, amount_minor: int) -> Call:
    return r.call("settle", Methods.settle_authorization, name=held.name, amount=yuan(amount_minor))


async def overdue(r: Round) -> None:
    """Of settlement, reversal and a report of loss around the due time, exactly one closes the
    rental.

    The rental may be reversed before the due time, reported as lost after it, and settled at any
    time.
    """
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(r.after_us(HOUR_US)), **ZERO)
    answers = await r.race(
        [
            _settle(r, held, 250),
            r.call("reverse", Methods.reverse_authorization, name=held.name),
            r.call("report lost", Methods.report_lost, name=held.name),
            r.call("report lost", Methods.report_lost, name=held.name),
        ],
        at_us=r.instant_us(HOUR_US),
    )
    course = await course_of(r, held)
    ends = {"settle": T.SETTLED, "reverse": T.REVERSED, "report lost": T.LOST}
    require_steps(r, answers, course, ends)
    won_first(r, answers, course, {step: kind for kind, step in ends.items()}, T.OVERDUE)
    r.one(told(answers), "end")
    # A report of loss before the due time is refused with the state ACTIVE.
    r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", ["ACTIVE", *course.states])


async def claim(r: Round) -> None:
    """Of contest and acceptance of a claimed return at the last instant, exactly one succeeds."""
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(72 * HOUR_US), **ZERO)
    async with r.turn():
        await r.advance(r.instant_us(HOUR_US))
        await r.do(Methods.claim_return, name=held.name)
    answers = await r.race(
        [
            r.call("contest", Methods.contest_return, name=held.name, evidence="dock-camera")
            for _ in "ab"
        ],
        at_us=r.instant_us(49 * HOUR_US),
        time="acceptance",
    )
    course = await course_of(r, held)
    require_steps(r, answers, course, {"contest": T.RETURN_CONTESTED})
    names = {T.RETURN_CONTESTED: "contest", T.CLAIM_ACCEPTED: "acceptance"}
    won_first(r, answers, course, names, T.CLAIM_ACCEPTED)
    r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", course.states[1:])


async def review(r: Round) -> None:
    """A review that two approve and two decline is decided once; the others get the result."""
    user_id = await r.person(standing=STANDING_WATCHED)
    asked = await r.authorize(user_id, **ZERO)
    verdicts = {
        "approve": ResolveReviewRequest.VERDICT_APPROVED,
        "decline": ResolveReviewRequest.VERDICT_DECLINED,
    }
    answers = await r.race(
        [
            r.call(kind, Methods.resolve_review, key=r.platform, name=asked.name, verdict=verdict)
            for kind, verdict in verdicts.items()
            for _ in "ab"
        ]
    )
    won = told(answers)
    course = await course_of(r, asked)
    if r.one(won, "verdict"):
        r.won(answers, won)
        r.require(state_of(won[0]) == course.state, f"told {state_of(won[0])}")
        r.require((won[0].kind == "approve") == (course.state == "ACTIVE"), course.state)
    r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", [course.state])
