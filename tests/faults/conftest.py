"""A small real model for every test here, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.support import small_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.getbasetemp())
