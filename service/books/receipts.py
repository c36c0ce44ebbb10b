"""Checks the receipts in the payloads of events against the stored rows and the tariff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.walked_fees import walked_minor, walked_reservation_minor
from service.domain.attestations import AttestationKind
from service.domain.authorization import Start, State
from service.domain.errors import InvalidInput
from service.domain.policy import Reason
from service.domain.receipt import Lines, Receipt, ReceiptItem
from service.domain.reservation_fee import after_reservation, reservation_lines
from service.domain.segment_tariff import PassGift, SegmentTariff
from service.domain.tariff import MINUTE_US, AnyTariff, Fee, FeeItem, FeeLine, fee, interval_minutes
from service.domain.transitions import Transition
from service.storage import schema as t
from service.storage.tariffs import TARIFF_COLUMNS, tariff_in_row

DOCKINGS = (
    *(Transition.CLAIM_ACCEPTED, Transition.HANDED_OVER),
    *(Transition.LOST, Transition.SETTLED),
)
"""The steps whose events have a receipt; a second telling, like `expectations`."""
OF_PASSES = (ReceiptItem.PASS_MINUTES, ReceiptItem.PASS_DISCOUNT)
"""The kinds of lines that only a pass gives."""
ENDS = (Transition.CANCELLED, Transition.EXPIRED)
"""The steps that have one if they bill a reservation whose time has a price."""


class Beside(NamedTuple):
    """The parts of a receipt that few rentals have; amounts in minor units.

    `stood` are the times in which the meter did not run. `waived_minor` is the part of the fee that
    was waived before the capture. `debt_minor` is the fee above the hold that became a debt.
    `quota_us` of the use were free by quotas and a pass, the first `pass_minutes` by the pass.
    `percent` is the share that a pass took off the fee.
    """

    stood: Sequence[tuple[int, int]] = ()
    waived_minor: int = 0
    debt_minor: int = 0
    quota_us: int = 0
    pass_minutes: int = 0
    percent: int = 0


class Charged(NamedTuple):
    """The stored values from which a receipt follows: amounts in minor units, times in
    microseconds since the epoch."""

    transition: str
    event_us: int
    authorization_version: int
    user_id: str
    authorization_id: str
    parent_id: str
    start_us: int | None
    claim_us: int | None
    credit_minor: int
    cash_minor: int
    captured_minor: int
    captured_credit_minor: int
    other_captured_minor: int
    start: str
    paused_us: int
    corrections: int
    reserve_us: int | None
    order_fee_minor: int | None
    state: str


class Terms(NamedTuple):
    """The stored terms of a rental: `TARIFF_COLUMNS`, the time of a free cancellation, and the fee
    of a later one."""

    start_fee_minor: int | None
    free_minutes: int
    interval_minutes: int
    interval_price_minor: int
    day_cap_minor: int
    buy_out_minor: int
    tariff: str | None
    free_us: int | None
    cancelling_minor: int


_OF_THE_EVENT = Charged._fields.index("parent_id")
"""The number of columns of `Charged` that come from the event."""
COLUMNS: tuple[ColumnElement[Any], ...] = (
    *[t.outbox.c[name] for name in Charged._fields[:_OF_THE_EVENT]],
    *[t.authorizations.c[name] for name in Charged._fields[_OF_THE_EVENT:]],
    *TARIFF_COLUMNS,
    select(t.policies.c.free_cancellation_us)
    .where(
        t.policies.c.policy_id == t.products.c.policy_id,
        t.policies.c.revision == t.products.c.policy_revision,
    )
    .scalar_subquery(),
    t.products.c.cancellation_fee_minor,
)
"""The columns of `Charged`, then those of `Terms`."""


Line = tuple[str, int, int, int, int, int, str, str]
"""A line as plain values, in the order of `FeeLine`."""


def _plain(lines: Lines) -> list[Line]:
    return [(it.item.value, *it[1:]) for it in lines]


def _once(item: ReceiptItem, amount_minor: int) -> Line:
    return item.value, 1, amount_minor, amount_minor, 0, 0, "", ""


def _within_order(it: Charged, lines: list[Line], waived_minor: int) -> int:
    """The sum of a fee's lines, after the line that lowers it to the fee of the order, if any.

    Such a line comes before those of pauses and waivers, and at most what is left is waived.
    """
    most_minor = it.order_fee_minor
    after = [one for one in lines if one[0] in (ReceiptItem.PAUSED_MINUTES, ReceiptItem.WAIVED)]
    priced_minor = sum(one[3] for one in lines if one not in after)
    if most_minor is not None and priced_minor > most_minor:
        item = ReceiptItem.ORDER_FEE_REDUCTION if most_minor else ReceiptItem.PAID_ELSEWHERE
        lines[len(lines) - len(after) :] = [
            _once(item, most_minor - priced_minor),
            *(one for one in after if one[0] == ReceiptItem.PAUSED_MINUTES),
        ]
        if waived_minor := min(waived_minor, most_minor):
            lines.append(_once(ReceiptItem.WAIVED, -waived_minor))
    return sum(one[3] for one in lines)


def docks() -> ColumnElement[bool]:
    """The condition that an event may have a receipt."""
    return t.outbox.c.transition.in_(DOCKINGS)


def bills() -> ColumnElement[bool]:
    """The condition that an event has a receipt, unless an earlier build wrote it."""
    a, o = t.authorizations.c, t.outbox.c
    own = and_(a.user_id == o.user_id, a.authorization_id == o.authorization_id)
    priced = select(a.user_id).where(own, a.reserve_us.is_not(None), a.state == State.SETTLED)
    return or_(docks(), and_(o.transition.in_(ENDS), priced.correlate(t.outbox).exists()))


def terms() -> ColumnElement[bool]:
    """The condition that joins an authorization with the terms of its beginning."""
    a, p = t.authorizations.c, t.products.c
    return and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )


def _beside(connection: Connection, it: Charged) -> Beside:
    """Reads the pauses, the waivers and the debt of a rental, if it can have any."""
    stood, waived_minor, debt_minor = list[list[int]](), 0, 0
    if it.paused_us or it.corrections:
        a = t.attestations.c
        query = select(a.kind, a.event_us, a.until_us, a.pending_minor).where(
            a.user_id == it.user_id,
            a.authorization_id == it.authorization_id,
            # A pause that was told after the settlement is not in the receipt.
            a.authorization_version < it.authorization_version,
        )
        for kind, from_us, until_us, pending_minor in connection.execute(query.order_by(a.number)):
            waived_minor += pending_minor
            if kind == AttestationKind.PAUSE:
                stood.append([from_us, until_us, 0])
            elif kind == AttestationKind.RESUME:
                # Not always the last one: an earlier pause may be told after a later one.
                for pause in stood:
                    if pause[0] <= from_us < pause[1] and not pause[2]:
                        pause[1:] = [from_us, 1]
    if it.start == Start.LATE_PICKUP:
        d = t.debts.c
        booked = select(d.amount_minor).where(
            *(d.user_id == it.user_id, d.parent_id == it.authorization_id),
            *(d.business_reference == str(Reason.FEE_ABOVE_HOLD), d.evidence == ""),
        )
        debt_minor = connection.scalar(booked) or 0
    return Beside([(begin, end) for begin, end, _ in stood], waived_minor, debt_minor)


def _with_uses(connection: Connection, it: Charged, beside: Beside) -> Beside:
    """Reads the minutes of the use that were free by quotas and a pass, and the pass's share of the
    fee, as their rows tell."""
    u, p = t.quota_uses.c, t.passes.c
    of_use = (p.user_id == u.user_id, p.operator_id == u.operator_id, p.pass_id == u.name)
    minutes, of_pass, percent = 0, 0, 0
    for per, used, size in connection.execute(
        select(u.per, u.minutes, p.size)
        .select_from(t.quota_uses.outerjoin(t.passes, and_(*of_use)))
        .where(u.user_id == it.user_id, u.authorization_id == it.authorization_id)
    ):
        minutes += used
        of_pass += used if per in (PassGift.MINUTES_A_RENTAL, PassGift.MINUTES_A_DAY) else 0
        percent += size or 0 if per == PassGift.PERCENT else 0
    return beside._replace(quota_us=MINUTE_US * minutes, pass_minutes=of_pass, percent=percent)


def wrong_receipt(connection: Connection, receipt: Receipt | None, stored: Sequence[Any]) -> str:
    """The first value of a receipt that differs from `COLUMNS`; empty if none does.

    An event of an earlier build has no receipt, and the terms of a product may be missing.
    """
    if receipt is None:
        return ""
    it = Charged(*stored[: len(Charged._fields)])
    terms = Terms(*stored[len(Charged._fields) :])
    settles = it.transition in DOCKINGS and it.start_us is not None
    ends = it.transition in ENDS and it.reserve_us is not None and it.state == State.SETTLED
    if it.parent_id or not (settles or ends):
        return "the step has a receipt, and settles no rental"
    if terms.start_fee_minor is None:
        return ""
    try:
        tariff = tariff_in_row(terms)
    except InvalidInput:
        return "the tariff of its product makes no sense"
    beside = _beside(connection, it)
    told = any(line.item in OF_PASSES for line in receipt.lines)
    if told or tariff.quotas or tariff.passes:
        beside = _with_uses(connection, it, beside)
    bill = _ended(it, tariff, terms, beside) if ends else _billed(it, tariff, terms.free_us, beside)
    for name, said, expected in _told(receipt, it, tariff, bill, beside.debt_minor):
        if said != expected:
            return f"the receipt's {name} is {said}, expected {expected}"
    return ""


class _Bill(NamedTuple):
    """What is billed between two instants: the lines, their sum, and the sums of the tariff's lines
    and of the walk from unit to unit, both before waivers and without the fee of the order."""

    start_us: int
    end_us: int
    lines: list[Line]
    asked_minor: int
    walked: tuple[int, int]


def _ended(it: Charged, tariff: AnyTariff, terms: Terms, beside: Beside) -> _Bill:
    """The bill of a reservation that ended before its pick-up, or of a rental that was cancelled in
    time."""
    begin_us = it.event_us if it.reserve_us is None else it.reserve_us
    end_us = it.event_us if it.start_us is None else max(begin_us, it.start_us)
    plain, flat_minor = _plain(reservation_lines(tariff, end_us - begin_us)), 0
    late = terms.free_us is not None and it.event_us > begin_us + terms.free_us
    if it.transition == Transition.CANCELLED and it.start_us is None and late:
        flat_minor = terms.cancelling_minor
    if flat_minor:
        plain.append(_once(ReceiptItem.CANCELLATION_FEE, flat_minor))
    sum_minor = sum(one[3] for one in plain)
    waived_minor = min(beside.waived_minor, sum_minor)
    if waived_minor:
        plain.append(_once(ReceiptItem.WAIVED, -waived_minor))
    walked_minor = walked_reservation_minor(tariff, end_us - begin_us) + flat_minor
    asked_minor = _within_order(it, plain, beside.waived_minor)
    return _Bill(begin_us, end_us, plain, asked_minor, (sum_minor, walked_minor))


def _billed(it: Charged, tariff: AnyTariff, free_us: int | None, beside: Beside) -> _Bill:
    """The bill of a rental and its reservation, or the price of a lost item."""
    start_us = it.event_us if it.start_us is None else it.start_us
    end_us, lost = it.event_us, it.transition == Transition.LOST
    # A lost item that appeared was seen after the loss. So a time before the loss is that of a
    # claimed return, or of a granted complaint.
    if it.claim_us is not None and it.claim_us < end_us:
        end_us, lost = max(it.claim_us, start_us), False
    reserved_us = 0 if it.reserve_us is None else max(0, start_us - it.reserve_us)
    lines, asked_minor, walked = list[Line](), tariff.buy_out_minor, (0, 0)
    if not lost:
        cut = [(begin, min(end, end_us)) for begin, end in beside.stood]
        paused_us = sum(max(0, end - begin) for begin, end in cut)
        # The share of a pass is taken off before the waived amount.
        waived_minor = 0 if beside.percent else beside.waived_minor
        usage = fee(
            tariff,
            start_us,
            end_us,
            paused_us=paused_us,
            waived_minor=waived_minor,
            pauses=tuple(sorted(beside.stood)) if tariff.by_clock else (),
            quota_us=beside.quota_us,
            reserved_us=reserved_us,
        )
        cancelled = free_us is not None and end_us - start_us - paused_us <= free_us
        if free_us is not None and cancelled:
            times = ((FeeItem.FREE_MINUTES, free_us), (FeeItem.PAUSED_MINUTES, paused_us))
            free = [FeeLine(item, us // MINUTE_US, 0, 0) for item, us in times]
            usage = Fee(tuple(line for line in free if line.quantity), 0)
            usage = after_reservation(reservation_lines(tariff, reserved_us), usage, waived_minor)
        lines = _with_pass(it, usage, beside)
        asked_minor = _within_order(it, lines, beside.waived_minor)
        if isinstance(tariff, SegmentTariff):
            unwaived = [it for it in usage.lines if it.item is not FeeItem.WAIVED]
            summed_minor = sum(it.amount_minor for it in unwaived)
            stood, quota_us = sorted(beside.stood), beside.quota_us
            used_minor = 0
            if not cancelled:
                used_minor = walked_minor(tariff, start_us, end_us, stood, quota_us)
            used_minor += walked_reservation_minor(tariff, reserved_us)
            walked = summed_minor, min(tariff.buy_out_minor, used_minor)
    elif asked_minor:
        lines = [_once(ReceiptItem.LOST_ITEM, asked_minor)]
    return _Bill(start_us, end_us, lines, asked_minor, walked)


def _with_pass(it: Charged, usage: Fee, beside: Beside) -> list[Line]:
    """The lines of a fee after the gift of a pass; a fee with a share of a pass is not waived yet.

    A share that leaves no less than the fee of the order takes nothing off.
    """
    lines, sum_minor = list[Line](), usage.total_minor
    for line in _plain(usage.lines):
        if line[0] == FeeItem.QUOTA_MINUTES and beside.pass_minutes:
            free = min(line[1], beside.pass_minutes)
            lines.append((FeeItem.PASS_MINUTES.value, free, *line[2:]))
            line = (line[0], line[1] - free, *line[2:])
        if line[0] != FeeItem.QUOTA_MINUTES or line[1]:
            lines.append(line)
    if not beside.percent:
        return lines
    kept_minor = sum_minor * (100 - beside.percent) // 100
    if it.order_fee_minor is not None and kept_minor >= it.order_fee_minor:
        kept_minor = sum_minor
    paused = [line for line in lines if line[0] == FeeItem.PAUSED_MINUTES]
    lines = [line for line in lines if line[0] != FeeItem.PAUSED_MINUTES]
    if kept_minor != sum_minor:
        lines.append(_once(ReceiptItem.PASS_DISCOUNT, kept_minor - sum_minor))
    lines += paused
    waived_minor = min(beside.waived_minor, kept_minor)
    if waived_minor:
        lines.append(_once(ReceiptItem.WAIVED, -waived_minor))
    return lines


def _told(
    receipt: Receipt, it: Charged, tariff: AnyTariff, bill: _Bill, debt_minor: int
) -> list[tuple[str, object, object]]:
    """Each value of the receipt with its name and the expected value."""
    start_us, end_us, lines, asked_minor, walked = bill
    charged_minor = it.captured_minor - it.other_captured_minor
    held_minor = it.credit_minor + it.cash_minor
    missing_minor = asked_minor - charged_minor - debt_minor
    used_up = it.captured_minor == held_minor and not debt_minor
    beyond_minor = missing_minor if missing_minor > 0 and used_up else 0
    if missing_minor:
        item = ReceiptItem.SURCHARGE
        if missing_minor > 0:
            item = ReceiptItem.NOT_COLLECTED if beyond_minor else ReceiptItem.DISCOUNT
        lines.append(_once(item, -missing_minor))
    if debt_minor:
        lines.append(_once(ReceiptItem.OWED, -debt_minor))
    minutes = (end_us - start_us + MINUTE_US - 1) // MINUTE_US
    cash_kept_minor = it.captured_minor - it.captured_credit_minor
    return [
        ("start", receipt.start_us, start_us),
        ("end", receipt.end_us, end_us),
        ("minutes", receipt.minutes, minutes),
        ("free minutes", receipt.free_minutes, tariff.free_minutes),
        ("lines", _plain(receipt.lines), lines),
        ("fee", *walked),
        ("unit", receipt.interval_minutes or interval_minutes(tariff), interval_minutes(tariff)),
        ("sum", sum(it.amount_minor for it in receipt.lines), charged_minor),
        ("total", receipt.total_minor, charged_minor),
        ("other charges", receipt.other_minor, it.other_captured_minor),
        ("released amount", receipt.released_minor, held_minor - it.captured_minor),
        ("amount owed back", receipt.owed_back_minor, it.cash_minor - cash_kept_minor),
        ("uncollected amount", receipt.uncollected_minor, beyond_minor),
        ("debt", receipt.debt_minor, debt_minor),
    ]
