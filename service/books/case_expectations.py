"""The verifier's expectations of cases: the events that open and close each kind.

Like `expectations.py`, this file states the rules of `domain/` a second time.
"""

from __future__ import annotations

from typing import Final

from service.domain.cases import CaseKind, Outcome
from service.domain.transitions import Transition as T

CASE_OPENINGS: Final = {
    CaseKind.CLAIM: T.RETURN_CLAIMED,
    CaseKind.DISPUTE: T.DISPUTE_OPENED,
    **dict.fromkeys(
        (
            *(CaseKind.LATE_CLAIM, CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT),
            *(CaseKind.WRONG_FEE, CaseKind.NOT_MINE, CaseKind.DAMAGE_NOT_MINE, CaseKind.OTHER),
        ),
        T.CASE_OPENED,
    ),
}
"""The transition that opens a case of each kind; a question of the platform has none."""
CASE_ENDS: Final = {
    (CaseKind.CLAIM, T.RETURN_CONTESTED): {Outcome.FOR_OPERATOR},
    (CaseKind.CLAIM, T.SETTLED): {Outcome.FOR_USER},
    (CaseKind.CLAIM, T.HANDED_OVER): {Outcome.FOR_USER},
    (CaseKind.DISPUTE, T.FEE_WAIVED): {Outcome.FOR_USER},
    (CaseKind.DISPUTE, T.PAUSED): {Outcome.FOR_USER},
    (CaseKind.CLAIM, T.CLAIM_ACCEPTED): {Outcome.FOR_USER},
    (CaseKind.DISPUTE, T.DISPUTE_LOST): {Outcome.FOR_OPERATOR},
    **{
        (CaseKind.DISPUTE, transition): {Outcome.FOR_USER}
        for transition in (
            *(T.DISPUTE_WON, T.FOUND, T.RETURN_PRESUMED, T.CASE_DECIDED, T.CASE_DECIDED_BY_TIME),
            # The fee of a reservation is given back, because the rental bills its time.
            T.DEPOSIT_CARRIED_OVER,
            # Nothing of the price of a pass is owed any more.
            T.PASS_REFUNDED,
        )
    },
    **{
        (kind, transition): outcomes
        for kind, opening in CASE_OPENINGS.items()
        if opening is T.CASE_OPENED
        for transition, outcomes in (
            (T.CASE_DECIDED, {Outcome.FOR_USER, Outcome.IN_PART, Outcome.FOR_OPERATOR}),
            (T.CASE_DECIDED_BY_TIME, {Outcome.FOR_USER}),
        )
    },
}
"""The outcomes of a case by its kind and the transition that closes it."""
CASE_EVENTS: Final = frozenset({T.CASE_OPENED, T.CASE_DECIDED, T.CASE_DECIDED_BY_TIME})
"""Transitions of which each opens or closes a case."""
