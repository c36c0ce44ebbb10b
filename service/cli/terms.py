"""Commands for documents of terms: products, tariffs, policies, limits and bounds.

They work on the database. Each is in the record of acts, with the shell's user.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from service.cli.document_files import read_table
from service.cli.parts import (
    NUMBER,
    database_option,
    instant_text,
    json_option,
    now_us,
    opened,
    request_option,
    shell_user,
)
from service.cli.terms_texts import (
    columns_of,
    difference_lines,
    faults_text,
    last_step,
    record_of,
    report,
    steps_of,
)
from service.cli.toml_text import toml_of
from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind
from service.domain.errors import InvalidInput

if TYPE_CHECKING:
    from service.engine.records.administration import Asked
    from service.engine.records.documents import DocumentName
    from service.storage.terms_acts import Applied

Command = Callable[..., None]


class OfKind(NamedTuple):
    """A kind of documents at the shell: its words, and whether an operator may, or must, be its
    owner. `name` is the only name of such documents, or empty."""

    kind: DocumentKind
    words: str
    operators: bool = True
    operator_required: bool = False
    name: str = ""


PRODUCTS = OfKind(DocumentKind.PRODUCT, "products", operator_required=True)
TARIFFS = OfKind(DocumentKind.TARIFF, "tariffs")
POLICIES = OfKind(DocumentKind.POLICY, "policies")
OF_LIMITS = OfKind(DocumentKind.LIMITS, "limits", operators=False, name="limits")
BOUNDS = OfKind(DocumentKind.BOUNDS, "bounds", operators=False)


@click.group()
def limit() -> None:
    """Keep credit limits by score and currency."""


@click.group()
def bounds() -> None:
    """Keep the bounds inside which operators' terms must stay."""


def add_commands(group: click.Group, of: OfKind) -> None:
    """Gives a group the commands for its documents."""
    reading, acting = (_list(of), _show(of), _diff(of), _example(of)), (_activate(of), _retire(of))
    for command in (_apply(of), *reading, *acting):
        group.add_command(command)
    if of.kind is DocumentKind.PRODUCT:
        group.add_command(_revisions(of))


# -- options ---------------------------------------------------------------------------------------


def _owner_option(of: OfKind) -> Callable[[Command], Command]:
    text = "Operator whose terms they are"
    if of.operator_required:
        return click.option("--operator", "owner", required=True, help=f"{text}.")
    if of.operators:
        more = f"{text}; the default is the platform."
        return click.option("--operator", "owner", default=PLATFORM, help=more)
    return click.option("--operator", "owner", default=PLATFORM, hidden=True, expose_value=True)


def _name_argument(of: OfKind) -> Callable[[Command], Command]:
    if of.name:
        return click.argument("name", required=False, default=of.name)
    return click.argument("name")


def _revision_option(text: str) -> Callable[[Command], Command]:
    return click.option("--revision", type=NUMBER, help=f"The revision; {text}.")


def _read_options(command: Command) -> Command:
    """The last options of each command that reads documents."""
    return database_option(json_option(command))


def _act_options(command: Command) -> Command:
    """The last options of each command that changes documents."""
    reason = click.option("--reason", default="", help="Why, for the record.")
    return reason(_read_options(request_option(command)))


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_beyond_option = click.option("--beyond-bounds", is_flag=True, help="Ignore the platform's bounds.")
_file_argument = click.argument("file", type=_FILE)


# -- commands --------------------------------------------------------------------------------------


def _apply(of: OfKind) -> click.Command:
    @click.command("apply")
    @_file_argument
    @_owner_option(of)
    @click.option("--activate", is_flag=True, help="Put it into force at once.")
    @click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
    @_beyond_option
    @_act_options
    def apply(
        file: Path,
        owner: str,
        activate: bool,
        dry_run: bool,
        beyond_bounds: bool,
        reason: str,
        database: str,
        as_json: bool,
        request_id: str,
    ) -> None:
        """Keep the document in FILE (TOML or JSON) as a new revision.

        The same document as the one in force changes nothing. A draft with faults is kept, and
        comes into force once they are gone. With --activate it is refused."""
        from service.storage.terms_acts import Order, apply_terms, check_terms

        table = read_table(file)
        order = Order(of.kind, owner, table, reason, activate, beyond_bounds)
        said = [str(of.kind), owner, table, reason, activate, beyond_bounds]
        engine, asked = opened(database), _asked("apply_terms", said, request_id)
        results: list[Applied] = []
        try:
            if dry_run:
                results.append(check_terms(engine, asked, order, now_us()))
            else:
                apply_terms(engine, asked, order, now_us(), _kept_in(results))
        except InvalidInput as error:
            raise click.ClickException("\n".join(faults_text(file, error.violations))) from error
        if not results:
            click.echo("done before")
            return
        report(results[0], as_json, dry_run=dry_run, where=str(file), refused=activate)
        if activate and results[0].faults:
            raise click.exceptions.Exit(1)

    return apply


