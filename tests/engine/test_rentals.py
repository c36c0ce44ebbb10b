"""Commands on an authorization: settle, reverse, pay; their operator and version."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, State
from service.domain.errors import InvalidInput
from service.domain.policy import Offer
from service.engine.operations import Command, Settle
from tests.engine.acts import claim_return
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    line,
    pay,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    start,
    stored,
)
from tests.fakes import OTHER_OPERATOR, START_US, Desk


def test_a_return_settles_the_fee_and_releases_the_rest(desk: Desk) -> None:
    """Settling charges the fee to the line and makes the rest available again."""
    it = rental(desk, settle(rental(desk, authorize()), 1_250))
    assert (it.state, it.captured_minor, it.fee_minor) == (State.SETTLED, 1_250, 37)
    assert it.collection is Collection.DUE
    assert balances(desk) == (50_000, 48_750, 0, 1_250)
    assert line(desk).receivable_minor == 1_250


def test_a_payment_frees_the_line(desk: Desk) -> None:
    """A drawn amount is available again once it is paid."""
    it = rental(desk, settle(rental(desk, authorize()), 1_250))
    it = rental(desk, pay(it, 1_250), caller=PLATFORM)
    assert (it.collection, it.due_minor) == (Collection.PAID, 0)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_a_reverse_frees_the_line(desk: Desk) -> None:
    """Reversing a hold makes all of it available again."""
    it = rental(desk, reverse(rental(desk, authorize())))
    assert it.state is State.REVERSED
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_captures_until_the_hold_is_used_up(desk: Desk) -> None:
    """Several captures are allowed, together at most the hold."""
    it = rental(desk, authorize())
    rental(desk, settle(it, 10_000, final=False))
    rental(desk, settle(it, 9_900, final=False))
    error = refused(desk, settle(it, 1, final=False))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == "amount.amount_minor"
    assert rental(desk, settle(it, 0)).captured_minor == 19_900


def test_exactly_one_end_wins(desk: Desk) -> None:
    """After a settlement a reverse is refused with the state SETTLED, and the other way round."""
    one, other = rental(desk, authorize()), rental(desk, authorize())
    rental(desk, settle(one, 0))
    rental(desk, reverse(other))
    assert refused(desk, reverse(one)).metadata == {"state": "SETTLED"}
    assert refused(desk, settle(one, 0)).metadata == {"state": "SETTLED"}
    assert refused(desk, settle(other, 0)).metadata == {"state": "REVERSED"}
    assert refused(desk, reverse(other)).metadata == {"state": "REVERSED"}


def test_a_lapsed_hold_cannot_be_reversed(desk: Desk) -> None:
    """A lapsed hold cannot be reversed: it expired at its instant."""
    it = rental(desk, pick_up())
    assert it.expire_us is not None
    desk.clock.advance(it.expire_us)
    assert refused(desk, reverse(it)).metadata == {"state": "EXPIRED"}


def test_a_hold_is_not_settled_before_the_pick_up(desk: Desk) -> None:
    """A capture before the pick-up is refused."""
    assert refused(desk, settle(rental(desk, pick_up()), 0)).metadata == {"state": "AUTHORIZED"}
    offered = rental(desk, authorize("ben"))
    assert refused(desk, settle(offered, 0)).metadata == {"state": "OFFERED"}


def test_a_decline_is_final(desk: Desk) -> None:
    """A declined authorization accepts no command."""
    it = rental(desk, authorize("new", accept=(Offer.ZERO,)))
    assert it.state is State.DECLINED
    for command in (start(it), settle(it, 0), reverse(it), confirm(it, 1), pay(it, 1)):
        assert refused(desk, command).metadata == {"state": "DECLINED"}


# -- payments --------------------------------------------------------------------------------


def test_a_payment_reference_counts_once_for_a_default_account(desk: Desk) -> None:
    """A payment reference is recorded once for the caller's default account, whatever the request
    id."""
    it = rental(desk, settle(rental(desk, authorize()), 1_250))
    rental(desk, pay(it, 1_000, reference="p"), caller=PLATFORM)
    error = refused(desk, pay(it, 250, reference="p"), caller=PLATFORM)
    assert error.reason == "PAYMENT_REFERENCE_USED"
    account = "platform/railAccounts/default"
    assert error.metadata == {"payment_reference": "p", "rail_account": account}
    rental(desk, pay(it, 250, reference="q"), caller=PLATFORM)


def test_a_deposits_reference_counts_once(desk: Desk) -> None:
    """A cash part cannot be confirmed twice with one payment."""
    one, other = rental(desk, authorize("cem")), rental(desk, authorize("cem"))
    rental(desk, confirm(one, reference="p"))
    assert refused(desk, confirm(other, reference="p")).reason == "PAYMENT_REFERENCE_USED"
    assert stored(desk, other).state is State.OFFERED


def test_a_second_payment_for_a_deposit_is_owed_back(desk: Desk) -> None:
    """A deposit paid twice, with two references, is held once and owed back once."""
    it = rental(desk, authorize("cem"))
    rental(desk, confirm(it, reference="p"))
    it = rental(desk, confirm(it, reference="q"))
    assert (it.state, it.held_cash_minor, it.refund_payable_minor) == (
        State.ACTIVE, 19_900, 19_900,
    )  # fmt: skip


def test_amounts_are_in_the_authorizations_currency(desk: Desk) -> None:
    """Another currency is refused for deposits, captures and payments, and the error names the
    field."""
    offered, active = rental(desk, authorize("cem")), rental(desk, authorize())
    due = rental(desk, settle(rental(desk, authorize()), 10))
    for command, field in (
        (confirm(offered, currency="EUR"), "paid.currency_code"),
        (settle(active, 1, currency="EUR"), "amount.currency_code"),
        (pay(due, 1, currency="EUR"), "amount.currency_code"),
    ):
        error = refused(desk, command)
        assert isinstance(error, InvalidInput)
        assert error.violations[0].field == field


def test_a_payment_of_zero_is_refused(desk: Desk) -> None:
    """Payments are more than zero."""
    offered = rental(desk, authorize("cem"))
    due = rental(desk, settle(rental(desk, authorize()), 10))
    for command, field in (
        (confirm(offered, 0), "paid.amount_minor"),
        (pay(due, 0), "amount.amount_minor"),
    ):
        error = refused(desk, command)
        assert isinstance(error, InvalidInput)
        assert error.violations[0].field == field


# -- operator and version --------------------------------------------------------------------

NAMED: dict[str, Callable[[Authorization, int | None], Command]] = {
    "confirm": lambda it, version: confirm(it, version=version),
    "start": lambda it, version: start(it, version=version),
    "settle": lambda it, version: settle(it, 0, version=version),
    "reverse": lambda it, version: reverse(it, version=version),
}


def ready(desk: Desk, name: str) -> Authorization:
    """An authorization in a state that allows the command."""
    if name == "confirm":
        return rental(desk, authorize("ben"))
    return rental(desk, pick_up() if name == "start" else authorize())


@pytest.mark.parametrize("name", NAMED)
def test_another_operators_authorization_is_not_found(desk: Desk, name: str) -> None:
    """For an operator, another operator's authorization is as unknown as one that never existed."""
    it = ready(desk, name)
    before = counts(desk)
    theirs = refused(desk, NAMED[name](it, None), caller=OTHER_OPERATOR)
    ghost = it._replace(authorization_id="0" * 20)
    nobodys = refused(desk, NAMED[name](ghost, None), caller=OTHER_OPERATOR)
    assert theirs.reason == nobodys.reason == "AUTHORIZATION_NOT_FOUND"
    assert theirs.message == nobodys.message
    assert counts(desk) == before


