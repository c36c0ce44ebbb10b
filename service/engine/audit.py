"""What the books must come to, told a second time, for the verifier.

`domain/` makes the entries of each step; here stands, apart from it, which postings each
transition may have and what each of them does to an authorization, so that an error in either
shows as a difference. Nothing here reads a database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from service.domain.authorization import (
    CAPTURABLE,
    CHARGED,
    CLOSED,
    HOLDING,
    LAPSING,
    Authorization,
    Custody,
    State,
    TransferKind,
)
from service.domain.chain import LINK_FORMATS, link_of, subject_of
from service.domain.ladder import LADDER, Rung
from service.domain.ledger import LINE_COLUMNS, Account, Entry, Line, book_of
from service.domain.money import share_minor
from service.domain.transitions import Transition as T
from service.engine.records import (
    PLATFORM,
    BookFault,
    Event,
    PaymentKind,
    PaymentRecord,
    TransferRecord,
    TransferState,
    operator_account,
    transfer_reference,
)


class Found(Exception):
    """Something wrong in the books."""

    def __init__(self, rule: str, row: str, detail: str) -> None:
        super().__init__(rule)
        self.fault = BookFault(rule, row, detail)


# -- what each posting does to an authorization -------------------------------------------------

AMOUNTS: Final = (
    "held_credit_minor",
    "held_cash_minor",
    "captured_minor",
    "captured_credit_minor",
    "conceded_minor",
    "fee_minor",
    "due_minor",
    "paid_minor",
    "lowered_minor",
    "disputed_minor",
    "charged_back_minor",
    "refunded_minor",
    "refund_payable_minor",
    "provisioned_minor",
    "written_off_minor",
    "recovered_minor",
    "forgiven_minor",
    "received_minor",
    "elsewhere_minor",
    "paid_out_minor",
)
"""The amounts of an authorization that its entries alone determine."""

FLOWS: Final = ("deposits", "payments", "elsewhere", "charge_backs", "paid_out", "failed_payouts")
"""Money that came and went outside, as recorded payments and transfers must say as well."""

_PLACES: Final = {name: place for place, name in enumerate((*AMOUNTS, *FLOWS))}

Pair = tuple[Account, Account]
Effect = tuple[tuple[int, int], ...]
Effects = dict[Pair, Effect]

A = Account


def _moves(**amounts: int) -> Effect:
    """Which amounts a posting raises (1) or lowers (-1)."""
    return tuple((_PLACES[name], sign) for name, sign in amounts.items())


def _concedes(against: Account, **amounts: int) -> Effects:
    """The operator gives up, and gets its fee on it back."""
    return {
        (A.OPERATOR_PAYABLE, against): _moves(conceded_minor=1, **amounts),
        (A.FEE_INCOME, against): _moves(conceded_minor=1, fee_minor=-1, **amounts),
    }


_CUT: Effects = {(A.LIMIT_CONTROL, A.AVAILABLE): ()}
# The line's half of what lowers a receivable.
_REPAID: Effects = {(A.AVAILABLE, A.DRAWN): (), **_CUT}
_OWED: Effects = {
    (A.CASH, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, received_minor=1, deposits=1)
}
_HELD: Effects = {
    (A.HELD, A.AVAILABLE): _moves(held_credit_minor=1),
    (A.CASH, A.DEPOSIT): _moves(held_cash_minor=1, received_minor=1, deposits=1),
    **_OWED,
}
_RELEASED: Effects = {
    (A.AVAILABLE, A.HELD): _moves(held_credit_minor=-1),
    (A.DEPOSIT, A.REFUND_PAYABLE): _moves(held_cash_minor=-1, refund_payable_minor=1),
    **_CUT,
}
_CAPTURED: Effects = {
    (A.DEPOSIT, A.OPERATOR_PAYABLE): _moves(held_cash_minor=-1, captured_minor=1),
    (A.DEPOSIT, A.FEE_INCOME): _moves(held_cash_minor=-1, captured_minor=1, fee_minor=1),
    (A.DRAWN, A.HELD): _moves(held_credit_minor=-1, captured_credit_minor=1),
    (A.RECEIVABLE, A.OPERATOR_PAYABLE): _moves(captured_minor=1, due_minor=1),
    (A.RECEIVABLE, A.FEE_INCOME): _moves(captured_minor=1, fee_minor=1, due_minor=1),
}
_LOWERED: Effects = {**_concedes(A.RECEIVABLE, lowered_minor=1, due_minor=-1), **_REPAID}
_REFUNDED: Effects = _concedes(A.REFUND_PAYABLE, refunded_minor=1, refund_payable_minor=1)
_OWED_AGAIN: Effects = {
    (A.CASH, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, paid_out_minor=-1, failed_payouts=1)
}
# A bank keeps what it took back: the money had not come in, wherever it stood.
_TAKEN = {"charged_back_minor": -1, "received_minor": -1}

EFFECTS: Final[dict[T, Effects]] = {
    T.LIMIT_SET: {(A.AVAILABLE, A.LIMIT_CONTROL): (), **_CUT},
    T.OPERATOR_PAID: {(A.OPERATOR_PAYABLE, A.CASH): ()},
    T.OPERATOR_PAID_BACK: {(A.CASH, A.OPERATOR_PAYABLE): ()},
    T.AUTHORIZED: _HELD,
    T.ACTIVE: _HELD,
    T.INCREMENTED: _HELD,
    T.DECLINED: _OWED,
    T.PAYMENT_OWED_BACK: _OWED,
    T.DECREASED: _RELEASED,
    T.REVERSED: _RELEASED,
    T.EXPIRED: _RELEASED,
    T.CAPTURED: _CAPTURED,
    T.SETTLED: _CAPTURED | _RELEASED,
    T.CLAIM_ACCEPTED: _CAPTURED | _RELEASED,
    T.LOST: _CAPTURED | _RELEASED,
    T.FOUND: {
        **_LOWERED,
        **_concedes(A.RECEIVABLE_DISPUTED, lowered_minor=1, disputed_minor=-1),
        **_concedes(A.RECOVERY, forgiven_minor=1),
        **_concedes(A.RECEIVABLE_CHARGED_BACK, refunded_minor=1, **_TAKEN),
        **_REFUNDED,
        **_concedes(A.GOODWILL),
    },
    T.PAYMENT_RECORDED: {
        (A.CASH, A.RECEIVABLE): _moves(paid_minor=1, due_minor=-1, received_minor=1, payments=1),
        (A.CASH, A.RECOVERY): _moves(recovered_minor=1, received_minor=1, payments=1),
        (A.CASH, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, received_minor=1, payments=1),
        **_REPAID,
    },
    T.PAID_ELSEWHERE: {
        (A.OPERATOR_PAYABLE, A.RECEIVABLE): _moves(
            paid_minor=1, due_minor=-1, elsewhere_minor=1, elsewhere=1
        ),
        **_REPAID,
    },
    T.LOWERED: _LOWERED,
    T.REFUNDED: _REFUNDED,
    T.PAID_OUT: {
        (A.REFUND_PAYABLE, A.CASH): _moves(refund_payable_minor=-1, paid_out_minor=1, paid_out=1)
    },
    T.PAYOUT_FAILED: _OWED_AGAIN,
    T.PAYOUT_RETURNED: _OWED_AGAIN,
    T.DISPUTE_OPENED: {
        (A.RECEIVABLE_DISPUTED, A.RECEIVABLE): _moves(disputed_minor=1, due_minor=-1)
    },
    T.DISPUTE_LOST: {(A.RECEIVABLE, A.RECEIVABLE_DISPUTED): _moves(disputed_minor=-1, due_minor=1)},
    T.DISPUTE_WON: {
        **_concedes(A.RECEIVABLE_DISPUTED, lowered_minor=1, disputed_minor=-1),
        (A.GOODWILL, A.RECEIVABLE_DISPUTED): _moves(lowered_minor=1, disputed_minor=-1),
        **_REPAID,
    },
    T.CHARGED_BACK: {
        (A.RECEIVABLE_CHARGED_BACK, A.CASH): _moves(charged_back_minor=1, charge_backs=1)
    },
    T.CHARGE_BACK_OVERTURNED: {(A.CASH, A.RECEIVABLE_CHARGED_BACK): _moves(charged_back_minor=-1)},
    T.CHARGE_BACK_WON: {
        (A.REFUND_PAYABLE, A.RECEIVABLE_CHARGED_BACK): _moves(refund_payable_minor=-1, **_TAKEN),
        (A.DEPOSIT, A.RECEIVABLE_CHARGED_BACK): _moves(held_cash_minor=-1, **_TAKEN),
        **_concedes(A.RECEIVABLE_CHARGED_BACK, refunded_minor=1, **_TAKEN),
        (A.GOODWILL, A.RECEIVABLE_CHARGED_BACK): _moves(refunded_minor=1, **_TAKEN),
        (A.RECOVERY, A.RECEIVABLE_CHARGED_BACK): _moves(recovered_minor=-1, **_TAKEN),
    },
    T.PROVISIONED: {
        (A.CREDIT_LOSS, A.ALLOWANCE): _moves(provisioned_minor=1),
        (A.ALLOWANCE, A.CREDIT_LOSS): _moves(provisioned_minor=-1),
    },
    T.WRITTEN_OFF: {
        (A.CREDIT_LOSS, A.ALLOWANCE): _moves(provisioned_minor=1),
        (A.ALLOWANCE, A.RECEIVABLE): _moves(written_off_minor=1, due_minor=-1),
        (A.LIMIT_CONTROL, A.DRAWN): (),
    },
}
"""The postings that each transition may have; a transition that is not here posts nothing."""


# -- a line and its entries ---------------------------------------------------------------------


class LineReplay:
    """Replays the entries of one line, in order, and compares them with the stored line."""

    def __init__(self, stored: Line) -> None:
        self.name = f"lines/{stored.user_id}/{stored.currency}"
        self.entries = 0
        self.head = b""
        self._stored = stored
        self._balances = dict.fromkeys(LINE_COLUMNS, 0)
        self._last: Entry | None = None
        self.standing, self.limit_fixed = stored.standing, stored.limit_fixed
        if stored.subject_key and stored.subject != _subject(stored):
            raise Found("SUBJECT", self.name, "the chain is another person's")

    def add(self, entry: Entry, row: str) -> None:
        """One more entry; raises Found where it does not follow from those before it."""
        last = self._last
        if entry.sequence != self.entries + 1:
            raise Found(
                "ENTRY_MISSING", row, f"expected {self.entries + 1}, found {entry.sequence}"
            )
        if entry.amount_minor <= 0:
            raise Found("AMOUNT_NOT_POSITIVE", row, str(entry.amount_minor))
        if not book_of(entry.debit) is book_of(entry.credit) is entry.book:
            raise Found(
                "BOOK_NOT_BALANCED", row, f"{entry.debit} / {entry.credit} in book {entry.book}"
            )
        if last is None or entry.transaction_sequence == entry.sequence:
            self._end_transaction()
        if not _belongs(entry, last):
            raise Found("TRANSACTION", row, "neither begins a transaction nor goes on with one")
        if entry.event_us > entry.ledger_us:
            raise Found("TIME", row, "written before it happened")
        if last is not None and entry.ledger_us < last.ledger_us:
            raise Found("TIME", row, "written before the entry that it follows")
        self._move(entry.debit, entry.amount_minor, entry.debit_after_minor, row)
        self._move(entry.credit, -entry.amount_minor, entry.credit_after_minor, row)
        if entry.link_format not in LINK_FORMATS:
            raise Found(
                "LINK_FORMAT", row, f"format {entry.link_format} is not known to this build"
            )
        self.head = link_of(self.head, self._stored.subject, entry)
        if entry.link != self.head:
            raise Found("LINK", row, "the link does not follow from the entry and the link before")
        self.entries = entry.sequence
        self._last = entry

    def _move(
        self, account: Account, debited_minor: int, after_minor: int | None, row: str
    ) -> None:
        kept = LINE_COLUMNS.get(account)
        if kept is None:
            if after_minor is not None:
                raise Found("BALANCE_AFTER", row, f"{account} keeps no balance here")
            return
        balance_minor = self._balances[account] + kept[1] * debited_minor
        if balance_minor != after_minor:
            raise Found(
                "BALANCE_AFTER", row, f"{account}: replayed {balance_minor}, stored {after_minor}"
            )
        if balance_minor < 0:
            raise Found("BALANCE_NEGATIVE", row, f"{account}: {balance_minor}")
        self._balances[account] = balance_minor

    def _end_transaction(self) -> None:
        """After each transaction, and in the stored line, drawn = receivable + disputed."""
        it, last = self._balances, self._last
        owed_minor = it[A.RECEIVABLE] + it[A.RECEIVABLE_DISPUTED]
        if last is not None and it[A.DRAWN] != owed_minor:
            row = entry_row(last.user_id, last.currency, last.transaction_sequence)
            raise Found(
                "DRAWN_IS_RECEIVABLE", row, f"after it: drawn {it[A.DRAWN]}, owed {owed_minor}"
            )

    def finish(self) -> None:
        """After the last entry: the stored line is what was replayed."""
        it, name = self._stored, self.name
        if it.version != self.entries:
            raise Found(
                "ENTRY_MISSING", name, f"counts {it.version} entries, there are {self.entries}"
            )
        self._end_transaction()
        parts_minor = it.available_minor + it.held_minor + it.drawn_minor
        if it.limit_minor != parts_minor:
            raise Found("LIMIT_IS_THE_SUM", name, f"limit {it.limit_minor}, parts {parts_minor}")
        owed_minor = it.receivable_minor + it.disputed_minor
        if it.drawn_minor != owed_minor:
            raise Found("DRAWN_IS_RECEIVABLE", name, f"drawn {it.drawn_minor}, owed {owed_minor}")
        for account, (column, _) in LINE_COLUMNS.items():
            stored_minor, replayed_minor = getattr(it, column), self._balances[account]
            if stored_minor != replayed_minor:
                raise Found(
                    "BALANCE_STORED",
                    name,
                    f"{column}: replayed {replayed_minor}, stored {stored_minor}",
                )
        if it.cut_pending_minor and (it.cut_pending_minor < 0 or it.available_minor):
            raise Found("CUT_PENDING", name, "a cut is pending while something is available")
        if it.cut_pending_minor > it.limit_minor:
            raise Found("CUT_PENDING", name, "more is to be cut than the limit")
        if it.head != self.head:
            raise Found("HEAD_STORED", name, "the head is not the last entry's link")
        ledger_us = self._last.ledger_us if self._last is not None else 0
        if it.ledger_us != ledger_us:
            raise Found("TIME", name, f"ledger_us: replayed {ledger_us}, stored {it.ledger_us}")


def entry_row(user_id: str, currency: str, sequence: int) -> str:
    """How the row of an entry is named."""
    return f"entries/{user_id}/{currency}/{sequence}"


def _subject(line: Line) -> bytes | None:
    try:
        return subject_of(line.user_id, line.subject_key)
    except ValueError:
        return None  # no key has such a length


def _belongs(entry: Entry, last: Entry | None) -> bool:
    """Whether an entry begins a transaction, or goes on with that of the entry before it."""
    if entry.transaction_sequence == entry.sequence:
        return True
    return last is not None and _transaction(entry) == _transaction(last)


def _transaction(it: Entry) -> tuple[object, ...]:
    """What the entries of one transaction have in common."""
    return (
        it.transaction_sequence,
        it.operator_id,
        it.authorization_id,
        it.transition,
        it.event_us,
        it.ledger_us,
    )


# -- an authorization and its entries -----------------------------------------------------------


class Moved:
    """One authorization, and what its entries moved."""

    __slots__ = ("_amounts", "_posted", "authorization", "payouts", "requests", "story")

    def __init__(self, authorization: Authorization) -> None:
        self.authorization = authorization
        self._amounts = [0] * len(_PLACES)
        self.payouts: Counter[tuple[str, int]] = Counter()
        """What was paid out and what of it failed, by flow and amount: each is one transfer."""
        self.story = Story(authorization)
        self.requests = 0
        """How many calls about it are kept for retries."""
        self._posted: Counter[tuple[T, int]] = Counter()

    def add(self, entry: Entry, row: str) -> None:
        """One more entry; raises Found where such a posting is not the authorization's."""
        it = self.authorization
        if (entry.operator_id, entry.currency) != (it.operator_id, it.currency):
            raise Found("ENTRY_OF_ANOTHER", row, f"{it.name} has another operator or currency")
        for place, sign in effect_of(entry, row):
            self._amounts[place] += sign * entry.amount_minor
        flow = _PAYOUTS.get(entry.transition)
        if flow is not None:
            self.payouts[flow, entry.amount_minor] += 1
        if entry.transaction_sequence == entry.sequence:
            self._posted[entry.transition, entry.event_us] += 1

    def flow_minor(self, name: str) -> int:
        """How much money came or went, by its name in FLOWS."""
        return self._amounts[_PLACES[name]]

    def check(self) -> None:
        """Raises Found unless the stored amounts are what the entries moved."""
        it = self.authorization
        for name, amount_minor in zip(AMOUNTS, self._amounts, strict=False):
            if getattr(it, name) != amount_minor:
                raise Found(
                    "AUTHORIZATION_AMOUNT",
                    it.name,
                    f"{name}: entries moved {amount_minor}, stored {getattr(it, name)}",
                )
        kept_minor = it.captured_minor - it.conceded_minor
        if it.fee_minor != share_minor(kept_minor, it.fee_bp):
            raise Found("FEE_IS_THE_SHARE", it.name, f"{it.fee_minor} of {kept_minor}")
        for rule, detail in _inconsistencies(it):
            raise Found(rule, it.name, detail)

    def check_story(self, debits: int) -> None:
        """Raises Found unless each transaction has its event, and each call's event its request.

        `debits` of the payments are no calls but what the rail said.
        """
        it, told = self.authorization, self.story.told
        for transition, event_us in self._posted - told:
            raise Found("EVENTS_TELL", it.name, f"{transition} was posted as of {event_us}")
        calls = sum(n for (by, _), n in told.items() if by not in _NO_CALLS) - debits
        lost = sum(n for (by, _), n in told.items() if by is T.LOST)
        # A group's calls are kept once for all of it; where no request made it, none are kept.
        if it.request_id and not it.group_id and not calls - lost <= self.requests <= calls:
            raise Found("REQUESTS", it.name, f"{calls} calls by the events, {self.requests} kept")


