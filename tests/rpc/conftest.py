"""One server for all tests of a file. A test that stops, blocks or floods a server starts its
own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import serving
from tests.rpc.support import Desks, desks


@pytest.fixture(scope="module", autouse=True)
def jobs(forked_jobs: None) -> None:
    """The processes of the servers' jobs; test_verifications.py has real ones."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    with serving(tmp_path_factory.mktemp("server")) as served, desks(served) as callers:
        yield callers
