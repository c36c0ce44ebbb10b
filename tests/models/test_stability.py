"""The stability index, and the reference that a training writes for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import budget, manifest, recipes, reference, spec, stability, train
from models.errors import SpecError, TamperedError
from models.monitored import OTHERS, Column, Columns
from models.scorer import ModelScorer, Scored
from models.spec_columns import MISSING_TOKENS
from models.spec_monitoring import HOUSE, from_json
from models.stability import Bin, Drift, Watch
from tests.models.small_tables import A, B, spec_of, table, trained_without_recipe, tree
from tests.models.watched_table import LEVELS, TAIL
from tests.shell import forked_workers


def columns_of(scorer: ModelScorer) -> Columns:
    return Columns(scorer.manifest.document, scorer.manifest.raw, scorer.domain)


def drift_of(scorer: ModelScorer, rows: list[list[float]], *unsent: tuple[int, int]) -> list[Drift]:
    """The drift of people with these raw values, of which some were not sent."""
    raw, missing = np.array(rows), np.zeros((len(rows), len(rows[0])), dtype=np.bool_)
    for i, j in unsent:
        missing[i, j] = True
    results = scorer.score([row.tobytes() for row in raw])
    score = np.array([it.score if isinstance(it, Scored) else np.nan for it in results])
    watch = Watch(columns_of(scorer))
    watch.add(raw[:1], missing[:1], score[:1])
    watch.add(raw[1:], missing[1:], score[1:])
    assert watch.people == len(rows)
    return watch.drift(HOUSE)


def others(scorer: ModelScorer, rows: list[list[float]], *unsent: tuple[int, int]) -> Any:
    """For each column, the people in its bins of special meaning."""
    raw, missing = np.array(rows), np.zeros((len(rows), len(rows[0])), dtype=np.bool_)
    for i, j in unsent:
        missing[i, j] = True
    columns = columns_of(scorer)
    found = {}
    for column, places in zip(columns.columns, columns.places(raw, missing), strict=True):
        counts = column.count(places)[column.ordinary :].tolist()
        names = (*OTHERS, *(f"special {v:g}" for v in column.special))
        found[column.name] = {n: c for n, c in zip(names, counts, strict=True) if c}
    return found


def test_the_index_of_a_table_by_hand() -> None:
    """Half a person is added to each bin: of 30 and 70 now against 50 and 50, the shares are
    30.5/101, 70.5/101 and 50.5/101, and the index is 0.1659."""
    found = stability.index(np.array([30, 70]), np.array([50, 50]))
    assert found == pytest.approx(0.165_918, abs=1e-6)


def test_critical_values_are_those_of_chi_squared() -> None:
    """The critical value is the quantile of chi-squared, with one degree of freedom less than bins,
    times 1/N + 1/M; several columns share the significance."""
    assert stability.critical(2, 2, 2, 0.01) == pytest.approx(6.634_897, abs=1e-6)
    assert stability.critical(2, 2, 10, 0.01) == pytest.approx(21.665_994, abs=1e-6)
    assert stability.critical(2, 2, 10, 0.01, 10) == pytest.approx(27.877_165, abs=1e-6)
    assert stability.critical(400, 100, 10, 0.01) == pytest.approx(21.665_994 / 80, abs=1e-6)
    assert stability.critical(400, 100, 1, 0.01) == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12),
)
def test_the_index_is_never_negative(counts: list[tuple[int, int]]) -> None:
    """The index is 0 for equal counts, and never below."""
    these, those = np.array(counts).T
    assert stability.index(these, those) >= 0.0
    assert stability.index(these, these) == 0.0


def test_chance_alone_rarely_exceeds_the_critical_value() -> None:
    """Of samples of the reference's own distribution, about one in a hundred is beyond the critical
    value."""
    chance = np.random.default_rng(3)
    shares = np.full(10, 0.1)
    least = stability.critical(1_000, 4_000, 10, 0.01)
    beyond = [
        stability.index(chance.multinomial(1_000, shares), chance.multinomial(4_000, shares))
        > least
        for _ in range(4_000)
    ]
    assert 0.005 < np.mean(beyond) < 0.016


def numbers(*counts: int) -> Column:
    """A column with ordinary bins of these people, cut at 1, 2, 3 and so on."""
    edges = tuple(float(i) for i in range(1, len(counts)))
    return Column("a", edges, None, (), (*counts, *[0] * len(OTHERS)))


def compared(column: Column, *people: int) -> Drift:
    """The drift of so many people in the ordinary bins."""
    counts = np.array([*people, *[0] * (column.size - len(people))])
    return stability._drift(column, counts, None, HOUSE, 1)


def test_bins_with_few_expected_people_are_merged() -> None:
    """An ordinary bin with fewer than 5 expected people is merged with the next, the last with the
    one before; a bin that is empty now and then is left out."""
    found = compared(numbers(100, 1, 1, 97, 1), 100, 1, 1, 97, 1)
    assert found.bins == (Bin("to 1", 100, 100), Bin("above 1", 100, 100))
    assert (found.psi, found.light) == (0.0, "green")


def test_levels_with_few_expected_people_count_as_rare() -> None:
    """A level with fewer than 5 expected people is merged with the rare ones."""
    column = Column("c", (), (0.0, 1.0), (), (196, 1, 0, 3, 0, 0))
    found = compared(column, 190, 7, 0, 3)
    assert found.bins == (Bin("0", 196, 190), Bin("rare or unseen", 4, 10))


def test_lights() -> None:
    """An index from 0.10 on is amber and from 0.25 on red, if chance does not explain it; of fewer
    than 200 people nothing is said."""
    people = numbers(5_000, 5_000)
    assert compared(people, 500, 500).light == "green"
    assert compared(people, 600, 400).light == "green"
    amber = compared(people, 660, 340)
    assert (amber.light, amber.review) == ("amber", HOUSE.amber_review)
    red = compared(people, 750, 250)
    assert (red.light, red.review) == ("red", HOUSE.red_review)
    assert compared(people, 199, 0).light == "too few"
    # With 100 people in the reference, chance explains as much.
    assert compared(numbers(*[10] * 10), *[50, 50], *[20] * 8).light == "green"
    assert compared(numbers(*[100] * 10), *[50, 50], *[20] * 8).light == "amber"


def test_the_training_rows_do_not_drift(watched: Path) -> None:
    """People like those of the training are in the reference's bins: every column has index 0, and
    the score's light is green."""
    scorer = ModelScorer.load(watched)
    found = drift_of(scorer, np.load(watched / "rows.npy").tolist())
    assert found[0].name == "score"
    assert {it.name for it in found[1:]} == {"job", "months", "income", "age"}
    assert {it.light for it in found} == {"green"}
    assert [it.psi for it in found[1:]] == [0.0] * 4
    assert sum(b.reference for b in found[0].bins) == sum(b.reference for b in found[1].bins)


