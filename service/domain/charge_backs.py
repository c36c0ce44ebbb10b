"""Charge-backs: money that a person's bank took back, one row for each case of the bank.

A case names the payment that was taken back, and goes up to that payment's amount, also when the
money has gone out since. An amount above the payment, or of an unknown payment, matches nothing: it
is in suspense (`suspense.py`).

A case is decided once: the money comes back, or the person keeps it. If the bank later decides the
other way, the same case is opened again. The first decision is undone, and the case is decided
anew. Cases of earlier builds have no row. Their amount is the part of an authorization's
`charged_back_minor` that no row has open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from service.domain import concessions, corrections, debts
from service.domain.acts import Act, require
from service.domain.authorization import TAKEN, Authorization, Step, step
from service.domain.captures import WITHOUT_ROW, Capture, Part
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account, Posting
from service.domain.transitions import Transition


class CaseState(StrEnum):
    """The state of a charge-back."""

    UNMATCHED = "UNMATCHED"
    """All of it is in suspense, so there is nothing to decide."""
    OPEN = "OPEN"
    OVERTURNED = "OVERTURNED"
    """The money came back."""
    LOST = "LOST"
    """The person keeps the money."""


class ChargeBack(NamedTuple):
    """One case of a bank, for one authorization.

    `case_id` is the bank's id, as the caller told it. `payment` is the reference of the payment
    that was taken back, empty if none was named. If a case came out of suspense, its id is the
    reference of the match.

    `amount_minor` was taken back. It is the sum of four parts: the part in suspense, the open part,
    the part that came back (`overturned_minor`), and the part that the person kept. Kept amounts
    are recorded by the place from which they were taken: money owed back, the deposit, the
    operator's charge (`conceded_minor`), Freehold's goodwill, money recovered after a write-off,
    and money that had gone out before (`overpaid_minor`); `found_minor` was given up by the
    operator when the item was found, or would have been if the bank had not taken it before.

    `gone_out_minor` is the part that had gone out when the bank took it: such a case is DOUBLE.
    `decide_us` and `decide_version` are the instant and the authorization's version of the last
    decision, None and 0 before it. `reopened` counts how often a decision was undone. `changes`
    counts the changes of the row, and `digest` covers all of it except the person. Amounts are
    minor units, times microseconds since the epoch, UTC.
    """

    user_id: str
    authorization_id: str
    case_id: str
    caller: str
    payment: str
    amount_minor: int
    currency: str
    gone_out_minor: int
    record_us: int
    suspense_minor: int
    open_minor: int
    overturned_minor: int = 0
    owed_minor: int = 0
    held_minor: int = 0
    conceded_minor: int = 0
    goodwill_minor: int = 0
    recovered_minor: int = 0
    overpaid_minor: int = 0
    found_minor: int = 0
    decide_us: int | None = None
    decide_version: int = 0
    reopened: int = 0
    changes: int = 0
    digest: bytes = b""

    @property
    def state(self) -> CaseState:
        """The state that follows from the amounts."""
        if self.suspense_minor == self.amount_minor:
            return CaseState.UNMATCHED
        if self.open_minor:
            return CaseState.OPEN
        return CaseState.OVERTURNED if self.overturned_minor else CaseState.LOST

    @property
    def charged_minor(self) -> int:
        """The amount that concerns the authorization: everything except the part in suspense."""
        return self.amount_minor - self.suspense_minor

    @property
    def kept_minor(self) -> int:
        """The amount that the person keeps."""
        return self.charged_minor - self.open_minor - self.overturned_minor

    def sealed(self) -> ChargeBack:
        """The same row with its digest."""
        return self._replace(digest=digest_of(self))


def digest_of(it: ChargeBack) -> bytes:
    """The digest over a row without the person's id, because an erased person gets another id."""
    return sha256("\n".join(map(str, it[1:-1])).encode()).digest()


def changed(it: ChargeBack, **values: object) -> ChargeBack:
    """The row after one change."""
    return it._replace(**values, changes=it.changes + 1).sealed()  # type: ignore[arg-type]


def unrowed_minor(it: Authorization, cases: Iterable[ChargeBack]) -> int:
    """The open amount of charge-backs without a row, which earlier builds recorded."""
    return it.charged_back_minor - sum([one.open_minor for one in cases])


# -- recording ------------------------------------------------------------------------------------

RECORD_CHARGE_BACK = Act("RecordChargeBack", TAKEN)


