"""A13: a payment's reference counts once for its rail account, whoever reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.domain.suspense import Direction
from service.engine import operations as c
from service.engine.operations import Command
from service.engine.records.transfers import TransferRecord, TransferState
from service.storage import rail_accounts
from service.storage.database import writing
from tests.engine.acts import (
    DAY_US,
    charge_back,
    charged,
    increment,
    money,
    pay_out,
    told,
    transfers,
    woken,
)
from tests.engine.calls import CNY, authorize, confirm, counts, pay, refused, rental, stored
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, Desk

BANK = "platform/railAccounts/bank"
TILL = f"operators/{OPERATOR}/railAccounts/till"
"""An account of the operator's own."""
DEFAULT = f"operators/{OPERATOR}/railAccounts/default"
USED, UNKNOWN = "PAYMENT_REFERENCE_USED", "RAIL_ACCOUNT_NOT_FOUND"


@pytest.fixture
def till(desk: Desk) -> Desk:
    """A desk whose first operator has a second account of its own, in addition to the default
    account."""
    rail_accounts.create(desk.store.engine, OPERATOR, "till", CNY, "Till 1", START_US)
    return desk


@pytest.fixture
def bank(desk: Desk) -> Desk:
    """A desk whose operators share an account of the platform for payments that name no account."""
    engine = desk.store.engine
    rail_accounts.create(engine, PLATFORM, "bank", "", "Bank 1", START_US)
    for operator_id in (OPERATOR, OTHER_OPERATOR):
        rail_accounts.share(engine, "bank", operator_id, "default", START_US)
    return desk


def at(account: str, command: Any) -> Command:
    """The command with its rail account."""
    from dataclasses import replace

    changed: Command = replace(command, rail_account=account)
    return changed


def offered(desk: Desk, operator_id: str = OPERATOR) -> Authorization:
    """An offer of an umbrella for a deposit in cash."""
    return rental(desk, authorize("cem"), caller=operator_id)


def deposits(desk: Desk) -> int:
    """The sum of all cash that is held for offers."""
    with desk.store.engine.connect() as connection:
        query = "SELECT coalesce(sum(held_cash_minor), 0) FROM authorizations"
        return int(connection.exec_driver_sql(query).scalar_one())


# -- one payment, reported three times -------------------------------------------------------


def test_one_payment_of_a_shared_account_counts_once_for_all(bank: Desk) -> None:
    """A13: two operators and the platform report one payment, which is credited once. The second
    operator gets the refusal of an unknown account; the platform learns of the first use."""
    one, other = offered(bank), offered(bank, OTHER_OPERATOR)
    due = charged(bank)
    rental(bank, confirm(one, reference="wx-1"))
    error = refused(bank, confirm(other, reference="wx-1"), caller=OTHER_OPERATOR)
    unknown = refused(
        bank,
        at(f"operators/{OTHER_OPERATOR}/railAccounts/none", confirm(other, reference="wx-2")),
        caller=OTHER_OPERATOR,
    )
    assert (error.reason, str(error)) == (UNKNOWN, str(unknown))
    assert error.metadata == {"rail_account": f"operators/{OTHER_OPERATOR}/railAccounts/default"}
    assert unknown.metadata == {"rail_account": f"operators/{OTHER_OPERATOR}/railAccounts/none"}
    by_hand = refused(bank, at(BANK, pay(due, 1_250, reference="wx-1")), caller=PLATFORM)
    assert by_hand.reason == USED
    assert by_hand.metadata == {"payment_reference": "wx-1", "rail_account": BANK}
    assert deposits(bank) == one.cash_minor
    assert stored(bank, due).paid_minor == 0


def test_a_payment_that_the_platform_recorded_cannot_be_confirmed(bank: Desk) -> None:
    """A13: no operator can confirm a payment that the platform has recorded by hand for a shared
    account."""
    due, one = charged(bank), offered(bank)
    rental(bank, at(BANK, pay(due, 1_250, reference="wx-1")), caller=PLATFORM)
    assert refused(bank, confirm(one, reference="wx-1")).reason == UNKNOWN
    rental(bank, confirm(one, reference="wx-2"))
    assert deposits(bank) == one.cash_minor


