"""Replays the entries of the lines of a portion, and compares them with the stored lines.

Everything is compared in bulk: a balance after an entry is a running sum over its account, and a
link is computed from the stored previous link. The first fault is the same as in a replay of one
entry at a time, because all stored values before the first fault are right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from operator import eq, ne

import numpy as np

from service.books.columns import Columns, add_up
from service.books.faults import Array, Faults, Found, Place
from service.books.portion import (
    ACCOUNTS,
    BOOKS,
    LAST,
    LINK_HEADS,
    MISSING,
    Portion,
    Stage,
    entry_row,
)
from service.domain.hash_chain import NO_LINK, subject_of
from service.domain.ledger import LINE_COLUMNS, Account, book_of

_ACCOUNT_NAMES = list(ACCOUNTS)
_BOOK_OF = np.array([BOOKS[str(book_of(account))] for account in Account], dtype=np.int64)
_KEPT = {account: place for place, account in enumerate(LINE_COLUMNS)}
_KEPT_PLACE = np.array([_KEPT.get(account, -1) for account in Account], dtype=np.int64)
_SIGN = np.array([LINE_COLUMNS.get(account, ("", 0))[1] for account in Account], dtype=np.int64)
_OWED = np.array(
    [
        {Account.DRAWN: 1, Account.RECEIVABLE: -1, Account.RECEIVABLE_DISPUTED: -1}.get(account, 0)
        for account in Account
    ],
    dtype=np.int64,
)
"""The sign of an account in drawn - receivable - disputed, which is 0 after each transaction."""


class Replay:
    """The entries of a portion's lines in order, and the values that follow from them."""

    def __init__(self, portion: Portion, faults: Faults) -> None:
        self._portion, self._faults = portion, faults
        entries, line = portion.entries, portion.entry_line
        self._it = entries
        self._line = line
        count = entries.count
        self.first = np.ones(count, dtype=bool)
        """True for the first entry of a line."""
        self.first[1:] = line[1:] != line[:-1]
        begins = np.flatnonzero(self.first)
        sizes = np.diff(begins, append=count)
        self._counts = np.zeros(len(portion.lines_of), dtype=np.int64)
        self._counts[line[begins]] = sizes
        self._begins = np.zeros(len(portion.lines_of), dtype=np.int64)
        self._begins[line[begins]] = begins
        self._place = np.arange(count) - np.repeat(begins, sizes) + 1
        self._stored = portion.line_row[line]
        self.begins_transaction = entries["sequence"] == entries["transaction_sequence"]

    # -- names and places -----------------------------------------------------------------------

    def row(self, index: int) -> str:
        """The name of an entry's row."""
        key = self._portion.lines_of[int(self._line[index])]
        return entry_row(*key, self._it["sequence"][index])

    def at(self, order: int) -> Callable[[int], Place]:
        """The place of a check among the checks of entries."""
        person, line = self._portion.line_person, self._line
        return lambda index: (
            int(person[line[index]]), Stage.LINES, int(line[index]), int(self._place[index]), order,
        )  # fmt: skip

    def note(self, order: int, rule: str, wrong: Array, detail: str | Callable[[int], str]) -> None:
        """Notes the first entry that breaks a rule; `order` is the rule's place among the rules."""
        self._faults.note(rule, wrong, self.at(order), self.row, detail)

    # -- the entries ----------------------------------------------------------------------------

    def check(self) -> None:
        """Notes, for each rule, the first entry that does not follow from the entries before it."""
        if self._it.count:
            self._check_order()
            self._check_balances()
            self._check_links()
        self._check_heads()
        self._check_lines()

    def _check_order(self) -> None:
        it, later = self._it, ~self.first
        sequence, place = it["sequence"], self._place
        self.note(0, "ENTRY_WITHOUT_LINE", self._stored == MISSING, "the line is missing")
        self.note(
            1, "ENTRY_MISSING", sequence != place,
            lambda i: f"expected {place[i]}, found {sequence[i]}",
        )  # fmt: skip
        amount = it["amount_minor"]
        self.note(2, "AMOUNT_NOT_POSITIVE", amount <= 0, lambda i: str(amount[i]))
        debit, credit, book = it["debit"], it["credit"], it["book"]
        self.note(
            3, "BOOK_NOT_BALANCED", (_BOOK_OF[debit] != book) | (_BOOK_OF[credit] != book),
            lambda i: f"{_ACCOUNT_NAMES[debit[i]]} / {_ACCOUNT_NAMES[credit[i]]} in the other book",
        )  # fmt: skip
        self._check_transactions(later)
        event, ledger = it["event_us"], it["ledger_us"]
        self.note(6, "TIME", event > ledger, "written before the event happened")
        before = np.zeros(it.count, dtype=bool)
        before[1:] = ledger[1:] < ledger[:-1]
        self.note(7, "TIME", before & later, "written before the previous entry")

    def _check_transactions(self, later: Array) -> None:
        """Checks transactions: each balances, and drawn = receivable + disputed after it."""
        it, begins = self._it, self.begins_transaction
        owed = (_OWED[it["debit"]] * _SIGN[it["debit"]]) * it["amount_minor"]
        owed = owed - (_OWED[it["credit"]] * _SIGN[it["credit"]]) * it["amount_minor"]
        running = np.cumsum(owed)
        running = running - np.repeat(
            (running - owed)[self.first], np.diff(np.flatnonzero(self.first), append=it.count)
        )
        self._owed = running
        apart = np.zeros(it.count, dtype=bool)
        apart[1:] = (running != 0)[:-1]
        self._faults.note(
            "DRAWN_IS_RECEIVABLE", apart & begins & later, self.at(4),
            lambda i: self._transaction_row(i - 1), lambda i: self._apart(i - 1),
        )  # fmt: skip
        same = np.zeros(it.count, dtype=bool)
        same[1:] = np.fromiter(
            map(eq, it["owner"], it["owner"][1:]), dtype=bool, count=it.count - 1
        )
        for name in ("transaction_sequence", "transition", "event_us", "ledger_us"):
            same[1:] &= it[name][1:] == it[name][:-1]
        self.note(
            5, "TRANSACTION", ~begins & ~(same & later),
            "neither begins nor continues a transaction",
        )  # fmt: skip

    def _transaction_row(self, index: int) -> str:
        """The row of the first entry of an entry's transaction."""
        key = self._portion.lines_of[int(self._line[index])]
        return entry_row(*key, self._it["transaction_sequence"][index])

    def _apart(self, index: int) -> str:
        return f"after it: drawn is {self._owed[index]} more than is owed"

    def _check_balances(self) -> None:
        """Checks that each balance after an entry is the sum of the account's movements."""
        it, accounts = self._it, len(_KEPT)
        sides = (it["debit"], it["credit"])
        after = (it["debit_after_minor"], it["credit_after_minor"])
        # One after the other, the debit first, as they are posted.
        account = np.stack(sides, axis=1).ravel()
        amount = np.stack((it["amount_minor"], -it["amount_minor"]), axis=1).ravel()
        values = np.stack([side.values for side in after], axis=1).ravel()
        there = np.stack([side.there for side in after], axis=1).ravel()
        kept = _KEPT_PLACE[account]
        shared = kept < 0
        moved = np.flatnonzero(~shared)
        key = np.repeat(self._line, 2)[moved] * accounts + kept[moved]
        order = np.argsort(key, kind="stable")
        change = (_SIGN[account] * amount)[moved][order]
        running = np.cumsum(change)
        begins = np.ones(len(key), dtype=bool)
        begins[1:] = key[order][1:] != key[order][:-1]
        sizes = np.diff(np.flatnonzero(begins), append=len(key))
        running = running - np.repeat((running - change)[begins], sizes)
        balance = np.zeros(len(account), dtype=running.dtype)
        balance[moved[order]] = running
        self._final = add_up(key[order], change, len(self._portion.lines_of) * accounts)
        wrong = np.where(shared, there, ~there | (balance != values))
        negative = ~shared & (balance < 0)

        def detail(side: int) -> Callable[[int], str]:
            def say(index: int) -> str:
                at = 2 * index + side
                name = _ACCOUNT_NAMES[account[at]]
                if shared[at]:
                    return f"{name} keeps no balance here"
                stored = values[at] if there[at] else None
                return f"{name}: replayed {balance[at]}, stored {stored}"

            return say

        for side in (0, 1):
            first = 8 + 2 * side
            self.note(first, "BALANCE_AFTER", wrong[side::2], detail(side))
            self.note(first + 1, "BALANCE_NEGATIVE", negative[side::2], detail(side))

    def _check_links(self) -> None:
        """Checks that each link is the hash over the previous link, the person's subject and the
        entry."""
        portion, it = self._portion, self._it
        wrong = np.zeros(it.count, dtype=bool)
        begins = np.flatnonzero(self.first).tolist()
        for begin, end in zip(begins, [*begins[1:], it.count], strict=True):
            stored = portion.line_row[self._line[begin]]
            if stored >= 0:
                subject = portion.lines["subject"][stored]
                links, texts = it["link"][begin:end], it["text"][begin:end]
                for index in _unlinked(subject, links, texts):
                    wrong[begin + index] = True
        formats = self._it["link_format"]
        unknown = ~np.isin(formats, list(LINK_HEADS))
        self.note(
            12, "LINK_FORMAT", unknown, lambda i: f"format {formats[i]} is not known to this build"
        )
        self.note(
            13, "LINK", wrong, "the link does not follow from the entry and the previous link"
        )

    # -- sealed heads ---------------------------------------------------------------------------

    def _check_heads(self) -> None:
        """Checks that each sealed head is the link of its entry, in the order of the seals."""
        heads, line = self._portion.heads, self._portion.head_line
        links = self._it["link"]
        reached, last = 1, -1
        for index, version in enumerate(heads["version"]):
            if line[index] != last:
                reached, last = 1, line[index]
            count = int(self._counts[last])
            reached = max(reached, int(version))
            place = (int(self._portion.line_person[last]), Stage.LINES, int(last))
            if reached > count:
                name = "/".join(("lines", *self._portion.lines_of[last]))
                text = f"{version} entries were sealed, {count} are there"
                self._faults.add((*place, LAST, 30), Found("TAIL_CUT", name, text))
                continue
            entry = int(self._begins[last]) + reached - 1
            if version != reached or heads["head"][index] != links[entry]:
                found = Found("SEALED_HEAD", self.row(entry), "another link was sealed here")
                self._faults.add((*place, reached, 20), found)

    # -- the lines ------------------------------------------------------------------------------

    def _check_lines(self) -> None:
        """Checks that each stored line follows from its entries."""
        portion, lines = self._portion, self._portion.lines
        if not lines.count:
            return
        line = np.zeros(lines.count, dtype=np.int64)
        there = np.flatnonzero(portion.line_row >= 0)
        line[portion.line_row[there]] = there
        person = portion.line_person[line]
        counts, last = self._counts[line], (self._begins + self._counts - 1)[line]
        some = counts > 0

        def name(index: int) -> str:
            return f"lines/{lines['user_id'][index]}/{lines['currency'][index]}"

        def note(
            order: int, rule: str, wrong: Array, detail: str | Callable[[int], str],
            row: Callable[[int], str] = name, sequence: int = LAST,
        ) -> None:  # fmt: skip
            def place(index: int) -> Place:
                return (int(person[index]), Stage.LINES, int(line[index]), sequence, order)

            self._faults.note(rule, wrong, place, row, detail)

        note(1, "SUBJECT", _of_others(lines), "the chain is another person's", sequence=-1)
        version = lines["version"]
        note(
            1, "ENTRY_MISSING", version != counts,
            lambda i: f"counts {version[i]} entries, there are {counts[i]}",
        )  # fmt: skip
        if self._it.count:
            note(
                2, "DRAWN_IS_RECEIVABLE", some & (self._owed[last] != 0),
                lambda i: self._apart(last[i]), lambda i: self._transaction_row(last[i]),
            )  # fmt: skip
        self._check_sums(lines, note)
        self._check_stored(lines, line, note)
        heads = self._it["link"]
        wrong = [
            head != (heads[at] if known else NO_LINK)
            for head, at, known in zip(lines["head"], last, some, strict=True)
        ]
        note(
            22, "HEAD_STORED", np.array(wrong, dtype=bool), "the head is not the last entry's link"
        )
        ledger = np.zeros(lines.count, dtype=lines["ledger_us"].dtype)
        ledger[some] = self._it["ledger_us"][last[some]]
        note(
            23, "TIME", ledger != lines["ledger_us"],
            lambda i: f"ledger_us: replayed {ledger[i]}, stored {lines['ledger_us'][i]}",
        )  # fmt: skip

    def _check_sums(self, it: Columns, note: Callable[..., None]) -> None:
        parts = it["available_minor"] + it["held_minor"] + it["drawn_minor"]
        note(
            3, "LIMIT_IS_THE_SUM", it["limit_minor"] != parts,
            lambda i: f"limit {it['limit_minor'][i]}, parts {parts[i]}",
        )  # fmt: skip
        owed = it["receivable_minor"] + it["disputed_minor"]
        note(
            4, "DRAWN_IS_RECEIVABLE", it["drawn_minor"] != owed,
            lambda i: f"drawn {it['drawn_minor'][i]}, owed {owed[i]}",
        )  # fmt: skip
        cut = it["cut_pending_minor"]
        note(
            20, "CUT_PENDING", (cut != 0) & ((cut < 0) | (it["available_minor"] != 0)),
            "a cut is pending while something is available",
        )  # fmt: skip
        note(21, "CUT_PENDING", cut > it["limit_minor"], "more is to be cut than the limit")

    def _check_stored(self, it: Columns, line: Array, note: Callable[..., None]) -> None:
        """Checks that each balance of a line is the sum of its entries' movements."""
        for place, (column, _) in enumerate(LINE_COLUMNS.values()):
            replayed = np.zeros(it.count, dtype=np.int64)
            if self._it.count:
                replayed = self._final[line * len(_KEPT) + place]
            stored = it[column]
            note(
                5 + place, "BALANCE_STORED", stored != replayed,
                lambda i, c=column, a=replayed, b=stored: f"{c}: replayed {a[i]}, stored {b[i]}",
            )  # fmt: skip


def _of_others(lines: Columns) -> Array:
    """True for each line with a subject that does not follow from the line's key and person."""
    keyed = zip(lines["user_id"], lines["subject_key"], lines["subject"], strict=True)
    wrong = [key != b"" and _subject(user, key) != subject for user, key, subject in keyed]
    return np.array(wrong, dtype=bool)


def _subject(user_id: str, key: bytes) -> bytes | None:
    try:
        return subject_of(user_id, key)
    except ValueError:
        return None  # no key has such a length


def _unlinked(subject: bytes, links: Sequence[bytes], texts: Sequence[bytes]) -> list[int]:
    """The entries of a line whose links do not follow from the link before and their texts."""
    sha256 = hashlib.sha256
    before = [NO_LINK, *links[:-1]]
    made = [
        sha256(link + subject + text).digest() for link, text in zip(before, texts, strict=True)
    ]
    if made == list(links):
        return []
    return [index for index, pair in enumerate(zip(made, links, strict=True)) if ne(*pair)]
