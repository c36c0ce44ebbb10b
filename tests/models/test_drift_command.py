"""`freehold model drift` on people whom a server put, on both databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from models.scorer import ModelScorer
from service.cli import drift as command
from service.cli.parts import instant_text
from service.domain.access import PLATFORM
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.storage import latest_features
from service.storage import schema as t
from service.storage.database import reading
from service.storage.latest_features import everybody, schemas
from service.storage.store import SqlStore
from tests.cli.test_commands import invoke
from tests.fakes import START_US, Desk
from tests.models.watched_table import LEVELS

NAMES = ("months", "income", "born", "asked")
PEOPLE = 300


def person(
    row: np.ndarray[Any, Any], user_id: str, names: tuple[str, ...] = NAMES, **changed: Any
) -> PutUser:
    """A row of the training as a person; `changed` are fields of the command."""
    sent = dict(zip(("job", *NAMES), row.tolist(), strict=True))
    texts = json.dumps({"job": LEVELS[int(row[0])]}, separators=(",", ":"))
    given = {"texts": texts, "as_of_us": START_US, "scoring_consent": True, **changed}
    return PutUser(user_id, pack([sent[n] for n in names]), names=names, **given)


@pytest.fixture
def people(store: SqlStore, watched: Path) -> Desk:
    """A desk of the model with rows of its training on record, every tenth without the months."""
    desk = Desk(store, scorer=ModelScorer.load(watched))
    rows = np.load(watched / "rows.npy")[:PEOPLE]
    for first in range(0, PEOPLE, 50):
        put = [
            person(row, f"u-{first + i:03}", NAMES[1:] if (first + i) % 10 == 0 else NAMES)
            for i, row in enumerate(rows[first : first + 50])
        ]
        results = desk.apply(*(desk.work(it, caller=PLATFORM) for it in put))
        assert not [it for it in results if isinstance(it, Exception)], results
    return desk


def run(url: str, model: Path, *words: str) -> Any:
    return invoke("model", "drift", "--model", str(model), "--database", url, *words)


def test_people_without_a_column_are_told(
    url: str, people: Desk, watched: Path, tmp_path: Path
) -> None:
    """A tenth of the people came without the months: this column and the score are red, the rest is
    green, and cron learns of it by the exit code."""
    done = run(url, watched, "--json", str(tmp_path / "drift.json"))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[1] == "300 people compared"
    assert [line.split()[:2] for line in lines[3:5]] == [["score", "red"], ["months", "red"]]
    assert "cannot be scored: 0.0% to 10.0%" in lines[4]
    assert lines[-1] == "red: review the model before it decides further (score, months)"
    told = json.loads((tmp_path / "drift.json").read_text())
    assert (told["people"], told["left_out"]) == (300, {})
    assert [it["light"] for it in told["columns"]] == ["red", "red", "green", "green", "green"]
    months = told["columns"][1]["bins"]
    assert {"name": "cannot be scored", "reference": 0, "now": 30} in months
    assert sum(it["now"] for it in months) == 300
    assert run(url, watched, "--fail-on", "red").exit_code == command.ALARM
    assert run(url, watched, "--fail-on", "amber").exit_code == command.ALARM


def test_people_of_today_are_counted_once(url: str, people: Desk, watched: Path) -> None:
    """The latest features of each person count. People without consent are left out, and those
    whose features are older than --since."""
    row = np.load(watched / "rows.npy")[0]
    later = START_US + 86_400_000_000
    assert people.clock.advance(later)
    for it in (
        person(row, "u-001", as_of_us=later),
        person(row, "u-002", scoring_consent=False),
        person(row, "u-003", as_of_us=later),
    ):
        people.do(it, caller=PLATFORM)
    assert run(url, watched).output.splitlines()[1] == (
        "299 people compared; left out: 1 without consent"
    )
    since = run(url, watched, "--since", instant_text(later - 1), "--fail-on", "red")
    said = "2 people compared; left out: 1 without consent, 297 with older features"
    assert since.output.splitlines()[1] == said
    assert since.exit_code == 0


def test_nobody_on_record(url: str, watched: Path) -> None:
    """Without people there is nothing to say: every light is `too few`."""
    done = run(url, watched, "--fail-on", "amber")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1] == "0 people compared"
    assert done.output.count("too few") == 5


def test_scores_are_those_that_were_kept(
    people: Desk, store: SqlStore, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read a few at a time, everybody is read once, and has the score that PutUsers kept."""
    monkeypatch.setattr(latest_features, "PORTION", 7)
    u = t.users.c
    with reading(store.engine) as connection:
        kept = {row.user_id: row.score for row in connection.execute(select(u.user_id, u.score))}
        found = [it for portion in everybody(connection) for it in portion]
        names = schemas(connection)
    assert [it.user_id for it in found] == sorted(kept)
    scored = command.people_of(found, names, ModelScorer.load(watched))
    told = [None if np.isnan(it) else int(it) for it in scored.score]
    assert told == [kept[it.user_id] for it in found]
    assert told.count(None) >= 30


def test_a_missing_token_of_a_text_counts_as_missing(people: Desk, watched: Path) -> None:
    """A text that the spec has among its missing tokens is counted as a missing value; any other
    text without a number is an unseen one."""
    scorer = ModelScorer.load(watched)
    known = people.store.features(["u-001"])["u-001"]
    found = command.people_of(
        [known._replace(texts=json.dumps({"job": text})) for text in ("NA", "N/A")],
        {known.schema_id or "": NAMES},
        scorer,
    )
    assert np.isnan(found.raw[0, 0])
    assert found.raw[1, 0] == -1.0
    assert not found.unsent.any()


def test_a_value_of_another_kind_counts_as_not_sent(people: Desk, watched: Path) -> None:
    """A number where the model has a text gives no score, and no value is compared."""
    scorer = ModelScorer.load(watched)
    names = ("job", *NAMES)
    row = np.load(watched / "rows.npy")[0]
    features = people.store.features(["u-001"])["u-001"]._replace(
        raw=pack(row.tolist()), texts="", schema_id="s"
    )
    found = command.people_of([features], {"s": names}, scorer)
    assert found.unsent.all()
    assert np.isnan(found.score).all()
