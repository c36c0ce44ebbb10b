"""The races' findings when a guard is missing, and the runs that they reject as no proof."""

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
    """If a table has lost its key, two processes give the same object to two people, and the race
    notices it."""
    with writing(place.engine) as connection:
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}"))

    class Found(Exception):
        """Raised when enough was found."""

    def look(tally: Tally) -> None:
        if any(said in sentence for sentence in tally.sentences):
            raise Found

    with pytest.raises(Found):
        races.run(place, name, 1_000, 1, look)


def test_a_round_that_cannot_be_prepared_ends_the_run(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused preparation is not an outcome: the run ends with the reason."""

    async def impossible(one: Round) -> None:
        await one.authorize(await one.person(), "boat")

    monkeypatch.setitem(RACES, "review", Race(impossible, ()))
    with (
        arena(f"sqlite:///{tmp_path / 'freehold.db'}", model, tmp_path, servers=1) as place,
        pytest.raises(BenchmarkError, match="setup was refused: NOT_FOUND PRODUCT_NOT_FOUND"),
    ):
        races.run(place, "review", 3, 1, lambda _: None)


# -- wrong rows ------------------------------------------------------------------------------------


@pytest.fixture
def stored(desk: Desk) -> Stored:
    """Three rentals of Ann: one is settled, one is reversed, and one is still open."""
    reader = Reader(desk.store.engine)
    desk.put_user("ann", 700)
    settled = rental(desk, authorize("ann", "umbrella"))
    rental(desk, settle(settled, 300))
    rental(desk, reverse(rental(desk, authorize("ann", "bike"))))
    rental(desk, authorize("ann", "umbrella"))
    return reader.read({"ann"}, {"request-1", "request-99"}, {"pay-1"}, {"asset-1"})


def test_correct_rows_have_no_fault(stored: Stored) -> None:
    """Unchanged rows have no fault, and each event is there once."""
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


def test_wrong_rows_are_named(stored: Stored) -> None:
    """A line with wrong sums, a version with no event or two, and a missing line are found."""
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


# -- the proof of a run ----------------------------------------------------------------------------


def proof(name: str, **changes: object) -> Tally:
    """A run with everything that proves it."""
    tally = Tally(rounds=200, overlapping=200)
    tally.outcomes = Counter(dict.fromkeys(RACES[name].outcomes, 1))
    for field, value in changes.items():
        setattr(tally, field, value)
    return tally


def test_a_proving_run_has_no_shortcomings() -> None:
    """In a proving run no row is wrong, every kind of contender won, and the contenders
    overlapped."""
    assert races.shortcomings({name: proof(name) for name in RACES}) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"violations": 1, "sentences": ["round 7: two won"]}, "1 violations: round 7: two won"),
        ({"outcomes": Counter({"approve": 200})}, "never won by decline"),
        ({"overlapping": 99}, "only 99 rounds overlapped"),
    ],
)
def test_shortcomings_are_reported(changes: dict[str, object], said: str) -> None:
    """The report names wrong rounds, kinds of call that never won, and calls that did not
    overlap."""
    (sentence,) = races.shortcomings({"review": proof("review", **changes)})
    assert sentence == f"review: {said}"


def test_few_rounds_need_not_have_every_winner() -> None:
    """A handful of rounds may all have the same winner."""
    tally = proof("review", rounds=20, outcomes=Counter({"approve": 20}))
    assert races.shortcomings({"review": tally}) == []


def test_json_and_table_carry_the_figures(tmp_path: Path, model: Path) -> None:
    """One command runs a scenario on its own server and writes its counts."""
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
