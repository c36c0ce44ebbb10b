"""What is raced for: each scenario is one function, its docstring the rule that must hold.

A scenario prepares its round, races, and requires the outcome of the answers and of the stored
rows. Chance, which follows from the seed, decides the numbers; what decides the race does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeGroupRequest,
    ReverseAuthorizationRequest,
)
from freehold.v1.credit_service_pb2 import (
    STANDING_SUSPENDED,
    STANDING_WATCHED,
    ResolveReviewRequest,
)
from freehold.v1.rail_service_pb2 import Transfer
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_ZERO
from grpc import StatusCode

from benchmarks.races_arena import FEE_BP, HARBOUR, PAYEES, Answer, Call
from benchmarks.races_round import (
    BIKE_MINOR,
    UMBRELLA_MINOR,
    Round,
    Scenario,
    of,
    refused,
    rental,
    span,
    state_of,
    told,
    yuan,
)
from service.domain.transitions import Transition as T
from service.engine.records.transfers import TransferState

CLIENTS = 50
HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
OFFER_WINDOW_US = 15 * MINUTE_US
"""The default policies'."""

_ZERO: dict[str, Any] = {"accept_offers": [OFFER_ZERO]}
_FULL: dict[str, Any] = {"accept_offers": [OFFER_FULL]}
_FAILED = StatusCode.FAILED_PRECONDITION
_INVALID = StatusCode.INVALID_ARGUMENT
_EXISTS = StatusCode.ALREADY_EXISTS
_EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED
_ABORTED = StatusCode.ABORTED


async def line(r: Round) -> None:
    """A line that bears some of what many ask for is used to the last unit, and never beyond.

    Two operators authorize on it, and one increments a hold that is there; all for one amount.
    """
    clients = r.chance.randint(6, 16)
    fits = r.chance.randint(1, clients - 1)
    user_id = await r.person(UMBRELLA_MINOR * (fits + 1))
    there = await r.authorize(user_id, **_ZERO)
    answers = await r.race([_unit(r, user_id, there, number) for number in range(clients)])
    won = [it for it in told(answers) if state_of(it) != "DECLINED"]
    lost = [it for it in answers if it not in won]
    r.won(answers, won)
    r.require(len(won) == fits, f"{len(won)} of {clients} were granted where {fits} fit")
    r.lost(of(lost, "increment"), _EXHAUSTED, "LINE_EXHAUSTED")
    for answer in of(lost, "authorize at city", "authorize at harbour"):
        r.require("LINE_EXHAUSTED" in rental(answer).reasons, f"{answer.kind}: {answer.refusal}")
    left = (await r.stored()).lines[user_id]
    r.require(
        (left.available_minor, left.held_minor) == (0, left.limit_minor),
        f"{left.available_minor} is available, {left.held_minor} held of {left.limit_minor}",
    )


def _unit(r: Round, user_id: str, there: Authorization, number: int) -> Call:
    if number % 3 == 2:
        return r.call(
            "increment",
            Methods.increment_authorization,
            name=there.name,
            amount=yuan(UMBRELLA_MINOR),
        )
    at_city = number % 3 == 0
    return r.call(
        "authorize at city" if at_city else "authorize at harbour",
        Methods.authorize,
        key=r.city if at_city else r.keys.operators[HARBOUR],
        user_id=user_id,
        product_id="umbrella",
        **_ZERO,
    )


