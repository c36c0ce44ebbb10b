"""The metrics of a real server count its calls, decisions, queue and workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.types_pb2 import OFFER_ZERO
from prometheus_client.parser import text_string_to_metric_families

from service.config import Limits
from service.domain.errors import Exhausted
from service.engine.pool import Pool, PoolLimits
from service.engine.ports import StorageFailed
from service.metrics.collector import registry_of, text_of
from service.storage.admin import by_shell
from service.storage.findings import close_finding, open_finding
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction
from tests.fakes import OPERATOR, START_US, Served, serving
from tests.metrics.support import read_figures
from tests.rpc.support import RPCS, Desks, Refused, advance, desks, until


def rental(user_id: str, product_id: str = "bike") -> AuthorizeRequest:
    """An Authorize with an id of its own."""
    return AuthorizeRequest(
        request_id=f"{user_id}-{product_id}", user_id=user_id, product_id=product_id
    )


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


def test_decisions_count_by_offer_and_band(desk: Desks) -> None:
    """Each committed decision counts by its offer and band; a person without features has no
    band, a retry does not count again, and an increment is no decision on Authorize."""
    known, poor = desk.platform.person(score=720.0), desk.platform.person(score=400.0)
    held = desk.operator.authorize(known, "umbrella", request_id="once")
    assert desk.operator.authorize(known, "umbrella", request_id="once") == held
    desk.operator.authorize(poor)
    desk.operator.authorize("stranger")
    desk.operator.authorize(poor, accept_offers=[OFFER_ZERO])
    desk.operator.call(
        "IncrementAuthorization",
        name=held.name,
        amount={"currency_code": "CNY", "amount_minor": 100},
    )
    counted = samples(desk.served)["freehold_decisions_total"]
    assert {labels: count for labels, count in counted.items() if count} == {
        ("A", "ZERO"): 1,
        ("E", "FULL"): 1,
        ("none", "FULL"): 1,
        ("E", "DECLINED"): 1,
    }


def test_a_refused_batch_counts_no_decision(desk: Desks) -> None:
    """A decision that was not committed does not count."""
    user_id = desk.platform.person()
    before = samples(desk.served)["freehold_decisions_total"]
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: object) -> None:
            raise StorageFailed("the disk is full")

        patch.setattr(SqlTransaction, "write", refuse)
        # The server's own probe does not find the database well before the samples are taken.
        patch.setattr(desk.served.app.prober, "_probe", refuse)
        assert desk.operator.refused("Authorize", rental(user_id)).reason == "STORAGE_UNAVAILABLE"
        after = samples(desk.served)
    assert after["freehold_decisions_total"] == before
    assert after["freehold_refusals_total"]["STORAGE_UNAVAILABLE",] == 1
    assert after["freehold_faults_total"][()] == 1
    assert after["freehold_serving"][()] == 0
    until(lambda: samples(desk.served)["freehold_serving"][()] == 1, "the server is healthy again")


def test_batches_and_queue_are_counted(desk: Desks) -> None:
    """The buckets of batches, queue and commits hold each batch and each command once."""
    for _ in range(5):
        desk.operator.authorize(desk.platform.person())
    found, statistics = samples(desk.served), desk.served.app.committer.statistics
    assert found["freehold_batch_commands_sum"][()] == statistics.commands
    assert found["freehold_batch_commands_count"][()] == statistics.batches
    assert found["freehold_batch_seconds_count"][()] == statistics.batches
    assert found["freehold_queue_seconds_count"][()] == statistics.commands
    assert found["freehold_commit_seconds_count"][()] >= statistics.batches
    sizes = found["freehold_batch_commands_bucket"]
    assert sizes["1",] <= sizes["64",] == sizes["+Inf",] == statistics.batches


def test_money_is_told_by_currency_and_age(desk: Desks) -> None:
    """Exposure, dues and lags are those of the database: what a line holds, and what it owes by
    the age of the debt."""
    user_id = desk.platform.person(score=720.0)
    held = desk.operator.authorize(user_id)
    read_figures(desk.served)
    line = desk.served.store.line(user_id, "CNY")
    assert line is not None
    found = samples(desk.served)
    assert found["freehold_held_minor"]["CNY",] == line.held_minor > 0
    assert found["freehold_limit_minor"]["CNY",] == line.limit_minor
    assert found["freehold_drawn_minor"]["CNY",] == 0
    advance(desk, 3 * 3600)
    desk.operator.settle(held.name, 1_000)
    advance(desk, 3600)
    read_figures(desk.served)
    found = samples(desk.served)
    line = desk.served.store.line(user_id, "CNY")
    assert line is not None
    assert found["freehold_held_minor"]["CNY",] == 0
    assert found["freehold_drawn_minor"]["CNY",] == line.drawn_minor > 0
    assert found["freehold_receivable_minor"]["CNY",] == line.receivable_minor
    assert found["freehold_due_minor"]["under_1d", "CNY"] == line.receivable_minor
    assert found["freehold_due_rentals"]["under_1d", "CNY"] == 1
    assert sum(found["freehold_due_minor"].values()) == line.receivable_minor
    advance(desk, 3 * 86_400)
    read_figures(desk.served)
    found = samples(desk.served)
    assert found["freehold_due_minor"]["under_1d", "CNY"] == 0
    assert found["freehold_due_minor"]["1d_to_7d", "CNY"] == line.receivable_minor


def test_a_flood_of_reads_shows_in_its_pool(tmp_path: Path) -> None:
    """A pool tells how much of it is busy, what waits, and what it refused."""
    pool = Pool("test reads", PoolLimits(threads=1, max_waiting=1))
    gate = threading.Event()
    with serving(tmp_path) as served:
        served.app.pools = (pool,)
        waiting = [pool.submit(gate.wait), pool.submit(gate.wait)]
        with pytest.raises(Exhausted):
            pool.submit(gate.wait)
        found = samples(served)
        gate.set()
        assert all(it.result(30) for it in waiting)
        pool.shutdown()
        after = samples(served)
    assert found["freehold_pool_busy"]["test_reads",] == 1
    assert found["freehold_pool_waiting"]["test_reads",] == 1
    assert found["freehold_pool_refusals_total"]["test_reads",] == 1
    assert after["freehold_pool_busy"]["test_reads",] == 0
    assert after["freehold_pool_waiting"]["test_reads",] == 0


def test_a_worker_that_fails_is_late(tmp_path: Path) -> None:
    """A worker's time since its last success grows while it fails, and its failures count."""
    with serving(tmp_path, limits=Limits(catalog_interval_s=0.01)) as served:
        before = samples(served)["freehold_worker_failures_total"]["catalog",]
        with pytest.MonkeyPatch.context() as patch:

            def fail(*_: object) -> None:
                raise RuntimeError("a defect")

            patch.setattr(SqlStore, "changed_terms", fail)
            until(
                lambda: samples(served)["freehold_worker_idle_seconds"]["catalog",] > 0.3,
                "the worker is late",
            )
        found = samples(served)
        assert found["freehold_worker_failures_total"]["catalog",] > before
        assert found["freehold_worker_interval_seconds"]["catalog",] == 0.01
        assert found["freehold_faults_total"][()] > 0
        until(
            lambda: samples(served)["freehold_worker_idle_seconds"]["catalog",] < 0.2,
            "the worker succeeds again",
        )


