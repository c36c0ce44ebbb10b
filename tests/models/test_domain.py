"""The rows that a model answers for, shown on small tables."""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from models import coverage, domain, encoding, report, spec, tables
from models.errors import DatasetError, TrainingError
from models.samples import State, domain_of, sample_of
from models.scorer import ModelScorer, Scored, Unscorable
from models.spec import HouseRules
from models.spec_columns import Derived
from tests.models import small_tables
from tests.models.small_tables import NULLABLE_B, A, B, Trained, fitted, row, table, trained

NAN = math.nan
SCHEMA_1 = Path(__file__).parent / "schema_1"


def verdict(scorer: ModelScorer, *values: float) -> Scored | Unscorable:
    return scorer.score([row(*values)])[0]


def margin(scorer: ModelScorer, *values: float) -> float:
    answer = verdict(scorer, *values)
    assert isinstance(answer, Scored)
    return answer.margin


def reasons(scorer: ModelScorer, *values: float) -> tuple[str, ...]:
    return scorer.score_with_reasons([row(*values)], 951)[0][1]


def with_blanks(rows: Any) -> small_tables.Table:
    it = table()
    it.b[rows] = NAN
    return it


# -- M1: a missing value must never get the best score ----------------------------------------


def test_m1_case_1_blanks_only_in_the_late_rows_cannot_be_scored(tmp_path: Path) -> None:
    """M1: when all blanks lie in the out-of-time part, a row without b is refused, and the reason
    names b."""
    late = np.arange(600) >= 450
    it = trained(tmp_path, with_blanks(slice(560, 600)), [A, NULLABLE_B], late=late)
    assert verdict(it.scorer, 0.1, NAN) == Unscorable("MISSING_FEATURE", "b")
    assert it.metrics["holdout"]["unscorable"] == 40
    assert it.metrics["holdout"]["n"] == 110
    assert any("b: of 150 hold-out rows, 40 lack a value" in w for w in it.metrics["warnings"])


def test_m1_case_1_one_blank_of_600_cannot_be_scored(tmp_path: Path) -> None:
    """M1: a single blank is left out of the fit, reported as a warning, and refused with its
    column's name."""
    it = trained(tmp_path, with_blanks(7), [A, NULLABLE_B])
    assert verdict(it.scorer, 0.1, NAN) == Unscorable("MISSING_FEATURE", "b")
    assert isinstance(verdict(it.scorer, 0.1, 0.0), Scored)
    assert it.metrics["model"]["unscorable"]["by_seed"] == [1]
    beginning = "b: 1 training rows lack a value, too few"
    assert any(warning.startswith(beginning) for warning in it.metrics["warnings"])


@pytest.mark.parametrize("blanks", [120, 60, 50])
def test_m1_case_1_enough_blanks_score_as_lightgbm_does(blanks: int) -> None:
    """M1: with 50 blanks or more, good and bad, the margin of a blank equals LightGBM's exactly."""
    it = with_blanks(slice(0, blanks))
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, [A, NULLABLE_B])
    booster = lightgbm.Booster(model_str=scorer.manifest.model_text)
    for a in (-1.5, 0.1, 2.0):
        expected = booster.predict([[a, NAN]], raw_score=True)[0]
        assert margin(scorer, a, NAN) == expected
        worst, best = margin(scorer, a, 2.0), margin(scorer, a, 0.0)
        assert best < margin(scorer, a, NAN) < worst


