"""The shipped files for Prometheus and Grafana, and what their expressions name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import service.metrics

FOLDER = Path(service.metrics.__file__).parent
ALARMS, DASHBOARD = FOLDER / "alarms.yml", FOLDER / "dashboard.json"

NAME = r"(?:freehold|process)_[a-z_]+"
_SELECTOR = re.compile(rf"\b({NAME})\b(?:\{{([^}}]*)\}})?")
_MATCHER = re.compile(r'([a-z_]+)(=~|=)"([^"]*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")
_RULE = re.compile(r"^      - alert: (\w+)\n((?:        .*\n)+)", re.MULTILINE)
_FIELD = re.compile(r"^ +(\w+): (.*)$", re.MULTILINE)


class Selector(NamedTuple):
    """A metric that an expression selects: the labels that it matches, each with a pattern."""

    name: str
    matchers: dict[str, str]


def selectors(expression: str) -> list[Selector]:
    """All metrics that an expression selects."""
    found = []
    for name, inside in _SELECTOR.findall(expression):
        matchers = {
            label: value if operator == "=~" else re.escape(value)
            for label, operator, value in _MATCHER.findall(inside)
        }
        found.append(Selector(name, matchers))
    return found


def grouped(expression: str) -> set[str]:
    """The labels by which an expression groups."""
    return {it.strip() for inside in _BY.findall(expression) for it in inside.split(",")}


def shown(text: str) -> set[str]:
    """The labels that a text or a legend shows."""
    return set(re.findall(r"\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}", text))


class Alarm(NamedTuple):
    """One alarm of the file."""

    name: str
    expression: str
    summary: str
    action: str
    row: str


def alarms() -> Iterator[Alarm]:
    """The alarms, each with its texts."""
    for name, body in _RULE.findall(ALARMS.read_text("utf-8")):
        parts = dict(_FIELD.findall(body))
        texts = {label: text.strip('"') for label, text in parts.items()}
        yield Alarm(name, parts["expr"], texts["summary"], texts["action"], texts["row"])


class Target(NamedTuple):
    """One expression of a panel, with its legend."""

    panel: str
    expression: str
    legend: str


def targets() -> Iterator[Target]:
    """The expressions of the dashboard."""
    document: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in document["panels"]:
        for target in panel.get("targets", []):
            yield Target(panel["title"], target["expr"], target["legendFormat"])
