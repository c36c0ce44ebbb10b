"""Metrics from figures over the whole database, which workers have read a while ago."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from service.app import App
from service.config import CURRENCY
from service.engine.figures import AGES, OLDEST, Figures
from service.engine.records.transfers import TransferState

WAITING_STATES = (TransferState.REQUESTED, TransferState.SENT)


def money(app: App) -> Iterator[Metric]:
    """The metrics of the last figures; none before the first read."""
    yield from _owed_back(app)
    read = app.background.figures.last
    if read is None:
        return
    yield GaugeMetricFamily(
        "freehold_figures_age_seconds",
        "Time since the figures over the whole database were read.",
        value=time.monotonic() - read.read_s,
    )
    figures, now_us = read.figures, read.now_us
    yield from _exposures(figures)
    yield from _dues(figures)
    yield from _transfers(figures, now_us)
    for name, what, since_us in (
        ("freehold_timer_lag_seconds", "The longest wait of a due timer.", figures.timer_us),
        ("freehold_case_lag_seconds", "The longest wait of a case after its time.",
         figures.case_us),
    ):  # fmt: skip
        yield GaugeMetricFamily(name, what, value=_age_s(since_us, now_us))
    yield GaugeMetricFamily(
        "freehold_model_high_findings",
        "Open findings of high severity on the model that scores.",
        value=dict(figures.high_findings).get(app.parts.scorer.model_id, 0),
    )
    if app.background.sealer is not None:
        unsealed = figures.unsealed
        yield GaugeMetricFamily(
            "freehold_unsealed_events", "Events after the last seal.", value=unsealed.events
        )
        yield GaugeMetricFamily(
            "freehold_unsealed_seconds",
            "The age of the oldest event after the last seal.",
            value=_age_s(unsealed.since_us, now_us),
        )
        yield GaugeMetricFamily(
            "freehold_last_seal_timestamp_seconds",
            "The time of the last seal since the epoch; 0 before the first.",
            value=(unsealed.seal_us or 0) / 1_000_000,
        )


def _owed_back(app: App) -> Iterator[Metric]:
    if app.background.owed_back.last is None:
        return
    found, now_us = app.background.owed_back.last
    owed = GaugeMetricFamily(
        "freehold_owed_back_minor", "Money owed back to people.", labels=["currency"]
    )
    refunds = GaugeMetricFamily(
        "freehold_refunds_waiting", "Refunds that wait.", labels=["currency"]
    )
    late = GaugeMetricFamily(
        "freehold_refunds_late", "Refunds that wait for too long.", labels=["currency"]
    )
    oldest = GaugeMetricFamily(
        "freehold_owed_back_oldest_seconds", "The oldest refund's wait.", labels=["currency"]
    )
    by_currency = {it.currency: it for it in found}
    for currency in sorted({*by_currency, CURRENCY}):
        it = by_currency.get(currency)
        owed.add_metric([currency], 0 if it is None else it.owed_minor)
        refunds.add_metric([currency], 0 if it is None else it.refunds)
        late.add_metric([currency], 0 if it is None else it.late_count)
        oldest.add_metric([currency], 0 if it is None else _age_s(it.since_us, now_us))
    yield from (owed, refunds, late, oldest)


def _exposures(figures: Figures) -> Iterator[Metric]:
    for part, what in (
        ("limit", "The limits of all lines."),
        ("held", "Credit held for open rentals."),
        ("drawn", "Credit drawn, which is receivable or disputed."),
        ("receivable", "Credit drawn that is due."),
        ("disputed", "Credit drawn that is disputed."),
    ):
        family = GaugeMetricFamily(f"freehold_{part}_minor", what, labels=["currency"])
        for it in figures.exposures:
            family.add_metric([it.currency], getattr(it, f"{part}_minor"))
        yield family


def _dues(figures: Figures) -> Iterator[Metric]:
    due = GaugeMetricFamily(
        "freehold_due_minor", "What is due, by its age.", labels=["currency", "age"]
    )
    rentals = GaugeMetricFamily(
        "freehold_due_rentals",
        "Rentals with something due, by its age.",
        labels=["currency", "age"],
    )
    found = {(it.currency, it.age): it for it in figures.dues}
    for currency in sorted({it.currency for it in figures.exposures}):
        for age in (*AGES, OLDEST):
            it = found.get((currency, age))
            due.add_metric([currency, age], 0 if it is None else it.due_minor)
            rentals.add_metric([currency, age], 0 if it is None else it.authorizations)
    yield from (due, rentals)


def _transfers(figures: Figures, now_us: int) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "freehold_transfers_open", "Transfers that wait for the rail.", labels=["state"]
    )
    oldest = GaugeMetricFamily(
        "freehold_transfers_oldest_seconds", "The longest wait for the rail.", labels=["state"]
    )
    found = {it.state: it for it in figures.transfers}
    for state in map(str, WAITING_STATES):
        it = found.get(state)
        count.add_metric([state], 0 if it is None else it.transfers)
        oldest.add_metric([state], 0 if it is None else _age_s(it.oldest_us, now_us))
    yield from (count, oldest)


def _age_s(since_us: int | None, now_us: int) -> float:
    return 0.0 if since_us is None else max(0, now_us - since_us) / 1_000_000