async def group(r: Round) -> None:
    """Of groups and single items on a line that bears one of them exactly one is held.

    A group is held as a whole or not at all.
    """
    user_id = await r.person(BIKE_MINOR + UMBRELLA_MINOR)
    items = [
        AuthorizeGroupRequest.Item(product_id=product_id) for product_id in ("bike", "umbrella")
    ]
    answers = await r.race(
        [
            r.call("group", Methods.authorize_group, user_id=user_id, items=items, **_ZERO)
            for _ in range(3)
        ]
        + [
            r.call(
                "single",
                Methods.authorize,
                key=r.keys.operators[HARBOUR],
                user_id=user_id,
                product_id="bike",
                **_ZERO,
            )
            for _ in range(3)
        ]
    )
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    states = {Authorization.STATE_ACTIVE, Authorization.STATE_DECLINED}
    won = []
    for answer in answers:
        parts = answer.message.authorizations if answer.kind == "group" else [rental(answer)]
        r.require(len({it.state for it in parts} & states) == 1, "a group in two states")
        if parts[0].state == Authorization.STATE_ACTIVE:
            won.append(answer)
    if r.one(won, "hold"):
        r.won(answers, won)
        held_minor = (await r.stored()).lines[user_id].held_minor
        asked_minor = BIKE_MINOR + (UMBRELLA_MINOR if won[0].kind == "group" else 0)
        r.require(held_minor == asked_minor, f"{held_minor} is held by a {won[0].kind}")


async def suspension(r: Round) -> None:
    """A suspension stands whatever is held at the same moment, and what comes after is declined.

    The standing is part of the line's row, which every hold writes, and it is no entry that would
    change the line's version: the two come to servers of their own.
    """
    user_id = await r.person()
    server = r.chance.randrange(2)
    fields = {"user_id": user_id, "product_id": "umbrella", "server": server + 1, **_ZERO}
    suspend = r.call(
        "suspend",
        Methods.set_standing,
        key=r.platform,
        server=server,
        user_id=user_id,
        standing=STANDING_SUSPENDED,
    )
    holds = [r.call("authorize", Methods.authorize, **fields) for _ in "ab"]
    answers = await r.race([suspend, *holds])
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    held = [it for it in of(answers, "authorize") if state_of(it) == "ACTIVE"]
    for answer in of(answers, "authorize"):
        r.require(
            answer in held or "USER_SUSPENDED" in rental(answer).reasons,
            f"{state_of(answer)} for {list(rental(answer).reasons)}",
        )
    r.won(answers, held, "held" if held else "declined")
    stored = (await r.stored()).lines[user_id]
    r.require(str(stored.standing) == "SUSPENDED", f"the standing is {stored.standing}")
    r.require(stored.held_minor == UMBRELLA_MINOR * len(held), f"{stored.held_minor} is held")


async def item(r: Round) -> None:
    """One item is in one rental of its operator; the same id at another operator is another item.

    Wanted at once for two products, with a reservation that names it only now, and with an offer
    whose deposit was paid: that money is owed back when the item is gone.
    """
    asset_id = r.asset()
    people = await r.people(5)
    reserved = await r.reserve(people[2], 30 * MINUTE_US, **_ZERO)
    offered = await r.authorize(people[3], asset_id=asset_id, **_FULL)
    harbour = r.keys.operators[HARBOUR]
    fields: dict[str, Any] = {"asset_id": asset_id, **_ZERO}
    answers = await r.race(
        [
            r.call("bike", Methods.authorize, user_id=people[0], product_id="bike", **fields),
            r.call(
                "umbrella", Methods.authorize, user_id=people[1], product_id="umbrella", **fields
            ),
            r.call("pick-up", Methods.start_rental, name=reserved.name, asset_id=asset_id),
            r.call(
                "confirm",
                Methods.confirm_authorization,
                name=offered.name,
                payment_reference=r.reference(),
                paid=yuan(UMBRELLA_MINOR),
            ),
            r.call(
                "elsewhere",
                Methods.authorize,
                key=harbour,
                user_id=people[4],
                product_id="bike",
                **fields,
            ),
        ]
    )
    r.require(state_of(of(answers, "elsewhere")[0]) == "ACTIVE", "another operator's item is gone")
    ours = of(answers, "bike", "umbrella", "pick-up", "confirm")
    won = [it for it in ours if state_of(it) == "ACTIVE"]
    stored = await r.stored()
    if r.one(won, "rental with the item"):
        r.won(ours, won)
        names = sorted(
            rental(it).name.rpartition("/")[2] for it in (*won, *of(answers, "elsewhere"))
        )
        r.require(sorted(stored.items[asset_id]) == names, f"open: {stored.items[asset_id]}")
    lost = [it for it in ours if it not in won]
    r.lost(of(lost, "bike", "umbrella", "pick-up"), _FAILED, "ASSET_IN_USE", ["IN_USE"])
    for answer in of(lost, "confirm"):
        owed = stored.authorization(offered.name)
        r.require("ASSET_IN_USE" in owed.reasons, f"confirm lost for {owed.reasons}")
        r.require(owed.refund_payable_minor == UMBRELLA_MINOR, f"{answer.kind}: money is gone")
    if of(lost, "pick-up"):
        r.require(stored.authorization(reserved.name).state == "AUTHORIZED", "a lost reservation")


