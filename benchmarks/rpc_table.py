"""The table of the rpc benchmark, and warnings about its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Quartiles, Spread
from benchmarks.rpc_figures import ENDS, Beside, Level, Ruled, Side, Tls

_SATURATED = 0.95
_BUSY = 0.25
_ENDED = "{} are the rentals of these that got a hold at once. "


def show(console: Console, content: dict[str, Any], levels: Sequence[Level]) -> None:
    """Prints the figures, and warnings about them."""
    console.print(_table(content, levels))
    saturated = [m.in_flight for m in levels if m.echo.load_cpu_share.median > _SATURATED]
    if saturated:
        console.print(
            f"At {', '.join(map(str, saturated))} in flight the generator's own core was full: "
            f"the echo could have been faster, so the ratio flatters {content['method']}; the CPU "
            "per call does not."
        )
    others = max(m.freehold.other_cpu_share.median for m in levels)
    if others > _BUSY:
        console.print(
            f"Other processes took {others:.0%} of a core meanwhile: these figures are of a busy "
            "machine."
        )


def _table(content: dict[str, Any], levels: Sequence[Level]) -> Table:
    host, head, method = content["machine"], content["commit"], content["method"]
    load = host["load_average"]
    table = Table(
        title=(
            f"{method} keeps {content['ratio']:.2f} of a bare gRPC echo's throughput "
            f"at {content['ratio_in_flight']} calls in flight"
        ),
        caption=(
            f"Medians of {content['rounds']} rounds of {content['calls']} calls. "
            f"{_ENDED.format(ENDS[method].capitalize()) if method in ENDS else ''}"
            f"Echo and {method} in turn, ratios within a round. Every "
            f"call has its own request id, item and person. CPU µs/call are the server's; CPU "
            f"shares are server / load generator / everything else, of one core each.\n"
            f"{host['cpu']}, {host['cores']} cores, {host['kernel']}, Python {host['python']}, "
            f"grpcio {host['libraries']['grpcio']}, database on {host['file_system']}; load "
            f"average before the run {load['1_min']:.2f}; commit "
            f"{(head['hash'] or 'unknown')[:12]}{' with changes' if head['dirty'] else ''}; "
            f"seed {content['seed']}.{_revision_beside(levels)}"
        ),
        caption_justify="left",
    )
    table.add_column("", no_wrap=True)
    for level in levels:
        table.add_column(f"{level.in_flight} in flight", justify="right")

    def row(name: str, of: Callable[[Level], str], *, last: bool = False) -> None:
        table.add_row(name, *(of(level) for level in levels), end_section=last)

    row("echo, calls/s", lambda m: f"{m.echo.calls_per_s.median:,.0f}")
    row(f"{method}, calls/s", lambda m: f"{m.freehold.calls_per_s.median:,.0f}")
    row("ratio of calls/s", lambda m: f"{m.ratio.median:.2f}")
    row("  lowest, highest round", lambda m: _range(m.ratio), last=True)
    row("echo, p50 ms", lambda m: f"{m.echo.latency_ms_p50.median:.1f}")
    row(f"{method}, p50 ms", lambda m: f"{m.freehold.latency_ms_p50.median:.1f}")
    row("echo, p99 ms", lambda m: f"{m.echo.latency_ms_p99.median:.1f}")
    row(f"{method}, p99 ms", lambda m: f"{m.freehold.latency_ms_p99.median:.1f}")
    row("ratio of p99", lambda m: f"{m.p99_ratio.median:.2f}")
    row("  lowest, highest round", lambda m: _range(m.p99_ratio), last=True)
    row("echo, CPU µs/call", lambda m: f"{m.echo.server_cpu_us.median:.0f}")
    row(f"{method}, CPU µs/call", lambda m: f"{m.freehold.server_cpu_us.median:.0f}")
    row("ratio of CPU/call", lambda m: f"{m.cpu_ratio.median:.2f}")
    row("  lowest, highest round", lambda m: _range(m.cpu_ratio), last=True)
    for name in levels[0].echoes:
        _rows_echo(row, name)
    if any(level.beside for level in levels):
        _rows_beside(row)
    if any(level.tls for level in levels):
        _rows_tls(row)
    if any(level.ruled for level in levels):
        _rows_ruled(row, next(level.ruled.rules for level in levels if level.ruled))
    row(f"{method}, mean batch", lambda m: f"{m.batch_mean:.1f}")
    row("echo, CPU shares", lambda m: _cpu_shares(m.echo))
    row(f"{method}, CPU shares", lambda m: _cpu_shares(m.freehold))
    row("request / answer, bytes", lambda m: (
        f"{m.freehold.request_bytes:.0f} / {m.freehold.response_bytes:.0f}"
    ), last=True)  # fmt: skip
    row("answered with OK", lambda m: f"{m.acknowledged:,}")
    row("rows in the database", lambda m: f"{sum(m.rows.values()):,}")
    row("of these", lambda m: "\n".join(f"{n:,} {state}" for state, n in m.rows.items()))
    row("held or captured", lambda m: f"{m.moved:,}")
    return table


def _rows_echo(row: Callable[..., None], name: str) -> None:
    """The rows about an echo of another kind, which every level has."""
    row(f"{name}, calls/s", lambda m: f"{m.echoes[name].echo.calls_per_s.median:,.0f}")
    row("  ratio to the first echo", lambda m: f"{m.echoes[name].ratio.median:.2f}")
    row("  CPU µs/call", lambda m: f"{m.echoes[name].echo.server_cpu_us.median:.0f}", last=True)


def _rows_beside(row: Callable[..., None]) -> None:
    """The rows about the other build; every level has one, or none has."""

    def beside(of: Callable[[Beside], str]) -> Callable[[Level], str]:
        return lambda level: of(level.beside) if level.beside else ""

    row("time/call, here / beside", beside(lambda b: f"{b.time_ratio.median:.3f}"))
    row("  middle half of rounds", beside(lambda b: _middle(b.time_ratio)))
    row("CPU/call, here / beside", beside(lambda b: f"{b.cpu_ratio.median:.3f}"))
    row("  middle half of rounds", beside(lambda b: _middle(b.cpu_ratio)))
    row("beside, calls/s", beside(lambda b: f"{b.freehold.calls_per_s.median:,.0f}"))
    row("beside, ratio to echo", beside(lambda b: f"{b.ratio.median:.2f}"))
    row("beside, mean batch", beside(lambda b: f"{b.batch_mean:.1f}"), last=True)


def _rows_tls(row: Callable[..., None]) -> None:
    """The rows about TLS; every level has them, or none has."""

    def tls(of: Callable[[Tls], str]) -> Callable[[Level], str]:
        return lambda level: of(level.tls) if level.tls else ""

    row("time/call, TLS / plaintext", tls(lambda t: f"{t.time_ratio.median:.3f}"))
    row("  middle half of rounds", tls(lambda t: _middle(t.time_ratio)))
    row("CPU/call, TLS / plaintext", tls(lambda t: f"{t.cpu_ratio.median:.3f}"))
    row("  middle half of rounds", tls(lambda t: _middle(t.cpu_ratio)))
    row("TLS adds, CPU µs/call", tls(lambda t: f"{t.cpu_us.median:.0f}"))
    row("echo, time/call, TLS / plaintext", tls(lambda t: f"{t.echo_time_ratio.median:.3f}"))
    row("echo, CPU/call, TLS / plaintext", tls(lambda t: f"{t.echo_cpu_ratio.median:.3f}"))
    row("TLS, calls/s", tls(lambda t: f"{t.freehold.calls_per_s.median:,.0f}"))
    row("TLS, mean batch", tls(lambda t: f"{t.batch_mean:.1f}"), last=True)


def _rows_ruled(row: Callable[..., None], rules: str) -> None:
    """The rows about rules of policies; every level has them, or none has."""

    def ruled(of: Callable[[Ruled], str]) -> Callable[[Level], str]:
        return lambda level: of(level.ruled) if level.ruled else ""

    row(f"time/call, {rules} / no rules", ruled(lambda it: f"{it.time_ratio.median:.3f}"))
    row("  middle half of rounds", ruled(lambda it: _middle(it.time_ratio)))
    row(f"CPU/call, {rules} / no rules", ruled(lambda it: f"{it.cpu_ratio.median:.3f}"))
    row("  middle half of rounds", ruled(lambda it: _middle(it.cpu_ratio)))
    row(f"{rules} adds, CPU µs/call", ruled(lambda it: f"{it.cpu_us.median:.0f}"))
    row(f"{rules}, mean batch", ruled(lambda it: f"{it.batch_mean:.1f}"), last=True)


def _revision_beside(levels: Sequence[Level]) -> str:
    beside = levels[0].beside
    return f" Beside: {beside.revision}." if beside else ""


def _middle(figure: Quartiles) -> str:
    return f"{figure.lower:.3f} .. {figure.upper:.3f}"


def _range(figure: Spread) -> str:
    return f"{figure.min:.2f} .. {figure.max:.2f}"


def _cpu_shares(side: Side) -> str:
    shares = (side.server_cpu_share, side.load_cpu_share, side.other_cpu_share)
    return " / ".join(f"{share.median * 100:.0f}" for share in shares) + " %"
