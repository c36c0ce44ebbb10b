"""Every limit of the server, in one place, read once."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.engine.committer import CommitLimits
from service.engine.engine import PAUSES, ConflictPauses
from service.engine.health import ProbeLimits
from service.engine.pool import PoolLimits

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How long the answer to a look-up counts, in seconds, and how many answers are remembered."""

    known_s: float = 2.0
    """How long a key is believed before it is looked up again; bounds a revocation's delay."""
    max_known: int = 4096
    unknown_s: float = 1.0
    """How long an unknown key is refused without a look-up; bounds the delay of a new key that was
    tried before it was made."""
    max_unknown: int = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of queues, batches, retries, messages and waits.

    Sizes are bytes, times seconds unless the name says otherwise.
    """

    commit: CommitLimits = field(default_factory=CommitLimits)
    max_attempts: int = 8
    """How often a batch is decided anew when another process changed its rows."""
    conflict_pauses: ConflictPauses = PAUSES
    """The waits in between."""
    max_message_bytes: int = 64 * KIB
    max_bulk_message_bytes: int = 4 * MIB
    max_concurrent_streams: int = 1024
    max_calls: int = 8192
    """Calls under way in the server; gRPC refuses more with RESOURCE_EXHAUSTED."""
    max_calls_a_caller: int = 1024
    """Calls under way of one operator, or of the platform; a share that leaves room for others."""
    keepalive_s: float = 60.0
    keepalive_timeout_s: float = 20.0
    min_ping_interval_s: float = 10.0
    min_time_left_s: float = 0.005
    """A call whose deadline is nearer than this is refused before the write."""
    drain_s: float = 10.0
    """How long calls under way may take to finish when the server stops."""
    notice_s: float = 0.25
    """How long new calls are still answered, with UNAVAILABLE, before the server stops."""
    sweep_interval_s: float = 1.0
    sweep_portion: int = 256
    probe: ProbeLimits = field(default_factory=ProbeLimits)
    catalog_interval_s: float = 5.0
    """How long terms that another process changed may be unknown here, about."""
    dispatch_interval_s: float = 1.0
    dispatch_portion: int = 64
    resend_s: float = 600.0
    """After how long without an answer a transfer is handed to the payment rail again."""
    seal_interval_s: float = 5.0
    """What a line got since its last seal is not protected yet."""
    seal_pause_s: float = 0.05
    """Between seals while more is waiting, so that calls come in between."""
    seal_heads: int = 1000
    """Lines in one seal; 1,000 take the writer about 6 ms on an idle machine."""
    last_seal_s: float = 5.0
    """How long the server may take, when it stops, to seal what is left."""
    fold_interval_s: float = 5.0
    fold_pause_s: float = 0.02
    """Between portions of a balance that are added up, so that calls come in between."""
    fold_rows: int = 100
    """A balance that stands in more rows than this is added up."""
    keys: KeyLimits = field(default_factory=KeyLimits)
    key_lookups: PoolLimits = field(default_factory=lambda: PoolLimits(threads=1, max_waiting=4096))
    """Look-ups of keys that were good before; room for each key that is remembered."""
    unknown_key_lookups: PoolLimits = field(
        default_factory=lambda: PoolLimits(threads=1, max_waiting=64)
    )
    """Look-ups of keys never seen, among them made-up ones."""
    reasons_budget_s: float = 0.005
    """How long a batch may look for reasons that the model's tables do not hold."""
    reads: PoolLimits = field(default_factory=lambda: PoolLimits(threads=8, max_waiting=1024))
    """Calls that only read."""
    verifications: PoolLimits = field(
        default_factory=lambda: PoolLimits(threads=1, max_waiting=4, retry_after_ms=5_000)
    )
    """Calls of VerifyBooks, each of which reads all books."""
    background: PoolLimits = field(default_factory=lambda: PoolLimits(threads=4, max_waiting=64))
    """What the server reads for its own work: sweeper, dispatcher, sealer, folder, watch."""
    bulk_in_flight: int = 64
    """Commands of one bulk call that wait in the queue together."""


LIMITS = Limits()
CURRENCY = "CNY"
"""The currency of the limits that follow from scores."""
