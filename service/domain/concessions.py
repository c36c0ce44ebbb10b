"""Concessions: the part of a charge that an operator, or Freehold out of goodwill, gives up.

An operator that gives up an amount gives up its own share, and gets back the commission on the
amount. The commission is always the floored share of the amount that the operator keeps. So giving
up a charge in parts costs as much as giving it up at once.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from service.domain.authorization import Authorization
from service.domain.errors import InvariantBroken
from service.domain.ledger import Account, Posting
from service.domain.money import share_minor

Given = tuple[Authorization, tuple[Posting, ...]]


def concede(it: Authorization, amount_minor: int, against: Account) -> Given:
    """The operator gives an amount up: operator_payable x-f, fee_income f / `against` x."""
    conceded_minor = it.conceded_minor + amount_minor
    fee_minor = share_minor(it.captured_minor - conceded_minor, it.fee_bp)
    fee_back_minor = it.fee_minor - fee_minor
    given = it._replace(conceded_minor=conceded_minor, fee_minor=fee_minor)
    return given, (
        Posting(Account.OPERATOR_PAYABLE, against, amount_minor - fee_back_minor),
        Posting(Account.FEE_INCOME, against, fee_back_minor),
    )


def give_up(it: Authorization, amount_minor: int, against: Account, *, goodwill: bool) -> Given:
    """Freehold bears an amount out of goodwill, or else the operator gives it up."""
    if goodwill:
        return it, (Posting(Account.GOODWILL, against, amount_minor),)
    return concede(it, amount_minor, against)


def lower(it: Authorization, amount_minor: int) -> Given:
    """Lowers the due amount; that part of the line is available again."""
    given, postings = concede(it, amount_minor, Account.RECEIVABLE)
    line = Posting(Account.AVAILABLE, Account.DRAWN, amount_minor)
    return given._replace(lowered_minor=it.lowered_minor + amount_minor), (*postings, line)


def refund(it: Authorization, amount_minor: int) -> Given:
    """Refunds an amount that was captured and paid: it is owed back."""
    given, postings = concede(it, amount_minor, Account.REFUND_PAYABLE)
    return (
        given._replace(
            refunded_minor=it.refunded_minor + amount_minor,
            refund_payable_minor=it.refund_payable_minor + amount_minor,
        ),
        postings,
    )


def give_back(it: Authorization, amount_minor: int, open_minor: int, disputed_minor: int) -> Given:
    """The operator gives up an amount, at most the amount that it has kept.

    Each part of the kept amount is due, disputed, written off, charged back, paid, or was borne by
    Freehold out of goodwill. These parts always add up to the whole. At most `disputed_minor` of
    the disputed amount is given up, and `open_minor` of all others: the rest was captured for
    something else.
    """
    rest_minor = amount_minor
    all_postings: tuple[Posting, ...] = ()
    for most_minor, give in _PLACES:
        disputed = give is _lower_disputed
        part_minor = min(rest_minor, most_minor(it), disputed_minor if disputed else open_minor)
        if not disputed:
            open_minor -= part_minor
        it, postings = give(it, part_minor)
        all_postings += postings
        rest_minor -= part_minor
    if rest_minor:
        raise InvariantBroken("more is given back than the operator has kept")
    return it, all_postings


def _lower_disputed(it: Authorization, amount_minor: int) -> Given:
    given, postings = concede(it, amount_minor, Account.RECEIVABLE_DISPUTED)
    line = Posting(Account.AVAILABLE, Account.DRAWN, amount_minor)
    return (
        given._replace(
            disputed_minor=it.disputed_minor - amount_minor,
            lowered_minor=it.lowered_minor + amount_minor,
        ),
        (*postings, line),
    )


def _forgive(it: Authorization, amount_minor: int) -> Given:
    given, postings = concede(it, amount_minor, Account.RECOVERY)
    return given._replace(forgiven_minor=it.forgiven_minor + amount_minor), postings


def _leave_charged_back(it: Authorization, amount_minor: int) -> Given:
    """The person keeps a charged-back amount of the charge: it counts as refunded."""
    given, postings = concede(it, amount_minor, Account.RECEIVABLE_CHARGED_BACK)
    return (
        given._replace(
            charged_back_minor=it.charged_back_minor - amount_minor,
            received_minor=it.received_minor - amount_minor,
            refunded_minor=it.refunded_minor + amount_minor,
        ),
        postings,
    )


def _bear_goodwill(it: Authorization, amount_minor: int) -> Given:
    return concede(it, amount_minor, Account.GOODWILL)


_PLACES: tuple[
    tuple[Callable[[Authorization], int], Callable[[Authorization, int], Given]], ...
] = (
    (attrgetter("due_minor"), lower),
    (attrgetter("disputed_minor"), _lower_disputed),
    (attrgetter("unrecovered_minor"), _forgive),
    (lambda it: min(it.charged_back_minor, it.kept_minor), _leave_charged_back),
    (attrgetter("refundable_minor"), refund),
    (attrgetter("goodwill_minor"), _bear_goodwill),
)
"""The places of the amount that the operator keeps, in the order in which it is given up.

An amount paid before a write-off and one paid after it are refunded alike.
"""