def test_the_calls_of_one_batch(bank: Desk) -> None:
    """A13: of two reports of one payment in one batch, the first counts."""
    one, other = offered(bank), offered(bank, OTHER_OPERATOR)
    results = bank.apply(
        bank.work(confirm(one, reference="wx-1")),
        bank.work(confirm(other, reference="wx-1"), caller=OTHER_OPERATOR),
    )
    assert isinstance(results[0], bytes)
    assert getattr(results[1], "reason", "") == UNKNOWN


def test_accounts_of_their_own_count_apart(till: Desk) -> None:
    """A13: the same reference counts once for each account: in the operator's two accounts, in
    another operator's and in the platform's."""
    people = [offered(till) for _ in "ab"]
    rental(till, confirm(people[0], reference="r-1"))
    rental(till, at(TILL, confirm(people[1], reference="r-1")))
    other = offered(till, OTHER_OPERATOR)
    rental(till, confirm(other, reference="r-1"), caller=OTHER_OPERATOR)
    rental(till, pay(charged(till), 1_250, reference="r-1"), caller=PLATFORM)
    third = offered(till)
    for account, command in ((DEFAULT, confirm(third, reference="r-1")),
                             (TILL, confirm(third, reference="r-1"))):  # fmt: skip
        error = refused(till, at(account, command))
        assert (error.reason, error.metadata["rail_account"]) == (USED, account)


def test_the_platform_reports_for_an_operators_account(till: Desk) -> None:
    """A13: a payment into an operator's account counts once, even if the platform also records it
    by hand, before or after."""
    one = offered(till)
    rental(till, at(TILL, confirm(one, reference="r-1")))
    due = charged(till)
    by_hand = refused(till, at(TILL, pay(due, 1_250, reference="r-1")), caller=PLATFORM)
    assert by_hand.reason == USED
    rental(till, at(DEFAULT, pay(due, 1_250, reference="r-2")), caller=PLATFORM)
    assert refused(till, confirm(offered(till), reference="r-2")).reason == USED


# -- what a caller may name, and learns --------------------------------------------------------


def paid_elsewhere(it: Authorization) -> Command:
    """The user paid the operator directly."""
    return c.RecordPaidElsewhere(it.user_id, it.authorization_id, "r-1", Money(CNY, 1_250))


def raised(it: Authorization) -> Command:
    """More is held for a payment."""
    return increment(it, 100, 100, reference="r-1")


OF_OPERATORS: dict[str, Callable[[Desk], Command]] = {
    "ConfirmAuthorization": lambda desk: confirm(offered(desk), reference="r-1"),
    "IncrementAuthorization": lambda desk: raised(rental(desk, authorize())),
    "RecordPaidElsewhere": lambda desk: paid_elsewhere(charged(desk)),
}
OF_PLATFORM: dict[str, Callable[[Desk], Command]] = {
    "RecordPayment": lambda desk: pay(charged(desk), 1_250, reference="r-1"),
    "RecordChargeBack": lambda desk: charge_back(
        rental(desk, pay(charged(desk), 1_250), caller=PLATFORM), 100, reference="r-1"
    ),
    "RecordOperatorPayment": lambda desk: c.RecordOperatorPayment(OPERATOR, Money(CNY, 7), "r-1"),
    "PayOutOperator": lambda desk: c.PayOutOperator(
        charged(desk).operator_id, Money(CNY, 7), "r-1"
    ),
}


@pytest.mark.parametrize("method", sorted(OF_OPERATORS))
def test_an_account_of_others_is_unknown(till: Desk, method: str) -> None:
    """A13: an operator's call that names an account of another operator or of the platform gets the
    same refusal as for an account that does not exist. The refusal is the same if the reference was
    used there."""
    harbours = f"operators/{OTHER_OPERATOR}/railAccounts/default"
    rental(till, confirm(offered(till, OTHER_OPERATOR), reference="r-1"), caller=OTHER_OPERATOR)
    command = OF_OPERATORS[method](till)
    strange = [harbours, "platform/railAccounts/default", "operators/nobody/railAccounts/default"]
    for account in (*strange, f"{TILL}-2"):
        error = refused(till, at(account, command))
        assert (error.reason, str(error)) == (UNKNOWN, "rail_account not found")
        assert error.metadata == {"rail_account": account}
    rental(till, at(TILL, command))
    again = refused(till, at(TILL, OF_OPERATORS["ConfirmAuthorization"](till)))
    assert again.reason == USED


