"""The metrics of a real server count its calls, decisions, queue and workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics.collector import registry_of, text_of
from tests.fakes import Served, serving
from tests.rpc.support import Desks, desks


def samples(served: Served) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of a scrape by name and label values, in the order of the labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    text = text_of(registry_of(served.app)).decode()
    for family in text_string_to_metric_families(text):
        for it in family.samples:
            key = tuple(value for _, value in sorted(it.labels.items()))
            found.setdefault(it.name, {})[key] = it.value
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    with serving(tmp_path) as served, desks(served) as callers:
        yield callers


def test_calls_count_by_method_and_code(desk: Desks) -> None:
    """Each call counts once, by its method and status code, and its time falls into one bucket; a
    refusal counts by its reason too."""
    before = samples(desk.served)
    user_id = desk.platform.person()
    desk.operator.authorize(user_id)
    assert desk.operator.refused("GetAuthorization", b"\xff").reason == "MALFORMED_MESSAGE"
    after = samples(desk.served)

    def more(name: str, *labels: str) -> float:
        return after[name].get(labels, 0.0) - before.get(name, {}).get(labels, 0.0)

    assert more("freehold_calls_total", "OK", "Authorize") == 1
    assert more("freehold_calls_total", "INVALID_ARGUMENT", "GetAuthorization") == 1
    assert more("freehold_call_seconds_count", "Authorize") == 1
    assert more("freehold_call_seconds_bucket", "+Inf", "Authorize") == 1
    assert more("freehold_call_seconds_sum", "Authorize") > 0
    assert more("freehold_refusals_total", "MALFORMED_MESSAGE") == 1
