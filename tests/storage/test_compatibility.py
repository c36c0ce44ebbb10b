"""Builds and schemas of different ages: which builds may run on which schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

import service
from service.books.verify import verify_books
from service.cli import cli
from service.domain.access import hash_key, key_id_of
from service.storage.backup import back_up, restore
from service.storage.database import open_database, writing
from service.storage.migrate import (
    MIGRATIONS,
    Schema,
    _config,
    build_number,
    compare_schema,
    head_revision,
    migrate,
    oldest_build_of,
    schema_of,
)
from service.storage.opening import open_current
from service.storage.proof import BackupRefused
from tests.cli.test_commands import COMMANDS
from tests.conftest import Databases
from tests.engine.calls import authorize, rental, settle
from tests.fakes import Desk
from tests.storage.next_build import ADDS, CLOSES, NUMBER, changeable, migrate_as_next_build

SERVICE = Path(service.__file__).parent


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """A fresh database whose schema may be changed."""
    with changeable(databases) as made:
        yield made


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A fresh database of this build."""
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def expanded(engine: Engine, tmp_path: Path) -> Engine:
    """The fresh database after the next build's migration, which only adds."""
    migrate_as_next_build(engine, tmp_path / "next", ADDS)
    return engine


def typed(url: str, *words: str) -> Result:
    """Runs a command of the shell on a database."""
    runner = CliRunner(env={"FREEHOLD_DATABASE": None})
    return runner.invoke(cli, [*words, "--database", url], input="fh_key\n")


def test_a_build_has_the_number_of_its_newest_migration() -> None:
    """Migrations are numbered from 0001 without a gap, each file's name begins with its number,
    and the last number is the build's."""
    scripts = list(ScriptDirectory.from_config(_config()).walk_revisions())
    numbers = sorted(script.revision for script in scripts)
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    assert all(Path(it.path).name.startswith(f"{it.revision}_") for it in scripts)
    assert scripts[0].revision == head_revision()
    assert build_number() == len(numbers)


def test_only_a_migration_imports_alembic() -> None:
    """Only migrations import Alembic at the top of a module, so a server and most commands start
    without Alembic."""
    found = {
        path.relative_to(SERVICE).as_posix()
        for path in SERVICE.rglob("*.py")
        if not path.is_relative_to(MIGRATIONS)
        and re.search("^(from|import) alembic", path.read_text("utf-8"), re.MULTILINE)
    }
    assert found == set()


@pytest.mark.parametrize(
    ("revision", "oldest_build", "schema"),
    [
        (None, None, Schema.MISSING),
        ("0005", None, Schema.OLDER),
        (head_revision(), 6, Schema.CURRENT),
        ("0000", 6, Schema.TOO_NEW),
        ("9999", None, Schema.TOO_NEW),
        ("9999", build_number() + 1, Schema.TOO_NEW),
        ("9999", build_number(), Schema.NEWER),
        ("9999", 6, Schema.NEWER),
    ],
)
def test_a_schema_names_the_oldest_build_that_may_run_on_it(
    revision: str | None, oldest_build: int | None, schema: Schema
) -> None:
    """This build runs on its own schema, and on a later schema whose oldest allowed build is this
    build or an earlier one."""
    assert compare_schema(revision, oldest_build) is schema


def test_a_fresh_schema_names_its_oldest_build(engine: Engine) -> None:
    """The schema of this build names build 21 as the oldest: the first build that knows
    reservations that were cancelled for a fee."""
    with engine.connect() as connection:
        assert oldest_build_of(connection) == 21


