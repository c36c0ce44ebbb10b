"""Listings: adding, ending and reading them. Each act is in the record of acts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256

from sqlalchemy import Connection, Engine, func, insert, or_, select, update

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind, DocumentState
from service.domain.errors import ActRefused, InvalidInput, NotFound
from service.domain.listings import (
    SKIPPABLE,
    Listing,
    ListingEffect,
    ListingKind,
    require_counting,
    require_sound,
)
from service.domain.near_names import near_name
from service.engine.records.administration import Asked
from service.engine.records.documents import TermsDocument
from service.engine.tables import LISTINGS
from service.storage import schema as t
from service.storage.administration import Administration, administer, require_text
from service.storage.compatibility import LISTINGS_BUILD, shut_out_older
from service.storage.database import reading
from service.storage.documents import policy_id_of
from service.storage.known_operators import require_known
from service.storage.schema.record_tables import CONVERTERS

TOGETHER = 100
"""The listings in one statement."""

Encode = Callable[[Sequence[Listing]], bytes]


def add_listings(
    engine: Engine,
    asked: Asked,
    owner: str,
    wanted: Sequence[Listing],
    reason: str,
    now_us: int,
    encode: Encode,
) -> bytes:
    """Adds listings, whose owner, number, reason, maker and time are filled in; returns the answer.

    They differ in their subjects only. A policy is named by its id, or as a product names it; the
    listings have its id. A condition of a policy is known as soon as a draft of the policy has it.
    From the first listing on, the schema shuts out builds that follow none. Raises InvalidInput
    with all faults, NotFound for an unknown operator, and RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        first, by = _newest(desk.connection, owner) + 1, asked.by.text
        made = [
            it._replace(owner=owner, number=number, reason=reason, create_us=now_us, created_by=by)
            for number, it in enumerate(wanted, first)
        ]
        require_text("reason", reason, shortest=1)
        require_sound(made, SKIPPABLE)
        policy_id = _id_of_policy(desk.connection, made[0]) if made else ""
        made = [it._replace(policy_id=policy_id) for it in made]
        shut_out_older(desk.connection, LISTINGS_BUILD)
        values = CONVERTERS[LISTINGS].values
        columns = [column.name for column in t.listings.columns]
        rows = [dict(zip(columns, values(it), strict=True)) for it in made]
        for start in range(0, len(rows), TOGETHER):
            desk.connection.execute(insert(t.listings), rows[start : start + TOGETHER])
        _note_kinds(desk.connection, owner, {it.kind for it in made})
        desk.note(
            "listings.added",
            f"listings/{first}",
            last=made[-1].number,
            reason=reason,
            digest=digest_of(made),
        )
        return encode(made)

    return administer(engine, asked, owner, now_us, act)


