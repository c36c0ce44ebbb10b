"""Every limit of the server, in one place, with its unit and its bounds.

A name says the unit: `_s` seconds, `_ms` milliseconds, `_bytes` and `_kib` sizes; any other limit
is a number of things. Facts that nobody can set, such as the sizes of a file's format, stand where
they are used; `tests/docs/test_limits.py` lists them with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from service.bounds import bounded, out_of_bounds
from service.clock import ClockLimits
from service.engine.clock_gaps import ClockGapLimits
from service.engine.committer import CommitLimits
from service.engine.engine import PAUSES, ConflictPauses
from service.engine.health import ProbeLimits
from service.engine.pool import PoolLimits

KIB = 1024
MIB = 1024 * KIB
WRITER_CONNECTIONS = 2
"""The writer has a connection, and another one for what it reads beside a batch."""
PROBE_CONNECTIONS = 1


class LimitsWrong(ValueError):
    """Limits that make no sense; the text names each, and says what it may be."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How long the answer to a look-up of a key counts, and how many answers are remembered."""

    known_s: float = bounded(2.0, 0, 3600)
    """How long a key is believed before it is looked up again; bounds a revocation's delay."""
    max_known: int = bounded(4096, 1, 1_000_000)
    unknown_s: float = bounded(1.0, 0, 3600)
    """How long an unknown key is refused without a look-up; bounds the delay of a new key that was
    tried before it was made."""
    max_unknown: int = bounded(4096, 1, 1_000_000)
    refusals_a_second: int = bounded(200, 0, 1_000_000)
    """Refusals beyond this many in one second are held back."""
    hold_back_s: float = bounded(0.5, 0, 60)
    """How long a refusal is held back, on average: whoever waits for it sends no more meanwhile."""
    max_held_back: int = bounded(1024, 0, 1_000_000)
    """Refusals held back at one time; more go out at once, so that they take no place of others."""


@dataclass(frozen=True, slots=True)
class SqliteLimits:
    """Waits and memory of a connection to a SQLite file."""

    busy_ms: int = bounded(5_000, 0, 600_000)
    """How long a lock of another connection is waited for."""
    cache_kib: int = bounded(65_536, 1_024, 16 * MIB)
    cached_statements: int = bounded(1_024, 0, 100_000)
    """Every size of every statement of a batch stays prepared."""
    checkpoint_pages: int = bounded(16_384, 1, 16 * MIB)
    """The log's length at which it is copied back into the file; larger portions cost less a
    call."""
    checkpoint_turns: int = bounded(16, 1, 100_000)
    """Transactions from one look at the log's length to the next."""


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """Connections to PostgreSQL, and how long it may keep us waiting.

    Each wait ends in StorageFailed, at COMMIT in OutcomeUnknown.
    """

    connections: int = bounded(20, 4, 1_000)
    """Of one server; at least one for each thread that reads or writes."""
    pool_wait_s: int = bounded(5, 1, 600)
    """How long a free connection is waited for."""
    connect_s: int = bounded(5, 2, 600)
    """libpq takes whole seconds, at least 2."""
    statement_ms: int = bounded(10_000, 1, 3_600_000)
    lock_ms: int = bounded(5_000, 1, 3_600_000)
    idle_in_transaction_ms: int = bounded(10_000, 1, 3_600_000)
    unacknowledged_ms: int = bounded(10_000, 1, 3_600_000)
    """What was sent over the network and not acknowledged for so long is lost."""
    answer_s: float = bounded(15.0, 0.1, 3600)
    """Longer than PostgreSQL's own bounds, whose answers say more."""
    portion_s: float = bounded(600.0, 1, 86_400)
    """The next portion of a read of everything, for which a table may have to be sorted first."""
    keepalive_s: int = bounded(10, 1, 7200)
    keepalives: int = bounded(3, 1, 100)