def effect_of(entry: Entry, row: str) -> Effect:
    """What an entry does to its authorization; raises Found for a posting that cannot be."""
    effect = EFFECTS.get(entry.transition, {}).get((entry.debit, entry.credit))
    if effect is None:
        raise Found("POSTING", row, f"{entry.transition} never posts {entry.debit}/{entry.credit}")
    return effect


OPERATORS_OWN: Final = {
    T.OPERATOR_PAID: PaymentKind.OPERATOR_PAYOUT,
    T.OPERATOR_PAID_BACK: PaymentKind.OPERATOR_PAYMENT,
}
"""What happens on an operator's own line, and how it is recorded."""


def check_alone(entry: Entry, row: str) -> None:
    """An entry of no authorization: a limit of a person, or what an operator was paid or paid."""
    effect_of(entry, row)
    operator = operator_account(entry.operator_id) == entry.user_id
    expected = OPERATORS_OWN if operator else {T.LIMIT_SET}
    if entry.transition not in expected or (not operator and entry.operator_id != PLATFORM):
        raise Found("ENTRY_OF_NOTHING", row, f"{entry.transition} of no authorization")


_CUSTODIES: Final = {
    State.ACTIVE: {Custody.OUT},
    State.OVERDUE: {Custody.OUT},
    State.RETURN_CLAIMED: {Custody.UNKNOWN},
    State.SETTLED: {Custody.IN_STATION, Custody.MISSING, Custody.SOLD},
}
_STARTED: Final = CAPTURABLE | {State.SETTLED}


