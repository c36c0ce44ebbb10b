"""PostgreSQL sessions with a time limit for every answer.

PostgreSQL limits the time of its own statements. But the limit does not work while its process is
stopped or its machine hangs, and it never applies to a COMMIT that waits for a standby. On the
network a stopped process still looks alive, because its kernel acknowledges our packets.
"""

from __future__ import annotations

import os
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.adapt import Dumper
from psycopg.errors import PipelineAborted
from psycopg.pq import ConnStatus, Format, TransactionStatus

from service.engine.read_time import ReadTime, read_time
from service.storage.postgres_arrays import BYTES_ARRAY_OID, BytesArray

LOOK_S = 0.1
"""The interval at which the driver checks for interrupts, in seconds; the driver's default."""


class BytesDumper(Dumper):
    """Passes an array of bytes to the server as it is."""

    format = Format.BINARY
    oid = BYTES_ARRAY_OID

    def dump(self, obj: BytesArray) -> BytesArray:
        """The array."""
        return obj


class Session(psycopg.Connection[Any]):
    """A connection that waits at most `answer_s` seconds for each answer; None means no bound.

    After this time the connection is closed, and the caller gets the same error as for a broken
    connection.
    """

    answer_s: float | None = None
    cancel_s: float = 0.0
    """The longest wait for the server to take a request to cancel a statement."""

    def interrupt(self, cancel_s: float) -> None:
        """Ends the statement that another thread runs; that thread gets an error.

        PostgreSQL is asked to cancel it. If it does not answer within `cancel_s` seconds, the
        connection is cut.
        """
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        try:
            self.cancel_safe(timeout=cancel_s)
        except psycopg.Error:
            # Either call fails if the connection is closed meanwhile.
            with suppress(psycopg.Error, OSError), socket(fileno=os.dup(self.fileno())) as ours:
                ours.shutdown(SHUT_RDWR)

    def wait(self, gen: PQGen[RV], interval: float = LOOK_S, timeout: float | None = None) -> RV:
        """Waits for an answer, as the driver does; raises OperationalError after `answer_s`."""
        time = read_time()
        if time is not None:
            gen = self._watched(gen, time)
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            # An error without a state is not the server's answer, except that a statement was left
            # out after a failed one. If the connection is still good, the wait took too long.
            answered = error.sqlstate is not None or isinstance(error, PipelineAborted)
            if answered or self.pgconn.status != ConnStatus.OK:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None

    def _watched(self, gen: PQGen[RV], time: ReadTime) -> PQGen[RV]:
        """Passes on what the driver waits for; cancels the statement when the read's time is over.

        The driver then gets PostgreSQL's answer, which is an error.
        """
        cancelled = False
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and not cancelled and time.over:
                    cancelled = True
                    self.interrupt(self.cancel_s)
                wanted = gen.send(ready)
        except StopIteration as end:
            result: RV = end.value
            return result