def test_each_kind_of_value_has_its_bin(watched: Path) -> None:
    """Missing, special, rare, unseen, extrapolated, refused and unsent values are counted apart;
    dates that go on are counted as the months between them."""
    scorer = ModelScorer.load(watched)
    assert scorer.raw_names == ("job", "months", "income", "born", "asked")
    usual = [0.0, 5.0, 3_000.0, 1_000.0, 11_000.0]
    rows = [
        usual,
        [LEVELS.index(TAIL), -9.0, np.nan, 1_000.0, 11_000.0],
        [-1.0, 160.0, 1e9, -60_000.0, 11_000.0],
        [np.nan, 1e6, 3_000.0, np.nan, 11_000.0],
        usual,
    ]
    found = others(scorer, rows, (4, 0), (4, 3))
    assert found == {
        "job": {"rare or unseen": 2, "missing": 1, "cannot be scored": 1},
        "months": {"special -9": 1, "extrapolated": 1, "cannot be scored": 1},
        "income": {"missing": 1, "cannot be scored": 1},
        "age": {"missing": 1, "cannot be scored": 2},
    }


def test_the_reference_counts_every_training_row(watched: Path) -> None:
    """The manifest has every training row in a bin of each column, rows without a score included,
    and a score out of fold of each."""
    document = manifest.read(watched).document["monitoring"]
    rows = np.load(watched / "rows.npy").shape[0]
    for column in (document["score"], *document["columns"]):
        assert sum(column["counts"]) == rows
    assert from_json(document["rules"]) == HOUSE
    scored = document["score"]["counts"]
    assert max(scored[:10]) < 0.2 * rows


def test_a_model_of_an_earlier_build_has_no_reference_of_scores() -> None:
    """The histograms of an earlier build serve as the reference of its columns."""
    scorer = ModelScorer.load(Path(__file__).parent / "schema_2")
    columns = columns_of(scorer)
    assert columns.score is None
    histograms = {it["name"]: it for it in scorer.manifest.document["reference"]}
    assert [c.name for c in columns.columns] == list(histograms)
    for column in columns.columns:
        assert sum(column.counts) == histograms[column.name]["n"]
    row = list(scorer.manifest.golden[0].raw)
    assert [it.light for it in drift_of(scorer, [row, row])] == ["too few"] * len(row)


def test_a_model_of_an_earlier_build_is_made_again(scorecard_folder: Path, tmp_path: Path) -> None:
    """A model whose manifest has no reference for drift comes out of its sample with its own id."""
    folder = Path(shutil.copytree(scorecard_folder / "model", tmp_path / "model"))
    document = json.loads((folder / "manifest.json").read_text())
    del document["monitoring"]
    document["model_id"] = manifest.model_id(document)
    (folder / "manifest.json").write_text(json.dumps(document))
    with forked_workers():
        assert train.rebuild(folder, progress=False, jobs=1) == document["model_id"]