async def one_id(r: Round) -> None:
    """One request id from fifty clients has one effect, and fifty answers of the same bytes."""
    user_id = await r.person()
    if r.number % 2:
        held = await r.authorize(user_id, **_ZERO)
        call = r.call(
            "settle",
            Methods.settle_authorization,
            name=held.name,
            amount=yuan(700),
            final=False,
        )
    else:
        call = r.call("authorize", Methods.authorize, user_id=user_id, product_id="umbrella")
    answers = await r.race([call] * CLIENTS)
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    r.require(len({it.told for it in answers}) == 1, "different bytes")
    r.won(answers, answers, f"one {call.kind}")
    made = (await r.stored()).authorizations[user_id]
    r.require(len(made) == 1, f"{len(made)} authorizations")
    captured_minor = sum(it.captured_minor for it in made)
    right_minor = 700 if call.kind == "settle" else 0
    r.require(captured_minor == right_minor, f"captured {captured_minor}")


async def two_bodies(r: Round) -> None:
    """Of two bodies under one request id one is taken; the others learn which field differs.

    They are for two people, each at a server of its own: then nothing but the request's record
    stands between them, since no two processes lock the same line.
    """
    people, same = await r.people(2), r.id()
    answers = await r.race(
        [
            r.call(
                kind,
                Methods.authorize,
                request_id=same,
                server=server,
                user_id=user_id,
                product_id="umbrella",
            )
            for server, (kind, user_id) in enumerate(zip(("one", "other"), people, strict=True))
            for _ in "abc"
        ]
    )
    won = told(answers)
    r.require(len({it.told for it in won}) == 1, "different bytes")
    r.require(len(won) == 3, f"{len(won)} of 3 got the answer")
    r.require(len({it.kind for it in won}) == 1, "two bodies were taken")
    r.lost(refused(answers), _EXISTS, "REQUEST_ID_REUSED", field="user_id")
    if won:
        r.won(answers, won, won[0].kind)
    stored = await r.stored()
    made = sum(len(stored.authorizations[user_id]) for user_id in people)
    r.require(made == 1, f"{made} authorizations")


async def tombstone(r: Round) -> None:
    """A reversal by origin that races its Authorize leaves nothing held, whoever is first.

    In every other round the person is a stranger, who has no line that could be locked.
    """
    user_id = r.stranger() if r.number % 2 else await r.person()
    late = r.call("authorize", Methods.authorize, user_id=user_id, product_id="bike")
    origin = ReverseAuthorizationRequest.Origin(
        user_id=user_id, authorize_request_id=late.request_id
    )
    answers = await r.race(
        [late, *(r.call("reverse", Methods.reverse_authorization, origin=origin) for _ in "ab")]
    )
    stored = await r.stored()
    if not r.require(len(stored.authorizations[user_id]) == 1, "not one authorization"):
        return
    (only,) = stored.authorizations[user_id]
    reversals = told(of(answers, "reverse"))
    before = [it for it in reversals if it.message.tombstone]
    if only.state == "DECLINED":
        r.won(answers, before, "reverse")
        r.require(
            len(before) == len(reversals) > 0, f"{len(before)} of {len(reversals)} tombstones"
        )
        r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", ["DECLINED"])
        r.require("CANCELLED_BEFORE_ARRIVAL" in only.reasons, f"declined for {only.reasons}")
    else:
        r.won(answers, of(answers, "authorize"))
        r.require(only.state == "REVERSED", f"it is {only.state}")
        r.one(reversals, "reversal")
        r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", ["REVERSED"])
    r.require(stored.lines[user_id].held_minor == 0, "something is held")


