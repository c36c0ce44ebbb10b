"""Every pair of command and state: allowed exactly where the specification allows it."""

from __future__ import annotations

import pytest

from service.domain import authorization as life
from service.domain import charge_backs, collection, hold, pauses, settlement, waivers
from service.domain.acts import Act
from service.domain.authorization import Authorization, Custody, State
from service.domain.errors import IllegalState
from tests.domain.lives import DUE_US, NOW_US, REDUCED
from tests.operations.call import CallOnAuthorization
from tests.operations.every import ON_AUTHORIZATION

ACTS = {
    it.call: it
    for rules in (hold, settlement, collection, pauses, waivers, charge_backs)
    for it in vars(rules).values()
    if isinstance(it, Act)
}
PAIRS = [(call, state) for call in ON_AUTHORIZATION.values() for state in State]
LEGAL = [(call, state) for call, state in PAIRS if state in call.states]
ILLEGAL = [(call, state) for call, state in PAIRS if state not in call.states]
UNTOUCHED = frozenset({"ReverseAuthorization"})
"""Acts that are allowed only before the first capture."""


def in_state(state: State, method: str) -> Authorization:
    """An authorization in the state, with amounts that allow the command."""
    it = REDUCED._replace(
        state=state,
        start_us=NOW_US,
        due_us=DUE_US,
        claim_us=NOW_US if state is State.RETURN_CLAIMED else None,
        close_us=NOW_US,
        held_credit_minor=4_950,
        held_cash_minor=9_950,
        sold_us=DUE_US,
    )
    if method in UNTOUCHED:
        return it
    return it._replace(
        captured_minor=5_000,
        captured_credit_minor=5_000,
        fee_minor=150,
        paid_minor=1_000,
        disputed_minor=100,
        charged_back_minor=100,
        refund_payable_minor=100,
        received_minor=11_050,
        write_off_by="key-0",
        write_off_minor=3_900,
        custody=Custody.MISSING if method == "ReportFound" else it.custody,
    )


def named(it: object) -> str:
    """A call or a state in the name of a test."""
    return it.method if isinstance(it, CallOnAuthorization) else str(it)


def test_the_code_and_the_specification_have_the_same_table() -> None:
    """The code allows each call in the states in which the specification allows it."""
    allowed = {name: act.states for name, act in ACTS.items()}
    assert allowed == {name: call.states for name, call in ON_AUTHORIZATION.items()}


@pytest.mark.parametrize(("call", "state"), ILLEGAL, ids=named)
def test_an_illegal_pair_is_refused(call: CallOnAuthorization, state: State) -> None:
    """A command in a state that does not allow it is refused, and the refusal names the state."""
    it = in_state(state, call.method)
    with pytest.raises(IllegalState) as refused:
        call.rule(it, 1, NOW_US)
    assert refused.value.reason == "ILLEGAL_TRANSITION"
    assert refused.value.metadata == {"state": state}
    assert state in refused.value.message
    assert call.method in refused.value.message


@pytest.mark.parametrize(("call", "state"), LEGAL, ids=named)
def test_a_legal_pair_passes(call: CallOnAuthorization, state: State) -> None:
    """A command in a state that allows it makes the next version, as of the instant given."""
    it = in_state(state, call.method)
    if call.method == "SettleAuthorization" and state is State.RETURN_CLAIMED:
        it = it._replace(captured_minor=0, captured_credit_minor=0)
    step = call.rule(it, 1, NOW_US)
    assert step.authorization.version == it.version + 1
    assert step.event_us == NOW_US


@pytest.mark.parametrize("state", State)
def test_closed_states_hold_nothing_and_take_nothing(state: State) -> None:
    """A closed authorization accepts no capture, reverse or amendment; only custody and collection
    change."""
    amendments = {
        "SettleAuthorization", "ReverseAuthorization", "IncrementAuthorization",
        "DecreaseAuthorization", "ExtendRental", "StartRental", "ClaimReturn", "ContestReturn",
        "ResolveReview",
    }  # fmt: skip
    if state in life.CLOSED:
        assert all(state not in ACTS[method].states for method in amendments)
        assert state not in life.HOLDING
