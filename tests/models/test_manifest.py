from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from models import dataset, manifest, reading, spec
from models.errors import (
    IncompatibleError,
    ModelDirectoryError,
    ModelError,
    TamperedError,
)
from models.scorer import ModelScorer
from tests.models import small_tables
from tests.models.small_tables import A, B


@pytest.fixture
def directory(small_directory: Path, tmp_path: Path) -> Path:
    """A copy of the small model for a test to change."""
    return Path(shutil.copytree(small_directory, tmp_path / "model"))


def edit(directory: Path, change: Callable[[dict[str, Any]], object], *, forge: bool) -> None:
    """Changes the manifest; `forge` makes its model id match the change."""
    path = directory / manifest.MANIFEST
    document = json.loads(path.read_text())
    change(document)
    if forge:
        document["model_id"] = manifest.model_id(document)
    path.write_text(json.dumps(document))


def test_directory_holds_text_and_a_table_only(small_directory: Path) -> None:
    """A model directory is text files and one Parquet table; none can be executed or unpickled."""
    assert sorted(p.name for p in small_directory.iterdir()) == [
        "manifest.json",
        "metrics.json",
        "model.txt",
        "report.html",
        "sample.parquet",
        "spec.toml",
    ]
    for path in small_directory.iterdir():
        if path.name != "sample.parquet":
            path.read_text(encoding="utf-8")
    assert (small_directory / "sample.parquet").read_bytes()[:4] == b"PAR1"


def test_manifest_describes_the_model(small_directory: Path) -> None:
    """The manifest has outcome, horizon, population, base rate, schema and provenance."""
    read = manifest.read(small_directory)
    assert read.outcome == "card_default_next_month"
    assert 0.1 < read.base_rate < 0.4
    assert len(read.raw_names) == 19
    assert len(read.derived) == 47
    assert len(read.golden) >= 32
    assert [c["trained"]["missing"] for c in read.document["raw"]] == [0] * 19
    assert read.document["reasons"] == {"from": "tables", "columns_without_group": []}
    for key in (
        "reference",
        "monitoring",
        "folds",
        "parameters",
        "seeds",
        "versions",
        "spec_sha256",
    ):
        assert read.document[key]


DICTIONARY: dict[str, Any] = {
    "description": "income after tax",
    "unit": "CNY a month",
    "source": "application form",
    "lawful_basis": "contract",
    "maximum_age_days": 90,
    "reason": {"zh": "收入较低", "en": "low income"},
}


def test_the_dictionary_of_features_goes_with_the_model(directory: Path) -> None:
    """A raw column of the manifest has each key of the dictionary that its spec has, and no other;
    the manifest reads them again."""
    one, part, none = small_tables.spec_of(
        [{**A, **DICTIONARY}, {**B, "unit": "CNY", "reason": {"en": "low"}}, {**B, "name": "c"}]
    ).inputs
    trained = manifest.read(directory).trained[0]
    columns = [manifest.raw_column(feature, trained) for feature in (one, part, none)]
    found = [{k: v for k, v in column.items() if k in DICTIONARY} for column in columns]
    assert found == [DICTIONARY, {"unit": "CNY", "reason": {"en": "low"}}, {}]

    def describe(document: dict[str, Any]) -> None:
        for column, entry in zip(document["raw"], found, strict=False):
            column.update(entry)

    edit(directory, describe, forge=True)
    for feature, wanted in zip(manifest.read(directory).raw, (one, part, none), strict=False):
        for key in ("description", "unit", "source", "lawful_basis", "maximum_age_days"):
            assert getattr(feature, key) == getattr(wanted, key)
        assert (feature.reason_zh, feature.reason_en) == (wanted.reason_zh, wanted.reason_en)


def test_the_id_does_not_depend_on_time(directory: Path) -> None:
    """The model id does not depend on when the model was trained."""
    before = manifest.read(directory).model_id
    edit(directory, lambda d: d.update(created_at="2001-01-01T00:00:00+00:00"), forge=False)
    assert manifest.read(directory).model_id == before


