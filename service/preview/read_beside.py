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
from service.domain.rules import Signal
from service.domain.transitions import Transition
from service.engine.catalog import Catalog
from service.engine.tables import BREAKERS, LISTINGS
from service.preview.history import NEVER, Loss, Numbers, Told
from service.storage import schema as t
from service.storage.schema.authorizations import LOSING
from service.storage.schema.record_tables import CONVERTERS

_A, _D, _O = t.authorizations.c, t.decisions.c, t.authorization_details.c
REPLACED = or_(
    _A.start == str(Start.LATE_PICKUP),
    and_(_A.start == str(Start.ON_PICKUP), _O.authorization_version > 1),
)
"""A later call, such as the pick-up, may have told another station than the order."""


class Wanted(NamedTuple):
    """The facts that rules read: the variables of conditions, the signals of fraud, and whether
    there are rules on devices or payment accounts (`bearers`), and breakers (`losses`)."""

    variables: frozenset[str] = frozenset()
    signals: frozenset[Signal] = frozenset()
    bearers: bool = False
    losses: bool = False

    @property
    def details(self) -> bool:
        """True if details of orders are needed."""
        details = not self.variables.isdisjoint(_OF_DETAILS)
        return details or self.bearers or Signal.IMPLAUSIBLE_RETURNS in self.signals

    @property
    def registered(self) -> bool:
        """True if it is needed when people were first seen."""
        new = {Signal.NEW_ACCOUNTS_ON_DEVICE, Signal.NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT}
        return not new.isdisjoint(self.signals)


_OF_DETAILS = {"station", "labels", "hour", "weekday", "device_known", "account_known"}
"""The variables that are in the details of an order."""
_BEARERS = ("devices", "accounts")
TRACED = ("assets", "start_us", "start_stations", "end_stations")
"""The columns that only signals read."""
_NUMBERED = (*_BEARERS, "assets", "start_stations", "end_stations")
_TOLD = ("station", "labels", "time_zone", "band", "reserves", "device", "account", "read")


def columns(wanted: Wanted) -> dict[str, ColumnElement[Any]]:
    """The columns that are wanted beside those of each history, by name."""
    names = wanted.variables
    repeated = Signal.ITEM_REPEATED in wanted.signals
    returns = Signal.IMPLAUSIBLE_RETURNS in wanted.signals
    found: dict[str, ColumnElement[Any]] = {}
    if wanted.bearers:
        found["devices"] = func.coalesce(_O.device_hash, "")
        found["accounts"] = func.coalesce(_O.payment_account_hash, "")
    if "station" in names:
        found["station"] = station()
        found["read"] = case((REPLACED, _D.read_values))
    if "labels" in names:
        found["labels"] = func.coalesce(_O.labels, "")
    if not names.isdisjoint(("hour", "weekday")):
        found["time_zone"] = func.coalesce(_O.time_zone, "")
    if not names.isdisjoint(("band", "score", "scored")):
        found["band"] = _A.band
    if repeated or "reserves" in names:
        found["reserves"] = case((_A.start == str(Start.ON_PICKUP), 1), else_=0)
    if "device_known" in names:
        found["device"] = case((_O.device_hash != "", 1), else_=0)
    if "account_known" in names:
        found["account"] = case((_O.payment_account_hash != "", 1), else_=0)
    if repeated:
        found["assets"] = _A.asset_id
    if repeated or returns:
        found["start_us"] = func.coalesce(_A.start_us, NEVER)
    if returns:
        found["start_stations"] = func.coalesce(_O.start_station, "")
        found["end_stations"] = func.coalesce(_O.end_station, "")
    if wanted.losses:
        found["losing"] = case((sql_text(f"({LOSING})"), _A.authorization_id))
    return found


def numbers_of(wanted: Wanted) -> tuple[str, ...]:
    """The names of the columns of numbers that `BesideCodes.take` gives."""
    found = columns(wanted)
    names = [it for it in (*_BEARERS, *TRACED) if it in found]
    return (*names, "told") if any(it in found for it in _TOLD) else tuple(names)


def station() -> ColumnElement[Any]:
    """The station of an order; empty if it named none, and NULL if a later call may have replaced
    it."""
    return case((REPLACED, None), else_=func.coalesce(_O.start_station, ""))


class BesideCodes:
    """Numbers for the details of orders, items and stations, in the order of their first use."""

    def __init__(self) -> None:
        self.bearers: dict[str, int] = {}
        self.rows: dict[str, int] = {}
        """The place of each losing rental in the order of reading."""
        self._told: dict[tuple[tuple[str, Any], ...], int] = {}
        self._texts: dict[str, int] = {}
        self._read = 0

    def take(self, values: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Sequence[int]]]:
        """The numbers of the columns of `columns`, each with its name."""
        for name in _NUMBERED:
            if name in values:
                known_texts = self.bearers if name in _BEARERS else self._texts
                yield name, _numbers(values[name], known_texts)
        told = [name for name in _TOLD if name in values]
        if told:
            known: dict[tuple[Any, ...], int] = {}
            places = [known.setdefault(it, len(known))
                      for it in zip(*(values[name] for name in told), strict=True)]  # fmt: skip
            ours = [self._told.setdefault(tuple(zip(told, it, strict=True)), len(self._told))
                    for it in known]  # fmt: skip
            yield "told", [ours[it] for it in places]
        if "start_us" in values:
            yield "start_us", values["start_us"]
        for place, name in enumerate(values.get("losing", ())):
            if name is not None:
                self.rows[name] = self._read + place
        self._read += len(values.get("losing", ()))

    def all_told(self) -> tuple[Told, ...]:
        """The details by their numbers."""
        return tuple(_told(dict(it)) for it in self._told) or (Told(),)


def _numbers(texts: Sequence[str], known: dict[str, int]) -> list[int]:
    """The number of each text; NEVER for none."""
    return [known.setdefault(it, len(known)) if it else NEVER for it in texts]


def _told(values: Mapping[str, Any]) -> Told:
    told, read = dict(values), values.get("read")
    told.pop("read", None)
    if told.get("station", "") is None and read is not None:
        told["station"] = json.loads(read).get("station")
    return Told(**{name: it == 1 if name in _BITS else it for name, it in told.items()})


_BITS = ("reserves", "device", "account")


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