@pytest.mark.parametrize("method", sorted(OF_PLATFORM))
def test_the_platform_names_any_account(till: Desk, method: str) -> None:
    """A13: the platform names any account that exists, and each of its calls uses a reference
    once there."""
    command = OF_PLATFORM[method](till)
    for account in ("operators/nobody/railAccounts/default", BANK):
        error = refused(till, at(account, command), caller=PLATFORM)
        assert (error.reason, error.metadata) == (UNKNOWN, {"rail_account": account})
    till.do(at(TILL, command), caller=PLATFORM)
    assert refused(till, at(TILL, command), caller=PLATFORM).reason == USED
    assert refused(till, at(TILL, confirm(offered(till), reference="r-1"))).reason == USED
    till.do(OF_PLATFORM["RecordOperatorPayment"](till), caller=PLATFORM)


def test_an_account_takes_its_currency_alone(till: Desk) -> None:
    """A13: an account with a currency refuses payments in another, and uses no reference up."""
    engine = till.store.engine
    rail_accounts.create(engine, OPERATOR, "euros", "EUR", "", START_US)
    it = offered(till)
    euros = f"operators/{OPERATOR}/railAccounts/euros"
    error = refused(till, at(euros, confirm(it, reference="r-1")))
    assert isinstance(error, InvalidInput)
    assert (error.reason, error.violations[0].rule) == ("INVALID_INPUT", "rail_account.currency")
    rental(till, at(TILL, confirm(it, reference="r-1")))


# -- transfers and earlier payments ------------------------------------------------------------


def test_a_transfer_is_no_deposit(bank: Desk) -> None:
    """A13: if a caller reports a transfer of the platform's rail as a payment into one of the
    platform's accounts, the report is refused."""
    it = woken(bank, charged(bank), START_US + DAY_US)
    with bank.store.engine.connect() as connection:
        debit = connection.execute(text("SELECT transfer_id FROM transfers")).scalar_one()
    error = refused(bank, confirm(offered(bank, OTHER_OPERATOR), reference=debit),
                    caller=OTHER_OPERATOR)  # fmt: skip
    assert error.reason == UNKNOWN
    by_hand = refused(bank, at(BANK, pay(charged(bank), 50, reference=debit)),
                      caller=PLATFORM)  # fmt: skip
    assert by_hand.reason == USED
    assert stored(bank, it).debiting_minor == 1_250


def debited(desk: Desk) -> tuple[Authorization, TransferRecord]:
    """A rental with 1,250 due, and the debit of this amount, which the rail has."""
    due = charged(desk)
    it = woken(desk, due, due.wake_us or 0)
    (debit,) = transfers(desk, it)
    desk.do(told(debit, TransferState.SENT), caller=PLATFORM)
    return it, debit


def cash(desk: Desk) -> int:
    """The cash in the books, in minor units."""
    with desk.store.engine.connect() as connection:
        query = (
            "SELECT coalesce(sum(CASE WHEN debit = 'cash' THEN amount_minor"
            " ELSE -amount_minor END), 0)"
            " FROM entries WHERE debit = 'cash' OR credit = 'cash'"
        )
        return int(connection.exec_driver_sql(query).scalar_one())


BY_HAND: dict[str, Callable[[Desk, str], Command]] = {
    "RecordPayment": lambda desk, name: pay(charged(desk, "cem"), 1_250, reference=name),
    "ConfirmAuthorization": lambda desk, name: confirm(offered(desk), reference=name),
    "IncrementAuthorization": lambda desk, name: increment(
        rental(desk, authorize()), 100, 100, reference=name
    ),
    "RecordUnmatched": lambda _, name: c.RecordUnmatched(Direction.IN, money(1_250), name),
    "RecordUnmatched out": lambda _, name: c.RecordUnmatched(Direction.OUT, money(1_250), name),
    "RecordOperatorPayment": lambda _, name: c.RecordOperatorPayment(OPERATOR, money(1_250), name),
    "PayOutOperator": lambda _, name: c.PayOutOperator(OPERATOR, money(1), name),
}
"""Calls by which the platform might record a debit of its rail once more."""


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("method", sorted(BY_HAND))
def test_a13_a_debit_counts_once_for_the_platform_too(desk: Desk, method: str, ended: bool) -> None:
    """A13: the platform records a debit of 1,250 by hand, before or after the rail reports it: the
    call is refused and leaves one case, and the books' cash is 1,250."""
    if method in ("RecordPayment", "ConfirmAuthorization"):
        desk.put_user("cem", 700 if method == "RecordPayment" else 300)
    it, debit = debited(desk)
    if ended:
        desk.do(told(debit, TransferState.SUCCEEDED), caller=PLATFORM)
    command = BY_HAND[method](desk, debit.transfer_id)
    for _ in "ab":
        error = refused(desk, command, caller=PLATFORM)
        assert (error.reason, error.metadata) == (
            USED,
            {
                "payment_reference": debit.transfer_id,
                "rail_account": "platform/railAccounts/default",
            },
        )
    if not ended:
        desk.do(told(debit, TransferState.SUCCEEDED), caller=PLATFORM)
    assert (cash(desk), stored(desk, it).paid_minor) == (1_250, 1_250)
    ((*_, first, side, _),) = cases(desk)
    assert (first, side) == (f"payments/platform/transfers/{debit.transfer_id}", "PLATFORM")


