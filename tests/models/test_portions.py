"""LightGBM's data sets in portions."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import process_memory
from models import freed, learners, portions, recipes, samples, spec
from models.portions import Portions
from models.samples import State, domain_of, sample_of
from models.spec_model import Recipe
from tests.models.small_tables import tree

ROWS = 3_000


Floats = NDArray[np.float64]


def _table() -> tuple[Floats, NDArray[np.int8]]:
    """Numbers with blanks and zeros, a special value, a code, and a column that hardly varies."""
    generator = np.random.default_rng(4)
    raw = np.column_stack(
        [
            np.where(generator.random(ROWS) < 0.1, np.nan, generator.normal(size=ROWS)),
            np.where(generator.random(ROWS) < 0.4, 0.0, generator.normal(size=ROWS).round(1)),
            np.where(generator.random(ROWS) < 0.2, -9.0, generator.integers(0, 50, ROWS)),
            generator.integers(0, 12, ROWS).astype(np.float64),
            (np.arange(ROWS) < 50).astype(np.float64),
        ]
    )
    label = (generator.random(ROWS) < 0.2 + 0.1 * (raw[:, 3] > 5)).astype(np.int8)
    return raw, label


def _state(weight: Floats | None = None) -> State:
    raw, label = _table()
    features = tree(
        [
            {"name": "a", "type": "number", "missing": "nan"},
            {"name": "b", "type": "number"},
            {"name": "c", "type": "integer", "special": [-9]},
            {"name": "d", "type": "code"},
            {"name": "e", "type": "number"},
        ]
    )
    # A ratio to 0 has no value: such a row is left out.
    ratio = {"name": "ratio", "operation": "ratio", "of": ["c", "b"]}
    the_spec = spec.parse({**features, "derivation": [ratio]}, path=Path("t.toml"), sha256="")
    rows = np.arange(ROWS)
    return State(raw, label, the_spec, np.empty(0, dtype=np.int64), rows, weight=weight)


@pytest.mark.parametrize("recipe", [recipes.SHALLOW, recipes.PLAIN], ids=lambda it: it.name)
@pytest.mark.parametrize("weighted", [False, True])
def test_trees_are_those_of_the_whole_table(recipe: Recipe, weighted: bool) -> None:
    """A fit that gets its rows in portions gives the model's text of a fit on the whole table, to
    the bit, also where a column has too few values for a split, and with weights."""
    weight = np.random.default_rng(5).random(ROWS) + 0.5 if weighted else None
    state = _state(weight)
    recipe = recipes.fixed(recipe, 20)
    sample = sample_of(state, state.training, recipes.leaf(recipe, ROWS), orders=True)
    columns = sample.preparation.columns
    whole = lightgbm.train(
        recipes.parameters(recipe, columns, state.spec.seed, sample.rows.shape[0]),
        lightgbm.Dataset(
            sample.x(state.raw),
            label=state.label[sample.rows],
            weight=state.weight_of(sample.rows),
            feature_name=list(learners.names(sample.preparation)),
        ),
        recipe.trees,
    )
    text = learners.fit(state, sample, recipe).booster.model_to_string()
    assert text == whole.model_to_string()


@pytest.mark.parametrize(
    "recipe", [recipes.SCORECARD, recipes.SHALLOW, recipes.PLAIN], ids=lambda it: it.name
)
def test_tables_and_lightgbm_give_the_same_margins(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The margins of many rows, which tables compute where the trees are small, are those of
    LightGBM to the bit; a row that cannot be scored has none."""
    state = _state()
    trees = recipe if recipe.kind == "scorecard" else recipes.fixed(recipe, 30)
    sample = sample_of(state, state.training, recipes.leaf(recipe, ROWS))
    booster = learners.fit(state, sample, trees).booster
    seen = domain_of(state, sample, booster)
    raw = np.concatenate((state.raw, np.full((1, 5), 1e300)))
    by_lightgbm = learners.margins(booster, seen, raw)
    monkeypatch.setattr(learners, "_MANY_ROWS", 0)
    by_tables = learners.margins(booster, seen, raw)
    assert by_tables.tobytes() == by_lightgbm.tobytes()
    assert np.isnan(by_tables[-1])
    assert not np.isnan(by_tables[sample.rows]).any()


def test_a_scorecard_in_halves_is_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorecard of many rows, whose columns are derived in two halves, is that of all columns at
    once, to the bit."""
    state = _state()
    sample = sample_of(state, state.training, 20)
    whole = learners.fit(state, sample, recipes.SCORECARD)
    monkeypatch.setattr(freed, "MANY_ROWS", 0)
    halves = learners.fit(state, sample, recipes.SCORECARD)
    assert halves.booster.model_to_string() == whole.booster.model_to_string()
    assert halves.penalty == whole.penalty


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process")
def test_a_sparse_array_takes_the_memory_that_was_written() -> None:
    """Rows of which little is written take little memory, also where the system gives memory in
    pages of some megabytes."""
    rows, width = 1_000_000, 64
    before = process_memory.own_bytes()
    array = portions.sparse(np.float64, (width, rows))
    array[:, 0] = 1.0
    used = process_memory.own_bytes() - before
    assert used < array.nbytes / 8
    assert array[:, :2].tolist() == [[1.0, 0.0]] * width


def test_columns_without_a_use_have_no_bins() -> None:
    """All parameters of the fit decide the bins: a column that no leaf could be split by has none,
    as in LightGBM's own data set."""
    raw, label = _table()
    parameters = {"min_data_in_leaf": 100, "verbosity": -1, "num_threads": 1}
    names = tuple("abcde")
    ours = Portions(lambda: iter([raw]), raw.shape, label, None, names)
    bins = []
    for each in (ours, lightgbm.Dataset(raw, label=label, feature_name=list(names))):
        each._update_params(parameters)
        bins.append([each.construct().feature_num_bin(j) for j in range(raw.shape[1])])
    assert bins[0] == bins[1]
    assert bins[0][4] == 0


@pytest.mark.parametrize("kind", [recipes.PLAIN, recipes.SCORECARD], ids=lambda it: it.name)
def test_the_size_of_a_portion_decides_nothing(
    monkeypatch: pytest.MonkeyPatch, kind: Recipe
) -> None:
    """Rows that are derived seven at a time give the sample and the model of all at once."""
    state = _state()
    found = []
    for portion in (7, 100_000):
        monkeypatch.setattr(samples, "PORTION", portion)
        sample = sample_of(state, state.training, 20, orders=recipes.orders(kind))
        text = learners.fit(state, sample, recipes.fixed(kind, 10)).booster.model_to_string()
        found.append((sample.rows.tolist(), sample.lacking.tolist(), text))
    assert found[0] == found[1]
    assert len(found[0][0]) < ROWS
    assert any(found[0][1])


def test_the_columns_are_let_go_once_they_have_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of a fit's columns are freed before its trees grow, not when the collector of
    cycles comes by."""
    state = _state()
    sample = sample_of(state, state.training, 20)
    columns: list[weakref.ref[Floats]] = []
    read = Portions._columns

    def watched(self: Portions) -> tuple[list[Floats], list[NDArray[np.int32]]]:
        values, places = read(self)
        base = values[0].base
        assert isinstance(base, np.ndarray)
        columns.append(weakref.ref(base))
        return values, places

    monkeypatch.setattr(Portions, "_columns", watched)
    gc.disable()
    try:
        learners.fit(state, sample, recipes.PLAIN)
    finally:
        gc.enable()
    assert [it() for it in columns] == [None]
