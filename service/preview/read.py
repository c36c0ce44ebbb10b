"""Reads an operator's history from the database, in one consistent state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, and_, bindparam, case, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.domain import signals
from service.domain.admission import COUNTED, Past, reason_of
from service.domain.authorization import HOLDING, Custody, Start, State
from service.domain.errors import Exhausted
from service.domain.listings import CONDITION_PREFIX
from service.domain.policy import Offer, Reason
from service.domain.product import Product
from service.domain.rules import Outcome, Rules
from service.engine.catalog import Catalog
from service.ids import first_id
from service.preview import read_beside as beside
from service.preview.history import (
    DAY_US,
    DECLINED,
    NEVER,
    RANKS,
    UNSCORED,
    Beside,
    Fact,
    Happened,
    History,
    Numbers,
)
from service.preview.order_fees import first_fee, ordered
from service.preview.read_columns import Numbering, number_each, numbers_in, order_of_ids
from service.storage import schema as t
from service.storage.database import backend_of

PORTION = 20_000
"""The rows that are read at a time."""
LEAD_US = 31 * DAY_US
"""The time before the window in which a hold that lasts into it may have begun."""


class Window(NamedTuple):
    """The decisions to be judged: of one operator, from `from_us` until before `until_us`.

    `most` bounds their number. `ages` says that the ages of features are needed, `counts` that
    rules count rentals, and `beside` tells all facts that only some rules read. Rentals that ended
    up to `lead_us` microseconds before the window are read too. `totals` says that decisions may
    have read a total exposure.
    """

    operator_id: str
    from_us: int
    until_us: int
    most: int
    ages: bool = False
    counts: bool = False
    beside: beside.Wanted = beside.Wanted()
    lead_us: int = 0
    totals: bool = False


_A, _D = t.authorizations.c, t.decisions.c
_NUMBERS: tuple[str, ...] = (
    *("at_us", "score", "available", "held_us", "close_us"),
    *("captured", "captured_fee", "captured_credit", "unpaid", "written_off"),
)
FREE = "total.free_minor"
"""The name under which a decision keeps the free part of a line under a total exposure."""
_Kind = tuple[str, str, str, int, int]
"""The values of a decision of which there are few combinations, in the order of `_KIND`."""
_KIND = ("product", "accept", "reasons", "marks", "fee")
"""The product's id, the accepted offers, the reasons, a number of `_Mark`s with the product's
revision, and the known fee of the order."""


class _Mark:
    """The bits of a number in which the database packs small values; the revision is above them."""

    STARTED = 1
    HOLDING = 2
    NO_CASH = 4
    PAID = 8
    HOLDS_CASH = 16
    LOST = 32
    LATE = 64
    STALE = 128
    OFFER = 256
    """The rank of the offer, two bits."""
    SETTLED = 1024
    IMMEDIATE = 2048
    REVISION = 4096


def read_history(connection: Connection, window: Window, catalog: Catalog) -> History:
    """The history in a window; raises Exhausted for more than `most` decisions.

    A rental whose product revision is not sound is left out.
    """
    columns: dict[str, list[Numbers]] = {
        name: []
        for name in (
            *(*_NUMBERS, "as_of_us", "calls", "users", "kinds"),
            *beside.numbers_of(window.beside),
        )
    }
    codes = _Codes()
    found = 0
    for size, texts in _portions(connection, window):
        found += size
        if found > window.most:
            raise Exhausted(
                "TOO_MANY_DECISIONS",
                f"the preview reads at most {window.most} decisions: ask for fewer days",
                0,
            )
        _take(size, texts, columns, codes, window)
    whole = {
        name: np.concatenate(parts) if parts else np.zeros(0, np.int64)
        for name, parts in columns.items()
    }
    whole["places"] = np.arange(len(whole["at_us"]), dtype=np.int64)
    # In the order of the decisions; items of one call are in the order of their ids.
    if (np.diff(whole["at_us"]) < 0).any():
        order = np.argsort(whole["at_us"], kind="stable")
        whole = {name: it[order] for name, it in whole.items()}
    pasts = _pasts(connection, window, codes.users) if window.counts else {}
    history = _history(window, whole, codes, catalog, pasts)
    return replace(history, beside=_beside(connection, window, history, whole, codes, catalog))


def _beside(
    connection: Connection,
    window: Window,
    history: History,
    whole: dict[str, Numbers],
    codes: _Codes,
    catalog: Catalog,
) -> Beside:
    """The facts that only some rules read."""
    found = Beside()
    if catalog.listed:
        users, devices, accounts = history.users, history.devices, history.accounts
        subjects = beside.Subjects(users, devices, accounts, codes.users, codes.beside.bearers)
        policies: list[str] = [it.policy.policy_id for it in history.products]

        def policy_of(row: int) -> str:
            return policies[int(history.product[row])]

        skips, skips_of = beside.read_skips(
            *(connection, window.operator_id, history.at_us, subjects, policy_of)
        )
        found = Beside(skips=skips, skips_of=skips_of)
    if "told" in whole:
        found = found._replace(told=codes.beside.all_told(), told_of=whole["told"])
    if window.beside.registered:
        registered = beside.read_registered(connection, window.operator_id, codes.users)
        found = found._replace(registered=registered)
    traced: dict[str, Any] = {name: whole[name] for name in beside.TRACED if name in whole}
    found = found._replace(**traced)
    if window.beside.losses:
        # Both have their order from the reading.
        rows = {place: row for row, place in enumerate(whole["places"].tolist())}
        names = {it: rows[place] for it, place in codes.beside.rows.items() if place in rows}
        losses = beside.read_losses(connection, window.operator_id, catalog, names)
        openings = beside.read_openings(connection, window.operator_id)
        found = found._replace(losses=losses, openings=openings)
    return found


def _pasts(connection: Connection, window: Window, users: dict[str, int]) -> dict[int, Past]:
    """The rentals from before the window of each person: those settled by then, and the first."""
    settled = and_(_A.state == str(State.SETTLED), _A.close_us < window.from_us)
    query = (
        select(_A.user_id, func.sum(case((settled, 1), else_=0)), func.min(_A.create_us))
        .where(
            *(_A.operator_id == window.operator_id, _A.create_us < window.from_us),
            *(_A.parent_id == "", _A.state.in_([str(it) for it in COUNTED])),
        )
        .group_by(_A.user_id)
    )
    return {
        users[user_id]: Past(int(number), first_us)
        for user_id, number, first_us in connection.execute(query)
        if user_id in users
    }


def _portions(connection: Connection, window: Window) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Portions of rows: the number of rows, and each column as a JSON array. Ids grow from portion
    to portion, and have any order within one.

    A column as one text takes half of the time of its values one by one.
    """
    own = (_A.operator_id == window.operator_id, _A.authorization_id > bindparam("after"))
    ids = select(_A.authorization_id.label("id")).where(*own).order_by(_A.authorization_id)
    last = select(func.max(ids.limit(PORTION).subquery().c.id))
    columns = _columns(window)
    array = backend_of(connection).array_of_rows
    arrays = _query(window).with_only_columns(func.count(), *map(array, columns.values()))
    # An id begins with the time at which it was made, or a later one.
    after = first_id(window.from_us - max(LEAD_US, window.lead_us))
    while (until := connection.execute(last, {"after": after}).scalar()) is not None:
        size, *texts = connection.execute(arrays, {"after": after, "until": until}).one()
        after = until
        if size:
            yield size, dict(zip(columns, texts, strict=True))