@pytest.mark.parametrize(
    ("rows", "bad", "leaf", "allowed"),
    [(50, 5, 20, True), (49, 20, 20, False), (50, 4, 20, False), (50, 46, 20, False),
     (50, 45, 20, True), (99, 50, 100, False), (100, 50, 100, True)],
)  # fmt: skip
def test_m1_a_blank_counts_from_50_rows_5_bad_5_good_and_one_leaf(
    rows: int, bad: int, leaf: int, allowed: bool
) -> None:
    """M1: a value may be missing if enough training rows lack it: at least 50, at least as many as
    the smallest leaf has, and among them 5 bad and 5 good rows. Other rows with a blank are left
    out of the fit."""
    raw = np.ones((400, 1))
    raw[:rows] = NAN
    label = np.zeros(400, dtype=np.int8)
    label[:bad] = label[rows : rows + 40] = 1
    the_spec = spec.parse(small_tables.tree([NULLABLE_B]), path=Path("s"), sha256="")
    learned = domain.learn(the_spec.inputs, raw.T.__getitem__, label, HouseRules(), leaf)
    assert learned.trained[0].nullable is allowed
    assert int(learned.kept.sum()) == (400 if allowed else 400 - rows)
    assert (learned.trained[0].missing, learned.trained[0].missing_bad) == (rows, bad)


def test_m1_rows_left_out_for_one_blank_do_not_count_for_another() -> None:
    """M1: a column may not be missing if it has enough blanks only together with rows that are left
    out."""
    raw = np.ones((600, 2))
    raw[:60, 0] = NAN
    raw[:20, 1] = NAN
    label = (np.arange(600) % 2).astype(np.int8)
    both = [{**A, "missing": "nan"}, NULLABLE_B]
    the_spec = spec.parse(small_tables.tree(both), path=Path("s"), sha256="")
    learned = domain.learn(the_spec.inputs, raw.T.__getitem__, label, HouseRules(), 20)
    assert [t.nullable for t in learned.trained] == [False, False]
    assert int(learned.kept.sum()) == 540


def test_m1_a_fit_needs_good_and_bad_rows_without_rare_blanks() -> None:
    """M1: when every bad row has a rare blank, no model can be fitted, and the error says so."""
    raw = np.ones((400, 1))
    raw[:30] = NAN
    label = (np.arange(400) < 30).astype(np.int8)
    the_spec = spec.parse(small_tables.tree([NULLABLE_B]), path=Path("s"), sha256="")
    with pytest.raises(DatasetError, match=r"lack a value of b \(30\)"):
        domain.learn(the_spec.inputs, raw.T.__getitem__, label, HouseRules(), 20)


def test_m1_a_split_without_a_direction_for_blanks_forbids_them() -> None:
    """M1: a column may not be missing if any split on it in the model's text has no direction for
    NaN, however many training rows lacked it."""
    it = table()
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, [A, B])
    blind = tables.blind_columns(tables.parse(scorer.manifest.model_text))
    assert blind == {0, 1}
    allowed = [replace(t, nullable=True) for t in scorer.manifest.trained]
    rows = np.array([[NAN, 1.0], [0.1, NAN], [0.1, 1.0]])

    plain = scorer.manifest.preparation()

    def refused(blind: frozenset[int]) -> dict[int, domain.Refusal]:
        features = scorer.manifest.raw
        seen = domain.Domain(features, allowed, plain, blind)
        return seen.admit(rows).refused

    lacks_a, lacks_b = (domain.Refusal("MISSING_FEATURE", name) for name in "ab")
    assert refused(blind) == {0: lacks_a, 1: lacks_b}
    assert refused(frozenset({0})) == {0: lacks_a}
    assert refused(frozenset()) == {}


def test_m1_few_blanks_in_a_large_table_are_seen() -> None:
    """M1: LightGBM looks for missing values in every row, not in a sample of 200,000 rows."""
    generator = np.random.default_rng(3)
    raw = generator.normal(size=(260_000, 2))
    label = (generator.random(260_000) < 1.0 / (1.0 + np.exp(-raw.sum(axis=1)))).astype(np.int8)
    raw[:60, 1] = NAN
    scorer = fitted(raw, label, [A, NULLABLE_B], trees=3)
    assert isinstance(verdict(scorer, 0.1, NAN), Scored)


