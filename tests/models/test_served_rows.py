"""Served and trained agree: people put over gRPC get the scores that training computed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import User
from sqlalchemy import select

from models import reading, spec, train
from models.dataset import Dataset
from models.scorer import ModelScorer, Scored, Unscorable
from service.storage import schema as t
from tests.fakes import serving
from tests.rpc.support import START_S, Desks, desks
from tests.shell import forked_workers

ROWS = 900
JOBS = ("clerk", "driver", "pilot", "教师", "unemployed", "poet")
SHARES = (0.3, 0.3, 0.2, 0.1, 0.09, 0.01)
SPEC = """
[data]
path = "people.csv"
missing_tokens = ["N/A"]

[label]
column = "paid"
bad = ["no"]
good = ["yes"]
horizon = "a month"
outcome = "missed"
population = "made up"

[validation]
folds = 3
seeds = [0]

[model]
trees = 40
min_child_samples = 20

[[feature]]
name = "job held"
type = "text"
role = "input"
reason_group = "JOB"

[[feature]]
name = "months"
type = "integer"
role = "input"
special = [-9]
monotone = -1
reason_group = "MONTHS"

[[feature]]
name = "income"
type = "number"
role = "input"
missing = "nan"
absent = "missing"
reason_group = "INCOME"
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, ModelScorer]:
    """The rows of a table with texts, special values and blanks, and its model."""
    folder = tmp_path_factory.mktemp("texts")
    chance = np.random.default_rng(5)
    job = chance.choice(len(JOBS), ROWS, p=SHARES)
    months = np.where(chance.random(ROWS) < 0.2, -9, chance.integers(0, 120, ROWS))
    income = np.round(chance.normal(3_000, 800, ROWS), 2)
    blank = chance.random(ROWS) < 0.15
    odds = 0.5 * (job == 4) - 0.01 * months - 0.0004 * income + 0.5
    bad = chance.random(ROWS) < 1 / (1 + np.exp(-odds))
    lines = ["job held,months,income,paid"]
    lines += [
        f" {JOBS[j]} ,{m},{'N/A' if empty else i},{'no' if b else 'yes'}"
        for j, m, i, empty, b in zip(job, months, income, blank, bad, strict=True)
    ]
    (folder / "people.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "spec.toml").write_text(SPEC, "utf-8")
    with forked_workers():
        train.train(folder / "spec.toml", folder / "model", progress=False, jobs=1)
    return reading.load(spec.load(folder / "spec.toml")), ModelScorer.load(folder / "model")


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, trained: tuple[Dataset, ModelScorer]
) -> Iterator[Desks]:
    """A server of that model."""
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, scorer=trained[1]) as served, desks(served) as callers:
        yield callers


def person(user_id: str, job: str | None, months: float, income: float) -> User:
    """A person as a client sends one; NaN and None are values that the person does not have."""
    user = User(user_id=user_id, scoring_consent=True, features={"months": months})
    user.as_of.seconds = START_S
    if job is None:
        user.missing_features.append("job held")
    else:
        user.text_features["job held"] = job
    if income == income:
        user.features["income"] = income
    else:
        user.missing_features.append("income")
    return user


def told(desk: Desks, user: User) -> tuple[int, str, str]:
    """The score, or the reason against it with the feature."""
    (profile,) = desk.platform.put(user)
    return profile.score, profile.unscorable_reason, profile.unscorable_feature


def expected(result: Scored | Unscorable) -> tuple[int, str, str]:
    """The same of a scorer's result."""
    if isinstance(result, Unscorable):
        return 0, result.reason, result.feature
    return result.score, "", ""


def test_rows_of_the_table_get_their_scores(
    desk: Desks, trained: tuple[Dataset, ModelScorer]
) -> None:
    """Rows of the table, with texts, special values and blanks, get the score of their row of
    training, and the decision has its margin to the bit."""
    data, scorer = trained
    levels = data.levels["job held"]
    rows = np.random.default_rng(1).choice(ROWS, 40, replace=False)
    rows = np.append(rows, np.flatnonzero(data.raw[:, 0] == levels.index("poet"))[:2])
    kinds = set()
    for i in rows.tolist():
        job, months, income = data.raw[i].tolist()
        (result,) = scorer.score([data.raw[i].tobytes()])
        assert isinstance(result, Scored)
        user_id = f"row-{i}"
        assert told(desk, person(user_id, levels[int(job)], months, income)) == expected(result)
        kinds.add((months == -9, income != income))
        request = AuthorizeRequest(
            request_id=desk.operator.fresh(), user_id=user_id, product_id="umbrella"
        )
        desk.operator.send("Authorize", request)
        with desk.served.app.parts.store.engine.connect() as connection:
            of_user = t.decisions.c.user_id == user_id
            margin = connection.scalar(select(t.decisions.c.margin).where(of_user))
        assert margin == result.margin.hex()
    assert len(kinds) == 4


@pytest.mark.parametrize(
    ("job", "months", "income", "reason", "feature"),
    [
        ("astronaut", 5.0, 3_000.0, "UNSEEN_CATEGORY", "job held"),
        (" 教师 ", 5.0, 3_000.0, "", ""),
        (None, 5.0, 3_000.0, "MISSING_FEATURE", "job held"),
        (" N/A ", 5.0, 3_000.0, "MISSING_FEATURE", "job held"),
        ("NA", 5.0, 3_000.0, "UNSEEN_CATEGORY", "job held"),
        ("clerk", -8.0, 3_000.0, "FEATURE_OUT_OF_RANGE", "months"),
        ("clerk", 5.5, 3_000.0, "FEATURE_OUT_OF_RANGE", "months"),
        ("clerk", 5.0, 1e300, "FEATURE_OUT_OF_RANGE", "income"),
    ],
)
def test_values_that_training_did_not_see(
    desk: Desks, job: str | None, months: float, income: float, reason: str, feature: str
) -> None:
    """A text, a number or a blank that training did not see prevents a score, and is named; spaces
    around a text do not count. A missing token of the spec is no text but a missing value."""
    user = person(desk.platform.fresh("person"), job, months, income)
    score, why, named = told(desk, user)
    assert (why, named) == (reason, feature)
    assert bool(score) == (not reason)


def test_a_registered_model_tells_its_texts(trained: tuple[Dataset, ModelScorer]) -> None:
    """The scorer has a number for each text of the table, in the order of the manifest, and none
    for the missing token of the spec."""
    data, scorer = trained
    (found,) = scorer.levels.values()
    assert math.isnan(found["N/A"])
    assert {text: number for text, number in found.items() if text != "N/A"} == {
        text: number for number, text in enumerate(data.levels["job held"])
    }
    (column,) = [it for it in scorer.manifest.document["raw"] if it["levels"]]
    assert (column["name"], tuple(column["levels"])) == ("job held", data.levels["job held"])
