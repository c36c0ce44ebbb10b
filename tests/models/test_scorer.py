from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import dataset, manifest, scorecard, tables
from models.data import taiwan
from models.errors import IncompatibleError
from models.explain import Explainer
from models.scorer import ModelScorer, Scored, Unscorable
from models.scratch import Memory


def changed(row: np.ndarray, position: int, value: float) -> bytes:
    copy = row.copy()
    copy[position] = value
    return copy.tobytes()


def test_raw_lightgbm_is_the_oracle(
    scorer: ModelScorer, small_directory: Path, shipped_data: dataset.Dataset
) -> None:
    """Served margins equal Booster.predict's on the derived columns exactly."""
    booster = lightgbm.Booster(model_file=str(small_directory / "model.txt"))
    raw = shipped_data.raw[:5_000]
    expected = np.asarray(booster.predict(taiwan.derive(raw), raw_score=True, num_threads=1))
    answers = scorer.score([row.tobytes() for row in raw])
    scored = np.array([isinstance(a, Scored) for a in answers])
    # 1,000 training rows do not have every code of the other rows.
    assert 4_800 < scored.sum() < 5_000
    margins = [a.margin for a in answers if isinstance(a, Scored)]
    assert np.array(margins).tobytes() == expected[scored].tobytes()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 29_999), min_size=1, max_size=64))
def test_a_row_alone_scores_as_in_a_batch(
    scorer: ModelScorer, shipped_data: dataset.Dataset, picked: list[int]
) -> None:
    """Other rows change neither a row's score nor any bit of its margin."""
    rows = [shipped_data.raw[i].tobytes() for i in picked]
    together = scorer.score(rows)
    assert together == [scorer.score([row])[0] for row in rows]


def test_batches_of_every_size_equal_single_rows(
    scorer: ModelScorer, small_directory: Path, shipped_data: dataset.Dataset
) -> None:
    """Alone and in batches of 1 to 70 a row has LightGBM's margin, the same score, and the same
    reasons."""
    booster = lightgbm.Booster(model_file=str(small_directory / "model.txt"))
    everyone = shipped_data.raw[:3_000]
    answers = scorer.score([row.tobytes() for row in everyone])
    raw = everyone[[isinstance(a, Scored) for a in answers]][: sum(range(71))]
    expected = np.asarray(booster.predict(taiwan.derive(raw), raw_score=True, num_threads=1))
    rows = [row.tobytes() for row in raw]
    alone = [scorer.score_with_reasons([row], 600)[0] for row in rows]
    margins = [row.margin for row, _ in alone if isinstance(row, Scored)]
    assert np.array(margins).tobytes() == expected.tobytes()
    assert 0.1 < np.mean([why != () for _, why in alone]) < 0.9
    start = 0
    for size in range(1, 71):
        batch = slice(start, start + size)
        assert scorer.score_with_reasons(rows[batch], 600) == alone[batch], size
        assert scorer.score(rows[batch]) == [row for row, _ in alone[batch]], size
        start += size


def test_the_score_follows_from_the_margin(
    scorer: ModelScorer, small_directory: Path, shipped_data: dataset.Dataset
) -> None:
    """Score, band and PD follow from the margin by the manifest's scale and Platt's line."""
    read = manifest.read(small_directory)
    answers = scorer.score([row.tobytes() for row in shipped_data.raw[:200]])
    assert sum(isinstance(answer, Scored) for answer in answers) > 190
    for answer in answers:
        if not isinstance(answer, Scored):
            continue
        x = read.platt.a * answer.margin + read.platt.b
        assert answer.pd == pytest.approx(1 / (1 + math.exp(-x)))
        assert answer.score == read.scale.score(answer.margin)
        assert answer.score == pytest.approx(600 + 50 * math.log2(math.exp(-x) / 4), abs=0.51)
        assert answer.band == scorecard.band(answer.score)


def test_a_margin_gives_the_score_of_its_row(
    scorer: ModelScorer, shipped_data: dataset.Dataset
) -> None:
    """A stored margin gives the same score as the row that it is of, and one that is no finite
    number gives none."""
    found = scorer.score([row.tobytes() for row in shipped_data.raw[:200]])
    scored = [it for it in found if isinstance(it, Scored)]
    assert len(scored) > 190
    for it in scored:
        assert scorer.scored(float.fromhex(it.margin.hex()), it.extrapolated) == it
    for margin in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            scorer.scored(margin, ())


