"""PostgreSQL sessions that wait for no answer without a bound.

The server bounds its own statements, but not while it is stopped (a stopped process, a hanging
machine), and never a COMMIT that waits for a standby. On the network a stopped process still looks
alive: its kernel acknowledges our packets.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import ConnStatus

LOOK_S = 0.1
"""The interval at which the driver checks for interrupts, in seconds; the driver's default."""


class Session(psycopg.Connection[Any]):
    """A connection that waits at most `answer_s` seconds for each answer; None means no bound.

    After that the connection is closed, with the same error as a broken connection.
    """

    answer_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = LOOK_S, timeout: float | None = None) -> RV:
        """Waits for an answer, as the driver does; raises OperationalError after `answer_s`."""
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            # An error without a state is not the server's answer. If the connection is still good,
            # the wait took too long.
            if error.sqlstate is not None or self.pgconn.status != ConnStatus.OK:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None
