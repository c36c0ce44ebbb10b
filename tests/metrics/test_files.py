"""The alarms and the dashboard name only what a server exports, and the handbook knows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client.parser import text_string_to_metric_families

from service.metrics.collector import registry_of, text_of
from service.signing import SealKey
from tests.fakes import serving
from tests.metrics.files import ALARMS, DASHBOARD, Alarm, Target, alarms, grouped, selectors, shown
from tests.metrics.files import targets as targets_of_dashboard
from tests.metrics.support import read_figures
from tests.rpc.support import desks

HANDBOOK = Path(__file__).parents[2] / "service" / "cli" / "README.md"
SCRAPED = {"instance", "job"}
"""Labels that Prometheus adds."""
RULES, TARGETS = list(alarms()), list(targets_of_dashboard())
EXPRESSIONS = [it.expression for it in RULES] + [it.expression for it in TARGETS]

Exported = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The labels of each exported name, with their values, after a rental."""
    folder, found = tmp_path_factory.mktemp("exported"), dict[str, dict[str, set[str]]]()
    with (
        serving(folder, seal_key=SealKey(Ed25519PrivateKey.generate()), watched=True) as served,
        desks(served) as desk,
    ):
        desk.operator.authorize(desk.platform.person())
        read_figures(served)
        text = text_of(registry_of(served.app)).decode()
    for family in text_string_to_metric_families(text):
        for it in family.samples:
            labels = found.setdefault(it.name, {})
            for label, value in it.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def wrong_names(expression: str, exported: Exported) -> list[str]:
    """The names, labels and values of an expression that no server exports."""
    wrong, known = [], SCRAPED | {"le"}
    for it in selectors(expression):
        if it.name not in exported:
            wrong.append(it.name)
            continue
        labels = exported[it.name]
        known |= labels.keys()
        for label, pattern in it.matchers.items():
            if label in SCRAPED:
                continue
            if not any(re.fullmatch(pattern, value) for value in labels.get(label, ())):
                wrong.append(f"{it.name}{{{label}={pattern}}}")
    return wrong + sorted(grouped(expression) - known)


@pytest.mark.parametrize("target", TARGETS, ids=lambda it: it.panel)
def test_the_dashboard_names_what_is_exported(target: Target, exported: Exported) -> None:
    """Each metric, label and label value in the dashboard is exported by a server."""
    assert wrong_names(target.expression, exported) == []
    labels = {label for it in selectors(target.expression) for label in exported[it.name]}
    assert shown(target.legend) <= labels | SCRAPED


@pytest.mark.parametrize("rule", RULES, ids=lambda it: it.name)
def test_the_alarms_name_what_is_exported(rule: Alarm, exported: Exported) -> None:
    """Each metric, label and label value in an alarm is exported by a server."""
    assert wrong_names(rule.expression, exported) == []
    labels = {label for it in selectors(rule.expression) for label in exported[it.name]}
    assert shown(rule.summary) <= labels | SCRAPED


@pytest.mark.parametrize(
    "expression",
    [
        "freehold_call_total",
        'freehold_refusals_total{reason="QUEUE_FUL"}',
        'freehold_refusals_total{cause="QUEUE_FULL"}',
        "sum by (metod) (freehold_calls_total)",
        "rate(process_cpu_second_total[5m])",
    ],
)
def test_a_wrong_name_is_found(expression: str, exported: Exported) -> None:
    """The check finds a wrong metric, label, label value and group."""
    assert wrong_names(expression, exported) != []


def test_every_metric_is_shown(exported: Exported) -> None:
    """The dashboard or an alarm uses every metric that Freehold exports."""
    used = {it.name for one in EXPRESSIONS for it in selectors(one)}
    families = {re.sub("_(bucket|sum|count)$", "", it) for it in exported if it.startswith("free")}
    assert families - {re.sub("_(bucket|sum|count)$", "", it) for it in used} == set()


def first_cells() -> list[str]:
    """The first cells of the handbook's table of alarms."""
    section = HANDBOOK.read_text("utf-8").partition("## Alarms")[2].partition("\n## ")[0]
    return [line.split("|")[1] for line in section.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("rule", RULES, ids=lambda it: it.name)
def test_every_alarm_says_what_to_do(rule: Alarm) -> None:
    """Each alarm has a summary, says what to do, and names one row of the handbook's table."""
    assert rule.summary.endswith(".")
    assert rule.action.endswith(".")
    assert len([it for it in first_cells() if rule.row in it]) == 1, rule.row


def test_the_files_are_read_whole() -> None:
    """The tests see every alarm and every expression of the files."""
    assert len(RULES) == ALARMS.read_text("utf-8").count("- alert:")
    assert len(TARGETS) == DASHBOARD.read_text("utf-8").count('"expr":')
    identities = [it["id"] for it in json.loads(DASHBOARD.read_text("utf-8"))["panels"]]
    assert len(identities) == len(set(identities))
