"""Reads an operator's history from the database, in one consistent state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, and_, case, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.domain.authorization import HOLDING, Custody, Start, State
from service.domain.errors import Exhausted
from service.domain.policy import Offer, Reason
from service.domain.product import Product
from service.engine.catalog import Catalog
from service.ids import first_id
from service.preview.history import (
    DECLINED,
    NEVER,
    RANKS,
    UNSCORED,
    Fact,
    Happened,
    History,
    Numbers,
)
from service.storage import schema as t

PORTION = 20_000
"""The rows that are turned into columns at a time."""
DAY_US = 86_400_000_000
LEAD_US = 31 * DAY_US
"""The time before the window in which a hold that lasts into it may have begun."""


class Window(NamedTuple):
    """The decisions to be judged: of one operator, from `from_us` until before `until_us`.

    `most` bounds their number. `ages` says that the ages of features are needed.
    """

    operator_id: str
    from_us: int
    until_us: int
    most: int
    ages: bool = False


_A, _D = t.authorizations.c, t.decisions.c
_NUMBERS: tuple[str, ...] = (
    *("at_us", "score", "facts", "available", "offers", "as_of_us", "happened"),
    *("start_us", "close_us", "captured", "captured_fee", "captured_credit", "unpaid"),
    "written_off",
)
_TEXTS: tuple[str, ...] = ("group", "user", "product", "accept", "reasons")


def read_history(connection: Connection, window: Window, catalog: Catalog) -> History:
    """The history in a window; raises Exhausted for more than `most` decisions.

    A rental whose product revision is not sound is left out.
    """
    columns: dict[str, list[Numbers]] = {name: [] for name in (*_NUMBERS, *_TEXTS)}
    codes = _Codes()
    found = 0
    streamed = {"stream_results": True, "yield_per": PORTION}
    for rows in connection.execute(_query(window), execution_options=streamed).partitions():
        found += len(rows)
        if found > window.most:
            raise Exhausted(
                "TOO_MANY_DECISIONS",
                f"the preview reads at most {window.most} decisions: ask for fewer days",
                0,
            )
        _take(rows, columns, codes)
    whole = {
        name: np.concatenate(parts) if parts else np.zeros(0, np.int64)
        for name, parts in columns.items()
    }
    return _history(window, whole, codes, catalog)


def _query(window: Window) -> Select[Any]:
    """The rows in the order of the decisions; numbers first, then texts."""
    begin = or_(
        _A.create_us >= window.from_us, _A.close_us.is_(None), _A.close_us >= window.from_us
    )
    query = select(*_numbers(window), *_texts()).where(
        _A.operator_id == window.operator_id,
        # An id begins with the time at which it was made, or a later one.
        _A.authorization_id >= first_id(window.from_us - LEAD_US),
        _A.create_us >= window.from_us - LEAD_US,
        _A.create_us < window.until_us,
        begin,
        _A.parent_id == "",
        _A.start != str(Start.LATE_PICKUP),
    )
    source = t.authorizations.join(
        t.decisions, and_(_D.decision_id == _A.decision_id, _D.user_id == _A.user_id)
    )
    if window.ages:
        f = t.feature_snapshots
        there = and_(f.c.user_id == _D.user_id, f.c.version == _D.feature_version)
        source = source.outerjoin(f, there)
    return query.select_from(source).order_by(_A.create_us, _A.authorization_id)


def _flags(flags: Iterable[tuple[int, ColumnElement[bool]]]) -> ColumnElement[int]:
    total: ColumnElement[int] = literal(0)
    for flag, condition in flags:
        total = total + case((condition, int(flag)), else_=0)
    return total


def _numbers(window: Window) -> list[ColumnElement[Any]]:
    """The columns of `_NUMBERS`."""
    reviewed = _D.reasons.contains(str(Reason.UNDER_REVIEW), autoescape=True)
    at_once = and_(_A.cash_minor == 0, _D.offer.is_not(None), ~reviewed)
    paid = _A.received_minor + _A.elsewhere_minor + _A.paid_out_minor > 0
    holding = _A.state.in_([str(it) for it in HOLDING])
    started = _A.start_us.is_not(None)
    given = _A.paid_minor + _A.lowered_minor + _A.recovered_minor + _A.forgiven_minor
    happened = _flags(
        [
            (Happened.HELD, or_(started, holding, at_once, and_(paid, _A.held_cash_minor > 0))),
            (Happened.STARTED, started),
            (Happened.LOST, _A.custody.in_([str(Custody.MISSING), str(Custody.SOLD)])),
            (Happened.OPEN, holding),
            (Happened.SETTLED, _A.state == str(State.SETTLED)),
            (Happened.LATE, func.coalesce(_A.close_us, window.until_us) > _A.due_us),
            (Happened.MAYBE_HELD, and_(_D.offer.is_not(None), or_(reviewed, paid))),
        ]
    )
    stale = case((_D.unscorable_reason == str(Reason.FEATURES_STALE), int(Fact.STALE)), else_=0)
    offer = case(
        *((_D.offer == str(it), rank) for it, rank in RANKS.items() if it is not None),
        else_=DECLINED,
    )
    as_of = func.coalesce(t.feature_snapshots.c.as_of_us, NEVER) if window.ages else _D.decide_us
    return [
        _A.create_us,
        func.coalesce(_D.score, UNSCORED),
        stale,
        _D.line_limit_minor - _D.line_held_minor - _D.line_drawn_minor,
        offer,
        as_of,
        happened,
        func.coalesce(_A.start_us, NEVER),
        func.coalesce(_A.close_us, NEVER),
        _A.captured_minor,
        _A.captured_minor - _A.other_captured_minor,
        _A.captured_credit_minor,
        _A.captured_credit_minor - given,
        _A.written_off_minor - _A.recovered_minor - _A.forgiven_minor,
    ]


def _texts() -> list[ColumnElement[Any]]:
    """The columns of `_TEXTS`, and then the revision of the product."""
    named = [_A.group_id, _A.user_id, _A.product_id, _A.accept_offers]
    return [*named, _D.reasons, _A.product_revision]


class _Codes:
    """Numbers for texts, in the order of their first use."""

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.products: dict[tuple[str, int], int] = {}
        self.accepted: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.calls = 0

    def call(self, group_id: str) -> int:
        """The number of an Authorize; the members of a group have the same."""
        if not group_id:
            self.calls += 1
            return self.calls - 1
        known = self.groups.get(group_id)
        if known is None:
            known = self.groups[group_id] = self.calls
            self.calls += 1
        return known


def _take(rows: Sequence[Any], columns: dict[str, list[Numbers]], codes: _Codes) -> None:
    """Adds rows to the columns."""
    values = list(zip(*rows, strict=True))
    for name, column in zip(_NUMBERS, values, strict=False):
        columns[name].append(np.array(column, dtype=np.int64))
    group, user, product, accept, reasons, revision = values[len(_NUMBERS) :]

    def coded(name: str, known: dict[Any, int], column: Iterable[Any]) -> None:
        numbers = [known.setdefault(it, len(known)) for it in column]
        columns[name].append(np.array(numbers, dtype=np.int64))

    coded("user", codes.users, user)
    coded("product", codes.products, zip(product, revision, strict=True))
    coded("accept", codes.accepted, accept)
    coded("reasons", codes.reasons, reasons)
    columns["group"].append(np.array([codes.call(it) for it in group], dtype=np.int64))


_FACTS = {
    str(Reason.CANCELLED_BEFORE_ARRIVAL): Fact.CANCELLED,
    str(Reason.USER_SUSPENDED): Fact.SUSPENDED,
    str(Reason.UNDER_REVIEW): Fact.WATCHED,
}


def _history(window: Window, whole: dict[str, Numbers], codes: _Codes, catalog: Catalog) -> History:
    known = [
        catalog.revisions.get((window.operator_id, name, revision))
        for name, revision in codes.products
    ]
    sound = np.array([it is not None for it in known], dtype=np.bool_)
    products: list[Product] = [it for it in known if it is not None]
    if len(whole["product"]) and not sound.all():
        kept = sound[whole["product"]]
        whole = {name: column[kept] for name, column in whole.items()}
        whole["product"] = (np.cumsum(sound) - 1)[whole["product"]]
    reason_lists = tuple(tuple(it.split(",")) if it else () for it in codes.reasons)
    facts = np.array(
        [sum(_FACTS.get(reason, 0) for reason in it) for it in reason_lists], dtype=np.int64
    )
    if len(whole["at_us"]):
        whole["facts"] = whole["facts"] | facts[whole["reasons"]]
    return History(
        window.operator_id,
        window.from_us,
        window.until_us,
        tuple(products),
        tuple(_offers(it) for it in codes.accepted),
        reason_lists,
        whole["at_us"],
        whole["group"],
        whole["user"],
        whole["product"],
        whole["accept"],
        whole["score"],
        whole["facts"],
        whole["available"],
        whole["offers"],
        whole["reasons"],
        whole["as_of_us"],
        whole["happened"],
        _held_us(whole),
        whole["start_us"],
        whole["close_us"],
        whole["captured"],
        whole["captured_fee"],
        whole["captured_credit"],
        whole["unpaid"],
        whole["written_off"],
    )


def _offers(text: str) -> tuple[Offer, ...]:
    return tuple(Offer(it) for it in text.split(",")) if text else ()


def _held_us(whole: dict[str, Numbers]) -> Numbers:
    """The latest instant at which each hold may have begun."""
    at_once = (whole["happened"] & (Happened.HELD | Happened.MAYBE_HELD)) == Happened.HELD
    latest = np.where(whole["start_us"] != NEVER, whole["start_us"], whole["close_us"])
    latest = np.where(latest == NEVER, whole["at_us"], latest)
    return np.where(at_once, whole["at_us"], np.maximum(latest, whole["at_us"]))