@pytest.mark.parametrize("name", ["model.txt", "metrics.json"])
def test_changed_files_are_refused_before_parsing(
    directory: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One changed byte of the model or its metrics is found before LightGBM reads it."""
    path = directory / name
    text = path.read_text()
    position = next(i for i in range(len(text) // 2, len(text)) if text[i] in "12345678")
    path.write_text(text[:position] + "9" + text[position + 1 :])

    def parsed(*_: object, **__: object) -> None:
        raise AssertionError("LightGBM was asked to parse an unverified model")

    monkeypatch.setattr(lightgbm, "Booster", parsed)
    with pytest.raises(TamperedError, match=name):
        ModelScorer.load(directory)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["platt"].update(a=(2.0).hex()),
        lambda d: d["label"].update(outcome="rental_loss"),
        lambda d: d["raw"].reverse(),
        lambda d: d["golden"][0].update(score=700),
        lambda d: d["training_ids"]["sha256"].pop(),
    ],
)
def test_a_changed_manifest_is_refused(
    directory: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Any change of the manifest makes its model id wrong."""
    edit(directory, change, forge=False)
    with pytest.raises(TamperedError, match="is not its model id"):
        manifest.read(directory)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda d: d.update(schema=99), IncompatibleError),
        (lambda d: d["scale"].update(version="other"), IncompatibleError),
        (lambda d: d["scale"].update(b=(1.0).hex()), TamperedError),
        (lambda d: d["platt"].update(a="one"), ModelDirectoryError),
        (lambda d: d["training_ids"].update(sha256=["x"]), ModelDirectoryError),
        (lambda d: d.pop("raw"), ModelDirectoryError),
        (lambda d: d.update(golden=[]), ModelDirectoryError),
        (lambda d: d["golden"][0]["raw"].pop(), ModelDirectoryError),
        (lambda d: d["golden"][0].update(score=351), TamperedError),
        (lambda d: d["golden"][0].update(margin=(0.25).hex()), TamperedError),
        (lambda d: d["derived"].reverse(), IncompatibleError),
        (lambda d: d["derive"].update(function="models.features:apply"), TamperedError),
        (lambda d: d["derive"].update(function="no.such:f"), IncompatibleError),
    ],
)
def test_a_forged_manifest_is_refused(
    directory: Path, change: Callable[[dict[str, Any]], object], error: type[ModelError]
) -> None:
    """A change with a matching model id is still found by schema, scale or golden rows."""
    edit(directory, change, forge=True)
    with pytest.raises(error):
        ModelScorer.load(directory)


def test_expected_id_is_enforced(small_directory: Path) -> None:
    """A caller that knows the model id gets that model or an error."""
    known = manifest.read(small_directory).model_id
    assert ModelScorer.load(small_directory, expected_id=known).model_id == known
    with pytest.raises(TamperedError, match="expected"):
        ModelScorer.load(small_directory, expected_id="0" * 64)


def test_incomplete_directories_are_refused(directory: Path, tmp_path: Path) -> None:
    """A missing directory, a missing file and broken JSON are typed errors."""
    with pytest.raises(ModelDirectoryError):
        manifest.read(tmp_path / "none")
    (directory / "model.txt").unlink()
    with pytest.raises(ModelDirectoryError, match=r"model\.txt"):
        manifest.read(directory)
    (directory / "manifest.json").write_text("{")
    with pytest.raises(ModelDirectoryError, match="not JSON"):
        manifest.read(directory)


def test_training_ids_and_holdout_are_disjoint(
    small_directory: Path, small_spec_path: Path
) -> None:
    """The manifest lists everyone the model was fitted on, and none of the hold-out."""
    read = manifest.read(small_directory)
    the_spec = spec.load(small_spec_path)
    data = reading.load(the_spec)
    holdout = set(dataset.holdout_indices(data).tolist())
    assert len(read.training_id_hashes) == len(data.ids) - len(holdout)
    for i, row_id in enumerate(data.ids):
        assert manifest.is_training_id(read, row_id) == (i not in holdout)


def test_golden_rows_are_no_real_person(small_directory: Path, small_spec_path: Path) -> None:
    """Golden rows mix the values of several people: none is a row of the data."""
    people = {row.tobytes() for row in reading.load(spec.load(small_spec_path)).raw}
    for golden in manifest.read(small_directory).golden:
        assert np.array(golden.raw).tobytes() not in people


def test_reference_histograms_count_every_training_row(small_directory: Path) -> None:
    """For each raw feature, ordinary, special and missing counts add up to the training rows."""
    read = manifest.read(small_directory)
    for column in read.document["reference"]:
        counted = sum(column["counts"]) + sum(column["special"].values()) + column["missing"]
        assert counted == column["n"] == len(read.training_id_hashes)
        assert len(column["counts"]) == len(column["edges"]) + 1