def test_nobody_is_a_label(desk: Desks) -> None:
    """No label names a person, an operator or a rental."""
    user_id = desk.platform.person()
    held = desk.operator.authorize(user_id)
    desk.operator.refused("Authorize", rental(user_id, product_id="no-such"))
    read_figures(desk.served)
    text = text_of(registry_of(desk.served.app)).decode()
    for private in (user_id, held.name.rpartition("/")[2], OPERATOR, "no-such"):
        assert f'"{private}"' not in text


def test_a_scrape_is_small(desk: Desks) -> None:
    """A server whose every method was called exports at most 2,500 series."""
    for name in RPCS:
        with suppress(Refused):
            desk.caller_for(name).send(name, b"")
    read_figures(desk.served)
    assert sum(map(len, samples(desk.served).values())) < 2_500


def test_open_high_findings_on_the_served_model_are_counted(desk: Desks) -> None:
    """The findings of high severity on the model that scores are counted while they are open."""
    store, model_id = desk.served.store, desk.served.app.parts.scorer.model_id
    read_figures(desk.served)
    assert samples(desk.served)["freehold_model_high_findings"][()] == 0
    opened = by_shell("open_finding", [model_id], "", "ada")
    open_finding(store.engine, opened, model_id, "high", "scores the blank best", START_US)
    read_figures(desk.served)
    assert samples(desk.served)["freehold_model_high_findings"][()] == 1
    closed = by_shell("close_finding", [model_id], "", "bob")
    close_finding(store.engine, closed, model_id, 1, "trained again", START_US)
    read_figures(desk.served)
    assert samples(desk.served)["freehold_model_high_findings"][()] == 0
