"""One server for all tests of a file, on each transport. A test that stops, blocks or floods a
server starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.config import AIO, TRANSPORTS
from tests.fakes import DEFAULT, serving
from tests.rpc.support import Desks, desks

SERVERS = ("serving", "serving_parts")
"""The functions by which a test starts a server of its own."""
AIO_ONLY = "AIO_ONLY"
"""The name of a file's set of tests that hold for grpc.aio alone; `test_frame_bounds.py` and
`test_native.py` have what holds for the native transport in their place."""

ONLY = "ONLY"
"""The name of a file's own choice of transports."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests that reach a server on each transport."""
    own = any(name in vars(metafunc.module) for name in SERVERS)
    if own or "desk" in metafunc.fixturenames:
        names = vars(metafunc.module)
        only = metafunc.function.__name__ in names.get(AIO_ONLY, ())
        transports = (AIO,) if only else names.get(ONLY, TRANSPORTS)
        metafunc.parametrize("transport", transports, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def jobs(forked_jobs: None) -> None:
    """The processes of the servers' jobs; test_verifications.py has real ones."""


@pytest.fixture(scope="module", autouse=True)
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """The transport of the servers that a test reaches, whether it asks for it or not."""
    DEFAULT.transport = getattr(request, "param", AIO)
    yield DEFAULT.transport
    DEFAULT.transport = AIO


@pytest.fixture(scope="module")
def desk(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    with serving(tmp_path_factory.mktemp("server")) as served, desks(served) as callers:
        yield callers
