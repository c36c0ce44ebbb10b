"""The statement of the payment rail, kept beside the books from the calls alone.

The statement knows the rail's money: the payments that callers have told of, the cases of the
banks, the money that matches nothing, the transfers by the rail's own reports, and the operators'
payouts and payments. It knows no tariff, no state and no posting. At the end the books must have
the same money: in total, in suspense, for each person and for each operator.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from service.domain.authorization import Authorization
from service.domain.suspense import Direction
from service.engine import operations as c
from service.engine.calls import ChargedBack, Matched

Name = tuple[str, str]
"""A person and an authorization id, or a person and a transfer id."""
Read = Callable[[str], Sequence[Any]]
"""Runs a query."""
Overturned = Callable[[str, str], Iterable[str]]
"""The ids of the cases of a person's authorization that are overturned now."""
Spread = Callable[[str, str], Iterable[tuple[str, str, int]]]
"""The parts of a person's case that were recorded for other authorizations of the group: for each
the authorization id, the id of its own case, and the amount."""

UNDER_WAY = ("REQUESTED", "SENT")


class Statement:
    """The balance of the rail's account, and to whom its money belongs. Amounts are minor units."""

    def __init__(self, overturned: Overturned, spread: Spread) -> None:
        self._overturned = overturned
        self._spread = spread
        self.people: Counter[str] = Counter()
        """The money that came from each person and has not gone back, without transfers."""
        self.operators: Counter[str] = Counter()
        """Payments of each operator, less what was paid out to it."""
        self.tills: Counter[str] = Counter()
        """The payments of people to each operator itself; this money is not at the rail."""
        self.suspense = 0
        self.kinds: Counter[str] = Counter()
        """The number of lines of each kind."""
        self._cases: dict[tuple[str, str, str], list[Any]] = {}
        """For each case of a bank: the amount, and whether the bank has it."""
        self._words: defaultdict[Name, set[str]] = defaultdict(set)
        """The rail's words on each transfer."""

    def hear(self, command: object, answer: object) -> None:
        """Adds the lines of a call that was carried out."""
        match command:
            case c.Confirm():
                self._come(command.user_id, command.paid.amount_minor, "paid")
            case c.Increment() if command.paid is not None:
                self._come(command.user_id, command.paid.amount_minor, "paid")
            case c.RecordPayment():
                self._come(command.user_id, command.amount.amount_minor, "paid")
            case c.RecordPaidElsewhere():
                assert isinstance(answer, Authorization)
                self.tills[answer.operator_id] += command.amount.amount_minor
                self.kinds["paid elsewhere"] += 1
            case c.RecordChargeBack():
                assert isinstance(answer, ChargedBack)
                taken, of = command.amount.amount_minor, answer.charge_back
                self.suspense -= of.suspense_minor
                if of.suspense_minor:
                    self.kinds["charge-back in suspense"] += 1
                named = "charge-back of a payment" if command.payment else "charge-back"
                name = (command.user_id, command.authorization_id)
                self._take(name, of.case_id, taken - of.suspense_minor, named)
                for authorization_id, case_id, part_minor in self._spread(name[0], of.case_id):
                    if (name[0], authorization_id, case_id) not in self._cases:
                        self.suspense += part_minor
                        self._take((name[0], authorization_id), case_id, part_minor, "group")
            case c.ResolveChargeBack():
                self._decide(command)
            case c.RecordUnmatched():
                came_in = command.direction is Direction.IN
                amount = command.amount.amount_minor
                self.suspense += amount if came_in else -amount
                self.kinds[f"unmatched {command.direction}"] += 1
            case c.MatchSuspense():
                self._match(command, answer)
            case c.ReportTransfer():
                self._words[command.user_id, command.transfer_id].add(str(command.state))
            case c.PayOutOperator():
                self.operators[command.operator_id] -= command.amount.amount_minor
                self.kinds["operator paid out"] += 1
            case c.RecordOperatorPayment():
                self.operators[command.operator_id] += command.amount.amount_minor
                self.kinds["operator pays"] += 1
            case _:
                pass

    def _come(self, user_id: str, amount_minor: int, kind: str) -> None:
        self.people[user_id] += amount_minor
        self.kinds[kind] += 1

    def _take(self, name: Name, case_id: str, amount_minor: int, kind: str) -> None:
        self._cases[*name, case_id] = [amount_minor, True]
        self._come(name[0], -amount_minor, kind)

    def _decide(self, it: c.ResolveChargeBack) -> None:
        """The bank gives the money of a case back, or takes it again."""
        of = (it.user_id, it.authorization_id)
        ids: Iterable[str] = (it.case_id,) if it.case_id else ()
        if not it.case_id and not it.user_won:
            ids = self._overturned(*of)
        for case_id in ids:
            case = self._cases[(*of, case_id)]
            amount_minor, taken = case
            if taken and not it.user_won:
                self._come(it.user_id, amount_minor, "charge-back overturned")
            elif not taken and it.user_won:
                self._come(it.user_id, -amount_minor, "charge-back reopened")
            case[1] = it.user_won

    def _match(self, it: c.MatchSuspense, answer: object) -> None:
        """Money leaves suspense: for the rail, or for a person."""
        assert isinstance(answer, Matched)
        came_in = answer.item.direction is Direction.IN
        amount_minor = it.amount.amount_minor
        signed_minor = amount_minor if came_in else -amount_minor
        if not it.authorization_id:
            self.suspense -= signed_minor
            self.kinds[f"{answer.item.direction} to the rail"] += 1
        elif answer.authorization is not None:
            self.suspense -= signed_minor
            if came_in:
                self._come(it.user_id, amount_minor, "matched IN")
            else:
                case_id = f"suspense/{answer.item.matches}/{it.payment_reference}"
                name = (it.user_id, it.authorization_id)
                self._take(name, case_id, amount_minor, "matched OUT")

    def expected(self, read: Read) -> dict[str, int]:
        """The money that the books must have."""
        people = Counter(self.people)
        for user_id, transfer_id, kind, amount_minor, state in read(
            "SELECT user_id, transfer_id, kind, amount_minor, state FROM transfers"
        ):
            words = self._words[user_id, transfer_id]
            moved = "SUCCEEDED" in words and "RETURNED" not in words
            # The books let a payout go when they ask for it.
            if moved or (kind == "PAYOUT" and state in UNDER_WAY):
                people[user_id] += amount_minor if kind == "DEBIT" else -amount_minor
        cash_minor = people.total() + self.operators.total() + self.suspense
        owed = _by_operator(read, _EARNED)
        owed.update(self.operators)
        owed.subtract(self.tills)
        return _table(cash_minor, self.suspense, self.operators, owed, people, people, people)

    def found(self, read: Read) -> dict[str, int]:
        """The money that the books have."""
        cash_minor = suspense_minor = 0
        people: Counter[str] = Counter()
        operators: Counter[str] = Counter()
        for user_id, operator_id, authorization_id, debit, credit, amount_minor in read(
            "SELECT user_id, operator_id, authorization_id, debit, credit, amount_minor FROM"
            " entries WHERE debit IN ('cash', 'suspense') OR credit IN ('cash', 'suspense')"
        ):
            for name, signed_minor in ((debit, amount_minor), (credit, -amount_minor)):
                cash_minor += signed_minor if name == "cash" else 0
                suspense_minor -= signed_minor if name == "suspense" else 0
                if name in ("cash", "suspense"):
                    if authorization_id:
                        people[user_id] += signed_minor
                    elif name == "cash" and operator_id != "platform":
                        operators[operator_id] += signed_minor
        came, used = _rentals(read)
        owed = _by_operator(read, _OWED)
        return _table(cash_minor, suspense_minor, operators, owed, people, came, used)


