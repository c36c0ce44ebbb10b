"""Versions of models, and the sample from which each can be made again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import polars
import pytest
from click.testing import CliRunner

from models import dataset, development, manifest, reading, spec, train
from models.errors import ModelDirectoryError, TamperedError
from service.cli.command import cli
from tests.shell import forked_workers


def test_the_kept_sample_is_the_data_set(scorecard_folder: Path) -> None:
    """The sample gives back every part of the data set, to the bit; of the ids it has hashes."""
    data = reading.load(spec.load(scorecard_folder / "spec.toml"))
    kept = development.read(scorecard_folder / "model")
    assert kept.spec_bytes == (scorecard_folder / "spec.toml").read_bytes()
    for name in ("row", "raw", "label"):
        assert getattr(kept.data, name).tobytes() == getattr(data, name).tobytes()
    assert (kept.data.time, kept.data.group, kept.data.weight) == (None, None, None)
    assert kept.data.excluded == data.excluded
    assert kept.data.spec == replace(data.spec, path=kept.data.spec.path, data=kept.data.spec.data)
    assert development.written(kept.hashes) == [dataset.id_hash(kept.salt, i) for i in data.ids]
    assert kept.data.ids == ()


def test_a_sample_keeps_levels_groups_weights_and_protected_columns(tmp_path: Path) -> None:
    """Texts with their levels, times, groups, weights and protected columns are kept too."""
    rows = ["id,c,a,sex,g,w,t,y"]
    rows += [
        f"{i},{'xyz'[i % 3]},{i % 7},{'mf'[i % 2]},{i // 2},{1 + i % 2},2026-0{1 + i // 150}-01,"
        f"{int(i % 4 == 0)}"
        for i in range(300)
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "spec.toml").write_text(
        """
data.path = "t.csv"
data.format = "csv"
id.column = "id"
group.column = "g"
weight.column = "w"
time = {column = "t", oot_from = "2026-02-01"}
validation = {folds = 3, seeds = [0]}
[label]
column = "y"
bad = ["1"]
good = ["0"]
horizon = "a month"
outcome = "missed"
population = "made up"
[[feature]]
name = "c"
type = "text"
role = "input"
[[feature]]
name = "a"
type = "number"
role = "input"
[[feature]]
name = "sex"
type = "text"
role = "protected"
"""
    )
    it = development.of(reading.load(spec.load(tmp_path / "spec.toml")))
    development.write(it, tmp_path)
    kept = development.read(tmp_path)
    assert development.content_sha256(kept) == development.content_sha256(it)
    for name in ("time", "group", "weight", "raw"):
        assert getattr(kept.data, name).tobytes() == getattr(it.data, name).tobytes()
    assert kept.data.levels == it.data.levels
    assert kept.data.protected["sex"].tobytes() == it.data.protected["sex"].tobytes()


def test_no_model_is_replaced(scorecard_folder: Path) -> None:
    """A folder that has another model is not written to, even where that is known only at the
    end."""
    folder = scorecard_folder / "model"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    kept = manifest.read(folder)
    other = {**kept.document, "budget_s": 1.0}
    with pytest.raises(ModelDirectoryError, match=f"holds another model, {kept.model_id}"):
        manifest.write(folder, other, kept.model_text, {})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_model_that_finds_its_folder_taken_is_not_lost(
    scorecard_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training whose folder, here the current one, turns out after the fits to have another model
    of the same spec and data writes its model beside that folder, and the error names the new
    folder."""
    taken = tmp_path / "model"
    shutil.copytree(scorecard_folder / "model", taken)
    before = {p.name: p.read_bytes() for p in taken.iterdir()}
    spec_path = scorecard_folder / "spec.toml"
    monkeypatch.chdir(taken)
    with forked_workers(), pytest.raises(ModelDirectoryError, match="holds another model") as said:
        train.train(spec_path, Path(), progress=False, jobs=1, budget_s=600.0)
    assert {p.name: p.read_bytes() for p in taken.iterdir()} == before
    (beside,) = [p for p in tmp_path.iterdir() if p != taken]
    assert str(said.value).endswith(f"the new model is in {beside}")
    assert beside.name == f"model-{manifest.read(beside).model_id[:12]}"


def test_versions_lie_side_by_side_and_are_made_again(
    scorecard_folder: Path, tmp_path: Path
) -> None:
    """Training into a folder of versions gives the model a folder by its id, which is the same for
    one process and for two; a model that is there stays; its sample gives the same id."""
    versions = tmp_path / "models"
    with forked_workers():
        folder, metrics = train.train_version(
            scorecard_folder / "spec.toml", versions, progress=False, jobs=2
        )
        assert [p.name for p in versions.iterdir()] == [metrics["model_id"]] == [folder.name]
        alone = manifest.read(scorecard_folder / "model")
        assert manifest.read(folder).model_id == folder.name == alone.model_id
        assert manifest.read(folder).model_text == alone.model_text
        copied = Path(shutil.copytree(folder, tmp_path / "again"))
        (copied / "model.txt").unlink()
        assert manifest.publish(copied, folder) == folder
        assert (folder / "model.txt").exists()
        asked = CliRunner().invoke(
            cli, ["model", "rebuild", folder.name[:12], "--models", str(versions), "--jobs", "1"]
        )
    assert asked.exit_code == 0, asked.output
    assert f"model {folder.name}: the sample gives the same model" in asked.output
    with pytest.raises(ModelDirectoryError, match="no models have an id"):
        manifest.find(versions, "f" * 64)


def test_a_changed_or_erased_sample_is_said(scorecard_folder: Path, tmp_path: Path) -> None:
    """A sample with another value, or without one of its rows, is refused before any fit; so is a
    model without a sample."""
    folder = Path(shutil.copytree(scorecard_folder / "model", tmp_path / "model"))
    about = polars.read_parquet_metadata(folder / "sample.parquet")
    kept = {"freehold": about["freehold"]}
    frame = polars.read_parquet(folder / "sample.parquet")
    for changed in (frame[1:], frame.with_columns(polars.col("input a") + 1.0)):
        changed.write_parquet(folder / "sample.parquet", metadata=kept)
        with pytest.raises(TamperedError, match="differs from the manifest"):
            train.rebuild(folder, progress=False)
    (folder / "sample.parquet").unlink()
    with pytest.raises(ModelDirectoryError, match="earlier build has none"):
        train.rebuild(folder, progress=False)


def test_a_training_names_one_folder() -> None:
    """Without a folder, or with two, the command says which options there are."""
    runner = CliRunner()
    for words in ([], ["--out", "a", "--models", "b"]):
        asked = runner.invoke(cli, ["train", "--spec", "models/data/taiwan.toml", *words])
        assert asked.exit_code == 2
        assert "--out for this model, or --models for all versions" in asked.output


def test_the_size_of_a_portion_decides_nothing_of_a_sample(
    scorecard_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A sample that is written and hashed seven rows at a time is the same sample, in order."""
    kept = development.read(scorecard_folder / "model")
    expected = development.content_sha256(kept)
    monkeypatch.setattr(development, "_PORTION", 7)
    development.write(kept, tmp_path)
    assert development.content_sha256(kept) == expected
    assert development.content_sha256(development.read(tmp_path)) == expected
