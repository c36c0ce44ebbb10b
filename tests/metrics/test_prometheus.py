"""A real Prometheus scrapes a server that plays a real day, and evaluates every expression."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from freehold.client import AsyncClient

from models import dataset, reading, spec
from models.scorer import ModelScorer
from service.config import Limits
from service.demo import drive, population
from service.demo.day import plan
from service.demo.drive import Driver
from service.demo.run import DAY
from service.metrics.collector import registry_of, text_of
from service.metrics.endpoint import Endpoint
from service.signing import SealKey
from tests.fakes import Served, serving
from tests.metrics.files import Alarm, Target, alarms, selectors, targets
from tests.metrics.prometheus import PROGRAMS, Prometheus, scraping
from tests.rpc.support import Caller

pytestmark = pytest.mark.skipif(None in PROGRAMS.values(), reason="this machine has no Prometheus")
PEOPLE, RENTALS = 60, 150
# Longer than this module takes on a slow machine: a rate over less would forget the day.
WINDOW = "1h"
OFTEN = Limits(figures_interval_s=0.5, owed_back_interval_s=0.5, seal_interval_s=0.5)


async def play(served: Served, model: Path) -> None:
    """Plays a city's day with real people."""
    described = spec.load(model.with_name("small.toml"))
    data = reading.load(described)
    holdout, chance = dataset.holdout_indices(data), np.random.default_rng(3)
    people = population.select(data, described.raw_names, holdout, lambda _: False, PEOPLE, chance)
    async with (
        AsyncClient(served.address, served.operator_key, plaintext=True) as operator,
        AsyncClient(served.address, served.platform_key, plaintext=True) as platform,
    ):
        await drive.load_people(platform, people, DAY - timedelta(days=1), lambda _: None)
        rentals = plan(people.label, RENTALS, 3)
        await Driver(rentals, people, operator, platform, DAY).run(lambda _second, _begun: None)


@contextmanager
def watched(folder: Path, model: Path) -> Iterator[tuple[Served, Prometheus]]:
    """A server that serves metrics, and a Prometheus that scrapes it."""
    with serving(
        folder,
        limits=OFTEN,
        scorer=ModelScorer.load(model),
        seal_key=SealKey(Ed25519PrivateKey.generate()),
        watched=True,
    ) as served:
        make = partial(text_of, registry_of(served.app))
        endpoint = Endpoint(make, served.app.parts.limits.metrics, served.app.faults)
        try:
            with scraping(folder, endpoint.start("127.0.0.1:0")) as prometheus:
                yield served, prometheus
        finally:
            endpoint.stop()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Prometheus]:
    """A Prometheus that has scraped a day."""
    with watched(tmp_path_factory.mktemp("day"), model) as (served, prometheus):
        asyncio.run(play(served, model))
        stranger = Caller(served.address, "fh_unknown")
        assert stranger.refused("GetAuthorization", b"").reason == "KEY_UNKNOWN"
        prometheus.wait_until("freehold_last_seal_timestamp_seconds > 0")
        prometheus.wait_until('freehold_calls_total{method="SettleAuthorization",code="OK"} > 0')
        # A rate needs two scrapes: a day may pass between two of them on a busy machine.
        stranger.refused("GetAuthorization", b"")
        stranger.close()
        prometheus.wait_until(f"sum(rate(freehold_call_seconds_count[{WINDOW}])) > 0")
        prometheus.wait_until("count_over_time(freehold_serving[1m]) > 5")
        yield prometheus


@pytest.mark.parametrize("target", list(targets()), ids=lambda it: it.panel)
def test_every_panel_has_data(target: Target, day: Prometheus) -> None:
    """After a day, each expression of the dashboard has a finite value."""
    expression = target.expression.replace("$instance", ".*").replace("$__rate_interval", WINDOW)
    assert "$" not in expression
    values = [value for _, value in day.values(expression)]
    assert any(math.isfinite(value) for value in values), values


@pytest.mark.parametrize("rule", list(alarms()), ids=lambda it: it.name)
def test_every_alarm_is_evaluated(rule: Alarm, day: Prometheus) -> None:
    """Prometheus evaluates each alarm without an error, on series that exist, and a day without
    faults fires none. The day passes in seconds, so lags of hours may come, and do not stay."""
    day.values(rule.expression)
    for it in selectors(rule.expression):
        inside = ",".join(f'{label}=~"{pattern}"' for label, pattern in it.matchers.items())
        assert day.values(f"{it.name}{{{inside}}}"), it
    (group,) = day.ask("rules", type="alert")["groups"]
    (told,) = [it for it in group["rules"] if it["name"] == rule.name]
    assert told["health"] == "ok"
    assert [it for it in told["alerts"] if it["state"] == "firing"] == []
