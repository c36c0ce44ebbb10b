"""The instants at which granted complaints stopped the fees of items that were out.

This states the rules of `domain/complaints.py` a second time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from service.books.columns import Maybe
from service.books.portion import Portion
from service.domain.cases import Case, CaseKind, Outcome

STOPPING: Final = (CaseKind.ITEM_AT_FAULT, CaseKind.RETURN_BLOCKED)


def stopped_us(portion: Portion, closed: Maybe) -> Maybe:
    """For each authorization, the earliest instant at which a granted complaint stopped its fee.

    `closed` is the version at which the authorization was closed, if it was. A complaint that was
    granted after that stopped no fee: a part of the charge was given back for it.
    """
    count = portion.authorizations.count
    found = Maybe(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool))
    for row in portion.cases.rows:
        case = Case(*row[: len(Case._fields)])
        at = portion.authorization_codes.get((case.user_id, case.authorization_id))
        if at is None or case.kind not in STOPPING or case.outcome != Outcome.FOR_USER:
            continue
        late = closed.there[at] and case.close_version > closed.values[at]
        if case.occurred_us is None or late:
            continue
        if not found.there[at] or case.occurred_us < found.values[at]:
            found.values[at], found.there[at] = case.occurred_us, True
    return found
