"""FoldPayable: add up a portion of the rows in which an operator's balance stands."""

from __future__ import annotations

from dataclasses import dataclass

from service.engine.calls import Folded, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.rows import Draft, Keys, Rows


@dataclass(frozen=True, slots=True)
class FoldPayable:
    """Adds up a portion of the rows in which an operator's balance stands; not a call."""

    operator_id: str
    currency: str


def wanted(_caller: str, it: FoldPayable, keys: Keys) -> None:
    """A portion of the balance, which is taken away."""
    keys.payable.add((it.operator_id, it.currency))


def decide(work: Work, it: FoldPayable, rows: Rows, context: Context) -> Decided:
    """A portion of an operator's balance, taken with the batch, comes back as one row."""
    taken = rows.taken_payable[it.operator_id, it.currency]
    return Decided(Draft(list), Folded(taken.more), "", "")


FOLD_PAYABLE = Operation(FoldPayable, wanted, decide)
