"""Servers of these tests run without the training libraries, and are forked."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def servers(without_training: None, forked_servers: None) -> None:
    """The processes that a module starts run without the `train` extra."""
