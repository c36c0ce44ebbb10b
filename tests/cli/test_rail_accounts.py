"""The commands for rail accounts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.storage import rail_accounts
from service.storage.database import open_database
from service.storage.rail_accounts import RailAccountExists
from tests.cli.test_commands import invoke, refused, shell


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the commands have made, with one operator."""
    path = tmp_path_factory.mktemp("city") / "freehold.db"
    for words in (("migrate",), ("operator", "create", "city", "--name", "City")):
        assert invoke(*words, "--database", f"sqlite:///{path}").exit_code == 0
    assert not path.with_name("freehold.db-wal").exists()
    return path


@pytest.fixture
def url(city: Path, tmp_path: Path) -> str:
    """A database with one operator."""
    return f"sqlite:///{shutil.copy(city, tmp_path / 'freehold.db')}"


def told(url: str, *words: str) -> list[dict[str, Any]]:
    """The accounts that a command prints as JSON."""
    done = invoke("rail-account", *words, "--json", "--database", url)
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.output)
    return found


CREATE = ("create", "platform", "bank", "--currency", "CNY", "--label", "Bank 1")
BANK = {
    "name": "platform/railAccounts/bank",
    "account": "platform/railAccounts/bank",
    "currency": "CNY",
    "label": "Bank 1",
}


def test_accounts_are_created_shared_and_listed(url: str) -> None:
    """`rail-account` adds an account, lets an operator use it, and lists both; each command may be
    repeated."""
    shared = {**BANK, "name": "operators/city/railAccounts/default"}
    for _ in "ab":
        assert told(url, *CREATE) == [BANK]
        assert told(url, "share", "bank", "city") == [shared]
    till = {**BANK, "name": "operators/city/railAccounts/till", "label": "", "currency": ""}
    till["account"] = till["name"]
    assert told(url, "create", "city", "till") == [till]
    assert told(url, "list") == [shared, till, BANK]
    words = " ".join(invoke("rail-account", "list", "--database", url).output.split())
    assert words.startswith(" ".join(f"{name}: {text}" for name, text in shared.items()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "nobody", "till"), "operator not found"),
        (("create", "city", "default"), "name"),
        (("create", "city", "Till"), "name"),
        (("create", "city", "till", "--currency", "cny"), "currency"),
        (("create", "city", "till", "--label", "a\nb"), "label"),
        (("share", "none", "city"), "rail_account not found"),
        (("share", "default", "nobody"), "operator not found"),
        (("share", "default", "platform"), "operator"),
        (("share", "default", "city", "--name", "A"), "name"),
        (("create", "platform", "bank", "--label", "Bank 2"), "choose another name"),
        (("share", "default", "city", "--name", "joint"), "choose another name"),
    ],
)
def test_a_wrong_account_is_refused(url: str, words: tuple[str, ...], said: str) -> None:
    """A wrong account is refused in one line that names the fault, and changes nothing."""
    told(url, *CREATE)
    told(url, "share", "bank", "city", "--name", "joint")
    before = told(url, "list")
    assert said in refused(shell("rail-account", *words, "--database", url))
    assert told(url, "list") == before


def test_an_account_never_changes(url: str) -> None:
    """Another account under a known name is refused, because the references used there stay
    used."""
    engine = open_database(url)
    rail_accounts.create(engine, "city", "till", "", "", 1)
    with pytest.raises(RailAccountExists) as caught:
        rail_accounts.create(engine, "city", "till", "CNY", "", 1)
    assert caught.value.metadata == {"rail_account": "operators/city/railAccounts/till"}
    engine.dispose()
