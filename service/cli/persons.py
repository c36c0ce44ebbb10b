"""Commands for the persons behind keys, and for the record of administrative acts."""

from __future__ import annotations

import json

import click

from service.cli.keys import read_instant_us
from service.cli.parts import (
    database_option,
    instant_text,
    json_option,
    now_us,
    opened,
    report_rows,
    request_option,
    shell_user,
)
from service.domain.access import PLATFORM


@click.group()
def person() -> None:
    """Add, list and remove the persons who have keys."""


owner_option = click.option(
    "--operator",
    "owner",
    default=PLATFORM,
    show_default=True,
    help="The operator of the person.",
)


@person.command("add")
@click.argument("person_id")
@click.option("--name", required=True, help="The person's name.")
@owner_option
@database_option
@request_option
def add(person_id: str, name: str, owner: str, database: str, request_id: str) -> None:
    """Add a person of the platform or of an operator."""
    from service.storage.admin import by_shell
    from service.storage.persons import add_person

    asked = by_shell("add_person", [owner, person_id, name], request_id, shell_user())
    add_person(opened(database), asked, owner, person_id, name, now_us(), lambda _: b"")
    click.echo("person added")


@person.command("list")
@database_option
@json_option
def list_all(database: str, as_json: bool) -> None:
    """List the persons."""
    from service.storage.persons import list_persons

    found = [
        {
            "person": it.person_id,
            "owner": it.owner,
            "name": it.name,
            "added": instant_text(it.create_us),
            "added_by": it.created_by,
            "left": instant_text(it.leave_us),
            "left_by": it.left_by or "",
        }
        for it in list_persons(opened(database))
    ]
    report_rows(found, as_json, "no persons: add one by freehold person add")


@person.command("leave")
@click.argument("person_id")
@owner_option
@database_option
@request_option
def leave(person_id: str, owner: str, database: str, request_id: str) -> None:
    """Record that a person left, and end all keys of that person."""
    from service.storage.admin import by_shell
    from service.storage.keys import remove_person

    asked = by_shell("remove_person", [owner, person_id], request_id, shell_user())
    remove_person(opened(database), asked, owner, person_id, now_us(), lambda *_: b"")
    click.echo("person left; their keys ended")


@click.command()
@click.option(
    "--since",
    metavar="INSTANT",
    help="Only acts from this instant on (ISO 8601, UTC).",
)
@database_option
@json_option
def audit(since: str | None, database: str, as_json: bool) -> None:
    """List the administrative acts, the oldest first.

    Acts by commands and by calls are in the list: who did what to which key, person or operator,
    and who approved it."""
    from service.storage.administration import list_audit

    since_us = 0 if since is None else read_instant_us(since)
    found = [
        {
            "owner": it.owner,
            "number": it.number,
            "time": instant_text(it.record_us),
            "act": it.act,
            "subject": it.subject,
            "by": it.by_text,
            "approved_by": it.approved_by,
            "request_id": it.request_id,
            "details": json.loads(it.details),
        }
        for it in list_audit(opened(database), None, since_us)
    ]
    report_rows(found, as_json, "no acts")