# -- the same hold, and time ---------------------------------------------------------------------


class _History(NamedTuple):
    """What happened to one authorization, as it is stored."""

    state: str
    steps: Sequence[T]
    states: Sequence[str]


async def _history(r: Round, it: Authorization) -> _History:
    stored = await r.stored()
    found = stored.authorization(it.name)
    return _History(
        str(found.state), stored.steps[found.authorization_id], stored.states(found)[1:]
    )


def _require_steps(
    r: Round, answers: Sequence[Answer], history: _History, kinds: dict[str, T]
) -> None:
    """Each kind of call was told something as often as its step was taken."""
    for kind, step in kinds.items():
        done, taken = len(told(of(answers, kind))), history.steps.count(step)
        r.require(done == taken, f"{done} answers to {kind}, done {taken} times")


def _won_first(
    r: Round,
    answers: Sequence[Answer],
    history: _History,
    names: dict[T, str],
    time: T | None = None,
) -> None:
    """The race was won by whoever took the first step after the preparation.

    `time` is the step that time takes by itself.
    """
    if time is not None:
        r.time_was(first=time in history.steps)
    step = next((it for it in history.steps if it in names), None)
    if r.require(step is not None, f"nobody won: {list(history.steps)}") and step is not None:
        won = [it for it in of(answers, names[step]) if it.told is not None]
        r.won(answers, won, names[step])


async def pickup(r: Round) -> None:
    """Pick-up, reversal and expiry of a reservation: one of them ends it, and a pick-up stays.

    A started rental may still be reversed, but never expires; nothing follows an end.
    """
    user_id = await r.person()
    held = await r.reserve(user_id, r.after_us(MINUTE_US), **_ZERO)
    calls = [r.call("start", Methods.start_rental, name=held.name) for _ in "ab"]
    if r.number % 3:
        calls.append(r.call("reverse", Methods.reverse_authorization, name=held.name))
    answers = await r.race(calls, at_us=r.instant_us(MINUTE_US), time="expiry")
    history = await _history(r, held)
    _require_steps(r, answers, history, {"start": T.STARTED, "reverse": T.REVERSED})
    names = {T.STARTED: "start", T.REVERSED: "reverse", T.EXPIRED: "expiry"}
    _won_first(r, answers, history, names, T.EXPIRED)
    r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", history.states)
    held_minor = (await r.stored()).lines[user_id].held_minor
    still_minor = UMBRELLA_MINOR if history.state == "ACTIVE" else 0
    r.require(held_minor == still_minor, f"{held_minor} is held in state {history.state}")


async def offer(r: Round) -> None:
    """Confirmations, reversal and expiry of an offer: one wins, and no money that came is lost.

    What was paid and is not held as a deposit is owed back.
    """
    user_id = await r.person()
    async with r.turn():  # every offer stands for as long: those of a wave begin apart
        await r.advance(r.instant_us(0))
        offered = await r.authorize(user_id, **_FULL)
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
    history = await _history(r, offered)
    _require_steps(r, answers, history, {"reverse": T.REVERSED})
    names = {T.ACTIVE: "confirm", T.REVERSED: "reverse", T.EXPIRED: "expiry"}
    _won_first(r, answers, history, names, T.EXPIRED)
    r.require(len(told(of(answers, "confirm"))) == 2, "a payment was refused")
    r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", history.states)
    line_ = (await r.stored()).lines[user_id]
    kept = (line_.deposit_minor, line_.refund_payable_minor)
    deposit_minor = UMBRELLA_MINOR if history.state == "ACTIVE" else 0
    r.require(kept == (deposit_minor, 2 * UMBRELLA_MINOR - deposit_minor), f"kept {kept}")


