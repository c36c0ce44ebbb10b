"""Looks for damage in a database file while the server runs, from its start on.

A damaged index hides rows: a retry would not find its first answer, and would rent a second time.
The full check reads every page, which takes minutes for a large file, so the server does not wait
for it. Its tables are checked one at a time, those first in which every call looks something up.
"""

from __future__ import annotations

import time
from threading import Event
from typing import NamedTuple

from sqlalchemy import Engine

from service.domain.verification import DAMAGED, BookFault
from service.storage import schema as t
from service.storage.database import backend_of, reading

FIRST = (t.requests, t.lines, t.authorizations, t.open_items, t.payments, t.transfers, t.users)


class StartCheck(NamedTuple):
    """The first damage, if any, and the names of the tables that were checked or left."""

    fault: BookFault | None
    checked: tuple[str, ...]
    left: tuple[str, ...]


def check_tables(engine: Engine, most_s: float, stopping: Event) -> StartCheck:
    """Checks the tables of a database file for at most `most_s` seconds, or until it is told to
    stop.

    Each table has a transaction of its own, so that the log of a busy file does not grow for long.
    PostgreSQL checks its pages itself when it reads them, so nothing is checked there. Raises
    StorageFailed if the database is unavailable.
    """
    others = [table for table in t.metadata.sorted_tables if table not in FIRST]
    names = [table.name for table in (*FIRST, *others)]
    backend, end_s = backend_of(engine), time.monotonic() + most_s

    def over() -> bool:
        return stopping.is_set() or time.monotonic() >= end_s

    if not backend.is_file:
        return StartCheck(None, (), ())
    for place, name in enumerate(names):
        if over():
            return StartCheck(None, tuple(names[:place]), tuple(names[place:]))
        with reading(engine) as connection:
            whole, fault = backend.damage_of_table(connection, name, over)
        # A row that a newer CHECK would refuse is no damage.
        if fault is not None and fault.rule == DAMAGED:
            return StartCheck(fault, tuple(names[: place + 1]), tuple(names[place + 1 :]))
        if not whole:
            return StartCheck(None, tuple(names[:place]), tuple(names[place:]))
    return StartCheck(None, tuple(names), ())
