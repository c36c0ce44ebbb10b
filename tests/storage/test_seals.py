"""What seals rest on: keys outside the database, tables to which rows are only added."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from sqlalchemy import Table, text
from sqlalchemy.exc import IntegrityError

from service.cli import cli
from service.domain.errors import InvariantBroken
from service.signing import (
    SealKeyUnusable,
    create_seal_key,
    load_public_keys,
    load_seal_key,
)
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.calls import authorize, pay, rental, settle
from tests.fakes import Desk, new_database
from tests.storage.book import at, attack, forget_answers, seal

DIGEST = bytes(range(32))


# -- keys ---------------------------------------------------------------------------------------


def test_a_key_signs_what_its_public_key_verifies(tmp_path: Path) -> None:
    """What the private key signs the public key verifies, and nothing else."""
    key_id = create_seal_key(tmp_path / "seal.key")
    key = load_seal_key(tmp_path / "seal.key")
    public = load_public_keys([tmp_path / "seal.key.pub"])
    signature = key.sign(DIGEST)
    assert key.key_id == key_id
    assert len(signature) == 64
    assert public.verify(key_id, DIGEST, signature)
    assert not public.verify(key_id, DIGEST[::-1], signature)
    assert not public.verify(key_id, DIGEST, signature[::-1])
    assert not public.verify(key_id, DIGEST, b"")
    assert not public.verify("0" * 16, DIGEST, signature)


def test_a_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The private key's file can be read by its owner alone, whatever the umask."""
    before = os.umask(0)
    try:
        create_seal_key(tmp_path / "seal.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "seal.key").stat().st_mode) == 0o600
    (tmp_path / "seal.key").chmod(0o640)  # as a group of services needs it
    load_seal_key(tmp_path / "seal.key")
    (tmp_path / "seal.key").chmod(0o604)
    with pytest.raises(SealKeyUnusable, match="everybody"):
        load_seal_key(tmp_path / "seal.key")


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    """A key that is there stays: seals by it could never be verified again."""
    create_seal_key(tmp_path / "seal.key")
    before = (tmp_path / "seal.key").read_bytes()
    with pytest.raises(SealKeyUnusable, match=r"seal\.key"):
        create_seal_key(tmp_path / "seal.key")
    assert (tmp_path / "seal.key").read_bytes() == before


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    """Missing files, other contents and other kinds of keys are refused by name."""
    other = generate_private_key(65_537, 2_048)
    private = other.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    contents = {"text": b"no key at all", "private": private, "public": public}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    for name in ("missing", *contents):
        with pytest.raises(SealKeyUnusable, match=name):
            load_seal_key(tmp_path / name)
        with pytest.raises(SealKeyUnusable, match=name):
            load_public_keys([tmp_path / name])


# -- only ever added ----------------------------------------------------------------------------

KEPT = (t.entries, t.seals, t.sealed_heads)


@pytest.fixture
def book(desk: Desk) -> Desk:
    """An engine with a sealed entry."""
    desk.put_user("ann", 700)
    seal(desk)
    return desk


@pytest.mark.parametrize("table", KEPT, ids=[table.name for table in KEPT])
def test_nothing_is_changed_or_removed(book: Desk, table: Table) -> None:
    """The database refuses to change or remove an entry or a seal, in every column."""
    columns = [column.name for column in table.columns if column.name != "user_id"]
    statements = [f"UPDATE {table.name} SET {name} = {name}" for name in columns]
    statements.append(f"DELETE FROM {table.name}")
    if book.store.engine.dialect.name == "postgresql":
        statements.append(f"TRUNCATE {table.name}")
    for statement in statements:
        with (
            pytest.raises(IntegrityError, match=f"{table.name} is append-only"),
            writing(book.store.engine) as connection,
        ):
            connection.execute(text(statement))


def test_a_person_may_get_another_name(book: Desk) -> None:
    """The person's id is in no link and no digest, so that whoever is erased can lose it."""
    links = text("SELECT link FROM entries WHERE user_id = :who ORDER BY sequence")
    with writing(book.store.engine) as connection:
        before = connection.execute(links, {"who": "ann"}).all()
        for name in ("entries", "sealed_heads"):
            connection.execute(text(f"UPDATE {name} SET user_id = 'x' WHERE user_id = 'ann'"))
        assert before
        assert connection.execute(links, {"who": "x"}).all() == before
        assert connection.execute(links, {"who": "ann"}).all() == []


def test_the_refusal_is_a_broken_rule(book: Desk) -> None:
    """A statement of the server that changed an entry would be a defect, and no conflict."""
    with pytest.raises(InvariantBroken), book.store.begin() as transaction:
        transaction.cursor.execute("DELETE FROM entries")


# -- commands -----------------------------------------------------------------------------------


def invoke(*words: str) -> Result:
    """One command, in this process."""
    return CliRunner(env={"FREEHOLD_DATABASE": None}).invoke(cli, words)


def said(result: Result) -> Sequence[str]:
    """The lines of a command that went well."""
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_books_are_verified_with_a_public_key_and_a_witness(tmp_path: Path) -> None:
    """An auditor with the public key and a noted seal sees whether anything sealed was touched."""
    key, file = tmp_path / "seal.key", tmp_path / "book.db"
    url = f"sqlite:///{file}"
    (made,) = said(invoke("create-seal-key", str(key)))
    assert made.startswith("key id: ")
    new_database(url).close()
    with at(file) as desk:
        desk.put_user("ann", 700)
        it = rental(desk, settle(rental(desk, authorize()), 500))
        seal(desk, load_seal_key(key))
        rental(desk, pay(it, 500), caller="platform")
        (last,) = seal(desk, load_seal_key(key))
    forget_answers(file)
    words = ("verify", "--database", url, "--seal-key", f"{key}.pub")
    counted, seals, verdict, noted = said(invoke(*words))
    assert counted == "1 lines, 8 entries, 1 authorizations"
    assert (seals, verdict) == ("2 seals, signatures checked", "books verified")
    assert noted == f"last seal: 2:{last.digest.hex()}"
    witness = noted.removeprefix("last seal: ")
    assert said(invoke(*words, "--witness", witness))[2] == "books verified"
    assert said(invoke("verify", "--database", url))[1] == "2 seals, signatures not checked"
    with attack(file) as connection:
        for table in ("seals", "sealed_heads"):
            connection.execute(f"DELETE FROM {table} WHERE number = 2")
    assert said(invoke(*words))[2] == "books verified"
    missed = invoke(*words, "--witness", witness)
    assert missed.exit_code == 1
    assert "SEAL_MISSING at seals/2" in missed.output


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    """Seals by a key whose public key was not given are a fault, and it says which key."""
    key, file = tmp_path / "other.key", tmp_path / "book.db"
    create_seal_key(key)
    new_database(f"sqlite:///{file}").close()
    with at(file) as desk:
        desk.put_user("ann", 700)
        (made,) = seal(desk)
    words = ("verify", "--database", f"sqlite:///{file}", "--seal-key", f"{key}.pub")
    done = invoke(*words)
    assert done.exit_code == 1
    assert f"SEAL_SIGNATURE at seals/1: not signed by the key {made.key_id}" in done.output


@pytest.mark.parametrize("bad", ["1", "x:00", "1:xyz", ":"])
def test_a_witness_has_a_form(tmp_path: Path, bad: str) -> None:
    """What is not NUMBER:DIGEST is refused by the option's name."""
    done = invoke("verify", "--database", f"sqlite:///{tmp_path / 'x.db'}", "--witness", bad)
    assert done.exit_code == 2
    assert "--witness" in done.output


def test_any_tool_can_check_a_signature(tmp_path: Path) -> None:
    """Key and signature are plain Ed25519 in PEM: another tool comes to the same."""
    key = tmp_path / "seal.key"
    create_seal_key(key)
    (tmp_path / "digest").write_bytes(DIGEST)
    (tmp_path / "signature").write_bytes(load_seal_key(key).sign(DIGEST))
    words = ["pkeyutl", "-verify", "-pubin", "-inkey", f"{key}.pub", "-rawin"]
    words += ["-in", str(tmp_path / "digest"), "-sigfile", str(tmp_path / "signature")]
    try:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert "Signature Verified Successfully" in done.stdout