async def capture(r: Round) -> None:
    """Settlement, reversal and loss of one rental: exactly one, and the others learn the state.

    The rental was extended until the instant at which its item counts as lost.
    """
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(r.after_us(71 * HOUR_US)), **_ZERO)
    await r.do(Methods.extend_rental, name=held.name, duration=span(71 * HOUR_US))
    calls = [_settle(r, held, 300 + number) for number in range(2)]
    calls += [r.call("reverse", Methods.reverse_authorization, name=held.name) for _ in "ab"]
    answers = await r.race(calls, at_us=r.instant_us(142 * HOUR_US), time="loss")
    history = await _history(r, held)
    ends = {"settle": T.SETTLED, "reverse": T.REVERSED}
    _require_steps(r, answers, history, ends)
    names = {T.SETTLED: "settle", T.REVERSED: "reverse", T.LOST: "loss"}
    _won_first(r, answers, history, names, T.LOST)
    r.require(
        sum(history.steps.count(it) for it in (T.SETTLED, T.REVERSED, T.LOST)) == 1,
        f"not one end: {list(history.steps)}",
    )
    r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", history.states)
    stored = (await r.stored()).authorization(held.name)
    if T.LOST in history.steps:
        captured_minor = UMBRELLA_MINOR
    else:
        captured_minor = sum(rental(it).captured.amount_minor for it in told(of(answers, "settle")))
    r.require(stored.captured_minor == captured_minor, f"captured {stored.captured_minor}")
    r.require((stored.custody == "MISSING") == (T.LOST in history.steps), str(stored.custody))


def _settle(r: Round, held: Authorization, amount_minor: int) -> Call:
    return r.call("settle", Methods.settle_authorization, name=held.name, amount=yuan(amount_minor))


async def overdue(r: Round) -> None:
    """Settlement, reversal and a report of loss around the due time: exactly one closes the rental.

    Before that instant it may be reversed, after it be reported as lost, and settled always.
    """
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(r.after_us(HOUR_US)), **_ZERO)
    answers = await r.race(
        [
            _settle(r, held, 250),
            r.call("reverse", Methods.reverse_authorization, name=held.name),
            r.call("report lost", Methods.report_lost, name=held.name),
            r.call("report lost", Methods.report_lost, name=held.name),
        ],
        at_us=r.instant_us(HOUR_US),
    )
    history = await _history(r, held)
    ends = {"settle": T.SETTLED, "reverse": T.REVERSED, "report lost": T.LOST}
    _require_steps(r, answers, history, ends)
    _won_first(r, answers, history, {step: kind for kind, step in ends.items()}, T.OVERDUE)
    r.one(told(answers), "end")
    # Refused before the due time, a report of loss is told that the rental goes on.
    r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", ["ACTIVE", *history.states])


async def claim(r: Round) -> None:
    """Contest and acceptance of a claimed return at the last instant: exactly one of them."""
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(72 * HOUR_US), **_ZERO)
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
    history = await _history(r, held)
    _require_steps(r, answers, history, {"contest": T.RETURN_CONTESTED})
    names = {T.RETURN_CONTESTED: "contest", T.CLAIM_ACCEPTED: "acceptance"}
    _won_first(r, answers, history, names, T.CLAIM_ACCEPTED)
    r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", history.states[1:])


async def review(r: Round) -> None:
    """A review that two approve and two decline is decided once; the others learn how."""
    user_id = await r.person(standing=STANDING_WATCHED)
    asked = await r.authorize(user_id, **_ZERO)
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
    history = await _history(r, asked)
    if r.one(won, "verdict"):
        r.won(answers, won)
        r.require(state_of(won[0]) == history.state, f"told {state_of(won[0])}")
        r.require((won[0].kind == "approve") == (history.state == "ACTIVE"), history.state)
    r.lost(refused(answers), _FAILED, "ILLEGAL_TRANSITION", [history.state])


# -- money -----------------------------------------------------------------------------------------


