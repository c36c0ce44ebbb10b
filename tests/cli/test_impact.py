"""`freehold model impact`, and the approval that names it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models import fairness_gate, manifest, scorecard
from models.calibrate import Platt
from models.scorer import ModelScorer
from service.cli.impact_report import AS_OFTEN, LESS_OFTEN, MORE_OFTEN, TOO_FEW, group_verdict
from service.domain.access import PLATFORM
from service.engine.feature_values import pack
from service.engine.impact import Effect, Group
from service.engine.operations import PutUser
from service.storage import schema as t
from service.storage.database import open_database, reading
from service.storage.models import ACCEPTED
from service.storage.store import SqlStore
from tests.cli.test_commands import invoke, shell
from tests.cli.test_models import judged
from tests.cli.test_rail_accounts import city, url
from tests.fakes import START_US, Desk
from tests.faults.support import people

__all__ = ["city", "url"]

PEOPLE = 240


def stricter(model: Path, folder: Path) -> Path:
    """A copy of a model that gives everybody 50 points less."""
    shutil.copytree(model, folder)
    document = json.loads((folder / "manifest.json").read_text())
    a, b = (float.fromhex(document["platt"][it]) for it in ("a", "b"))
    platt = Platt(a, b + math.log(2.0))
    scale = scorecard.scale(platt)
    document["platt"] = {"a": platt.a.hex(), "b": platt.b.hex()}
    document["scale"] |= {"a": scale.a.hex(), "b": scale.b.hex()}
    for golden in document["golden"]:
        golden["score"] = scale.score(float.fromhex(golden["margin"]))
    document["model_id"] = manifest.model_id(document)
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def candidate(model: Path, tmp_path: Path) -> Path:
    """The folder of a stricter model."""
    return stricter(model, tmp_path / "candidate")


@pytest.fixture
def registered(url: str, model: Path) -> dict[str, Any]:
    """Registers people with their ages, and returns their scores by the served model."""
    store, scorer = SqlStore(open_database(url)), ModelScorer.load(model)
    desk = Desk(store, scorer=scorer)
    found: dict[str, Any] = {}
    works = []
    for number, features in enumerate(people(model, PEOPLE)):
        values = [features.get(name, math.nan) for name in scorer.raw_names]
        raw, names = pack([*values, 20.0 + number % 40]), (*scorer.raw_names, "AGE")
        put = PutUser(f"u{number:03}", raw, START_US, True, names=names)
        works.append(desk.work(put, caller=PLATFORM))
    for start in range(0, PEOPLE, 64):
        for profile in desk.apply(*works[start : start + 64]):
            assert not isinstance(profile, Exception), profile
    for work in works:
        profile_of: Any = desk.answers[work.request_id]
        found[profile_of.line.user_id] = profile_of.score
    store.close()
    return found


def impact_of(url: str, model: Path, folder: Path, *more: str) -> Any:
    """The result of the command."""
    return invoke("model", "impact", str(folder), "--model", str(model), "--database", url, *more)


def test_the_impact_is_shown_and_written_with_its_id(
    url: str, model: Path, candidate: Path, registered: dict[str, Any], tmp_path: Path
) -> None:
    """`model impact` shows everybody by both bands, limits, and shares by feature and by protected
    column, and writes the same with its id. The same database gives the same id."""
    file = tmp_path / "impact.json"
    done = impact_of(url, model, candidate, "--by", "LIMIT_BAL", "--json", str(file))
    assert done.exit_code == 0, done.output
    written = json.loads(file.read_text())
    assert f"impact ID: {written['impact_id']}" in done.output
    it = written["impact"]
    scores = [it for it in registered.values() if it is not None]
    below = [scorecard.band(max(350, score - 50)) for score in scores]
    assert it["population"]["compared"] == PEOPLE
    names = it["bands"]["names"]
    columns = [sum(column) for column in zip(*it["bands"]["people"], strict=True)]
    assert columns == [*(below.count(name) for name in names[:-1]), PEOPLE - len(scores)]
    assert it["everybody"]["score_down"]["hits"] == sum(score > 350 for score in scores)
    (limits,) = it["limits"]
    assert limits["lines"] == PEOPLE
    assert limits["down"] == it["everybody"]["limit_down"]["hits"] > 0
    age, balance = sorted(it["segments"], key=lambda it: str(it["name"]))
    assert (age["name"], age["protected"]) == ("AGE", True)
    assert sum(group["people"] for group in age["groups"]) == PEOPLE
    of_ages = ["under 25", "25 to 34", "35 to 44", "45 to 54", "55 and over"]
    assert [group["group"] for group in age["groups"]] == of_ages
    assert [group["people"] for group in age["groups"]] == [30, 60, 60, 60, 30]
    assert sum(group["people"] for group in balance["groups"]) == PEOPLE
    assert balance["groups"][0]["group"].startswith("up to ")
    assert {group["limits_fall"] for group in age["groups"]} == {TOO_FEW}
    assert "SEX" in it["protected_not_on_record"]
    again = impact_of(url, model, candidate, "--by", "LIMIT_BAL")
    assert written["impact_id"] in again.output
    assert written["impact_id"] not in impact_of(url, model, candidate).output


def test_an_acceptance_names_the_impact(
    url: str, model: Path, candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`model accept --impact FILE` records the id of the impact, also for a model with a fine
    gate. A file that was changed, is of another model, or is no impact is refused."""
    monkeypatch.setenv("SUDO_USER", "ada")
    fine = judged(candidate, tmp_path / "fine", fairness_gate.FINE)
    file = tmp_path / "impact.json"
    assert impact_of(url, model, fine, "--json", str(file)).exit_code == 0
    accept = ("model", "accept", str(fine), "--reason", "seen", "--database", url, "--impact")
    other = tmp_path / "other.json"
    blocked = judged(candidate, tmp_path / "blocked", fairness_gate.BLOCKED)
    assert impact_of(url, model, blocked, "--json", str(other)).exit_code == 0
    assert "is the impact of model" in invoke(*accept, str(other)).output
    changed = tmp_path / "changed.json"
    changed.write_text(file.read_text().replace('"people": 0', '"people": 1'))
    assert "was changed" in invoke(*accept, str(changed)).output
    (tmp_path / "list.json").write_text("[]")
    assert "is no impact" in invoke(*accept, str(tmp_path / "list.json")).output
    done = invoke(*accept, str(file))
    assert (done.exit_code, "another person" in done.output) == (0, False)
    engine = open_database(url)
    with reading(engine) as connection:
        audit = t.audit.c
        (details,) = connection.scalars(select(audit.details).where(audit.act == ACCEPTED))
    engine.dispose()
    impact_id = json.loads(file.read_text())["impact_id"]
    assert json.loads(details)["reason"] == f"seen (impact {impact_id})"
    assert invoke("verify", "--database", url).exit_code == 0