def test_m1_a_model_directory_of_schema_1_is_served_and_refuses_the_blank() -> None:
    """M1: a directory of an earlier build loads and gives the same scores, but no longer gives a
    blank the best score."""
    scorer = ModelScorer.load(SCHEMA_1)
    best, worst = verdict(scorer, 0.1, 0.0), verdict(scorer, 0.1, 2.0)
    assert isinstance(best, Scored)
    assert isinstance(worst, Scored)
    assert (best.margin, best.score) == (-0.9250059995314671, 602)
    assert (worst.margin, worst.score) == (-0.6525429666781076, 456)
    assert reasons(scorer, 0.1, 2.0) == ("B", "A")
    # The build that wrote it answered 602 here.
    assert verdict(scorer, 0.1, NAN) == Unscorable("MISSING_FEATURE", "b")
    # The text of a model on raw columns has their trained ranges.
    assert verdict(scorer, 0.1, 99.0) == Unscorable("FEATURE_OUT_OF_RANGE", "b")
    assert verdict(scorer, 0.1, 3.0) == worst._replace(extrapolated=("b",))


# -- M2: reasons never vanish silently --------------------------------------------------------


def test_m2_case_2_four_blanks_do_not_affect_other_rows_reasons(tmp_path: Path) -> None:
    """M2: with 4 blanks of 600, the four rows cannot be scored, and every other row has reasons."""
    it = trained(tmp_path, with_blanks([3, 99, 400, 500]), [A, NULLABLE_B])
    assert verdict(it.scorer, 0.1, NAN) == Unscorable("MISSING_FEATURE", "b")
    assert reasons(it.scorer, 1.0, 2.0) == ("B", "A")
    assert it.scorer.reasons_from == "tables"
    assert it.metrics["model"]["unscorable"]["by_seed"] == [4]


def test_m2_case_2_with_120_blanks_every_row_has_reasons(tmp_path: Path) -> None:
    """M2: with 120 blanks of 600, every row is scored and has reasons, rows with a blank too."""
    it = trained(tmp_path, with_blanks(slice(0, 600, 5)), [A, NULLABLE_B])
    assert it.scorer.reasons_from == "tables"
    assert reasons(it.scorer, 1.0, 2.0) == ("B", "A")
    assert "A" in reasons(it.scorer, 2.0, NAN)
    assert it.metrics["model"]["unscorable"]["by_seed"] == [0]
    assert it.metrics["coverage"]["better_blank"][0]["column"] == "b"


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    blank = with_blanks(slice(0, 600, 5))
    return trained(tmp_path_factory.mktemp("deep"), blank, [A, NULLABLE_B], depth=7,
                   min_child_samples=3)  # fmt: skip


def test_m2_deep_trees_have_reasons(deep: Trained) -> None:
    """M2: a model whose trees do not fit into tables has reasons from LightGBM's TreeSHAP; the
    manifest, the warnings and the scorer report that."""
    assert small_tables.largest_tree(deep.scorer) > tables.NODES
    assert deep.scorer.reasons_from == "treeshap"
    assert deep.scorer.manifest.document["reasons"]["from"] == "treeshap"
    assert any("more than 7 splits" in warning for warning in deep.metrics["warnings"])
    assert any("REASONS_PENDING" in warning for warning in deep.scorer.warnings)
    assert reasons(deep.scorer, 1.5, 2.0)[0] == "B"
    assert reasons(deep.scorer, 1.5, NAN) != ()


def test_m2_slow_reasons_are_found_beside_the_calls(deep: Trained) -> None:
    """M2: a call explains rows until its time is over, and at least one row. The other rows are
    pending, are explained in a separate thread, and have their reasons at the next call."""
    served = ModelScorer(deep.scorer.manifest)
    served.bound_reasons(0.0)
    rows = [row(a, b) for a in (1.5, 1.0, 0.5) for b in (2.0, 1.0, NAN)]
    expected = deep.scorer.score_with_reasons(rows, 951)
    first = served.score_with_reasons(rows, 951)
    assert [answer for answer, _ in first] == [answer for answer, _ in expected]
    assert first[0] == expected[0]
    assert [why for _, why in first[1:]] == [("REASONS_PENDING",)] * 8
    deadline = time.monotonic() + 30
    while served.score_with_reasons(rows, 951) != expected:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    everything = ModelScorer(deep.scorer.manifest)
    everything.bound_reasons(30.0)
    assert everything.score_with_reasons(rows, 951) == expected


