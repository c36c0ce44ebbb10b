"""Alarms fire when they must, and not otherwise: promtool plays series of samples to the rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.metrics.files import ALARMS, alarms
from tests.metrics.prometheus import PROGRAMS

pytestmark = pytest.mark.skipif(None in PROGRAMS.values(), reason="this machine has no promtool")


class Case(NamedTuple):
    """Samples of some series, a minute apart, and whether an alarm fires after `minutes`."""

    alarm: str
    series: dict[str, str]
    minutes: int
    fires: bool
    why: str


def worker(name: str, interval_s: float, idle_s: str) -> dict[str, str]:
    """The series of one worker."""
    return {
        f'freehold_worker_idle_seconds{{worker="{name}"}}': idle_s,
        f'freehold_worker_interval_seconds{{worker="{name}"}}': f"{interval_s}x60",
    }


UP, SERVING = 'up{job="freehold"}', "freehold_serving"
FAULTS = "freehold_faults_total"
FULL = 'freehold_refusals_total{reason="QUEUE_FULL"}'
DEBTOR = 'freehold_refusals_total{reason="OPERATOR_OWES"}'
UNKNOWN = 'freehold_refusals_total{reason="KEY_UNKNOWN"}'
EXHAUSTED = 'freehold_rule_decisions_total{reason="BUDGET_EXHAUSTED"}'
FAILED = 'freehold_rule_decisions_total{reason="CONDITION_FAILED"}'
FAR = 'freehold_times_adjusted_total{kind="far_ahead"}'
NEAR = 'freehold_times_adjusted_total{kind="ahead"}'
REQUESTED = 'freehold_transfers_oldest_seconds{state="REQUESTED"}'
SENT = 'freehold_transfers_oldest_seconds{state="SENT"}'
LE = 'freehold_queue_seconds_bucket{{le="{}"}}'.format

CASES = [
    Case("FreeholdGone", {UP: "1 0x10"}, 3, True, "a server that does not answer"),
    Case("FreeholdGone", {UP: "1 0 1x10"}, 3, False, "one missed scrape"),
    Case("FreeholdGone", {'up{job="other"}': "0x10"}, 3, False, "another job"),
    Case("FreeholdNotServing", {SERVING: "1 0x10"}, 3, True, "storage is away"),
    Case("FreeholdNotServing", {SERVING: "1x10"}, 3, False, "a healthy server"),
    Case("FreeholdFaults", {FAULTS: "0x5 1x10"}, 7, True, "the first fault since the start"),
    Case("FreeholdFaults", {FAULTS: "5x30"}, 20, False, "old faults"),
    Case("FreeholdTermsWrong", {"freehold_terms_wrong": "0 2x10"}, 5, True, "two wrong rows"),
    Case("FreeholdTermsWrong", {"freehold_terms_wrong": "0 2 0x10"}, 5, False, "corrected rows"),
    Case("FreeholdClockJumped", {"freehold_clock_trusted": "1 0x5"}, 3, True, "a jump"),
    Case("FreeholdClockJumped", {"freehold_clock_trusted": "1 0 1x5"}, 3, False, "right again"),
    Case("FreeholdCallersClockAhead", {FAR: "0 3x10"}, 4, True, "times far ahead"),
    Case("FreeholdCallersClockAhead", {NEAR: "0+9x10", FAR: "0x10"}, 4, False, "a little ahead"),
    Case("FreeholdLogLinesDropped", {"freehold_log_lines_dropped_total": "0 8x9"}, 4, True,
         "dropped lines"),
    Case("FreeholdLogLinesDropped", {"freehold_log_lines_dropped_total": "8x30"}, 25, False,
         "lines dropped long ago"),
    Case("FreeholdOperatorOwes", {"freehold_operators_beyond_debt_limit": "1x20"}, 15, True,
         "a debt that stays"),
    Case("FreeholdOperatorOwes", {"freehold_operators_beyond_debt_limit": "1x5 0x15"}, 15, False,
         "a debt that was paid"),
    Case("FreeholdBreakerOpen", {"freehold_breakers_open": "0 1x9"}, 4, True, "an open breaker"),
    Case("FreeholdBreakerOpen", {"freehold_breakers_open": "1 0x9"}, 4, False, "a closed breaker"),
    Case("FreeholdBudgetExhausted", {EXHAUSTED: "0+1x30"}, 25, True, "a budget that is used up"),
    Case("FreeholdBudgetExhausted", {EXHAUSTED: "0 5x30"}, 25, False, "a budget with room again"),
    Case("FreeholdConditionFailed", {FAILED: "0 1x30"}, 5, True, "a condition that fails"),
    Case("FreeholdConditionFailed", {FAILED: "7x30"}, 25, False, "failures of long ago"),
    Case("FreeholdModelFindings", {"freehold_model_high_findings": "0x5 1x20"}, 15, True,
         "a finding on the served model"),
    Case("FreeholdModelFindings", {"freehold_model_high_findings": "1x3 0x20"}, 15, False,
         "a finding that was closed"),
    Case("FreeholdRefundsLate", {'freehold_refunds_late{currency="CNY"}': "2x30"}, 20, True,
         "late refunds"),
    Case("FreeholdRefundsLate", {'freehold_refunds_late{currency="CNY"}': "0x30"}, 20, False,
         "no late refund"),
    Case("FreeholdOverloaded", {FULL: "0+300x20"}, 15, True, "five refusals a second"),
    Case("FreeholdOverloaded", {FULL: "0+30x20"}, 15, False, "a refusal now and then"),
    Case("FreeholdOverloaded", {DEBTOR: "0+900x20"}, 15, False, "refusals for another reason"),
    Case("FreeholdKeysRefused", {UNKNOWN: "0+6000x20"}, 15, True, "a flood of made-up keys"),
    Case("FreeholdKeysRefused", {UNKNOWN: "0+60x20"}, 15, False, "one client without a key"),
    Case("FreeholdWorkerLate", worker("timers", 1, "1x5 60+60x20"), 12, True, "a worker stands"),
    Case("FreeholdWorkerLate", worker("timers", 1, "1x40"), 30, False, "a worker works"),
    Case("FreeholdWorkerLate", worker("owed_back", 600, "0+60x10 0+60x10 0+60x10"), 29, False,
         "a worker with a long interval"),
    Case("FreeholdWorkerLate", worker("slow", 3600, "0+60x60"), 59, False,
         "a worker with an interval of an hour"),
    Case("FreeholdWorkerLate", worker("owed_back", 600, "0+60x60"), 56, True,
         "a worker with a long interval stands"),
    Case("FreeholdTimersLate", {"freehold_timer_lag_seconds": "0 300x20"}, 8, True, "late timers"),
    Case("FreeholdTimersLate", {"freehold_case_lag_seconds": "0 300x20"}, 8, True, "late cases"),
    Case("FreeholdTimersLate", {"freehold_timer_lag_seconds": "0 300 1x20"}, 8, False,
         "timers that were late for a moment"),
    Case("FreeholdTransfersLate", {REQUESTED: "0+60x40"}, 30, True, "no rail takes transfers"),
    Case("FreeholdTransfersLate", {REQUESTED: "0x40", SENT: "0+60x40"}, 30, False,
         "a rail that takes its time to answer"),
    Case("FreeholdUnsealed", {"freehold_unsealed_seconds": "0+60x40"}, 30, True, "no seals"),
    Case("FreeholdUnsealed", {"freehold_unsealed_seconds": "5x40"}, 30, False, "fresh seals"),
    Case("FreeholdSlow", {LE(1): "0x30", LE(2.5): "0+99x30", LE("+Inf"): "0+99x30"}, 25, True,
         "waits of more than a second"),
    Case("FreeholdSlow", {LE(0.1): "0+99x30", LE(1): "0+99x30", LE("+Inf"): "0+99x30"}, 25, False,
         "short waits"),
]  # fmt: skip


def document(case: Case) -> dict[str, object]:
    """A case as promtool reads it: it asks for the number of alarms that fire."""
    firing = f'ALERTS{{alertname="{case.alarm}",alertstate="firing"}}'
    samples = [{"labels": "{}", "value": 1 if case.fires else 0}]
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in case.series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"count({firing}) or vector(0)",
                "eval_time": f"{case.minutes}m",
                "exp_samples": samples,
            }
        ],
    }


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """A command of promtool, run to its end."""
    program = PROGRAMS["promtool"]
    assert program is not None
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def play(case: Case, folder: Path) -> subprocess.CompletedProcess[str]:
    """Plays a case to the rules; JSON is YAML too."""
    whole = {"rule_files": [str(ALARMS)], "evaluation_interval": "1m", "tests": [document(case)]}
    path = folder / "case.yml"
    path.write_text(json.dumps(whole), "utf-8")
    return promtool("test", "rules", str(path))


@pytest.mark.parametrize("case", CASES, ids=lambda it: f"{it.alarm}: {it.why}")
def test_an_alarm_fires_only_when_it_must(case: Case, tmp_path: Path) -> None:
    """Each alarm fires in its situation, and stays silent in those beside it."""
    done = play(case, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_play_can_fail(tmp_path: Path) -> None:
    """A case with the wrong outcome fails."""
    assert play(CASES[0]._replace(fires=False), tmp_path).returncode != 0


def test_every_alarm_is_played() -> None:
    """Each alarm has a case in which it fires, and one in which it does not."""
    names = {it.name for it in alarms()}
    assert {it.alarm for it in CASES if it.fires} == names
    assert {it.alarm for it in CASES if not it.fires} == names


def test_promtool_finds_no_fault() -> None:
    """promtool reads every rule."""
    done = promtool("check", "rules", str(ALARMS))
    assert done.returncode == 0, done.stderr
    assert f"{len(list(alarms()))} rules found" in done.stdout