def _inconsistencies(it: Authorization) -> Iterator[tuple[str, str]]:
    """What does not fit the state: custody, amounts, times."""
    state, settled = it.state, it.state is State.SETTLED
    # A late charge for damage: no item of its own, so nothing is out, due or lost.
    charge = it.parent_id != ""
    at_rest = {Custody.IN_STATION}
    if it.custody not in (at_rest if charge else _CUSTODIES.get(state, at_rest)):
        yield "STATE_AND_CUSTODY", f"{state} with custody {it.custody}"
    cash_minor = it.captured_minor - it.captured_credit_minor
    rest_minor = (
        it.credit_minor - it.captured_credit_minor - it.held_credit_minor,
        it.cash_minor - cash_minor - it.held_cash_minor,
    )
    came_minor = it.received_minor + it.elsewhere_minor - it.paid_out_minor
    place_minor = (
        it.held_cash_minor
        + it.refund_payable_minor
        + cash_minor
        + it.paid_minor
        + it.recovered_minor
        - it.refunded_minor
    )
    wrong_amounts = {
        "only open states hold": state not in HOLDING and it.held_minor != 0,
        "only rentals are charged": state not in CHARGED and it.captured_minor != 0,
        "authorized = held + captured until it ends": state in HOLDING and any(rest_minor),
        "captured and held within authorized": min(rest_minor) < 0,
        "nothing is negative": min(getattr(it, name) for name in AMOUNTS) < 0,
        "given back within paid": it.refundable_minor < 0,
        "given up within given": it.goodwill_minor < 0,
        "recovered within written off": it.unrecovered_minor < 0,
        "what came in has its place": came_minor != place_minor,
        "charged back within what came": it.chargeable_back_minor < 0,
        "provided for before written off": it.provisioned_minor < it.written_off_minor,
        "collected only when settled": not settled and (it.rung != 0 or it.write_off_by != ""),
        "a proposal names who and how much": (it.write_off_by != "") != (it.write_off_minor > 0),
        "proposed only while something is due": it.write_off_minor != 0 and it.due_minor == 0,
        "a charge is ACTIVE until it ends": charge
        and state in (State.AUTHORIZED, State.OVERDUE, State.RETURN_CLAIMED),
        "a rung of the ladder": not 0 <= it.rung <= len(LADDER),
    }
    away = it.custody in (Custody.MISSING, Custody.SOLD)
    started = it.start_us is not None
    wrong_times = {
        "expire_us": (it.expire_us is not None)
        != (state in LAPSING or (charge and state is State.ACTIVE)),
        "close_us": (it.close_us is not None) != (state in CLOSED),
        "start_us": started
        if charge
        else started != (state in _STARTED) and state is not State.REVERSED,
        "due_us": (it.due_us is not None) != started,
        "lost_us": it.lost_us is not None and not started,
        "claim_us": (it.claim_us is not None) != (state is State.RETURN_CLAIMED) and not settled,
        "claim_until_us": (it.claim_until_us is not None) != (state is State.RETURN_CLAIMED),
        "sold_us": (it.sold_us is not None) != away,
    }
    if it.offer is not None and it.accept_offers and it.offer not in it.accept_offers:
        yield "OFFER_ACCEPTED", f"{it.offer} was not accepted"
    for detail, wrong in wrong_amounts.items():
        if wrong:
            yield "STATE_AND_AMOUNTS", f"{state}: {detail}"
    for detail, wrong in wrong_times.items():
        if wrong:
            yield "STATE_AND_TIMES", f"{state}: {detail}"