def _columns(window: Window) -> dict[str, ColumnElement[Any]]:
    """The columns that are read, by name: the id, those of `_NUMBERS` and of the kind, the group,
    the person, and what only some windows need: the values that were read, the time of the
    features, and those of `beside`."""
    columns: dict[str, ColumnElement[Any]] = {
        "id": _A.authorization_id,
        **dict(zip(_NUMBERS, _numbers(), strict=True)),
        **dict(zip(_KIND, _kind(window), strict=True)),
        **{"group": _A.group_id, "user": _A.user_id},
    }
    if window.totals:
        columns["values"] = case((_D.read_values.contains(f'"{FREE}"'), _D.read_values))
    if window.ages:
        columns["as_of_us"] = func.coalesce(t.feature_snapshots.c.as_of_us, NEVER)
    return columns | beside.columns(window.beside)


def _query(window: Window) -> Select[Any]:
    """The rows whose ids are above the parameter `after`, up to `until`."""
    # A rule may count rentals that are closed.
    counted_us = window.from_us - window.lead_us
    lead_us = max(LEAD_US, window.lead_us)
    begin = or_(_A.create_us >= counted_us, _A.close_us.is_(None), _A.close_us >= window.from_us)
    query = select(_A.authorization_id).where(
        _A.operator_id == window.operator_id,
        _A.authorization_id > bindparam("after"),
        _A.authorization_id <= bindparam("until"),
        _A.create_us >= window.from_us - lead_us,
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
    if window.beside.details:
        own = and_(
            t.authorization_details.c.user_id == _A.user_id,
            t.authorization_details.c.authorization_id == _A.authorization_id,
        )
        source = source.outerjoin(t.authorization_details, own)
    return query.select_from(source)


def _numbers() -> tuple[ColumnElement[Any], ...]:
    """The columns of `_NUMBERS`."""
    given = _A.paid_minor + _A.lowered_minor + _A.recovered_minor + _A.forgiven_minor
    return (
        _A.create_us,
        func.coalesce(_D.score, UNSCORED),
        _D.line_limit_minor - _D.line_held_minor - _D.line_drawn_minor,
        func.coalesce(_A.start_us, _A.close_us, _A.create_us),
        func.coalesce(_A.close_us, NEVER),
        _A.captured_minor,
        _A.captured_minor - _A.other_captured_minor,
        _A.captured_credit_minor,
        _A.captured_credit_minor - given,
        _A.written_off_minor - _A.recovered_minor - _A.forgiven_minor,
    )


def _kind(window: Window) -> tuple[ColumnElement[Any], ...]:
    """The columns of `_Kind`."""
    marks: ColumnElement[int] = _A.product_revision * _Mark.REVISION
    ranks = {str(it): rank * _Mark.OFFER for it, rank in RANKS.items() if it is not None}
    states = {str(State.SETTLED): _Mark.SETTLED, **{str(it): _Mark.HOLDING for it in HOLDING}}
    # The frequent value comes first.
    custodies = {str(Custody.IN_STATION): 0}
    custodies |= {str(it): _Mark.LOST for it in (Custody.MISSING, Custody.SOLD)}
    marks = marks + case(ranks, value=_D.offer, else_=DECLINED * _Mark.OFFER)
    marks = marks + case(states, value=_A.state, else_=0)
    marks = marks + case(custodies, value=_A.custody, else_=0)
    for mark, condition in (
        (_Mark.STARTED, _A.start_us.is_not(None)),
        (_Mark.NO_CASH, _A.cash_minor == 0),
        (_Mark.PAID, _A.received_minor + _A.elsewhere_minor + _A.paid_out_minor > 0),
        (_Mark.HOLDS_CASH, _A.held_cash_minor > 0),
        (_Mark.LATE, func.coalesce(_A.close_us, window.until_us) > _A.due_us),
        (_Mark.IMMEDIATE, _A.start == str(Start.IMMEDIATE)),
        (_Mark.STALE, _D.unscorable_reason == str(Reason.FEATURES_STALE)),
    ):
        marks = marks + case((condition, mark), else_=0)
    return _A.product_id, _A.accept_offers, _D.reasons, marks, first_fee()


def _happened(marks: int, reasons: str) -> int:
    """The bits of `Happened` for the marks and the reasons of a kind."""
    offered = marks // _Mark.OFFER % 4 != DECLINED
    reviewed = str(Reason.UNDER_REVIEW) in reasons
    at_once = offered and marks & _Mark.NO_CASH and not reviewed
    exact = at_once or (marks & _Mark.IMMEDIATE and marks & _Mark.STARTED and not reviewed)
    started, paid = marks & _Mark.STARTED, marks & _Mark.PAID
    held = started or marks & _Mark.HOLDING or at_once or (paid and marks & _Mark.HOLDS_CASH)
    return (
        (Happened.HELD if held else 0)
        | (Happened.STARTED if started else 0)
        | (Happened.AT_ONCE if at_once else 0)
        | (Happened.EXACT if exact else 0)
        | (Happened.SETTLED if marks & _Mark.SETTLED else 0)
        | (Happened.LOST if marks & _Mark.LOST else 0)
        | (Happened.LATE if marks & _Mark.LATE else 0)
        | (Happened.MAYBE_HELD if offered and (reviewed or paid) else 0)
    )


class _Codes:
    """Numbers for texts, in the order of their first use."""

    def __init__(self) -> None:
        self.users: Numbering[str] = Numbering()
        self.kinds: Numbering[_Kind] = Numbering()
        self.groups: dict[str, int] = {}
        self.beside = beside.BesideCodes()
        self.calls = 0
        self.of_totals = Counter[bool]()
        """The number of judged decisions that kept a free part under a total exposure, or none."""

    def numbers_of_calls(self, groups: Sequence[str]) -> Numbers:
        """The number of the Authorize of each row; the members of a group have the same."""
        if any(groups):
            return np.array([self._call(it) for it in groups], dtype=np.int64)
        first, self.calls = self.calls, self.calls + len(groups)
        return np.arange(first, self.calls, dtype=np.int64)

    def _call(self, group_id: str) -> int:
        if group_id:
            known = self.groups.get(group_id)
            if known is not None:
                return known
            self.groups[group_id] = self.calls
        self.calls += 1
        return self.calls - 1


def _take(
    size: int,
    texts: Mapping[str, str],
    columns: dict[str, list[Numbers]],
    codes: _Codes,
    window: Window,
) -> None:
    """Adds a portion of rows to the columns, in the order of ids."""
    order = order_of_ids(json.loads(texts["id"]))

    def numbers(name: str) -> Numbers:
        column = numbers_in(texts[name], size)
        return column if order is None else column[order]

    def values(name: str) -> list[Any]:
        column: list[Any] = json.loads(texts[name])
        return column if order is None else [column[place] for place in order.tolist()]

    fresh = {name: numbers(name) for name in _NUMBERS}
    if window.totals:
        read = values("values")
        both = zip(fresh["available"].tolist(), read, strict=True)
        free = [minor if it is None else json.loads(it)[FREE] for minor, it in both]
        judged = zip(fresh["at_us"].tolist(), read, strict=True)
        codes.of_totals.update(it is not None for at_us, it in judged if at_us >= window.from_us)
        fresh["available"] = np.array(free, dtype=np.int64)
    fresh["as_of_us"] = numbers("as_of_us") if window.ages else fresh["at_us"]
    words, marks = map(values, _KIND[:3]), [numbers(name).tolist() for name in _KIND[3:]]
    fresh["kinds"] = number_each(zip(*words, *marks, strict=True), codes.kinds)
    fresh["users"] = number_each(values("user"), codes.users)
    fresh["calls"] = codes.numbers_of_calls(values("group"))
    more = {name: values(name) for name in beside.columns(window.beside)}
    for name, column in codes.beside.take(more):
        fresh[name] = np.array(column, dtype=np.int64)
    for name, part in fresh.items():
        columns[name].append(part)


FACTS = {
    str(Reason.CANCELLED_BEFORE_ARRIVAL): Fact.CANCELLED,
    str(Reason.USER_SUSPENDED): Fact.SUSPENDED,
    str(Reason.IDENTITY_MISMATCH): Fact.ANOTHER,
    str(Reason.LISTED_DENY): Fact.LISTED,
}
"""The facts that reasons tell of."""


def _history(
    window: Window,
    whole: dict[str, Numbers],
    codes: _Codes,
    catalog: Catalog,
    pasts: dict[int, Past],
) -> History:
    reviewing = _reviewing(catalog, window.operator_id)
    products: dict[tuple[str, int, int], int] = {}
    accepted: dict[str, int] = {}
    reasons: dict[str, int] = {}
    made: list[Product] = []
    table = np.zeros((6, len(codes.kinds)), dtype=np.int64)
    for place, (product_id, offers_text, told, marks, fee_minor) in enumerate(codes.kinds):
        name = product_id, marks // _Mark.REVISION, fee_minor
        if name not in products:
            known = ordered(catalog.revisions.get((window.operator_id, *name[:2])), fee_minor)
            products[name] = NEVER if known is None else len(made)
            made += [] if known is None else [known]
        reasons_told = told.split(",")
        facts = sum(fact for reason, fact in FACTS.items() if reason in reasons_told)
        if str(Reason.UNDER_REVIEW) in reasons_told and not reviewing.intersection(reasons_told):
            facts |= Fact.WATCHED
        table[:, place] = [
            products[name],
            accepted.setdefault(offers_text, len(accepted)),
            facts | (Fact.STALE if marks & _Mark.STALE else 0),
            marks // _Mark.OFFER % 4,
            reasons.setdefault(told, len(reasons)),
            _happened(marks, told),
        ]
    sound = table[0][whole["kinds"]] != NEVER
    left_out = int(np.count_nonzero(~sound & (whole["at_us"] >= window.from_us)))
    if not sound.all():
        whole.update({name: column[sound] for name, column in whole.items()})
    product, accept, facts, offers, reason, happened = table[:, whole["kinds"]]
    at_once = (happened & Happened.AT_ONCE) != 0
    nobody = np.full(len(product), NEVER)
    whole["held_us"] = np.where(at_once, whole["at_us"], whole["held_us"])
    return History(
        operator_id=window.operator_id,
        from_us=window.from_us,
        until_us=window.until_us,
        products=tuple(made),
        accepted=tuple(_offers(it) for it in accepted),
        reason_lists=tuple(tuple(it.split(",")) if it else () for it in reasons),
        calls=whole["calls"],
        users=whole["users"],
        product=product,
        accept=accept,
        facts=facts,
        offers=offers,
        reasons=reason,
        happened=happened,
        as_of_us=whole["as_of_us"],
        most_available=whole["available"],
        devices=whole.get("devices", nobody),
        accounts=whole.get("accounts", nobody),
        pasts=pasts,
        left_out=left_out,
        without_total=codes.of_totals[False] if catalog.total or codes.of_totals[True] else 0,
        **{name: whole[name] for name in _NUMBERS},  # type: ignore[arg-type]
    )


def _reviewing(catalog: Catalog, operator_id: str) -> set[str]:
    """The reasons of rules that may ask for a review: beside them the person was not watched."""
    found: set[str] = set()
    for key, it in catalog.revisions.items():
        rules = it.policy.rules if key[0] == operator_id else None
        if rules is not None:
            found |= {reason for reason, outcome in _outcomes(rules) if outcome is Outcome.REVIEW}
            if rules.new_user is not None and rules.new_user.then is Outcome.REVIEW:
                found.add(str(Reason.NEW_USER_OPEN))
    return found


def _outcomes(rules: Rules) -> Iterator[tuple[str, Outcome]]:
    """The reasons of the rules of a policy, and their outcomes."""
    for it in rules.velocity or ():
        yield str(reason_of(it)), it.then
    for signal in rules.signal or ():
        yield str(signals.reason_of(signal.signal)), signal.then
    for condition in rules.condition or ():
        yield f"{CONDITION_PREFIX}{condition.name}", condition.then
        yield str(Reason.CONDITION_FAILED), condition.then


def _offers(text: str) -> tuple[Offer, ...]:
    return tuple(Offer(it) for it in text.split(",")) if text else ()
