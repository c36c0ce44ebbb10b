"""A session of PostgreSQL's in which no answer is waited for without end.

The server bounds its statements itself, but not while it stands still (a process that was stopped,
a machine that hangs), and never a COMMIT that waits for a standby. A process that stands still
looks alive to the network, too: its kernel acknowledges what we send.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout

LOOK_S = 0.1
"""How often the driver looks whether it was interrupted, as by default."""


class Session(psycopg.Connection[Any]):
    """A connection whose answers each come within `answer_s` seconds; None: whenever they come.

    What has not come by then is not waited for any more: the connection is closed, and whoever
    asked is told what a network that broke tells.
    """

    answer_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = LOOK_S, timeout: float | None = None) -> RV:
        """What the driver waits for; raises OperationalError when it does not come in time."""
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None
