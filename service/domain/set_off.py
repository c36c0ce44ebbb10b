"""Set-off: money owed back to a person first pays back money that the person got twice.

A part that was written off as lost is paid back too, and counts as recovered. So no money goes out
to a person who still has money that went out twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.ledger import Account, Posting

if TYPE_CHECKING:
    from service.domain.authorization import Authorization


def set_off(
    it: Authorization, postings: tuple[Posting, ...]
) -> tuple[Authorization, tuple[Posting, ...]]:
    """The authorization and its postings after the set-off; an overpaid amount comes first."""
    owed_minor = it.refund_payable_minor
    overpaid_minor = min(it.overpaid_minor, owed_minor)
    lost_minor = min(it.overpaid_written_off_minor, owed_minor - overpaid_minor)
    rest = it._replace(
        refund_payable_minor=owed_minor - overpaid_minor - lost_minor,
        overpaid_minor=it.overpaid_minor - overpaid_minor,
        overpaid_written_off_minor=it.overpaid_written_off_minor - lost_minor,
    )
    paid = (
        Posting(Account.REFUND_PAYABLE, Account.OVERPAID, overpaid_minor),
        Posting(Account.REFUND_PAYABLE, Account.RECOVERY, lost_minor),
    )
    return rest, (*postings, *paid)
