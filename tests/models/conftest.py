"""The shipped data, and the small model that all these tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

import models
from models import dataset, reading, spec
from models.scorer import ModelScorer

SHIPPED = Path(models.__file__).parent / "data" / "taiwan.toml"


@pytest.fixture(scope="session")
def shipped_spec() -> spec.Spec:
    return spec.load(SHIPPED)


@pytest.fixture(scope="session")
def shipped_data(shipped_spec: spec.Spec) -> dataset.Dataset:
    return reading.load(shipped_spec)


@pytest.fixture(scope="session")
def small_directory(model: Path) -> Path:
    return model


@pytest.fixture(scope="session")
def small_spec_path(model: Path) -> Path:
    return model.with_name("small.toml")


@pytest.fixture(scope="session")
def scorer(small_directory: Path) -> ModelScorer:
    return ModelScorer.load(small_directory)
