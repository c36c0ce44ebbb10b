"""Commands for the books: seals, verification, backups."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.parts import (
    database_option,
    limits_given,
    numbered,
    opened,
    postgres_bin_option,
    usable,
)
from service.domain.verification import Verification, Witness
from service.storage.opening import reach

if TYPE_CHECKING:
    from service.storage.rehearsal import Rehearsal


@click.command("create-seal-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def create_key_of_seals(file: Path) -> None:
    """Create a key that signs seals.

    FILE gets the private key, readable by its owner alone. FILE.pub gets the public key, which
    verifies seals."""
    from service.signing import create_seal_key

    click.echo(f"key id: {create_seal_key(file)}")


def _witnesses(_context: object, _option: object, values: tuple[str, ...]) -> list[Witness]:
    """Reads each value as NUMBER:DIGEST, or as a file of such lines; raises BadParameter.

    The server's log and an earlier verification print them."""
    witnesses = []
    for value in values:
        if re.fullmatch("[0-9]+:.*", value):
            witnesses.append(_witness(value))
            continue
        try:
            lines = Path(value).read_text("utf-8").split()
        except (OSError, ValueError) as error:
            raise click.BadParameter(
                f"{value} is neither NUMBER:DIGEST nor a readable file"
            ) from error
        witnesses += map(_witness, lines)
    return witnesses


def _witness(text: str) -> Witness:
    form = re.fullmatch("([1-9][0-9]{0,17}):([0-9a-f]{64})", text)
    if form is None:
        raise click.BadParameter(f"{text} is not NUMBER:DIGEST")
    return Witness(int(form[1]), bytes.fromhex(form[2]))


@click.command()
@database_option
@click.option(
    "--seal-key",
    "seal_keys",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="Public key of the seals (FILE.pub); give all keys that were ever used.",
)
@click.option(
    "--witness",
    "witnesses",
    metavar="NUMBER:DIGEST or FILE",
    multiple=True,
    callback=_witnesses,
    help="A seal that was noted elsewhere and must exist; a file has one on each line.",
)
@click.option(
    "--since-seal",
    "since",
    type=click.IntRange(1, 2**63 - 1),
    help="Check only people with entries after this seal; needs a --witness for it.",
)
def verify(
    database: str, seal_keys: tuple[Path, ...], witnesses: list[Witness], since: int | None
) -> None:
    """Verify the database and both books.

    Checks every page and index, compares triggers and CHECKs with the schema, and computes the
    books a second time. If anything is wrong, the exit code is 1 and the first fault is named."""
    from service.books.processes import Elsewhere
    from service.rpc.stored import read_answer, read_payload
    from service.signing import load_public_keys
    from service.storage.database import open_database
    from service.storage.proof import verify_database

    keys = load_public_keys(seal_keys) if seal_keys else None
    elsewhere = Elsewhere(partial(open_database, database, limits=limits_given()))
    found = verify_database(
        opened(database),
        keys,
        witnesses,
        read_answer,
        read_payload=read_payload,
        since=since,
        elsewhere=elsewhere,
    )
    _report_books(found, signed=keys is not None)


def _report_unchecked(found: Verification) -> None:
    for left_out in found.unchecked:
        click.echo(f"not checked: {left_out}")


def _report_books(found: Verification, *, signed: bool) -> None:
    click.echo(
        f"{numbered(found.lines, 'line')}, {numbered(found.entries, 'entry', 'entries')},"
        f" {numbered(found.authorizations, 'authorization')}"
    )
    if found.seals or signed:
        how = "signatures checked" if signed else "signatures not checked"
        click.echo(f"{numbered(found.seals, 'seal')}, {how}")
    if found.fault is not None:
        raise click.ClickException(f"{found.fault.rule} at {found.fault.row}: {found.fault.detail}")
    click.echo("books verified" if not found.unchecked else "no fault found in the checked part")
    _report_unchecked(found)
    for note in found.notes:
        click.echo(f"Warning: {note}", err=True)
    if found.last_seal is not None:
        click.echo(f"last seal: {found.last_seal.number}:{found.last_seal.digest.hex()}")


@click.command()
@database_option
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write; FILE.sha256 is written beside it. Neither may exist.",
)
@click.option("--quick", is_flag=True, help="Do not verify the books in the backup, and say so.")
@postgres_bin_option
def backup(database: str, to: Path, quick: bool, postgres_bin: Path | None) -> None:
    """Back up a database in use.

    If the books are wrong, the exit code is 1 and no file is written. Terms that differ from their
    documents, or name a missing row, are a warning, and the exit code is 0."""
    from service.storage.backup import back_up

    opened(database).dispose()
    made = back_up(database, to, quick=quick, postgres_bin=postgres_bin, limits=limits_given())
    if quick:
        _report_unchecked(made.books)
    else:
        _report_books(made.books, signed=False)
    click.echo(f"sha256: {made.sha256}")
    for warning in made.warnings:
        click.echo(f"Warning: {' '.join(warning.split())}", err=True)


def _report_rehearsal(found: Rehearsal) -> None:
    click.echo(f"backup: {found.size_bytes:,} bytes of {found.made_on}, sha256 {found.sha256}")
    migrates = "; the restore would migrate it" if found.migrates else ""
    click.echo(f"schema: {found.revision}{migrates}")
    if found.tools is not None:
        click.echo(f"restored by: {found.tools}")
    room = "not checked" if found.room_bytes is None else f"{found.room_bytes:,} bytes free"
    click.echo(f"room: {room}")
    if found.books is None:
        click.echo("not checked: the books (--verify-books)")
    else:
        _report_books(found.books, signed=False)
    click.echo("nothing was written; the restore can be done")


@click.command()
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="File that `freehold backup` wrote.",
)
@database_option
@click.option(
    "--sha256",
    metavar="HEX",
    help="Hash that `freehold backup` printed; the default is in FILE.sha256.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the backup and the place for it, and write nothing there.",
)
@click.option(
    "--verify-books",
    is_flag=True,
    help="With --dry-run: also restore into a temporary place, and verify the books there.",
)
@postgres_bin_option
def restore(
    source: Path,
    database: str,
    sha256: str | None,
    dry_run: bool,
    verify_books: bool,
    postgres_bin: Path | None,
) -> None:
    """Restore a backup.

    The database must not exist yet; on PostgreSQL it must be empty."""
    from service.storage.backup import restore as run
    from service.storage.rehearsal import rehearse

    if verify_books and not dry_run:
        text = "is for --dry-run alone: a restore always verifies the books"
        raise click.BadParameter(text, param_hint="--verify-books")
    limits = limits_given()
    usable(partial(reach, limits=limits), database)
    if dry_run:
        found = rehearse(
            source,
            database,
            sha256=sha256,
            postgres_bin=postgres_bin,
            verify=verify_books,
            limits=limits,
        )
        _report_rehearsal(found)
        return
    books = run(source, database, sha256=sha256, postgres_bin=postgres_bin, limits=limits)
    _report_books(books, signed=False)
