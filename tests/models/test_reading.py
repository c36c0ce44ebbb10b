from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import dataset
from models.errors import DatasetError, SpecError
from tests.models.reading_tables import X, read, spec_of

NAN = float("nan")


def test_texts_are_numbered_in_sorted_order(tmp_path: Path) -> None:
    """A text is the place of its trimmed text, in one Unicode form, among all texts in order."""
    text = "bad,x\n1,A12 \n0,A11\n0,\n1,cafe\u0301\n0,caf\u00e9\n"
    data = read(tmp_path, text, feature=[{**X, "type": "text", "missing": "nan"}])
    assert data.levels == {"x": ("A11", "A12", "caf\u00e9")}
    assert np.array_equal(data.raw[:, 0], [1.0, 0.0, NAN, 2.0, 2.0], equal_nan=True)


def test_dates_are_days_since_1970(tmp_path: Path) -> None:
    """A date in its declared format is the number of days since 1970."""
    feature = {**X, "type": "date", "format": "%d/%m/%Y"}
    data = read(tmp_path, "bad,x\n1,02/01/1970\n0,31/12/1969\n", feature=[feature])
    assert data.raw[:, 0].tolist() == [1.0, -1.0]


def test_without_an_id_the_rows_number_is_the_id(tmp_path: Path) -> None:
    """A table without an id column has the numbers of its rows as ids."""
    data = read(tmp_path, "bad,x\n1,1\n2,5\n0,2\n", label={"ignore": [2]})
    assert data.ids == ("1", "3")
    assert data.row.tolist() == [1, 3]
    assert data.excluded == (("label is '2', left out", 1),)


def test_inputs_lie_column_after_column(tmp_path: Path) -> None:
    """Each input is one run of memory, also without the rows and the columns that were left out:
    so a fit reads it fast, and the processes of a training share it."""
    features = [{**X, "name": name} for name in ("x", "same", "z")]
    text = "bad,x,same,z\n1,1,5,7\n2,0,5,0\n0,2,5,8\n2,0,5,0\n0,3,5,9\n"
    data = read(tmp_path, text, feature=features, label={"ignore": [2]})
    assert data.spec.raw_names == ("x", "z")
    assert data.raw.tolist() == [[1.0, 7.0], [2.0, 8.0], [3.0, 9.0]]
    assert data.raw.flags.f_contiguous


def test_groups_and_weights_are_read(tmp_path: Path) -> None:
    """Rows with one text in the group's column have one group; a weight is a number above 0."""
    text = "bad,x,who,w\n1,1,b,0.5\n0,2,a,2\n0,3,b,1\n"
    data = read(tmp_path, text, group={"column": "who"}, weight={"column": "w"})
    assert data.group is not None
    assert data.weight is not None
    assert data.group[0] == data.group[2] != data.group[1]
    assert data.weight.tolist() == [0.5, 2.0, 1.0]
    with pytest.raises(DatasetError, match="weight: row 2 is not a weight above 0: '0'"):
        read(tmp_path, "bad,x,w\n1,1,1\n0,2,0\n", weight={"column": "w"})


def test_a_group_is_in_one_fold(tmp_path: Path) -> None:
    """Rows of one group are in one fold, and folds have about as many bad rows each."""
    generator = np.random.default_rng(1)
    group = generator.integers(0, 200, 1_000)
    label = (generator.random(1_000) < 0.3).astype(np.int8)
    fold = dataset.stratified_folds(label, 5, 0, group)
    for each in range(200):
        assert np.unique(fold[group == each]).shape[0] <= 1
    bad = np.bincount(fold, weights=label)
    assert bad.max() - bad.min() <= 10
    assert np.array_equal(fold, dataset.stratified_folds(label, 5, 0, group))


def test_a_group_in_the_holdout_is_not_trained_on(tmp_path: Path) -> None:
    """Earlier rows of a group that has a row in the hold-out are in neither part."""
    text = "bad,x,who,day\n1,1,a,2024-01-01\n0,2,b,2024-01-01\n0,3,a,2024-03-01\n"
    data = read(tmp_path, text, group={"column": "who"},
                time={"column": "day", "oot_from": "2024-02-01"})  # fmt: skip
    holdout = dataset.holdout_indices(data)
    assert holdout.tolist() == [2]
    assert dataset.training_indices(data, holdout).tolist() == [1]


def test_all_faults_of_a_file_are_said_at_once(tmp_path: Path) -> None:
    """One reading names every faulty column, with the row of the file and the cell."""
    text = "bad,x,y,z\n5,q,q,q\n1,one,1,7\n0,2,1.5,\n0,,3,8\n1,4,,9\n"
    features = [X, {**X, "name": "y", "type": "integer"}, {**X, "name": "z", "max": 8}]
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, text, feature=features, label={"ignore": ["5"]})
    assert sorted(str(caught.value).split("\n")) == [
        "x: row 2 is not a number: 'one'",
        "x: row 4 has no value",
        "y: row 3 is not an integer: '1.5'",
        "y: row 5 has no value",
        "z: row 3 has no value",
        "z: row 5 is outside min..max: '9'",
    ]


def test_the_spec_itself_has_all_its_faults_at_once(tmp_path: Path) -> None:
    """A wrong spec names every faulty key, a line each."""
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, "", label={"bad": []}, model={"trees": 0}, surprise={})
    assert [each.split(":")[0] for each in str(caught.value).split("\n")] == [
        "surprise", "label.bad", "model.trees",
    ]  # fmt: skip
