"""The tables at the end, for a rental operator and a risk officer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table

from models.rates import Rate
from service.demo import tally
from service.demo.day import LOST_AFTER_S
from service.demo.report import MODEL_FIGURES, Findings, figure
from service.demo.tariff import PRODUCTS, yuan

_OFFER_TITLES = {
    "ZERO": "waived",
    "REDUCED": "half in cash",
    "FULL": "full in cash",
    "DECLINED": "declined",
}
_END_TITLES = {
    "SETTLED_PAID": "settled and paid, or free of charge",
    "SETTLED_UNPAID": "settled, never paid",
    "SETTLED_LOST": f"settled as lost after {LOST_AFTER_S // 86400} days",
    "REVERSED": "reversed: cancelled free of charge",
    "EXPIRED_OFFER": "expired: offer not confirmed",
    "EXPIRED_UNPICKED": "expired: reserved, not picked up",
    "DECLINED": "declined: reversed first, or line used up",
    tally.OPEN: "still open",
}


def show(console: Console, found: Findings, metrics: Mapping[str, Any]) -> None:
    """Print every table."""
    for part in (
        _rentals(found),
        _end_states(found),
        _waived(found),
        _bad_rates(found),
        _losses(found),
        (
            "[dim]Bad = fee never paid, or item never returned (simulated). Offers follow the "
            "score, so the people of the rows differ: do not pool or compare the rows as if they "
            "were alike. If cash was paid, the fee comes out of it, so that only a lost item can "
            "go wrong. Card default is the real label of those people.[/dim]"
        ),
        _worlds(found),
        _break_even(found),
        _cutoffs(found),
        _model(metrics),
        _speed(found),
        _books(found),
    ):
        console.print(part)
        console.print()


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def percent(value: float | None, digits: int = 2) -> str:
    """0.1234 as "12.34 %"; None as a dash."""
    return "-" if value is None else f"{value * 100:.{digits}f} %"


def _with_interval(rate: Rate) -> str:
    interval = rate.interval
    if interval is None:
        return "-"
    low, high = interval
    return f"{rate.hits / rate.n * 100:.2f} ({low * 100:.2f}-{high * 100:.2f})"


def _rentals(found: Findings) -> RenderableType:
    offers = (*tally.OFFERS, "DECLINED")
    table = _table(
        "Rentals asked for, by product and deposit asked",
        "product",
        *(_OFFER_TITLES[o] for o in offers),
        "all",
    )
    counts = tally.by_category_and_offer(found.ended)
    for product in PRODUCTS:
        row = counts[product.product_id]
        table.add_row(product.title, *(f"{row[o]:,}" for o in offers), f"{sum(row.values()):,}")
    sums = [sum(row[o] for row in counts.values()) for o in offers]
    table.add_section()
    table.add_row("all", *(f"{n:,}" for n in sums), f"{sum(sums):,}")
    return table


def _end_states(found: Findings) -> RenderableType:
    table = _table("How they ended, counted in the server's list", "end", "rentals", "share")
    for state, count in found.end_states.items():
        if state == tally.OPEN and not count:
            continue
        table.add_row(
            _END_TITLES[state], f"{count:,}", percent(Rate(count, len(found.ended)).value)
        )
    return table


def _waived(found: Findings) -> RenderableType:
    waived = found.waived
    table = _table("Deposits waived", "", "")
    table.show_header = False
    table.add_row("deposits secured, yuan", yuan(waived.asked_minor))
    table.add_row("of these held on credit in place of cash, yuan", yuan(waived.minor))
    table.add_row("share of deposits held on credit", _share(waived.minor, waived.asked_minor))
    table.add_row("people who got a rental without any cash", percent(waived.people.value, 1))
    table.add_row("people never asked for cash", percent(waived.always.value, 1))
    exhausted = sum("LINE_EXHAUSTED" in e.record.reasons for e in found.ended)
    table.add_row("rentals asked for cash because the line was used up", f"{exhausted:,}")
    return table


def _share(part_minor: int, whole_minor: int) -> str:
    return percent(part_minor / whole_minor if whole_minor else None, 1)


def _bad_rates(found: Findings) -> RenderableType:
    table = _table(
        "Bad rentals, by the deposit asked, in % (95 % intervals)",
        "deposit",
        "settled",
        "bad per rental",
        "bad per person",
        "their card default",
    )
    for group in found.groups:
        table.add_row(
            _OFFER_TITLES[group.offer],
            f"{group.rentals.n:,}",
            _with_interval(group.rentals),
            _with_interval(group.people),
            _with_interval(group.card_bad),
        )
    return table


def _losses(found: Findings) -> RenderableType:
    table = _table(
        "Losses, by the deposit asked, in yuan",
        "deposit",
        "fees",
        "unpaid fees",
        "lost items",
        "not recovered",
        "loss / fees",
    )
    for group in found.groups:
        table.add_row(
            _OFFER_TITLES[group.offer],
            yuan(group.fees_minor),
            yuan(group.unpaid_minor),
            str(group.lost),
            yuan(group.items_minor),
            _share(group.loss_minor, group.fees_minor),
        )
    return table


def _worlds(found: Findings) -> RenderableType:
    table = _table(
        "The same day under other rules, in yuan, operator and Freehold together",
        "rule",
        "rentals",
        "fees",
        "unpaid fees",
        "items lost",
        "interest",
        "result",
    )
    for world in found.worlds:
        table.add_row(
            world.name,
            f"{world.rides:,}",
            yuan(world.fees_minor),
            yuan(world.unpaid_minor),
            yuan(world.items_minor),
            yuan(world.interest_minor),
            yuan(world.result_minor),
        )
    return table


def _break_even(found: Findings) -> str:
    lead = (
        "Deposit, N % leave: everybody is asked for the deposit in cash, and N % walk away. Free "
        "for everyone: nobody is asked for a deposit.\n"
    )
    if found.break_even is None:
        verdict = "Deposit for everyone has no positive result, so there is no break-even."
    elif found.break_even <= 0:
        verdict = "The day as run earns more even if nobody walks away from a cash deposit."
    else:
        verdict = (
            f"Break-even: if more than {percent(found.break_even, 1)} of people would walk away "
            "from a cash deposit, deciding by credit earns more."
        )
    if found.break_even_loss_factor is not None:
        verdict += (
            f" Free for everyone would earn as much as the actual day if its losses were "
            f"{found.break_even_loss_factor:.2f} times as large. Nobody knows how people behave "
            "if they risk nothing."
        )
    walked = percent(tally.walked_away(found.ended).value, 1)
    verdict += f" On the actual day, {walked} of the people asked for cash walked away."
    return (
        f"{lead}{verdict} Waiving deposits cost {yuan(found.forgone_interest_minor)} yuan of "
        f"interest. Of the result as run, before interest, the operator has "
        f"{yuan(found.operator_minor)} yuan and Freehold {yuan(found.platform_minor)} yuan; "
        "Freehold bears the unpaid credit."
    )


def _cutoffs(found: Findings) -> RenderableType:
    table = _table(
        "Card default at four cut-offs, in % (real labels, the server's scores)",
        "score from",
        "approved",
        "bad among approved",
        "bad among refused",
        "good people refused",
    )
    for row in found.cutoffs:
        table.add_row(
            str(row.score),
            percent(row.approved.value, 1),
            _with_interval(row.bad_approved),
            _with_interval(row.bad_refused),
            _with_interval(row.good_refused),
        )
    return table


def _model(metrics: Mapping[str, Any]) -> RenderableType:
    table = _table("The model: figures for card default in the next month", "", *MODEL_FIGURES)
    model, holdout = metrics["model"], metrics["holdout"]
    table.add_row(
        "cross-validated *",
        *(f"{figure(model[name]):.4f}" for name in MODEL_FIGURES),
    )
    low, high = holdout["auc"]["interval"]
    table.add_row(
        "served, hold-out",
        f"{holdout['auc']['value']:.4f} ({low:.4f}-{high:.4f})",
        *(f"{float(holdout[n]):.4f}" if n in holdout else "-" for n in MODEL_FIGURES[1:]),
    )
    note = (
        f"* all rows, mean over the folds; ece is that of the worst seed. Hold-out: the served "
        f"model on {holdout['auc']['n']:,} people whom it has not seen, with a 95 % interval."
    )
    return Group(table, note)


def _speed(found: Findings) -> RenderableType:
    table = _table("Calls, as this client saw them", "method", "calls", "p50, ms", "p99, ms")
    for method, figures in found.by_method.items():
        table.add_row(
            method,
            f"{figures['calls']:,.0f}",
            f"{figures['latency_ms_p50']:.1f}",
            f"{figures['latency_ms_p99']:.1f}",
        )
    table.add_section()
    table.add_row("all", f"{found.calls:,}", f"{found.p50_ms:.1f}", f"{found.p99_ms:.1f}")
    batch = "unknown" if found.batch_mean is None else f"{found.batch_mean:.1f} commands"
    rate = (
        f"{found.calls / found.wall_s:,.0f} calls/s over {found.wall_s:.1f} s, clock included; "
        f"mean batch of the server {batch}, registering included"
    )
    return Group(table, rate)


def _books(found: Findings) -> str:
    books = found.books
    if books.verified and not found.discrepancies:
        return (
            f"[bold green]Books verified[/]: {books.entries:,} entries, {books.lines:,} lines and "
            f"{books.authorizations:,} authorizations agree, and the server's list agrees with the "
            "operator's records."
        )
    lines = ["[bold red]Books NOT verified[/]"]
    if not books.verified:
        lines.append(f"{books.fault.rule} at {books.fault.row}: {books.fault.detail}")
    lines += found.discrepancies[:5]
    return "\n".join(lines)