# -- an authorization and its events ------------------------------------------------------------

_STATES_AFTER: Final[dict[T, frozenset[State]]] = {
    T.OFFERED: frozenset({State.OFFERED}),
    T.REVIEW: frozenset({State.REVIEW}),
    T.DECLINED: frozenset({State.DECLINED}),
    T.AUTHORIZED: frozenset({State.AUTHORIZED}),
    T.ACTIVE: frozenset({State.ACTIVE}),
    T.STARTED: frozenset({State.ACTIVE}),
    T.EXTENDED: frozenset({State.ACTIVE}),
    T.OVERDUE: frozenset({State.OVERDUE}),
    T.RETURN_CLAIMED: frozenset({State.RETURN_CLAIMED}),
    T.RETURN_CONTESTED: frozenset({State.ACTIVE, State.OVERDUE}),
    T.SETTLED: frozenset({State.SETTLED}),
    T.CLAIM_ACCEPTED: frozenset({State.SETTLED}),
    T.LOST: frozenset({State.SETTLED}),
    T.REVERSED: frozenset({State.REVERSED}),
    # A damage charge of which something was captured lapses as far as it is not.
    T.EXPIRED: frozenset({State.EXPIRED, State.SETTLED}),
}
"""The states after a transition; one that is not here leaves the state as it was."""
_CLIMBED: Final = {
    T.DEBIT_REQUESTED: Rung.DEBIT,
    T.DEBIT_AWAITED: Rung.DEBIT,
    T.REMINDED: Rung.REMIND,
    T.DUE_1_DAY: Rung.RANGE,
    T.DUE_31_DAYS: Rung.RANGE,
    T.DUE_61_DAYS: Rung.RANGE,
    T.DUE_91_DAYS: Rung.RANGE,
}
_NO_CALLS: Final = frozenset(_CLIMBED) | {
    *(T.EXPIRED, T.OVERDUE, T.CLAIM_ACCEPTED, T.SOLD, T.DEBIT_FAILED, T.DEBIT_CANCELLED),
    *(T.PAYOUT_FAILED, T.PAYOUT_RETURNED),
}
"""What time brings and what the rail says; an item is lost by either."""
_ENDS: Final = {TransferState.FAILED: T.DEBIT_FAILED, TransferState.CANCELLED: T.DEBIT_CANCELLED}
"""How a debit ends that is no payment."""
_DEBITS: Final = frozenset({T.DEBIT_REQUESTED, *_ENDS.values()})
Words = Counter[tuple[T, int]]
"""What was said of debits, each with the instant at which it was recorded."""