def test_m2_columns_without_a_reason_group_are_reported() -> None:
    """M2: a model that can give no reasons says so, instead of returning empty lists."""
    it = table()
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, [{"name": "a"}, {"name": "b"}])
    assert scorer.reasons_from == "nothing"
    assert reasons(scorer, 1.0, 2.0) == ()
    (warning,) = scorer.warnings
    assert warning.startswith("2 of 2 columns have no reason_group")


def test_the_report_counts_rows_that_cannot_be_scored_and_better_blanks(
    deep: Trained,
) -> None:
    """The printed report begins with the warnings. It says for each column how many rows cannot be
    scored, and how many would score better without a value."""
    console = Console(file=io.StringIO(), width=160)
    report.print_metrics(deep.metrics, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.startswith("Warning: ")
    for expected in ("cannot be scored", "Better blank", "Extrapolated"):
        assert expected in text


# -- the domain: values outside the training ---------------------------------------------------


def test_case_15_an_unseen_code_cannot_be_scored() -> None:
    """Only codes seen in training are scored. The code 99 is not scored, and neither is a code in a
    gap."""
    it = table()
    it.b[it.b == 1.0] = 5.0
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, [A, {**B, "type": "code"}])
    for seen in (0.0, 2.0, 5.0):
        assert isinstance(verdict(scorer, 0.1, seen), Scored)
    for unseen in (99.0, 1.0, 3.0, -1.0):
        assert verdict(scorer, 0.1, unseen) == Unscorable("UNSEEN_CODE", "b")
    assert verdict(scorer, 0.1, 2.5) == Unscorable("FEATURE_OUT_OF_RANGE", "b")


def test_case_16_numbers_far_outside_the_training_range_cannot_be_scored() -> None:
    """Without declared bounds, age -5 and income 1e300 are refused with their column's name; the
    training maximum plus 1 is scored as the maximum, and marked."""
    generator = np.random.default_rng(5)
    age = generator.integers(18, 80, 800).astype(np.float64)
    income = np.round(generator.lognormal(10, 0.5, 800))
    label = (generator.random(800) < np.where(age < 35, 0.5, 0.2)).astype(np.int8)
    features = [{**A, "name": "age", "type": "integer"}, {**B, "name": "income"}]
    scorer = fitted(np.column_stack((age, income)), label, features)
    low, high = income.min(), income.max()
    assert verdict(scorer, -5.0, low) == Unscorable("FEATURE_OUT_OF_RANGE", "age")
    assert verdict(scorer, 40.0, 1e300) == Unscorable("FEATURE_OUT_OF_RANGE", "income")
    at_the_end, beyond = verdict(scorer, 40.0, high), verdict(scorer, 40.0, high + 1.0)
    assert isinstance(at_the_end, Scored)
    assert beyond == at_the_end._replace(extrapolated=("income",))
    both = verdict(scorer, 80.0, high + 1.0)
    assert isinstance(both, Scored)
    assert both.extrapolated == ("age", "income")
    assert verdict(scorer, 80.5, low) == Unscorable("FEATURE_OUT_OF_RANGE", "age")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(10.0, ""), (20.0, ""), (20.5, "marked"), (30.0, "marked"), (30.5, "refused"),
     (9.5, "marked"), (0.0, "marked"), (-0.5, "refused"), (math.inf, "refused")],
)  # fmt: skip
def test_a_number_is_scored_up_to_one_training_range_beyond_its_ends(
    value: float, expected: str
) -> None:
    """After training on values from 10 to 20, a number from 0 to 30 counts as the nearest trained
    value. A number below 0 is refused if no training row is below 0."""
    it = table()
    b = 10.0 + 5.0 * it.b
    scorer = fitted(np.column_stack((it.a, b)), it.y, [A, B])
    answer = verdict(scorer, 0.1, value)
    if expected == "refused":
        assert answer == Unscorable("FEATURE_OUT_OF_RANGE", "b")
    else:
        nearest = margin(scorer, 0.1, min(max(value, 10.0), 20.0))
        assert isinstance(answer, Scored)
        assert answer.margin == nearest
        assert answer.extrapolated == (("b",) if expected else ())


