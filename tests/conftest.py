"""Shared by all tests: profiles of Hypothesis, and fresh databases copied from one template.

A test that asks for `url`, `store`, `desk` or `databases` runs on SQLite and on PostgreSQL; of the
rules' tests only a sample runs on both (see `left_out`). A test that asks for `file` is about
SQLite's files.
"""

from __future__ import annotations

import gc
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from signal import SIG_IGN, SIGINT, SIGTERM, getsignal, signal
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine, make_url

from benchmarks.postgres import MEMORY, in_memory
from service.storage.database import open_database
from service.storage.store import SqlStore

if TYPE_CHECKING:
    from tests.fakes import Desk
    from tests.postgres import Cluster
    from tests.sqlite import LentFiles

# A fork only starts another program here. With its own handlers, gRPC would run its threads in the
# child, which may then fail before it becomes that program.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# A commit waits 2 ms for a disk, and no test needs its files after a loss of power.
if in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
# "ci" tries the same examples in every run and leaves a failing one as it is, since shrinking may
# take minutes; "long" looks for new ones, and shrinks them, for as long as it takes.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=100,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=5_000,
    stateful_step_count=200,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# Drawing a traceback with the values of its variables takes seconds of CPU.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ],
    # Not where a command under test prints.
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

NewFile = Callable[[], Path]
NewFolder = Callable[[], Path]

KINDS = ("sqlite", "postgresql")

TESTS = Path(__file__).parent
RULES = (TESTS / "engine", TESTS / "operations")
"""The folders whose tests state the engine's rules, in which a database has no part."""
DATABASES = frozenset({"databases", "url", "store", "faulty", "shaky"})
"""Fixtures of tests that state something about the database too."""
WHOLE = "ON_BOTH"
"""A file with this name runs on both kinds of database; its value is the reason, mostly statements
that the tests of no other file make on PostgreSQL."""
SHARE = 8
"""Of the other tests of rules, one in so many runs on PostgreSQL too."""


class Databases(Protocol):
    """Fresh databases of one kind, each with two operators."""

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    def new(self) -> str:
        """The URL of a new one."""
        ...

    def lend(self) -> str:
        """The URL of a database like a new one, for a test that changes only rows."""
        ...

    def empty(self) -> str:
        """The URL of a new database without a schema."""
        ...

    def engine(self, url: str) -> Engine:
        """An engine of a database that was lent; it stays open for the next test."""
        ...

    def drop(self, url: str) -> None:
        """Removes a database that is not used any more."""
        ...


class SqliteDatabases:
    """Copies of one file."""

    kind = "sqlite"

    def __init__(self, new_file: NewFile, new_folder: NewFolder, files: LentFiles) -> None:
        self._new_file = new_file
        self._new_folder = new_folder
        self._files = files

    def new(self) -> str:
        """The URL of a new file in a folder of its own."""
        return f"sqlite:///{self._new_file()}"

    def lend(self) -> str:
        """The URL of a file that earlier tests may have used."""
        return f"sqlite:///{self._files.lend()}"

    def empty(self) -> str:
        """The URL of a file that does not exist yet, in its own folder."""
        return f"sqlite:///{self._new_folder() / 'empty.db'}"

    def engine(self, url: str) -> Engine:
        """The engine of a lent file, or a fresh one."""
        lent = self._files.lent(Path(str(make_url(url).database)))
        return open_database(url) if lent is None else lent.engine

    def drop(self, url: str) -> None:
        """Makes a lent file fresh for the next test; removes another with its folder."""
        file = Path(str(make_url(url).database))
        if not self._files.give_back(file):
            shutil.rmtree(file.parent)


class PostgresDatabases:
    """Copies of one database of one server."""

    kind = "postgresql"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._empty: set[str] = set()

    def new(self) -> str:
        """The URL of a database that earlier tests may have used."""
        return self.cluster.url(self.cluster.lend())

    lend = new

    def empty(self) -> str:
        """The URL of a new database without tables."""
        name = self.cluster.empty()
        self._empty.add(name)
        return self.cluster.url(name)

    def engine(self, url: str) -> Engine:
        """An engine whose sessions stay open for the next test."""
        return self.cluster.engine_of(str(make_url(url).database))

    def drop(self, url: str) -> None:
        """Makes the database fresh for the next, or removes it."""
        name = str(make_url(url).database)
        if name in self._empty:
            self._empty.remove(name)
            self.cluster.drop(name)
        else:
            self.cluster.give_back(name)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects the tests without the garbage collector, and then keeps all that exists from it.

    Modules and tests live to the end. Walking them took a third of the collection's CPU time, and
    a fifteenth of that of the tests. The thresholds are the server's.
    """
    gc.disable()
    gc.set_threshold(50_000, 20, 100)
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def left_out(item: pytest.Item) -> bool:
    """Whether a test on PostgreSQL is left out of a run, since the same test runs on SQLite.

    A rule of the engine is the same on every database, and its test takes twice as much CPU time on
    PostgreSQL. So where a test of rules reaches the database only through its desk, one in
    eight runs on PostgreSQL too, chosen by name. A file may say that all of its tests do, and with
    FREEHOLD_EVERY_TEST=yes every test does.
    """
    if os.environ.get("FREEHOLD_EVERY_TEST") == "yes" or not isinstance(item, pytest.Function):
        return False
    given = item.callspec.params if hasattr(item, "callspec") else {}
    return (
        given.get("databases") == "postgresql"
        and any(item.path.is_relative_to(folder) for folder in RULES)
        and not hasattr(item.module, WHOLE)
        and "desk" in item.fixturenames
        and DATABASES.isdisjoint(inspect.signature(item.function).parameters)
        and crc32(item.nodeid.encode()) % SHARE != 0
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves tests out that are not of the sample."""
    without = {it for it in items if left_out(it)}
    if without:
        config.hook.pytest_deselected(items=[it for it in items if it in without])
        items[:] = [it for it in items if it not in without]


