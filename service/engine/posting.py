"""Shared parts of operations: open an authorization, post its step, claim its item."""

from __future__ import annotations

from collections.abc import Callable

from service.domain import late_pickups, timers
from service.domain.access import PLATFORM
from service.domain.acts import check_version
from service.domain.authorization import (
    HOLDING,
    Authorization,
    Custody,
    Start,
    Step,
    Transfer,
)
from service.domain.captures import Capture
from service.domain.details import price_of
from service.domain.errors import (
    AssetInUse,
    AssetSold,
    InvalidInput,
    InvariantBroken,
    NotFound,
    ProductMisconfigured,
)
from service.domain.hash_chain import subject_of
from service.domain.ledger import Entry, Line, Standing, post
from service.domain.money import Money
from service.domain.policy import Reason
from service.domain.product import Product
from service.domain.receipt import has_receipt, receipt_of
from service.engine.attesting import meter
from service.engine.beside import tell
from service.engine.calls import AuthorizationCommand, Corrected, Work
from service.engine.cases import follow
from service.engine.charge_backs import GIVING_BACK, add_found, add_given_up
from service.engine.context import Context, Decided
from service.engine.correcting import (
    NO_REMARK,
    Remark,
    add_capture,
    add_corrections,
    captures_of,
    require_new_reference,
)
from service.engine.lapses import add_lapse
from service.engine.quotas import give_back, use_minutes
from service.engine.records.authorizations import ItemKind, OpenItem
from service.engine.records.debts import DebtRecord
from service.engine.records.events import Event
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.records.unposted import UnpostedRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import (
    AUTHORIZATIONS,
    CASES,
    CORRECTIONS,
    DEBTS,
    ENTRIES,
    LINES,
    OPEN_ITEMS,
    OUTBOX,
    TRANSFERS,
    UNPOSTED,
    Pair,
)


def opened(
    caller: str, command: AuthorizationCommand, rows: Rows, context: Context
) -> tuple[Authorization, Line, Draft]:
    """The authorization as of now, its line to post to, and a draft.

    Due timers run first, so that nothing is posted after an end even if the timers' worker is late.
    The expected version is compared before that, because the caller could read only the stored
    version. An authorization of another operator is not found; the platform's keys reach all.
    """
    current = rows[AUTHORIZATIONS].get((command.user_id, command.authorization_id))
    if current is None or caller not in (current.operator_id, PLATFORM):
        raise NotFound("authorization", command.authorization_id)
    check_version(current, command.expected_version)
    line = line_of(current, rows).copy()
    draft = Draft(list)
    return brought_up(current, line, draft, rows, context), line, draft


def brought_up(
    current: Authorization, line: Line, draft: Draft, rows: Rows, context: Context
) -> Authorization:
    """The authorization after all due timers."""
    while timers.is_due(current, context.now_us):
        appeared = current.close_us is not None and current.custody is Custody.UNKNOWN
        captures = captures_of(current, rows, draft) if appeared else ()
        product = product_of(current, context)
        step = timers.advance(
            current, product, context.now_us, captures, meter(current, rows, draft)
        )
        if step is None:
            raise InvariantBroken("a timer was due but made no step")
        lapse = add_lapse(draft, current, step, context.now_us)
        current = apply(draft, step, line, rows, context)
        if lapse is not None:
            tell(draft, lapse, context)
    return current


def product_of(authorization: Authorization, context: Context) -> Product:
    """The product, in the revision under which the authorization was granted."""
    key = (authorization.operator_id, authorization.product_id, authorization.product_revision)
    product = context.catalog.revisions.get(key)
    if product is None and any(fault.key == key for fault in context.catalog.faults):
        raise ProductMisconfigured(authorization.product_id)
    if product is None:
        raise InvariantBroken("the product revision of an authorization is missing")
    return product


def line_of(authorization: Authorization, rows: Rows) -> Line:
    """The line of the authorization."""
    line = rows[LINES].get((authorization.user_id, authorization.currency))
    if line is None:
        raise InvariantBroken("the line of an authorization is missing")
    return line


def line_for(user_id: str, currency: str, rows: Rows, context: Context) -> tuple[Line, bool]:
    """A copy of a person's line to post to, and whether it is new.

    A new line has the standing of the person's other lines.
    """
    line = rows[LINES].get((user_id, currency))
    if line is not None:
        return line.copy(), False
    key = context.ids.key()
    standing = max(
        (other.standing for other in rows.lines_of(user_id)),
        key=list(Standing).index,
        default=Standing.NORMAL,
    )
    subject = subject_of(user_id, key)
    return (Line(user_id, currency, standing=standing, subject_key=key, subject=subject), True)


