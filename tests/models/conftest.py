"""A small model, trained once: the shipped spec on 1,500 people, with few trees."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

import models
from models import dataset, spec, train
from models.scorer import ModelScorer

SHIPPED = Path(models.__file__).parent / "data" / "taiwan.toml"


@pytest.fixture(scope="session")
def shipped_spec() -> spec.Spec:
    return spec.load(SHIPPED)


@pytest.fixture(scope="session")
def shipped_data(shipped_spec: spec.Spec) -> dataset.Dataset:
    return dataset.load(shipped_spec)


@pytest.fixture(scope="session")
def small_spec_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    with lzma.open(SHIPPED.with_name("taiwan_credit_default.csv.xz"), "rt") as source:
        lines = [next(source) for _ in range(1501)]
    (folder / "small.csv").write_text("".join(lines), encoding="utf-8")
    text = SHIPPED.read_text(encoding="utf-8")
    digest = next(line for line in text.splitlines() if line.startswith("sha256"))
    for old, new in (
        (digest, ""),
        ("taiwan_credit_default.csv.xz", "small.csv"),
        ('compression = "xz"', 'compression = "none"'),
        ("seeds = [0, 1, 2] ", "seeds = [0] "),
        ("extra_seeds = [3, 4, 5]", "extra_seeds = [3]"),
        ("folds = 5", "folds = 3"),
        ("trees = 500", "trees = 30"),
        ("min_child_samples = 100", "min_child_samples = 20"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_directory(small_spec_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    train.train(small_spec_path, out, progress=False, jobs=2)
    return out


@pytest.fixture(scope="session")
def scorer(small_directory: Path) -> ModelScorer:
    return ModelScorer.load(small_directory)