def test_a_number_trained_below_zero_may_be_lower() -> None:
    """When training has negative values, a value down to one range below the minimum is scored, and
    marked."""
    it = table()
    scorer = fitted(np.column_stack((it.a, it.b - 1.0)), it.y, [A, B])
    answer = verdict(scorer, 0.1, -3.0)
    assert isinstance(answer, Scored)
    assert answer.extrapolated == ("b",)
    assert verdict(scorer, 0.1, -3.1) == Unscorable("FEATURE_OUT_OF_RANGE", "b")


def test_declared_bounds_replace_the_trained_ones() -> None:
    """A number inside declared bounds is scored unchanged, and a number outside is refused. An end
    without a declared bound gets the bound of the training."""
    it = table()
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, [A, {**B, "max": 50.0}])
    assert margin(scorer, 0.1, 50.0) == margin(scorer, 0.1, 2.0)
    answer = verdict(scorer, 0.1, 50.0)
    assert isinstance(answer, Scored)
    assert answer.extrapolated == ()
    assert verdict(scorer, 0.1, 50.5) == Unscorable("FEATURE_OUT_OF_RANGE", "b")
    assert verdict(scorer, 0.1, -0.5) == Unscorable("FEATURE_OUT_OF_RANGE", "b")


def test_a_special_value_does_not_widen_a_numbers_range() -> None:
    """A special value seen in training is scored unchanged. Values between it and the ordinary
    values do not count as trained."""
    it = table()
    it.b[:120] = -9.0
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, [A, {**B, "special": [-9, -8]}])
    answer = verdict(scorer, 0.1, -9.0)
    assert isinstance(answer, Scored)
    assert answer.extrapolated == ()
    for value in (-5.0, -0.5):
        assert verdict(scorer, 0.1, value) == Unscorable("FEATURE_OUT_OF_RANGE", "b")


def test_a_hold_out_unlike_the_training_is_an_error_before_the_first_fit(tmp_path: Path) -> None:
    """When more than 5 % of the hold-out are refused for one column's value, training stops with
    the column's name."""
    it, late = table(), np.arange(600) >= 500
    it.b[590:] = 40.0
    with pytest.raises(TrainingError, match=r"b: 10 of 100 hold-out rows .* declare min and max"):
        trained(tmp_path, it, [A, B], late=late)
    assert not (tmp_path / "model").exists()


def test_a_few_refused_rows_of_the_hold_out_are_a_warning(tmp_path: Path) -> None:
    """When more than 0.5 % are refused for one column's value, a warning has the counts, with those
    of marked rows."""
    it, late = table(), np.arange(600) >= 400
    it.b[597:] = 40.0
    it.b[590:597] = 3.0
    made = trained(tmp_path, it, [A, B], late=late)
    (column,) = [c for c in made.metrics["coverage"]["columns"] if c["column"] == "b"]
    assert (column["outside"], column["extrapolated"], column["missing"]) == (3, 7, 0)
    assert any("b: of 200 hold-out rows, 0 lack" in warning for warning in made.metrics["warnings"])
    assert made.metrics["holdout"]["unscorable"] == 3