def apply(
    draft: Draft,
    step: Step,
    line: Line,
    rows: Rows,
    context: Context,
    remark: Remark = NO_REMARK,
) -> Authorization:
    """Adds a step to the draft: its authorization, entries, event, transfer and item.

    The rows of its capture and its correction are added too; `remark` is kept with the correction.
    """
    result = step.authorization
    draft[AUTHORIZATIONS].append(result)
    posted: list[Entry] = []
    if step.postings:
        posted = post(
            line,
            step.postings,
            step.transition,
            operator_id=result.operator_id,
            authorization_id=result.authorization_id,
            event_us=step.event_us,
            now_us=context.now_us,
        )
        draft[ENTRIES] += posted
        draft[LINES] = [line]
    event = (
        step.transition,
        result.user_id,
        result.authorization_id,
        result.version,
        step.event_us,
        context.now_us,
        result.operator_id,
        _payload(draft, step, posted, rows, context),
    )
    draft[OUTBOX].append(_new(Event, event))
    if step.taken is not None:
        add_capture(draft, step, step.taken, context.now_us)
    if step.parts:
        add_corrections(draft, step, rows, remark, context.now_us)
        if step.transition in GIVING_BACK:
            add_found(draft, result, rows)
    if step.regain_minor is not None:
        add_given_up(draft, result, rows, step.regain_minor)
    if step.transfer is not None:
        draft[TRANSFERS].append(_transfer(result, step.transfer, context))
    if result.close_us is not None:
        if result.asset_id:
            _leave(draft, result, rows)
        if result.start is _LATE_PICKUP:
            _follow_fee(draft, step, line, rows, context, remark)
    if rows.pools:
        give_back(draft, result, rows)
    if rows[CASES]:
        follow(draft, step, rows, context.now_us)
    return result


_LATE_PICKUP = Start.LATE_PICKUP
# The same as calling the class, in a fifth of the time.
_new = tuple.__new__


def _follow_fee(
    draft: Draft, step: Step, line: Line, rows: Rows, context: Context, remark: Remark
) -> None:
    """Books the fee of a late pick-up above its hold, or lowers it after an earlier return.

    The engine has read the debts of a closed late pick-up.
    """
    it = step.authorization
    product = product_of(it, context)
    amount_minor = late_pickups.above_hold_minor(step, product)
    if amount_minor:
        debt_id = context.ids.new(context.now_us)
        booked = late_pickups.book_fee(it, product, debt_id, amount_minor)
        draft[DEBTS].append(
            DebtRecord(
                it.user_id,
                it.authorization_id,
                Reason.FEE_ABOVE_HOLD,
                debt_id,
                it.operator_id,
                amount_minor,
                it.currency,
                "",
                "",
                booked.authorization.create_us,
            )
        )
        apply(draft, booked, line, rows, context)
    if step.transition in late_pickups.RETURNING:
        charges = {one.name: one for one in rows.damage_charges(it.user_id, it.authorization_id)}
        charges |= {one.name: one for one in draft[AUTHORIZATIONS]}
        for debt in charges.values():
            if debt.parent_id == it.authorization_id and late_pickups.is_fee(debt):
                excess_minor = late_pickups.excess_minor(debt, it)
                if excess_minor > 0:
                    lowered = late_pickups.lower_fee(debt, step, excess_minor)
                    apply(draft, lowered, line, rows, context, remark)
                else:
                    add_given_up(draft, debt, rows, -excess_minor)


def _payload(draft: Draft, step: Step, posted: list[Entry], rows: Rows, context: Context) -> bytes:
    """The authorization as callers see it. If the step bills by the tariff, the receipt is there
    too.

    If such a step posted nothing, there is no entry of it, so a row records the step.
    """
    it = step.authorization
    if not has_receipt(it, step.transition):
        return context.told(it)
    product = product_of(it, context)
    late = it.start is _LATE_PICKUP
    debt_minor = late_pickups.above_hold_minor(step, product) if late else 0
    receipt = receipt_of(
        it,
        product.tariff,
        step.transition,
        step.event_us,
        meter(it, rows, draft, closes=True),
        debt_minor,
        product.policy.free_cancellation_us,
        product.cancellation_fee_minor,
    )
    if rows.pools and receipt is not None:
        use_minutes(draft, it, receipt, rows)
    payload = context.encode(it, receipt, price_of(product))
    if posted:
        return payload
    row = UnpostedRecord(
        it.user_id,
        it.authorization_id,
        it.version,
        step.transition,
        step.event_us,
        context.now_us,
        b"",
    )
    row = row._replace(digest=row.expected_digest)
    draft[UNPOSTED].append(row)
    return payload + context.encode_beside(row)


def _leave(draft: Draft, closed: Authorization, rows: Rows) -> None:
    """Frees the item of a closed rental; a lost item is kept from being free.

    Raises InvariantBroken if the batch has not read the item that the rental has.
    """
    key, kind = (closed.operator_id, closed.asset_id), _LOST_AS.get(closed.custody)
    item = rows[OPEN_ITEMS].get(key)
    if item is None or item.authorization_id != closed.authorization_id:
        if key not in rows.sought_items and _has_item(closed, rows):
            raise InvariantBroken("the item of a rental was not read before the rental was closed")
        return
    if OPEN_ITEMS in draft:
        # An earlier step of the draft may have lost the item.
        others = [it for it in draft[OPEN_ITEMS] if (it.operator_id, it.asset_id) != key]
        draft[OPEN_ITEMS] = others
    if kind is None:
        draft.gone = [*draft.gone, (OPEN_ITEMS, key)]
    elif kind is not item.kind:
        draft[OPEN_ITEMS].append(item._replace(kind=kind))


