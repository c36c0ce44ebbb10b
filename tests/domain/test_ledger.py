"""The two books: entries, balances, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvariantBroken
from service.domain.hash_chain import link_of
from service.domain.ledger import (
    LINE_COLUMNS,
    Account,
    Book,
    Entry,
    Line,
    Posting,
    book_of,
    post,
    set_limit,
)
from service.domain.transitions import Transition
from tests.domain.test_hash_chain import ENTRY

A = Account
LINE_ACCOUNTS = {A.AVAILABLE, A.HELD, A.DRAWN, A.LIMIT_CONTROL}


def enter(line: Line, *postings: Posting) -> list[Entry]:
    """One transaction."""
    return post(
        line,
        postings,
        Transition.CAPTURED,
        operator_id="city",
        authorization_id="a-1",
        event_us=5,
        now_us=9,
    )


def line_of(limit_minor: int) -> Line:
    """A line with a limit, all of it available."""
    line = Line("u-1", "CNY")
    enter(line, *set_limit(line, limit_minor))
    return line


def test_line_book_and_money_book() -> None:
    """Available, held, drawn and limit control form the line book; all others the money book."""
    assert {account for account in Account if book_of(account) is Book.LINE} == LINE_ACCOUNTS
    assert {account for account in Account if book_of(account) is Book.MONEY} == (
        set(Account) - LINE_ACCOUNTS
    )


def test_an_entry_is_complete() -> None:
    """An entry has its owner, numbers, book, accounts, amount, balances after, and times."""
    line = line_of(1_000)
    (entry,) = enter(line, Posting(A.HELD, A.AVAILABLE, 300))
    assert entry == ENTRY._replace(link=line.head)


def test_the_ledgers_time_does_not_go_back() -> None:
    """An entry from a process whose clock is behind gets the ledger time of the last entry."""
    line = line_of(1_000)
    posting = Posting(A.HELD, A.AVAILABLE, 1)
    times = []
    for now_us in (9, 8, 12):
        (entry,) = post(
            line,
            [posting],
            Transition.ACTIVE,
            operator_id="city",
            authorization_id="a-1",
            event_us=now_us,
            now_us=now_us,
        )
        times.append((entry.event_us, entry.ledger_us))
    assert times == [(9, 9), (8, 9), (12, 12)]


def test_later_entries_keep_a_fast_clocks_time() -> None:
    """An entry from a process with a fast clock keeps the ledger time of this clock, and later
    entries have no earlier time."""
    line = line_of(1_000)
    (first,) = post(
        line,
        [Posting(A.HELD, A.AVAILABLE, 1)],
        Transition.SETTLED,
        operator_id="city",
        authorization_id="a-1",
        event_us=12,
        now_us=9,
    )
    assert (first.event_us, first.ledger_us, line.ledger_us) == (12, 12, 12)


def test_entries_are_chained() -> None:
    """Each entry's link covers the link before it, the person's subject, and the entry itself."""
    line = line_of(1_000)
    line.subject = b"s" * 16
    before = line.head
    for entry in enter(line, Posting(A.HELD, A.AVAILABLE, 1), Posting(A.AVAILABLE, A.HELD, 1)):
        assert entry.link == link_of(before, line.subject, entry)
        before = entry.link
    assert line.head == before


def test_sequences_have_no_gap() -> None:
    """Entries of a line are numbered without a gap; a transaction is named by its first entry."""
    line = line_of(1_000)
    first = enter(line, Posting(A.HELD, A.AVAILABLE, 300), Posting(A.CASH, A.DEPOSIT, 20))
    second = enter(
        line, Posting(A.AVAILABLE, A.HELD, 300), Posting(A.DEPOSIT, A.REFUND_PAYABLE, 20)
    )
    numbers = [(entry.sequence, entry.transaction_sequence) for entry in first + second]
    assert numbers == [(2, 2), (3, 2), (4, 4), (5, 4)]
    assert line.version == 5


def test_shared_accounts_keep_no_balance() -> None:
    """Cash, operator payables and commission income store no balance: they are sums of entries."""
    line = line_of(0)
    (paid,) = enter(line, Posting(A.CASH, A.DEPOSIT, 20))
    assert (paid.debit_after_minor, paid.credit_after_minor) == (None, 20)
    (fee,) = enter(line, Posting(A.DEPOSIT, A.FEE_INCOME, 5))
    assert (fee.debit_after_minor, fee.credit_after_minor) == (15, None)
    (share,) = enter(line, Posting(A.DEPOSIT, A.OPERATOR_PAYABLE, 15))
    assert (share.debit_after_minor, share.credit_after_minor) == (0, None)


def test_postings_of_zero_are_left_out() -> None:
    """A posting of zero makes no entry and uses no number."""
    line = line_of(1_000)
    entries = enter(line, Posting(A.HELD, A.AVAILABLE, 0), Posting(A.CASH, A.DEPOSIT, 1))
    assert [entry.debit for entry in entries] == [A.CASH]
    assert enter(line) == []
    assert line.version == 2


@pytest.mark.parametrize(
    ("debit", "credit"),
    [(A.HELD, A.AVAILABLE), (A.AVAILABLE, A.HELD), (A.DRAWN, A.HELD), (A.AVAILABLE, A.DRAWN),
     (A.LIMIT_CONTROL, A.AVAILABLE), (A.CASH, A.RECEIVABLE), (A.DEPOSIT, A.OPERATOR_PAYABLE),
     (A.REFUND_PAYABLE, A.CASH)],
)  # fmt: skip
def test_no_balance_goes_below_zero(debit: Account, credit: Account) -> None:
    """A movement of one unit more than the balance is refused as a broken invariant."""
    with pytest.raises(InvariantBroken, match="negative balance"):
        enter(line_of(0), Posting(debit, credit, 1))


def test_a_balance_may_be_used_up() -> None:
    """A movement of the whole balance is allowed."""
    line = line_of(1)
    enter(line, Posting(A.HELD, A.AVAILABLE, 1))
    assert (line.available_minor, line.held_minor) == (0, 1)


def test_a_negative_posting_is_refused() -> None:
    """Amounts are positive: a reverse movement swaps the accounts."""
    with pytest.raises(InvariantBroken, match="negative posting"):
        enter(line_of(10), Posting(A.AVAILABLE, A.HELD, -1))


def test_a_raise_is_available_at_once() -> None:
    """Raising the limit posts avail / limit_control for the difference."""
    line = line_of(1_000)
    assert set_limit(line, 1_500) == [Posting(A.AVAILABLE, A.LIMIT_CONTROL, 500)]
    enter(line, *set_limit(line, 1_500))
    assert (line.limit_minor, line.available_minor, line.cut_pending_minor) == (1_500, 1_500, 0)


def test_a_cut_of_available_credit_applies_at_once() -> None:
    """A cut of available credit applies at once: limit_control / avail."""
    line = line_of(1_000)
    entries = enter(line, *set_limit(line, 400))
    assert [(e.debit, e.credit, e.amount_minor) for e in entries] == [
        (A.LIMIT_CONTROL, A.AVAILABLE, 600)
    ]
    assert (line.limit_minor, line.available_minor, line.cut_pending_minor) == (400, 400, 0)


def test_a_pending_cut_takes_from_each_release() -> None:
    """Held or drawn credit cannot be cut at once. The cut stays pending, and takes each released
    amount."""
    line = line_of(1_000)
    enter(line, Posting(A.HELD, A.AVAILABLE, 900))
    enter(line, *set_limit(line, 300))
    assert (line.limit_minor, line.available_minor, line.cut_pending_minor) == (900, 0, 600)
    entries = enter(line, Posting(A.AVAILABLE, A.HELD, 400))
    assert [(e.debit, e.amount_minor) for e in entries] == [
        (A.AVAILABLE, 400), (A.LIMIT_CONTROL, 400),
    ]  # fmt: skip
    assert entries[1].transaction_sequence == entries[0].sequence
    assert (line.limit_minor, line.available_minor, line.cut_pending_minor) == (500, 0, 200)
    enter(line, Posting(A.AVAILABLE, A.HELD, 500))
    assert (line.limit_minor, line.available_minor, line.cut_pending_minor) == (300, 300, 0)


def test_a_write_off_counts_towards_a_pending_cut() -> None:
    """The amount that a write-off takes off the limit is not cut again."""
    line = line_of(1_000)
    enter(line, Posting(A.HELD, A.AVAILABLE, 1_000), Posting(A.DRAWN, A.HELD, 400))
    enter(line, *set_limit(line, 300))
    assert line.cut_pending_minor == 700
    enter(line, Posting(A.LIMIT_CONTROL, A.DRAWN, 400))
    assert (line.limit_minor, line.cut_pending_minor) == (600, 300)
    enter(line, Posting(A.AVAILABLE, A.HELD, 600))
    assert (line.limit_minor, line.available_minor, line.cut_pending_minor) == (300, 300, 0)


def test_a_raise_ends_a_pending_cut() -> None:
    """A limit at or above the present one cancels a pending cut."""
    line = line_of(1_000)
    enter(line, Posting(A.HELD, A.AVAILABLE, 1_000))
    enter(line, *set_limit(line, 0))
    assert line.cut_pending_minor == 1_000
    enter(line, *set_limit(line, 1_000))
    assert line.cut_pending_minor == 0
    enter(line, Posting(A.AVAILABLE, A.HELD, 1_000))
    assert (line.limit_minor, line.available_minor) == (1_000, 1_000)


def test_a_second_cut_replaces_the_first() -> None:
    """A later cut counts from the present limit; pending cuts do not add up."""
    line = line_of(1_000)
    enter(line, Posting(A.HELD, A.AVAILABLE, 1_000))
    enter(line, *set_limit(line, 400))
    enter(line, *set_limit(line, 300))
    assert line.cut_pending_minor == 700


def test_a_copy_is_independent() -> None:
    """Posting to a copy of a line leaves the original unchanged."""
    line = line_of(1_000)
    enter(line, Posting(A.HELD, A.AVAILABLE, 100), Posting(A.CASH, A.DEPOSIT, 7))
    enter(line, *set_limit(line, 0))
    copy = line.copy()
    assert copy == line
    enter(copy, Posting(A.AVAILABLE, A.HELD, 100))
    assert copy != line
    assert line.held_minor == 100


MOVES = [
    (A.HELD, A.AVAILABLE), (A.AVAILABLE, A.HELD), (A.DRAWN, A.HELD), (A.AVAILABLE, A.DRAWN),
    (A.CASH, A.DEPOSIT), (A.DEPOSIT, A.REFUND_PAYABLE), (A.RECEIVABLE, A.OPERATOR_PAYABLE),
    (A.CASH, A.RECEIVABLE),
]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from(MOVES), st.integers(0, 500)) | st.integers(0, 1_000), max_size=30
    )
)
def test_balances_are_the_sums_of_the_entries(
    steps: list[tuple[tuple[Account, Account], int] | int],
) -> None:
    """After any movements and limits, each balance is the sum of its entries, no balance is
    negative, and limit = available + held + drawn."""
    line = Line("u-1", "CNY")
    entries: list[Entry] = []
    for step in steps:
        trial = line.copy()
        try:
            if isinstance(step, int):
                entries += enter(trial, *set_limit(trial, step))
            else:
                (debit, credit), amount_minor = step
                entries += enter(trial, Posting(debit, credit, amount_minor))
        except InvariantBroken:
            continue
        line = trial
    for account, (column, sign) in LINE_COLUMNS.items():
        total = sum(
            entry.amount_minor * ((entry.debit is account) - (entry.credit is account))
            for entry in entries
        )
        assert getattr(line, column) == sign * total >= 0
    assert line.limit_minor == line.available_minor + line.held_minor + line.drawn_minor
    assert [entry.sequence for entry in entries] == list(range(1, line.version + 1))
    assert all(entry.book is book_of(entry.debit) is book_of(entry.credit) for entry in entries)
    assert line.cut_pending_minor == 0 or line.available_minor == 0
