"""A call that changes something, defined once for all tests that try every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from freehold.v1 import authorization_pb2 as pb

from service.domain.authorization import Authorization, State, Step
from service.engine.operations import Command
from tests.engine.acts import in_state
from tests.fakes import Desk
from tests.rpc.support import Desks, yuan

OUT = frozenset({State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED})
CHARGED = OUT | {State.SETTLED}
"""States in which something may have been captured."""
TAKEN = frozenset(State) - {State.REVIEW, State.OFFERED}
"""States in which money may have been received: there an amount owed back is paid out, and a
payment is charged back."""

SAME_LINE = "changes one authorization by its version, as the calls of the race `captures` do"
"""The reason why a call needs no race of its own."""

Parts = dict[str, Any]
"""Fields of a message."""
AMOUNT: Parts = {"amount": yuan(100)}
ACCOUNT: Parts = {"rail_account": "operators/city/railAccounts/default"}
PAID: Parts = {"payment_reference": "pay-1", "paid": yuan(100), **ACCOUNT}
REASON: Parts = {"reason": "the item was at fault"}
CITED: Parts = {**AMOUNT, **REASON, "capture": 1}
REFERRED: Parts = {**CITED, "business_reference": "case-1"}
REPORTED: Parts = {"payment_reference": "pay-1", "amount": yuan(100), **ACCOUNT}


def fills_nothing(_desk: Desks, _request: Any) -> None:
    """Leaves a request unchanged."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that changes something, as the contract has it.

    method    its name
    scope     the scope of the keys that may send it
    required  the fields that its message must have, besides the request id
    parts     the other fields, one dictionary for each form that the message can have; tests of
              single fields begin with them
    fill      gives a request what it needs besides an amount to go through
    race      the race in which it competes with another call for the same object
    unraced   the reason why no race is needed; either of the two is empty
    """

    method: str
    scope: str = "authorizations.write"
    required: frozenset[str] = frozenset({"name"})
    parts: tuple[Parts, ...] = ({},)
    fill: Callable[[Desks, Any], None] = fills_nothing
    race: str = ""
    unraced: str = ""


@dataclass(frozen=True, kw_only=True)
class CallOnAuthorization(Call):
    """A call on an authorization that is there.

    states   the states in which it is allowed, from the specification and not from the code
    rule     the step that it takes, of an amount in minor units at an instant
    command  what the engine is asked for about an authorization of `before`
    before   makes an authorization of a new person, for which `command` passes
    behind   makes an authorization over the wire, for which the filled request passes
    """

    states: frozenset[State]
    rule: Callable[[Authorization, int, int], Step]
    command: Callable[[Authorization], Command]
    before: Callable[[Desk, str], Authorization]
    behind: Callable[[Desks], pb.Authorization]


def then(
    state: State, follow: Callable[[Desk, Authorization], Authorization] = lambda _desk, it: it
) -> Callable[[Desk, str], Authorization]:
    """Makes an authorization of a new person in a state, and applies an act to it."""
    return lambda desk, user_id: follow(desk, in_state(desk, state, user_id))
