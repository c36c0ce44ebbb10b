"""The shipped data, and the small model that all these tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import models
from models import dataset, reading, spec
from models.scorer import ModelScorer
from tests.models.small_tables import NULLABLE_B, A, table, trained
from tests.models.watched_table import watched_table

SHIPPED = Path(models.__file__).parent / "data" / "taiwan.toml"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Fits run as in a training's processes; more threads would only wait for one another."""
    with threadpool_limits(limits=1):
        yield


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


@pytest.fixture(scope="session")
def scorecard_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table with blanks, its `spec.toml`, and the scorecard of it in `model`; no
    test changes it."""
    folder = tmp_path_factory.mktemp("scorecard")
    it = table()
    it.b[np.arange(600) % 5 == 0] = np.nan
    trained(folder, it, [A, NULLABLE_B], kind="scorecard")
    return folder


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with texts, special values, blanks and months between dates, and its
    training rows in `rows.npy`; no test changes it."""
    return watched_table(tmp_path_factory.mktemp("watched"))
