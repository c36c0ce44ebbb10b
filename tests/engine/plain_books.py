"""Two books of plain integers: every amount is posted to a debited and a credited account; a
person's accounts are the person's line.

Every write of a command is remembered, so a refusal can undo it.
"""

from __future__ import annotations

from typing import Any

from tests.engine.plain_quotas import give_back
from tests.engine.plain_terms import DAY_US, FEE_BP, Row, due, payable_out, wake

Key = tuple[str, str]
RentalKey = tuple[str, str, int]
"""The caller and request id of a rental's Authorize, and the place in the group."""
Posting = tuple[str, str, int]
Moved = tuple[str, str, RentalKey | None, str, str]
"""Person, operator, rental, transition and account."""

# A person's accounts, as the line has them, and the side on which each grows.
LINE = {
    "available": ("available", 1), "held": ("held", 1), "drawn": ("drawn", 1),
    "limit": ("limit_control", -1), "receivable": ("receivable", 1),
    "disputed": ("receivable_disputed", 1), "charged_back": ("receivable_charged_back", 1),
    "deposit": ("deposit", -1), "refund_payable": ("refund_payable", -1),
    "overpaid": ("overpaid", 1), "unheld": ("receivable_unheld", 1),
}  # fmt: skip
SIGNS = dict(LINE.values())

_ABSENT: Any = object()