async def captures(r: Round) -> None:
    """Captures and releases that compete for one hold add up to it exactly.

    In every third round all expect the same version: one is done, the others are ABORTED.
    """
    parts, amount_minor = 5, BIKE_MINOR // 5
    user_id = await r.person()
    held = await r.authorize(user_id, "bike", **_ZERO)
    seen: dict[str, Any] = {"expected_version": held.version} if r.number % 3 == 0 else {}
    fields: dict[str, Any] = {"name": held.name, "amount": yuan(amount_minor), **seen}
    answers = await r.race(
        [r.call("capture", Methods.settle_authorization, final=False, **fields) for _ in range(5)]
        + [r.call("release", Methods.decrease_authorization, **fields) for _ in range(4)]
    )
    won = told(answers)
    r.won(answers, won)
    if seen:
        r.one(won, "change of one version")
        r.lost(refused(answers), _ABORTED, "VERSION_MISMATCH")
    else:
        r.require(len(won) == parts, f"{len(won)} parts of {parts}")
        r.lost(refused(answers), _INVALID, "INVALID_INPUT")
    stored = (await r.stored()).authorization(held.name)
    r.require(
        stored.captured_minor == amount_minor * len(of(won, "capture")),
        f"captured {stored.captured_minor}",
    )
    taken_minor = amount_minor * len(won)
    r.require(stored.held_minor == BIKE_MINOR - taken_minor, f"{stored.held_minor} is held")


async def payment(r: Round) -> None:
    """A payment reference counts once, even for two people, each at a server of its own.

    In turn it confirms offers, and pays what is due.
    """
    people = await r.people(2)
    reference = r.reference()
    method: Any = Methods.confirm_authorization if r.number % 2 else Methods.record_payment
    calls = []
    for server, (user_id, kind) in enumerate(zip(people, ("one", "other"), strict=True)):
        fields: dict[str, Any] = {"payment_reference": reference}
        if r.number % 2:
            offered = await r.authorize(user_id, **_FULL)
            fields |= {"name": offered.name, "paid": yuan(UMBRELLA_MINOR)}
        else:
            settled = await r.settle(await r.authorize(user_id, **_ZERO), 1_000)
            fields |= {"key": r.platform, "authorization": settled.name, "amount": yuan(600)}
        calls += [r.call(kind, method, server=server, **fields) for _ in "abc"]
    answers = await r.race(calls)
    won = told(answers)
    if r.one(won, "payment"):
        r.won(answers, won)
    r.lost(refused(answers), _EXISTS, "PAYMENT_REFERENCE_REUSED")
    stored = await r.stored()
    r.require(len(stored.payments[reference]) == 1, f"recorded {stored.payments[reference]}")
    paid_minor = sum(
        it.paid_minor + it.held_cash_minor
        for user_id in people
        for it in stored.authorizations[user_id]
    )
    once_minor = UMBRELLA_MINOR if r.number % 2 else 600
    r.require(paid_minor == once_minor, f"{paid_minor} was paid")


async def debit(r: Round) -> None:
    """A debit succeeds after it had failed while the rail says what became of the next: what came
    in pays what is due once, and the rest is owed back.

    Each word is said twice. In every other round the next debit fails.
    """
    due_minor, both = 800, r.number % 2 == 0
    user_id = await r.person()
    async with r.turn():
        await r.advance(r.instant_us(0))
        held = await r.settle(await r.authorize(user_id, **_ZERO), due_minor)
    async with r.turn():
        await r.advance(r.instant_us(HOUR_US))
        (first,) = (await r.ask(Methods.list_transfers, user_id=user_id)).transfers
        await r.tell(r.report("setup", first, TransferState.FAILED, r.instant_us(HOUR_US)))
    again_us = r.instant_us(72 * HOUR_US)
    async with r.turn():
        await r.advance(again_us)
        _, second = (await r.ask(Methods.list_transfers, user_id=user_id)).transfers
        word = TransferState.SUCCEEDED if both else TransferState.FAILED
        answers = await r.contend(
            [r.report("late", first, TransferState.SUCCEEDED, again_us) for _ in "ab"]
            + [r.report("next", second, word, again_us) for _ in "ab"]
        )
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    late = {it.told for it in of(answers, "late")}
    r.require(len(late) == 1, "a late success was answered in two ways")
    history = await _history(r, held)
    cancelled = T.DEBIT_CANCELLED in history.steps
    r.won(answers, of(answers, "late" if cancelled else "next"))
    ends = [Transfer.State.Name(it.message.transfer.state) for it in of(answers, "next")]
    right = "STATE_SUCCEEDED" if both else "STATE_CANCELLED" if cancelled else "STATE_FAILED"
    r.require(ends == [right] * 2, f"the next debit was answered {ends}")
    stored = (await r.stored()).authorization(held.name)
    sums = (stored.paid_minor, stored.refund_payable_minor, stored.debiting_minor)
    right_sums = (due_minor, due_minor if both else 0, 0)
    r.require(sums == right_sums, f"paid, owed back and under way: {sums}")