def _list(of: OfKind) -> click.Command:
    @click.command("list")
    @click.argument("name", default="")
    @_owner_option(of)
    @click.option("--all", "everything", is_flag=True, help="Also list retired revisions.")
    @_read_options
    def list_all(name: str, owner: str, everything: bool, database: str, as_json: bool) -> None:
        """List the documents with their states: all, or those of NAME."""
        from service.storage.terms_reads import page_of_terms

        found = page_of_terms(
            *(opened(database), owner, str(of.kind), name, ("", "", 0)),
            *(None, now_us(), everything),
        )
        if as_json:
            click.echo(json.dumps([record_of(it) for it in found]))
            return
        if not found:
            of_name = f" {name} but retired ones" if name else ""
            whose = " of the platform" if of.operators and owner == PLATFORM else ""
            click.echo(f"no {of.words}{of_name}{whose}: apply one with --activate")
        rows = [("NAME", "REVISION", "STATE", "SINCE", "BY", "REASON")]
        rows += [(it.name, str(it.revision), it.state.lower(), *last_step(it)) for it in found]
        for line in columns_of(rows) if found else ():
            click.echo(line)

    return list_all


def _show(of: OfKind) -> click.Command:
    @click.command("show")
    @_name_argument(of)
    @_owner_option(of)
    @_revision_option("the default is the one in force, or else the newest one")
    @_read_options
    def show(name: str, owner: str, revision: int | None, database: str, as_json: bool) -> None:
        """Print a document as TOML, with its steps as comments."""
        from service.engine.records.documents import DocumentName
        from service.storage.documents import table_of
        from service.storage.terms_reads import get_terms

        wanted = DocumentName(str(of.kind), owner, name, revision or 0)
        found = get_terms(opened(database), wanted, now_us())
        if as_json:
            click.echo(json.dumps(record_of(found)))
            return
        click.echo(f"# {of.kind} {found.name}, revision {found.revision}, {found.state.lower()}")
        for step, us, by, why in steps_of(found):
            click.echo(f"# {step} {instant_text(us)} by {by}{f': {why}' if why else ''}")
        click.echo(f"# sha256 {found.digest}")
        click.echo(toml_of(table_of(found)), nl=False)

    return show


def _revisions(of: OfKind) -> click.Command:
    @click.command("revisions")
    @_name_argument(of)
    @_owner_option(of)
    @_revision_option("the default is all")
    @_read_options
    def revisions(
        name: str, owner: str, revision: int | None, database: str, as_json: bool
    ) -> None:
        """Say which documents each `product_revision` has.

        Rentals have a `product_revision`. A new revision of the product, its tariff or its policy
        makes a new one, and each place of a tariff has one of its own."""
        from service.storage.terms_reads import compiled_of

        found = compiled_of(opened(database), owner, name, revision, now_us())
        if as_json:
            told = [{key: it[key] for key in it if not key.endswith("_kind")}
                    for it in (one._asdict() for one in found)]  # fmt: skip
            click.echo(json.dumps(told))
            return
        rows = [("PRODUCT_REVISION", "PRODUCT", "TARIFF", "POLICY")]
        for one in found:
            tariff = _named(owner, one.tariff_owner, one.tariff_name, one.tariff_revision)
            policy = _named(owner, one.policy_owner, one.policy_name, one.policy_revision)
            product = f"{name} revision {one.product_revision}"
            rows.append((str(one.revision), product, tariff, policy))
        for line in columns_of(rows):
            click.echo(line)

    return revisions


def _named(reader: str, owner: str, name: str, revision: int) -> str:
    """A revision of a document in the list of an owner's products."""
    of = "" if owner == reader else f" of {owner}"
    return f"{name}{of} revision {revision}"


def _example(of: OfKind) -> click.Command:
    @click.command("example")
    def example() -> None:
        """Print an example of the document, with every key and its meaning."""
        from service.reference_data import example_of

        click.echo(example_of(of.kind), nl=False)

    return example