def charge_back(
    it: Authorization, amount_minor: int, now_us: int, most_minor: int | None = None
) -> Step:
    """The person's bank took money back; the amount is disputed until that is decided.

    The bank may take back any money that came by the rail, even if it has gone out by now.
    `most_minor` is the rest of the payment that the case names; an amount above it is in suspense.
    None means that no payment was named. InvalidInput is then raised for an amount above all money
    that came by the rail.
    """
    require(it, RECORD_CHARGE_BACK)
    left_minor = it.chargeable_back_minor
    if most_minor is None and not 0 < amount_minor <= left_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.range",
            f"must be more than zero and at most {left_minor}, the amount received by the rail and"
            " not charged back; if you name the payment, the rest is booked in suspense",
        )
    matched_minor = min(
        amount_minor, left_minor, amount_minor if most_minor is None else most_minor
    )
    charged = it._replace(charged_back_minor=it.charged_back_minor + matched_minor)
    postings = (
        Posting(Account.RECEIVABLE_CHARGED_BACK, Account.CASH, matched_minor),
        Posting(Account.SUSPENSE, Account.CASH, amount_minor - matched_minor),
    )
    return step(charged, postings, Transition.CHARGED_BACK, now_us)


def opened(
    it: Authorization,
    caller: str,
    case_id: str,
    payment: str,
    amount_minor: int,
    suspense_minor: int,
    now_us: int,
) -> ChargeBack:
    """The row of a new case; `it` is the authorization before the case."""
    charged_minor = amount_minor - suspense_minor
    return ChargeBack(
        user_id=it.user_id,
        authorization_id=it.authorization_id,
        case_id=case_id,
        caller=caller,
        payment=payment,
        amount_minor=amount_minor,
        currency=it.currency,
        gone_out_minor=max(0, charged_minor - max(0, it.in_hand_minor)),
        record_us=now_us,
        suspense_minor=suspense_minor,
        open_minor=charged_minor,
    ).sealed()


# -- deciding -------------------------------------------------------------------------------------

RESOLVE_CHARGE_BACK = Act("ResolveChargeBack", TAKEN)


class Shares(NamedTuple):
    """The places from which an amount that the person keeps is taken, in this order.

    `paid_minor` is taken from the charge, as after a won dispute. `overpaid_minor` had been paid
    out before the bank took it back: the person got this amount twice, and no operator pays for it.
    """

    owed_minor: int
    held_minor: int
    paid_minor: int
    recovered_minor: int
    overpaid_minor: int


class Decision(NamedTuple):
    """The decision on open cases: for the person, or not, and whether Freehold bears the charge."""

    user_won: bool
    goodwill: bool


def _shares(it: Authorization, amounts: Sequence[int]) -> list[Shares]:
    """The shares of several amounts; the amounts are taken one after the other."""
    paid_minor = max(0, it.kept_minor - it.recovered_minor)
    left = [it.refund_payable_minor, it.held_cash_minor, paid_minor, it.kept_minor - paid_minor]
    found = []
    for amount_minor in amounts:
        taken, rest_minor = [], amount_minor
        for place, most_minor in enumerate(left):
            share = min(rest_minor, most_minor)
            left[place] -= share
            rest_minor -= share
            taken.append(share)
        found.append(Shares._make([*taken, rest_minor]))
    return found


