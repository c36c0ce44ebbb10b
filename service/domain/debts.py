"""Debts without a hold: charges of an operator that no credit line and no deposit covers.

A suspended person, or one whose line is full, may still have damaged an item. The operator books
the damage as a debt with recourse: Freehold owes the operator only the amount that the person pays,
less the commission. A debt is an authorization of its own that cites the rental. It is SETTLED from
its beginning, holds nothing, and posts nothing on the credit line. A pass that a person buys is
such a debt too; it cites the pass.

An amount counts as captured when it is paid. From then on it is a charge like any other, which may
be refunded or charged back.
"""

from __future__ import annotations

from typing import NamedTuple

from service.domain.acts import Act, require
from service.domain.authorization import Authorization, Custody, Start, State, Step, step
from service.domain.captures import WITHOUT_ROW, Part
from service.domain.errors import IllegalState, InvalidInput, InvariantBroken
from service.domain.ledger import Account, Posting
from service.domain.money import share_minor
from service.domain.policy import Reason
from service.domain.product import Product
from service.domain.tariff import DAY_US
from service.domain.transitions import Transition

AFTER_DISPUTE_US = 30 * DAY_US
"""The least time to pay a debt after the person lost a dispute on it, in microseconds."""

BOOK_DEBT = Act("BookDebt", frozenset({State.SETTLED, State.REVERSED}))
"""The states are those of the rental: closed after its item was out."""


def require_out(parent: Authorization) -> None:
    """Raises IllegalState unless a debt may cite the rental: its item was out, and it is closed."""
    require(parent, BOOK_DEBT)
    if parent.start_us is None:
        raise IllegalState(
            "PARENT_NEVER_OUT", "the item of the rental was never handed out", parent.state
        )


def book(
    parent: Authorization,
    product: Product,
    authorization_id: str,
    request_id: str,
    amount_minor: int,
    now_us: int,
) -> Step:
    """Books a debt that cites a rental, by the product's terms under which the rental began.

    All damage to one rental is within its deposit (`damage.py`), which is the policy's price list.
    """
    require_out(parent)
    cited = Cited(parent.user_id, parent.authorization_id, parent.fee_bp, parent.asset_id)
    return _booked(cited, product, authorization_id, request_id, amount_minor, now_us)


def book_pass(
    cited: Cited,
    product: Product,
    authorization_id: str,
    request_id: str,
    amount_minor: int,
    now_us: int,
) -> Step:
    """Books the price of a pass, by the product's terms in force."""
    booked = _booked(cited, product, authorization_id, request_id, amount_minor, now_us)
    debt = booked.authorization._replace(reasons=(Reason.PASS_BOUGHT,))
    return booked._replace(authorization=debt)


class Cited(NamedTuple):
    """The rental or the pass that a debt cites, with the person, the commission in basis points,
    and the item, which is empty for a pass."""

    user_id: str
    parent_id: str
    fee_bp: int
    asset_id: str = ""


def _booked(
    cited: Cited,
    product: Product,
    authorization_id: str,
    request_id: str,
    amount_minor: int,
    now_us: int,
) -> Step:
    debt = Authorization(
        user_id=cited.user_id,
        authorization_id=authorization_id,
        operator_id=product.operator_id,
        request_id=request_id,
        product_id=product.product_id,
        product_revision=product.revision,
        parent_id=cited.parent_id,
        group_id="",
        currency=product.currency,
        start=Start.IMMEDIATE,
        accept_offers=(),
        band="",
        decision_id="",
        model_id="",
        policy_revision=product.policy.revision,
        fee_bp=cited.fee_bp,
        create_us=now_us,
        pickup_window_us=0,
        rental_period_us=0,
        asset_id=cited.asset_id,
        offer=None,
        state=State.SETTLED,
        custody=Custody.IN_STATION,
        reasons=(),
        credit_minor=amount_minor,
        cash_minor=0,
        close_us=now_us,
        refund_after_us=product.policy.refund_after_us,
        unheld_minor=amount_minor,
        unheld_until_us=now_us + product.policy.debt_window_us,
    )
    booked = Posting(Account.RECEIVABLE_UNHELD, Account.OPERATOR_DEFERRED, amount_minor)
    return step(debt, (booked,), Transition.DEBT_BOOKED, now_us)