def test_rows_that_cannot_be_scored_give_a_reason_and_affect_no_others(
    scorer: ModelScorer, shipped_data: dataset.Dataset
) -> None:
    """A missing, infinite, out-of-domain, fractional, unseen or malformed value gives its code and
    its column's name; a missing value is named before a wrong one."""
    row = shipped_data.raw[0]
    good = row.tobytes()
    missing = Unscorable("MISSING_FEATURE", "PAY_3")

    def wrong(name: str) -> Unscorable:
        return Unscorable("FEATURE_OUT_OF_RANGE", name)

    both = np.frombuffer(changed(row, 0, math.inf))
    cases = [
        (good, None),
        (changed(row, 3, math.nan), missing),
        (changed(row, 0, math.inf), wrong("LIMIT_BAL")),
        (changed(both, 3, math.nan), missing),
        (b"", Unscorable("MALFORMED_FEATURES")),
        (changed(row, 18, -1.0), wrong("PAY_AMT6")),
        (changed(row, 1, 0.5), wrong("PAY_0")),
        (changed(row, 1, 10.0), wrong("PAY_0")),
        (changed(row, 1, 9.0), Unscorable("UNSEEN_CODE", "PAY_0")),
        (good[:-8], Unscorable("MALFORMED_FEATURES")),
        (changed(row, 7, -math.inf), wrong("BILL_AMT1")),
        (changed(row, 0, 0.0), wrong("LIMIT_BAL")),
        (good, None),
    ]
    answers = scorer.score([c[0] for c in cases])
    alone = scorer.score([good])[0]
    for (_, expected), answer in zip(cases, answers, strict=True):
        assert answer == (alone if expected is None else expected)
    assert scorer.score([]) == []
    assert scorer.score([b"x", changed(row, 3, math.nan)])[1] == missing


def test_scorer_names_its_model(scorer: ModelScorer, small_directory: Path) -> None:
    """Model id, scale version, outcome and raw names are the manifest's."""
    read = manifest.read(small_directory)
    assert scorer.model_id == read.model_id
    assert scorer.scale_version == scorecard.VERSION
    assert scorer.outcome == "card_default_next_month"
    assert scorer.raw_names == read.raw_names
    assert scorer.raw_names[0] == "LIMIT_BAL"


def test_fitted_model_respects_the_monotone_signs(
    scorer: ModelScorer, small_directory: Path, shipped_data: dataset.Dataset
) -> None:
    """A change of one constrained derived column never moves the margin against its sign."""
    read = manifest.read(small_directory)
    booster = lightgbm.Booster(model_str=read.model_text)
    x = taiwan.derive(shipped_data.raw[:60])
    constrained = [(j, d.monotone) for j, d in enumerate(read.derived) if d.monotone]
    assert len(constrained) >= 20
    for j, sign in constrained:
        grid = np.unique(np.quantile(taiwan.derive(shipped_data.raw)[:, j], np.linspace(0, 1, 9)))
        swept = np.repeat(x, grid.shape[0], axis=0)
        swept[:, j] = np.tile(grid, x.shape[0])
        margin = np.asarray(booster.predict(swept, raw_score=True)).reshape(x.shape[0], -1)
        assert (sign * np.diff(margin, axis=1) >= -1e-12).all()


@pytest.mark.parametrize("leaves", [2, 5, 8])
def test_tables_equal_lightgbm_on_any_shallow_trees(leaves: int) -> None:
    """Look-up tables give LightGBM's exact margins for trees of up to seven splits, of any
    shape."""
    generator = np.random.default_rng(leaves)
    x = np.round(generator.normal(size=(3_000, 5)), 1)
    y = (x[:, 0] * x[:, 1] + generator.normal(size=3_000) > 0).astype(int)
    parameters = {"objective": "binary", "num_leaves": leaves, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), 40)
    trees = tables.parse(booster.model_to_string())
    memory = Memory()
    patterns, margins = tables.Patterns(trees, memory), tables.Margins(trees, memory)
    expected = np.asarray(booster.predict(x, raw_score=True))
    for rows in (*range(1, 71), 3_000):
        margin = margins.margin(patterns.index(x[-rows:]))[:rows]
        assert margin.tobytes() == expected[-rows:].tobytes(), rows


def test_a_row_alone_has_the_margin_that_it_has_in_a_batch() -> None:
    """A row alone has LightGBM's exact margin, with missing, infinite and boundary values too."""
    generator = np.random.default_rng(7)
    x = np.round(generator.normal(size=(2_000, 4)), 1)
    x[::7, 1] = np.nan
    y = (x[:, 0] + generator.normal(size=2_000) > 0).astype(int)
    parameters = {"objective": "binary", "num_leaves": 8, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), 30)
    trees = tables.parse(booster.model_to_string())
    asked = x[:300].copy()
    asked[::5, 0], asked[1::5, 2], asked[2::5, 3] = np.inf, -np.inf, -0.0
    asked[3, 0], asked[3, 2] = np.inf, -np.inf
    for place, feature in enumerate((0, 1, 2, 3)):
        limits = [
            v for it in trees for f, v in zip(it.feature, it.threshold, strict=True) if f == feature
        ]
        asked[4 + place, feature] = limits[0]
    memory = Memory()
    patterns, margins = tables.Patterns(trees, memory), tables.Margins(trees, memory)
    expected = np.asarray(booster.predict(asked, raw_score=True))
    for place, row in enumerate(asked):
        alone = margins.margin(patterns.index(row[None, :]))[:1]
        assert alone.tobytes() == expected[place : place + 1].tobytes(), row


