"""The parts that a server is made of."""

from __future__ import annotations

from dataclasses import dataclass

from service.clock import Clock
from service.config import AIO, Limits
from service.engine.ports import Rail, Scorer
from service.ids import Ids
from service.rpc.tls import ServerTls
from service.signing import SealKey
from service.storage.store import SqlStore


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a server; tests pass their own clock, ids and scorer."""

    store: SqlStore
    scorer: Scorer
    clock: Clock
    ids: Ids
    limits: Limits
    rail_secret: bytes | None = None
    """The secret shared with the payment rail, which signs its call-backs; None means no rail."""
    rail: Rail | None = None
    """The payment rail; None if an outside rail reads transfers by ListTransfers."""
    seal_key: SealKey | None = None
    """The key that signs the heads of lines; None means no seals."""
    clock_vouched: bool = False
    """True if the machine's clock was confirmed, whatever the database says."""
    tls: ServerTls | None = None
    """The certificate of the listener; None means plaintext."""
    watched: bool = False
    """True if the figures over the whole database are read from time to time."""
    key_clock: Clock | None = None
    """The clock by which keys expire; None: the server's, and in a sandbox the machine's."""
    transport: str = AIO
    """One of `config.TRANSPORTS`."""