def _has_item(closed: Authorization, rows: Rows) -> bool:
    """Whether the rental had its item before the command, either out or kept from being free."""
    before = rows[AUTHORIZATIONS].get((closed.user_id, closed.authorization_id))
    if before is None or before.parent_id:
        return False
    return before.state in HOLDING or before.custody in _LOST_AS


_LOST_AS = {Custody.MISSING: ItemKind.MISSING, Custody.SOLD: ItemKind.SOLD}
"""The kinds of items that closed rentals keep from being free."""


def _transfer(it: Authorization, transfer: Transfer, context: Context) -> TransferRecord:
    return TransferRecord(
        user_id=it.user_id,
        transfer_id=context.ids.new(context.now_us),
        authorization_id=it.authorization_id,
        kind=transfer.kind,
        amount_minor=transfer.amount_minor,
        currency=it.currency,
        state=TransferState.REQUESTED,
        detail="",
        request_us=context.now_us,
        change_us=context.now_us,
    )


def one_step(
    work: Work,
    it: AuthorizationCommand,
    rows: Rows,
    context: Context,
    take: Callable[[Authorization], Step],
) -> Decided:
    """The whole effect of a command that is one step of its authorization."""
    current, line, draft = opened(work.caller, it, rows, context)
    return finish(draft, take(current), line, rows, context)


def corrected(
    work: Work,
    it: AuthorizationCommand,
    rows: Rows,
    context: Context,
    remark: Remark,
    take: Callable[[Authorization, list[Capture]], Step],
) -> Decided:
    """The whole effect of a correction; the answer has the correction's rows."""
    current, line, draft = opened(work.caller, it, rows, context)
    if remark.business_reference:
        require_new_reference(remark.business_reference, current, rows, draft)
    step = take(current, captures_of(current, rows, draft))
    return finish_correction(draft, step, line, rows, context, remark)


def finish_correction(
    draft: Draft, step: Step, line: Line, rows: Rows, context: Context, remark: Remark
) -> Decided:
    """A correcting step as the command's whole effect and answer."""
    result = apply(draft, step, line, rows, context, remark)
    # The debt for a fee above the hold may have been corrected with it.
    own = [row for row in draft[CORRECTIONS] if row.authorization_id == result.authorization_id]
    answer = Corrected(result, tuple(own[-len(step.parts) :] if step.parts else ()))
    return Decided(draft, answer, result.user_id, result.authorization_id)


def positive_minor(amount: Money, current: Authorization, field: str = "amount") -> int:
    """An amount in minor units, as `minor_of`; raises InvalidInput if it is 0."""
    amount_minor = minor_of(amount, current, field)
    if amount_minor == 0:
        raise InvalidInput.of(
            f"{field}.amount_minor", f"{field}.positive", "must be more than zero"
        )
    return amount_minor


def minor_of(amount: Money, current: Authorization, field: str = "amount") -> int:
    """An amount in minor units; raises InvalidInput if its currency is not the authorization's."""
    return amount.require(current.currency, f"{field}.currency_code")


def finish(draft: Draft, step: Step, line: Line, rows: Rows, context: Context) -> Decided:
    """The step as the command's whole effect and answer."""
    result = apply(draft, step, line, rows, context)
    return Decided(draft, result, result.user_id, result.authorization_id)


def claim(draft: Draft, authorization: Authorization) -> None:
    """Marks the item, if named, as in use by this open rental. A damage charge marks no item."""
    if authorization.asset_id and not authorization.parent_id:
        draft[OPEN_ITEMS].append(
            OpenItem(
                authorization.operator_id,
                authorization.asset_id,
                authorization.user_id,
                authorization.authorization_id,
            )
        )


def taken_as(rows: Rows, operator_id: str, asset_id: str) -> Reason | None:
    """The reason why an item is not free; None if it is free, or no item is named."""
    item = rows[OPEN_ITEMS].get((operator_id, asset_id)) if asset_id else None
    if item is None:
        return None
    return Reason.ASSET_SOLD if item.kind is ItemKind.SOLD else Reason.ASSET_IN_USE


def require_free(rows: Rows, operator_id: str, asset_id: str) -> None:
    """Raises AssetInUse if the item is in an open rental, and AssetSold if it counts as sold."""
    reason = taken_as(rows, operator_id, asset_id)
    if reason is None:
        return
    item = rows[OPEN_ITEMS][operator_id, asset_id]
    refusal = AssetSold if reason is Reason.ASSET_SOLD else AssetInUse
    raise refusal(asset_id, item.user_id, item.authorization_id)


def payment_of(
    counted: Pair,
    kind: PaymentKind,
    authorization: Authorization,
    amount_minor: int,
    context: Context,
) -> PaymentRecord:
    """The record of a payment for an authorization; `counted` is the key of its reference."""
    return PaymentRecord(
        *counted,
        kind,
        authorization.user_id,
        authorization.authorization_id,
        amount_minor,
        authorization.currency,
        context.now_us,
    )
