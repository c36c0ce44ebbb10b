"""Reads the facts that only some rules read: details of orders, listings, and losses."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, and_, case, func, or_, select
from sqlalchemy import text as sql_text
from sqlalchemy.sql.elements import ColumnElement

from service.domain.access import PLATFORM
from service.domain.admission import NOTHING_SKIPPED
from service.domain.authorization import Custody, Start
from service.domain.breakers import OpenedBreaker
from service.domain.ledger import Account
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.domain.product import Product
from service.domain.transitions import Transition
from service.engine.catalog import Catalog
from service.engine.tables import BREAKERS, LISTINGS
from service.preview.history import NEVER, Loss, Numbers, Told
from service.storage import schema as t
from service.storage.schema.authorizations import LOSING
from service.storage.schema.record_tables import CONVERTERS

_A, _D, _O = t.authorizations.c, t.decisions.c, t.authorization_details.c
NAMES = ("told", "assets", "start_us", "start_stations", "end_stations")
"""The columns that `columns` adds to a history, beside the name of the authorization."""
REPLACED = or_(
    _A.start == str(Start.LATE_PICKUP),
    and_(_A.start == str(Start.ON_PICKUP), _O.authorization_version > 1),
)
"""A later call, such as the pick-up, may have told another station than the order."""
_Told = tuple[str | None, str, str, str, int, int, int, str | None]


def columns() -> list[ColumnElement[Any]]:
    """The details of an order, the item, its stations, its start, and the authorization's id."""
    return [
        station(),
        *(func.coalesce(it, "") for it in (_O.labels, _O.time_zone)),
        _A.band,
        case((_A.start == str(Start.ON_PICKUP), 1), else_=0),
        *(case((it != "", 1), else_=0) for it in (_O.device_hash, _O.payment_account_hash)),
        case((REPLACED, _D.read_values)),
        _A.asset_id,
        func.coalesce(_A.start_us, NEVER),
        *(func.coalesce(it, "") for it in (_O.start_station, _O.end_station)),
        _A.authorization_id,
    ]


def station() -> ColumnElement[Any]:
    """The station of an order; empty if it named none, and NULL if a later call may have replaced
    it."""
    return case((REPLACED, None), else_=func.coalesce(_O.start_station, ""))


class BesideCodes:
    """Numbers for the details of orders, items and stations, in the order of their first use."""

    def __init__(self) -> None:
        self.told: dict[_Told, int] = {}
        self.texts: dict[str, int] = {}
        self.rows: dict[str, int] = {}
        """The place of each authorization in the order of reading."""

    def take(self, values: Sequence[Sequence[Any]]) -> Iterator[tuple[str, Sequence[int]]]:
        """The numbers of the columns of `columns`, each with its name."""
        *told, assets, start_us, starts, ends, names = values
        for name in names:
            self.rows[name] = len(self.rows)
        known = self.told
        yield "told", [known.setdefault(it, len(known)) for it in zip(*told, strict=True)]
        yield "assets", list(map(self._text, assets))
        yield "start_us", list(start_us)
        yield "start_stations", list(map(self._text, starts))
        yield "end_stations", list(map(self._text, ends))

    def _text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts)) if text else NEVER

    def all_told(self) -> tuple[Told, ...]:
        """The details by their numbers."""
        return tuple(map(_told, self.told))


def _told(values: _Told) -> Told:
    station, labels, time_zone, band, reserves, device, account, read = values
    if station is None and read is not None:
        station = json.loads(read).get("station")
    return Told(station, labels, time_zone, band, bool(reserves), bool(device), bool(account))


class Subjects(NamedTuple):
    """The subjects of a history: the column of each kind, and the number of each subject in it."""

    users: Numbers
    devices: Numbers
    accounts: Numbers
    user_numbers: Mapping[str, int]
    bearer_numbers: Mapping[str, int]

    def rows_of(self, it: Listing) -> Any:
        """The rows that a listing is for."""
        if it.kind is ListingKind.EVERYBODY:
            return np.ones(len(self.users), dtype=np.bool_)
        if it.kind is ListingKind.USER:
            return self.users == self.user_numbers.get(it.subject, NEVER - 1)
        column = self.devices if it.kind is ListingKind.DEVICE else self.accounts
        return column == self.bearer_numbers.get(it.subject, NEVER - 1)