def test_what_cannot_be_compared_is_said_in_one_line(
    url: str, model: Path, candidate: Path, tmp_path: Path
) -> None:
    """The served model itself, a folder without a model, an unknown feature, and a database without
    people are each told in one line."""
    words = ("model", "impact", "--model", str(model), "--database", url)
    for folder, more, text in (
        (model, (), "has the served model"),
        (tmp_path, (), "manifest.json"),
        (candidate, ("--by", "SHOE_SIZE"), "no features on record have the name SHOE_SIZE"),
    ):
        failed = shell(*words, str(folder), *more)
        assert failed.returncode != 0
        assert text in failed.stderr
        assert "Traceback" not in failed.stderr
    empty = invoke(*words, str(candidate))
    assert empty.exit_code == 0, empty.output
    assert "nobody can be compared" in empty.output


def test_groups_of_200_are_judged_against_all_others() -> None:
    """A group is judged by the shares of people whose limit falls, in it and among all others: if
    their intervals do not meet, it is cut more or less often. With fewer than 200 people on a side,
    it is not judged."""

    def verdict(people: int, falls: int, others: int, other_falls: int) -> str:
        group, everybody = Group(people), Group(people + others)
        group.effects[Effect.LIMIT_DOWN] = falls
        everybody.effects[Effect.LIMIT_DOWN] = falls + other_falls
        return group_verdict(group, everybody)

    assert verdict(200, 100, 1_000, 100) == MORE_OFTEN
    assert verdict(200, 20, 1_000, 500) == LESS_OFTEN
    assert verdict(200, 20, 1_000, 100) == AS_OFTEN
    assert verdict(199, 199, 1_000, 0) == TOO_FEW
    assert verdict(1_000, 0, 199, 199) == TOO_FEW