def test_golden_rows_have_each_kind_of_value() -> None:
    """Golden rows have a blank in the nullable column, each special value seen in training, and
    both ends of each range."""
    it = table()
    it.b[:120] = NAN
    it.b[120:200] = -9.0
    features: list[dict[str, Any]] = [A, {**NULLABLE_B, "special": [-9]}]
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, features)
    golden = np.array([g.raw for g in scorer.manifest.golden])
    assert {it.a.min(), it.a.max()} <= set(golden[:, 0].tolist())
    assert {0.0, 2.0, -9.0} <= set(golden[:, 1].tolist())
    assert int(np.isnan(golden[:, 1]).sum()) == 1


def test_a_derived_column_without_a_value_refuses_the_row() -> None:
    """If a complete row has no value in a derived column, it is refused with the derived column's
    name. If a row has a missing value and the model does not know the resulting NaN, it is refused
    with the raw column's name."""
    it = table()
    both = [{**A, "missing": "nan"}, NULLABLE_B]
    the_spec = spec.parse(small_tables.tree(both), path=Path("s"), sha256="")
    raw = np.column_stack((it.a + 10.0, it.b + 1.0))
    raw[::5, 0] = NAN
    seen = domain.learn(the_spec.inputs, raw.T.__getitem__, it.y, HouseRules(), 20).trained

    def ratio(values: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.column_stack((values[:, 0], (values[:, 1] - 1.0) / (values[:, 1] - 1.0)))

    prepared = encoding.Preparation([Derived("plain", 0, None), Derived("ratio", 0, None)], ratio)
    rows = np.array([[10.0, 2.0], [NAN, 2.0], [NAN, 1.0], [10.0, 1.0]])
    undefined = domain.Refusal("FEATURE_OUT_OF_RANGE", "ratio")
    for blind, refused in (
        (frozenset({1}), {2: domain.Refusal("MISSING_FEATURE", "a"), 3: undefined}),
        (frozenset[int](), {3: undefined}),
    ):
        within = domain.Domain(the_spec.inputs, seen, prepared, blind)
        admitted = within.admit(rows)
        assert admitted.refused == refused
        assert admitted.derived.shape == (4 - len(refused), 2)


def test_a_ratio_to_0_is_refused_whatever_else_is_blank() -> None:
    """A declared column without a value, whose own columns the row has, refuses the row, and leaves
    it out of the training, also if an unrelated value is missing."""
    it = table()
    features = [{**A, "missing": "nan"}, NULLABLE_B, {"name": "c"}]
    tree = small_tables.tree(features)
    tree["derivation"] = [
        {"name": "share", "operation": "ratio", "of": ["a", "b"]},
        {"name": "twice", "operation": "sum", "of": ["share", "c"]},
    ]
    the_spec = spec.parse(tree, path=Path("s"), sha256="")
    raw = np.column_stack((it.a, it.b, it.a))
    raw[::5, 0] = raw[1::5, 1] = NAN
    rows = np.arange(600)
    state = State(raw, it.y, the_spec, rows[:0], rows)
    sample = sample_of(state, rows, 20)
    zero = (raw[:, 1] == 0.0) & ~np.isnan(raw[:, 0])
    assert sorted({*range(600)} - {*sample.rows.tolist()}) == np.flatnonzero(zero).tolist()
    undefined = domain.Refusal("FEATURE_OUT_OF_RANGE", "share")
    asked = np.array([[0.5, 1.0, 0.1], [0.5, 0.0, 0.1], [NAN, 0.0, 0.1], [NAN, NAN, 0.1]])
    assert domain_of(state, sample).admit(asked).refused == {1: undefined}
    asked[1, 2] = NAN
    the_spec = replace(
        the_spec, features=tuple(replace(f, missing="nan") for f in the_spec.features)
    )
    state.raw[2::5, 2] = NAN
    state = replace(state, spec=the_spec)
    seen = domain_of(state, sample_of(state, rows, 20))
    assert seen.admit(asked).refused == {1: undefined}
    columns = coverage.by_column(replace(state, holdout=rows), sample_of(state, rows, 20))
    (share,) = (c for c in columns if c["column"] == "share")
    assert share["outside"] == int(((raw[:, 1] == 0.0) & ~np.isnan(raw[:, 0])).sum()) > 60
    with pytest.raises(TrainingError, match=r"share: \d+ of 600 hold-out rows .* derivation"):
        coverage.require(columns, 600, HouseRules())


def test_every_row_may_lack_a_value() -> None:
    """When every training row has some blank, none of them rare, every row is scored."""
    it, some = table(), np.random.default_rng(8).permutation(600)
    it.a[some[:300]] = it.b[some[300:]] = NAN
    both = [{**A, "missing": "nan"}, NULLABLE_B]
    scorer = fitted(np.column_stack((it.a, it.b)), it.y, both)
    booster = lightgbm.Booster(model_str=scorer.manifest.model_text)
    for values in ((0.1, NAN), (NAN, 2.0), (0.1, 2.0), (NAN, NAN)):
        assert margin(scorer, *values) == booster.predict([values], raw_score=True)[0]


def test_an_unseen_special_value_cannot_be_scored() -> None:
    """A declared special value is scored only if the training has seen it, even if it lies between
    the bounds of the ordinary values."""
    it = table()
    b = np.where(it.b == 0.0, -20.0, it.b)
    for declared in ({}, {"min": -20.0, "max": 9.0}):
        features: list[dict[str, Any]] = [A, {**B, "special": [-9], **declared}]
        scorer = fitted(np.column_stack((it.a, b)), it.y, features)
        assert verdict(scorer, 0.1, -9.0) == Unscorable("UNSEEN_CODE", "b")
        assert isinstance(verdict(scorer, 0.1, -8.0), Scored)


def test_a_column_without_any_value_is_named_before_the_first_fit() -> None:
    """A column without any value in training is an error that names it."""
    it = table()
    it.b[:] = NAN
    with pytest.raises(DatasetError, match="b: no training row has a value; leave the column out"):
        fitted(np.column_stack((it.a, it.b)), it.y, [A, NULLABLE_B])


def test_a_hold_out_without_bad_rows_is_an_error_before_the_first_fit(tmp_path: Path) -> None:
    """When no bad hold-out row can be scored, training stops and names the column."""
    it, late = table(), np.arange(600) >= 560
    it.b[560:] = np.where(it.y[560:] == 1, NAN, it.b[560:])
    with pytest.raises(
        TrainingError,
        match=r"no bad row of the 40 hold-out rows can be scored: \d+ rows lack a value of b",
    ):
        trained(tmp_path, it, [A, NULLABLE_B], late=late)


def test_values_around_lightgbms_zero_go_the_same_way() -> None:
    """At every threshold, and one step to either side, tables and LightGBM agree exactly; LightGBM
    treats values within 1e-35 of 0 as 0."""
    generator = np.random.default_rng(4)
    raw = generator.integers(-3, 4, (700, 2)).astype(np.float64)
    label = (raw[:, 0] - raw[:, 1] ** 2 + generator.normal(size=700) > -2).astype(np.int8)
    scorer = fitted(raw, label, [A, B], trees=25)
    trees = tables.parse(scorer.manifest.model_text)
    thresholds = {t for tree in trees for t in tree.threshold} | {1e-35, -1e-35}
    zero = float.fromhex("0x1.a95a5cp-117")
    values = [
        v for t in sorted(thresholds | {zero, -zero})
        for v in (math.nextafter(t, -9), t, math.nextafter(t, 9))
    ]  # fmt: skip
    rows = np.array([[v, w] for v in values for w in (-1.0, 0.0, 2.0)])
    rows = np.concatenate((rows, rows[:, ::-1]))
    answers = scorer.score([each.tobytes() for each in rows])
    scored = np.array([isinstance(answer, Scored) for answer in answers])
    booster = lightgbm.Booster(model_str=scorer.manifest.model_text)
    expected = np.asarray(booster.predict(rows[scored], raw_score=True, num_threads=1))
    margins = [answer.margin for answer in answers if isinstance(answer, Scored)]
    assert np.array(margins).tobytes() == expected.tobytes()


def test_an_earlier_builds_figures_are_printed() -> None:
    """The report prints a metrics.json of manifest schema 1 too."""
    console = Console(file=io.StringIO(), width=120)
    report.print_metrics(json.loads((SCHEMA_1 / "metrics.json").read_text()), console)
    assert isinstance(console.file, io.StringIO)
    assert "AUC" in console.file.getvalue()


# -- tables, LightGBM and TreeSHAP over random models -------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    depth=st.integers(1, 8),
    blanks=st.lists(st.sampled_from([0.0, 0.0, 0.05, 0.2, 0.5]), min_size=3, max_size=3),
    zeros=st.booleans(),
)
def test_tables_and_lightgbm_agree_on_every_accepted_row(
    seed: int, depth: int, blanks: list[float], zeros: bool
) -> None:
    """For random models of depth 1 to 8, with or without blanks, every accepted row has LightGBM's
    exact margin, from tables where trees have at most seven splits, and reasons that agree with
    TreeSHAP within 1e-9."""
    generator = np.random.default_rng(seed)
    rows = 700
    raw = np.round(generator.normal(size=(rows, 3)), 1)
    if zeros:
        raw[:, 1] = np.maximum(raw[:, 1], 0.0)
    log_odds = raw[:, 0] * raw[:, 1] + raw[:, 2] + generator.normal(size=rows)
    label = (log_odds > 0.3).astype(np.int8)
    for j, share in enumerate(blanks):
        raw[generator.random(rows) < share, j] = NAN
    features = [{"name": name, "reason_group": name.upper(), "missing": "nan"} for name in "abc"]
    leaf = int(generator.integers(2, 30))
    scorer = fitted(raw, label, features, depth=depth, trees=12, min_child_samples=leaf)
    splits = small_tables.largest_tree(scorer)
    assert scorer.reasons_from == ("tables" if splits <= tables.NODES else "treeshap")

    asked = np.concatenate((raw[:150], np.round(2.0 * generator.normal(size=(150, 3)), 1)))
    asked[generator.random(asked.shape) < 0.2] = NAN
    answers = scorer.score_with_reasons([each.tobytes() for each in asked], 951)
    scored = np.array([isinstance(answer, Scored) for answer, _ in answers])
    allowed = [t.nullable for t in scorer.manifest.trained]
    # A row with a blank that training did not teach is refused.
    assert not scored[np.isnan(asked[:, [not a for a in allowed]]).any(axis=1)].any()
    assert scored.any()
    trained_rows = [(t.low, t.high) for t in scorer.manifest.trained]
    nearest = np.column_stack(
        [np.clip(asked[:, j], low, high) for j, (low, high) in enumerate(trained_rows)]
    )[scored]
    booster = lightgbm.Booster(model_str=scorer.manifest.model_text)
    expected = np.asarray(booster.predict(nearest, raw_score=True, num_threads=1))
    margins = [answer.margin for answer, _ in answers if isinstance(answer, Scored)]
    assert np.array(margins).tobytes() == expected.tobytes()

    shap = np.asarray(booster.predict(nearest, pred_contrib=True, num_threads=1))[:, :-1]
    names = ("A", "B", "C")
    given_reasons = [why for answer, why in answers if isinstance(answer, Scored)]
    for why, values in zip(given_reasons, shap, strict=True):
        found = values[[names.index(code) for code in why]]
        np.testing.assert_allclose(found, np.sort(values)[::-1][: len(why)], rtol=0, atol=1e-9)
        assert (found > -1e-9).all()
        least = 0.05 * float(values[values > 0.0].sum())
        assert (found > least - 1e-9).all()
        assert len(why) >= int((values > least + 1e-9).sum())
