"""References between rows: finds rows without a partner by queries in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, Table, and_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.order_fees import held_otherwise
from service.books.passes import BUY, GRANT, REFUND
from service.domain.authorization import HOLDING, Custody, Start, State
from service.domain.policy import Reason
from service.engine.records.authorizations import ItemKind
from service.engine.records.refusals import REFUSED
from service.storage import schema as t
from service.storage.schema.columns import HasBytes, HasText

Row = Sequence[Any]
ADD_EVIDENCE, RESOLVE_CASE = "AddEvidence", "ResolveCase"
RESERVATION_KEY = '"reservation":'
"""Stands in the stored tariffs that have a price of a reservation."""
PROPOSE_MERGE, APPROVE_MERGE = "ProposeMerge", "ApproveMerge"
"""Methods that leave a merge: a proposal may replace another, and none is withdrawn."""


class Reference(NamedTuple):
    """A kind of reference: rows of a table that must have a partner, and the fault otherwise."""

    rule: str
    table: Table
    alone: Select[Any]
    detail: str
    seen_by_person: bool = False
    """True if the check of a person's rows finds the same fault."""

    def of(self, people: Callable[[ColumnElement[str]], list[ColumnElement[bool]]]) -> Select[Any]:
        """Selects the keys of these people's rows without a partner."""
        return self.alone.where(*people(self.table.c.user_id)).limit(1)

    def row(self, keys: Row) -> str:
        """The name of the row with these keys."""
        if self.table is t.authorizations:
            return "users/{}/authorizations/{}".format(*keys)
        return "/".join([self.table.name, *map(str, keys)])


def _alone(
    table: Table, partner: Table, on: ColumnElement[bool], *where: ColumnElement[bool]
) -> Select[Any]:
    """Selects the keys of rows without a partner; the database does the search."""
    absent = next(iter(partner.primary_key)).is_(None)
    return (
        select(*table.primary_key).select_from(table.outerjoin(partner, on)).where(absent, *where)
    )


