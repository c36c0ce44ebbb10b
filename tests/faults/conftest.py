"""A small real model for every test here, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.support import train_small


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small(tmp_path_factory.mktemp("small"))