async def refund(r: Round) -> None:
    """Payouts and charge-backs of one payment give back what was paid exactly, never more."""
    parts, amount_minor = r.chance.randint(1, 5), 400
    user_id = await r.person()
    held = await r.settle(await r.authorize(user_id, **_ZERO), parts * amount_minor)
    await r.do(
        Methods.record_payment,
        key=r.platform,
        authorization=held.name,
        payment_reference=r.reference(),
        amount=yuan(parts * amount_minor),
    )
    await r.do(Methods.refund_charge, name=held.name, amount=yuan(parts * amount_minor))
    fields: dict[str, Any] = {"name": held.name, "amount": yuan(amount_minor)}
    answers = await r.race(
        [r.call("payout", Methods.pay_out_refund, key=r.platform, **fields) for _ in range(3)]
        + [
            r.call(
                "charge-back",
                Methods.record_charge_back,
                key=r.platform,
                payment_reference=r.reference(),
                **fields,
            )
            for _ in range(3)
        ]
    )
    won = told(answers)
    r.won(answers, won)
    r.require(len(won) == parts, f"{len(won)} parts of {parts} were given back")
    r.lost(refused(answers), _INVALID, "INVALID_INPUT")
    stored = (await r.stored()).authorization(held.name)
    r.require(
        (stored.paid_out_minor, stored.charged_back_minor)
        == (amount_minor * len(of(won, "payout")), amount_minor * len(of(won, "charge-back"))),
        f"paid out {stored.paid_out_minor}, charged back {stored.charged_back_minor}",
    )


async def write_off(r: Round) -> None:
    """What one proposed to write off is written off once, by a second person, or was paid before.

    Two approve at once, the proposer too, and the payment comes at the same moment.
    """
    due_minor = 1_500
    user_id = await r.person()
    held = await r.settle(await r.authorize(user_id, **_ZERO), due_minor)
    proposer, *others = r.keys.platform
    await r.do(Methods.propose_write_off, key=proposer, name=held.name)
    answers = await r.race(
        [r.call("approve", Methods.approve_write_off, key=key, name=held.name) for key in others]
        + [
            r.call("approve alone", Methods.approve_write_off, key=proposer, name=held.name),
            r.call(
                "pay",
                Methods.record_payment,
                key=r.platform,
                authorization=held.name,
                payment_reference=r.reference(),
                amount=yuan(due_minor),
            ),
        ]
    )
    history = await _history(r, held)
    won = told(of(answers, "approve"))
    _require_steps(r, answers, history, {"approve": T.WRITTEN_OFF, "pay": T.PAYMENT_RECORDED})
    _won_first(r, answers, history, {T.WRITTEN_OFF: "approve", T.PAYMENT_RECORDED: "pay"})
    r.require(len(won) <= 1, f"written off {len(won)} times")
    r.lost(refused(answers), _FAILED)
    stored = (await r.stored()).authorization(held.name)
    sums = (stored.paid_minor, stored.written_off_minor, stored.recovered_minor)
    right = (0, due_minor, due_minor) if won else (due_minor, 0, 0)
    r.require(sums == right, f"paid, written off and recovered: {sums}")


