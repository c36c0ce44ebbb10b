"""Every limit of the server, in one place, with its unit and its bounds.

A name's ending is its unit: `_s` seconds, `_ms` milliseconds, `_bytes` and `_kib` sizes, `_minor`
minor units of a currency; any other limit is a number of things. Fixed facts, such as the sizes in
a file's format, are beside the code that uses them; `tests/docs/test_limits.py` lists them with the
reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from service.bounds import bounded, out_of_bounds
from service.clock import ClockLimits
from service.engine.clock_gaps import ClockGapLimits
from service.engine.conflict_pauses import PAUSES, ConflictPauses
from service.engine.group_commit import CommitLimits
from service.engine.health import ProbeLimits
from service.engine.hold_back import HoldBackLimits
from service.engine.pool import PoolLimits
from service.engine.preview_job import PreviewLimits
from service.engine.rates import RateLimits
from service.engine.readers import ReaderLimits
from service.engine.verification_job import VerificationLimits

KIB = 1024
MIB = 1024 * KIB
MOST_MINOR = 10**12
"""The largest amount that a call may name, in minor units."""
WRITER_CONNECTIONS = 2
"""The writer's connection, and a second one for its reads before a batch."""
PROBE_CONNECTIONS = 1
AIO, NATIVE = TRANSPORTS = ("aio", "native")
"""The libraries that speak gRPC: grpc.aio, and pygrpc-native with grpc.aio behind it."""


class LimitsWrong(ValueError):
    """Limits that are out of bounds; each argument names one limit with its bounds."""

    def __str__(self) -> str:
        return "; ".join(self.args)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The lifetime and number of cached look-ups of keys."""

    known_s: float = bounded(2.0, 0, 3600)
    """The time until a known key is looked up again; it bounds the delay of a revocation."""
    max_known: int = bounded(4096, 1, 1_000_000)
    """The known keys in the cache."""
    unknown_s: float = bounded(1.0, 0, 3600)
    """The time in which an unknown key is refused without a look-up.

    It bounds the delay of a new key that was tried before it was made.
    """
    max_unknown: int = bounded(4096, 1, 1_000_000)
    """The unknown keys in the cache."""
    refusals: HoldBackLimits = field(default_factory=HoldBackLimits)
    """The delays of refusals for a missing or unknown key."""
    use_interval_s: float = bounded(60.0, 1, 86_400)
    """The time between two notes of the last use of keys."""


@dataclass(frozen=True, slots=True)
class AdministrationLimits:
    """Times of acts on keys, and of approvals."""

    key_retry_s: float = bounded(3600.0, 0, 7 * 86_400)
    """The time in which a retry shows a new key in place of the first one."""
    overlap_s: float = bounded(86_400.0, 0, 30 * 86_400)
    """The time for which a rolled key stays valid, unless the call names another."""
    proposal_s: float = bounded(86_400.0, 60, 30 * 86_400)
    """The time in which a proposal can be approved, and the approved call sent."""


@dataclass(frozen=True, slots=True)
class SecondPersonLimits:
    """The largest amounts that one person moves alone, in minor units; 0: none.

    They are for calls by keys of persons. Keys of programs are not bounded.
    """

    record_payment_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of RecordPayment: a payment by a user."""
    pay_out_refund_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of PayOutRefund: a payout to a user."""
    pay_out_operator_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of PayOutOperator: a payout to an operator."""
    record_operator_payment_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of RecordOperatorPayment: a payment by an operator."""
    record_unmatched_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of RecordUnmatched: money that matches nothing."""
    match_suspense_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of MatchSuspense: money that is matched to a payment, or sent back."""
    set_provision_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of SetProvision: money set aside for a loss."""
    set_credit_limit_minor: int = bounded(100_000, 0, MOST_MINOR)
    """Of SetCreditLimit: a credit limit fixed by hand."""