@dataclass(frozen=True, slots=True)
class LogLimits:
    """What the log keeps for a slow reader; sizes are numbers of characters."""

    most_waiting: int = bounded(4 * MIB, 1, 1024 * MIB)
    """What waits for the reader; what comes on top is dropped."""
    most_in_a_line: int = bounded(64 * KIB, 1, 64 * MIB)
    """A line without an end that is longer than this is taken for a whole one."""
    last_lines_s: float = bounded(1.0, 0, 600)
    """How long the process waits, at its end, for whoever reads the log."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of queues, batches, retries, messages, waits and memory. Raises LimitsWrong."""

    commit: CommitLimits = field(default_factory=CommitLimits)
    max_attempts: int = bounded(8, 1, 1_000)
    """How often a batch is decided anew when another process changed its rows."""
    conflict_pauses: ConflictPauses = PAUSES
    """The waits in between."""
    max_message_bytes: int = bounded(64 * KIB, KIB, 64 * MIB)
    max_bulk_message_bytes: int = bounded(4 * MIB, KIB, 256 * MIB)
    max_concurrent_streams: int = bounded(1024, 1, 1_000_000)
    """Calls under way on one connection."""
    max_calls: int = bounded(8192, 1, 1_000_000)
    """Calls under way in the server; gRPC refuses more with RESOURCE_EXHAUSTED."""
    max_calls_a_caller: int = bounded(1024, 1, 1_000_000)
    """Calls under way of one operator, or of the platform; a share that leaves room for others."""
    keepalive_s: float = bounded(60.0, 1, 7200)
    keepalive_timeout_s: float = bounded(20.0, 1, 7200)
    min_ping_interval_s: float = bounded(10.0, 0, 7200)
    min_time_left_s: float = bounded(0.005, 0, 3600)
    """A call whose deadline is nearer than this is refused before the write."""
    drain_s: float = bounded(10.0, 0, 3600)
    """How long calls under way may take to finish when the server stops."""
    notice_s: float = bounded(0.25, 0, 600)
    """How long new calls are still answered, with UNAVAILABLE, before the server stops."""
    sweep_interval_s: float = bounded(1.0, 0.001, 3600)
    sweep_portion: int = bounded(256, 1, 100_000)
    probe: ProbeLimits = field(default_factory=ProbeLimits)
    clock: ClockLimits = field(default_factory=ClockLimits)
    clock_gaps: ClockGapLimits = field(default_factory=ClockGapLimits)
    catalog_interval_s: float = bounded(5.0, 0.001, 3600)
    """How long terms that another process changed may be unknown here, about."""
    dispatch_interval_s: float = bounded(1.0, 0.001, 3600)
    dispatch_portion: int = bounded(64, 1, 100_000)
    resend_s: float = bounded(600.0, 1, 30 * 86_400)
    """After how long without an answer a transfer is handed to the payment rail again."""
    rail_tolerance_s: float = bounded(300.0, 1, 86_400)
    """How old, or how far ahead, the signature of a payment rail may be."""
    seal_interval_s: float = bounded(5.0, 0.001, 86_400)
    """What a line got since its last seal is not protected yet."""
    seal_pause_s: float = bounded(0.05, 0, 60)
    """Between seals while more is waiting, so that calls come in between."""
    seal_heads: int = bounded(1000, 1, 100_000)
    """Lines in one seal; 1,000 take the writer about 6 ms on an idle machine."""
    last_seal_s: float = bounded(5.0, 0, 3600)
    """How long the server may take, when it stops, to seal what is left."""
    fold_interval_s: float = bounded(5.0, 0.001, 3600)
    fold_pause_s: float = bounded(0.02, 0, 60)
    """Between portions of a balance that are added up, so that calls come in between."""
    fold_rows: int = bounded(100, 1, 1_000_000)
    """A balance that stands in more rows than this is added up."""
    fold_portion: int = bounded(1_000, 1, 100_000)
    """Rows of a balance that one transaction adds up at most; 1,000 take it about 5 ms."""
    keys: KeyLimits = field(default_factory=KeyLimits)
    key_lookups: PoolLimits = PoolLimits(threads=1, max_waiting=4096)
    """Look-ups of keys that were good before; room for each key that is remembered."""
    unknown_key_lookups: PoolLimits = PoolLimits(threads=1, max_waiting=64)
    """Look-ups of keys never seen, among them made-up ones."""
    reasons_budget_s: float = bounded(0.005, 0, 10)
    """How long a batch may look for reasons that the model's tables do not hold."""
    page_wait_s: float = bounded(1.0, 0, 60)
    """How long a page of a list waits for a transaction that may still add a row to it."""
    reads: PoolLimits = PoolLimits(threads=8, max_waiting=1024)
    """Calls that only read."""
    verifications: PoolLimits = PoolLimits(threads=1, max_waiting=4, retry_after_ms=5_000)
    """Calls of VerifyBooks, each of which reads all books."""
    background: PoolLimits = PoolLimits(threads=4, max_waiting=64)
    """What the server reads for its own work: all workers."""
    bulk_in_flight: int = bounded(64, 1, 100_000)
    """Commands of one bulk call that wait in the queue together."""
    sqlite: SqliteLimits = field(default_factory=SqliteLimits)
    postgres: PostgresLimits = field(default_factory=PostgresLimits)
    log: LogLimits = field(default_factory=LogLimits)

    def __post_init__(self) -> None:
        faults = list(out_of_bounds(self))
        pools = (
            self.reads,
            self.verifications,
            self.key_lookups,
            self.unknown_key_lookups,
            self.background,
        )
        most = sum(pool.threads for pool in pools) + WRITER_CONNECTIONS + PROBE_CONNECTIONS
        if self.postgres.connections < most:
            faults.append(
                f"postgres.connections is {self.postgres.connections}: the threads of all pools,"
                f" the writer and the probe use {most} at once: give at least {most}"
            )
        if faults:
            raise LimitsWrong("; ".join(faults))


LIMITS = Limits()
CURRENCY = "CNY"
"""The currency of the limits that follow from scores."""
