"""Dates in a draft: ages until the date of the decision, which mean the same in each year."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from models import coverage, draft_dates, encoding, manifest, reading, spec, train
from models.dataset import Dataset
from models.drafting import Question, draft
from models.errors import SpecError
from models.samples import sample_of, state_of
from models.scorer import ModelScorer, Scored, Unscorable
from tests.models.reading_tables import TODAY
from tests.models.small_tables import row
from tests.shell import forked_workers

QUESTION = Question("flag", ("Y",), (), "missed", "a month", "made up")
ROWS = 700
OPENED = "months from opened to applied"
RECIPE = """
[model]
trees = 30
min_child_samples = 20

[validation]
folds = 3
seeds = [0]
"""


def written(day: np.datetime64) -> str:
    """A day as dd/mm/yyyy."""
    return "/".join(reversed(str(day).split("-")))


def file_of(
    *, repaid: str = "paid back", late: int = 0, years: int = 1, ages: tuple[int, int] = (70, 1_800)
) -> str:
    """Applications from 2023 on by the day that each account was opened on, so many days before;
    the first `late` rows have it a day after."""
    chance = np.random.default_rng(4)
    applied = np.datetime64("2023-01-01") + chance.integers(0, 365 * years, ROWS)
    age = chance.integers(*ages, ROWS)
    age[:late] = -1
    risk = 1.0 / (1.0 + np.exp(age / 400.0 - 1.0))
    lines = [f"applied,opened,{repaid},income,flag"]
    for when, days, bad in zip(applied, age.tolist(), chance.random(ROWS) < risk, strict=True):
        lines.append(
            f"{written(when)},{written(when - days)},{written(when + 40)},"
            f"{chance.integers(100, 999)},{'Y' if bad else 'N'}"
        )
    return "\n".join(lines) + "\n"


def drafted(folder: Path, content: str) -> str:
    (folder / "table.csv").write_text(content, encoding="utf-8")
    return draft(folder / "table.csv", folder / "spec.toml", QUESTION, TODAY).text


class Trained(NamedTuple):
    data: Dataset
    scorer: ModelScorer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The model of the draft."""
    folder = tmp_path_factory.mktemp("dated")
    (folder / "spec.toml").write_text(drafted(folder, file_of()) + RECIPE, encoding="utf-8")
    with forked_workers():
        train.train(folder / "spec.toml", folder / "model", progress=False, jobs=1)
    return Trained(
        reading.load(spec.load(folder / "spec.toml")), ModelScorer.load(folder / "model")
    )


def test_dates_that_lie_close_have_golden_rows(tmp_path: Path) -> None:
    """A model with the months between two dates that always lie close is checked at each load by
    rows whose dates do too."""
    text = drafted(tmp_path, file_of(years=15, ages=(0, 60)))
    (tmp_path / "spec.toml").write_text(text + RECIPE, encoding="utf-8")
    with forked_workers():
        train.train(tmp_path / "spec.toml", tmp_path / "model", progress=False, jobs=1)
    scorer = ModelScorer.load(tmp_path / "model")
    assert len(scorer.manifest.golden) >= 32


def answer(it: Trained, applied: str, opened: str) -> Scored | Unscorable:
    """The answer for one application with an income of 500."""
    days = {
        name: float(np.datetime64(text, "D").astype(np.int64))
        for name, text in (("applied", applied), ("opened", opened))
    }
    (found,) = it.scorer.score([row(*({**days, "income": 500.0}[n] for n in it.scorer.raw_names))])
    return found


def test_a_draft_derives_ages_at_the_decision(tmp_path: Path) -> None:
    """A date that every row has and that no other date lies after is that of the decision; the
    draft derives the months from each other date to it, and leaves out a date of a payment."""
    made = tomllib.loads(drafted(tmp_path, file_of()))
    assert [(d["name"], d["of"]) for d in made["derivation"]] == [(OPENED, ["opened", "applied"])]
    roles = {f["name"]: f["role"] for f in made["feature"]}
    assert roles == {
        "applied": "input", "opened": "input", "paid back": "excluded", "income": "input"
    }  # fmt: skip
    assert made["feature"][1]["format"] == "%d/%m/%Y"


def test_the_date_of_the_decision_may_also_hold_out_the_latest_rows(tmp_path: Path) -> None:
    """The lines about [time] that a draft has as comments hold without another change."""
    text = drafted(tmp_path, file_of())
    time = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    start = time.index("[time]")
    lines = "\n".join(time[start : start + 3])
    (tmp_path / "spec.toml").write_text(f"{text}\n{lines}\noot_from = 2023-10-01\n", "utf-8")
    data = reading.load(spec.load(tmp_path / "spec.toml"))
    assert data.time is not None
    assert data.spec.derivations[0].name == OPENED


