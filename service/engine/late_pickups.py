"""Late pick-ups in a batch: the rows that they need, and their decision.

The rental that has the item by now may belong to another person, whose line must be locked too.
This person is known only after the item was read, so the batch is then read again.
"""

from __future__ import annotations

from typing import Any

from service.domain import appearances, cases, hold, late_pickups, timers
from service.domain.access import PLATFORM
from service.domain.authorization import CLOSED, Authorization, Custody, Start, State, Step
from service.domain.cases import CaseKind, Side
from service.domain.errors import (
    AssetInUse,
    AssetSold,
    FreeholdError,
    IllegalState,
    InvariantBroken,
)
from service.domain.ledger import Line
from service.domain.policy import Reason
from service.engine.budgets import budget_left_minor
from service.engine.calls import LateStart, Work
from service.engine.cases import add_evidence, cases_of
from service.engine.charge_backs import add_given_up
from service.engine.context import Context, Decided
from service.engine.correcting import captures_of
from service.engine.exposure import free_minor
from service.engine.occurrence import occurred_us
from service.engine.payouts import cancel_payouts
from service.engine.ports import AuthorizationKey, ReadAgain, Transaction
from service.engine.posting import apply, brought_up, claim, line_of, product_of
from service.engine.records.late_pickups import LatePickupRecord
from service.engine.rows import Draft, Keys, Rows, Wish
from service.engine.tables import (
    AUTHORIZATIONS,
    CAPTURES,
    CASES,
    LATE_PICKUPS,
    LINES,
    OPEN_ITEMS,
    TRANSFERS,
    Pair,
)
from service.engine.timed import read_timed

_BY_AUTHORIZATION = ("user_id", "authorization_id")


def read_late_pickups(rows: Rows, keys: Keys, transaction: Transaction, now_us: int) -> None:
    """Reads the rows that the late pick-ups of a batch need; no rows if all reservations still
    hold.

    Raises ReadAgain for rentals that have the items by now and were not read.
    """
    late: set[AuthorizationKey] = set()
    items: set[Pair] = set()
    for *name, asset_id in keys.late:
        it = rows[AUTHORIZATIONS].get((name[0], name[1]))
        if it is not None and _may_have_ended(it, keys, now_us):
            late.add((it.user_id, it.authorization_id))
            # Several calls of a batch may name several items.
            items.add((it.operator_id, asset_id or it.asset_id))
    if not late:
        return
    rows.reserved = transaction.reserved(late)
    wishes = [
        Wish(LATE_PICKUPS, LATE_PICKUPS.key, late),
        Wish(CASES, _BY_AUTHORIZATION, late),
        Wish(TRANSFERS, _BY_AUTHORIZATION, late),
        Wish(CAPTURES, _BY_AUTHORIZATION, {it for it in late if rows[AUTHORIZATIONS][it].captures}),
    ]
    transaction.read(rows, wishes)
    begun = {(it.user_id, it.started_id) for it in rows[LATE_PICKUPS].values()}
    unread = begun - rows.read[AUTHORIZATIONS].keys()
    transaction.read(rows, [Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, unread)])
    rentals = [it for key in unread if (it := rows.read[AUTHORIZATIONS].get(key)) is not None]
    read_timed(rows, rentals, transaction)
    holders = {
        (item.user_id, item.authorization_id)
        for key in items
        if (item := rows[OPEN_ITEMS].get(key)) is not None
    }
    unlocked = {
        key for key in holders if key[0] not in keys.users or key not in rows.read[AUTHORIZATIONS]
    }
    if unlocked:
        raise ReadAgain(frozenset(unlocked))


def _may_have_ended(it: Authorization, keys: Keys, now_us: int) -> bool:
    """Whether the reservation has ended, or may end within the batch before its pick-up is told.

    Another call may reverse it, or take its item away.
    """
    if late_pickups.has_ended(it) or timers.has_lapsed(it, now_us):
        return True
    return it.state is State.AUTHORIZED and (it.user_id in keys.reversing or len(keys.late) > 1)


def late_pickup(
    work: Work,
    asked: tuple[str, int],
    reservation: Authorization,
    line: Line,
    draft: Draft,
    rows: Rows,
    context: Context,
) -> Decided | None:
    """The late pick-up of a reservation that ended; None if the item was not picked up in time.

    `asked` is the item, if the call names it, and the instant of the pick-up. A reservation has one
    late pick-up. A later call gets the present state of its rental.
    """
    if not _was_reserved(reservation, rows):
        return None
    asset_id, asked_us = asked
    user_id = reservation.user_id
    earlier = rows[LATE_PICKUPS].get((user_id, reservation.authorization_id))
    if earlier is not None:
        begun = rows[AUTHORIZATIONS][user_id, earlier.started_id]
        hold.item_of(begun, asset_id)
        answer = LateStart(begun, reservation.name)
        return Decided(draft, answer, user_id, begun.authorization_id)
    product = product_of(reservation, context)
    start_us = occurred_us(
        work.caller, hold.START, asked_us, reservation, product.policy, draft, context.now_us
    )
    if not late_pickups.is_cited(reservation, start_us):
        return None
    _require_no_question(reservation, rows, draft)
    asset_id = hold.item_of(reservation, asset_id)
    _take_item(reservation, asset_id, line, draft, rows, context)
    if reservation.captured_minor > reservation.conceded_minor:
        captures = captures_of(reservation, rows, draft)
        given = late_pickups.give_fee_back(reservation, captures, context.now_us)
        reservation = _apply(draft, given, line, rows, context)
    else:
        add_given_up(draft, reservation, rows, 0)
    reservation = _keep_deposit(reservation, line, draft, rows, context)
    steps = draft.get(AUTHORIZATIONS, ())
    left_minor = budget_left_minor(reservation.operator_id, [product], rows, steps)
    available_minor = free_minor(line, rows, context)
    found = late_pickups.pick_up(
        reservation,
        product,
        context.ids.new(context.now_us),
        work.request_id,
        asset_id,
        available_minor if left_minor is None else min(available_minor, left_minor),
        start_us,
        context.now_us,
    )
    if found.reservation is not None:
        _apply(draft, found.reservation, line, rows, context)
    begun = _apply(draft, found.rental, line, rows, context)
    claim(draft, begun)
    if rows.counts is not None:
        rows.counts.add(begun, None)
    draft[LATE_PICKUPS].append(
        LatePickupRecord(
            user_id,
            reservation.authorization_id,
            begun.authorization_id,
            start_us,
            found.deposit_minor,
            begun.create_us,
        )
    )
    answer = LateStart(begun, reservation.name)
    return Decided(draft, answer, user_id, begun.authorization_id)


