"""OpenBulk: record the request id of a bulk call."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import InvalidInput, Violation
from service.engine.calls import Acknowledged, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.rows import Draft, Keys, Rows


@dataclass(frozen=True, slots=True)
class OpenBulk:
    """Records the request id of a bulk call, whose people are then put one by one; `violations`
    are those of all of them, as in `PutUser`."""

    violations: tuple[Violation, ...] = ()


def wanted(_caller: str, _it: OpenBulk, _keys: Keys) -> None:
    """Nothing but the request's own record."""


def decide(_work: Work, it: OpenBulk, _rows: Rows, _context: Context) -> Decided:
    """The request id of a bulk call; raises InvalidInput when anybody's input is wrong."""
    if it.violations:
        raise InvalidInput(list(it.violations))
    return Decided(Draft(list), Acknowledged(), "", "")


OPEN_BULK = Operation(OpenBulk, wanted, decide)
