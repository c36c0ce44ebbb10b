"""All figures of the demo as one JSON document. Pure but for `write`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from freehold.v1.ledger_service_pb2 import VerifyBooksResponse
from numpy.typing import NDArray

from service.demo import cutoffs, day, economics, outcomes, population, tally, tariff
from service.demo.drive import IN_FLIGHT, Journal
from service.demo.economics import World
from service.demo.population import Population
from service.demo.tally import Ended, OfferFigures, Waived

COMMISSION_BP = 300
"""Freehold's commission on captures."""
MODEL_FIGURES = ("auc", "brier", "ece", "ks")


@dataclass(frozen=True)
class Findings:
    """The figures that the tables show and the report stores.

    worlds      the day as run, then deposit for everyone by abandonment, then free for everyone
    operator_minor, platform_minor  the result of the day as run before interest, divided:
                Freehold has its commission less the unpaid captures on credit, the operator has
                the rest
    """

    people: Population
    ended: list[Ended]
    groups: list[OfferFigures]
    end_states: dict[str, int]
    waived: Waived
    worlds: list[World]
    break_even: float | None
    break_even_loss_factor: float | None
    forgone_interest_minor: int
    operator_minor: int
    platform_minor: int
    cutoffs: list[cutoffs.Cutoff]
    calls: int
    wall_s: float
    clock_s: float
    p50_ms: float
    p99_ms: float
    by_method: dict[str, dict[str, float]]
    batch_mean: float | None
    books: VerifyBooksResponse
    discrepancies: list[str]


