"""The columns of cases and of evidence, as the verifier reads them.

The rows are read whole, in the order of their records, because their digests cover every column.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from service.books.columns import Codes, Fields, Kind
from service.domain.cases import Case, CaseKind, CaseState, Evidence, Outcome, Side
from service.storage import schema as t
from service.storage.rows import kinds_of

_CODES: dict[type[StrEnum], Codes] = {
    kind: {str(member): code for code, member in enumerate(kind)}
    for kind in (CaseKind, CaseState, Outcome, Side)
}
_PLAIN = {str: Kind.TEXT, int: Kind.NUMBER, bytes: Kind.BYTES}


def _columns(record: type[Any]) -> dict[str, Kind | Codes]:
    """The way in which each field of a record is read, by its type."""
    found: dict[str, Kind | Codes] = {}
    for name, kind in kinds_of(record).items():
        if kind.is_enumeration:
            codes = _CODES[kind.type]
            found[name] = {**codes, None: -1} if kind.nullable else codes
        else:
            found[name] = Kind.MAYBE if kind.nullable else _PLAIN[kind.type]
    return found


CASES = Fields(t.cases, _columns(Case), lambda row: "/".join(("cases", *row[:3])))
EVIDENCE = Fields(
    t.case_evidence,
    _columns(Evidence),
    lambda row: "/".join(("case_evidence", *map(str, row[:4]))),
)
