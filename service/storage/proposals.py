"""Approvals: a person proposes a call, a second person approves it, and the first one sends it."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, insert, select, update

from service.domain.access import Principal
from service.domain.errors import ActRefused, NotFound
from service.engine.records.administration import Approval, Proposal
from service.storage import schema as t
from service.storage.database import reading


def use_approval(
    connection: Connection, by: Principal, approval: Approval, now_us: int
) -> Proposal:
    """The proposal of an approved call; its first use is recorded.

    `use_us` of the result is None for the first use. Raises ActRefused if the approval is missing
    or over, or is for another call or another person.
    """
    it = read_proposal(connection, by.owner, approval.number)
    same = it and (it.method, it.request, it.proposed_by)
    if it is None or same != (approval.method, approval.request, by.person_id):
        raise ActRefused(
            "APPROVAL_OF_ANOTHER_CALL",
            f"proposal {approval.number} is for another call or of another person:"
            " send the call exactly as it was proposed",
            {"proposal": str(approval.number)},
        )
    require_time(it, now_us)
    require_not_withdrawn(it)
    if it.approve_us is None:
        raise ActRefused(
            "NOT_APPROVED",
            f"proposal {it.number} is not approved yet: another person must send ApproveAct",
            {"proposal": str(it.number)},
        )
    if it.use_us is None:
        _store(connection, it._replace(use_us=max(now_us, it.approve_us)))
    return it


def require_time(it: Proposal, now_us: int) -> None:
    """Raises ActRefused for a proposal whose time is over."""
    if now_us >= it.expire_us:
        raise ActRefused(
            "PROPOSAL_EXPIRED",
            f"the time of proposal {it.number} is over: propose the call again",
            {"proposal": str(it.number)},
        )


def require_not_withdrawn(it: Proposal) -> None:
    """Raises ActRefused for a proposal that its proposer has withdrawn."""
    if it.withdraw_us is not None:
        raise ActRefused(
            "PROPOSAL_WITHDRAWN",
            f"{it.proposed_by} has withdrawn proposal {it.number}: propose the call again",
            {"proposal": str(it.number)},
        )


def add_proposal(connection: Connection, it: Proposal) -> None:
    """Stores a new proposal."""
    connection.execute(insert(t.proposals), it._asdict())


def approve(connection: Connection, by: Principal, it: Proposal, now_us: int) -> Proposal:
    """The proposal with the approval of another person, which is stored.

    Raises ActRefused for the proposer under any key, for a key without a person, for a second
    approval, and for a proposal that was withdrawn or whose time is over.
    """
    if not by.person_id:
        raise ActRefused(
            "PERSON_REQUIRED", "only a person approves, and the key belongs to a program"
        )
    if by.person_id == it.proposed_by:
        raise ActRefused(
            "SAME_PERSON", "a proposal is approved by another person than its proposer"
        )
    require_time(it, now_us)
    require_not_withdrawn(it)
    if it.approve_us is not None:
        raise ActRefused("APPROVED_BEFORE", f"{it.approved_by} has approved this proposal before")
    approved = it._replace(
        approved_by=by.person_id,
        approver_key_id=by.key_id,
        approve_us=max(now_us, it.create_us),
    )
    _store(connection, approved)
    return approved


def withdraw(connection: Connection, by: Principal, it: Proposal, now_us: int) -> Proposal:
    """The proposal, withdrawn by its proposer, approved or not; it is stored.

    Raises ActRefused for any other person, for a proposal whose call was sent, and for one that was
    withdrawn before or whose time is over.
    """
    if by.person_id != it.proposed_by:
        raise ActRefused("PROPOSER_REQUIRED", "a proposal is withdrawn by the person who made it")
    require_time(it, now_us)
    require_not_withdrawn(it)
    if it.use_us is not None:
        raise ActRefused(
            "PROPOSAL_USED",
            f"the call of proposal {it.number} was sent: correct its effect instead",
            {"proposal": str(it.number)},
        )
    withdrawn = it._replace(withdraw_us=max(now_us, it.create_us))
    _store(connection, withdrawn)
    return withdrawn


def read_proposal(connection: Connection, owner: str, number: int) -> Proposal | None:
    """An owner's proposal, whose row is locked, or None."""
    p = t.proposals.c
    query = select(t.proposals).where(p.owner == owner, p.number == number).with_for_update()
    found = connection.execute(query).first()
    return None if found is None else Proposal(*found)


def require_proposal(connection: Connection, owner: str, number: int) -> Proposal:
    """An owner's proposal, whose row is locked; raises NotFound."""
    found = read_proposal(connection, owner, number)
    if found is None:
        raise NotFound("proposal", str(number))
    return found


def _store(connection: Connection, it: Proposal) -> None:
    """Stores the approval, first use and withdrawal of a proposal; the rest of it never changes."""
    p = t.proposals.c
    mine = p.owner == it.owner, p.number == it.number
    changed = ("approved_by", "approver_key_id", "approve_us", "use_us", "withdraw_us")
    values = {name: getattr(it, name) for name in changed}
    connection.execute(update(t.proposals).where(*mine).values(values))


def list_proposals(
    engine: Engine, owner: str, waiting_at_us: int | None, after: int, size: int
) -> list[Proposal]:
    """A page of an owner's proposals, the oldest first; with `waiting_at_us` only those that wait
    for an approval at that instant."""
    p = t.proposals.c
    query = select(t.proposals).where(p.owner == owner, p.number > after)
    if waiting_at_us is not None:
        waiting = p.approve_us.is_(None), p.withdraw_us.is_(None), p.expire_us > waiting_at_us
        query = query.where(*waiting)
    with reading(engine) as connection:
        found = connection.execute(query.order_by(p.number).limit(size)).all()
    return [Proposal(*row) for row in found]