def test_a_model_that_another_plan_made_is_made_again(tmp_path: Path) -> None:
    """A rebuild follows the plan in the figures of the model, and not this build's for the budget;
    so it makes a model of an earlier build again, whose plan did not name the repeats."""
    planned = budget.course

    def earlier(*args: Any) -> budget.Course:
        course = planned(*args)
        plan = course.plan._replace(candidates=recipes.LADDER[:2], repeats=None)
        return course._replace(plan=plan, seconds=1.5, refits=2)

    it = table(300)
    y = (np.random.default_rng(1).random(300) < 1 / (1 + np.exp(-4 * it.a * it.b))).astype(np.int8)
    with mock.patch.object(budget, "course", earlier):
        made = trained_without_recipe(tmp_path, it._replace(y=y), [A, B], 1.0)
    assert "repeats" not in made.metrics["choice"]
    assert made.metrics["choice"]["planned_seconds"] == 1.5
    with forked_workers():
        again = train.rebuild(tmp_path / "model", progress=False, jobs=1)
    assert again == made.scorer.manifest.model_id


def test_other_figures_of_another_build_are_named(scorecard_folder: Path, tmp_path: Path) -> None:
    """If only figures differ, which another build computed otherwise, the rebuild says so and names
    them; if a part of the model differs, it names that part."""
    folder = Path(shutil.copytree(scorecard_folder / "model", tmp_path / "model"))
    document = json.loads((folder / "manifest.json").read_text())
    figures = json.loads((folder / "metrics.json").read_text())
    figures["model"]["of_old"] = None
    figures["bad"] += 1
    document["metrics_sha256"] = manifest.metrics_sha256(figures)
    (folder / "metrics.json").write_text(json.dumps(figures))
    for part, said in (
        ({}, "gives this model, to the bit, with other figures: bad, model.of_old; another build"),
        ({"numpy": "1.0"}, "these parts differ: metrics_sha256, versions.numpy; a model"),
    ):
        document["versions"] |= part
        document["model_id"] = manifest.model_id(document)
        (folder / "manifest.json").write_text(json.dumps(document))
        with forked_workers(), pytest.raises(TamperedError, match=said):
            train.rebuild(folder, progress=False, jobs=1)


def test_a_model_without_missing_texts_is_made_again(watched: Path, tmp_path: Path) -> None:
    """A model of an earlier build, whose manifest has no missing tokens of texts, comes out of its
    sample with its own id; an earlier build does not read one that has them."""
    folder = Path(shutil.copytree(watched, tmp_path / "model"))
    document = json.loads((folder / "manifest.json").read_text())
    assert document["schema"] == manifest.TOKENS_SCHEMA
    assert document["raw"][0]["missing_tokens"] == list(MISSING_TOKENS)
    del document["raw"][0]["missing_tokens"]
    document["schema"] = manifest.LATER_SCHEMA
    document["model_id"] = manifest.model_id(document)
    (folder / "manifest.json").write_text(json.dumps(document))
    assert ModelScorer.load(folder).levels["job"].keys() == {*LEVELS}
    with forked_workers():
        assert train.rebuild(folder, progress=False, jobs=1) == document["model_id"]


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"amber": 0.3}, "monitoring.red"),
        ({"red": -1.0}, "monitoring.red"),
        ({"significance": 0.0}, "monitoring.significance"),
        ({"fewest_people": 0}, "monitoring.fewest_people"),
        ({"red_review": ""}, "monitoring.red_review"),
        ({"psi": 0.1}, "monitoring.psi"),
    ],
)
def test_wrong_thresholds_are_refused_by_their_key(changed: dict[str, Any], key: str) -> None:
    """A threshold outside its bounds, or a red one below amber, is an error of the spec."""
    with pytest.raises(SpecError) as raised:
        spec.parse({**tree([A, B]), "monitoring": changed}, path=Path("spec.toml"), sha256="")
    assert key in str(raised.value)
    assert spec_of([A, B]).monitoring == HOUSE


def test_bins_of_equal_mass() -> None:
    """Ten bins hold a tenth of the values each; values that are equal share one."""
    values = table().a
    column = Column("a", reference.equal_mass(values), None, (), ())
    counts = column.count(column.places(values, np.zeros(values.shape, dtype=np.int8)))
    assert counts[:10].sum() == values.shape[0]
    assert counts[:10].min() > 0.07 * values.shape[0]
    assert reference.equal_mass(np.array([1.0] * 9 + [2.0])) == (1.0,)
    assert reference.equal_mass(np.array([])) == ()
