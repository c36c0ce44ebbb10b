"""Commands for keys, for the persons behind them, and for the record of acts."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.cli import cli
from service.domain.access import OPERATOR_SCOPES, Scope, hash_key, key_id_of
from service.storage.database import open_database
from service.storage.keys import find_principal


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file with an operator and two persons of the platform, which no test changes."""
    path = tmp_path_factory.mktemp("staffed") / "freehold.db"
    made = f"sqlite:///{path}"
    run(made, "migrate")
    run(made, "operator", "create", "city", "--name", "City")
    for person_id in ("ada", "bob"):
        run(made, "person", "add", person_id, "--name", person_id.title())
    assert not path.with_name("freehold.db-wal").exists()
    return path


@pytest.fixture
def url(staffed: Path, tmp_path: Path) -> str:
    """A copy of it."""
    return f"sqlite:///{shutil.copy(staffed, tmp_path / 'freehold.db')}"


def typed(url: str, *words: str, stdin: str = "") -> Result:
    runner = CliRunner(env={"FREEHOLD_DATABASE": None, "SUDO_USER": "alice"})
    return runner.invoke(cli, [*words, "--database", url], input=stdin)


def run(url: str, *words: str, stdin: str = "") -> str:
    """The output of a command that succeeds."""
    done = typed(url, *words, stdin=stdin)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output.strip()


def reason(url: str, *words: str) -> str:
    """The reason of a refused command."""
    done = typed(url, *words)
    assert done.exit_code != 0
    return str(getattr(done.exception, "reason", done.output))


def listed(url: str, key_id: str) -> dict[str, Any]:
    """The key in the output of `freehold keys --json`."""
    (found,) = [it for it in json.loads(run(url, "keys", "--json")) if it["key_id"] == key_id]
    return dict(found)


def id_of(key: str) -> str:
    return key_id_of(hash_key(key))


def works(url: str, key: str, at: datetime | None = None) -> bool:
    """Whether the key gives access, now or at a time."""
    engine = open_database(url)
    try:
        instant_us = int((at or datetime.now(UTC)).timestamp() * 1_000_000)
        return find_principal(engine, hash_key(key), instant_us) is not None
    finally:
        engine.dispose()


def test_a_key_has_a_person_a_label_scopes_and_an_expiry(url: str) -> None:
    """create-key takes a person, a label, scopes and an expiry, and `keys` shows them."""
    words = ("--person", "ada", "--label", "laptop", "--expires", "2999-01-31", "--key-only")
    key = run(url, "platform", "create-key", *words, "--scope", "books.read", "--admin")
    it = listed(url, id_of(key))
    assert (it["person"], it["label"], it["owner"]) == ("ada", "laptop", "platform")
    assert it["expires"] == "2999-01-31T00:00:00+00:00"
    assert it["granted"] == ["books.read", "keys.admin"]
    assert (it["last_used"], it["revoked"]) == ("", "")
    usual = run(url, "operator", "create-key", "city", "--admin", "--expires", "90d", "--key-only")
    granted = set(listed(url, id_of(usual))["granted"])
    assert granted == {*map(str, OPERATOR_SCOPES), Scope.KEYS_ADMIN}
    later = datetime.now(UTC) + timedelta(days=90)
    assert works(url, usual, later - timedelta(minutes=5))
    assert not works(url, usual, later + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--expires", "soon"), "soon is no instant"),
        (("--expires", "2001-01-01"), "INVALID_INPUT"),
        (("--scope", "bikes.fly"), "INVALID_INPUT"),
        (("--scope", "books.read"), "INVALID_INPUT"),
        (("--person", "nobody"), "PERSON_NOT_FOUND"),
    ],
)
def test_a_wrong_option_makes_no_key(url: str, words: tuple[str, ...], said: str) -> None:
    """An unusable expiry, a scope of another owner and an unknown person are refused."""
    before = run(url, "keys")
    assert said in reason(url, "operator", "create-key", "city", *words)
    assert run(url, "keys") == before


def test_a_command_is_retried_with_its_relative_expiry(url: str) -> None:
    """create-key with the same request id and the same words makes one key, even if the expiry
    counts from now on; other words are refused."""
    words = ("platform", "create-key", "--expires", "90d", "--request-id", "k-1", "--key-only")
    first, second = run(url, *words), run(url, *words)
    assert [works(url, it) for it in (first, second)] == [False, True]
    assert reason(url, *words, "--label", "other") == "REQUEST_ID_REUSED"


