"""Previews of a server: a process of their own, one at a time, with bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.config import LIMITS
from service.domain.errors import Exhausted, InvalidInput, NotFound, Unavailable
from service.domain.policy_document import write_policy
from service.engine.ports import StorageFailed
from service.engine.preview_job import PreviewJob, PreviewLimits
from service.ids import RandomIds
from service.preview.report import to_json
from service.preview.run import Asked, preview
from tests.engine.calls import authorize
from tests.fakes import OPERATOR, Desk, new_database

BOUNDS = PreviewLimits(least_people=2)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An engine on a file, where Ann and Ben took bikes yesterday."""
    path = tmp_path_factory.mktemp("city") / "freehold.db"
    store = new_database(f"sqlite:///{path}")
    desk = Desk(store, ids=RandomIds())
    desk.put_users(ann=700, ben=620)
    for user_id in ("ann", "ben"):
        desk.do(authorize(user_id))
    desk.clock.advance(desk.clock.now_us() + 86_400_000_000)
    yield desk
    store.close()


def document(desk: Desk, **values: Any) -> dict[str, Any]:
    """The document of the bikes' policy with other values."""
    in_force = desk.store.catalog().products[OPERATOR, "bike"].policy
    return {**write_policy(in_force), "zero_from_score": 640, **values}


def job(desk: Desk, limits: PreviewLimits = BOUNDS) -> PreviewJob:
    """A job on the database of an engine."""
    return PreviewJob(str(desk.store.engine.url), limits, LIMITS)


async def asked(it: PreviewJob, desk: Desk, *, as_operator: bool = True, **values: Any) -> Any:
    """The report of a preview, or its refusal."""
    operator_id = values.pop("operator_id", OPERATOR)
    try:
        return await it.preview(
            operator_id, "policy", document(desk, **values), (), 30, desk.clock.now_us() + 1,
            as_operator=as_operator,
        )  # fmt: skip
    finally:
        await it.close()


def test_a_process_gives_the_same_report(city: Desk) -> None:
    """The report of the process is that of a preview in this process."""
    until_us = city.clock.now_us() + 1
    here = Asked(OPERATOR, "policy", document(city), frozenset(), 30, until_us, 1_000)
    for as_operator, least in ((True, 2), (False, 0)):
        said = asyncio.run(asked(job(city), city, as_operator=as_operator))
        told = said["report"]
        assert said["picture"] == ""
        expected = preview(city.store.engine, here._replace(least_people=least))
        assert told == to_json(expected)
        assert told["whole"]["offers"] == {"ZERO": {"ZERO": 1, "REDUCED": 1}}


def test_a_refusal_comes_back_as_it_was(city: Desk) -> None:
    """A wrong document, an unknown operator, too few people and too many decisions are refused as
    in this process."""
    with pytest.raises(InvalidInput) as wrong:
        asyncio.run(asked(job(city), city, zero_from_score="high"))
    assert wrong.value.reason == "TERMS_WRONG"
    assert wrong.value.violations[0].rule == "zero_from_score.whole_number"
    with pytest.raises(NotFound):
        asyncio.run(asked(job(city), city, operator_id="nowhere"))
    with pytest.raises(InvalidInput) as few:
        asyncio.run(asked(job(city, PreviewLimits()), city))
    assert few.value.violations[0].rule == "days.too_few_people"
    with pytest.raises(Exhausted) as many:
        asyncio.run(asked(job(city, replace(BOUNDS, most_decisions=1)), city))
    assert many.value.reason == "TOO_MANY_DECISIONS"


def test_one_preview_runs_at_a_time_and_for_a_bounded_time(city: Desk) -> None:
    """A second preview is told when to retry; one that takes too long is ended with its process."""

    async def both() -> list[Any]:
        one = job(city)
        running = [asyncio.create_task(asked(one, city)) for _ in "ab"]
        return await asyncio.gather(*running, return_exceptions=True)

    refusal = asyncio.run(both())[1]
    assert isinstance(refusal, Exhausted)
    assert (refusal.reason, refusal.retry_after_ms) == ("PREVIEW_RUNNING", 2_000)
    with pytest.raises(Exhausted) as late:
        asyncio.run(asked(job(city, replace(BOUNDS, longest_s=0.1)), city))
    assert late.value.reason == "PREVIEW_TOO_LONG"


def test_a_closed_job_and_a_missing_database_are_told(city: Desk, tmp_path: Path) -> None:
    """After the server's end nothing begins; without a database it is unavailable."""

    async def closed() -> None:
        one = job(city)
        await one.close()
        await asked(one, city)

    with pytest.raises(Unavailable):
        asyncio.run(closed())
    gone = PreviewJob(f"sqlite:///{tmp_path / 'gone.db'}", BOUNDS, LIMITS)
    with pytest.raises(StorageFailed):
        asyncio.run(asked(gone, city))