class Story:
    """What the events of one authorization tell of it: each version has one, in their order."""

    __slots__ = ("_authorization", "_claim_us", "_climbed", "_close_us", "_events", "_extended",
                 "_start_us", "_state", "debits", "told")  # fmt: skip

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization
        self._events = 0
        self._state: frozenset[State] = frozenset()
        self._start_us: int | None = None
        self._close_us: int | None = None
        self._claim_us: int | None = None
        self._extended = False
        self._climbed: Rung | None = None
        self.debits: Words = Counter()
        """How many debits were asked for, failed and were cancelled, and when that was recorded."""
        self.told: Counter[tuple[T, int]] = Counter()
        """How often what happened, as of when."""

    def add(self, event: Event, row: str) -> None:
        """One more event; raises Found where it is not of the next version."""
        self._events += 1
        if event.authorization_version != self._events:
            raise Found("EVENT", row, f"of version {event.authorization_version}, "
                        f"expected {self._events}")  # fmt: skip
        transition = event.transition
        self.told[transition, event.event_us] += 1
        self._state = _STATES_AFTER.get(transition, self._state)
        self._climbed = _CLIMBED.get(transition, self._climbed)
        if transition in (T.RETURN_CLAIMED, T.RETURN_CONTESTED):
            self._claim_us = event.event_us if transition is T.RETURN_CLAIMED else None
        self._extended = self._extended or transition is T.EXTENDED
        if transition in (T.ACTIVE, T.STARTED) and not self._authorization.parent_id:
            self._start_us = event.event_us
        if transition in _STATES_AFTER and self._state <= CLOSED:
            # A settlement tells when the item came back; the rental is closed when it is said.
            told = transition is T.SETTLED
            self._close_us = event.record_us if told else event.event_us
        if transition in _DEBITS:
            self.debits[transition, event.record_us] += 1

    def check(self) -> None:
        """Raises Found unless the stored authorization is what the events tell."""
        it = self._authorization
        if self._events != it.version:
            raise Found("EVENT", it.name, f"version {it.version}, and {self._events} events")
        told = {
            "state": it.state in self._state,
            "start_us": it.start_us == self._start_us,
            "due_us": self._extended
            or it.due_us == (it.start_us and it.start_us + it.rental_period_us),
            "lost_us": it.lost_us is None or it.lost_us >= (it.due_us or 0),
            "claim_us": it.claim_us == self._claim_us,
            "close_us": it.close_us == self._close_us,
            "rung": (LADDER[it.rung - 1].rung if it.rung else None) is self._climbed,
        }
        for name, fits in told.items():
            if not fits:
                raise Found("EVENTS_TELL", it.name, f"{name}: the events tell otherwise")


