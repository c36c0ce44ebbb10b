"""A session of PostgreSQL's in which no answer is waited for without end.

The server bounds its statements itself, but not while it stands still (a process that was stopped,
a machine that hangs), and never a COMMIT that waits for a standby. A process that stands still
looks alive to the network, too: its kernel acknowledges what we send.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import ConnStatus

LOOK_S = 0.1
"""How often the driver looks whether it was interrupted, as by default."""


class Session(psycopg.Connection[Any]):
    """A connection whose answers each come within `answer_s` seconds; None: whenever they come.

    After that nobody waits any more: the connection is closed, and the error is the same as that of
    a broken network.
    """

    answer_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = LOOK_S, timeout: float | None = None) -> RV:
        """What the driver waits for; raises OperationalError when it does not come in time."""
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            # An error without a state is not the server's answer; a connection that is not broken
            # has waited too long for one.
            if error.sqlstate is not None or self.pgconn.status != ConnStatus.OK:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None
