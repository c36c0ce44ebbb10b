"""The race for two people who are one person.

One of two merges that exclude each other is approved. Both lines together give no more than the
survivor's limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.credit_service_pb2 import STANDING_SUSPENDED

from benchmarks.races_arena import Answer, Call
from benchmarks.races_round import (
    FAILED,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    of,
    refused,
    rental,
    state_of,
    told,
    yuan,
)
from benchmarks.races_rows import Stored
from service.domain.ledger import Line
from service.engine.aliases import in_use_minor

_LIMIT_MINOR, _FEE_MINOR = UMBRELLA_MINOR * 4, 100


async def merge(r: Round) -> None:
    """Of two merges that exclude each other exactly one is approved, while both people authorize
    and settle, and the survivor's limit is lowered by the amount in use on the merged line.

    In every other round the merges go opposite ways; in the others they would make a chain. In
    every third round one of the people is suspended meanwhile, and so is the survivor afterwards.
    """
    first, second, third = [await r.person(_LIMIT_MINOR) for _ in "abc"]
    pairs = {"one": (first, second), "other": (second, third if r.number % 2 else first)}
    proposer, *others = r.keys.platform
    for user_id, survivor in pairs.values():
        await r.do(
            Methods.propose_merge, key=proposer, user_id=user_id, survivor=survivor, reason="same"
        )
    calls = [
        r.call(
            kind, Methods.approve_merge, key=key, server=server, user_id=user_id, survivor=survivor
        )
        for server, (kind, (user_id, survivor)) in enumerate(pairs.items())
        for key in others
    ]
    for user_id in (first, second):
        calls += await _rentals(r, user_id)
    suspends = r.number % 3 == 0
    if suspends:
        # This person is in both pairs: merged or survivor, as it comes.
        fields: dict[str, Any] = {"user_id": second, "standing": STANDING_SUSPENDED}
        calls.append(r.call("suspend", Methods.set_standing, key=r.platform, **fields))
    answers = await r.race(calls)
    won = of(told(answers), *pairs)
    r.lost(refused(answers), FAILED)
    for answer in refused(answers):
        reasons = ("USER_MERGED", "USER_SURVIVES")
        at_fault = answer.refusal is not None and answer.refusal.reason not in reasons
        r.require(answer.kind in pairs and not at_fault, f"{answer.kind}: {answer.refusal}")
    if not r.one(won, "merge"):
        return
    merged, survivor = pairs[won[0].kind]
    stored = await r.stored()
    before = [it for it in stored.authorizations[merged] if it.state in ("ACTIVE", "SETTLED")]
    wished_minor = _wished_minor(stored.lines[survivor])
    outcomes = [won[0].kind]
    # The rental that was there before is one of them; it was settled before the merge, or later.
    in_use = {
        "settled later": UMBRELLA_MINOR * len(before),
        "settled before": UMBRELLA_MINOR * (len(before) - 1) + _FEE_MINOR,
    }
    fits = [how for how, minor in in_use.items() if wished_minor == max(0, _LIMIT_MINOR - minor)]
    if r.require(bool(fits), f"the limit is {wished_minor}, in use were {in_use}"):
        outcomes.append(fits[0])
    outcomes.append("held before" if len(before) > 1 else "held later")
    r.won(answers, won, *outcomes)
    _check_lines(r, stored, merged, survivor, answers)
    if suspends:
        standing = stored.lines[survivor].standing
        r.require(str(standing) == "SUSPENDED", f"the survivor's standing is {standing}")


async def _rentals(r: Round, user_id: str) -> list[Call]:
    """A rental that is settled in the race, and two that begin in it."""
    held = await r.authorize(user_id, **ZERO)
    fields: dict[str, Any] = {"user_id": user_id, "product_id": "umbrella", **ZERO}
    settle = r.call("settle", Methods.settle_authorization, name=held.name, amount=yuan(_FEE_MINOR))
    return [settle, *(r.call("authorize", Methods.authorize, **fields) for _ in "ab")]


def _wished_minor(line: Line) -> int:
    return line.limit_minor - line.cut_pending_minor


def _check_lines(
    r: Round, stored: Stored, merged: str, survivor: str, answers: Sequence[Answer]
) -> None:
    """The merged line gives nothing, and the survivor's line gives what its own limit leaves. Every
    hold that was answered is on one of the two lines."""
    runs_off, kept = stored.lines[merged], stored.lines[survivor]
    r.require(runs_off.available_minor == 0, f"{runs_off.available_minor} on the merged line")
    r.require(
        runs_off.limit_minor == in_use_minor(runs_off),
        f"the merged line's limit is {runs_off.limit_minor}, in use {in_use_minor(runs_off)}",
    )
    free_minor = max(0, _wished_minor(kept) - in_use_minor(kept))
    r.require(
        kept.available_minor == free_minor,
        f"{kept.available_minor} is available to the survivor instead of {free_minor}",
    )
    for answer in of(answers, "authorize"):
        if state_of(answer) not in ("ACTIVE", "DECLINED"):
            r.require(False, f"an authorize was answered {state_of(answer)}: {answer.refusal}")
            continue
        name = rental(answer).name
        r.require(
            stored.authorization(name).state == state_of(answer), f"{name} is in another state"
        )