class SharedTexts(dict[tuple[Any, ...], Any]):
    """The compiled statements of all engines of one kind of database.

    An engine keeps its own, by its dialect. Most tests open an engine, and compiling its few
    statements took a tenth of the tests' CPU time.
    """

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """The compiled statement, whichever engine compiled it."""
        return super().get(key[1:], default)

    def __setitem__(self, key: tuple[Any, ...], value: Any) -> None:
        """Keeps a compiled statement for all engines."""
        super().__setitem__(key[1:], value)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores, since tests also wait: for processes that start, for
    timers, for the disk."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_configure() -> None:
    """Makes all engines of a kind of database share their compiled statements."""
    shared: dict[type, SharedTexts] = {}

    @event.listens_for(Engine, "engine_connect")
    def share(connection: Connection) -> None:
        kind = type(connection.dialect)
        connection.execution_options(compiled_cache=shared.setdefault(kind, SharedTexts()))


@pytest.fixture(scope="session", autouse=True)
def heard_by_children() -> Iterator[None]:
    """Makes signals stop the processes that tests start, even when the run ignores them.

    A run in the background, or with `nohup`, ignores SIGINT. Its children inherit an ignored
    signal, but not a handler. With a handler that does nothing, the run goes on and its children
    can be stopped. No test sends SIGHUP, so it stays ignored.
    """
    ignored = [it for it in (SIGINT, SIGTERM) if getsignal(it) is SIG_IGN]
    for number in ignored:
        signal(number, lambda _number, _frame: None)
    yield
    for number in ignored:
        signal(number, SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def commands() -> Iterator[None]:
    """Ends the process that ran the shell's commands, if any test started it."""
    yield
    if "tests.shell" in sys.modules:
        sys.modules["tests.shell"].stop()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with two operators, in one file."""
    # Imported here and below, so that a part of the server that cannot be imported fails only its
    # own tests.
    from tests.fakes import new_database

    path = tmp_path_factory.mktemp("template") / "freehold.db"
    new_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def new_file(template: Path, tmp_path_factory: pytest.TempPathFactory) -> NewFile:
    """Makes copies of the template."""

    def make() -> Path:
        return Path(shutil.copy(template, tmp_path_factory.mktemp("database")))

    return make


@pytest.fixture
def file(new_file: NewFile) -> Iterator[Path]:
    """The file of a fresh database, which is removed with its folder after the test."""
    made = new_file()
    yield made
    shutil.rmtree(made.parent)


@pytest.fixture(scope="session")
def lent_files(template: Path, new_file: NewFile) -> Iterator[LentFiles]:
    """The files that tests use one after the other."""
    from tests.sqlite import LentFiles

    files = LentFiles(template, new_file)
    yield files
    files.close()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small real model, which no test changes."""
    # Imported here, because most tests need neither LightGBM nor the training libraries.
    from tests.faults.support import small_model

    return small_model(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def forked_servers() -> Iterator[None]:
    """Lets the servers and clients that benchmarks start be forked with everything imported."""
    # Here, since most tests start no process.
    from benchmarks import processes
    from tests.shell import Forked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "start", Forked)
        yield


@pytest.fixture(scope="module")
def forked_jobs() -> Iterator[None]:
    """Lets verifications and previews of a server in a thread be forked with everything
    imported."""
    from service.engine import process_job
    from tests import shell

    shell.begin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_job, "Popen", shell.Forked)
        yield


@pytest.fixture(scope="module")
def without_training() -> Iterator[None]:
    """Makes children run as if the `train` extra were not installed, so that they start sooner."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(__file__).with_name("without_training")
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The PostgreSQL server that the tests share."""
    from tests.postgres import Cluster

    with Cluster() as started:
        yield started


def databases_of(request: pytest.FixtureRequest) -> Databases:
    """Fresh databases of the kind that is the fixture's parameter."""
    if request.param == "sqlite":
        folders: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        new_file: NewFile = request.getfixturevalue("new_file")
        files: LentFiles = request.getfixturevalue("lent_files")
        return SqliteDatabases(new_file, lambda: folders.mktemp("database"), files)
    return PostgresDatabases(request.getfixturevalue("cluster"))


@pytest.fixture(params=KINDS)
def databases(request: pytest.FixtureRequest) -> Databases:
    """Fresh databases: the test runs once with each kind."""
    return databases_of(request)


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """The URL of a fresh database."""
    made = databases.new()
    yield made
    databases.drop(made)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """A fresh database with two operators."""
    opened = SqlStore(open_database(url))
    yield opened
    opened.close()


@pytest.fixture
def desk(store: SqlStore) -> Desk:
    """An engine on a fresh database."""
    from tests.fakes import Desk

    return Desk(store)
