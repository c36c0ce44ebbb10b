"""One server for all tests of a file, on each transport. A test that stops, blocks or floods a
server starts its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from service.config import AIO, TRANSPORTS
from tests.conftest import SHARE, every_test
from tests.fakes import DEFAULT, serving
from tests.rpc.support import Desks, desks

SERVERS = ("serving", "serving_parts")
"""The functions by which a test starts a server of its own."""
AIO_ONLY = "AIO_ONLY"
"""The name of a file's set of tests that hold for grpc.aio alone; `test_frame_bounds.py` and
`test_native.py` have what holds for the native transport in their place."""

ONLY = "ONLY"
"""The name of a file's own choice of transports."""

HERE = Path(__file__).parent
LARGE = 2 * SHARE
"""A test with more values than this runs with all of them on one transport."""
ON_EACH = "ON_EACH"
"""The name of a file's set of large tests that run with all their values on each transport."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out most values of large tests on the second transport.

    Behind its port, a transport has no part in a call, whose method and fields mean the same on
    each. So a test of every method runs with all of them on grpc.aio, and with one in eight, chosen
    by name, on the native transport. That each transport knows every method is a test of its own.
    """
    if every_test():
        return
    own = [it for it in items if isinstance(it, pytest.Function) and it.path.parent == HERE]
    sizes = Counter((it.path, it.originalname) for it in own if _transport(it) == AIO)
    without = {
        it
        for it in own
        if sizes[it.path, it.originalname] > LARGE
        and it.originalname not in vars(it.module).get(ON_EACH, ())
        and _transport(it) not in ("", AIO)
        and crc32(it.nodeid.encode()) % SHARE != 0
    }
    if without:
        config.hook.pytest_deselected(items=[it for it in items if it in without])
        items[:] = [it for it in items if it not in without]


def _transport(item: pytest.Function) -> str:
    """The transport on which a test runs; empty for a test that reaches no server."""
    return str(item.callspec.params.get("transport", "")) if hasattr(item, "callspec") else ""


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
