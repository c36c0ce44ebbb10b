"""Proposing and approving calls, and using an approval for a call that moves money."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from sqlalchemy import Engine

from service.domain.access import Scope
from service.domain.errors import ActRefused, PermissionDenied
from service.engine.records.administration import Asked, Proposal
from service.storage.administration import Administration, administer, changing
from service.storage.compatibility import KEYS_BUILD, shut_out_older
from service.storage.proposals import add_proposal, approve, require_proposal, withdraw

Encode = Callable[[Proposal], bytes]


def propose(
    engine: Engine,
    asked: Asked,
    method: str,
    request: bytes,
    reason: str,
    now_us: int,
    encode: Encode,
    life_us: int,
) -> bytes:
    """Stores a proposal for a call, which ends after `life_us`; returns the answer.

    Raises ActRefused for a key without a person, and RequestIdReused.
    """
    by = asked.by.principal
    if by is None or not by.person_id:
        raise ActRefused(
            "PERSON_REQUIRED", "only a person proposes, and the key belongs to a program"
        )
    owner, person_id, key_id = by.owner, by.person_id, by.key_id

    def act(desk: Administration) -> bytes:
        what = {"method": method, "request_sha256": sha256(request).hexdigest()}
        subject, expire_us = f"proposals/{desk.number + 1}", now_us + life_us
        desk.note("act.proposed", subject, **what, reason=reason, expire_us=expire_us)
        proposal = Proposal(
            owner, desk.number, method, request, person_id, key_id, reason, now_us,
            expire_us, "", "", None, None,
        )  # fmt: skip
        add_proposal(desk.connection, proposal)
        return encode(proposal)

    return administer(engine, asked, owner, now_us, act)


def approve_act(
    engine: Engine,
    asked: Asked,
    number: int,
    scope_of: Callable[[str], Scope | None],
    now_us: int,
    encode: Encode,
) -> bytes:
    """Approves a proposal of another person; returns the answer.

    `scope_of` is the scope of a method, which the approver needs. Raises NotFound,
    PermissionDenied, ActRefused, and RequestIdReused.
    """
    by = asked.by.principal
    if by is None:
        raise ActRefused("PERSON_REQUIRED", "only a person approves")
    key = by

    def act(desk: Administration) -> bytes:
        found = require_proposal(desk.connection, key.owner, number)
        scope = scope_of(found.method)
        if scope is not None and scope not in key.scopes:
            raise PermissionDenied(scope)
        approved = approve(desk.connection, key, found, now_us)
        desk.note("act.approved", f"proposals/{number}", method=found.method)
        return encode(approved)

    return administer(engine, asked, key.owner, now_us, act)


def withdraw_act(engine: Engine, asked: Asked, number: int, now_us: int, encode: Encode) -> bytes:
    """Withdraws the proposer's own proposal, approved or not; returns the answer.

    From the first withdrawal on, the schema shuts out builds that would still use the approval.
    Raises NotFound, ActRefused, and RequestIdReused.
    """
    by = asked.by.principal
    if by is None or not by.person_id:
        raise ActRefused("PERSON_REQUIRED", "only a person withdraws a proposal")
    key = by

    def act(desk: Administration) -> bytes:
        found = require_proposal(desk.connection, key.owner, number)
        withdrawn = withdraw(desk.connection, key, found, now_us)
        shut_out_older(desk.connection, KEYS_BUILD)
        desk.note("act.withdrawn", f"proposals/{number}", method=found.method)
        return encode(withdrawn)

    return administer(engine, asked, key.owner, now_us, act)


def use_for_call(engine: Engine, asked: Asked, now_us: int) -> None:
    """Uses the approval of a call that moves money, and records its first use.

    The call itself is another transaction. It counts once, because the approval is for one request
    id. Raises ActRefused without an approval.
    """
    by = asked.by.principal
    if by is None:
        return
    with changing(engine) as connection:
        desk = Administration(connection, asked, by.owner, now_us)
        used = desk.require_second_person()
        if used is not None and used.use_us is None:
            desk.note("act.used", f"proposals/{used.number}", method=asked.method)
