from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from models import dataset, reading, spec
from models.errors import DatasetError
from models.spec_data import Time

FOLDS_OF_SEED_0 = [2, 0, 1, 1, 2, 2, 0, 0, 1, 0]


def people(folder: Path, text: str, **feature: object) -> spec.Spec:
    """The spec of a small file of people."""
    (folder / "people.csv").write_text(text, encoding="utf-8")
    tree = {
        "data": {"path": "people.csv", "format": "csv"},
        "label": {
            "column": "bad", "bad": ["1"], "good": ["0"],
            "horizon": "a month", "outcome": "default", "population": "people",
        },
        "id": {"column": "id"},
        "validation": {"folds": 3, "seeds": [0]},
        "feature": [{"name": "x", "type": "number", "role": "input", **feature}],
    }  # fmt: skip
    return spec.parse(tree, path=folder / "s.toml", sha256="0" * 64)


def test_the_shipped_data_are_unchanged(shipped_data: dataset.Dataset) -> None:
    """The shipped set has 30,000 people, 6,636 of them bad, and the published checksum."""
    assert shipped_data.raw.shape == (30_000, 19)
    assert int(shipped_data.label.sum()) == 6_636
    assert shipped_data.label.dtype == np.int8
    assert shipped_data.dropped == 0
    assert len(set(shipped_data.ids)) == 30_000
    assert set(shipped_data.protected) == {"SEX", "EDUCATION", "MARRIAGE", "AGE"}
    assert shipped_data.sha256.startswith("a0f0ab49d6326671")


def test_a_changed_file_is_refused(shipped_spec: spec.Spec) -> None:
    """A file with another sha256 than the spec's is not read."""
    data = dataclasses.replace(shipped_spec.data, sha256="0" * 64)
    with pytest.raises(DatasetError, match="sha256"):
        reading.load(dataclasses.replace(shipped_spec, data=data))


def test_folds_are_stratified(shipped_data: dataset.Dataset) -> None:
    """Folds differ by at most one row in size and by at most one in bad rows."""
    for seed in range(3):
        fold = dataset.stratified_folds(shipped_data.label, 5, seed)
        assert np.bincount(fold).tolist() == [6_000] * 5
        bad = np.bincount(fold, weights=shipped_data.label)
        assert bad.max() - bad.min() <= 1


def test_folds_are_stable() -> None:
    """A seed's folds never change: a library update cannot move the hold-out."""
    label = np.array([1, 0, 0, 1, 0, 0, 1, 0, 0, 0], dtype=np.int8)
    assert dataset.stratified_folds(label, 3, 0).tolist() == FOLDS_OF_SEED_0
    assert dataset.stratified_folds(label, 3, 1).tolist() != FOLDS_OF_SEED_0


def test_holdout_is_fold_0_of_the_first_seed(
    shipped_data: dataset.Dataset, shipped_spec: spec.Spec
) -> None:
    """Without a time column the hold-out is fold 0 of the first seed: 6,000 people."""
    holdout = dataset.holdout_indices(shipped_data)
    fold = dataset.stratified_folds(shipped_data.label, 5, 0)
    assert np.array_equal(holdout, np.flatnonzero(fold == 0))
    assert holdout.shape == (6_000,)


def test_holdout_follows_the_time_column(tmp_path: Path) -> None:
    """With a time column the hold-out is every row at or after oot_from."""
    the_spec = people(tmp_path, "id,bad,x,month\na,1,1,2024-01\nb,0,2,2024-03\nc,0,3,2024-02\n")
    february = int(datetime(2024, 2, 1, tzinfo=UTC).timestamp())
    the_spec = dataclasses.replace(the_spec, time=Time("month", february))
    assert dataset.holdout_indices(reading.load(the_spec)).tolist() == [1, 2]


def test_other_labels_are_counted_and_dropped(tmp_path: Path) -> None:
    """Rows whose label is declared as neither good nor bad are left out and counted."""
    the_spec = people(tmp_path, "id,bad,x\na,1,1\nb,0,2\nc,?,3\n")
    label = dataclasses.replace(the_spec.label, ignore=("?",))
    data = reading.load(dataclasses.replace(the_spec, label=label))
    assert data.ids == ("a", "b")
    assert data.row.tolist() == [1, 2]
    assert data.dropped == 1


@pytest.mark.parametrize(
    ("text", "feature", "match"),
    [
        ("id,bad,x,y\na,1,1,1\nb,0,2,2\n", {}, "column y is not in the spec"),
        ("id,bad\na,1\nb,0\n", {}, "no column x"),
        ("id,bad,x,x\na,1,1,1\n", {}, "appears twice"),
        ("id,bad,x\na,1\nb,0,2\n", {}, "2 cells, not 3"),
        ("id,bad,x\n", {}, "no rows"),
        ("id,bad,x\na,1,1\nb,1,2\n", {}, "label.good"),
        ("id,bad,x\na,1,1\na,0,2\n", {}, "repeated"),
        ("id,bad,x\na,1,one\nb,0,2\n", {}, "not a number"),
        ("id,bad,x\na,1,\nb,0,2\n", {}, "row 1 has no value"),
        ("id,bad,x\na,1,1\nb,0,inf\n", {}, "row 2 is not a number: 'inf'"),
        ("id,bad,x\na,1,1\nb,0,9\n", {"max": 8}, "row 2 is outside"),
        ("id,bad,x\na,1,1\nb,0,1.5\n", {"type": "code"}, "row 2 is not an integer"),
    ],
)
def test_data_that_do_not_match_the_spec_are_refused(
    tmp_path: Path, text: str, feature: dict[str, object], match: str
) -> None:
    """Data that do not match their spec are refused with the column and the row."""
    with pytest.raises(DatasetError, match=match):
        reading.load(people(tmp_path, text, **feature))


def test_missing_values_are_kept_where_allowed(tmp_path: Path) -> None:
    """A blank cell becomes NaN in a column that may have missing values."""
    data = reading.load(people(tmp_path, "id,bad,x\na,1,NA\nb,0,2\n", missing="nan"))
    assert np.isnan(data.raw[0, 0])
    assert data.raw[1, 0] == 2.0


def test_a_missing_file_is_a_dataset_error(tmp_path: Path) -> None:
    """A data file that is not there is a DatasetError."""
    the_spec = people(tmp_path, "")
    the_spec.data.path.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        reading.load(the_spec)
