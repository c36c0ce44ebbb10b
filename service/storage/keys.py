"""Keys: making, listing, changing, rolling and ending them, and finding a caller by its key.

A key's text is shown once and not stored, so a retry cannot show it again: the retry's key replaces
the key of the first try.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, or_, select, update

from service.domain.access import (
    PLATFORM,
    Principal,
    Scope,
    hash_key,
    key_id_of,
    possible_scopes,
    read_scopes,
    scopes_of,
    write_scopes,
)
from service.domain.errors import ActRefused, InvalidInput, NotFound, PermissionDenied
from service.engine.records.administration import Asked, KeyChange, KeyInfo, NewKey, Person
from service.storage import schema as t
from service.storage.administration import Administration, administer, changing, require_text
from service.storage.compatibility import KEYS_BUILD, shut_out_older
from service.storage.database import reading
from service.storage.known_operators import require_known
from service.storage.persons import leave, require_present

EncodeKey = Callable[[KeyInfo, str], bytes]
"""A function that writes the answer about a new key with its text; the stored answer has none."""
EncodeRolled = Callable[[KeyInfo, str, KeyInfo], bytes]
"""As `EncodeKey`, with the replaced key."""

_K = t.api_keys.c
_key_id = func.substr(_K.key_hash, 1, len(key_id_of("0" * 64)))


def find_principal(engine: Engine, key_hash: str, now_us: int) -> Principal | None:
    """The owner of a key and its scopes; None if the key is unknown, ended or over."""
    columns = _K.operator_id, _K.scopes, _K.person_id, _K.expire_us, _K.certificates
    query = select(*columns, _K.units_a_second).where(
        _K.key_hash == key_hash,
        _K.revoke_us.is_(None),
        or_(_K.expire_us.is_(None), _K.expire_us > now_us),
    )
    with reading(engine) as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    scopes = read_scopes(row.scopes, row.operator_id).granted
    key_id, person_id = key_id_of(key_hash), row.person_id or ""
    certificates = frozenset(row.certificates.split())
    return Principal(
        *(row.operator_id, scopes, key_id, person_id, row.expire_us, certificates),
        row.units_a_second,
    )


def list_keys(
    engine: Engine, owner: str | None = None, after: str = "", size: int | None = None
) -> list[KeyInfo]:
    """An owner's keys by their ids, after an id, or the keys of all owners (None).

    Those of all owners are sorted: the platform's first, then by operator, each the oldest first.
    Raises NotFound for an unknown operator.
    """
    query = select(t.api_keys)
    if owner is not None:
        mine = _K.operator_id.is_(None) if owner == PLATFORM else _K.operator_id == owner
        query = query.where(mine, _key_id > after).order_by(_key_id).limit(size)
    with reading(engine) as connection:
        require_known(connection, owner)
        keys = [_info(row) for row in connection.execute(query)]
    if owner is None:
        keys.sort(key=lambda it: (it.operator_id or "", it.create_us, it.key_id))
    return keys


def _info(row: Row[Any]) -> KeyInfo:
    return KeyInfo(
        key_id_of(row.key_hash),
        row.operator_id,
        read_scopes(row.scopes, row.operator_id),
        row.create_us,
        row.revoke_us,
        row.person_id or "",
        row.label,
        row.expire_us,
        row.last_use_us,
        row.revoked_by or "",
        frozenset(row.certificates.split()),
        row.units_a_second,
    )


def create_key(
    engine: Engine,
    asked: Asked,
    wanted: NewKey,
    key: str,
    now_us: int,
    encode: EncodeKey,
    retry_us: int | None = None,
) -> bytes:
    """Makes a key with this text; returns the answer.

    With a known request id the key replaces the key of the first try, within `retry_us` of it.
    Raises NotFound for an unknown operator or person, PermissionDenied for scopes above the
    maker's, InvalidInput, ActRefused, and RequestIdReused.
    """
    with changing(engine) as connection:
        desk = Administration(connection, asked, wanted.operator_id or PLATFORM, now_us)
        if _end_first(desk, retry_us) is None:
            desk.require_owner()
            _require_possible(wanted, now_us)
            require_present(connection, desk.owner, wanted.person_id)
            guard(desk, wanted)
        by = asked.by.principal
        if by is not None and by.owner == desk.owner:
            # A bound key does not make a key that works on every connection, and a key with a rate
            # does not make one without it.
            rate = by.units_a_second
            wanted = wanted._replace(certificates=by.certificates, units_a_second=rate)
        made = _insert(desk, wanted, key)
        desk.note("key.created", f"keys/{made.key_id}", **described(desk, made))
        desk.keep(encode(made, ""))
        return encode(made, key)


def update_key(
    engine: Engine,
    asked: Asked,
    key_id: str,
    change: KeyChange,
    now_us: int,
    encode: Callable[[KeyInfo], bytes],
) -> bytes:
    """Changes a key's label, expiry and rate; the rate only for the platform and the shell.

    Raises NotFound for an unknown or ended key, and as `create_key`.
    """
    owner = owner_of(engine, asked, key_id)

    def act(desk: Administration) -> bytes:
        before = _usable(desk, key_id)
        after = _changed(desk, before, change)
        require_text("label", after.label)
        _require_later(after.expire_us, now_us)
        guard(desk, wanted_of(after))
        set_key(
            *(desk.connection, key_id),
            label=after.label, expire_us=after.expire_us, units_a_second=after.units_a_second,
        )  # fmt: skip
        desk.note("key.updated", f"keys/{key_id}", **described(desk, after))
        return encode(after)

    return administer(engine, asked, owner, now_us, act)


def roll_key(
    engine: Engine,
    asked: Asked,
    key_id: str,
    overlap_us: int,
    key: str,
    now_us: int,
    encode: EncodeRolled,
    retry_us: int | None = None,
) -> bytes:
    """Makes the successor of a key, with the same person, label, scopes and expiry.

    The old key ends after the overlap, and not later than it would have. Retries and errors are as
    for `create_key`, and NotFound is also raised for an unknown or ended key.
    """
    with changing(engine) as connection:
        desk = Administration(connection, asked, owner_of(engine, asked, key_id), now_us)
        if _end_first(desk, retry_us) is None:
            old = _usable(desk, key_id)
            require_present(connection, desk.owner, old.person_id)
            guard(desk, wanted_of(old))
            made = _insert(desk, wanted_of(old), key)
            ends_us = min(now_us + overlap_us, old.expire_us or now_us + overlap_us)
            old = old._replace(expire_us=max(ends_us, old.create_us + 1))
            set_key(connection, key_id, expire_us=old.expire_us)
        else:
            found = read_key(connection, key_id)
            if found is None:
                raise NotFound("key", key_id)
            old = found
            # The first successor had the expiry; the old key's was cut since.
            made = _insert(desk, wanted_of(_first_made(desk)), key)
        details = {**described(desk, made), "replaces": key_id, "ends_us": old.expire_us}
        desk.note("key.rolled", f"keys/{made.key_id}", **details)
        desk.keep(encode(made, "", old))
        return encode(made, key, old)


def revoke_key(
    engine: Engine, asked: Asked, key_id: str, now_us: int, encode: Callable[[KeyInfo], bytes]
) -> bytes:
    """Ends a key now. Raises NotFound for an unknown or ended key, and RequestIdReused."""
    owner = owner_of(engine, asked, key_id)

    def act(desk: Administration) -> bytes:
        before = read_key(desk.connection, key_id)
        if before is None or before.revoke_us is not None:
            raise NotFound("key", key_id)
        return encode(end_key(desk, before))

    return administer(engine, asked, owner, now_us, act)


def end_key(desk: Administration, it: KeyInfo) -> KeyInfo:
    """The key, ended now."""
    by = desk.asked.by.text
    set_key(desk.connection, it.key_id, revoke_us=desk.now_us, revoked_by=by)
    desk.note("key.revoked", f"keys/{it.key_id}", person_id=it.person_id, label=it.label)
    return it._replace(revoke_us=desk.now_us, revoked_by=by)


def remove_person(
    engine: Engine,
    asked: Asked,
    owner: str,
    person_id: str,
    now_us: int,
    encode: Callable[[Person, list[str]], bytes],
) -> bytes:
    """Records that a person left, and ends all keys of that person; returns the answer.

    Raises NotFound for an unknown operator or person, also if the person left before, and
    RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        person = leave(desk, person_id)
        mine = _K.operator_id.is_(None) if owner == PLATFORM else _K.operator_id == owner
        query = select(t.api_keys).where(mine, _K.person_id == person_id, _K.revoke_us.is_(None))
        ended = [_info(row) for row in desk.connection.execute(query.order_by(_key_id)).all()]
        desk.note("person.left", f"persons/{person_id}", keys=len(ended))
        for it in ended:
            end_key(desk, it)
        return encode(person, [it.key_id for it in ended])

    return administer(engine, asked, owner, now_us, act)