# -- money outside, as it was recorded ----------------------------------------------------------

_PAYOUTS: Final = {
    T.PAID_OUT: "paid_out",
    T.PAYOUT_FAILED: "failed_payouts",
    T.PAYOUT_RETURNED: "failed_payouts",
}
_PAYMENTS: Final = {
    PaymentKind.DEPOSIT: "deposits",
    PaymentKind.PAYMENT: "payments",
    PaymentKind.ELSEWHERE: "elsewhere",
    PaymentKind.CHARGE_BACK: "charge_backs",
}


class Recorded:
    """What one person's payments and transfers say, to be compared with the entries."""

    def __init__(self) -> None:
        self._minor: Counter[tuple[str, str]] = Counter()
        self._payments: dict[str, PaymentRecord] = {}
        self._payouts: dict[str, Counter[tuple[str, int]]] = {}
        self._debits: dict[str, Words] = {}
        self._succeeded: Counter[str] = Counter()
        self._asked: dict[str, list[int]] = {}

    def add_payment(self, it: PaymentRecord) -> None:
        """A payment for one of the person's authorizations."""
        flow = _PAYMENTS.get(it.kind)
        if flow is None:
            raise Found("PAYMENTS", payment_row(it), f"{it.kind} to a person")
        self._minor[it.authorization_id, flow] += it.amount_minor
        if it.caller == PLATFORM:
            self._payments[it.payment_reference] = it

    def add_transfer(self, it: TransferRecord, row: str) -> None:
        """A transfer to or from the person; those come after the payments."""
        failed = it.state in (TransferState.FAILED, TransferState.RETURNED)
        if it.kind is TransferKind.PAYOUT:
            if it.state is TransferState.CANCELLED:
                raise Found("TRANSFER", row, "a payout is never cancelled")
            if it.earlier_state is not None:
                raise Found("TRANSFER", row, "no word on a payout takes another's place")
            flows = ("paid_out", "failed_payouts")
            payouts = self._payouts.setdefault(it.authorization_id, Counter())
            for flow in flows if failed else flows[:1]:
                self._minor[it.authorization_id, flow] += it.amount_minor
                payouts[flow, it.amount_minor] += 1
            return
        self._add_words(it, row)
        if it.state in (TransferState.REQUESTED, TransferState.SENT):
            self._asked.setdefault(it.authorization_id, []).append(it.amount_minor)
        elif it.state is TransferState.SUCCEEDED:
            self._succeeded[it.authorization_id] += 1
            paid = self._payments.get(transfer_reference(it.transfer_id))
            told = (PaymentKind.PAYMENT, it.authorization_id, it.amount_minor, it.currency)
            if paid is None or told != (
                paid.kind,
                paid.authorization_id,
                paid.amount_minor,
                paid.currency,
            ):
                raise Found("TRANSFER_WITHOUT_PAYMENT", row, "succeeded, and no payment says so")

    def _add_words(self, it: TransferRecord, row: str) -> None:
        """What was said of a debit, and when: that it was asked for, and how it ended before a
        late success and at last."""
        words = self._debits.setdefault(it.authorization_id, Counter())
        words[T.DEBIT_REQUESTED, it.request_us] += 1
        if it.state in _ENDS:
            words[_ENDS[it.state], it.change_us] += 1
        if it.earlier_state is None:
            return
        if it.state is not TransferState.SUCCEEDED or it.earlier_state not in _ENDS:
            raise Found("TRANSFER", row, f"{it.state}, and {it.earlier_state} before")
        words[_ENDS[it.earlier_state], it.earlier_us or 0] += 1

    def check(self, all_moved: Iterable[Moved]) -> None:
        """Raises Found unless entries moved what was recorded.

        A deposit is recorded at one authorization of a group, and is that of all.
        """
        deposits: Counter[str] = Counter()
        named: dict[str, str] = {}
        for moved in all_moved:
            it = moved.authorization
            together = it.group_id or it.authorization_id
            named.setdefault(together, it.name)
            deposits[together] += self._minor[it.authorization_id, "deposits"]
            deposits[together] -= moved.flow_minor("deposits")
            for flow in FLOWS[1:]:
                recorded_minor = self._minor[it.authorization_id, flow]
                if recorded_minor != moved.flow_minor(flow):
                    raise Found(
                        "PAYMENTS",
                        it.name,
                        f"{flow}: entries moved {moved.flow_minor(flow)},"
                        f" recorded {recorded_minor}",
                    )
            self._check_transfers(moved)
            moved.check_story(self._succeeded[it.authorization_id])
        for together, difference_minor in deposits.items():
            if difference_minor:
                raise Found(
                    "PAYMENTS", named[together], f"deposits: {difference_minor} more recorded"
                )

    def _check_transfers(self, moved: Moved) -> None:
        """Each payout is one that was posted; each debit one that was asked for, and what was said
        of it has its event of the same instant."""
        it, told = moved.authorization, moved.story.debits
        if self._payouts.get(it.authorization_id, Counter()) != moved.payouts:
            raise Found("TRANSFER", it.name, "other payouts than were posted")
        asked = self._asked.get(it.authorization_id, [])
        if asked != ([it.debiting_minor] if it.debiting_minor else []):
            raise Found(
                "TRANSFER", it.name, f"debits under way: {asked}, stored {it.debiting_minor}"
            )
        said = self._debits.get(it.authorization_id, Counter())
        if said != told:
            apart = [f"{word} at {us}" for word, us in sorted((said - told) + (told - said))]
            raise Found("TRANSFER", it.name, f"transfers and events differ: {', '.join(apart)}")


def payment_row(it: PaymentRecord) -> str:
    """How the row of a payment is named."""
    return f"payments/{it.caller}/{it.payment_reference}"