@pytest.mark.parametrize("name", NAMED)
def test_an_authorization_is_found_under_its_person(desk: Desk, name: str) -> None:
    """An authorization is not found under another person's name."""
    it = ready(desk, name)
    error = refused(desk, NAMED[name](it._replace(user_id="cem"), None))
    assert error.reason == "AUTHORIZATION_NOT_FOUND"


def test_another_operator_cannot_pay_either(desk: Desk) -> None:
    """A payment for another operator's authorization is NOT_FOUND; the platform can pay any."""
    it = rental(desk, settle(rental(desk, authorize()), 10))
    assert refused(desk, pay(it, 10), caller=OTHER_OPERATOR).reason == "AUTHORIZATION_NOT_FOUND"
    assert rental(desk, pay(it, 10), caller=PLATFORM).collection is Collection.PAID


@pytest.mark.parametrize("name", NAMED)
def test_a_stale_version_is_refused(desk: Desk, name: str) -> None:
    """A command that expects another version is refused with both versions, changes nothing, and
    passes with the present version."""
    it = ready(desk, name)
    error = refused(desk, NAMED[name](it, it.version + 1))
    assert error.reason == "VERSION_MISMATCH"
    assert error.metadata == {"expected_version": "2", "version": "1"}
    assert stored(desk, it) == it
    assert rental(desk, NAMED[name](it, it.version)).version == 2


def test_two_commands_with_the_same_expected_version(desk: Desk) -> None:
    """Of two commands that expect the same version, in one batch, only the first passes."""
    it = rental(desk, authorize())
    first, second = desk.apply(
        desk.work(settle(it, 100, final=False, version=1)),
        desk.work(settle(it, 100, final=False, version=1)),
    )
    assert isinstance(first, bytes)
    assert getattr(second, "reason", "") == "VERSION_MISMATCH"
    assert stored(desk, it).captured_minor == 100


def test_times_come_from_the_server(desk: Desk) -> None:
    """The start and the end of a rental are the clock's instants of their decisions."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + 1_000)
    it = rental(desk, settle(it, 0))
    assert (it.create_us, it.start_us, it.close_us) == (START_US, START_US, START_US + 1_000)


@pytest.mark.parametrize("claimed", [False, True])
def test_a_rental_started_by_a_clock_that_is_ahead_ends(desk: Desk, claimed: bool) -> None:
    """A rental that another process started by a clock slightly ahead is claimed and settled like
    any other, and the books verify."""
    it = rental(desk, pick_up())
    ahead = Desk(desk.store)
    ahead.clock.advance(START_US + 60_000)
    it = rental(ahead, start(it), request_id="ahead")
    assert it.start_us == START_US + 60_000
    if claimed:
        rental(desk, claim_return(it))
    usage = Settle(it.user_id, it.authorization_id, None, True)
    assert rental(desk, usage).captured_minor == 150