def resolve(
    it: Authorization,
    decision: Decision,
    now_us: int,
    cases: Sequence[ChargeBack] = (),
    captures: Sequence[Capture] = (),
    *,
    others_minor: int | None = None,
) -> tuple[Step, list[ChargeBack]]:
    """Decides the open amounts of cases: either the money comes back, or the person keeps it.

    Returns the step and the changed rows. `others_minor` is the open amount of charge-backs without
    a row that are decided together with these cases; None means the whole amount. Raises
    IllegalState if nothing is open, and for goodwill on a debt, because Freehold bears no part of a
    debt.
    """
    require(it, RESOLVE_CHARGE_BACK)
    if others_minor is None:
        others_minor = unrowed_minor(it, cases)
    amounts = [others_minor, *(one.open_minor for one in cases)]
    amount_minor = sum(amounts)
    if amount_minor == 0:
        raise IllegalState("NOTHING_CHARGED_BACK", "nothing is charged back", it.state)
    settled = it._replace(charged_back_minor=it.charged_back_minor - amount_minor)
    if not decision.user_won:
        back = Posting(Account.CASH, Account.RECEIVABLE_CHARGED_BACK, amount_minor)
        none = Part(WITHOUT_ROW, amount_minor)
        overturned = step(
            settled, (back,), Transition.CHARGE_BACK_OVERTURNED, now_us, parts=(none,)
        )
        version = overturned.authorization.version
        return overturned, [
            changed(
                one,
                open_minor=0,
                overturned_minor=one.overturned_minor + one.open_minor,
                decide_us=now_us,
                decide_version=version,
            )
            for one in cases
        ]
    if it.unheld_minor and decision.goodwill:
        raise debts.without_goodwill(it)
    shares = _shares(it, amounts)
    total = Shares._make([sum(column) for column in zip(*shares, strict=True)])
    conceded_minor = 0 if decision.goodwill else total.paid_minor
    parts = corrections.conceded(it, captures, conceded_minor)
    if amount_minor > conceded_minor:
        # No capture is concerned by the rest.
        parts += (Part(WITHOUT_ROW, amount_minor - conceded_minor),)
    given, postings = concessions.give_up(
        settled, total.paid_minor, Account.RECEIVABLE_CHARGED_BACK, goodwill=decision.goodwill
    )
    taken = given._replace(
        refund_payable_minor=it.refund_payable_minor - total.owed_minor,
        cash_minor=it.cash_minor - total.held_minor,
        held_cash_minor=it.held_cash_minor - total.held_minor,
        refunded_minor=it.refunded_minor + total.paid_minor,
        recovered_minor=it.recovered_minor - total.recovered_minor,
        received_minor=it.received_minor - amount_minor,
        overpaid_minor=it.overpaid_minor + total.overpaid_minor,
    )
    all_postings = (
        Posting(Account.REFUND_PAYABLE, Account.RECEIVABLE_CHARGED_BACK, total.owed_minor),
        Posting(Account.DEPOSIT, Account.RECEIVABLE_CHARGED_BACK, total.held_minor),
        *postings,
        Posting(Account.RECOVERY, Account.RECEIVABLE_CHARGED_BACK, total.recovered_minor),
        Posting(Account.OVERPAID, Account.RECEIVABLE_CHARGED_BACK, total.overpaid_minor),
    )
    won = step(taken, all_postings, Transition.CHARGE_BACK_WON, now_us, parts=parts)
    return won, [
        _kept(one, own, decision, now_us, won.authorization.version)
        for one, own in zip(cases, shares[1:], strict=True)
    ]


def _kept(it: ChargeBack, own: Shares, decision: Decision, now_us: int, version: int) -> ChargeBack:
    """The row of a case after the person was left its open amount."""
    goodwill_minor = own.paid_minor if decision.goodwill else 0
    return changed(
        it,
        open_minor=0,
        owed_minor=it.owed_minor + own.owed_minor,
        held_minor=it.held_minor + own.held_minor,
        conceded_minor=it.conceded_minor + own.paid_minor - goodwill_minor,
        goodwill_minor=it.goodwill_minor + goodwill_minor,
        recovered_minor=it.recovered_minor + own.recovered_minor,
        overpaid_minor=it.overpaid_minor + own.overpaid_minor,
        decide_us=now_us,
        decide_version=version,
    )


def found(it: Authorization, cases: Sequence[ChargeBack]) -> list[ChargeBack]:
    """The changed rows after the operator gave up an amount that is charged back.

    The person keeps this amount. It is taken first from charge-backs without a row, then from the
    oldest case.
    """
    ordered = sorted(cases, key=lambda case: (case.record_us, case.case_id))
    amounts = [one.open_minor for one in ordered]
    return _found_in(ordered, "open_minor", amounts, -unrowed_minor(it, cases))


def given_up(
    cases: Sequence[ChargeBack], others: Sequence[int], regain_minor: int
) -> list[ChargeBack]:
    """The changed rows after the fee was fixed anew, for example because the item was found.

    Of the fee that lost cases took from the operator, it may regain at most `regain_minor` if the
    cases are reopened. The person keeps the rest for good. It is taken first from the oldest case.
    `others` has for each case the amount that it took of captures for anything but the fee.
    """
    fees = [max(0, case.conceded_minor - minor) for case, minor in zip(cases, others, strict=True)]
    return _found_in(cases, "conceded_minor", fees, sum(fees) - regain_minor)


def _found_in(
    cases: Sequence[ChargeBack], place: str, amounts: Sequence[int], excess_minor: int
) -> list[ChargeBack]:
    """The changed rows after an excess moved from a place to `found_minor`, from the first case on,
    from each at most its amount."""
    changes = []
    for one, most_minor in zip(cases, amounts, strict=True):
        part_minor = min(excess_minor, most_minor)
        if part_minor > 0:
            excess_minor -= part_minor
            left = {place: getattr(one, place) - part_minor}
            changes.append(changed(one, **left, found_minor=one.found_minor + part_minor))
    return changes