@dataclass(frozen=True, slots=True)
class SqliteLimits:
    """Waits and memory of a connection to a SQLite file."""

    busy_ms: int = bounded(5_000, 0, 600_000)
    """The longest wait for another connection's lock."""
    cache_kib: int = bounded(65_536, 1_024, 16 * MIB)
    """The memory for pages of a large file, of the connection that writes batches."""
    small_file_cache_kib: int = bounded(8_192, 1_024, 16 * MIB)
    """The same of a file that had less than 1 GiB when the connection was opened.

    For such a file, most commits look at every page in memory.
    """
    read_cache_kib: int = bounded(8_192, 1_024, 16 * MIB)
    """The memory for pages of any other connection.

    A read of all lines would fill more with pages that nobody reads again.
    """
    cached_statements: int = bounded(1_024, 0, 100_000)
    """Enough to keep every size of every statement of a batch prepared."""
    remembered_rows: int = bounded(8_192, 0, 1_000_000)
    """The people whose lines the connection that writes batches keeps in memory, and the open
    authorizations: about 3 KiB for one of each."""
    checkpoint_pages: int = bounded(16_384, 1, 16 * MIB)
    """The length of the WAL at which it is copied back into the file.

    Larger portions cost less for each call.
    """
    light_checkpoint_pages: int = bounded(1_024, 1, 16 * MIB)
    """The same, if shorter, while transactions write few pages each.

    Then calls are few, and none of them shall wait long for a copy.
    """
    checkpoint_turns: int = bounded(8, 1, 100_000)
    """The number of transactions between two checks of the WAL's length."""
    start_check_s: float = bounded(60.0, 0, 86_400)
    """The longest search for damage after the start, beside the calls; 0: no search.

    The full check reads about 300 MB/s from the kernel's memory.
    """


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """Connections to PostgreSQL, and the longest waits for it.

    A wait that is over raises StorageFailed; at COMMIT it raises OutcomeUnknown.
    """

    connections: int = bounded(20, 4, 1_000)
    """Connections of one server; at least one for each thread that reads or writes."""
    pool_wait_s: int = bounded(5, 1, 600)
    """The longest wait for a free connection."""
    connect_s: int = bounded(5, 2, 600)
    """The longest wait for a new connection; libpq takes whole seconds, at least 2."""
    statement_ms: int = bounded(10_000, 1, 3_600_000)
    """The longest time of a statement of a call."""
    lock_ms: int = bounded(5_000, 1, 3_600_000)
    """The longest wait for another session's lock."""
    idle_in_transaction_ms: int = bounded(10_000, 1, 3_600_000)
    """The time after which PostgreSQL ends a session that stands still in a transaction."""
    unacknowledged_ms: int = bounded(10_000, 1, 3_600_000)
    """The time after which unacknowledged network data counts as lost."""
    answer_s: float = bounded(15.0, 0.1, 3600)
    """The longest wait for an answer; above PostgreSQL's own bounds, whose errors say more."""
    cancel_s: float = bounded(0.1, 0.01, 600)
    """The longest try to cancel a statement; then its connection is cut."""
    portion_s: float = bounded(600.0, 1, 86_400)
    """The longest wait for a portion of a full read, which may first sort a whole table, and the
    longest pause before the next portion is fetched."""
    keepalive_s: int = bounded(10, 1, 7200)
    """The time without data after which TCP probes a connection, and between its probes."""
    keepalives: int = bounded(3, 1, 100)
    """The probes without an answer after which a connection counts as lost."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """The log's buffer for a slow reader; sizes are numbers of characters."""

    most_waiting: int = bounded(4 * MIB, 1, 1024 * MIB)
    """The text that may wait for the reader; more is dropped."""
    most_in_a_line: int = bounded(64 * KIB, 1, 64 * MIB)
    """The longest line; a longer text without a line end is written as a whole line."""
    last_lines_s: float = bounded(1.0, 0, 600)
    """The longest wait for the log's reader at the end of the process."""