def test_a_key_is_changed_by_its_id(url: str) -> None:
    """update-key changes the label and the expiry of a key; a retry changes nothing more."""
    key = run(url, "platform", "create-key", "--key-only")
    key_id = id_of(key)
    change = ("update-key", key_id, "--label", "app", "--expires", "1h", "--request-id", "u-1")
    assert [run(url, *change) for _ in range(2)] == ["key updated"] * 2
    it = listed(url, key_id)
    assert it["label"] == "app"
    assert works(url, key)
    assert not works(url, key, datetime.now(UTC) + timedelta(hours=2))
    assert typed(url, "update-key", key_id).exit_code == 2
    assert reason(url, "update-key", "0" * 16, "--label", "x") == "KEY_NOT_FOUND"


def test_a_key_is_rolled(url: str) -> None:
    """roll-key prints a successor; the old key ends after the overlap."""
    old = run(url, "platform", "create-key", "--person", "ada", "--label", "app", "--key-only")
    new = run(url, "roll-key", id_of(old), "--overlap", "10m", "--key-only")
    assert works(url, old)
    assert works(url, new)
    later = datetime.now(UTC) + timedelta(minutes=11)
    assert [works(url, it, later) for it in (old, new)] == [False, True]
    assert (listed(url, id_of(new))["person"], listed(url, id_of(new))["label"]) == ("ada", "app")
    report = json.loads(run(url, "roll-key", id_of(new), "--json"))
    assert set(report) == {"key_id", "api_key", "old_key_ends"}
    assert typed(url, "roll-key", id_of(new), "--overlap", "long").exit_code == 2


def test_a_key_is_revoked_by_its_id(url: str) -> None:
    """revoke-key ends the key with this id, and says in the list who did it; a retry succeeds."""
    key = run(url, "platform", "create-key", "--key-only")
    revoke = ("revoke-key", id_of(key), "--request-id", "r-1")
    assert [run(url, *revoke) for _ in range(2)] == ["key revoked"] * 2
    assert not works(url, key)
    assert listed(url, id_of(key))["revoked_by"] == "shell/alice"
    assert reason(url, "revoke-key", id_of(key)) == "KEY_NOT_FOUND"


def test_a_person_leaves(url: str) -> None:
    """`person leave` ends the person's keys; the list keeps the person."""
    made = [
        run(url, "platform", "create-key", "--person", it, "--key-only") for it in ("ada", "bob")
    ]
    assert run(url, "person", "leave", "ada") == "person left; their keys ended"
    assert [works(url, it) for it in made] == [False, True]
    ada, bob = json.loads(run(url, "person", "list", "--json"))
    assert (ada["person"], ada["left_by"], bob["left"]) == ("ada", "shell/alice", "")
    assert reason(url, "person", "leave", "ada") == "PERSON_NOT_FOUND"
    assert reason(url, "person", "add", "ada", "--name", "Ada") == "PERSON_EXISTS"
    run(url, "person", "add", "ada", "--name", "Another", "--operator", "city")


def test_the_record_of_acts_is_listed(url: str) -> None:
    """`audit` lists the acts with their user and request id, also since an instant; it has no
    key's text."""
    words = ("platform", "create-key", "--label", "app", "--request-id", "k-1", "--key-only")
    key = run(url, *words)
    found = json.loads(run(url, "audit", "--json"))
    assert found[0]["act"] == "operator.created"
    last = next(it for it in found if it["subject"] == f"keys/{id_of(key)}")
    assert (last["act"], last["by"], last["request_id"]) == ("key.created", "shell/alice", "k-1")
    assert last["details"]["label"] == "app"
    assert key not in json.dumps(found)
    # A row may be wrapped.
    listed = " ".join(run(url, "audit").split())
    assert f"act: key.created subject: keys/{id_of(key)}" in listed
    assert json.loads(run(url, "audit", "--since", "2999-01-01", "--json")) == []
    assert typed(url, "audit", "--since", "later").exit_code == 2
    assert "books verified" in run(url, "verify")
