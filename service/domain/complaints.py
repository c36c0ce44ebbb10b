"""Complaints, and returns that are claimed after the settlement: what they give back.

Most complaints are about a final charge, so they can be opened only once the rental is closed. A
person whose item is out claims its return instead. A person who cannot return the item, or whose
item does not work, may complain at once: such a complaint has a time. If it is granted, the rental
costs the fee until that time, even if the item is returned later or is lost.

An operator may grant what is asked, or a part of it; only the platform decides against the person.

A complaint about the fee gives back captures for the fee, and one about damage those for damage. A
damage charge and a debt are one charge each: every complaint that names one is about all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.domain import concessions, corrections, debts, settlement, usage_ends
from service.domain.acts import Act, require, require_rental, require_was_out
from service.domain.authorization import CAPTURABLE, CLOSED, Authorization, State, Step, step
from service.domain.captures import WITHOUT_ROW, Capture, Part, Purpose
from service.domain.cases import Case, CaseKind, Outcome
from service.domain.errors import IllegalState, InvalidInput
from service.domain.meter import RUNNING, Meter
from service.domain.product import Product
from service.domain.transitions import Transition

OPEN_COMPLAINT = Act("OpenComplaint", CLOSED | CAPTURABLE)
STOPPING = frozenset({CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT})
"""Complaints that may be opened while the item is out, and that may have a time."""


def require_complaint(it: Authorization, kind: CaseKind, *, dated: bool) -> bool:
    """Whether the complaint has a time at which the fee is to stop.

    `dated` says that the person gave a time; a complaint about an item that is out always has one.
    Raises IllegalState unless the authorization is closed, or the complaint may be opened while the
    item is out. Raises InvalidInput for a time of another kind of complaint.
    """
    out = it.state in CAPTURABLE and not it.parent_id
    if it.state not in CLOSED and not (out and kind in STOPPING):
        kinds = " and ".join(sorted(STOPPING))
        raise IllegalState(
            "ILLEGAL_TRANSITION",
            f"OpenComplaint is not allowed in state {it.state}: report the return of the item with"
            f" {settlement.CLAIM_RETURN.call}, and complain about the charge after the settlement;"
            f" while the item is out, the only complaints are {kinds}",
            it.state,
        )
    if not dated:
        return out
    if kind not in STOPPING:
        raise InvalidInput.of(
            "occurred_at",
            "occurred_at.complaint",
            f"must be absent unless the complaint is {' or '.join(sorted(STOPPING))}",
        )
    require_rental(it)
    require_was_out(it)
    return True


def complain(it: Authorization, now_us: int) -> Step:
    """The person complains about an authorization; see `require_complaint`."""
    return step(it, (), Transition.CASE_OPENED, now_us)


def granted_us(every: Iterable[Case]) -> int | None:
    """The earliest time of the complaints that were granted in full; None if there is none. `every`
    has the cases of an open rental."""
    times = (
        case.occurred_us
        for case in every
        if case.kind in STOPPING and case.outcome is Outcome.FOR_USER
    )
    return min((time_us for time_us in times if time_us is not None), default=None)


CLAIM_LATE = Act(settlement.CLAIM_RETURN.call, frozenset({State.SETTLED}))


def require_late_claim(it: Authorization, *, dated: bool) -> None:
    """Raises IllegalState unless the person may claim an earlier return of a settled rental.

    If the item is neither missing nor sold, only an earlier time changes the charge, so the claim
    must be dated.
    """
    require(it, CLAIM_LATE)
    require_rental(it)
    require_was_out(it)
    if it.custody not in settlement.AWAY and not dated:
        raise IllegalState(
            "ILLEGAL_TRANSITION",
            f"{settlement.CLAIM_RETURN.call} is not allowed in state {it.state} without"
            " occurred_at: give the time of the return",
            it.state,
        )


def claim_late(it: Authorization, now_us: int) -> Step:
    """The person says that the item of a settled rental was returned earlier."""
    return step(it, (), Transition.CASE_OPENED, now_us)


def more_evidence(it: Authorization, now_us: int) -> Step:
    """A side of a case adds evidence."""
    return step(it, (), Transition.EVIDENCE_ADDED, now_us)


PURPOSES = {
    CaseKind.LATE_CLAIM: Purpose.FEE,
    CaseKind.RETURN_BLOCKED: Purpose.FEE,
    CaseKind.ITEM_AT_FAULT: Purpose.FEE,
    CaseKind.WRONG_FEE: Purpose.FEE,
    CaseKind.DAMAGE_NOT_MINE: Purpose.DAMAGE,
}
"""The purpose of the captures that a case is about; other kinds are about all captures."""


def purpose_of(it: Authorization, kind: CaseKind) -> Purpose | None:
    """The purpose of the captures that a case of the kind gives back; None means every purpose."""
    return None if it.parent_id else PURPOSES.get(kind)


def _newest_first(
    it: Authorization, captures: Sequence[Capture], purpose: Purpose | None
) -> list[Capture]:
    every = corrections.newest_first(it, captures)
    return every if purpose is None else [one for one in every if one.purpose is purpose]


def grantable_minor(
    it: Authorization, captures: Sequence[Capture] = (), purpose: Purpose | None = None
) -> int:
    """The amount that a complaint can still give back: the person paid it, or is asked for it.

    With a purpose, it is at most what the operator keeps of the captures for it.
    """
    charge_minor = it.due_minor + it.unrecovered_minor + it.refundable_minor
    if purpose is None:
        unheld_minor = it.unheld_due_minor + it.unheld_disputed_minor
        return charge_minor + it.disputed_minor + unheld_minor
    these = _newest_first(it, captures, purpose)
    open_minor = sum(one.open_minor for one in these)
    return min(charge_minor, open_minor) + sum(one.disputed_minor for one in these)


def grant(
    it: Authorization,
    amount_minor: int,
    transition: Transition,
    now_us: int,
    captures: Sequence[Capture] = (),
    purpose: Purpose | None = None,
) -> Step:
    """The operator gives back an amount of the charge, at most `grantable_minor`; 0 gives nothing.

    With a purpose, only captures for it are given back.

    The unpaid part of a debt without a hold comes first: nobody owes it any more.
    """
    dropped_minor = min(amount_minor, it.unheld_due_minor + it.unheld_disputed_minor)
    of_due_minor = min(dropped_minor, it.unheld_due_minor)
    parts: tuple[Part, ...] = ()
    granted = it
    if dropped_minor:
        granted = it._replace(
            unheld_dropped_minor=it.unheld_dropped_minor + dropped_minor,
            unheld_disputed_minor=it.unheld_disputed_minor - (dropped_minor - of_due_minor),
        )
        parts = (Part(WITHOUT_ROW, dropped_minor),)
    rest_minor = amount_minor - dropped_minor
    newest = _newest_first(granted, captures, purpose)
    open_minor = sum(one.open_minor for one in newest)
    disputed_minor = sum(one.disputed_minor for one in newest)
    given, postings = concessions.give_back(granted, rest_minor, open_minor, disputed_minor)
    of_disputes_minor = granted.disputed_minor - given.disputed_minor
    parts += corrections.given_back(newest, rest_minor - of_disputes_minor, of_disputes_minor)
    if dropped_minor:
        postings = (debts.drop_posting(dropped_minor), *postings)
    return step(given, postings, transition, now_us, parts=parts)


def grant_return(
    it: Authorization,
    product: Product,
    docked_us: int,
    transition: Transition,
    now_us: int,
    captures: Sequence[Capture] = (),
    meter: Meter = RUNNING,
) -> Step:
    """The item of a settled rental was returned at `docked_us`: the excess is given back."""
    total_minor = settlement.unwaived_minor(it, product, docked_us, meter)
    return settlement.docked(it, captures, total_minor, transition, now_us)


def stop_fee(
    it: Authorization,
    product: Product,
    stop_us: int,
    transition: Transition,
    now_us: int,
    captures: Sequence[Capture] = (),
    meter: Meter = RUNNING,
) -> Step:
    """The rental costs the fee until `stop_us`, and the excess is given back.

    The item stays where it is. If it is out, the hold stays too, and the later settlement or loss
    captures no more than this fee.
    """
    if it.state in CAPTURABLE:
        it = it._replace(claim_us=usage_ends.earlier_us(it, stop_us))
    total_minor = settlement.unwaived_minor(it, product, stop_us, meter)
    return settlement.docked(it, captures, total_minor, transition, now_us, is_back=False)