def _keep_deposit(
    reservation: Authorization, line: Line, draft: Draft, rows: Rows, context: Context
) -> Authorization:
    """Cancels payouts that were not handed in, if the deposit is going out by them.

    A payout that was handed in has gone out.
    """
    before = draft.get(LINES, [])
    kept = cancel_payouts(reservation, late_pickups.has_deposit, line, draft, rows, context)
    _keep_lines(draft, before)
    return kept


def _require_no_question(reservation: Authorization, rows: Rows, draft: Draft) -> None:
    """Raises IllegalState while the platform is asked who had the item.

    Even after the other rental has ended, two people must not pay for the same time.
    """
    for case in cases_of(reservation, rows, draft):
        if case.kind is CaseKind.LATE_PICKUP and case.is_open:
            raise IllegalState(
                "PICKUP_IN_QUESTION",
                f"another rental had the item then: the case {case.case_id} must be closed first",
                reservation.state,
            )


def case_of_late_pickup(
    work: Work, it: Any, refusal: FreeholdError, rows: Rows, context: Context
) -> Draft:
    """The case that a late pick-up opens if somebody else has the item; otherwise nothing.

    Two people say that they had the item at the same time, so the platform asks. While the case is
    open, a further report is refused before this function is called.
    """
    draft = Draft(list)
    reservation = rows[AUTHORIZATIONS].get((it.user_id, it.authorization_id))
    if not isinstance(refusal, AssetInUse) or it.occurred_us is None or reservation is None:
        return draft
    if not late_pickups.has_ended(reservation):
        return draft
    by = Side.PLATFORM if work.caller == PLATFORM else Side.OPERATOR
    case = cases.open_case(
        context.ids.new(context.now_us),
        CaseKind.LATE_PICKUP,
        context.now_us,
        opened_by=by,
        user_id=reservation.user_id,
        operator_id=reservation.operator_id,
        authorization_id=reservation.authorization_id,
        currency=reservation.currency,
        reference=refusal.metadata["authorization"],
        occurred_us=max(reservation.create_us, min(it.occurred_us, context.now_us)),
    )
    add_evidence(draft, case, by, work.method, work.request_id, context.now_us)
    return draft


def _was_reserved(it: Authorization, rows: Rows) -> bool:
    """Whether an authorization that ended had held for a pick-up; an offer and a review had not."""
    if it.start is not Start.ON_PICKUP or it.parent_id or it.start_us is not None:
        # An item that was picked up before the end has no second pick-up, whenever that is told.
        return False
    if (it.user_id, it.authorization_id) in rows.reserved:
        return True
    # If nothing was to be held, no entry tells, and nothing was asked for.
    return not it.credit_minor + it.cash_minor and Reason.UNDER_REVIEW not in it.reasons


def _take_item(
    reservation: Authorization,
    asset_id: str,
    line: Line,
    draft: Draft,
    rows: Rows,
    context: Context,
) -> None:
    """Takes the item away from the rental that has it by now, unless that rental has started.

    A missing item counts as found. Raises AssetInUse or AssetSold.
    """
    item = rows[OPEN_ITEMS].get((reservation.operator_id, asset_id)) if asset_id else None
    if item is None or item[2:4] == reservation[:2]:
        return
    holder = rows[AUTHORIZATIONS].get((item.user_id, item.authorization_id))
    if holder is None:
        raise InvariantBroken("the rental that has the item was not read")
    same = (holder.user_id, holder.currency) == (line.user_id, line.currency)
    theirs = line if same else line_of(holder, rows).copy()
    before = draft.get(LINES, [])
    holder = brought_up(holder, theirs, draft, rows, context)
    _keep_lines(draft, before)
    if holder.state is State.AUTHORIZED:
        _apply(draft, late_pickups.take_away(holder, context.now_us), theirs, rows, context)
    elif holder.custody is Custody.MISSING:
        step = appearances.appear(holder, product_of(holder, context), context.now_us)
        _apply(draft, step, theirs, rows, context)
    elif holder.custody is Custody.SOLD:
        raise AssetSold(asset_id, item.user_id, item.authorization_id)
    elif holder.state not in CLOSED:
        raise AssetInUse(asset_id, item.user_id, item.authorization_id)


def _apply(draft: Draft, step: Step, line: Line, rows: Rows, context: Context) -> Authorization:
    """Adds a step to a draft that may change the lines of two people."""
    before = draft.get(LINES, [])
    result = apply(draft, step, line, rows, context)
    _keep_lines(draft, before)
    return result


def _keep_lines(draft: Draft, before: list[Line]) -> None:
    """Puts back the lines that the draft changed before: `apply` knows one line only."""
    new = [it for it in draft.get(LINES, []) if all(it is not other for other in before)]
    if before or new:
        draft[LINES] = [*before, *new]
