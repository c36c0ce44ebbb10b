"""The figures of the rpc benchmark: the sum of a level's rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from benchmarks.harness import BenchmarkError, Quartiles, Spread, quartiles, ratios, spread
from benchmarks.load import REVERSE, SETTLE, Report

_LEAST_MOVED_SHARE = 0.5


@dataclass(frozen=True)
class Side:
    """One server at one level, over the rounds; units as in `benchmarks.load.Report`."""

    calls_per_s: Spread
    latency_ms_p50: Spread
    latency_ms_p99: Spread
    load_cpu_share: Spread
    server_cpu_share: Spread
    server_cpu_us: Spread
    other_cpu_share: Spread
    request_bytes: float
    response_bytes: float


@dataclass(frozen=True)
class Beside:
    """The other build at one level, and this one compared with it.

    revision    its commit, or the name of its folder
    time_ratio  seconds of wall time per call, of this build over the other's, of the same round
    cpu_ratio   server CPU per call, of this build over the other's, of the same round
    ratio       the other's calls per second over the echo's, of the same round
    freehold    the other build's server
    batch_mean  commands per commit, as of `Level`
    """

    revision: str
    time_ratio: Quartiles
    cpu_ratio: Quartiles
    ratio: Spread
    freehold: Side
    batch_mean: float


@dataclass(frozen=True)
class Tls:
    """The same build by TLS at one level, compared with plaintext; the connection exists before.

    time_ratio       seconds of wall time per call, by TLS over plaintext, of the same round
    cpu_ratio        server CPU per call, by TLS over plaintext, of the same round
    echo_time_ratio  the same of the echo
    echo_cpu_ratio   the same of the echo
    cpu_us           what TLS adds to the server's CPU per call, microseconds, of the same round
    freehold         the server by TLS
    echo             the echo by TLS
    batch_mean       commands per commit, as of `Level`
    """

    time_ratio: Quartiles
    cpu_ratio: Quartiles
    echo_time_ratio: Quartiles
    echo_cpu_ratio: Quartiles
    cpu_us: Quartiles
    freehold: Side
    echo: Side
    batch_mean: float


@dataclass(frozen=True)
class Ruled:
    """The same build under a policy with rules at one level, compared with one without.

    rules       the kind of rules, as of `benchmarks.rules.RULES`
    time_ratio  seconds of wall time per call, with rules over without, of the same round
    cpu_ratio   server CPU per call, with rules over without, of the same round
    cpu_us      what the rules add to the server's CPU per call, microseconds, of the same round
    freehold    the server with rules
    batch_mean  commands per commit, as of `Level`
    """

    rules: str
    time_ratio: Quartiles
    cpu_ratio: Quartiles
    cpu_us: Quartiles
    freehold: Side
    batch_mean: float


@dataclass(frozen=True)
class Echo:
    """An echo of another kind at one level.

    ratio  its calls per second over the first echo's, of the same round
    echo   its server
    """

    ratio: Spread
    echo: Side


@dataclass(frozen=True)
class Level:
    """Both servers at one number of calls in flight.

    ratio         Freehold's calls per second over the echo's, of the same round
    p99_ratio     Freehold's p99 over the echo's, of the same round
    cpu_ratio     the echo's server CPU per call over Freehold's; what the ratio would be if
                  the generator cost nothing
    batch_mean    commands per commit, warm-up included, and the Authorize calls before others
    batches       commits by the number of commands in them, as the server logged it
    acknowledged  measured calls answered with OK, warm-up included
    rows          rows in the authorizations table afterwards, by state
    moved         answers that moved money, as of `benchmarks.load.Report`
    beside        the other build, where there is one
    tls           this build by TLS, where it was measured
    ruled         this build under rules, where it was measured
    echoes        echoes of other kinds by their names, where they were measured
    """

    in_flight: int
    ratio: Spread
    p99_ratio: Spread
    cpu_ratio: Spread
    echo: Side
    freehold: Side
    batch_mean: float
    batches: dict[str, int]
    acknowledged: int
    rows: dict[str, int]
    moved: int
    beside: Beside | None = None
    tls: Tls | None = None
    ruled: Ruled | None = None
    echoes: dict[str, Echo] = field(default_factory=dict)


ENDS = {SETTLE: "SETTLED", REVERSE: "REVERSED"}
"""The states in which the methods leave rentals that others began."""


def check_rows(rows: dict[str, int], acknowledged: int, method: str) -> None:
    """Raise BenchmarkError when the database has fewer authorizations than calls were answered with
    OK; for Settle and Reverse, only those that are settled or reversed count."""
    end = ENDS.get(method)
    counted = sum(rows.values()) if end is None else rows.get(end, 0)
    if counted < acknowledged:
        raise BenchmarkError(
            f"{acknowledged} calls were answered with OK, but the database holds only "
            f"{counted} {end.lower() + ' ' if end else ''}authorizations: {rows}"
        )


def check_moved(moved: int, acknowledged: int) -> None:
    """Raise BenchmarkError when most answers moved no money, because declining is cheaper than
    holding, and releasing cheaper than charging."""
    if moved < _LEAST_MOVED_SHARE * acknowledged:
        raise BenchmarkError(
            f"only {moved} of {acknowledged} calls held, released or captured an amount"
        )


def level_of(
    in_flight: int,
    echo: Sequence[Report],
    here: Sequence[Report],
    stopped: Sequence[dict[str, Any]],
    rows: dict[str, int],
    beside: Beside | None = None,
    tls: Tls | None = None,
    ruled: Ruled | None = None,
    echoes: dict[str, Echo] | None = None,
) -> Level:
    """Sum up the rounds of one level; `stopped` has the last log line of each of its servers."""
    batches: Counter[str] = Counter()
    for line in stopped:
        batches.update(line.get("batch_histogram", {}))
    return Level(
        in_flight=in_flight,
        ratio=_paired(here, echo, lambda r: r.calls_per_s),
        p99_ratio=_paired(here, echo, lambda r: r.latency_ms_p99),
        cpu_ratio=_paired(echo, here, lambda r: r.server_cpu_us),
        echo=side_of(echo),
        freehold=side_of(here),
        batch_mean=_batch_mean(stopped),
        batches={size: batches[size] for size in sorted(batches, key=int)},
        acknowledged=acknowledged_of(here),
        rows=rows,
        moved=moved_of(here),
        beside=beside,
        tls=tls,
        ruled=ruled,
        echoes=echoes or {},
    )


def echoes_of(echo: Sequence[Report], others: Mapping[str, Sequence[Report]]) -> dict[str, Echo]:
    """Sum up the rounds of echoes of other kinds."""
    return {
        name: Echo(_paired(it, echo, lambda r: r.calls_per_s), side_of(it))
        for name, it in others.items()
    }


def tls_of(
    echo: Sequence[Report],
    here: Sequence[Report],
    tls_echo: Sequence[Report],
    tls: Sequence[Report],
    stopped: Sequence[dict[str, Any]],
) -> Tls:
    """Sum up the rounds by TLS; `stopped` has the last log line of each server by TLS."""
    return Tls(
        # Seconds per call are the inverse of calls per second.
        time_ratio=quartiles(_ratios(here, tls, lambda r: r.calls_per_s)),
        cpu_ratio=quartiles(_ratios(tls, here, lambda r: r.server_cpu_us)),
        echo_time_ratio=quartiles(_ratios(echo, tls_echo, lambda r: r.calls_per_s)),
        echo_cpu_ratio=quartiles(_ratios(tls_echo, echo, lambda r: r.server_cpu_us)),
        cpu_us=_added_us(tls, here),
        freehold=side_of(tls),
        echo=side_of(tls_echo),
        batch_mean=_batch_mean(stopped),
    )


def ruled_of(
    rules: str,
    here: Sequence[Report],
    ruled: Sequence[Report],
    stopped: Sequence[dict[str, Any]],
) -> Ruled:
    """Sum up the rounds with rules; `stopped` has the last log line of each of its servers."""
    return Ruled(
        rules=rules,
        # Seconds per call are the inverse of calls per second.
        time_ratio=quartiles(_ratios(here, ruled, lambda r: r.calls_per_s)),
        cpu_ratio=quartiles(_ratios(ruled, here, lambda r: r.server_cpu_us)),
        cpu_us=_added_us(ruled, here),
        freehold=side_of(ruled),
        batch_mean=_batch_mean(stopped),
    )


def _added_us(more: Sequence[Report], less: Sequence[Report]) -> Quartiles:
    """The CPU microseconds that one server takes above the other, a call of the same round."""
    return quartiles([a.server_cpu_us - b.server_cpu_us for a, b in zip(more, less, strict=True)])


def beside_of(
    revision: str,
    echo: Sequence[Report],
    here: Sequence[Report],
    beside: Sequence[Report],
    stopped: Sequence[dict[str, Any]],
) -> Beside:
    """Sum up the rounds of the other build; `stopped` has the last log line of each server."""
    return Beside(
        revision=revision,
        # Seconds per call are the inverse of calls per second: here over beside is beside over
        # here.
        time_ratio=quartiles(_ratios(beside, here, lambda r: r.calls_per_s)),
        cpu_ratio=quartiles(_ratios(here, beside, lambda r: r.server_cpu_us)),
        ratio=_paired(beside, echo, lambda r: r.calls_per_s),
        freehold=side_of(beside),
        batch_mean=_batch_mean(stopped),
    )


def _batch_mean(stopped: Sequence[dict[str, Any]]) -> float:
    return fmean(float(line["batch_mean"]) for line in stopped)


def _ratios(
    over: Sequence[Report], under: Sequence[Report], of: Callable[[Report], float]
) -> list[float]:
    return ratios([of(r) for r in over], [of(r) for r in under])


def _paired(
    over: Sequence[Report], under: Sequence[Report], of: Callable[[Report], float]
) -> Spread:
    return spread(_ratios(over, under, of))


def acknowledged_of(reports: Sequence[Report]) -> int:
    """The number of calls that were answered with OK."""
    return sum(report.acknowledged for report in reports)


def moved_of(reports: Sequence[Report]) -> int:
    """The number of answers that moved money."""
    return sum(report.moved for report in reports)


def side_of(reports: Sequence[Report]) -> Side:
    def over(of: Callable[[Report], float]) -> Spread:
        return spread([of(report) for report in reports])

    return Side(
        calls_per_s=over(lambda r: r.calls_per_s),
        latency_ms_p50=over(lambda r: r.latency_ms_p50),
        latency_ms_p99=over(lambda r: r.latency_ms_p99),
        load_cpu_share=over(lambda r: r.load_cpu_share),
        server_cpu_share=over(lambda r: r.server_cpu_share),
        server_cpu_us=over(lambda r: r.server_cpu_us),
        other_cpu_share=over(lambda r: r.other_cpu_share),
        request_bytes=over(lambda r: r.request_bytes).median,
        response_bytes=over(lambda r: r.response_bytes).median,
    )
