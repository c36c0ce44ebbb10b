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
    """Record the request id of a bulk call, whose people follow one by one.

    `violations` are those of all its people, as in `PutUser`.
    """

    violations: tuple[Violation, ...] = ()


def wanted(_caller: str, _it: OpenBulk, _keys: Keys) -> None:
    """Needs only the request's own record."""


def decide(_work: Work, it: OpenBulk, _rows: Rows, _context: Context) -> Decided:
    """Records the request id; raises InvalidInput if any person's input is wrong."""
    if it.violations:
        raise InvalidInput(list(it.violations))
    return Decided(Draft(list), Acknowledged(), "", "")


OPEN_BULK = Operation(OpenBulk, wanted, decide)