# -- rules ---------------------------------------------------------------------------------------


def _changed(desk: Administration, it: KeyInfo, change: KeyChange) -> KeyInfo:
    """The key after a change. Raises InvalidInput if an operator changes a rate."""
    by, rate = desk.asked.by.principal, change.units_a_second
    if (rate is not None or change.usual_rate) and by is not None and by.operator_id is not None:
        text = "is set by the platform: ask it for another rate"
        raise InvalidInput.of("units_a_second", "units_a_second.platform", text)
    if rate is not None and change.usual_rate:
        text = "must not be given with usual_rate: choose one of them"
        raise InvalidInput.of("units_a_second", "units_a_second.one_rate", text)
    kept = None if change.usual_rate else it.units_a_second
    return it._replace(
        label=it.label if change.label is None else change.label,
        expire_us=it.expire_us if change.expire_us is None else change.expire_us,
        units_a_second=kept if rate is None else rate,
    )


def guard(desk: Administration, it: NewKey) -> None:
    """Checks that the caller may make, change or roll such a key.

    An operator's key never gets more scopes or a longer life than its maker's. For the platform's
    keys that needs a second person. A key of anybody else, and of a program, does too. Raises
    PermissionDenied, InvalidInput or ActRefused.
    """
    by = desk.asked.by.principal
    if by is None:
        return
    longer = by.expire_us is not None and (it.expire_us is None or it.expire_us > by.expire_us)
    more = sorted(it.scopes - by.scopes)
    if by.operator_id is not None:
        if more:
            raise PermissionDenied(more[0])
        if longer:
            text = "must not be later than the end of the key that is used"
            raise InvalidInput.of("expire_time", "expire_time.longer_life", text)
    same_hand = by.person_id != "" and (desk.owner, it.person_id) == (by.owner, by.person_id)
    if more or longer or not same_hand:
        desk.require_second_person()