async def payout(r: Round) -> None:
    """An operator is never paid more than it is owed, and to the last of what it is owed.

    In every other round a capture, which makes it more, comes at the same moment.
    """
    payee = PAYEES[r.lane]
    key = r.keys.operators[payee]
    user_id = await r.person()
    held = await r.authorize(user_id, key=key, **_ZERO)
    more = await r.authorize(user_id, key=key, **_ZERO) if r.number % 2 else None
    parts = r.chance.randint(1, 5)
    async with r.turn():
        await r.settle(held, 2_000, key=key)
        owed_minor = await _owed_minor(r, payee)
        amount_minor = owed_minor // parts
        calls = [
            r.call(
                "pay out",
                Methods.pay_out_operator,
                key=r.keys.platform[number % 3],
                operator_id=payee,
                amount=yuan(amount_minor),
                payment_reference=r.reference(),
            )
            for number in range(parts + 3)
        ]
        captured_minor = 0
        if more is not None:
            captured_minor = 1_000 - 1_000 * FEE_BP // 10_000
            calls.append(
                r.call(
                    "capture",
                    Methods.settle_authorization,
                    key=key,
                    name=more.name,
                    amount=yuan(1_000),
                )
            )
        answers = await r.contend(calls)
        left_minor = await _owed_minor(r, payee)
    won = told(of(answers, "pay out"))
    least, most = (
        min(minor // amount_minor, parts + 3) for minor in (owed_minor, owed_minor + captured_minor)
    )
    outcome = "more than was owed before" if len(won) > least else "what was owed before"
    r.won(answers, won, outcome)
    r.require(least <= len(won) <= most, f"{len(won)} paid out, owed were {least} to {most}")
    r.lost(refused(answers), _FAILED, "PAYABLE_EXCEEDED")
    right_minor = owed_minor + captured_minor - amount_minor * len(won)
    r.require(left_minor == right_minor >= 0, f"{left_minor} is owed instead of {right_minor}")
    stored = await r.stored()
    for answer in of(answers, "pay out"):
        reference = Methods.pay_out_operator.request.FromString(answer.call.body).payment_reference
        recorded = len(stored.payments[reference])
        r.require(recorded == (answer in won), f"a payout recorded {recorded} times")


async def _owed_minor(r: Round, payee: str) -> int:
    answer = await r.ask(Methods.get_operator_balance, operator_id=payee)
    return sum(it.amount_minor for it in answer.payables)


class Race(NamedTuple):
    """A scenario.

    outcomes  those that a race which is one must have had now and then
    heat      how many rounds start at one barrier
    """

    run: Scenario
    outcomes: tuple[str, ...]
    heat: int = 5


RACES: dict[str, Race] = {
    "line": Race(line, ("authorize at city", "authorize at harbour", "increment")),
    "group": Race(group, ("group", "single")),
    "suspension": Race(suspension, ("held", "declined")),
    "item": Race(item, ("bike", "umbrella", "pick-up", "confirm")),
    "one-id": Race(one_id, ("one authorize", "one settle")),
    "two-bodies": Race(two_bodies, ("one", "other")),
    "tombstone": Race(tombstone, ("authorize", "reverse")),
    "pickup": Race(pickup, ("start", "reverse", "expiry")),
    "offer": Race(offer, ("confirm", "reverse", "expiry")),
    "capture": Race(capture, ("settle", "reverse", "loss")),
    "overdue": Race(overdue, ("settle", "reverse", "report lost")),
    "claim": Race(claim, ("contest", "acceptance")),
    "review": Race(review, ("approve", "decline")),
    "captures": Race(captures, ("capture", "release")),
    "payment": Race(payment, ("one", "other")),
    "debit": Race(debit, ("late", "next")),
    "refund": Race(refund, ("payout", "charge-back")),
    "write-off": Race(write_off, ("approve", "pay")),
    "payout": Race(payout, ("what was owed before", "more than was owed before"), heat=len(PAYEES)),
}