def _references() -> list[Reference]:
    a, o, r, d = t.authorizations.c, t.open_items.c, t.requests.c, t.decisions.c
    # A damage charge may name an item, and leaves it free.
    holds = and_(a.state.in_(sorted(str(state) for state in HOLDING)), a.parent_id == "")
    keys = ("operator_id", "asset_id", "user_id", "authorization_id")
    item = and_(*(o[key] == a[key] for key in keys))
    rented = and_(holds, o.kind == ItemKind.RENTED)
    # A server of the build before 0011 leaves the kind of an item that it sells as it was.
    lost = and_(
        a.state == State.SETTLED,
        or_(a.custody == o.kind, and_(o.kind == ItemKind.MISSING, a.custody == Custody.SOLD)),
    )
    b = t.debts.c
    booked = and_(
        *(b[key] == a[key] for key in ("user_id", "authorization_id", "operator_id", "parent_id")),
        b.currency == a.currency,
        b.amount_minor == a.unheld_minor,
        b.record_us == a.create_us,
    )
    late, rental = t.late_pickups.c, t.authorizations.alias("begun")
    n = rental.c
    cited = and_(
        a.user_id == late.user_id,
        a.authorization_id == late.authorization_id,
        or_(
            a.state.in_(sorted(str(state) for state in (State.EXPIRED, State.REVERSED))),
            # It was billed at its end, and then all of that was given back.
            and_(a.reserve_us.is_not(None), a.conceded_minor == a.captured_minor),
        ),
        a.start_us.is_(None),
        a.start == Start.ON_PICKUP,
        a.close_us > late.start_us,
    )
    terms = ("operator_id", "currency", "product_id", "product_revision", "policy_revision")
    rests = ("fee_bp", "decision_id", "model_id", "band", "offer", "rental_period_us")
    begun = and_(
        n.user_id == late.user_id,
        n.authorization_id == late.started_id,
        n.start == Start.LATE_PICKUP,
        n.start_us == late.start_us,
        n.create_us == late.record_us,
        n.create_us >= a.close_us,
        n.reserve_us.is_not_distinct_from(a.reserve_us),
        # An increment of the rental may raise the fee since.
        or_(
            and_(n.order_fee_minor.is_(None), a.order_fee_minor.is_(None)),
            n.order_fee_minor >= a.order_fee_minor,
        ),
        *(n[key] == a[key] for key in (*terms, *rests)),
    )
    pickups = t.late_pickups.outerjoin(t.authorizations, cited).outerjoin(rental, begun)
    asked = and_(r.caller == a.operator_id, r.request_id == a.request_id, r.user_id == a.user_id)
    same = ("decision_id", "user_id", "operator_id", "product_id", "product_revision")
    decided = and_(
        *(d[key] == a[key] for key in (*same, "policy_revision", "model_id")),
        d.decide_us == a.create_us,
        or_(d.request_id == a.request_id, a.request_id == ""),
        or_(
            d.offer == a.offer,
            and_(d.offer.is_(None), a.offer.is_(None)),
            # The person who resolved the review decided last.
            d.reasons.startswith(Reason.UNDER_REVIEW),
        ),
    )
    tried = t.refused_increments.c
    refused = and_(
        r.user_id == tried.user_id,
        r.caller == tried.caller,
        r.request_id == tried.request_id,
        r.record_us == tried.record_us,
    )
    is_refused = r.method.endswith(REFUSED)
    held = t.passes.c
    # The pass of a refund was refunded.
    passed = and_(
        held.user_id == r.user_id,
        held.operator_id == r.caller,
        or_(r.method != REFUND, held.refund_request_id == r.request_id),
    )
    passed_debt = and_(held.user_id == a.user_id, held.operator_id == a.operator_id)
    p, e, later, question = t.products.c, t.entries.c, t.later_decisions.c, t.cases.c
    of_terms = and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )
    found = [
        Reference(
            "REFERENCE",
            table,
            _alone(
                table,
                t.authorizations,
                and_(
                    a.user_id == table.c.user_id,
                    a.authorization_id == table.c.authorization_id,
                ),
                table.c.authorization_id != "",
            ),
            "the authorization is missing",
            seen_by_person=True,
        )
        for table in (t.requests, t.payments, t.transfers)
    ]
    return [
        *found,
        Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.requests, asked, a.request_id != ""),
            "its request is missing",
        ),
        Reference(
            "REFERENCE",
            t.authorizations,
            # A debt without a hold is booked whatever the person's score, and a late pick-up rests
            # on the decision of its reservation.
            _alone(
                *(t.authorizations, t.decisions, decided),
                *(a.unheld_minor == 0, a.start != Start.LATE_PICKUP),
            ),
            "its decision is missing",
        ),
        Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.products, of_terms),
            "the rented product is missing",
        ),
        Reference(
            "RESERVATION",
            t.authorizations,
            _alone(
                t.authorizations,
                t.products,
                and_(of_terms, p.tariff.contains(RESERVATION_KEY)),
                a.reserve_us.is_not(None),
            ),
            "the tariff has no price for the time of its reservation",
        ),
        Reference(
            "RESERVATION",
            t.authorizations,
            select(*t.authorizations.primary_key)
            .select_from(t.authorizations.join(t.products, of_terms))
            .where(
                a.reserve_us.is_(None),
                p.tariff.contains(RESERVATION_KEY),
                or_(a.state == State.AUTHORIZED, a.start_us.is_not(None)),
                a.start == Start.ON_PICKUP,
            ),
            "the beginning of its reservation is missing",
        ),
        Reference(
            "ORDER_FEE",
            t.authorizations,
            held_otherwise(),
            "it holds another amount than the deposit and the fee of its order",
        ),
        Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.users, t.users.c.user_id == a.user_id),
            "the person is missing",
        ),
        Reference(
            "DEBT",
            t.debts,
            _alone(t.debts, t.authorizations, booked),
            "the debt is missing, or differs from its booking",
        ),
        Reference(
            "DEBT",
            t.authorizations,
            _alone(t.authorizations, t.debts, booked, a.unheld_minor != 0),
            "the booking of the debt is missing",
        ),
        Reference(
            "LATE_PICKUP",
            t.late_pickups,
            select(*t.late_pickups.primary_key)
            .select_from(pickups)
            .where(or_(a.user_id.is_(None), n.user_id.is_(None))),
            "the reservation or the rental is missing, or differs from the row",
        ),
        Reference(
            "LATE_PICKUP",
            t.authorizations,
            _alone(
                t.authorizations,
                t.late_pickups,
                and_(late.user_id == a.user_id, late.started_id == a.authorization_id),
                a.start == Start.LATE_PICKUP,
            ),
            "the reservation of the late pick-up is missing",
        ),
        Reference(
            "DECISION",
            t.later_decisions,
            _alone(
                *(t.later_decisions, t.decisions),
                and_(
                    d.decision_id == later.decision_id,
                    d.user_id == later.user_id,
                    d.decide_us == later.record_us,
                ),
            ),
            "the decision is missing",
        ),
        Reference(
            "DECISION",
            t.later_decisions,
            _alone(
                *(t.later_decisions, t.entries),
                and_(
                    e.user_id == later.user_id,
                    e.currency == later.currency,
                    e.sequence == later.transaction_sequence,
                    e.authorization_id == later.authorization_id,
                    e.transition == later.transition,
                ),
            ),
            "its entries are missing",
        ),
        Reference(
            "INCREMENTS",
            t.refused_increments,
            _alone(
                *(t.refused_increments, t.requests, and_(refused, is_refused)),
                tried.reason == Reason.LINE_EXHAUSTED,
            ),
            "its refusal is missing",
        ),
        Reference(
            "INCREMENTS",
            t.requests,
            # Without a bound of tries, and before there was one, refusals say nothing of tries.
            _alone(
                *(t.requests, t.refused_increments, refused),
                *(is_refused, HasBytes(r.answer, b'"tries_left"')),
            ),
            "the refused try is missing",
        ),
        Reference(
            "CASE",
            t.requests,
            # A call about an authorization has an event, which the check of cases reads.
            _alone(
                *(t.requests, t.cases),
                and_(question.user_id == r.user_id, HasText(r.answer, question.case_id)),
                *(r.authorization_id == "", r.method.in_([ADD_EVIDENCE, RESOLVE_CASE])),
            ),
            "its question to the platform is missing",
        ),
        Reference(
            "PASS",
            t.requests,
            _alone(
                *(t.requests, t.passes, and_(passed, HasText(r.answer, held.pass_id))),
                r.method.in_([GRANT, BUY, REFUND]),
            ),
            "its pass is missing",
        ),
        Reference(
            "PASS",
            t.authorizations,
            _alone(
                t.authorizations,
                t.passes,
                and_(passed_debt, held.authorization_id == a.authorization_id),
                a.reasons == str(Reason.PASS_BOUGHT),
            ),
            "the pass that it paid for is missing",
        ),
        Reference(
            "ALIAS",
            t.requests,
            _alone(
                *(t.requests, t.aliases, t.aliases.c.user_id == r.user_id),
                r.method.in_([PROPOSE_MERGE, APPROVE_MERGE]),
            ),
            "the merge that it proposed or approved is missing",
        ),
        Reference(
            "OPEN_ITEM",
            t.open_items,
            _alone(t.open_items, t.authorizations, and_(item, or_(rented, lost))),
            "no authorization holds the item",
        ),
        Reference(
            "OPEN_ITEM",
            t.authorizations,
            _alone(
                t.authorizations,
                t.open_items,
                and_(item, o.kind == ItemKind.RENTED),
                *(holds, a.asset_id != ""),
            ),
            "the item is free for others",
        ),
    ]


REFERENCES = _references()