def test_the_largest_number_counts(engine: Engine) -> None:
    """The largest of several rows names the oldest build, in any order of the rows."""
    with writing(engine) as connection:
        for number in (29, 7):
            connection.execute(text(f"INSERT INTO compatibility (oldest_build) VALUES ({number})"))
        assert oldest_build_of(connection) == 29


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"migrate", "revoke-key"}))
def test_every_command_runs_on_a_schema_that_only_grew(
    expanded: Engine, url: str, command: str
) -> None:
    """After a later build's migration that only adds, each command of this build works."""
    assert schema_of(expanded) is Schema.NEWER
    words = tuple("nobody" if word == "city" else word for word in COMMANDS[command])
    if command in ("operator create-key", "rail-account share"):
        words = COMMANDS[command]
    with writing(expanded) as connection:
        # The key that bind-key and unbind-key name
        key = f"INSERT INTO api_keys (key_hash, scopes, create_us) VALUES ('{'0' * 64}', '', 0)"
        connection.execute(text(key))
    if command == "person leave":
        assert typed(url, *COMMANDS["person add"]).exit_code == 0
    if "0123456789abcdef" in words:
        key = typed(url, "platform", "create-key", "--key-only").output.strip()
        words = tuple(key_id_of(hash_key(key)) if "0" in word else word for word in words)
    done = typed(url, *words)
    assert done.exit_code == 0, (done.output, done.exception)


def test_a_revoked_key_stays_revoked_on_a_schema_that_only_grew(expanded: Engine, url: str) -> None:
    """A key is made and revoked on the schema of a later build."""
    key = typed(url, "platform", "create-key", "--key-only").output.strip()
    runner = CliRunner(env={"FREEHOLD_DATABASE": None})
    assert runner.invoke(cli, ["revoke-key", "--database", url], input=f"{key}\n").exit_code == 0


def test_migrate_leaves_a_newer_schema_alone(expanded: Engine, url: str) -> None:
    """`freehold migrate` of an older build reports that there is nothing to migrate, and
    succeeds."""
    done = typed(url, "migrate")
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        ["nothing to migrate: the database has a newer schema, and this build runs on it"],
    )
    assert not migrate(expanded)
    assert schema_of(expanded) is Schema.NEWER


def test_the_engine_works_on_a_schema_that_only_grew(expanded: Engine, desk: Desk) -> None:
    """This build rents and settles on a later build's schema, and its books verify."""
    desk.put_user("ann", 700)
    it = rental(desk, settle(rental(desk, authorize()), 350))
    assert it.captured_minor == 350
    assert verify_books(expanded).fault is None


def test_a_new_column_of_entries_keeps_their_links(
    engine: Engine, desk: Desk, tmp_path: Path
) -> None:
    """Entries from before a later build's new column verify after it."""
    desk.put_user("ann", 700)
    rental(desk, authorize())
    migrate_as_next_build(engine, tmp_path / "next", ADDS)
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT later FROM entries"))) == {"none"}
    assert verify_books(engine).fault is None


def test_a_backup_of_a_schema_that_only_grew_is_verified(file: Path, tmp_path: Path) -> None:
    """This build backs up a database with a later build's schema, and restores it unchanged."""
    url, target = f"sqlite:///{file}", f"sqlite:///{tmp_path / 'target.db'}"
    opened = open_database(url)
    migrate_as_next_build(opened, tmp_path / "next", ADDS)
    opened.dispose()
    made = back_up(url, tmp_path / "backup")
    assert restore(made.path, target) == made.books
    restored = open_current(target)
    assert schema_of(restored) is Schema.NEWER
    restored.dispose()


def test_no_backup_is_made_of_a_schema_that_excludes_this_build(file: Path, tmp_path: Path) -> None:
    """A copy whose schema is only for later builds is neither verified nor kept."""
    opened = open_database(f"sqlite:///{file}")
    migrate_as_next_build(opened, tmp_path / "next", ADDS + CLOSES)
    opened.dispose()
    with pytest.raises(BackupRefused, match="not for this build"):
        back_up(f"sqlite:///{file}", tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_stops_on_a_schema_that_excludes_its_build(
    engine: Engine, url: str, tmp_path: Path, command: str
) -> None:
    """After a migration that raises the oldest build above this one, each command of this build
    stops with one line that has both numbers, and changes nothing."""
    migrate_as_next_build(engine, tmp_path / "next", ADDS + CLOSES)
    done = typed(url, *COMMANDS[command])
    assert done.exit_code == 1
    assert getattr(done.exception, "reason", "") == "SCHEMA_NEWER"
    said = str(done.exception)
    assert re.search(rf"for builds from {NUMBER} on, and this is build {build_number()}: run", said)
    assert "\n" not in said
