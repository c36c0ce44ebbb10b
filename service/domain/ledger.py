"""Two double-entry books: credit lines, and money.

An entry moves an amount from one account to another within one book and currency. Every entry, and
so every transaction, therefore sums to zero. The balances of a person's accounts stand in one row,
the line. The balances of shared accounts (cash, operator payables, income) are sums over entries,
so that requests do not contend for one row.

Each entry has the balances after it, the line's running number, its transition, and a link: the
hash of the entry and the previous link. Changing, removing or moving an entry would change every
later link (`hash_chain.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from service.domain.errors import InvariantBroken
from service.domain.hash_chain import (
    LINK_FORMAT,
    NO_LINK,
    SharedTexts,
    link_over,
    shared_texts,
)
from service.domain.transitions import Transition


class Account(StrEnum):
    """The accounts of both books; an entry's user and operator say whose account it is."""

    # line book
    AVAILABLE = "available"
    HELD = "held"
    DRAWN = "drawn"
    LIMIT_CONTROL = "limit_control"
    # money book
    CASH = "cash"
    RECEIVABLE = "receivable"
    RECEIVABLE_DISPUTED = "receivable_disputed"
    # Kept apart from disputes before payment, so that drawn = receivable + disputed always holds.
    RECEIVABLE_CHARGED_BACK = "receivable_charged_back"
    ALLOWANCE = "allowance"
    DEPOSIT = "deposit"
    OPERATOR_PAYABLE = "operator_payable"
    REFUND_PAYABLE = "refund_payable"
    # Money that a person got twice.
    OVERPAID = "overpaid"
    # A debt without a hold: Freehold owes the operator only the amount that the person pays.
    RECEIVABLE_UNHELD = "receivable_unheld"
    OPERATOR_DEFERRED = "operator_deferred"
    # Money at the rail that matches nothing.
    SUSPENSE = "suspense"
    FEE_INCOME = "fee_income"
    RECOVERY = "recovery"
    CREDIT_LOSS = "credit_loss"
    GOODWILL = "goodwill"


class Book(StrEnum):
    """The two books."""

    LINE = "line"
    MONEY = "money"


LINE_BOOK = frozenset({Account.AVAILABLE, Account.HELD, Account.DRAWN, Account.LIMIT_CONTROL})

# The accounts of one person, each with the line's column for its balance and the sign of a debit:
# assets grow by debits, liabilities by credits.
LINE_COLUMNS: dict[Account, tuple[str, int]] = {
    Account.AVAILABLE: ("available_minor", 1),
    Account.HELD: ("held_minor", 1),
    Account.DRAWN: ("drawn_minor", 1),
    Account.LIMIT_CONTROL: ("limit_minor", -1),
    Account.RECEIVABLE: ("receivable_minor", 1),
    Account.RECEIVABLE_DISPUTED: ("disputed_minor", 1),
    Account.RECEIVABLE_CHARGED_BACK: ("charged_back_minor", 1),
    Account.DEPOSIT: ("deposit_minor", -1),
    Account.REFUND_PAYABLE: ("refund_payable_minor", -1),
    Account.OVERPAID: ("overpaid_minor", 1),
    Account.RECEIVABLE_UNHELD: ("unheld_minor", 1),
}


_LIMIT_CONTROL = Account.LIMIT_CONTROL
_BOOKS = {it: Book.LINE if it in LINE_BOOK else Book.MONEY for it in Account}


class _Pair(NamedTuple):
    """Text, book and columns of an entry, by its debited and its credited account.

    text         the text of book and accounts in a link
    book         the book of the debited account
    debited      the line's column for the balance of the debited account; empty if it is shared
    debit_sign   1 if the entry raises that balance, else -1
    credited     the same column of the credited account
    credit_sign  1 if the entry raises that balance, else -1
    """

    text: str
    book: Book
    debited: str
    debit_sign: int
    credited: str
    credit_sign: int