def test_a13_a_payout_counts_once(desk: Desk) -> None:
    """A13: a payout of 800 is in the books as soon as it is requested, so nobody can record it as
    unmatched money or as a charge-back."""
    it = charged(desk, amount_minor=800)
    rental(desk, pay(it, 1_600, reference="p-1"), caller=PLATFORM)
    rental(desk, pay_out(it, 800), caller=PLATFORM)
    (payout,) = transfers(desk, it)
    for command in (
        c.RecordUnmatched(Direction.OUT, money(800), payout.transfer_id),
        charge_back(it, 800, reference=payout.transfer_id),
    ):
        assert refused(desk, command, caller=PLATFORM).reason == USED
    assert cash(desk) == 800
    assert len(cases(desk)) == 2


def test_a13_the_bank_may_name_its_case_as_the_debit(desk: Desk) -> None:
    """A13, R2: the bank takes a debit of 1,250 back under the debit's own id; that counts once."""
    it, debit = debited(desk)
    desk.do(told(debit, TransferState.SUCCEEDED), caller=PLATFORM)
    command = charge_back(it, 1_250, reference=debit.transfer_id)
    assert rental(desk, command, caller=PLATFORM).charged_back_minor == 1_250
    assert refused(desk, command, caller=PLATFORM).reason == USED
    assert cash(desk) == 0


def test_a13_a_transfer_in_a_shared_account_leaves_a_case(bank: Desk) -> None:
    """A13: an operator that reports a debit of the rail as a deposit into a shared account learns
    nothing, and the platform gets a case."""
    _, debit = debited(bank)
    other = offered(bank, OTHER_OPERATOR)
    command = confirm(other, reference=debit.transfer_id)
    assert refused(bank, command, caller=OTHER_OPERATOR).reason == UNKNOWN
    ((operator_id, _, authorization_id, _, first, side, _),) = cases(bank)
    assert (operator_id, authorization_id, side) == (
        OTHER_OPERATOR, other.authorization_id, "OPERATOR",
    )  # fmt: skip
    assert first == f"payments/platform/transfers/{debit.transfer_id}"


def test_payments_of_earlier_builds_stay_used(desk: Desk) -> None:
    """A13: if a payment was recorded before its operator's account became a shared account, its
    reference stays used for every caller."""
    one, other = offered(desk), offered(desk, OTHER_OPERATOR)
    rental(desk, confirm(one, reference="old-1"))
    engine = desk.store.engine
    rail_accounts.create(engine, PLATFORM, "bank", "", "", START_US)
    for operator_id in (OPERATOR, OTHER_OPERATOR):
        rail_accounts.share(engine, "bank", operator_id, "default", START_US)
    assert refused(desk, confirm(offered(desk), reference="old-1")).reason == UNKNOWN
    error = refused(desk, confirm(other, reference="old-1"), caller=OTHER_OPERATOR)
    assert error.reason == UNKNOWN
    by_hand = refused(desk, at(BANK, pay(charged(desk), 1, reference="old-1")), caller=PLATFORM)
    assert by_hand.reason == USED
    assert deposits(desk) == one.cash_minor


