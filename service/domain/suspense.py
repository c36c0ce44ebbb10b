"""Suspense: money at the payment rail that matches nothing, until somebody matches it.

The money of an item came in or went out. It came in as a payment for which no rental is known. It
went out when a bank took back an unknown payment, or more than the named payment. An item is
matched in one or several parts: to a payment of an authorization, or back to the rail. Money that
came in and is matched to an authorization pays that person's debt, so two people must match it,
each with a key of their own.

suspense is an account of the rail: an item that came in is a credit, one that went out a debit.
"""

from __future__ import annotations

from base64 import b32hexencode
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from service.domain.authorization import Step
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account, Posting

RAIL_ACCOUNT = "rails/suspense"
"""The user id of the rail's own line; no person's id contains a slash."""


class Direction(StrEnum):
    """The way that the money of an item went."""

    IN = "IN"
    OUT = "OUT"


class SuspenseItem(NamedTuple):
    """Money that matched nothing when it came in or went out.

    `caller` and `payment_reference` are those of the payment, or of the charge-back's case.
    `user_id` and `authorization_id` say where it was booked: at the authorization that a
    charge-back names, or at the rail's own account, and then the authorization is empty.
    `open_minor` is not matched yet. `matches` counts the matches, `returned_minor` went back to the
    rail. `proposed_by` is the key that proposed to match `proposed_minor` to the authorization of
    `proposed_user_id` and `proposed_authorization_id`; all are empty or 0 without a proposal.
    `changes` counts the changes of the row. `digest` covers all of it except the persons, and the
    id of the case that asks what the money was, if there is one; so an item tells of its case.
    Amounts are minor units, times microseconds since the epoch, UTC.
    """

    caller: str
    payment_reference: str
    user_id: str
    authorization_id: str
    direction: Direction
    amount_minor: int
    currency: str
    record_us: int
    open_minor: int
    returned_minor: int = 0
    matches: int = 0
    proposed_by: str = ""
    proposed_user_id: str = ""
    proposed_authorization_id: str = ""
    proposed_minor: int = 0
    changes: int = 0
    digest: bytes = b""

    @property
    def case_id(self) -> str:
        """The id of the item's case. It follows from the payment, so that the case can be found."""
        digest = sha256(f"{self.caller}\n{self.payment_reference}".encode()).digest()
        return b32hexencode(digest).decode().lower()[:20]

    @property
    def case_key(self) -> tuple[str, str, str]:
        """The key of the item's case: person, authorization and case id.

        Person and authorization are empty if nobody is known.
        """
        user_id = "" if self.user_id == RAIL_ACCOUNT else self.user_id
        return user_id, self.authorization_id, self.case_id

    @property
    def has_case(self) -> bool:
        """Whether a case asks, or asked, about the item; items of earlier builds have none."""
        return self.digest == digest_of(self, self.case_id)

    def sealed(self, *, asked: bool = False) -> SuspenseItem:
        """The same row with its digest; `asked` says that the item has a case."""
        return self._replace(digest=digest_of(self, self.case_id if asked else ""))


def digest_of(it: SuspenseItem, case_id: str = "") -> bytes:
    """The digest over a row and the id of its case, without the ids of its persons.

    An erased person gets another id.
    """
    persons = ("user_id", "proposed_user_id", "digest")
    values = [value for name, value in zip(it._fields, it, strict=True) if name not in persons]
    told = [*values, case_id] if case_id else values
    return sha256("\n".join(map(str, told)).encode()).digest()


def changed(it: SuspenseItem, **values: object) -> SuspenseItem:
    """The row after one change; it goes on telling of its case."""
    after = it._replace(**values, changes=it.changes + 1)  # type: ignore[arg-type]
    return after.sealed(asked=it.has_case)


def match_reference(number: int, payment_reference: str) -> str:
    """The reference of the payment that a match records; no client's reference has a slash."""
    return f"suspense/{number}/{payment_reference}"


def require_open(it: SuspenseItem, amount_minor: int) -> None:
    """Raises InvalidInput unless 0 < `amount_minor` <= the open amount of the item."""
    if not 0 < amount_minor <= it.open_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.range",
            f"must be more than zero and at most {it.open_minor}, the amount that is not matched",
        )


def booked(direction: Direction, amount_minor: int) -> Posting:
    """The posting of money that matches nothing."""
    if direction is Direction.IN:
        return Posting(Account.CASH, Account.SUSPENSE, amount_minor)
    return Posting(Account.SUSPENSE, Account.CASH, amount_minor)


def returned(direction: Direction, amount_minor: int) -> Posting:
    """The posting for money that is sent back to its sender."""
    other = Direction.OUT if direction is Direction.IN else Direction.IN
    return booked(other, amount_minor)


def propose(
    it: SuspenseItem, by: str, target: tuple[str, str], amount_minor: int
) -> SuspenseItem | None:
    """The item with a new proposal, or None if this is the approval of the present one.

    `target` is the user id and the authorization id. Raises IllegalState if the key that proposed a
    match also approves it.
    """
    proposed = (it.proposed_user_id, it.proposed_authorization_id)
    if not it.proposed_by or (proposed, it.proposed_minor) != (target, amount_minor):
        return changed(
            it,
            proposed_by=by,
            proposed_user_id=target[0],
            proposed_authorization_id=target[1],
            proposed_minor=amount_minor,
        )
    if it.proposed_by == by:
        raise IllegalState(
            "SECOND_PERSON_NEEDED",
            "the same person proposed the match; another one must approve it",
            "",
        )
    return None


def matched(it: SuspenseItem, amount_minor: int, *, returned_minor: int = 0) -> SuspenseItem:
    """The item after a match, which ends a proposal."""
    return changed(
        it,
        open_minor=it.open_minor - amount_minor,
        returned_minor=it.returned_minor + returned_minor,
        matches=it.matches + 1,
        proposed_by="",
        proposed_user_id="",
        proposed_authorization_id="",
        proposed_minor=0,
    )


def out_of_suspense(step: Step) -> Step:
    """The same step with suspense in the place of cash: its money is in the books already."""
    suspense = {Account.CASH: Account.SUSPENSE}
    postings = tuple(
        [
            Posting(suspense.get(debit, debit), suspense.get(credit, credit), minor)
            for debit, credit, minor in step.postings
        ]
    )
    return step._replace(postings=postings)
