"""The random model's rule for the questions of the platform, as the reference tells it.

They are the cases of a second use of a payment reference, of a late pick-up of an item that is out
with somebody else, and of money in suspense.
"""

from __future__ import annotations

from typing import Any

from service.domain.access import PLATFORM
from service.engine import operations as c
from tests.engine.plain_books import Books
from tests.engine.plain_terms import Refused, Row

Name = tuple[str, Any, int]
"""A kind, the key of a rental, of a second use or of an item in suspense, and the place among the
questions with this key."""
STATE = ("state", "outcome", "closed_by", "close_us", "evidence")
"""The fields of each question that are compared."""


def new(evidence: int, **about: Any) -> Row:
    """A question that nobody has answered; `evidence` counts its rows of evidence."""
    return {
        **about, "state": "OPEN", "outcome": None, "closed_by": "", "close_us": None,
        "evidence": evidence,
    }  # fmt: skip


def is_open(row: Row) -> bool:
    """Whether a question waits for an answer."""
    return bool(row["state"] == "OPEN")


def question(of: Books, name: Name) -> Row:
    """The question of a name."""
    kind, key, place = name
    tables: dict[str, Any] = {
        "LATE_PICKUP": of.late_questions, "SECOND_REFERENCE": of.second_uses,
        "UNMATCHED_MONEY": of.questions,
    }  # fmt: skip
    row: Row = tables[kind][key][place]
    return row


def close(of: Books, row: Row, caller: str, now_us: int) -> None:
    """Ends a question."""
    of.change(row, state="CLOSED", outcome="HANDLED", closed_by=caller, close_us=now_us)


def answer(of: Books, caller: str, command: Any, now_us: int) -> Any:
    """Adds evidence to a question, or answers it; None if the call names no question.

    No operator knows of a question, and the platform answers it in one way only.
    """
    told = (command.user_id, command.authorization_id, command.case_id)
    name = of.question_names.get(told)
    if name is None:
        return None
    if caller != PLATFORM:
        raise Refused("CASE_NOT_FOUND")
    row = question(of, name)
    if not is_open(row):
        raise Refused("CASE_CLOSED")
    if isinstance(command, c.AddEvidence):
        of.change(row, evidence=row["evidence"] + 1)
        return "question", dict(row)
    if command.outcome != "HANDLED" or command.amount is not None:
        raise Refused("INVALID_INPUT")
    of.change(row, evidence=row["evidence"] + bool(command.reason))
    close(of, row, caller, now_us)
    return "question", dict(row)