@dataclass(frozen=True, slots=True)
class TlsLimits:
    """How often certificates are looked at."""

    check_s: float = bounded(10.0, 0.01, 3600)
    """The time between two comparisons of the files' content."""
    handshake_check_s: float = bounded(1.0, 0, 3600)
    """A handshake compares them too, if the last comparison is older than this."""
    expiry_alarm_s: float = bounded(21 * 86_400.0, 0, 3650 * 86_400)
    """The alarm begins when a certificate has less time left."""
    expiry_again_s: float = bounded(86_400.0, 1, 365 * 86_400)
    """The time between two of these alarms."""


@dataclass(frozen=True, slots=True)
class MetricsLimits:
    """Bounds of the endpoint for metrics."""

    max_connections: int = bounded(16, 1, 1_000)
    """The connections at one time; a further one ends the oldest."""
    answer_s: float = bounded(5.0, 0.01, 600)
    """The longest time of a connection, from its start to the last byte."""
    max_request_bytes: int = bounded(8 * KIB, 256, MIB)
    """The longest request, headers included."""
    fresh_s: float = bounded(1.0, 0, 3600)
    """The time for which an answer is sent again, so that many requests cost no more than one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of queues, batches, retries, messages, waits and memory.

    Raises LimitsWrong.
    """

    commit: CommitLimits = field(default_factory=CommitLimits)
    max_attempts: int = bounded(8, 1, 1_000)
    """The attempts to decide a batch when another process keeps changing its rows."""
    conflict_pauses: ConflictPauses = PAUSES
    """The pauses between the attempts to decide a batch."""
    max_message_bytes: int = bounded(128 * KIB, KIB, 64 * MIB)
    """Enough for every message that the contract's rules allow, PutUsers and batches aside; each
    item of a batch has at most so many bytes."""
    max_bulk_message_bytes: int = bounded(4 * MIB, KIB, 256 * MIB)
    """The largest message of PutUsers, BatchAuthorize or BatchSettle, and the largest answer."""
    max_concurrent_streams: int = bounded(1024, 1, 1_000_000)
    """The calls in progress on one connection."""
    max_connections: int = bounded(4096, 1, 1_000_000)
    """The open connections; gRPC closes further ones at once."""
    ahead_bytes: int = bounded(64 * KIB, 16 * KIB, 4 * MIB)
    """The bytes of a message that gRPC takes before somebody asks for the message."""
    idle_s: float = bounded(600.0, 1, 86_400)
    """The time after which a connection without calls is closed."""
    handshake_s: float = bounded(20.0, 1, 600)
    """The longest time from a connection's start to the end of its handshakes."""
    max_watches: int = bounded(256, 0, 1_000_000)
    """The health watches open at one time."""
    max_reflections: int = bounded(16, 0, 1_000_000)
    """The reflection streams open at one time."""
    reflection_s: float = bounded(60.0, 0.01, 3600)
    """The longest time that a reflection stream stays open."""
    max_calls: int = bounded(8192, 1, 1_000_000)
    """The calls in progress in the server; gRPC refuses more with RESOURCE_EXHAUSTED."""
    max_pending: int = bounded(1100, 2, 1_000_000)
    """The calls that wait in gRPC until the server reads them.

    Above it gRPC refuses more and more of them with CANCELLED, and all above one and a half times
    as many. It is more than `max_calls_a_caller`: one caller whose calls all begin at once must not
    make gRPC refuse the calls of others.
    """
    max_calls_a_caller: int = bounded(1024, 1, 1_000_000)
    """The calls in progress of one operator or of the platform; the rest is for others."""
    max_strangers: int = bounded(1024, 1, 1_000_000)
    """The calls in progress whose key is not known yet; the rest is for keys that were good."""
    max_unread: int = bounded(8, 0, 1_000_000)
    """The calls of one caller whose message may take any time to come.

    The messages of further ones must come within `body_s`. Usually a message comes with its call.
    """
    max_arriving_bytes: int = bounded(128 * MIB, MIB, 64 * 1024 * MIB)
    """The memory for messages that are arriving, on all connections together.

    There are three such memories: for messages that may take any time, for those that must come
    within `body_s`, and for health checks. Each message counts with twice `max_bulk_message_bytes`,
    which is the most that gRPC takes. If the memory is full, the oldest late message of the caller
    with the most is given up.
    """
    max_in_hand_bytes: int = bounded(64 * MIB, KIB, 64 * 1024 * MIB)
    """The bytes of the messages of all calls in progress; more are refused with TOO_MANY_BYTES."""
    max_caller_in_hand_bytes: int = bounded(16 * MIB, KIB, 64 * 1024 * MIB)
    """The same of one caller; the rest is for others."""
    late_s: float = bounded(0.25, 0.001, 3600)
    """A message that has not come this long after its call is late; honest ones come with it."""
    body_s: float = bounded(5.0, 0.001, 3600)
    """The longest wait for the message of a call whose key was not known when it began."""
    refusals: HoldBackLimits = field(default_factory=HoldBackLimits)
    """The delays of refusals for too many calls, or for calls that come too fast."""
    rates: RateLimits = field(default_factory=RateLimits)
    keepalive_s: float = bounded(60.0, 1, 7200)
    """The time without data after which the server pings a client."""
    keepalive_timeout_s: float = bounded(20.0, 1, 7200)
    """The longest wait for the answer to a ping; then the connection is closed."""
    min_ping_interval_s: float = bounded(10.0, 0, 7200)
    """The least time between a client's pings; a connection with more pings is closed."""
    min_time_left_s: float = bounded(0.005, 0, 3600)
    """A call with less time left is refused before the write."""
    drain_s: float = bounded(10.0, 0, 3600)
    """The longest wait for calls in progress when the server stops."""
    notice_s: float = bounded(0.25, 0, 600)
    """The time in which a stopping server still answers new calls with UNAVAILABLE; it counts for
    `drain_s`."""
    closing_s: float = bounded(0.5, 0.01, 600)
    """The longest wait for writer, readers and database after `drain_s`.

    After as long again the process ends, whatever hangs.
    """
    last_answers_s: float = bounded(0.05, 0.001, 10)
    """The time for gRPC to send the last answers before a stopping server ends its connections."""
    sweep_interval_s: float = bounded(1.0, 0.001, 3600)
    """The time between two searches for due timers and cases."""
    sweep_portion: int = bounded(256, 1, 100_000)
    """The most due timers, or cases, that one search reads."""
    probe: ProbeLimits = field(default_factory=ProbeLimits)
    clock: ClockLimits = field(default_factory=ClockLimits)
    clock_gaps: ClockGapLimits = field(default_factory=ClockGapLimits)
    catalog_interval_s: float = bounded(0.4, 0.001, 3600)
    """The approximate delay until terms changed by another process count here."""
    dispatch_interval_s: float = bounded(1.0, 0.001, 3600)
    """The time between two searches for transfers that the payment rail must be given."""
    dispatch_portion: int = bounded(64, 1, 100_000)
    """The most transfers that one search reads."""
    resend_s: float = bounded(600.0, 1, 30 * 86_400)
    """The time without an answer after which a transfer is handed to the payment rail again."""
    rail_tolerance_s: float = bounded(300.0, 1, 86_400)
    """The most that a rail's signature may be old, or ahead of the clock."""
    seal_interval_s: float = bounded(5.0, 0.001, 86_400)
    """The time between seals; newer entries are not protected yet."""
    seal_pause_s: float = bounded(0.05, 0, 60)
    """The pause between seals while more heads wait, in which calls can run."""
    seal_heads: int = bounded(1000, 1, 100_000)
    """The most lines in one seal; 1,000 take the writer about 6 ms on an idle machine."""
    last_seal_s: float = bounded(5.0, 0, 3600)
    """The longest time for the last seals when the server stops."""
    fold_interval_s: float = bounded(5.0, 0.001, 3600)
    """The time between two searches for balances to merge."""
    fold_pause_s: float = bounded(0.02, 0, 60)
    """The pause between merged portions of a balance, in which calls can run."""
    fold_rows: int = bounded(100, 1, 1_000_000)
    """A balance of more rows than this is merged."""
    fold_portion: int = bounded(1_000, 1, 100_000)
    """The most rows of a balance that one transaction merges; 1,000 take about 5 ms."""
    debts_interval_s: float = bounded(5.0, 0.001, 3600)
    """The approximate delay until an operator's debt stops, or allows, its new rentals."""
    breakers_interval_s: float = bounded(10.0, 0.001, 3600)
    """The approximate delay until losses open a breaker; each look reads the rentals with losses of
    operators whose policies have breakers."""
    owed_back_interval_s: float = bounded(600.0, 0.001, 86_400)
    """The time between two log lines on what is owed back; each reads every line."""
    refund_late_s: float = bounded(3 * 86_400.0, 0, 365 * 86_400)
    """The wait of a refund after which the log warns: a day by the policy, and two tries."""
    figures_interval_s: float = bounded(30.0, 0.001, 86_400)
    """The time between two reads of the figures over the whole database, for metrics."""
    calls_logged_a_second: int = bounded(0, 0, 1_000_000)
    """The calls that are logged in a second, one line each; 0 logs none."""
    metrics: MetricsLimits = field(default_factory=MetricsLimits)
    keys: KeyLimits = field(default_factory=KeyLimits)
    key_lookups: PoolLimits = PoolLimits(threads=1, max_waiting=4096)
    """Look-ups of known keys, with room for each cached key."""
    unknown_key_lookups: PoolLimits = PoolLimits(threads=1, max_waiting=64)
    """Look-ups of unknown keys, which may be made up."""
    administration: AdministrationLimits = field(default_factory=AdministrationLimits)
    second_person: SecondPersonLimits = field(default_factory=SecondPersonLimits)
    administrators: PoolLimits = PoolLimits(threads=1, max_waiting=64)
    """Acts on keys, persons and approvals."""
    reasons_budget_s: float = bounded(0.005, 0, 10)
    """The longest search of a batch for reasons that are not in the model's tables."""
    page_wait_s: float = bounded(1.0, 0, 60)
    """The longest wait of a list's page for a transaction that may still add a row to it."""
    page_retry_ms: int = bounded(1_000, 1, 3_600_000)
    """The retry delay told to the caller if that wait was too short."""
    page_window: int = bounded(5_000, 1, 1_000_000)
    """The rows in which a page checks its filters; a page of rare rows may end before it is full.
    """
    horizon_log_s: float = bounded(10.0, 0, 3600)
    """The time between log lines about a transaction that readers wait for."""
    reads: ReaderLimits = field(default_factory=ReaderLimits)
    """Calls that only read."""
    verifications: VerificationLimits = field(default_factory=VerificationLimits)
    """Calls of VerifyBooks, each of which reads all books."""
    previews: PreviewLimits = field(default_factory=PreviewLimits)
    """Bounds of previews of terms."""
    background: PoolLimits = PoolLimits(threads=4, max_waiting=64)
    """The reads of all workers of the server."""
    bulk_in_flight: int = bounded(64, 1, 100_000)
    """The commands of one bulk call that wait in the queue at the same time."""
    sqlite: SqliteLimits = field(default_factory=SqliteLimits)
    postgres: PostgresLimits = field(default_factory=PostgresLimits)
    log: LogLimits = field(default_factory=LogLimits)
    tls: TlsLimits = field(default_factory=TlsLimits)

    def __post_init__(self) -> None:
        faults = list(out_of_bounds(self))
        pools = (
            self.reads,
            self.key_lookups,
            self.unknown_key_lookups,
            self.administrators,
            self.background,
        )
        most = sum(pool.threads for pool in pools) + WRITER_CONNECTIONS + PROBE_CONNECTIONS
        if self.postgres.connections < most:
            faults.append(
                f"postgres.connections is {self.postgres.connections}: the threads of all pools,"
                f" the writer and the probe use up to {most} connections: give at least {most}"
            )
        if faults:
            raise LimitsWrong(*faults)


LIMITS = Limits()
"""The defaults. A server and a command get the limits that count from their settings."""
CURRENCY = "CNY"
"""The currency of limits that follow from scores."""
