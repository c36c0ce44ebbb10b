"""What an operator, or Freehold out of goodwill, gives up of a charge.

An operator that gives up x gives up its own part and gets back the fee on it: the fee is always
the floored share of what the operator keeps, so that giving a charge up in parts costs what
giving it up at once costs.
"""

from __future__ import annotations

from service.domain.authorization import Authorization
from service.domain.ledger import Account, Posting
from service.domain.money import share_minor

Given = tuple[Authorization, tuple[Posting, ...]]


def concede(it: Authorization, amount_minor: int, against: Account) -> Given:
    """The operator gives an amount up: operator_payable x-f, fee_income f / the account."""
    conceded_minor = it.conceded_minor + amount_minor
    fee_minor = share_minor(it.captured_minor - conceded_minor, it.fee_bp)
    fee_back_minor = it.fee_minor - fee_minor
    given = it._replace(conceded_minor=conceded_minor, fee_minor=fee_minor)
    return given, (
        Posting(Account.OPERATOR_PAYABLE, against, amount_minor - fee_back_minor),
        Posting(Account.FEE_INCOME, against, fee_back_minor),
    )


def lower(it: Authorization, amount_minor: int) -> Given:
    """Takes an amount off what is due; the line gets it back."""
    given, postings = concede(it, amount_minor, Account.RECEIVABLE)
    line = Posting(Account.AVAILABLE, Account.DRAWN, amount_minor)
    return given._replace(lowered_minor=it.lowered_minor + amount_minor), (*postings, line)


def refund(it: Authorization, amount_minor: int) -> Given:
    """Owes back an amount that was captured and paid."""
    given, postings = concede(it, amount_minor, Account.REFUND_PAYABLE)
    return (
        given._replace(
            refunded_minor=it.refunded_minor + amount_minor,
            refund_payable_minor=it.refund_payable_minor + amount_minor,
        ),
        postings,
    )


def give_back(it: Authorization, amount_minor: int) -> Given:
    """Gives an amount up wherever it stands: due, then written off, then paid."""
    lowered_minor = min(amount_minor, it.due_minor)
    it, postings = lower(it, lowered_minor)
    amount_minor -= lowered_minor
    forgiven_minor = min(amount_minor, it.unrecovered_minor)
    it, more = concede(it, forgiven_minor, Account.RECOVERY)
    it = it._replace(forgiven_minor=it.forgiven_minor + forgiven_minor)
    amount_minor -= forgiven_minor
    it, rest = refund(it, min(amount_minor, it.refundable_minor))
    return it, postings + more + rest
