"""Every illegal pair of command and state, through the engine and the database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain.authorization import Act, State
from service.domain.errors import FreeholdError, IllegalState, InvalidInput
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand
from tests.domain.specification import ALLOWED
from tests.engine import acts
from tests.engine.calls import counts, reason, refused, stored
from tests.fakes import OTHER_OPERATOR, Desk

AMOUNTS_FORBID = {"INVALID_INPUT", "NOTHING_DUE", "NOTHING_DISPUTED", "NOTHING_CHARGED_BACK",
                  "NOT_PROPOSED", "NOT_MISSING"}  # fmt: skip
"""What may refuse a command that the state allows."""


def test_every_command_is_tried() -> None:
    """There is a call for each command of the table."""
    assert set(acts.COMMANDS) == set(Act)


@pytest.mark.parametrize("state", State)
def test_illegal_pairs_change_nothing(desk: Desk, state: State) -> None:
    """In each state, every command that the table does not allow is refused with
    FAILED_PRECONDITION naming the state, and changes nothing."""
    it = acts.in_state(desk, state, "zoe")
    assert it.state is state
    before = counts(desk)
    for act, command in acts.COMMANDS.items():
        if state in ALLOWED[act]:
            continue
        (refusal,) = desk.apply(desk.work(command(it)))
        assert isinstance(refusal, IllegalState), act
        assert refusal.reason == "ILLEGAL_TRANSITION"
        assert refusal.metadata == {"state": state}
    assert counts(desk) == before
    assert stored(desk, it) == it


@pytest.mark.parametrize("state", State)
def test_legal_pairs_pass_or_say_what_is_missing(desk: Desk, state: State) -> None:
    """In each state, every command that the table allows passes, unless the amounts or the
    custody forbid it; then it says so, and changes nothing."""
    for place, (act, command) in enumerate(acts.COMMANDS.items()):
        if state not in ALLOWED[act]:
            continue
        it = acts.in_state(desk, state, f"zoe-{place}")
        (result,) = desk.apply(desk.work(command(it), request_id=f"try-{place}"))
        if isinstance(result, FreeholdError):
            declined = act is Act.CONFIRM and it.cash_minor == 0
            assert reason(result) in AMOUNTS_FORBID or declined, (act, result)
            assert stored(desk, it) == it
        else:
            assert stored(desk, it).version > it.version


@pytest.mark.parametrize("act", Act)
def test_every_command_passes_where_it_should(desk: Desk, act: Act) -> None:
    """Each command makes the next version; sent again it gives the first answer's bytes and
    writes nothing, and with another body it is refused."""
    it = acts.ready(desk, act, "zoe")
    command = acts.COMMANDS[act](it)
    (first,) = desk.apply(desk.work(command, request_id="r"))
    assert isinstance(first, bytes)
    assert stored(desk, it).version == it.version + 1
    before = counts(desk)
    assert desk.apply(desk.work(command, request_id="r")) == [first]
    (other,) = desk.apply(desk.work(command, request_id="r", body=b"another"))
    assert reason(other) == "REQUEST_ID_REUSED"
    assert counts(desk) == before


@pytest.mark.parametrize("act", Act)
def test_every_command_knows_whose_and_which_version(desk: Desk, act: Act) -> None:
    """Each command is refused for another operator as if there were no such authorization, and
    for a stale version naming both; neither changes anything."""
    it = acts.ready(desk, act, "zoe")
    command = acts.COMMANDS[act](it)
    assert isinstance(command, AuthorizationCommand)
    before = counts(desk)
    theirs = refused(desk, command, caller=OTHER_OPERATOR)
    ghost = replace(command, authorization_id="0" * 20)
    assert theirs.reason == refused(desk, ghost).reason == "AUTHORIZATION_NOT_FOUND"
    stale = refused(desk, replace(command, expected_version=it.version + 1))
    assert stale.reason == "VERSION_MISMATCH"
    assert stale.metadata == {
        "expected_version": str(it.version + 1), "version": str(it.version),
    }  # fmt: skip
    assert counts(desk) == before
    assert stored(desk, it) == it
    desk.do(replace(command, expected_version=it.version))
    assert stored(desk, it).version == it.version + 1


@pytest.mark.parametrize("act", [act for act in Act if act in acts.PRICED])
def test_every_amount_is_in_the_authorizations_currency(desk: Desk, act: Act) -> None:
    """An amount in another currency is refused and names the field."""
    it = acts.ready(desk, act, "zoe")
    command: Any = acts.COMMANDS[act](it)
    field = "paid" if act is Act.CONFIRM else "amount"
    euro = replace(command, **{field: Money("EUR", 100)})
    error = refused(desk, euro)
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == f"{field}.currency_code"
