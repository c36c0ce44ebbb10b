"""Rows that a step writes in addition to its authorization, derived a second time from the other
rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.domain.verification import Told
from service.storage.store import SqlStore

Read = Callable[[str], Sequence[Any]]
Step = tuple[str, str, int, str, int]
"""Person, authorization, version, transition and instant of an event."""
INCREMENTED = "authorization.incremented"


def beside(read: Read, store: SqlStore, step: Step, told: Told) -> dict[str, object]:
    """The fault of the rows of a step, by the event of the step; empty if there is none.

    A settlement without entries has a row, and GetReceipt finds every settlement. An increment's
    entries lead to the decision of a call that raised this authorization.
    """
    user_id, of, version, transition, event_us = step
    own = f"user_id = '{user_id}' AND authorization_id = '{of}'"
    wrong: dict[str, object] = {}
    if told.receipt is not None:
        posted = read(f"SELECT 1 FROM entries WHERE {own} AND transition = '{transition}'")
        rows = read(
            f"SELECT authorization_version, transition, event_us FROM unposted_dockings WHERE {own}"
        )
        expected = [] if posted else [(version, transition, event_us)]
        if list(map(tuple, rows)) != expected or told.moved_no_money is bool(posted):
            wrong["unposted"] = (rows, expected)
        whole = store.told(user_id, of)
        docked = whole and store.docked(whole)
        if not docked or (docked.transition, docked.event_us) != (transition, event_us):
            wrong["docked"] = docked
    elif told.moved_no_money:
        wrong["unposted"] = "without a receipt"
    if transition == INCREMENTED:
        decisions = read(
            "SELECT d.decision_id FROM later_decisions x"
            " JOIN decisions d ON d.decision_id = x.decision_id AND d.user_id = x.user_id"
            " JOIN requests r ON r.request_id = d.request_id AND r.authorization_id = "
            "x.authorization_id AND r.user_id = x.user_id"
            " JOIN entries e ON e.user_id = x.user_id AND e.currency = x.currency"
            " AND e.sequence = x.transaction_sequence AND e.authorization_id = x.authorization_id"
            f" WHERE x.user_id = '{user_id}' AND x.authorization_id = '{of}'"
            f" AND x.authorization_version = {version} AND e.transition = '{INCREMENTED}'"
        )
        if [row[0] for row in decisions] != [told.step_decision_id]:
            wrong["decision"] = (decisions, told.step_decision_id)
    elif told.step_decision_id:
        wrong["decision"] = told.step_decision_id
    if told.details:
        known = read(f"SELECT authorization_version FROM authorization_details WHERE {own}")
        if not known or known[0][0] < version:
            wrong["details"] = known
    if told.case:
        case_id = told.case.rpartition("/")[2]
        if not read(f"SELECT 1 FROM cases WHERE {own} AND case_id = '{case_id}'"):
            wrong["case"] = told.case
    return wrong
