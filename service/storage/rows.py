"""Converts records to rows of the database and back.

The type of a record's field decides how its column is stored: an enumeration as its value, a tuple
as its parts joined by commas (names as `name_lists.py` says), any other type unchanged. One
function is compiled for each record, in the same way as `collections.namedtuple` does; it is as
fast as code written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from types import UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from service.domain.authorization import Authorization
from service.domain.ledger import Entry, Line
from service.engine.records.name_lists import names_of, text_of_names
from service.engine.records.payments import PaymentRecord
from service.engine.records.transfers import TransferRecord
from service.engine.records.users import UserRecord
from service.engine.tables import columns_of

Row = TypeVar("Row")
Values = tuple[Any, ...]


class Kind:
    """The kind of a record's field: its type, whether it may be None, and a tuple's parts."""

    def __init__(self, hint: Any) -> None:
        parts = get_args(hint) if get_origin(hint) is UnionType or _is_union(hint) else (hint,)
        self.nullable = type(None) in parts
        (self.type,) = (part for part in parts if part is not type(None))
        self.parts: Any = None
        if get_origin(self.type) is tuple:
            self.parts, _ = get_args(self.type)
            self.type = tuple

    @property
    def is_enumeration(self) -> bool:
        """True if the type is an enumeration."""
        return isinstance(self.type, type) and issubclass(self.type, StrEnum)


def _is_union(hint: Any) -> bool:
    return str(get_origin(hint)) == "typing.Union"


def kinds_of(record: type[Any]) -> dict[str, Kind]:
    """The kinds of a record's fields, in order."""
    hints = get_type_hints(record)
    return {name: Kind(hints[name]) for name in columns_of(record)}


class Converter(Generic[Row]):
    """Converts records of one type to rows and back, in the order of the record's fields.

    values         the row of a record, followed by the record's `derived` properties
    changes        the part of the row that may change: the row without the `fixed` fields
    usual_values   as `values`, without the `usual` fields
    usual_changes  as `changes`, without the `rare` fields
    record         the record of a row; raises KeyError or ValueError for an unknown enumeration
                   value
    """

    def __init__(
        self,
        record: type[Row],
        *,
        fixed: Sequence[str] = (),
        derived: Sequence[str] = (),
        rare: Sequence[str] = (),
        usual: Sequence[str] = (),
    ) -> None:
        kinds = kinds_of(record)
        names: dict[str, Any] = {
            "record": record,
            "new": tuple.__new__,
            "text_of_names": text_of_names,
            "names_of": names_of,
        }
        is_tuple = issubclass(record, tuple)
        from_it = [
            _to_row(f"it[{place}]" if is_tuple else f"it.{name}", kind)
            for place, (name, kind) in enumerate(kinds.items())
        ]
        properties = [f"it.{name}" for name in derived]
        from_row = [
            _to_record(f"row[{place}]", name, kind, names)
            for place, (name, kind) in enumerate(kinds.items())
        ]
        made = f"new(record, ({_joined(from_row)}))" if is_tuple else f"record({_joined(from_row)})"

        def row(*without: str) -> Callable[[Row], Values]:
            kept = [it for it, name in zip(from_it, kinds, strict=True) if name not in without]
            return _compiled(f"lambda it: ({_joined([*kept, *properties])})", names)  # type: ignore[no-any-return]

        self.values, self.changes = row(), row(*fixed)
        self.usual_values, self.usual_changes = row(*usual), row(*fixed, *rare)
        self.record: Callable[[Sequence[Any]], Row] = _compiled(f"lambda row: {made}", names)


_PLAIN = re.compile(r"(it|row)\[(\d+)\]")


def _joined(expressions: Iterable[str]) -> str:
    """Joins expressions by commas; expressions of neighbouring places become one slice."""
    joined: list[str] = []
    run: tuple[str, int, int] | None = None
    for expression in expressions:
        plain = _PLAIN.fullmatch(expression)
        if plain is None:
            run = None
            joined.append(expression)
            continue
        source, place = plain[1], int(plain[2])
        if run is not None and run[2] == place:
            run = (source, run[1], place + 1)
            joined[-1] = f"*{source}[{run[1]}:{run[2]}]"
        else:
            run = (source, place, place + 1)
            joined.append(expression)
    return "".join(f"{it}, " for it in joined)


def _compiled(source: str, names: dict[str, Any]) -> Any:
    # The source consists only of names of record fields and of text in this file.
    return eval(compile(source, "<records and rows>", "eval"), names)


def _to_row(value: str, kind: Kind) -> str:
    if kind.is_enumeration:
        name = f"{value}._value_"
        return f"(None if {value} is None else {name})" if kind.nullable else name
    if kind.type is not tuple:
        return value
    # Most lists are empty, and an enumeration has no commas.
    joined = "text_of_names" if kind.parts is str else "','.join"
    return f"({joined}({value}) if {value} else '')"


def _to_record(given: str, name: str, kind: Kind, names: dict[str, Any]) -> str:
    if kind.type is bool:
        return f"bool({given})"  # SQLite returns a number
    if kind.is_enumeration:
        names[f"known_{name}"] = {member.value: member for member in kind.type}
        value = f"known_{name}[{given}]"
        return f"(None if {given} is None else {value})" if kind.nullable else value
    if kind.type is not tuple:
        return given
    if kind.parts is str:
        return f"(names_of({given}) if {given} else ())"
    names[f"known_{name}"] = {member.value: member for member in kind.parts}
    return f"(tuple([known_{name}[part] for part in {given}.split(',')]) if {given} else ())"


line_of = Converter(Line).record
entry_of = Converter(Entry).record
authorization_of = Converter(Authorization).record
payment_of = Converter(PaymentRecord).record
transfer_of = Converter(TransferRecord).record
user_of = Converter(UserRecord).record
