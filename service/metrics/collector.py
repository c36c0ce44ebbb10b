"""Reads the counts of a server whenever Prometheus asks; no call waits for that.

Amounts are minor units (`_minor`), times are seconds. Labels are few: methods, codes, reasons,
offers, bands, currencies, ages, and names of pools and workers. Nobody's id is a label.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from service.app import App, build_version
from service.clock import SystemClock
from service.domain.policy import Offer
from service.engine.counting import Distribution
from service.logs import LogStream
from service.metrics.money import money

KNOWN_REASONS = (
    "QUEUE_FULL",
    "QUEUE_TOO_LONG",
    "TOO_MANY_CALLS",
    "TOO_MANY_UNKNOWN_KEYS",
    "RATE_LIMITED",
    "STORAGE_UNAVAILABLE",
    "OUTCOME_UNKNOWN",
    "CONTENTION",
    "KEY_MISSING",
    "KEY_MALFORMED",
    "KEY_UNKNOWN",
    "OPERATOR_OWES",
    "PRODUCT_MISCONFIGURED",
)
"""Reasons that alarms and graphs ask for. They count from 0, so a rate sees the first refusal."""
DECLINED, UNSCORED = "DECLINED", "none"


class ServerCollector(Collector):
    """The metrics of one server."""

    def __init__(self, app: App, log_stream: LogStream | None = None) -> None:
        self._app = app
        self._log_stream = log_stream

    def collect(self) -> Iterator[Metric]:
        """All metrics of this moment; call it from any thread."""
        yield from self._build()
        yield from self._calls()
        yield from self._batches()
        yield from self._clock()
        yield from self._pools()
        yield from self._workers()
        yield from self._state()
        yield from money(self._app)

    def _build(self) -> Iterator[Metric]:
        build = {"version": build_version(), "python_version": platform.python_version()}
        yield InfoMetricFamily("freehold_build", "The build that serves.", value=build)
        scorer = self._app.parts.scorer
        model = {"model_id": scorer.model_id, "scale_version": scorer.scale_version}
        yield InfoMetricFamily("freehold_model", "The model that scores.", value=model)

    def _calls(self) -> Iterator[Metric]:
        counts, pipeline = self._app.pipeline.calls, self._app.pipeline
        calls = CounterMetricFamily(
            "freehold_calls", "Calls that ended.", labels=["method", "code"]
        )
        seconds = HistogramMetricFamily(
            "freehold_call_seconds", "Times of calls in the server.", labels=["method"]
        )
        for name, method in list(counts.methods.items()):
            for code, count in sorted({"OK": 0, **dict(method.codes)}.items()):
                calls.add_metric([name, code], count)
            if method.codes:
                _observed(seconds, [name], method.seconds.read())
        yield calls
        yield seconds
        refusals = CounterMetricFamily(
            "freehold_refusals", "Refused calls by the reason of the error.", labels=["reason"]
        )
        reasons = {**dict.fromkeys(KNOWN_REASONS, 0), **dict(counts.refusals)}
        for reason, count in sorted(reasons.items()):
            refusals.add_metric([reason], count)
        yield refusals
        yield _gauge(
            "freehold_calls_in_progress", "Calls of known callers in progress.", pipeline.under_way
        )
        yield _counter(
            "freehold_faults",
            "Lines `fault` in the log: defects and failures.",
            self._app.faults.count + counts.faults,
        )

    def _batches(self) -> Iterator[Metric]:
        app, statistics = self._app, self._app.committer.statistics
        yield _gauge(
            "freehold_commands_waiting", "Commands in the writer's queue.", app.committer.waiting
        )
        yield _counter(
            "freehold_intake_pauses",
            "Pauses of an overloaded server, in which it reads no calls and gRPC may refuse them.",
            app.committer.gate.closings,
        )
        for name, help_text, histogram in (
            ("freehold_queue_seconds", "Waits of commands in the queue.", statistics.queue_seconds),
            ("freehold_batch_seconds", "Times of batches, with their commits.",
             statistics.batch_seconds),
            ("freehold_commit_seconds", "Times of commits.", app.parts.store.commit_seconds),
        ):  # fmt: skip
            family = HistogramMetricFamily(name, help_text)
            _observed(family, [], histogram.read())
            yield family
        commit = app.parts.limits.commit
        most = max(commit.max_batch, commit.max_bulk_batch)
        yield _sizes(dict(statistics.sizes), most)
        retried = CounterMetricFamily(
            "freehold_batch_retries",
            "Batches that took more than one transaction, by the cause.",
            labels=["cause"],
        )
        engine = app.engine_statistics
        for cause, count in (
            ("conflict", engine.conflicts),
            ("lapsed_holds", engine.read_again),
            ("split", engine.split),
        ):
            retried.add_metric([cause], count)
        yield retried
        decisions = CounterMetricFamily(
            "freehold_decisions", "Decisions on Authorize.", labels=["offer", "band"]
        )
        made = {
            (DECLINED if offer is None else str(offer), band or UNSCORED): count
            for (offer, band), count in list(app.decisions.items())
        }
        for offer in (*(str(it) for it in Offer), DECLINED):
            made.setdefault((offer, UNSCORED), 0)
        for labels, count in sorted(made.items()):
            decisions.add_metric(labels, count)
        yield decisions
        by_rules = CounterMetricFamily(
            "freehold_rule_decisions",
            "Decisions that a budget or a breaker made stricter, or with a condition that failed.",
            labels=["reason"],
        )
        for reason, count in sorted(app.decisions.by_rules.items()):
            by_rules.add_metric([reason], count)
        yield by_rules

    def _clock(self) -> Iterator[Metric]:
        clock, gaps = self._app.parts.clock, self._app.clock_gaps
        yield _gauge(
            "freehold_clock_offset_seconds",
            "The lead of the machine's clock over the server's.",
            clock.off_us / 1_000_000 if isinstance(clock, SystemClock) else 0,
        )
        yield _gauge(
            "freehold_clock_trusted", "1 if timers may run by the clock, else 0.", clock.trusted
        )
        adjusted = CounterMetricFamily(
            "freehold_times_adjusted",
            "Times of callers that the server adjusted; far_ahead is a part of ahead.",
            labels=["kind"],
        )
        for kind, count in (
            ("ahead", gaps.ahead),
            ("far_ahead", gaps.far_ahead),
            ("before_start", gaps.before_start),
        ):
            adjusted.add_metric([kind], count)
        yield adjusted

    def _pools(self) -> Iterator[Metric]:
        threads = GaugeMetricFamily("freehold_pool_threads", "Threads of a pool.", labels=["pool"])
        busy = GaugeMetricFamily("freehold_pool_busy", "Busy threads of a pool.", labels=["pool"])
        waiting = GaugeMetricFamily(
            "freehold_pool_waiting", "Work that waits for a thread.", labels=["pool"]
        )
        refused = CounterMetricFamily(
            "freehold_pool_refusals", "Work refused by a full pool.", labels=["pool"]
        )
        for pool in self._app.pools:
            name, taken = [_label(pool.kind)], pool.taken
            threads.add_metric(name, pool.threads)
            busy.add_metric(name, min(taken, pool.threads))
            waiting.add_metric(name, max(0, taken - pool.threads))
            refused.add_metric(name, pool.refused)
        yield from (threads, busy, waiting, refused)

    def _workers(self) -> Iterator[Metric]:
        idle = GaugeMetricFamily(
            "freehold_worker_idle_seconds", "Time since a worker's last success.", labels=["worker"]
        )
        interval = GaugeMetricFamily(
            "freehold_worker_interval_seconds", "A worker's pause.", labels=["worker"]
        )
        failures = CounterMetricFamily(
            "freehold_worker_failures", "Failed portions of a worker.", labels=["worker"]
        )
        for worker in self._app.background.workers:
            name = [_label(worker.name)]
            idle.add_metric(name, worker.idle_s)
            interval.add_metric(name, worker.interval_s)
            failures.add_metric(name, worker.failures)
        yield from (idle, interval, failures)

    def _state(self) -> Iterator[Metric]:
        app = self._app
        yield _gauge("freehold_serving", "1 if the server is healthy, else 0.", app.prober.serving)
        yield _gauge(
            "freehold_terms_wrong",
            "Rows of terms that make no sense.",
            len(app.terms.used.catalog.faults),
        )
        yield _gauge(
            "freehold_breakers_open",
            "Open breakers: policies of operators under which nobody rents without a deposit.",
            len(app.terms.used.catalog.breakers),
        )
        yield _gauge(
            "freehold_operators_beyond_debt_limit",
            "Operators, by currency, that owe more than their bound.",
            len(app.debts.beyond),
        )
        dropped = 0 if self._log_stream is None else self._log_stream.dropped
        yield _counter("freehold_log_lines_dropped", "Log lines dropped.", dropped)


def registry_of(app: App, log_stream: LogStream | None = None) -> CollectorRegistry:
    """A registry of its own with the metrics of a server and of its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServerCollector(app, log_stream))
    ProcessCollector(registry=registry)
    return registry


def text_of(registry: CollectorRegistry) -> bytes:
    """The metrics in Prometheus's text format."""
    return generate_latest(registry)


def _label(name: str) -> str:
    return name.replace(" ", "_")


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=float(value))


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(name, help_text, value=value)


def _observed(family: HistogramMetricFamily, labels: Iterable[str], it: Distribution) -> None:
    buckets = [(f"{bound:g}", float(count)) for bound, count in it.up_to]
    family.add_metric(list(labels), [*buckets, ("+Inf", float(it.values))], it.total)


def _sizes(sizes: dict[int, int], most: int) -> Metric:
    """The sizes of batches, in buckets of powers of two."""
    bounds = [1 << power for power in range(most.bit_length()) if 1 << power < most] + [most]
    buckets = [
        (str(bound), float(sum(n for size, n in sizes.items() if size <= bound)))
        for bound in bounds
    ]
    family = HistogramMetricFamily("freehold_batch_commands", "Commands in a batch.")
    total = sum(size * count for size, count in sizes.items())
    family.add_metric([], [*buckets, ("+Inf", float(sum(sizes.values())))], total)
    return family
