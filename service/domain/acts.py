"""Calls on an authorization, and the conditions under which they are allowed."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.authorization import Authorization, State
from service.domain.errors import IllegalState, VersionMismatch


class Act(NamedTuple):
    """A call on an authorization, and the states in which it is allowed.

    The rule of each call is below its act, in `hold`, `settlement` and `collection`. Amounts and
    custody may still forbid the call.
    """

    call: str
    """The name of the call in the contract."""
    states: frozenset[State]


def check_version(authorization: Authorization, expected: int | None) -> None:
    """Raises VersionMismatch unless `expected` is None or the present version."""
    if expected is not None and expected != authorization.version:
        raise VersionMismatch(expected, authorization.version)


def refuse(authorization: Authorization, act: Act) -> IllegalState:
    """The error for a command that the present state does not allow."""
    return IllegalState(
        "ILLEGAL_TRANSITION",
        f"{act.call} is not allowed in state {authorization.state}",
        authorization.state,
    )


def require(authorization: Authorization, act: Act) -> None:
    """Raises IllegalState unless the state allows the command."""
    if authorization.state not in act.states:
        raise refuse(authorization, act)


def require_was_out(authorization: Authorization) -> None:
    """Raises IllegalState for a reservation that the user cancelled: its item was never out."""
    if authorization.start_us is None:
        raise IllegalState(
            "NEVER_OUT",
            "the reservation was cancelled, and its item was never handed out",
            authorization.state,
        )


def require_rental(authorization: Authorization) -> None:
    """Raises IllegalState for a damage charge, which has no item."""
    if authorization.parent_id:
        raise IllegalState(
            "DAMAGE_CHARGE", "a damage charge has no rented item", authorization.state
        )