def _pair(debit: Account, credit: Account) -> _Pair:
    debited, debit_sign = LINE_COLUMNS.get(debit, ("", 1))
    credited, sign = LINE_COLUMNS.get(credit, ("", 1))
    text = f"{_BOOKS[debit]}\n{debit}\n{credit}\n"
    return _Pair(text, _BOOKS[debit], debited, debit_sign, credited, -sign)


_PAIRS = {(debit, credit): _pair(debit, credit) for debit in Account for credit in Account}
"""By the debited and the credited account."""


def book_of(account: Account) -> Book:
    """The book of an account."""
    return _BOOKS[account]


def operator_account(operator_id: str) -> str:
    """The user id of an operator's own line; no person's id contains a slash."""
    return f"operators/{operator_id}"


class Posting(NamedTuple):
    """Debit one account, credit another; `amount_minor` is positive."""

    debit: Account
    credit: Account
    amount_minor: int


new_posting = partial(tuple.__new__, Posting)
"""Makes a posting of a tuple, as the class does of its fields, in a fifth of the time."""


class Standing(StrEnum):
    """The standing of a person: which new authorizations are allowed."""

    NORMAL = "NORMAL"
    WATCHED = "WATCHED"
    """Every new authorization needs a manual review; earlier offers stand."""
    SUSPENDED = "SUSPENDED"
    """No new authorization is allowed; open ones go on."""


@dataclass(slots=True)
class Line:
    """A person's balances in one currency, in minor units; `version` counts the entries.

    limit = available + held + drawn, drawn = receivable + disputed, and no balance is ever
    negative. `ledger_us` is the ledger time of the last entry; later entries never have an earlier
    one. `subject` is the person's stand-in in the hash chain, made from the id with `subject_key`;
    `head` is the last entry's link.
    """

    user_id: str
    currency: str
    limit_minor: int = 0
    available_minor: int = 0
    held_minor: int = 0
    drawn_minor: int = 0
    cut_pending_minor: int = 0
    receivable_minor: int = 0
    disputed_minor: int = 0
    charged_back_minor: int = 0
    deposit_minor: int = 0
    refund_payable_minor: int = 0
    standing: Standing = Standing.NORMAL
    limit_fixed: bool = False
    ledger_us: int = 0
    subject_key: bytes = b""
    subject: bytes = b""
    head: bytes = NO_LINK
    version: int = 0
    overpaid_minor: int = 0
    unheld_minor: int = 0

    def copy(self) -> Line:
        """An independent line with the same balances."""
        return Line(
            self.user_id,
            self.currency,
            self.limit_minor,
            self.available_minor,
            self.held_minor,
            self.drawn_minor,
            self.cut_pending_minor,
            self.receivable_minor,
            self.disputed_minor,
            self.charged_back_minor,
            self.deposit_minor,
            self.refund_payable_minor,
            self.standing,
            self.limit_fixed,
            self.ledger_us,
            self.subject_key,
            self.subject,
            self.head,
            self.version,
            self.overpaid_minor,
            self.unheld_minor,
        )


class LineAt(NamedTuple):
    """A line's balances as of an instant, in minor units, and the number of entries behind them."""

    user_id: str
    currency: str
    entries: int
    last_sequence: int
    limit_minor: int
    available_minor: int
    held_minor: int
    drawn_minor: int
    receivable_minor: int
    disputed_minor: int
    charged_back_minor: int
    deposit_minor: int
    refund_payable_minor: int
    overpaid_minor: int
    unheld_minor: int

    @property
    def rearranged(self) -> bool:
        """True if earlier entries are not counted: the line never had these balances."""
        return self.entries != self.last_sequence


class Entry(NamedTuple):
    """One posted movement, with the balances after it (None for shared accounts).

    `sequence` is the line's version after the entry; `transaction_sequence` is the sequence of the
    first entry of the same transaction. `event_us` is the time of the event. `ledger_us` is the
    time of writing, which never decreases within a line. Both are microseconds since the epoch,
    UTC. `link_format` names the format of `link` (`hash_chain.py`).
    """

    user_id: str
    currency: str
    sequence: int
    transaction_sequence: int
    operator_id: str
    authorization_id: str
    transition: Transition
    book: Book
    debit: Account
    credit: Account
    amount_minor: int
    debit_after_minor: int | None
    credit_after_minor: int | None
    event_us: int
    ledger_us: int
    link: bytes
    link_format: int = LINK_FORMAT