def test_the_database_refuses_a_second_use(bank: Desk) -> None:
    """A13: the database itself has each reference of an account once."""
    from sqlalchemy.exc import IntegrityError

    rental(bank, confirm(offered(bank), reference="wx-1"))
    copy = (
        "INSERT INTO payments SELECT caller, payment_reference, 'PAYMENT', user_id,"
        " authorization_id, amount_minor + 1, currency, record_us FROM payments"
    )
    with pytest.raises(IntegrityError), writing(bank.store.engine) as connection:
        connection.execute(text(copy))


# -- the platform's cases ----------------------------------------------------------------------


def cases(desk: Desk) -> list[tuple[Any, ...]]:
    """The cases of second uses: operator, rental, amount, first use, evidence."""
    query = (
        "SELECT c.operator_id, c.user_id, c.authorization_id, c.asked_minor, c.reference,"
        " e.side, e.text FROM cases c JOIN case_evidence e ON e.case_id = c.case_id"
        " WHERE c.kind = 'SECOND_REFERENCE' AND c.state = 'OPEN' AND c.waits_for = 'PLATFORM'"
        " ORDER BY c.operator_id, c.user_id"
    )
    with desk.store.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_a_second_use_opens_one_case_for_the_platform(bank: Desk) -> None:
    """A13: if a used reference is reported for a rental, the rental gets one case for the platform
    with the first use, however often the report is repeated. The refusal posts nothing."""
    one, other, due = offered(bank), offered(bank, OTHER_OPERATOR), charged(bank)
    rental(bank, confirm(one, reference="wx-1"))
    first = "payments/platform/railAccounts/bank/wx-1"
    before = counts(bank)
    for _ in "abc":
        refused(bank, confirm(other, reference="wx-1"), caller=OTHER_OPERATOR)
        refused(bank, at(BANK, pay(due, 600, reference="wx-1")), caller=PLATFORM)
    paid_minor = other.cash_minor
    names = (other.user_id, other.authorization_id), (due.user_id, due.authorization_id)
    assert cases(bank) == [
        ("", *names[1], 600, first, "PLATFORM", "RecordPayment"),
        (OTHER_OPERATOR, *names[0], paid_minor, first, "OPERATOR", "Confirm"),
    ]
    changed = {name: rows - before[name] for name, rows in counts(bank).items()}
    assert {name: rows for name, rows in changed.items() if rows} == {
        "cases": 2, "case_evidence": 2
    }  # fmt: skip


def test_a_second_use_in_an_account_of_others_opens_a_case(till: Desk) -> None:
    """A13: an operator that names another's account learns nothing, and the platform gets a case
    only if the reference was used there."""
    rental(till, at(TILL, confirm(offered(till), reference="r-1")))
    other = offered(till, OTHER_OPERATOR)
    refused(till, at(TILL, confirm(other, reference="r-2")), caller=OTHER_OPERATOR)
    assert cases(till) == []
    refused(till, at(TILL, confirm(other, reference="r-1")), caller=OTHER_OPERATOR)
    ((operator_id, _, authorization_id, _, first, *_),) = cases(till)
    assert (operator_id, authorization_id) == (OTHER_OPERATOR, other.authorization_id)
    assert first == f"payments/{OPERATOR}/railAccounts/till/r-1"


def test_a_second_payment_of_an_operator_opens_a_case(desk: Desk) -> None:
    """A13: if a payment between Freehold and an operator is reported twice, a case without a rental
    is opened. A first use opens no case."""
    paid = c.RecordOperatorPayment(OPERATOR, Money(CNY, 7), "t-1")
    desk.do(paid, caller=PLATFORM)
    assert cases(desk) == []
    for _ in "ab":
        refused(desk, paid, caller=PLATFORM)
    first = "payments/platform/t-1"
    assert cases(desk) == [(OPERATOR, "", "", 7, first, "PLATFORM", "RecordOperatorPayment")]


def test_only_a_second_use_opens_a_case(bank: Desk) -> None:
    """A13: other refusals of a payment open no case, not even for a used reference if the caller
    may not know the rental."""
    one = offered(bank)
    rental(bank, confirm(one, reference="wx-1"))
    assert refused(bank, confirm(one, reference="wx-1"), caller=OTHER_OPERATOR).reason == (
        "AUTHORIZATION_NOT_FOUND"
    )
    assert refused(bank, confirm(offered(bank), 1, reference="wx-2")).reason == "INVALID_INPUT"
    assert cases(bank) == []
