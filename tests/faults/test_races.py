"""Calls that compete for one object, sent together to real server processes.

The scenarios are those of `python -m benchmarks races`, in few rounds;
`tests/benchmarks/test_races.py` shows that they find a database without its guards. On PostgreSQL
the calls go to two servers of one database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.races import SERVERS, race
from benchmarks.races_arena import Arena, Clients, arena
from benchmarks.races_scenarios import RACES

ROUNDS = 20


class Place(NamedTuple):
    """Servers with their clients, which use one event loop."""

    arena: Arena
    clients: Clients
    loop: asyncio.Runner


@pytest.fixture(scope="module", params=tuple(SERVERS))
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: Path
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("races")
    url = f"sqlite:///{folder / 'freehold.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("cluster")
        url = cluster.url(cluster.empty())
    with arena(url, model, folder, SERVERS[request.param]) as made, asyncio.Runner() as loop:
        clients = loop.run(Clients(made).__aenter__())
        yield Place(made, clients, loop)
        loop.run(clients.__aexit__(None, None, None))


@pytest.mark.parametrize("name", RACES)
def test_a_race_has_exactly_its_winners(place: Place, name: str) -> None:
    """When many calls compete for the same object, exactly as many succeed as can.

    The answers and the stored rows agree, and both books verify.
    """
    tally = place.loop.run(race(place.clients, name, ROUNDS, seed=1))
    assert tally.sentences == []
    assert (tally.rounds, tally.violations, tally.books) == (ROUNDS, 0, 1)
    assert tally.outcomes