def test_people_of_the_hold_out_with_unknown_ages_are_counted(trained: Trained) -> None:
    """The training counts the hold-out rows whose ages it marks, and those that it refuses."""
    state = state_of(trained.data)
    opened = list(trained.scorer.raw_names).index("opened")
    for days, held in ((20_000.0, state.holdout[:3]), (2_500.0, state.holdout[3:5])):
        state.raw[held, opened] = state.raw[held, 0] - days
    try:
        found = coverage.by_column(state, sample_of(state, state.training, 20))
    finally:
        state.raw[:] = reading.load(trained.data.spec).raw
    (age,) = [it for it in found if it["column"] == OPENED]
    assert (age["outside"], age["extrapolated"], age["missing"]) == (3, 2, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (file_of(late=20), "3 % of the rows have a date after it"),
        (file_of().replace("opened", "closed"), "the other date is that of an end"),
        (file_of().replace("\n", "\n,01/01/2020,01/01/2020,200,N\n", 1), "one row lacks it"),
    ],
)
def test_without_a_date_of_the_decision_dates_are_left_out(
    tmp_path: Path, content: str, why: str
) -> None:
    """Dates that do not tell an age at the decision are no columns of a draft's model."""
    made = tomllib.loads(drafted(tmp_path, content))
    assert "derivation" not in made, why
    assert {f["role"] for f in made["feature"] if f["name"] != "income"} == {"excluded"}


def test_a_few_dates_after_the_decision_are_mistakes() -> None:
    """A date is that of the decision as long as at most 1 % of the rows have another date later."""
    decided = np.zeros(100)
    for later, found in ((1, "a"), (2, None)):
        other = np.where(np.arange(100) < later, 5.0, -5.0)
        assert draft_dates.decision({"a": decided, "b": other}, TODAY) == found


def test_an_age_means_the_same_in_later_years(trained: Trained) -> None:
    """An application ten years after all of the training has the score of one in the training year
    with the same age, and is not marked."""
    then, now = (
        answer(trained, "2023-06-15", "2021-06-15"),
        answer(trained, "2033-06-15", "2031-06-15"),
    )
    assert isinstance(then, Scored)
    assert then == now
    assert now.extrapolated == ()


def test_an_age_beyond_the_training_is_marked_then_refused(trained: Trained) -> None:
    """An age up to one trained range beyond the trained ones counts as the nearest of them and is
    marked; one beyond that, or below 0, cannot be scored and is named."""
    oldest, older = (
        answer(trained, "2030-06-15", "2025-07-10"),
        answer(trained, "2030-06-15", "2022-06-15"),
    )
    assert isinstance(oldest, Scored)
    assert isinstance(older, Scored)
    assert (older.margin, older.extrapolated) == (oldest.margin, (OPENED,))
    for opened in ("2010-06-15", "2031-06-15"):
        refused = answer(trained, "2030-06-15", opened)
        assert refused == Unscorable("FEATURE_OUT_OF_RANGE", OPENED)


def test_an_earlier_build_does_not_read_such_a_model(trained: Trained) -> None:
    """A model with months between dates has a schema of its own, which builds that do not bound
    them refuse; a model without dates has the earlier schema."""
    assert trained.scorer.manifest.document["schema"] == manifest.LATER_SCHEMA
    plain = encoding.of_function(None, ())
    assert manifest.schema_of(plain, (), simulated=False) == manifest.SCHEMA


def test_a_row_alone_has_the_score_of_its_row_among_others(trained: Trained) -> None:
    """Marks and refusals by an age stay with their rows."""
    rows = [raw.tobytes() for raw in trained.data.raw[:40]]
    far = trained.data.raw[0].copy()
    far[list(trained.scorer.raw_names).index("opened")] -= 20_000.0
    rows.insert(7, far.tobytes())
    together = trained.scorer.score(rows)
    assert together == [trained.scorer.score([one])[0] for one in rows]
    assert isinstance(together[7], Unscorable)
    assert sum(isinstance(it, Scored) for it in together) == 40


def test_a_special_date_is_refused(tmp_path: Path) -> None:
    """A date that means no date is no special value of its column: the fault says where to write
    it."""
    text = drafted(tmp_path, file_of()).replace(
        'type = "date"', 'type = "date"\nspecial = [-62091]', 1
    )
    with pytest.raises(SpecError, match=r"special: is not allowed for a date: .* missing_tokens"):
        spec.parse(tomllib.loads(text), path=tmp_path / "spec.toml", sha256="")
