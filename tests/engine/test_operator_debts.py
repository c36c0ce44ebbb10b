"""An operator that owes more than its bound gets no new rentals; refunds are never held up."""

from __future__ import annotations

import asyncio

from grpc import StatusCode

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import OperatorOwes
from service.engine import operations as c
from service.engine.debts import Debt, Debts
from service.engine.workers.debts import DebtWatch
from service.rpc.status import code_of
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.acts import charged, money, refund
from tests.engine.calls import authorize, confirm, pay, refused, rental, settle
from tests.fakes import BACKSTAGE, OPERATOR, OTHER_OPERATOR, Desk

CHARGE, FEE = 15_000, 450
KEPT = CHARGE - FEE


def limit(desk: Desk, debt_limit_minor: int | None) -> None:
    """Sets the operator's bound, as the platform does by SQL."""
    with writing(desk.store.engine) as connection:
        mine = t.operators.c.operator_id == OPERATOR
        values = {"debt_limit_minor": debt_limit_minor}
        connection.execute(t.operators.update().where(mine).values(values))
    assert desk.engine.terms.follow()
    desk.engine.debts.look()


def in_debt(desk: Desk, debt_limit_minor: int | None) -> Authorization:
    """The operator is paid its part of a charge of 15,000, and then gives the charge back."""
    desk.put_users(ann=700, ben=550)
    it = charged(desk, "ann", CHARGE)
    rental(desk, pay(it, CHARGE, reference="p-1"), caller=PLATFORM)
    desk.do(c.PayOutOperator(OPERATOR, money(KEPT), "t-1"), caller=PLATFORM)
    it = rental(desk, refund(it, CHARGE))
    limit(desk, debt_limit_minor)
    return it


def test_r22_an_operator_beyond_its_bound_gets_no_new_rentals(desk: Desk) -> None:
    """R22: an operator that owes 14,550 is refused with a bound of 14,549, and the refusal has both
    amounts. With a bound of 14,550 the operator is not refused."""
    in_debt(desk, KEPT - 1)
    error = refused(desk, authorize("ann"))
    assert isinstance(error, OperatorOwes)
    assert error.reason == "OPERATOR_OWES"
    owed = {"currency": "CNY", "owed_minor": "14550", "debt_limit_minor": "14549"}
    assert error.metadata == owed
    assert code_of(error) is StatusCode.FAILED_PRECONDITION
    limit(desk, KEPT)
    rental(desk, authorize("ann"))


def test_r22_a_group_is_refused_too(desk: Desk) -> None:
    """R22: AuthorizeGroup of an operator beyond its bound is refused as a whole."""
    in_debt(desk, 0)
    two = (c.Item("bike", ""), c.Item("umbrella", ""))
    command = authorize("ann")._replace(items=two, grouped=True)
    assert refused(desk, command).reason == "OPERATOR_OWES"


def test_r22_an_operator_without_a_bound_goes_on(desk: Desk) -> None:
    """R22: the platform may leave an operator without a bound."""
    in_debt(desk, None)
    rental(desk, authorize("ann"))


def test_r22_others_rent_on(desk: Desk) -> None:
    """R22: one operator's debt does not touch another."""
    in_debt(desk, 0)
    rental(desk, authorize("ann"), caller=OTHER_OPERATOR)


def test_r22_earlier_rentals_continue_beyond_the_bound(desk: Desk) -> None:
    """R22: an operator beyond its bound can still confirm an earlier offer, settle an open rental,
    and make a damage charge."""
    desk.put_users(ann=700, ben=550)
    offer, open_one = rental(desk, authorize("ben")), rental(desk, authorize("ann"))
    in_debt(desk, 0)
    rental(desk, confirm(offer))
    closed = rental(desk, settle(open_one, 100))
    damage = authorize("ann")._replace(parent_id=closed.authorization_id, amount=money(500))
    rental(desk, damage)


def test_r22_refunds_are_never_held_up(desk: Desk) -> None:
    """R22: an operator beyond its bound gives back and lowers as before, and its debt grows."""
    desk.put_users(ann=700)
    second = charged(desk, "ann", 5_000)
    rental(desk, pay(second, 5_000, reference="p-2"), caller=PLATFORM)
    in_debt(desk, 0)
    before = desk.store.debts()[OPERATOR, "CNY"]
    rental(desk, refund(second, 5_000))
    assert desk.store.debts()[OPERATOR, "CNY"] == before + 4_850


def test_r22_earnings_set_the_debt_off(desk: Desk) -> None:
    """R22: the operator's next earnings reduce its debt by themselves; within its bound again it
    gets new rentals."""
    desk.put_users(ann=700)
    open_one = rental(desk, authorize("ann"))
    in_debt(desk, 10_000)
    assert refused(desk, authorize("ann")).reason == "OPERATOR_OWES"
    rental(desk, settle(open_one, 5_000))
    assert desk.store.debts() == {(OPERATOR, "CNY"): KEPT - 4_850}
    desk.engine.debts.look()
    rental(desk, authorize("ann"))


def test_r22_a_payment_ends_the_debt(desk: Desk) -> None:
    """R22: an operator that pays its debt gets new rentals. PayOutOperator pays only a positive
    balance."""
    in_debt(desk, 0)
    out = c.PayOutOperator(OPERATOR, money(1), "t-2")
    assert refused(desk, out, caller=PLATFORM).reason == "PAYABLE_EXCEEDED"
    desk.do(c.RecordOperatorPayment(OPERATOR, money(KEPT), "t-3"), caller=PLATFORM)
    desk.engine.debts.look()
    assert desk.store.debts() == {}
    rental(desk, authorize("ann"))


def test_r22_a_retry_gets_its_first_answer(desk: Desk) -> None:
    """R22: a request that was answered before the debt gets the same answer again; a refused one
    may be sent again later."""
    desk.put_users(ann=700)
    first = desk.do(authorize("ann"), request_id="r-1")
    in_debt(desk, 0)
    (again,) = desk.apply(desk.work(authorize("ann"), request_id="r-1"))
    assert isinstance(again, bytes)
    assert desk.answers["r-1"] == first
    assert refused(desk, authorize("ben"), request_id="r-2").reason == "OPERATOR_OWES"
    limit(desk, None)
    desk.do(authorize("ben"), request_id="r-2")


def test_r22_the_log_tells_a_debt_and_its_end_once(desk: Desk) -> None:
    """R22: each server logs once that an operator is beyond its bound, also at the server's start.
    It logs once that the operator is within its bound again."""
    in_debt(desk, 100)
    said: list[tuple[Debt, bool]] = []
    debts = Debts(
        desk.store, desk.engine.terms, lambda debt, /, *, ended: said.append((debt, ended))
    )
    asyncio.run(DebtWatch(debts, BACKSTAGE).work())
    debt = Debt(OPERATOR, "CNY", KEPT, 100)
    assert said == [(debt, False)]
    desk.do(c.RecordOperatorPayment(OPERATOR, money(KEPT - 100), "t-3"), caller=PLATFORM)
    asyncio.run(DebtWatch(debts, BACKSTAGE).work())
    assert said == [(debt, False), (debt, True)]


def test_r22_new_operators_have_a_bound(desk: Desk) -> None:
    """R22: an operator may owe 1,000.00 unless the platform says otherwise."""
    operators = desk.engine.terms.used.catalog.operators
    assert {it.debt_limit_minor for it in operators.values()} == {100_000}