def pay(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """Records a payment: it pays the debt, then the overpaid amount; the rest is owed back."""
    paid_minor = min(amount_minor, it.unheld_due_minor)
    twice_minor = min(amount_minor - paid_minor, it.overpaid_minor)
    excess_minor = amount_minor - paid_minor - twice_minor
    captured, earned = _captured(it, paid_minor)
    paid = captured._replace(
        overpaid_minor=it.overpaid_minor - twice_minor,
        refund_payable_minor=it.refund_payable_minor + excess_minor,
        received_minor=it.received_minor + amount_minor,
    )
    postings = (
        Posting(Account.CASH, Account.RECEIVABLE_UNHELD, paid_minor),
        *earned,
        Posting(Account.CASH, Account.OVERPAID, twice_minor),
        Posting(Account.CASH, Account.REFUND_PAYABLE, excess_minor),
    )
    return step(paid, postings, Transition.PAYMENT_RECORDED, now_us)


def pay_elsewhere(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """The person paid the operator, who owes Freehold the commission on the amount.

    The part that the person had paid by the rail before is owed back.
    """
    paid_minor = min(amount_minor, it.unheld_due_minor)
    excess_minor = amount_minor - paid_minor
    captured, earned = _captured(it, paid_minor)
    paid = captured._replace(
        refund_payable_minor=it.refund_payable_minor + excess_minor,
        elsewhere_minor=it.elsewhere_minor + amount_minor,
    )
    postings = (
        Posting(Account.OPERATOR_PAYABLE, Account.RECEIVABLE_UNHELD, paid_minor),
        *earned,
        Posting(Account.OPERATOR_PAYABLE, Account.REFUND_PAYABLE, excess_minor),
    )
    return step(paid, postings, Transition.PAID_ELSEWHERE, now_us)


def set_off(it: Authorization, amount_minor: int, at_us: int) -> Step:
    """Money owed back pays the debt."""
    captured, earned = _captured(it, amount_minor)
    kept = captured._replace(refund_payable_minor=it.refund_payable_minor - amount_minor)
    paid = Posting(Account.REFUND_PAYABLE, Account.RECEIVABLE_UNHELD, amount_minor)
    return step(kept, (paid, *earned), Transition.SET_OFF, at_us)


def _captured(
    it: Authorization, amount_minor: int
) -> tuple[Authorization, tuple[Posting, Posting]]:
    """A paid amount becomes a capture: Freehold owes it to the operator, less the commission.

    The commission is floored on the cumulated amount, as that of every capture.
    """
    kept_minor = it.captured_minor - it.conceded_minor
    fee_minor = share_minor(kept_minor + amount_minor, it.fee_bp)
    more_minor = fee_minor - it.fee_minor
    captured = it._replace(
        captured_minor=it.captured_minor + amount_minor,
        captured_credit_minor=it.captured_credit_minor + amount_minor,
        paid_minor=it.paid_minor + amount_minor,
        fee_minor=fee_minor,
    )
    return captured, (
        Posting(Account.OPERATOR_DEFERRED, Account.OPERATOR_PAYABLE, amount_minor - more_minor),
        Posting(Account.OPERATOR_DEFERRED, Account.FEE_INCOME, more_minor),
    )


def drop_posting(amount_minor: int) -> Posting:
    return Posting(Account.OPERATOR_DEFERRED, Account.RECEIVABLE_UNHELD, amount_minor)


def _whole(amount_minor: int, cited: int | None) -> tuple[Part]:
    """The corrected part of a debt, which has no captures. Raises InvalidInput if one is cited."""
    if cited is not None:
        raise InvalidInput.of(
            "capture", "capture.unknown", "must be absent: a debt without a hold has no captures"
        )
    return (Part(WITHOUT_ROW, amount_minor),)


def lower(it: Authorization, amount_minor: int, now_us: int, cited: int | None) -> Step:
    """The operator lowers the debt; nobody owes that part any more."""
    parts = _whole(amount_minor, cited)
    lowered = it._replace(unheld_dropped_minor=it.unheld_dropped_minor + amount_minor)
    return step(lowered, (drop_posting(amount_minor),), Transition.LOWERED, now_us, parts=parts)


def open_dispute(it: Authorization, amount_minor: int, now_us: int, cited: int | None) -> Step:
    """The person disputes a part of the debt; it stays in the books, and is not collected."""
    parts = _whole(amount_minor, cited)
    disputed = it._replace(unheld_disputed_minor=it.unheld_disputed_minor + amount_minor)
    return step(disputed, (), Transition.DISPUTE_OPENED, now_us, parts=parts)


def resolve_dispute(it: Authorization, *, user_won: bool, goodwill: bool, now_us: int) -> Step:
    """The arbiter decides: the amount is due again, for at least 30 days, or it is dropped.

    Raises IllegalState for goodwill: Freehold bears no part of a debt with recourse.
    """
    amount_minor = it.unheld_disputed_minor
    parts = _whole(amount_minor, None)
    decided = it._replace(unheld_disputed_minor=0)
    if not user_won:
        until_us = max(_until_us(it), now_us + AFTER_DISPUTE_US)
        due = decided._replace(unheld_until_us=until_us)
        return step(due, (), Transition.DISPUTE_LOST, now_us, parts=parts)
    if goodwill:
        raise without_goodwill(it)
    dropped = decided._replace(unheld_dropped_minor=it.unheld_dropped_minor + amount_minor)
    posting = drop_posting(amount_minor)
    return step(dropped, (posting,), Transition.DISPUTE_WON, now_us, parts=parts)


def without_goodwill(it: Authorization) -> IllegalState:
    """The refusal of a decision by which Freehold would bear a part of a debt with recourse."""
    return IllegalState(
        "NO_GOODWILL_FOR_A_DEBT",
        "Freehold bears no part of a debt without a hold; decide without goodwill",
        it.state,
    )


def lapses(it: Authorization, wake_us: int) -> bool:
    """Whether the timer at `wake_us` drops the debt."""
    return bool(it.unheld_minor) and it.unheld_until_us == wake_us and not it.debiting_minor


def lapse(it: Authorization) -> Step:
    """The debt was not paid in time: its due part is dropped; a disputed part stays."""
    amount_minor = it.unheld_due_minor
    dropped = it._replace(unheld_dropped_minor=it.unheld_dropped_minor + amount_minor)
    return step(dropped, (drop_posting(amount_minor),), Transition.DEBT_DROPPED, _until_us(it))


def _until_us(it: Authorization) -> int:
    if it.unheld_until_us is None:
        raise InvariantBroken("a debt has no end time")
    return it.unheld_until_us