def find(
    people: Population,
    scores: NDArray[np.int64],
    journal: Journal,
    ended: list[Ended],
    books: VerifyBooksResponse,
    discrepancies: list[str],
    last_words: Mapping[str, Any],
) -> Findings:
    """Compute all figures, once."""
    demand = tally.rides(ended, day.LOST_AFTER_S)
    as_run = tally.as_run(ended)
    free = economics.free_for_everyone(demand)
    latency_ms = np.concatenate([np.array(v) for v in journal.latency_s.values()]) * 1000
    settled = [e for e in ended if e.settled]
    commission_minor = sum(e.captured_minor * COMMISSION_BP // 10_000 for e in settled)
    platform_minor = commission_minor - sum(e.due_minor for e in settled)
    return Findings(
        people=people,
        ended=ended,
        groups=[tally.offer_figures(ended, offer, people.label) for offer in tally.OFFERS],
        end_states=tally.by_end_state(ended),
        waived=tally.waived(ended),
        worlds=[
            as_run,
            *(economics.deposit_for_everyone(demand, a) for a in economics.ABANDONMENT_PERCENT),
            free,
        ],
        break_even=economics.break_even_abandonment(
            as_run, economics.deposit_for_everyone(demand, 0)
        ),
        break_even_loss_factor=economics.break_even_loss_factor(as_run, free),
        forgone_interest_minor=tally.forgone_interest_minor(ended),
        operator_minor=as_run.result_minor - as_run.interest_minor - platform_minor,
        platform_minor=platform_minor,
        cutoffs=cutoffs.curve(scores, people.label),
        calls=journal.calls,
        wall_s=journal.wall_s,
        clock_s=journal.clock_s,
        p50_ms=float(np.percentile(latency_ms, 50)),
        p99_ms=float(np.percentile(latency_ms, 99)),
        by_method=_by_method(journal),
        batch_mean=last_words.get("batch_mean"),
        books=books,
        discrepancies=discrepancies,
    )


def _by_method(journal: Journal) -> dict[str, dict[str, float]]:
    return {
        method: {
            "calls": len(seconds),
            "latency_ms_p50": float(np.percentile(seconds, 50)) * 1000,
            "latency_ms_p99": float(np.percentile(seconds, 99)) * 1000,
        }
        for method, seconds in sorted(journal.latency_s.items())
    }


def assumptions() -> list[str]:
    """All assumptions, in sentences."""
    return [
        *population.assumptions(),
        *day.assumptions(),
        *tariff.assumptions(),
        *outcomes.assumptions(),
        *economics.assumptions(),
        (
            f"Freehold's commission is {COMMISSION_BP / 100:g} % of every capture. It moves money "
            "between operator and Freehold, and does not change their common result."
        ),
        (
            "Offers follow score and credit, not chance. So the groups differ, and must not be "
            "pooled or compared as if they were alike. If a deposit was paid in cash, the fee is "
            "taken from it, so that only a lost item can go wrong."
        ),
        (
            f"Latency is that of one client in one process with up to {IN_FLIGHT} calls at once, "
            "on a machine that it shared with the server."
        ),
    ]


def document(
    found: Findings, metrics: Mapping[str, Any], model_id: str, seed: int, seconds: float
) -> dict[str, Any]:
    """The report; amounts in fen, times in the unit that ends their name."""
    by_decision = {g.offer: g.authorizations for g in found.groups}
    by_decision["DECLINED"] = found.end_states["DECLINED"]
    as_run = found.worlds[0]
    return {
        "seed": seed,
        "people": len(found.people),
        "authorizations": len(found.ended),
        "by_decision": by_decision,
        "by_category_and_offer": tally.by_category_and_offer(found.ended),
        "line_exhausted": sum("LINE_EXHAUSTED" in e.record.reasons for e in found.ended),
        "by_end_state": found.end_states,
        "empty_end_states": empty_end_states(found.end_states),
        "settled": _starting(found.end_states, "SETTLED"),
        "reversed": found.end_states["REVERSED"],
        "expired": _starting(found.end_states, "EXPIRED"),
        "currency_code": tariff.CURRENCY,
        "waived_minor": found.waived.minor,
        "waived_whole_minor": found.waived.whole_minor,
        "deposits_minor": found.waived.asked_minor,
        "waived_people": found.waived.people.as_json(),
        "never_paid_cash_people": found.waived.always.as_json(),
        "fees_minor": as_run.fees_minor,
        "loss_minor": as_run.loss_minor,
        "bad_rate": {g.offer: g.as_json() for g in found.groups},
        "economics": {
            "worlds": [world.as_json() for world in found.worlds],
            "break_even_abandonment": found.break_even,
            "walked_away_as_run": tally.walked_away(found.ended).as_json(),
            "break_even_loss_factor": found.break_even_loss_factor,
            "forgone_interest_minor": found.forgone_interest_minor,
            "operator_result_minor": found.operator_minor,
            "freehold_result_minor": found.platform_minor,
        },
        "cutoffs": [row.as_json() for row in found.cutoffs],
        "books_verified": bool(found.books.verified) and not found.discrepancies,
        "books": {
            "verified_by_server": bool(found.books.verified),
            "lines": found.books.lines,
            "entries": found.books.entries,
            "authorizations": found.books.authorizations,
            "fault": None
            if found.books.verified
            else f"{found.books.fault.rule} {found.books.fault.row}: {found.books.fault.detail}",
            "discrepancies": found.discrepancies[:20],
        },
        "model": {name: figure(metrics["model"][name]) for name in MODEL_FIGURES},
        "holdout": {k: v for k, v in metrics["holdout"].items() if not isinstance(v, list)},
        "model_id": model_id,
        "calls": found.calls,
        "calls_per_second": found.calls / found.wall_s,
        "day_s": found.wall_s,
        "clock_s": found.clock_s,
        "latency_ms_p50": found.p50_ms,
        "latency_ms_p99": found.p99_ms,
        "by_method": found.by_method,
        "batch_mean": found.batch_mean,
        "total_s": seconds,
        "assumptions": assumptions(),
    }


def figure(value: Any) -> float:
    """One number of a model's metric: the mean over the folds, or the worst over the seeds."""
    if isinstance(value, Mapping):
        value = value["worst"] if "worst" in value else value["mean"]
    return float(value)


def _starting(counts: Mapping[str, int], prefix: str) -> int:
    return sum(count for state, count in counts.items() if state.startswith(prefix))


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Replace the file as a whole."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", "utf-8")
    os.replace(draft, path)


def empty_end_states(counts: Mapping[str, int]) -> list[str]:
    """End states that no rental of the day had. With enough rentals, every end state occurs."""
    return [state for state in tally.END_STATES if not counts[state]]
