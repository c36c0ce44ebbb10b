"""The preparation of raw columns, as one fit's rows decide it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import derivations, encoding, spec
from models.dataset import UNSEEN
from models.derivations import Derivation
from models.encoding import Preparation
from models.errors import DeriveError, SpecError
from models.samples import State, domain_of, sample_of
from models.scorer import Scored, Unscorable
from models.spec import HouseRules, Spec
from models.spec_columns import Derived
from tests.models import small_tables
from tests.models.small_tables import NULLABLE_B, A, B, fitted, row, table

NAN = math.nan
Floats = NDArray[np.float64]


def parsed(features: list[dict[str, Any]], **more: Any) -> Spec:
    return spec.parse({**small_tables.tree(features), **more}, path=Path("spec.toml"), sha256="")


def prepared(
    columns: dict[str, tuple[str, Floats]], label: NDArray[np.int8], **keys: Any
) -> tuple[Preparation, Floats]:
    features = [
        {"name": name, "type": kind, "missing": "nan", **keys.get(name, {})}
        for name, (kind, _) in columns.items()
    ]
    raw = np.column_stack([values for _, values in columns.values()])
    return encoding.fit(parsed(features), raw.T.__getitem__, label), raw


def names(preparation: Preparation) -> list[str]:
    return [c.name for c in preparation.columns]


def labels(rows: int) -> NDArray[np.int8]:
    label: NDArray[np.int8] = (np.arange(rows) % 3 == 0).astype(np.int8)
    return label


def test_a_level_is_kept_from_30_rows_and_half_a_percent() -> None:
    """A level with 30 rows, or with half a percent of the rows if that is more, has a column; the
    other levels share RARE."""
    values = np.repeat([1.0, 2.0, 3.0, NAN], [30, 29, 500, 10])
    assert encoding.levels(values, HouseRules()) == ((1.0, 3.0), 29)
    many = np.repeat([1.0, 2.0, 3.0], [99, 100, 19_801])
    assert encoding.levels(many, HouseRules()) == ((2.0, 3.0), 99)
    it, raw = prepared({"c": ("code", values)}, labels(569))
    assert names(it) == ["c=1", "c=3", "c=RARE"]
    assert it(raw)[[0, 30, 59, 559]].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    # A value that the fit has not seen counts as a rare one.
    assert it(np.array([[7.0]])).tolist() == [[0, 0, 1]]


def test_nine_levels_are_one_column_in_the_order_of_their_bad_rates() -> None:
    """Nine levels or more are ordered by (bad + 20 p) / (n + 20); rare levels together have a
    place."""
    values = np.repeat(np.arange(10.0), [100] * 9 + [10])
    bad = np.zeros(910, dtype=np.int8)
    for level in range(9):
        bad[level * 100 : level * 100 + (level * 7) % 9 * 5] = 1
    it, _ = prepared({"c": ("code", values)}, bad)
    assert names(it) == ["c"]
    p = bad.mean()
    rates = [(bad[values == v].sum() + 20 * p) / ((values == v).sum() + 20) for v in range(10)]
    expected = np.argsort(np.argsort(rates, kind="stable"), kind="stable")
    assert it(np.arange(10.0)[:, None])[:, 0].tolist() == expected.tolist()
    # 55 is unseen: it has the place of the rare levels.
    assert it(np.array([[55.0]]))[0, 0] == expected[9]
    assert it.rest == (float(expected[9]),)
    assert np.isnan(it(np.array([[NAN]]))).all()


def test_trees_have_a_categorys_levels_as_places_too() -> None:
    """With orders, a category of three levels or more also has the places of its levels by bad rate
    and by value, the rare ones last by value; one of two levels does not, and a number does not."""
    three = np.repeat([1.0, 2.0, 3.0, 7.0], [100, 100, 100, 10])
    bad = np.repeat([0, 1, 0, 1, 0, 1], [50, 50, 99, 1, 70, 40]).astype(np.int8)
    both = {"c": ("code", three), "two": ("code", three % 2), "b": ("number", three)}
    raw = np.column_stack([values for _, values in both.values()])
    features = [{"name": name, "type": kind} for name, (kind, _) in both.items()]
    it = encoding.fit(parsed(features), raw.T.__getitem__, bad, orders=True)
    assert names(it) == ["c=1", "c=2", "c=3", "c=RARE", "c=BY_RATE", "c=BY_VALUE",
                         "two=0", "two=1", "b"]  # fmt: skip
    # Bad are 50 of 100, 1 of 100, 30 of 100, and all 10 rare ones.
    assert it(raw)[[0, 100, 200, 300], 4].tolist() == [2, 0, 1, 3]
    assert it(raw)[[0, 100, 200, 300], 5].tolist() == [0, 1, 2, 3]
    assert it(np.array([[NAN, 0.0, 0.0], [55.0, 0.0, 0.0]]))[:, 4:6].tolist()[1] == [3, 3]
    assert np.isnan(it(np.array([[NAN, 0.0, 0.0]]))[0, 4:6]).all()
    assert names(encoding.fit(parsed(features), raw.T.__getitem__, bad))[:5] == [
        *names(it)[:4],
        "two=0",
    ]
    many = np.repeat(np.arange(9.0), 100)[:, None]
    nine = encoding.fit(
        parsed([{"name": "c", "type": "code"}]), many.T.__getitem__, labels(900), orders=True
    )
    assert names(nine) == ["c", "c=BY_VALUE"]
    assert nine(many)[:, 1].tolist() == many[:, 0].tolist()


def test_the_order_of_levels_follows_the_rows_of_the_fit_alone() -> None:
    """Other labels outside a fit do not change its columns; other labels inside do."""
    generator = np.random.default_rng(0)
    values = generator.integers(0, 12, 2_000).astype(np.float64)
    label = (generator.random(2_000) < 0.3).astype(np.int8)
    turned = np.where(np.arange(2_000) < 1_000, label, 1 - label).astype(np.int8)
    first = slice(0, 1_000)
    features = [{"name": "c", "type": "code"}]
    whole = [
        encoding.fit(parsed(features), values[None].__getitem__, y).document
        for y in (label, turned)
    ]
    inside = [
        encoding.fit(parsed(features), values[None, first].__getitem__, y[first]).document
        for y in (label, turned)
    ]
    assert inside[0] == inside[1]
    assert whole[0] != whole[1]


def test_a_fit_sees_the_labels_of_its_own_rows_alone() -> None:
    """A fit on some rows of a table has the same columns whatever the labels of the others are, so
    no order of levels has seen the fold that judges it."""
    generator = np.random.default_rng(0)
    raw = generator.integers(0, 12, (2_000, 1)).astype(np.float64)
    label = (generator.random(2_000) < 0.3).astype(np.int8)
    turned = np.where(np.arange(2_000) < 1_000, label, 1 - label).astype(np.int8)
    the_spec, rows = parsed([{"name": "c", "type": "code"}]), np.arange(1_000)
    found = [
        sample_of(State(raw, y, the_spec, np.empty(0, dtype=np.int64), rows), rows, 20)
        for y in (label, turned)
    ]
    assert found[0].preparation.document == found[1].preparation.document
    x, of_turned = (each.x(raw) for each in found)
    assert np.array_equal(x, of_turned)


@pytest.mark.parametrize("rare", [29, 30])
def test_an_unseen_text_is_scored_like_30_rare_rows(rare: int) -> None:
    """A text that the fit has not seen is scored like the rare ones if these are 30 rows or more;
    else it cannot be scored."""
    values = np.repeat([0.0, 1.0, 2.0, 3.0], [285, 300 - rare, rare - 15, 15])[:, None]
    the_spec = parsed([{"name": "job", "type": "text"}])
    levels = ("actor", "baker", "clerk", "diver")
    (job,) = the_spec.features
    the_spec = replace(the_spec, features=(replace(job, levels=levels),))
    rows = np.arange(values.shape[0])
    state = State(values, labels(rows.shape[0]), the_spec, np.empty(0, dtype=np.int64), rows)
    seen = domain_of(state, sample_of(state, rows, 20))
    refused = seen.admit(np.array([[0.0], [UNSEEN], [3.0]])).refused
    assert refused == ({} if rare == 30 else {1: ("UNSEEN_CATEGORY", "job")})


def test_a_special_value_is_no_amount() -> None:
    """A special value becomes NaN in its column and 1 in a column of its own from 50 rows; the
    others share OTHER_SPECIAL. A blank is none of them."""
    values = np.repeat([1.5, -9.0, -8.0, -7.0, NAN], [300, 50, 49, 1, 60])
    it, raw = prepared({"b": ("number", values)}, labels(460), b={"special": [-7, -8, -9]})
    assert names(it) == ["b", "b=-9", "b=OTHER_SPECIAL"]
    expected = [[1.5, 0, 0], [NAN, 1, 0], [NAN, 0, 1], [NAN, 0, 1], [NAN, 0, 0]]
    np.testing.assert_array_equal(it(raw)[[0, 300, 350, 399, 459]], expected)


def test_a_code_with_a_direction_is_an_amount() -> None:
    """A code that the spec declares monotone stays one column with its numbers."""
    values = np.repeat([1.0, 2.0, 3.0], 100)
    it, raw = prepared({"c": ("code", values)}, labels(300), c={"monotone": 1})
    assert it.columns == (Derived("c", 1, None),)
    assert it(raw).tobytes() == raw.tobytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_row_alone_has_the_bits_of_a_batch_also_after_the_manifest(
    seed: int, orders: bool
) -> None:
    """For random columns, each row alone, the whole batch, and the preparation that a manifest
    gives back have the same bits."""
    generator = np.random.default_rng(seed)
    rows = 400
    blank = generator.random((rows, 3)) < 0.2
    raw = np.column_stack(
        (
            np.round(generator.normal(size=rows), 1),
            generator.integers(0, generator.integers(2, 20), rows),
            generator.integers(-2, 3, rows),
        )
    ).astype(np.float64)
    raw[blank] = NAN
    raw[:, 0] *= generator.choice([-1.0, 1.0, 0.0], rows)
    features: list[dict[str, Any]] = [
        {"name": "a", "missing": "nan"},
        {"name": "b", "type": "code", "missing": "nan"},
        {"name": "c", "type": "integer", "missing": "nan", "special": [-1, -2]},
    ]
    declared = [
        {"name": "most", "operation": "max", "of": ["a", "c"]},
        {"name": "share", "operation": "ratio", "of": ["most", "c"]},
        {"name": "few", "operation": "level", "of": ["b"], "values": [0, 1]},
    ]
    the_spec = parsed(features, derivation=declared)
    it = encoding.fit(the_spec, raw.T.__getitem__, labels(rows), orders=orders)
    kept = json.loads(json.dumps(it.document))
    again = encoding.from_json(kept, the_spec.raw_names)
    together = it(raw)
    assert again(raw).tobytes() == together.tobytes()
    assert np.concatenate([it(r[None, :]) for r in raw]).tobytes() == together.tobytes()
    assert again.columns == it.columns
    assert not (np.signbit(together) & (together == 0)).any()


def derive(operation: str, *columns: list[float], **keys: Any) -> list[float]:
    full = {"low": -math.inf, "high": math.inf, "values": (), **keys}
    it = Derivation("d", operation, ("x",) * len(columns), monotone=0, reason_group=None, **full)
    assert derivations.from_json(json.loads(json.dumps(derivations.to_json(it)))) == it
    return [float(v) for v in derivations.compute(it, [np.array(c) for c in columns])]


def test_each_derivation_by_hand() -> None:
    """Each operation of the closed list gives the value that a person would compute."""
    assert derive("clip", [-5.0, 2.0, 9.0], low=0.0, high=5.0) == [0.0, 2.0, 5.0]
    assert derive("indicator", [1.0, 2.0, 3.0], low=2.0) == [0.0, 1.0, 1.0]
    assert derive("level", [1.0, 2.0, 3.0], values=(3.0, 1.0)) == [1.0, 0.0, 1.0]
    assert derive("min", [1.0, 5.0], [2.0, 4.0], [3.0, 6.0]) == [1.0, 4.0]
    assert derive("max", [1.0, 5.0], [2.0, 4.0], [3.0, 6.0]) == [3.0, 6.0]
    assert derive("sum", [1.0, 5.0], [2.0, 4.0], [3.0, 6.0]) == [6.0, 15.0]
    assert derive("difference", [1.0, 5.0], [2.0, 4.0]) == [-1.0, 1.0]
    ratio = derive("ratio", [1.0, 5.0, 0.0], [2.0, 0.0, 4.0])
    assert ratio[0] == 0.5
    assert math.isnan(ratio[1])
    assert ratio[2] == 0.0
    assert math.isnan(derive("sum", [NAN], [1.0])[0])
    assert math.isnan(derive("level", [NAN], values=(1.0,))[0])


def day(text: str) -> float:
    return float(np.datetime64(text, "D").astype(np.int64))


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2000-01-31", "2000-02-29", 0),
        ("2000-01-31", "2000-03-31", 2),
        ("1980-05-17", "2000-05-16", 239),
        ("1980-05-17", "2000-05-17", 240),
        ("2000-03-31", "2000-01-31", -2),
        ("2000-03-30", "2000-01-31", -1),
        ("1969-12-31", "1970-01-31", 1),
    ],
)
def test_months_between_counts_whole_months(start: str, end: str, months: int) -> None:
    """A month is complete on the same day of the month, and not before."""
    assert derive("months_between", [day(start), NAN], [day(end), 0.0])[0] == months


@pytest.mark.parametrize(
    ("derivation", "key"),
    [
        ({"operation": "power", "of": ["a"]}, "operation"),
        ({"operation": "ratio", "of": ["a"]}, "of"),
        ({"operation": "ratio", "of": ["a", "z"]}, "of"),
        ({"operation": "level", "of": ["a"], "values": [1]}, "of"),
        ({"operation": "months_between", "of": ["a", "b"]}, "of"),
        ({"operation": "clip", "of": ["a"], "low": 2, "high": 1}, "high"),
        ({"operation": "sum", "of": ["a", "b"], "low": 1, "high": 2}, "low"),
        ({"operation": "sum", "of": ["a", "b"], "values": [1]}, "values"),
        ({"name": "a", "operation": "sum", "of": ["a", "b"]}, "name"),
    ],
)
def test_a_wrong_derivation_is_refused_by_its_key(derivation: dict[str, Any], key: str) -> None:
    """A derivation that names an unknown operation or column, or a key that is not its own, is an
    error of the spec."""
    with pytest.raises(SpecError) as raised:
        parsed([A, B], derivation=[{"name": "d", **derivation}])
    assert raised.value.key == f"derivation[0].{key}"


def test_a_changed_preparation_is_refused() -> None:
    """A preparation that names an unknown column or operation cannot be used."""
    it, raw = prepared({"b": ("code", np.repeat([1.0, 2.0], 50))}, labels(100))
    assert it.document is not None
    with pytest.raises(DeriveError, match="no raw column"):
        encoding.from_json(it.document, ["other"])
    it.document["fitted"][0]["operation"] = "run"
    with pytest.raises(DeriveError, match="unknown"):
        encoding.from_json(it.document, ["b"])(raw)


# -- case 3: a special value means something else than an amount -------------------------------


@pytest.mark.parametrize("kind", ["trees", "scorecard"])
def test_case_3_a_special_value_has_the_pd_of_its_people(kind: str) -> None:
    """Where 120 of 600 rows are -9 and 15 % of them are bad, their mean PD is within 0.03 of that
    rate, although -9 is below all of b and the risk falls with b; the other values are as good as
    without them."""
    it = table()
    it.b[:] = 2.0 - it.b
    special = np.arange(600) % 5 == 0
    it.b[special] = -9.0
    it.y[special] = np.arange(120) % 20 < 3
    raw = np.column_stack((it.a, it.b))
    features: list[dict[str, Any]] = [A, {**B, "special": [-9], "monotone": -1}]
    recipe: dict[str, Any] = {"trees": 300, "colsample": 1.0}
    scorer = fitted(raw, it.y, features, kind=kind, **recipe)
    answers = scorer.score([row(*r) for r in raw])
    pd = np.array([a.pd for a in answers if isinstance(a, Scored)])
    assert pd.shape == (600,)
    assert pd[special].mean() == pytest.approx(0.15, abs=0.03)
    others = fitted(raw[~special], it.y[~special], features, kind=kind, **recipe)
    alone = np.array(
        [a.pd for a in others.score([row(*r) for r in raw[~special]]) if isinstance(a, Scored)]
    )
    assert np.abs(pd[~special] - alone).mean() < 0.03


def test_few_special_values_cannot_be_scored() -> None:
    """A special value that fewer than 50 rows have cannot be scored, because nobody knows how its
    people pay; with 50 blanks beside it, it is scored like them."""
    it = table()
    it.b[:49] = -9.0
    features: list[dict[str, Any]] = [A, {**NULLABLE_B, "special": [-9]}]
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, features)
    assert scorer.score([row(0.1, -9.0)]) == [Unscorable("UNSEEN_CODE", "b")]
    it.b[100:170] = NAN
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, features)
    assert isinstance(scorer.score([row(0.1, -9.0)])[0], Scored)
