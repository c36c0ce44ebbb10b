"""Every forbidden pair of command and state, through engine and database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain.authorization import State
from service.domain.errors import FreeholdError, IllegalState, InvalidInput
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand
from tests.engine import acts
from tests.engine.calls import counts, reason, refused, stored
from tests.fakes import OTHER_OPERATOR, Desk
from tests.operations.every import ON_AUTHORIZATION
from tests.rpc.support import RPCS

ON_BOTH = "each call is made on each database"

AMOUNTS_FORBID = {"INVALID_INPUT", "NOTHING_DUE", "NOTHING_DISPUTED", "NOTHING_CHARGED_BACK",
                  "NOT_PROPOSED", "NOT_MISSING", "NOT_PAUSED", "NOTHING_TO_WAIVE"}  # fmt: skip
"""Reasons for which an allowed command may still be refused."""
PRICED = [
    method
    for method in ON_AUTHORIZATION
    if {"amount", "paid"} & set(RPCS[method].request.DESCRIPTOR.fields_by_name)
]
"""The calls with an amount."""


@pytest.mark.parametrize("state", State)
def test_forbidden_pairs_change_nothing(desk: Desk, state: State) -> None:
    """In each state, every command that the table forbids is refused with FAILED_PRECONDITION and
    the state's name, and changes nothing."""
    it = acts.in_state(desk, state, "zoe")
    assert it.state is state
    before = counts(desk)
    for method, call in ON_AUTHORIZATION.items():
        if state in call.states:
            continue
        (refusal,) = desk.apply(desk.work(call.command(it)))
        assert isinstance(refusal, IllegalState), method
        assert refusal.reason == "ILLEGAL_TRANSITION"
        assert refusal.metadata == {"state": state}
    assert counts(desk) == before
    assert stored(desk, it) == it


@pytest.mark.parametrize("state", State)
def test_allowed_pairs_pass_or_give_another_reason(desk: Desk, state: State) -> None:
    """In each state, every command that the table allows passes, or is refused because of its
    amounts or the custody. A refusal has its reason and changes nothing."""
    for method, call in ON_AUTHORIZATION.items():
        if state not in call.states:
            continue
        it = acts.in_state(desk, state, f"zoe-{method}")
        (result,) = desk.apply(desk.work(call.command(it), request_id=f"try-{method}"))
        if isinstance(result, FreeholdError):
            declined = method == "ConfirmAuthorization" and it.cash_minor == 0
            assert reason(result) in AMOUNTS_FORBID or declined, (method, result)
            assert stored(desk, it) == it
        else:
            assert stored(desk, it).version > it.version


@pytest.mark.parametrize("method", ON_AUTHORIZATION)
def test_every_command_passes_once(desk: Desk, method: str) -> None:
    """Each command makes the next version. A repeat gets the first answer's bytes and writes
    nothing. Another body with the same id is refused."""
    call = ON_AUTHORIZATION[method]
    it = call.before(desk, "zoe")
    command = call.command(it)
    (first,) = desk.apply(desk.work(command, request_id="r"))
    assert isinstance(first, bytes)
    assert stored(desk, it).version == it.version + 1
    before = counts(desk)
    assert desk.apply(desk.work(command, request_id="r")) == [first]
    (other,) = desk.apply(desk.work(command, request_id="r", body=b"another"))
    assert reason(other) == "REQUEST_ID_REUSED"
    assert counts(desk) == before


@pytest.mark.parametrize("method", ON_AUTHORIZATION)
def test_every_command_checks_operator_and_version(desk: Desk, method: str) -> None:
    """Each command is refused for another operator as NOT_FOUND, and for a stale version with both
    versions; neither changes anything."""
    call = ON_AUTHORIZATION[method]
    it = call.before(desk, "zoe")
    command = call.command(it)
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


@pytest.mark.parametrize("method", PRICED)
def test_every_amount_is_in_the_authorizations_currency(desk: Desk, method: str) -> None:
    """An amount in another currency is refused, and the error names the field."""
    call = ON_AUTHORIZATION[method]
    command: Any = call.command(call.before(desk, "zoe"))
    field = "paid" if method == "ConfirmAuthorization" else "amount"
    euro = replace(command, **{field: Money("EUR", 100)})
    error = refused(desk, euro)
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == f"{field}.currency_code"
