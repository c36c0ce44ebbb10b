"""The basis of seals: keys outside the database, and append-only tables."""

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
from tests.storage.book import at, attack, keeping_triggers, real_answers, seal

DIGEST = bytes(range(32))


# -- keys ---------------------------------------------------------------------------------------


def test_a_signature_verifies_with_its_public_key_only(tmp_path: Path) -> None:
    """A private key's signature verifies with its public key and no other."""
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


def test_only_the_owner_reads_a_private_key(tmp_path: Path) -> None:
    """The private key's file can be read only by its owner, whatever the umask."""
    before = os.umask(0)
    try:
        create_seal_key(tmp_path / "seal.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "seal.key").stat().st_mode) == 0o600
    (tmp_path / "seal.key").chmod(0o640)  # readable by a group, as a group of services needs it
    load_seal_key(tmp_path / "seal.key")
    (tmp_path / "seal.key").chmod(0o604)
    with pytest.raises(SealKeyUnusable, match="everybody"):
        load_seal_key(tmp_path / "seal.key")


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    """An existing key is not overwritten: its seals could never be verified again."""
    create_seal_key(tmp_path / "seal.key")
    before = (tmp_path / "seal.key").read_bytes()
    with pytest.raises(SealKeyUnusable, match=r"seal\.key"):
        create_seal_key(tmp_path / "seal.key")
    assert (tmp_path / "seal.key").read_bytes() == before


def test_a_wrong_key_file_is_refused(tmp_path: Path) -> None:
    """Missing files, other contents and other kinds of keys are refused, and the refusal names the
    file."""
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
def test_entries_and_seals_are_append_only(book: Desk, table: Table) -> None:
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


def test_a_persons_id_may_be_replaced(book: Desk) -> None:
    """No link or digest contains the person's id, so it can be erased."""
    links = text("SELECT link FROM entries WHERE user_id = :who ORDER BY sequence")
    with writing(book.store.engine) as connection:
        before = connection.execute(links, {"who": "ann"}).all()
        for name in ("entries", "sealed_heads"):
            connection.execute(text(f"UPDATE {name} SET user_id = 'x' WHERE user_id = 'ann'"))
        assert before
        assert connection.execute(links, {"who": "x"}).all() == before
        assert connection.execute(links, {"who": "ann"}).all() == []


def test_a_changed_entry_is_a_broken_rule(book: Desk) -> None:
    """A statement of the server that changes an entry counts as a defect, not as a conflict."""
    with pytest.raises(InvariantBroken), book.store.begin() as transaction:
        transaction.cursor.execute("DELETE FROM entries")


# -- commands -----------------------------------------------------------------------------------


def invoke(*words: str) -> Result:
    """Runs one command in this process."""
    return CliRunner(env={"FREEHOLD_DATABASE": None}).invoke(cli, words)


def said(result: Result) -> Sequence[str]:
    """The output lines of a command that succeeded."""
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_books_are_verified_with_a_public_key_and_a_witness(tmp_path: Path) -> None:
    """With the public key and a noted seal, an auditor finds any change of sealed entries."""
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
    real_answers(file)
    words = ("verify", "--database", url, "--seal-key", f"{key}.pub")
    counted, seals, verdict, noted = said(invoke(*words))
    assert counted == "1 line, 8 entries, 1 authorization"
    assert (seals, verdict) == ("2 seals, signatures checked", "books verified")
    assert noted == f"last seal: 2:{last.digest.hex()}"
    witness = noted.removeprefix("last seal: ")
    assert said(invoke(*words, "--witness", witness))[2] == "books verified"
    assert said(invoke("verify", "--database", url))[1] == "2 seals, signatures not checked"
    with keeping_triggers(file), attack(file) as connection:
        for table in ("seals", "sealed_heads"):
            connection.execute(f"DELETE FROM {table} WHERE number = 2")
    assert said(invoke(*words))[2] == "books verified"
    missed = invoke(*words, "--witness", witness)
    assert missed.exit_code == 1
    assert "SEAL_MISSING at seals/2" in missed.output


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    """If the public key for a seal was not given, that is a fault that names the key."""
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
def test_a_witness_is_checked(tmp_path: Path, bad: str) -> None:
    """A witness that is not NUMBER:DIGEST is refused, and the refusal names the option."""
    done = invoke("verify", "--database", f"sqlite:///{tmp_path / 'x.db'}", "--witness", bad)
    assert done.exit_code == 2
    assert "--witness" in done.output


def test_another_tool_checks_a_signature(tmp_path: Path) -> None:
    """Key and signature are plain Ed25519 in PEM: another tool gets the same result."""
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
