"""RecordSeal: store a seal over the heads of lines."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import IllegalState
from service.engine.calls import Acknowledged, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.records.seals import SealRecord
from service.engine.rows import Draft, Keys, Rows


@dataclass(frozen=True, slots=True)
class RecordSeal:
    """Store a seal over the heads of lines; it is not a call."""

    seal: SealRecord


def wanted(_caller: str, _it: RecordSeal, keys: Keys) -> None:
    """Needs the number of the last seal."""
    keys.seal = True


def decide(work: Work, it: RecordSeal, rows: Rows, context: Context) -> Decided:
    """Stores a seal. Raises IllegalState if another process has sealed meanwhile."""
    if it.seal.number != rows.last_seal + 1:
        raise IllegalState("SEALED_MEANWHILE", "another process made the seal of this number", "")
    draft = Draft(list)
    draft.seal = it.seal
    return Decided(draft, Acknowledged(), "", "")


RECORD_SEAL = Operation(RecordSeal, wanted, decide)
