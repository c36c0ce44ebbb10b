"""FoldPayable: merge a portion of the rows of an operator's balance into one row."""

from __future__ import annotations

from dataclasses import dataclass

from service.engine.calls import Folded, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.rows import Draft, Keys, Rows


@dataclass(frozen=True, slots=True)
class FoldPayable:
    """Merge a portion of the rows of an operator's balance; it is not a call."""

    operator_id: str
    currency: str


def wanted(_caller: str, it: FoldPayable, keys: Keys) -> None:
    """Needs a portion of the balance's rows, which the batch deletes."""
    keys.payable.add((it.operator_id, it.currency))


def decide(work: Work, it: FoldPayable, rows: Rows, context: Context) -> Decided:
    """Answers whether more rows wait; the batch writes the sum of the portion as one row."""
    taken = rows.taken_payable[it.operator_id, it.currency]
    return Decided(Draft(list), Folded(taken.more), "", "")


FOLD_PAYABLE = Operation(FoldPayable, wanted, decide)
