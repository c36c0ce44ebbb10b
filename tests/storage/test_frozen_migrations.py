"""Migrations that were released do not change: databases are where they left them."""

from __future__ import annotations

import hashlib

import pytest

from service.storage.migrate import MIGRATIONS

VERSIONS = MIGRATIONS / "versions"
RELEASED = {
    "0001_first_schema.py": "e1a4ad50ef81b4388823750932a3bc438649ca7cc9b82872d9c4308ab096a89a",
    "0002_append_only.py": "b56cff2fbb97d03f3a8c635a7743e12d8490056a1d0f8f4ec66a8e816562bb94",
    "0003_terms_refer.py": "3977f8db3555397f524f7a4fb30506f6f3141b1affe2a3d7af2ed6ea6a2655fb",
    "0004_earlier_word_of_a_transfer.py": "db0bb02fdaf4fc297c1c0cafa283173cc366559a103b199ba7981809c670bf3c",
    "0005_features_at_fault.py": "f69143c20d943516a037666dc5de102f55788bd33451b0b69ff6dc2d2f1175f5",
    "0006_formats.py": "a9e59a987b887ec7e06e995bc6c4d93d32ea4e0f27fe93fdc90714d4e115d075",
}
"""The SHA-256 of each migration's file. A line is added with a new migration, and never changed."""


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_a_released_migration_is_as_it_was(name: str) -> None:
    """The file of a released migration is there and has not changed by a byte: what is to change
    in the schema is a new revision."""
    found = hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest()
    assert found == RELEASED[name], f"{name} was released and is frozen: add a new revision"


def test_every_migration_is_listed() -> None:
    """A new migration is added to the list above, so that it is frozen from its first commit on."""
    assert {path.name for path in VERSIONS.glob("*.py")} == set(RELEASED)