_OWED = "SELECT operator_id, SUM(amount_minor) FROM operator_payables GROUP BY operator_id"
"""The books' balances."""
_EARNED = (
    "SELECT operator_id, SUM(captured_minor - conceded_minor - fee_minor) FROM authorizations"
    " GROUP BY operator_id"
)
"""The charges, less what the operators conceded and the commission."""


def _by_operator(read: Read, query: str) -> Counter[str]:
    return Counter({name: int(amount_minor) for name, amount_minor in read(query)})


def _rentals(read: Read) -> tuple[Counter[str], Counter[str]]:
    """The money of each person by the rows of the rentals, computed in two ways.

    The first way is the money that came in and has not gone back. The second way adds the deposits,
    the money owed back and the paid part of the charges, and subtracts the money that banks have
    and that went out twice.
    """
    came: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for user_id, came_minor, used_minor in read(
        "SELECT user_id, received_minor - charged_back_minor - paid_out_minor,"
        " held_cash_minor + refund_payable_minor"
        " + captured_minor - captured_credit_minor + paid_minor + recovered_minor"
        " - refunded_minor - elsewhere_minor"
        " - charged_back_minor - overpaid_minor - overpaid_written_off_minor FROM authorizations"
    ):
        came[user_id] += came_minor
        used[user_id] += used_minor
    return came, used


def _table(
    cash_minor: int,
    suspense_minor: int,
    operators: Counter[str],
    owed: Counter[str],
    people: Counter[str],
    came: Counter[str],
    used: Counter[str],
) -> dict[str, int]:
    """The amounts by their names, without zeros."""
    table = {"cash": cash_minor, "suspense": suspense_minor}
    for what, amounts in (
        ("operator", operators),
        ("owed to operator", owed),
        ("person", people),
        ("came and stayed, of", came),
        ("deposit, owed back and paid, of", used),
    ):
        table |= {f"{what} {name}": minor for name, minor in amounts.items() if minor}
    return table
