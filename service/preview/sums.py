"""Adds up a replay: counts, money and exposure, for all products or for one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.preview.exposure import Timeline
from service.preview.history import DECLINED, Bits, Happened, History, Numbers, currencies_of
from service.preview.replay import Replayed
from service.preview.report import (
    KINDS,
    UNCERTAIN,
    Amounts,
    Fees,
    Group,
    Held,
    Part,
    Range,
    Refusals,
)

REVIEW_KIND = KINDS.index("REVIEW")
DECLINED_KIND = KINDS.index("DECLINED")
ANSWERS = ("MILDER", "SAME", "STRICTER", "DECLINED", UNCERTAIN)


class Columns(NamedTuple):
    """The verdicts as columns: kinds of `KINDS`, credit and cash, and which may have changed."""

    before: Numbers
    strict: Numbers
    lenient: Numbers
    before_credit: Numbers
    before_cash: Numbers
    least_cash: Numbers
    most_cash: Numbers
    least_credit: Numbers
    most_credit: Numbers
    surely: Bits
    maybe: Bits
    unsure: Bits


def columns_of(found: Replayed) -> Columns:
    """The columns of a replay."""
    verdicts = found.verdicts

    def kind(numbers: Numbers) -> Numbers:
        rank, review = verdicts.column("rank", numbers), verdicts.column("review", numbers)
        declined = np.where(rank == DECLINED, DECLINED_KIND, rank)
        return np.where(review == 1, REVIEW_KIND, declined)

    before, strict, lenient = map(verdicts.kinds, (found.before, found.strict, found.lenient))
    cash = [verdicts.column("cash_minor", it) for it in (found.strict, found.lenient)]
    credit = [verdicts.column("credit_minor", it) for it in (found.strict, found.lenient)]
    return Columns(
        kind(found.before),
        kind(found.strict),
        kind(found.lenient),
        verdicts.column("credit_minor", found.before),
        verdicts.column("cash_minor", found.before),
        np.minimum(cash[0], cash[1]),
        np.maximum(cash[0], cash[1]),
        np.minimum(credit[0], credit[1]),
        np.maximum(credit[0], credit[1]),
        (before != strict) & (before != lenient),
        (before != strict) | (before != lenient),
        strict != lenient,
    )


def part_of(
    history: History,
    found: Replayed,
    columns: Columns,
    timeline: Timeline,
    rows: Bits,
    product_id: str,
    fees: tuple[Fees, ...] = (),
) -> Part:
    """The figures of some rows; the rows before the window count only for the exposure."""
    judged = rows & history.judged
    kinds = found.verdicts.kinds
    repeated = (kinds(found.before) == kinds(found.again)) & judged
    currencies = [(it, rows & _of_currency(history, it)) for it in currencies_of(history)]
    used = [(it, mask) for it, mask in currencies if (mask & judged).any()]
    return Part(
        product_id,
        int(judged.sum()),
        _persons(history, judged),
        int(repeated.sum()),
        _matrix(columns, judged),
        int((judged & (columns.before != DECLINED_KIND)).sum()),
        _range(
            judged & (columns.strict != DECLINED_KIND), judged & (columns.lenient != DECLINED_KIND)
        ),
        _range(judged & columns.surely, judged & columns.maybe),
        Range(
            _persons(history, judged & columns.surely), _persons(history, judged & columns.maybe)
        ),
        tuple(_cash(columns, it, mask & judged) for it, mask in used),
        tuple(_held(timeline, columns, it, mask) for it, mask in used),
        _refusals(found, judged),
        tuple(
            group for it, mask in used for group in _happened(history, columns, it, mask & judged)
        ),
        fees,
    )


def _range(one: Bits, other: Bits) -> Range:
    """The number of rows at both ends."""
    return Range(*sorted((int(one.sum()), int(other.sum()))))


def _of_currency(history: History, currency: str) -> Bits:
    same = np.array([it.currency == currency for it in history.products] or [False])
    mask: Bits = same[history.product]
    return mask


def _persons(history: History, rows: Bits) -> int:
    return int(np.count_nonzero(np.bincount(history.users[rows])))


def _matrix(columns: Columns, rows: Bits) -> dict[str, dict[str, int]]:
    """The number of decisions by the kinds before and after; kinds without any are left out."""
    after = np.where(columns.strict == columns.lenient, columns.strict, len(KINDS))
    pairs = columns.before[rows] * (len(KINDS) + 1) + after[rows]
    counts = np.bincount(pairs, minlength=len(KINDS) * (len(KINDS) + 1))
    names = (*KINDS, UNCERTAIN)
    table = counts.reshape(len(KINDS), len(names)).tolist()
    return {
        kind: {name: number for name, number in zip(names, row, strict=True) if number}
        for kind, row in zip(KINDS, table, strict=True)
        if any(row)
    }


def _cash(columns: Columns, currency: str, rows: Bits) -> Amounts:
    after = Range(int(columns.least_cash[rows].sum()), int(columns.most_cash[rows].sum()))
    return Amounts(currency, int(columns.before_cash[rows].sum()), after)


def _held(timeline: Timeline, columns: Columns, currency: str, rows: Bits) -> Held:
    """The exposure of rentals that happened: who is asked for more may have gone away."""
    stricter = _stricter(columns)
    gone = columns.lenient == DECLINED_KIND
    least = np.where(stricter, 0, columns.least_credit)
    most = np.where(gone, 0, columns.most_credit)
    return Held(
        currency,
        timeline.exposure(rows, columns.before_credit),
        timeline.exposure(rows, least),
        timeline.exposure(rows, most),
    )


def _stricter(columns: Columns) -> Bits:
    """The rows whose person may have gone away, because more was asked for."""
    more = columns.most_cash > columns.before_cash
    review = (columns.strict == REVIEW_KIND) & (columns.before != REVIEW_KIND)
    stricter: Bits = more | review | (columns.strict == DECLINED_KIND)
    return stricter


def _refusals(found: Replayed, rows: Bits) -> tuple[Refusals, ...]:
    """The decisions that named each reason, before and after."""
    counts = []
    for numbers in (found.before, found.strict, found.lenient):
        used = np.bincount(numbers[rows], minlength=len(found.verdicts.all)).tolist()
        by_reason: dict[str, int] = {}
        for verdict, number in zip(found.verdicts.all, used, strict=True):
            for reason in verdict.reasons if number else ():
                by_reason[reason] = by_reason.get(reason, 0) + number
        counts.append(by_reason)
    names = sorted({name for it in counts for name in it})
    return tuple(
        Refusals(
            name,
            counts[0].get(name, 0),
            Range(*sorted((counts[1].get(name, 0), counts[2].get(name, 0)))),
        )
        for name in names
    )


def _happened(history: History, columns: Columns, currency: str, rows: Bits) -> list[Group]:
    """The rentals that happened, by what the draft would have answered."""
    started = rows & ((history.happened & Happened.STARTED) != 0)
    declined = columns.strict == DECLINED_KIND
    stricter = _stricter(columns)
    unsure = columns.unsure
    masks = (
        ~unsure & ~stricter & columns.maybe,
        ~columns.maybe,
        ~unsure & stricter & ~declined,
        ~unsure & declined & columns.maybe,
        unsure,
    )
    groups = []
    for answer, mask in zip(ANSWERS, masks, strict=True):
        of = started & mask
        if of.any():
            groups.append(_group(history, answer, currency, of))
    return groups


def _group(history: History, answer: str, currency: str, rows: Bits) -> Group:
    happened = history.happened[rows]
    fee, captured = history.captured_fee[rows].sum(), history.captured[rows].sum()
    return Group(
        answer,
        currency,
        int(rows.sum()),
        int(fee),
        int(captured - fee),
        int(history.unpaid[rows].sum()),
        int(history.written_off[rows].sum()),
        int(((happened & Happened.LOST) != 0).sum()),
        int(((happened & Happened.LATE) != 0).sum()),
    )