def _diff(of: OfKind) -> click.Command:
    @click.command("diff")
    @_name_argument(of)
    @_owner_option(of)
    @click.option(
        "--file",
        type=_FILE,
        help="File with the document after; the default is the newest revision.",
    )
    @click.option(
        "--from",
        "from_revision",
        type=NUMBER,
        help="The revision before; the default is the one in force.",
    )
    @click.option("--to", "to_revision", type=NUMBER, help="The revision after.")
    @_read_options
    def diff(
        name: str,
        owner: str,
        file: Path | None,
        from_revision: int | None,
        to_revision: int | None,
        database: str,
        as_json: bool,
    ) -> None:
        """Compare two revisions of a document, or a revision with a file."""
        from service.engine.records.documents import DocumentName
        from service.storage.terms_reads import diff_terms

        if file is not None and to_revision is not None:
            raise click.UsageError("give --file or --to, and not both")
        before = DocumentName(str(of.kind), owner, name, from_revision or 0)
        after = (to_revision or 0) if file is None else read_table(file)
        try:
            found = diff_terms(opened(database), before, after, now_us())
        except InvalidInput as error:
            raise click.ClickException(
                "\n".join(faults_text(file or Path(name), error.violations))
            ) from error
        if as_json:
            click.echo(json.dumps([it._asdict() for it in found]))
            return
        for line in difference_lines(found) or ["no difference"]:
            click.echo(line)

    return diff


def _activate(of: OfKind) -> click.Command:
    @click.command("activate")
    @_name_argument(of)
    @_owner_option(of)
    @_revision_option("the default is the newest one")
    @_beyond_option
    @_act_options
    def activate(
        name: str,
        owner: str,
        revision: int | None,
        beyond_bounds: bool,
        reason: str,
        database: str,
        as_json: bool,
        request_id: str,
    ) -> None:
        """Put a revision into force, in place of the one before."""
        from service.storage.terms_acts import activate_terms

        engine = opened(database)
        wanted = _newest(engine, of, owner, name, revision)
        asked = _asked("activate_terms", [*wanted, reason, beyond_bounds], request_id)
        results: list[Applied] = []
        try:
            activate_terms(
                *(engine, asked, wanted, reason, now_us(), _kept_in(results), beyond_bounds)
            )
        except InvalidInput as error:
            text = faults_text(f"{name} revision {wanted.revision}", error.violations)
            raise click.ClickException("\n".join(text)) from error
        for it in results:
            report(it, as_json, where=name)

    return activate


def _retire(of: OfKind) -> click.Command:
    @click.command("retire")
    @_name_argument(of)
    @_owner_option(of)
    @_revision_option("the default is the one in force")
    @_act_options
    def retire(
        name: str,
        owner: str,
        revision: int | None,
        reason: str,
        database: str,
        as_json: bool,
        request_id: str,
    ) -> None:
        """Withdraw a draft, or end a document that no product needs.

        A retired product is not rented out any more."""
        from service.engine.records.documents import DocumentName
        from service.storage.terms_acts import retire_terms
        from service.storage.terms_reads import get_terms

        engine = opened(database)
        wanted = DocumentName(str(of.kind), owner, name, revision or 0)
        wanted = get_terms(engine, wanted, now_us()).full_name
        asked = _asked("retire_terms", [*wanted, reason], request_id)
        results: list[Applied] = []
        retire_terms(engine, asked, wanted, reason, now_us(), _kept_in(results))
        for it in results:
            report(it, as_json, where=name)

    return retire


# -- parts -----------------------------------------------------------------------------------------


def _asked(method: str, said: list[object], request_id: str) -> Asked:
    from service.storage.admin import by_shell

    return by_shell(method, said, request_id, shell_user())


def _kept_in(results: list[Applied]) -> Callable[[Applied], bytes]:
    def encode(it: Applied) -> bytes:
        results.append(it)
        return b""

    return encode


def _newest(engine: Any, of: OfKind, owner: str, name: str, revision: int | None) -> DocumentName:
    """The named revision, or the newest one that is not retired, if there is one."""
    from service.engine.records.documents import DocumentName
    from service.storage.terms_reads import get_terms, page_of_terms

    if revision is not None:
        return DocumentName(str(of.kind), owner, name, revision)
    start = ("", "", 0)
    found = page_of_terms(engine, owner, str(of.kind), name, start, None, now_us(), False)
    if not found:
        return get_terms(engine, DocumentName(str(of.kind), owner, name, 0), now_us()).full_name
    return found[-1].full_name
