"""What the races find when a guard is missing, and when they say that a run proves nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from benchmarks import races
from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError
from benchmarks.races_arena import Arena, arena
from benchmarks.races_round import Round, Tally
from benchmarks.races_rows import Reader, Stored, wrong
from benchmarks.races_scenarios import RACES, Race
from service.domain.authorization import Authorization
from service.domain.ledger import Account
from service.domain.transitions import Transition
from service.storage.database import writing
from tests.engine.calls import authorize, rental, reverse, settle
from tests.fakes import Desk
from tests.postgres import Cluster

# -- a database without one of its guards ----------------------------------------------------------


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path, model: Path) -> Iterator[Arena]:
    with arena(cluster.url(cluster.empty()), model, tmp_path, servers=2) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("item", "open_items", "2 instead of one rental with the item"),
        ("payment", "payments", "2 instead of one payment"),
        ("two-bodies", "requests", "two bodies were taken"),
    ],
)
def test_a_missing_key_is_found(place: Arena, name: str, table: str, said: str) -> None:
    """Without the key of a table two processes give the same thing to two, and the race sees it."""
    with writing(place.engine) as connection:
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}"))

    class Found(Exception):
        """Enough was seen."""

    def look(tally: Tally) -> None:
        if any(said in sentence for sentence in tally.sentences):
            raise Found

    with pytest.raises(Found):
        races.run(place, name, 1_000, 1, look)


def test_a_round_that_cannot_be_prepared_ends_the_run(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a scenario needs and is refused is no outcome: the run ends and says why."""

    async def impossible(one: Round) -> None:
        await one.authorize(await one.person(), "boat")

    monkeypatch.setitem(RACES, "review", Race(impossible, ()))
    with (
        arena(f"sqlite:///{tmp_path / 'freehold.db'}", model, tmp_path, servers=1) as place,
        pytest.raises(BenchmarkError, match="setup was refused: NOT_FOUND PRODUCT_NOT_FOUND"),
    ):
        races.run(place, "review", 3, 1, lambda _: None)


# -- rows that do not fit --------------------------------------------------------------------------


@pytest.fixture
def stored(desk: Desk) -> Stored:
    """Two rentals of Ann's, one settled and one reversed, and one that goes on."""
    reader = Reader(desk.store.engine)
    desk.put_user("ann", 700)
    settled = rental(desk, authorize("ann", "umbrella"))
    rental(desk, settle(settled, 300))
    rental(desk, reverse(rental(desk, authorize("ann", "bike"))))
    rental(desk, authorize("ann", "umbrella"))
    return reader.read({"ann"}, {"request-1", "request-99"}, {"pay-1"}, {"asset-1"})


def test_rows_that_fit_are_right(stored: Stored) -> None:
    """Nothing is found in rows that nobody touched, and each thing that happened is there once."""
    assert wrong(stored, ["ann"]) == []
    steps = [stored.steps[it.authorization_id] for it in stored.authorizations["ann"]]
    assert steps == [
        [Transition.ACTIVE, Transition.SETTLED],
        [Transition.ACTIVE, Transition.REVERSED],
        [Transition.ACTIVE],
    ]
    first, second, _ = stored.authorizations["ann"]
    assert stored.states(first) == ["ACTIVE", "SETTLED"]
    assert stored.authorization(second.name) == second
    assert {name: len(found) for name, found in stored.requests.items()} == {"request-1": 1}
    assert not stored.payments
    assert not stored.items


def _first(stored: Stored) -> Authorization:
    return stored.authorizations["ann"][0]


def test_rows_that_do_not_fit_are_named(stored: Stored) -> None:
    """A line off its sums, a version without its event or with two, and a lost line are found."""
    line = stored.lines["ann"]
    stored.lines["ann"] = replace(line, held_minor=line.held_minor + 1)
    assert {it.split(": ")[1].split(" is ")[0] for it in wrong(stored, ["ann"])} == {
        "limit",
        "held",
        "entries of held",
    }
    stored.lines["ann"] = line
    stored.balances["ann"][Account.AVAILABLE] -= 1
    assert ["entries of available" in it for it in wrong(stored, ["ann"])] == [True]
    stored.balances["ann"][Account.AVAILABLE] += 1
    for versions in ([1], [1, 2, 2]):
        stored.versions[_first(stored).authorization_id] = versions
        assert [str(versions) in it for it in wrong(stored, ["ann"])] == [True]
    assert "nobody has no line" in wrong(stored, ["nobody"])


# -- what a run proves -----------------------------------------------------------------------------


def proof(name: str, **changes: object) -> Tally:
    """A run that proves what it should."""
    tally = Tally(rounds=200, overlapping=200)
    tally.outcomes = Counter(dict.fromkeys(RACES[name].outcomes, 1))
    for field, value in changes.items():
        setattr(tally, field, value)
    return tally


def test_a_run_that_proves_it_has_no_shortcomings() -> None:
    """Nothing wrong, every kind of contender won, and the contenders were under way together."""
    assert races.shortcomings({name: proof(name) for name in RACES}) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"violations": 1, "sentences": ["round 7: two won"]}, "1 violations: round 7: two won"),
        ({"outcomes": Counter({"approve": 200})}, "never won by decline"),
        ({"overlapping": 99}, "only 99 rounds overlapped"),
    ],
)
def test_shortcomings_are_told(changes: dict[str, object], said: str) -> None:
    """A round that came out wrong, a kind that never won and calls one after another are told."""
    (sentence,) = races.shortcomings({"review": proof("review", **changes)})
    assert sentence == f"review: {said}"


def test_few_rounds_need_not_be_won_by_all() -> None:
    """A handful of rounds may all end the same way."""
    tally = proof("review", rounds=20, outcomes=Counter({"approve": 20}))
    assert races.shortcomings({"review": tally}) == []


def test_json_and_table_carry_the_figures(tmp_path: Path, model: Path) -> None:
    """One command runs a scenario on a server of its own and writes its counts."""
    written = tmp_path / "races.json"
    words = ["races", "--rounds", "3", "--scenario", "review", "--model", str(model)]
    done = CliRunner().invoke(
        main, [*words, "--folder", str(tmp_path / "work"), "--json", str(written)]
    )
    assert done.exit_code == 0, done.output
    assert "review" in done.output
    content = json.loads(written.read_text("utf-8"))
    assert (content["name"], content["ratio"], content["violations"]) == ("races", 1.0, 0)
    assert (content["database"], content["servers"]) == ("sqlite", 1)
    (tally,) = content["scenarios"].values()
    assert (tally["rounds"], tally["contenders"], tally["books"]) == (3, 12, 1)
    assert sum(tally["outcomes"].values()) == 3
    assert list((tmp_path / "work").iterdir()) == []
