"""Every pair of command and state: allowed exactly where the specification allows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain import authorization as life
from service.domain import collection, hold, settlement
from service.domain.authorization import Act, Authorization, Custody, State, Step
from service.domain.errors import IllegalState
from service.domain.policy import Split
from service.domain.tariff import MINUTE_US
from tests.domain.lives import BIKE, DUE_US, NOW_US, REDUCED, capture
from tests.domain.specification import ALLOWED, ILLEGAL, LEGAL


def confirm(it: Authorization) -> Step:
    """What the engine makes of a confirmation: both parts are held, or the money is owed back."""
    hold.require_asked(it)
    if it.state is State.OFFERED:
        return hold.confirm(it, BIKE, it.cash_minor, NOW_US)
    return hold.owe_back(it, it.cash_minor, NOW_US)


COMMANDS: dict[Act, Callable[[Authorization], Step]] = {
    Act.CONFIRM: confirm,
    Act.RESOLVE_REVIEW: lambda it: hold.offer(it, MINUTE_US, NOW_US),
    Act.START: lambda it: hold.start_rental(it, BIKE, "", NOW_US),
    Act.INCREMENT: lambda it: hold.increment(it, Split(1, 1), 0, NOW_US),
    Act.DECREASE: lambda it: hold.decrease(it, 1, NOW_US),
    Act.EXTEND: lambda it: hold.extend(it, BIKE, MINUTE_US, NOW_US),
    Act.SETTLE: lambda it: capture(it, 1, final=True),
    Act.REVERSE: lambda it: hold.reverse(it, NOW_US),
    Act.CLAIM_RETURN: lambda it: settlement.claim_return(it, BIKE, NOW_US),
    Act.CONTEST_RETURN: lambda it: settlement.contest_return(it, NOW_US),
    Act.REPORT_LOST: lambda it: settlement.lose(it, BIKE, NOW_US),
    Act.REPORT_FOUND: lambda it: settlement.find(it, BIKE, NOW_US),
    Act.RECORD_PAYMENT: lambda it: collection.pay(it, 1, NOW_US),
    Act.RECORD_PAID_ELSEWHERE: lambda it: collection.pay_elsewhere(it, 1, NOW_US),
    Act.LOWER_CHARGE: lambda it: collection.lower(it, 1, NOW_US),
    Act.REFUND: lambda it: collection.refund(it, 1, NOW_US),
    Act.PAY_OUT: lambda it: collection.pay_out(it, 1, NOW_US),
    Act.OPEN_DISPUTE: lambda it: collection.open_dispute(it, 1, NOW_US),
    Act.RESOLVE_DISPUTE: lambda it: collection.resolve_dispute(
        it, user_won=True, goodwill=False, now_us=NOW_US
    ),
    Act.RECORD_CHARGE_BACK: lambda it: collection.charge_back(it, 1, NOW_US),
    Act.RESOLVE_CHARGE_BACK: lambda it: collection.resolve_charge_back(
        it, user_won=True, goodwill=False, now_us=NOW_US
    ),
    Act.SET_PROVISION: lambda it: collection.provision(it, 1, NOW_US),
    Act.PROPOSE_WRITE_OFF: lambda it: collection.propose_write_off(it, "key-1", NOW_US),
    Act.APPROVE_WRITE_OFF: lambda it: collection.write_off(it, "key-2", NOW_US),
}
UNTOUCHED = frozenset({Act.REVERSE})
"""What is besides allowed only before the first capture."""


def in_state(state: State, act: Act) -> Authorization:
    """An authorization in any state whose amounts would allow the command, whatever the state."""
    it = REDUCED._replace(
        state=state,
        start_us=NOW_US,
        due_us=DUE_US,
        claim_us=NOW_US,
        close_us=NOW_US,
        held_credit_minor=4_950,
        held_cash_minor=9_950,
        sold_us=DUE_US,
    )
    if act in UNTOUCHED:
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
        write_off_by="key-1",
        write_off_minor=3_900,
        custody=Custody.MISSING if act is Act.REPORT_FOUND else it.custody,
    )


def test_the_table_is_the_specifications() -> None:
    """The code's table of commands and states is the specification's."""
    assert life.ALLOWED == ALLOWED
    assert set(ALLOWED) == set(Act) == set(COMMANDS)


@pytest.mark.parametrize(("act", "state"), ILLEGAL, ids=lambda it: str(it))
def test_an_illegal_pair_is_refused(act: Act, state: State) -> None:
    """A command in a state that does not allow it is refused, and the refusal names the state."""
    it = in_state(state, act)
    with pytest.raises(IllegalState) as refused:
        COMMANDS[act](it)
    assert refused.value.reason == "ILLEGAL_TRANSITION"
    assert refused.value.metadata == {"state": state}
    assert state in refused.value.message
    assert act in refused.value.message


@pytest.mark.parametrize(("act", "state"), LEGAL, ids=lambda it: str(it))
def test_a_legal_pair_passes(act: Act, state: State) -> None:
    """A command in a state that allows it makes the next version, as of the instant given."""
    it = in_state(state, act)
    if act is Act.SETTLE and state is State.RETURN_CLAIMED:
        it = it._replace(captured_minor=0, captured_credit_minor=0)
    step = COMMANDS[act](it)
    assert step.authorization.version == it.version + 1
    assert step.event_us == NOW_US


@pytest.mark.parametrize("state", State)
def test_closed_states_hold_nothing_and_take_nothing(state: State) -> None:
    """A closed authorization accepts no capture, reverse or amendment; only custody and
    collection go on."""
    amendments = {
        Act.SETTLE, Act.REVERSE, Act.INCREMENT, Act.DECREASE, Act.EXTEND, Act.START,
        Act.CLAIM_RETURN, Act.CONTEST_RETURN, Act.RESOLVE_REVIEW,
    }  # fmt: skip
    if state in life.CLOSED:
        assert all(state not in ALLOWED[act] for act in amendments)
        assert state not in life.HOLDING
