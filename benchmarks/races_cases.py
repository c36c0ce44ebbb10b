"""The race for one case: it is opened once, and decided once."""

from __future__ import annotations

from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1 import case_service_pb2 as pb

from benchmarks.races_round import FAILED, ZERO, Round, refused, told, yuan

FEE_MINOR, PART_MINOR = 500, 200


async def case(r: Round) -> None:
    """Of a grant by the operator and a refusal by the platform, exactly one decides a complaint,
    and the charge is lowered by what the decision grants.

    In every third round the complaint itself is opened by several calls, and exactly one opens it.
    """
    user_id = await r.person()
    rented = await r.settle(await r.authorize(user_id, **ZERO), FEE_MINOR)
    about: dict[str, Any] = {"name": rented.name, "complaint": pb.CASE_KIND_WRONG_FEE}
    if r.number % 3 == 0:
        calls = [
            r.call("complaint", Methods.open_complaint, server=server, text="too much", **about)
            for server in (0, 1)
            for _ in "ab"
        ]
        expected, why = {"complaint": 0}, "CASE_OPEN"
    else:
        opened = await r.do(Methods.open_complaint, text="too much", **about)
        part = {"outcome": pb.CASE_OUTCOME_IN_PART, "amount": yuan(PART_MINOR)}
        against = {"outcome": pb.CASE_OUTCOME_FOR_OPERATOR, "key": r.platform}
        ways: tuple[tuple[str, dict[str, Any]], ...] = (("granted", part), ("refused", against))
        calls = [
            r.call(kind, Methods.resolve_case, server=server, name=opened.case.name, **fields)
            for server, (kind, fields) in enumerate(ways)
            for _ in "abc"
        ]
        expected, why = {"granted": PART_MINOR, "refused": 0}, "CASE_CLOSED"
    answers = await r.race(calls)
    won = told(answers)
    r.won(answers, won)
    r.lost(refused(answers), FAILED, why)
    if not r.one(won, "winner"):
        return
    granted_minor = expected[won[0].kind]
    given_minor = won[0].message.case.granted.amount_minor
    r.require(given_minor == granted_minor, f"{given_minor} granted by {won[0].kind}")
    stored = await r.stored()
    (it,) = (it for it in stored.authorizations[user_id] if it.name == rented.name)
    due_minor = FEE_MINOR - granted_minor
    r.require(it.due_minor == due_minor, f"{it.due_minor} due instead of {due_minor}")