def read_skips(
    connection: Connection,
    operator_id: str,
    at_us: Numbers,
    subjects: Subjects,
    policy_of: Callable[[int], str],
) -> tuple[tuple[Mapping[str, str], ...], Numbers]:
    """The rules that listings skipped for each row, and the number of its skips.

    `policy_of` gives the id of a row's policy.
    """
    x = t.listings.c
    query = select(t.listings).where(
        x.effect == str(ListingEffect.ALLOW), x.owner.in_([PLATFORM, operator_id])
    )
    active: dict[int, list[Listing]] = defaultdict(list)
    listings = sorted(map(CONVERTERS[LISTINGS].record, connection.execute(query)))
    for it in listings:
        mine = subjects.rows_of(it) & (at_us >= it.create_us)
        for end_us in (it.expire_us, it.end_us):
            if end_us is not None:
                mine = mine & (at_us < end_us)
        for row in np.flatnonzero(mine).tolist():
            policy_id = policy_of(row)
            if it.policy_id in ("", policy_id) and it.may_skip(policy_id):
                active[row].append(it)
    numbers = np.zeros(len(at_us), dtype=np.int64)
    known: dict[tuple[tuple[str, str], ...], int] = {(): 0}
    for row, those in active.items():
        skipped = {rule: f"{it.owner}/{it.number}" for it in those for rule in it.rules}
        numbers[row] = known.setdefault(tuple(skipped.items()), len(known))
    return (NOTHING_SKIPPED, *map(dict, list(known)[1:])), numbers


def read_registered(
    connection: Connection, operator_id: str, users: Mapping[str, int]
) -> dict[int, int]:
    """The instant at which each person was first seen, by number."""
    u = t.users.c
    own = select(_A.user_id).where(_A.operator_id == operator_id)
    query = select(u.user_id, u.create_us).where(u.user_id.in_(own))
    return {
        users[user_id]: create_us
        for user_id, create_us in connection.execute(query)
        if user_id in users
    }


def read_openings(connection: Connection, operator_id: str) -> tuple[OpenedBreaker, ...]:
    """The openings of an operator's breakers, in their order."""
    b = t.breakers.c
    query = select(t.breakers).where(b.operator_id == operator_id).order_by(b.number)
    return tuple(map(CONVERTERS[BREAKERS].record, connection.execute(query)))


def read_losses(
    connection: Connection, operator_id: str, catalog: Catalog, rows: Mapping[str, int]
) -> tuple[Loss, ...]:
    """The amounts of an operator's rentals that count for breakers, in the order of time.

    `rows` has the row of each authorization of the history.
    """
    found = []
    for query in (_lost(operator_id), _given_up(operator_id)):
        for at_us, name, product_id, revision, currency, least, most in connection.execute(query):
            product: Product | None = catalog.revisions.get((operator_id, product_id, revision))
            if product is not None and most > 0 and at_us is not None:
                row = rows.get(name, NEVER)
                policy_id = product.policy.policy_id
                amounts = (max(0, min(least, most)), most)
                found.append(Loss(at_us, name, row, policy_id, currency, *amounts))
    return tuple(sorted(found))


_OF_RENTAL = (_A.authorization_id, _A.product_id, _A.product_revision, _A.currency)
_AWAY = or_(_A.custody == str(Custody.MISSING), _A.custody == str(Custody.SOLD))


def _lost(operator_id: str) -> Select[Any]:
    """Selects the charges of rentals whose item did not come back."""
    recovered = _A.recovered_minor + _A.forgiven_minor
    unpaid = _A.captured_credit_minor - _A.paid_minor - _A.lowered_minor - recovered
    return select(_A.close_us, *_OF_RENTAL, unpaid, _A.captured_credit_minor).where(
        _A.operator_id == operator_id, sql_text(f"({LOSING})"), _AWAY
    )


def _given_up(operator_id: str) -> Select[Any]:
    """Selects the amounts that were written off, and the debts that were dropped."""
    e = t.entries.c
    own = and_(
        e.user_id == _A.user_id,
        e.currency == _A.currency,
        e.authorization_id == _A.authorization_id,
    )
    written = and_(
        e.transition == str(Transition.WRITTEN_OFF), e.debit == str(Account.ALLOWANCE), ~_AWAY
    )
    dropped = and_(
        e.transition == str(Transition.DEBT_DROPPED), e.debit == str(Account.OPERATOR_DEFERRED)
    )
    left = _A.written_off_minor - _A.recovered_minor - _A.forgiven_minor
    least = case((written, case((left < e.amount_minor, left), else_=e.amount_minor)),
                 else_=e.amount_minor)  # fmt: skip
    return (
        select(e.event_us, *_OF_RENTAL, least, e.amount_minor)
        .select_from(t.authorizations.join(t.entries, own))
        .where(_A.operator_id == operator_id, sql_text(f"({LOSING})"), or_(written, dropped))
    )