def end_listings(
    engine: Engine,
    asked: Asked,
    owner: str,
    numbers: Sequence[int],
    reason: str,
    now_us: int,
    encode: Encode,
) -> bytes:
    """Ends listings by their numbers; returns the answer.

    Raises NotFound for an unknown listing, ActRefused for one that was ended before, InvalidInput,
    and RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        require_text("reason", reason, shortest=1)
        c, record, by = t.listings.c, CONVERTERS[LISTINGS].record, asked.by.text
        query = select(t.listings).where(c.owner == owner, c.number.in_(sorted(numbers)))
        found = {it.number: it for it in map(record, desk.connection.execute(query))}
        ended = []
        for number in numbers:
            it = found.get(number)
            if it is None:
                raise NotFound("listing", f"{owner}/{number}")
            if it.end_us is not None:
                raise ActRefused("LISTING_ENDED", f"the listing {number} was ended before")
            end_us = max(now_us, it.create_us)
            ended.append(it._replace(end_us=end_us, ended_by=by, end_reason=reason))
        for it in ended:
            mine = update(t.listings).where(c.owner == owner, c.number == it.number)
            changes = {"end_us": it.end_us, "ended_by": by, "end_reason": reason}
            desk.connection.execute(mine.values(**changes))
        subject = f"listings/{numbers[0]}"
        desk.note("listings.ended", subject, numbers=list(numbers), reason=reason)
        return encode(ended)

    return administer(engine, asked, owner, now_us, act)


def list_listings(
    engine: Engine,
    owner: str,
    kind: ListingKind | None = None,
    subject: str = "",
    active_at_us: int | None = None,
    after: int = 0,
    size: int | None = None,
) -> list[Listing]:
    """An owner's listings by their numbers, after a number.

    `active_at_us` leaves out those that had ended or expired at that instant. Raises NotFound for
    an unknown operator.
    """
    c = t.listings.c
    query = select(t.listings).where(c.owner == owner, c.number > after).order_by(c.number)
    if kind is not None:
        query = query.where(c.kind == kind)
        if subject:
            query = query.where(c.subject == subject)
    if active_at_us is not None:
        lasting = or_(c.expire_us.is_(None), c.expire_us > active_at_us)
        query = query.where(c.end_us.is_(None), lasting)
    with reading(engine) as connection:
        require_known(connection, owner)
        return list(map(CONVERTERS[LISTINGS].record, connection.execute(query.limit(size))))


def digest_of(listings: Sequence[Listing]) -> str:
    """The hash by which the record of acts names the contents of new listings."""
    rows = [
        [it.effect, it.kind, it.subject, it.rules, it.policy_id, it.expire_us] for it in listings
    ]
    return sha256(json.dumps(rows).encode()).hexdigest()


def _id_of_policy(connection: Connection, it: Listing) -> str:
    """The id of the only policy for which a new listing counts; empty for all policies.

    As in a product, a name is that of the owner's policy, or else of the platform's. Raises
    InvalidInput for a policy that the owner does not have, or whose rules it may not skip, for
    conditions that no such policy has, and for rules if there is no such policy: such a listing
    would never count, and nobody would notice.
    """
    if not it.policy_id and not it.rules:
        return ""
    known = _conditions_in_reach(connection, it.owner)
    found = it.policy_id and _found_policy(it, known)
    require_counting(it._replace(policy_id=found), known)
    return found


def _found_policy(it: Listing, known: Collection[str]) -> str:
    """The id of the policy that a listing names, of these ids."""
    own = policy_id_of(it.owner, it.policy_id)
    found = own if own in known else it.policy_id
    if found not in known:
        near = near_name(it.policy_id, known)
        hint = "apply it first" if near is None else f"did you mean {near}?"
        text = f"must name a policy, and there is no {it.policy_id}: {hint}"
        raise InvalidInput.of("policy_id", "policy_id.unknown", text)
    if it.effect is ListingEffect.ALLOW and not it.may_skip(found):
        text = f"is {found} of the platform, which alone skips its rules: name a policy of your own"
        raise InvalidInput.of("policy_id", "policy_id.of_platform", text)
    return found


def _conditions_in_reach(connection: Connection, owner: str) -> dict[str, set[str]]:
    """The names of the conditions of each policy of which an owner may know, by the policy's id.

    Revisions that were retired are left out, because they never come back into force.
    """
    found: dict[str, set[str]] = defaultdict(set)
    documented = set()
    for row in connection.execute(
        select(t.terms_documents).where(t.terms_documents.c.kind == DocumentKind.POLICY)
    ):
        it = TermsDocument(*row)
        policy_id = policy_id_of(it.owner, it.name)
        documented.add((policy_id, it.revision))
        if it.state != DocumentState.RETIRED:
            found[policy_id] |= _conditions_of(it.document)
    # Policies that SQL wrote have no documents before somebody asks for them.
    p = t.policies.c
    for policy_id, revision, rules in connection.execute(select(p.policy_id, p.revision, p.rules)):
        if (policy_id, revision) not in documented:
            found[policy_id] |= _conditions_of(rules)
    if owner == PLATFORM:
        return found
    return {it: found[it] for it in found if "/" not in it or it.startswith(f"{owner}/")}


def _conditions_of(text: str | None) -> set[str]:
    """The names of the conditions in a policy's stored text; none if the text makes no sense."""
    try:
        return {row["name"] for row in json.loads(text or "{}").get("condition", ())}
    except (TypeError, ValueError, KeyError, AttributeError):
        return set()


def _newest(connection: Connection, owner: str) -> int:
    """The number of an owner's newest listing; 0 before the first."""
    query = select(func.max(t.listings.c.number)).where(t.listings.c.owner == owner)
    return int(connection.scalar(query) or 0)


def _note_kinds(connection: Connection, owner: str, kinds: set[ListingKind]) -> None:
    """Adds the kinds that the owner uses for the first time."""
    k = t.listing_kinds.c
    known = set(connection.scalars(select(k.kind).where(k.owner == owner)))
    for kind in sorted(kinds - known):
        connection.execute(insert(t.listing_kinds).values(owner=owner, kind=kind.value))
