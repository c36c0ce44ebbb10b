"""Several statements to PostgreSQL at once: all are sent before an answer is waited for.

Otherwise each statement would cost a round trip, in which the server and this process wake each
other. While the server runs a statement, this process writes the values of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.errors import PipelineAborted

from service.storage.row_statements import IN_TURN, RowsStatement, Values


class Pipelined:
    """See `row_statements.Together`. Even an empty pipeline would cost a round trip, so it is used
    from two statements on."""

    def fetch(
        self, cursor: Any, wanted: Sequence[tuple[RowsStatement, Iterable[Values]]]
    ) -> list[list[Any]]:
        """The rows that each statement finds for its keys; raises the driver's error."""
        if len(wanted) < 2:
            return IN_TURN.fetch(cursor, wanted)
        bound = [it.bound(sorted(keys)) for it, keys in wanted]
        cursors, error = _sent(cursor.connection, bound)
        if error is not None:
            raise error
        return [it.fetchall() for it in cursors]

    def run(
        self, cursor: Any, wanted: Sequence[tuple[RowsStatement, Sequence[Values]]]
    ) -> Iterator[int]:
        """The numbers of rows that the statements change; raises the driver's error at the
        statement that failed. The statements after it change nothing."""
        if len(wanted) < 2:
            yield from IN_TURN.run(cursor, wanted)
            return
        bound = (it.bound(rows) for it, rows in wanted)
        cursors, error = _sent(cursor.connection, bound)
        for it in cursors:
            if it.pgresult is None:
                break
            yield it.rowcount
        if error is not None:
            raise error


def _sent(
    connection: psycopg.Connection[Any], bound: Iterable[tuple[str, Sequence[Any]]]
) -> tuple[list[psycopg.Cursor[Any]], psycopg.Error | None]:
    """A cursor for each statement, and the error of the first that failed."""
    cursors, failed = [], None
    try:
        with connection.pipeline():
            # The pipeline must end in order, whatever happens.
            try:
                for text, parameters in bound:
                    cursors.append(cursor := connection.cursor())
                    cursor.execute(text, parameters)
            except psycopg.Error as error:
                failed = error
    except psycopg.Error as error:
        failed = failed or _first(error)
    return cursors, failed


def _first(error: psycopg.Error) -> psycopg.Error:
    """The statement's own error: the driver may raise that of a later one, which was not run."""
    while isinstance(error, PipelineAborted) and isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    return error


PIPELINED = Pipelined()