class Books:
    """The reference's tables, and functions that write them."""

    def __init__(self) -> None:
        self.people: dict[str, Row] = {}
        self.lines: dict[str, Row] = {}
        self.rentals: dict[RentalKey, Row] = {}
        self.groups: dict[Key, list[RentalKey]] = {}
        self.names: dict[Key, RentalKey] = {}
        """From person and authorization id, which the engine assigns, to the rental."""
        self.items: dict[Key, RentalKey] = {}
        self.payments: dict[Key, Row] = {}
        self.second_uses: dict[tuple[str, str, str], list[Row]] = {}
        """The cases of references that were used again, by user, rental and first use."""
        self.debts: dict[tuple[RentalKey, str], Row] = {}
        """By rental and business reference."""
        self.late_pickups: dict[RentalKey, Row] = {}
        """By reservation."""
        self.late_questions: dict[RentalKey, list[Row]] = {}
        """The cases of late pick-ups of items that are out with somebody else, by reservation."""
        self.cases: dict[tuple[RentalKey, int], Row] = {}
        """By rental and the version that opened the case."""
        self.case_names: dict[tuple[str, str, str], tuple[RentalKey, int]] = {}
        """From person, authorization id and case id, which the engine assigns, to the case."""
        self.charge_backs: dict[tuple[RentalKey, str], Row] = {}
        """Charge-backs, by rental and the bank's id."""
        self.suspense: dict[Key, Row] = {}
        """By caller and reference."""
        self.questions: dict[Key, list[Row]] = {}
        """The case about each item in suspense, by caller and reference."""
        self.question_names: dict[tuple[str, str, str], tuple[str, Any, int]] = {}
        """From person, authorization id and case id to the question of the platform."""
        self.lapses: dict[tuple[RentalKey, int], tuple[str, str, int]] = {}
        """Lapses by rental and version: the kind, the event and the instant."""
        self.consents: dict[tuple[RentalKey, int], str] = {}
        """References to consents, by rental and version."""
        self.verdicts: dict[RentalKey, tuple[int, str, str, str, str]] = {}
        """Verdicts on reviews: the version, the verdict, its reason, the text and the hand."""
        self.granted_increments: dict[RentalKey, int] = {}
        self.refused_increments: dict[RentalKey, tuple[tuple[str, str, str, int], ...]] = {}
        """The tries that were refused: the caller, the request id, the reason and the instant."""
        self.closings: dict[RentalKey, tuple[str, int]] = {}
        """The steps that ended rentals: the event and its instant."""
        self.details: dict[RentalKey, Row] = {}
        """Details of orders, by rental."""
        self.transfers: dict[Key, Row] = {}
        """By person and transfer id, which the engine assigns."""
        self.requests: dict[Key, Row] = {}
        self.quota_uses: dict[Any, Row] = {}
        """Minutes of quotas that rentals used: by rental, person, operator, quota and period."""
        self.passes: dict[Key, Row] = {}
        """By operator and the request id of the call that made the pass."""
        self.pass_names: dict[Key, Key] = {}
        """From person and pass id, which the engine assigns, to the pass."""
        self.held_on: dict[tuple[str, str, int], int] = {}
        """The sums held on credit under a budget of a day, by operator, policy and day."""
        self.now_us = 0
        """The present instant."""
        self.captures: dict[tuple[RentalKey, int], Row] = {}
        """By rental and number, which counts from 1."""
        self.corrections: dict[tuple[RentalKey, int], Row] = {}
        self.attestations: dict[tuple[RentalKey, int], Row] = {}
        self.owed: dict[str, int] = dict.fromkeys(FEE_BP, 0)
        """The amount that each operator is owed."""
        self.beyond: set[str] = set()
        """The operators that owed more than their bound when somebody last looked."""
        self.given_up: dict[tuple[RentalKey, int], tuple[str, int, int]] = {}
        """Write-offs and dropped debts, by rental and version: the transition, the instant and the
        amount."""
        self.breakers: dict[Key, int] = {}
        """The numbers of open breakers, by operator and policy; 0 for a closed one."""
        self.breakers_reset: dict[Key, int] = {}
        """When a person last closed a breaker, by operator and policy."""
        self.breaker_rows: dict[tuple[str, int], list[Any]] = {}
        """By operator and number: the policy, the losses, their number, and when the breaker opened
        and closed."""
        self.known: dict[str, Row] = {}
        """The people as scoring sees them: as of the start of the batch."""
        self.decisions: list[RentalKey] = []
        self.read_values: list[tuple[str, str, str]] = []
        """Operator, request id and the values read, of each decision that read any."""
        # new rows since the last comparison
        self.touched: list[RentalKey] = []
        self.moved: list[tuple[Moved, int]] = []
        self.events: list[tuple[str, RentalKey | None, str, int]] = []
        self.ordered: list[Row] = []
        """Transfers without an id so far."""
        self._journal: list[tuple[dict[Any, Any], Any, Any]] = []

    def _undo(self) -> None:
        for table, name, before in reversed(self._journal):
            if before is _ABSENT:
                del table[name]
            else:
                table[name] = before

    def put(self, table: dict[Any, Any], name: Any, value: Any) -> None:
        """Writes an entry of a table and remembers the old one."""
        self._journal.append((table, name, table.get(name, _ABSENT)))
        table[name] = value

    def change(self, it: Row, **new: Any) -> None:
        """Writes fields of a row."""
        for name, value in new.items():
            self.put(it, name, value)

    def line(self, user_id: str) -> Row:
        """The person's line; a new one is empty."""
        if user_id not in self.lines:
            empty = dict.fromkeys([*SIGNS, "pending", "entries"], 0)
            self.put(self.lines, user_id, {**empty, "standing": "NORMAL", "fixed": False})
        return self.lines[user_id]

    def shown(self, user_id: str) -> Row:
        """The person's line as it is stored."""
        line = self.lines[user_id]
        kept = {name: sign * line[account] for name, (account, sign) in LINE.items()}
        return {
            **kept,
            "cut_pending": line["pending"],
            "standing": line["standing"],
            "limit_fixed": line["fixed"],
            "version": line["entries"],
        }

    def post(
        self,
        user_id: str,
        operator_id: str,
        key: RentalKey | None,
        transition: str,
        postings: tuple[Posting, ...],
    ) -> None:
        """Posts debits and credits; available credit then goes to a pending cut."""
        line = self.line(user_id)
        for debit, credit, amount in postings:
            self._move(line, user_id, operator_id, key, transition, (debit, credit, amount))
            if debit == "limit_control":
                self.change(line, pending=max(0, line["pending"] - amount))
        cut = min(line["pending"], line["available"])
        self.change(line, pending=line["pending"] - cut)
        last = ("limit_control", "available", cut)
        self._move(line, user_id, operator_id, key, transition, last)
        assert line["drawn"] == line["receivable"] + line["receivable_disputed"]
        assert -line["limit_control"] == line["available"] + line["held"] + line["drawn"]

    def _move(
        self,
        line: Row,
        user_id: str,
        operator_id: str,
        key: RentalKey | None,
        transition: str,
        posting: Posting,
    ) -> None:
        debit, credit, amount = posting
        assert amount >= 0
        if amount == 0:
            return
        self.put(line, "entries", line["entries"] + 1)
        for account, change in ((debit, amount), (credit, -amount)):
            self.moved.append(((user_id, operator_id, key, transition, account), change))
            if account == "operator_payable":
                self.put(self.owed, operator_id, self.owed[operator_id] - change)
            elif account in SIGNS:
                self.put(line, account, line[account] + change)
                assert SIGNS[account] * line[account] >= 0, (user_id, account)

    def _count_held(self, it: Row, more: int) -> None:
        """Counts a hold for the budget of the day."""
        terms = it["terms"]
        if more > 0 and "DAY" in [row.get("span") for row in terms["rules"].get("budget", [])]:
            name = it["operator_id"], terms["policy"], self.now_us // DAY_US
            self.put(self.held_on, name, self.held_on.get(name, 0) + more)

    def step(self, it: Row, transition: str, event_us: int, *postings: Posting, **new: Any) -> None:
        """One step of a rental: its postings, its new fields, its event."""
        after = {**it, **new}
        twice, owed = int(after["overpaid"]), int(after["refund_payable"])
        both = min(twice, owed)
        if both:
            # Money owed back is kept for money that went out twice.
            postings += (("refund_payable", "overpaid", both),)
            new |= {"overpaid": twice - both, "refund_payable": owed - both}
        lost = min(int(after["overpaid_written_off"]), owed - both)
        if lost:
            # It also pays for money that went out twice and was given up.
            postings += (("refund_payable", "recovery", lost),)
            new |= {
                "overpaid_written_off": after["overpaid_written_off"] - lost,
                "refund_payable": owed - both - lost,
            }
        if postings:
            self.post(it["user_id"], it["operator_id"], it["key"], transition, postings)
        self._count_held(it, after["held_credit"] - it["held_credit"])
        self.change(it, **new, version=it["version"] + 1)
        if due(it) + it["overpaid"] == 0:
            # A proposal to write off ends when nothing is unpaid.
            self.change(it, write_off_by="", write_off=0)
        since_us = it["refund_since_us"] or event_us
        self.change(it, refund_since_us=since_us if payable_out(it) else None)
        self.change(it, wake_us=wake(it))
        give_back(self, it)
        self.touched.append(it["key"])
        self.events.append((it["user_id"], it["key"], transition, event_us))