# The same as calling the class, in half the time.
_new = tuple.__new__


def _negative(account: Account) -> InvariantBroken:
    """The error for an amount that no rule of the callers allows: a defect. The database's CHECK
    would refuse it as well."""
    return InvariantBroken(f"negative balance of {account}")


def post(
    line: Line,
    postings: Iterable[Posting],
    transition: Transition,
    *,
    operator_id: str,
    authorization_id: str,
    event_us: int,
    now_us: int,
) -> list[Entry]:
    """Posts one transaction to the line, in place, and returns its entries.

    A release first completes a pending cut of the limit (`cut_pending_minor`). Postings of zero are
    left out. Raises InvariantBroken if a balance would become negative; the line is then invalid
    and must be dropped.
    """
    entries: list[Entry] = []
    first = line.version + 1
    head = (operator_id, authorization_id, transition)
    # The clocks of several processes differ a little. The ledger time still never goes back, and
    # never comes before the event.
    times = (event_us, max(now_us, line.ledger_us, event_us))
    texts = shared_texts(LINK_FORMAT, line.currency, first, head, times)
    for posting in postings:
        amount_minor = posting.amount_minor
        if amount_minor < 0:
            raise InvariantBroken("negative posting")
        if amount_minor:
            entries.append(_enter(line, first, head, posting, times, texts))
            if posting.debit is _LIMIT_CONTROL:
                # The limit already counts this part of the cut; only the rest stays pending.
                pending_minor = line.cut_pending_minor - amount_minor
                line.cut_pending_minor = max(0, pending_minor)
    cut_minor = min(line.cut_pending_minor, line.available_minor)
    if cut_minor > 0:
        line.cut_pending_minor -= cut_minor
        cut = Posting(_LIMIT_CONTROL, Account.AVAILABLE, cut_minor)
        entries.append(_enter(line, first, head, cut, times, texts))
    return entries


def _enter(
    line: Line,
    first: int,
    head: tuple[str, str, Transition],
    posting: Posting,
    times: tuple[int, int],
    texts: SharedTexts,
) -> Entry:
    """One entry. `first` is the first sequence of its transaction, `times` its event time and
    ledger time, and `texts` are those of the transaction."""
    debit, credit, amount_minor = posting
    accounts, book, debited, debit_sign, credited, credit_sign = _PAIRS[debit, credit]
    debit_after: int | None = None
    credit_after: int | None = None
    balance_minor: int
    if debited:
        debit_after = balance_minor = getattr(line, debited) + debit_sign * amount_minor
        if balance_minor < 0:
            raise _negative(debit)
        setattr(line, debited, balance_minor)
    if credited:
        credit_after = balance_minor = getattr(line, credited) + credit_sign * amount_minor
        if balance_minor < 0:
            raise _negative(credit)
        setattr(line, credited, balance_minor)
    line.version = sequence = line.version + 1
    line.ledger_us = times[1]
    before, between, after = texts
    balances = f"{amount_minor}\n{debit_after}\n{credit_after}\n"
    text = f"{before}{sequence}{between}{accounts}{balances}{after}"
    line.head = link = link_over(line.head, line.subject, text)
    values = (
        line.user_id,
        line.currency,
        sequence,
        first,
        *head,
        book,
        debit,
        credit,
        amount_minor,
        debit_after,
        credit_after,
        *times,
        link,
        LINK_FORMAT,
    )
    return _new(Entry, values)


def set_limit(line: Line, limit_minor: int) -> list[Posting]:
    """Postings that set the limit to a new value; changes `cut_pending_minor` in place.

    A raise is available at once. A cut takes the available amount now; the rest is pending and is
    taken from later releases.
    """
    change_minor = limit_minor - line.limit_minor
    if change_minor >= 0:
        line.cut_pending_minor = 0
        return [Posting(Account.AVAILABLE, Account.LIMIT_CONTROL, change_minor)]
    line.cut_pending_minor = -change_minor
    return []
