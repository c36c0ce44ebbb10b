"""R2: payments in several rail accounts may have one reference. A bank takes back each of them
separately."""

from __future__ import annotations

from typing import Any

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.charge_backs import ChargeBack
from service.engine.calls import ChargedBack
from tests.engine import acts
from tests.engine.calls import authorize, confirm, pay, rental, settle, stored
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk
from tests.operations.test_charge_backs import match, took


def charged(desk: Desk, operator_id: str, amount_minor: int) -> Authorization:
    """A rental of one person at an operator, of which the amount is due."""
    it = rental(desk, authorize(), caller=operator_id)
    return rental(desk, settle(it, amount_minor), caller=operator_id)


def taken(desk: Desk, command: Any, caller: str) -> ChargeBack:
    """The charge-back that a call records."""
    result = desk.do(command, caller=caller)
    assert isinstance(result, ChargedBack)
    return result.charge_back


def test_r2_each_operators_payment_is_taken_back_by_itself(desk: Desk) -> None:
    """R2: two operators record payments of one person with the same reference. The bank takes back
    both payments, 1,250 and 1,000, and no part of them is in suspense."""
    one, other = charged(desk, OPERATOR, 1_250), charged(desk, OTHER_OPERATOR, 1_000)
    rental(desk, pay(one, 1_250, reference="pay-1"))
    rental(desk, pay(other, 1_000, reference="pay-1"), caller=OTHER_OPERATOR)
    first = taken(desk, took(one, 1_250, "bank-1", "pay-1"), OPERATOR)
    books = acts.Books(desk)
    second = taken(desk, took(other, 1_000, "bank-2", "pay-1"), OTHER_OPERATOR)
    assert (first.open_minor, first.suspense_minor) == (1_250, 0)
    assert (second.open_minor, second.suspense_minor) == (1_000, 0)
    books.expect([("money", "receivable_charged_back / cash", 1_000)], "collection.charged_back")
    assert verify_books(desk.store.engine).fault is None


def test_r2_both_cases_in_one_batch(desk: Desk) -> None:
    """R2: in one batch too, the cases of two payments with the same reference are both whole. A
    second case about one of the payments is in suspense."""
    one, other = charged(desk, OPERATOR, 1_250), charged(desk, OTHER_OPERATOR, 1_000)
    rental(desk, pay(one, 1_250, reference="pay-1"))
    rental(desk, pay(other, 1_000, reference="pay-1"), caller=OTHER_OPERATOR)
    desk.apply(
        desk.work(took(one, 1_250, "bank-1", "pay-1")),
        desk.work(took(other, 1_000, "bank-2", "pay-1"), caller=OTHER_OPERATOR),
        desk.work(took(other, 1_000, "bank-3", "pay-1"), caller=OTHER_OPERATOR),
    )
    charged_back = stored(desk, one).charged_back_minor, stored(desk, other).charged_back_minor
    assert charged_back == (1_250, 1_000)
    assert verify_books(desk.store.engine).fault is None


def test_r2_the_payment_of_another_rental_leaves_this_one_whole(desk: Desk) -> None:
    """R2: an operator and the platform record payments of two rentals with the same reference, each
    in its own rail account. The bank can take back each payment up to its own amount."""
    one, other = charged(desk, OPERATOR, 1_250), charged(desk, OPERATOR, 1_250)
    rental(desk, pay(one, 1_250, reference="pay-1"))
    rental(desk, pay(other, 1_250, reference="pay-1"), caller=PLATFORM)
    assert taken(desk, took(one, 1_250, "bank-1", "pay-1"), OPERATOR).open_minor == 1_250
    second = taken(desk, took(other, 1_300, "bank-2", "pay-1"), PLATFORM)
    assert (second.open_minor, second.suspense_minor) == (1_250, 50)
    third = taken(desk, took(one, 10, "bank-3", "pay-1"), OPERATOR)
    assert (third.open_minor, third.suspense_minor) == (0, 10)


def test_r2_two_payments_of_one_rental_are_both_taken_back(desk: Desk) -> None:
    """R2: a rental has two payments of 600 and 900 with the same reference; the bank takes back
    1,500 of them in two cases. One case has at most the amount of one payment."""
    it = charged(desk, OPERATOR, 1_500)
    rental(desk, pay(it, 600, reference="pay-1"))
    rental(desk, pay(it, 900, reference="pay-1"), caller=PLATFORM)
    first = taken(desk, took(it, 1_000, "bank-1", "pay-1"), OPERATOR)
    assert (first.open_minor, first.suspense_minor) == (900, 100)
    second = taken(desk, took(it, 700, "bank-2", "pay-1"), OPERATOR)
    assert (second.open_minor, second.suspense_minor) == (600, 100)


def test_r2_a_deposit_of_the_same_reference_is_a_payment_of_its_own(desk: Desk) -> None:
    """R2: two operators confirm deposits of one person with the same reference; the bank takes
    back both, each from its own authorization."""
    one = rental(desk, authorize("cem"))
    other = rental(desk, authorize("cem"), caller=OTHER_OPERATOR)
    rental(desk, confirm(one, reference="pay-1"))
    rental(desk, confirm(other, reference="pay-1"), caller=OTHER_OPERATOR)
    for it, operator_id in ((one, OPERATOR), (other, OTHER_OPERATOR)):
        case = taken(desk, took(it, it.cash_minor, operator_id, "pay-1"), operator_id)
        assert (case.open_minor, case.suspense_minor) == (it.cash_minor, 0)
    assert verify_books(desk.store.engine).fault is None


def test_r2_money_in_suspense_is_matched_to_its_own_payment(desk: Desk) -> None:
    """R2: an amount in suspense is matched to the payment of its rental, although the bank took
    back another operator's payment with the same reference."""
    one, other = charged(desk, OPERATOR, 1_250), charged(desk, OTHER_OPERATOR, 1_000)
    rental(desk, pay(one, 1_250, reference="pay-1"))
    rental(desk, pay(other, 1_000, reference="pay-1"), caller=OTHER_OPERATOR)
    taken(desk, took(one, 1_250, "bank-1", "pay-1"), OPERATOR)
    assert taken(desk, took(other, 1_000, "bank-2", "unknown"), PLATFORM).suspense_minor == 1_000
    desk.do(match(1_000, other, reference="bank-2", payment="pay-1"), caller=PLATFORM)
    assert stored(desk, other).charged_back_minor == 1_000
