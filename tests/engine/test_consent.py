"""Open holds survive a withdrawn consent to scoring."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.engine.operations import Command
from tests.engine.acts import in_state, increment, pay_out
from tests.engine.calls import authorize, balances, confirm, line, refused, rental, settle, stored
from tests.fakes import Desk
from tests.operations.call import OUT
from tests.operations.every import ON_AUTHORIZATION
from tests.rpc.support import OPERATOR_RPCS

HOLDING = sorted(OUT | {State.AUTHORIZED})
SCORED = {"IncrementAuthorization"}
"""Calls that score the person anew."""
STEPS = [
    (state, method)
    for state in HOLDING
    for method, call in sorted(ON_AUTHORIZATION.items())
    if state in call.states and method in OPERATOR_RPCS and method not in SCORED
]


def seen(it: Authorization) -> dict[str, object]:
    """The state and all amounts of an authorization."""
    return {
        name: value
        for name, value in it._asdict().items()
        if name in ("state", "custody", "reasons") or name.endswith("_minor")
    }


def outcome(desk: Desk, command: Command) -> object:
    """The state and amounts after a command, or the reason of its refusal."""
    try:
        return seen(rental(desk, command))
    except Exception as error:
        return getattr(error, "reason", repr(error))


@pytest.mark.parametrize("state", HOLDING)
def test_a_withdrawn_consent_leaves_the_hold(desk: Desk, state: State) -> None:
    """Row 76: if the person withdraws the consent to scoring, an open hold does not change: on
    credit, in cash, and in every state. The free part of the limit goes at once; the held part goes
    when it is released."""
    held = in_state(desk, state, "zoe")
    desk.put_user("zoe", 620)
    before = balances(desk, "zoe")
    desk.put_user("zoe", 620, consent=False)
    assert stored(desk, held) == held
    assert before == (30_000, 30_000 - held.held_credit_minor, held.held_credit_minor, 0)
    assert balances(desk, "zoe") == (held.held_credit_minor, 0, held.held_credit_minor, 0)
    assert line(desk, "zoe").cut_pending_minor == held.held_credit_minor


@pytest.mark.parametrize(("state", "method"), STEPS)
def test_a_withdrawn_consent_changes_no_later_step(desk: Desk, state: State, method: str) -> None:
    """Row 76: every call of the operator on an open hold has the same effect before and after the
    consent is withdrawn."""
    command = ON_AUTHORIZATION[method].command
    expected = outcome(desk, command(in_state(desk, state, "yan")))
    without = in_state(desk, state, "zoe")
    desk.put_user("zoe", 549, consent=False)
    assert outcome(desk, command(without)) == expected


def test_a_withdrawn_consent_ends_with_the_rental(desk: Desk) -> None:
    """Row 76: a hold of 199.00 is settled for 12.50 after the consent was withdrawn: 12.50 is due,
    the rest of the limit is gone, and the next rental asks for the full deposit."""
    held = rental(desk, authorize())
    desk.put_user("ann", 700, consent=False)
    assert balances(desk) == (19_900, 0, 19_900, 0)
    settled = rental(desk, settle(held, 1_250))
    assert (settled.state, settled.due_minor) == (State.SETTLED, 1_250)
    assert balances(desk) == (1_250, 0, 0, 1_250)
    following = rental(desk, authorize())
    assert (following.offer, following.reasons) == ("FULL", ("NO_CONSENT",))


def test_no_increment_on_credit_without_consent(desk: Desk) -> None:
    """Row 76: once the consent is withdrawn, an increment of an open hold needs its whole amount in
    cash. Without the cash it is refused and the hold does not change; with the cash it is held."""
    held = rental(desk, authorize())
    desk.put_user("ann", 700, consent=False)
    refusal = refused(desk, increment(held, 1_000))
    assert (refusal.reason, refusal.metadata["reasons"]) == ("DEPOSIT_REQUIRED", "NO_CONSENT")
    assert stored(desk, held) == held
    more = rental(desk, increment(held, 1_000, 1_000, "pay-more"))
    assert (more.held_credit_minor, more.held_cash_minor) == (19_900, 1_000)


def test_an_offer_on_credit_ends_without_consent(desk: Desk) -> None:
    """Row 76: an offer is no hold: its credit part cannot be held once the limit is gone. The
    payment is not lost, but owed back."""
    offered = rental(desk, authorize("ben"))
    desk.put_user("ben", 550, consent=False)
    declined = rental(desk, confirm(offered))
    assert (declined.state, declined.reasons[0]) == (State.DECLINED, "LINE_EXHAUSTED")
    assert declined.refund_payable_minor == offered.cash_minor
    paid_out = rental(desk, pay_out(declined, offered.cash_minor), caller=PLATFORM)
    assert paid_out.refund_payable_minor == 0