def edges(trees: list[tables.Tree]) -> list[float]:
    """Values at which a comparison of the trees could go wrong, and values that no row has."""
    limits = {limit for tree in trees for limit in tree.threshold}
    near = {math.nextafter(it, to) for it in limits for to in (-math.inf, math.inf)}
    zeros = {0.0, -0.0, tables.ZERO, -tables.ZERO, math.nextafter(tables.ZERO, 1.0), 5e-324}
    return [*sorted(limits | near | zeros), -1e308, 1e308, -math.inf, math.inf, math.nan]


@pytest.fixture(scope="module", params=["served", "with missing values"])
def judged(request: pytest.FixtureRequest, small_directory: Path) -> lightgbm.Booster:
    """A trained model without, and one with missing values in its training."""
    if request.param == "served":
        return lightgbm.Booster(model_file=str(small_directory / "model.txt"))
    generator = np.random.default_rng(3)
    x = np.round(generator.normal(size=(3_000, 6)), 1)
    x[generator.random(x.shape) < 0.2] = np.nan
    odds = np.nan_to_num(x[:, 0], nan=2.0) - np.nan_to_num(x[:, 1], nan=-2.0)
    y = (odds + generator.normal(size=3_000) > 0).astype(int)
    parameters = {"objective": "binary", "num_leaves": 8, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), 60)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_values_have_the_bits_of_lightgbm(
    judged: lightgbm.Booster, data: st.DataObject
) -> None:
    """Rows of any values, also missing, infinite, unseen and at the edge of a comparison, have the
    margins of Booster.predict to the last bit, alone and in a batch."""
    trees = tables.parse(judged.model_to_string())
    values = st.one_of(st.sampled_from(edges(trees)), st.floats(width=64), st.integers(-9, 9))
    width = judged.num_feature()
    row = st.lists(values, min_size=width, max_size=width)
    x = np.array(data.draw(st.lists(row, min_size=2, max_size=6)), dtype=np.float64)
    expected = np.asarray(judged.predict(x, raw_score=True, num_threads=1)).tobytes()
    memory = Memory()
    patterns, margins = tables.Patterns(trees, memory), tables.Margins(trees, memory)
    together = margins.margin(patterns.index(x))[: x.shape[0]]
    alone = [margins.margin(patterns.index(it)) for it in np.split(x, x.shape[0])]
    assert together.tobytes() == expected
    assert np.concatenate(alone).tobytes() == expected


def test_a_batch_uses_the_memory_of_the_batch_before(
    small_directory: Path, shipped_data: dataset.Dataset
) -> None:
    """Margins and reasons of 64 rows take less than 100 kB of new memory, and no result changes
    with the batches before and after it."""
    read = manifest.read(small_directory)
    trees = tables.parse(read.model_text)
    memory = Memory()
    patterns, margins = tables.Patterns(trees, memory), tables.Margins(trees, memory)
    explainer = Explainer(trees, [d.reason_group for d in read.derived], memory)
    x = taiwan.derive(shipped_data.raw[:64])

    def scored(rows: int) -> list[NDArray[np.float64]]:
        index = patterns.index(x[:rows])
        return [margins.margin(index)[:rows], explainer.contributions(index)[:rows]]

    few, many = scored(8), scored(64)
    first = [it.tobytes() for it in few + many]
    tracemalloc.start()
    again = scored(64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert [it.tobytes() for it in few + many] == first
    assert [it.tobytes() for it in scored(8) + again] == first


@pytest.mark.parametrize("trees", [1, 2, 9, 500])
def test_trees_are_added_in_their_order(trees: int) -> None:
    """For any number of columns, trees are added from the first to the last."""
    generator = np.random.default_rng(trees)
    wide = generator.normal(size=(trees, 512)) * 10.0 ** generator.integers(-8, 8, (trees, 512))
    expected = []
    for column in wide.T.tolist():
        total = 0.0
        for value in column:
            total += value
        expected.append(total)
    for columns in (*range(1, 71), 448, 512):
        values = np.ascontiguousarray(wide[:, :columns])
        assert tables.sum_trees(-values).tolist() == expected[:columns], columns


def test_deep_trees_do_not_fit_and_unknown_splits_are_refused() -> None:
    """Trees of more than seven splits do not fit into tables. Splits that treat zero as missing and
    categorical splits are refused, because no model here has such splits."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2_000, 3))
    x[:, 2] = generator.integers(0, 9, 2_000)
    y = (x.sum(axis=1) > 2).astype(int)
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    deep = lightgbm.train({**parameters, "num_leaves": 31}, lightgbm.Dataset(x, y), 3)
    assert not tables.hold(tables.parse(deep.model_to_string()))
    small = {**parameters, "num_leaves": 4}
    x[::3, 0] = 0.0
    zero = lightgbm.train({**small, "zero_as_missing": True}, lightgbm.Dataset(x, y), 3)
    with pytest.raises(IncompatibleError, match="zero"):
        tables.parse(zero.model_to_string())
    data = lightgbm.Dataset(x, y, categorical_feature=[2])
    with pytest.raises(IncompatibleError, match="categorical"):
        tables.parse(lightgbm.train(small, data, 3).model_to_string())