def _require_possible(it: NewKey, now_us: int) -> None:
    possible = possible_scopes(it.operator_id)
    for scope in sorted(it.scopes - possible):
        text = f"{scope} is no scope of this owner: choose among {', '.join(sorted(possible))}"
        raise InvalidInput.of("scopes", "scopes.possible", text)
    require_text("label", it.label)
    _require_later(it.expire_us, now_us)


def _require_later(expire_us: int | None, now_us: int) -> None:
    if expire_us is not None and expire_us <= now_us:
        raise InvalidInput.of("expire_time", "expire_time.future", "must be later than now")


def _end_first(desk: Administration, retry_us: int | None) -> KeyInfo | None:
    """Ends the key of the first try, and returns it; None for a new request id.

    Raises RequestIdReused, and ActRefused if the first key was ended or is too old.
    """
    first = desk.first()
    if first is None:
        return None
    desk.again(first)
    made = _first_made(desk)
    late = retry_us is not None and desk.now_us > first.record_us + retry_us
    if made.revoke_us is not None or late:
        raise ActRefused(
            "KEY_MADE",
            f"the key {made.key_id} was made under this request id, and its text is not shown"
            " again: end it, and use a new request id",
            {"key_id": made.key_id},
        )
    return end_key(desk, made)


def _first_made(desk: Administration) -> KeyInfo:
    first = desk.first()
    found = None if first is None else read_key(desk.connection, desk.asked.first_key(first.answer))
    if found is None:
        raise NotFound("key", "")
    return found


def owner_of(engine: Engine, asked: Asked, key_id: str) -> str:
    """The owner of a key; raises NotFound for a key that is not the caller's business."""
    with reading(engine) as connection:
        found = read_key(connection, key_id)
    owner = None if found is None else found.operator_id or PLATFORM
    by = asked.by.principal
    if owner is None or (by is not None and by.operator_id not in (None, owner)):
        raise NotFound("key", key_id)
    return owner


# -- rows ----------------------------------------------------------------------------------------


def _usable(desk: Administration, key_id: str) -> KeyInfo:
    found = read_key(desk.connection, key_id)
    if found is None or found.revoke_us is not None:
        raise NotFound("key", key_id)
    if found.expire_us is not None and found.expire_us <= desk.now_us:
        raise ActRefused("KEY_EXPIRED", f"the key {key_id} is over: make a new one")
    return found


def read_key(connection: Connection, key_id: str) -> KeyInfo | None:
    """The key with an id, or None."""
    row = connection.execute(select(t.api_keys).where(_key_id == key_id)).first()
    return None if row is None else _info(row)


def wanted_of(it: KeyInfo) -> NewKey:
    """A key to be made like this one."""
    scopes = frozenset(str(scope) for scope in it.scopes.granted)
    return NewKey(
        *(it.operator_id, it.person_id, it.label, scopes, it.expire_us, it.certificates),
        it.units_a_second,
    )


def _insert(desk: Administration, it: NewKey, key: str) -> KeyInfo:
    scopes = it.scopes or scopes_of(it.operator_id)
    row = {
        "key_hash": hash_key(key),
        "operator_id": it.operator_id,
        "scopes": write_scopes(Scope(scope) for scope in scopes),
        "create_us": desk.now_us,
        "revoke_us": None,
        "person_id": it.person_id or None,
        "label": it.label,
        "expire_us": it.expire_us,
        "certificates": " ".join(sorted(it.certificates)),
        "units_a_second": it.units_a_second,
    }
    desk.connection.execute(insert(t.api_keys), row)
    made = read_key(desk.connection, key_id_of(hash_key(key)))
    if made is None:
        raise NotFound("key", "")
    return made


def set_key(connection: Connection, key_id: str, **values: str | int | None) -> None:
    """Stores some columns of a key."""
    connection.execute(update(t.api_keys).where(_key_id == key_id).values(**values))


def described(desk: Administration, it: KeyInfo) -> dict[str, Any]:
    """A key in the record of acts.

    Certificates and a rate of its own shut out builds that do not know them in the record.
    """
    more: dict[str, Any] = {}
    if it.certificates:
        more["certificates"] = sorted(it.certificates)
    if it.units_a_second is not None:
        more["units_a_second"] = it.units_a_second
    if more:
        shut_out_older(desk.connection, KEYS_BUILD)
    return {
        "person_id": it.person_id,
        "label": it.label,
        "scopes": sorted(it.scopes.granted),
        "expire_us": it.expire_us,
        **more,
    }
