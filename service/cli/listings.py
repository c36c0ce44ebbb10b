"""Commands for listings: whom and what to refuse, and whom to spare rules of a policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from service.cli.keys import Expiry, expires_option_of
from service.cli.parts import (
    NUMBER,
    database_option,
    instant_text,
    json_option,
    now_us,
    opened,
    shell_user,
)
from service.domain.listings import Listing, ListingEffect, ListingKind

TOGETHER = 500
"""The listings in one transaction."""

_reason = click.option("--reason", required=True, help="Why, for the record.")
_policy = click.option(
    "--policy",
    "policy_id",
    default="",
    help="Count for this policy only, named as a product names it; the default is all.",
)
_listing_expiry = expires_option_of("When the listing ends by itself")
_snooze_expiry = expires_option_of("When the rules count again", name="--until", required=True)


@click.group()
def listing() -> None:
    """Refuse users, devices and accounts, or spare them rules.

    OWNER is an operator, or "platform", whose listings count for all operators. A listing is never
    changed; it expires or is ended, and stays in the history."""


@listing.command("add")
@click.argument("owner")
@click.option("--deny", is_flag=True, help="Decline every Authorize of the subjects.")
@click.option(
    "--allow",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Skip this rule of the policy, such as VELOCITY_USER_HOUR or CONDITION/night.",
)
@click.option("--user", "users", multiple=True, help="A user id.")
@click.option("--device", "devices", multiple=True, help="A device hash.")
@click.option("--account", "accounts", multiple=True, help="A hash of a payment account.")
@click.option("--everybody", is_flag=True, help="All users; it needs --expires.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one subject a line: USER, DEVICE or PAYMENT_ACCOUNT, a space, and the subject.",
)
@_policy
@_listing_expiry
@_reason
@database_option
@json_option
def add_listing(
    owner: str,
    deny: bool,
    rules: tuple[str, ...],
    users: tuple[str, ...],
    devices: tuple[str, ...],
    accounts: tuple[str, ...],
    everybody: bool,
    file: Path | None,
    policy_id: str,
    expiry: Expiry,
    reason: str,
    database: str,
    as_json: bool,
) -> None:
    """Add listings of an operator or of the platform."""
    if deny == bool(rules):
        raise click.UsageError("give either --deny or --allow")
    effect = ListingEffect.DENY if deny else ListingEffect.ALLOW
    subjects = [
        *((ListingKind.USER, it) for it in users),
        *((ListingKind.DEVICE, it) for it in devices),
        *((ListingKind.PAYMENT_ACCOUNT, it) for it in accounts),
        *([(ListingKind.EVERYBODY, "")] if everybody else []),
        *(_subjects_in(file) if file else []),
    ]
    if not subjects:
        raise click.UsageError("name a subject: --user, --device, --account, --everybody or --file")
    named = tuple(sorted(rules))
    wanted = [
        Listing("", 0, effect, kind, it, named, policy_id, "", 0, "", expiry.instant_us)
        for kind, it in subjects
    ]
    _add(database, owner, wanted, reason, as_json)


@listing.command("end")
@click.argument("owner")
@click.argument("numbers", nargs=-1, required=True, type=NUMBER)
@_reason
@database_option
@json_option
def end_listing(
    owner: str, numbers: tuple[int, ...], reason: str, database: str, as_json: bool
) -> None:
    """End listings by their numbers, all or none."""
    from service.storage import listings
    from service.storage.admin import by_shell

    asked = by_shell("end_listings", [owner, numbers, reason], "", shell_user())
    ended: list[Listing] = []
    listings.end_listings(
        opened(database), asked, owner, list(dict.fromkeys(numbers)), reason, now_us(),
        _collected(ended),
    )  # fmt: skip
    _report(ended, as_json)


@listing.command("list")
@click.argument("owner")
@click.option("--active", is_flag=True, help="Leave out those that ended or expired.")
@click.option(
    "--kind", type=click.Choice([str(it) for it in ListingKind]), help="Only this kind of subject."
)
@click.option("--subject", default="", help="Only this subject; it needs --kind.")
@database_option
@json_option
def list_listings(
    owner: str, active: bool, kind: str | None, subject: str, database: str, as_json: bool
) -> None:
    """List the listings of an owner, with their history."""
    from service.storage import listings

    if subject and kind is None:
        raise click.UsageError("--subject needs --kind")
    found = listings.list_listings(
        opened(database),
        owner,
        None if kind is None else ListingKind(kind),
        subject,
        now_us() if active else None,
    )
    _report(found, as_json)


@click.command()
@click.argument("owner")
@click.argument("rules", nargs=-1, required=True, metavar="RULE...")
@_snooze_expiry
@click.option("--user", default="", help="For this user only; the default is everybody.")
@_policy
@_reason
@database_option
@json_option
def snooze(
    owner: str,
    rules: tuple[str, ...],
    expiry: Expiry,
    user: str,
    policy_id: str,
    reason: str,
    database: str,
    as_json: bool,
) -> None:
    """Turn rules of policies off until a time.

    They are off for everybody, or for one user. A snooze is a listing: `freehold listing list`
    shows it, `freehold listing end` ends it early."""
    kind = ListingKind.USER if user else ListingKind.EVERYBODY
    named = tuple(sorted(rules))
    it = Listing(
        "", 0, ListingEffect.ALLOW, kind, user, named, policy_id, "", 0, "", expiry.instant_us
    )
    _add(database, owner, [it], reason, as_json)


def _subjects_in(file: Path) -> list[tuple[ListingKind, str]]:
    found = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        kind, _, subject = line.strip().partition(" ")
        if not line.strip():
            continue
        if kind not in ListingKind.__members__ or kind == ListingKind.EVERYBODY:
            text = f"{file}, line {number}: must begin with USER, DEVICE or PAYMENT_ACCOUNT"
            raise click.UsageError(text)
        found.append((ListingKind(kind), subject.strip()))
    return found


def _add(database: str, owner: str, wanted: Sequence[Listing], reason: str, as_json: bool) -> None:
    from service.storage import listings
    from service.storage.admin import by_shell

    engine, made = opened(database), list[Listing]()
    for start in range(0, len(wanted), TOGETHER):
        part = wanted[start : start + TOGETHER]
        asked = by_shell("add_listings", [owner, part, reason], "", shell_user())
        listings.add_listings(engine, asked, owner, part, reason, now_us(), _collected(made))
    _report(made, as_json)


def _collected(into: list[Listing]) -> Any:
    """An encoder that keeps the listings, for the report."""

    def encode(made: Sequence[Listing]) -> bytes:
        into.extend(made)
        return b""

    return encode


def _report(listings: Sequence[Listing], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([it._asdict() for it in listings]))
        return
    for it in listings:
        subject = f"{it.kind} {it.subject}".strip()
        rules = f" {', '.join(it.rules)}" if it.rules else ""
        policy = f" under {it.policy_id}" if it.policy_id else ""
        until = f", until {instant_text(it.expire_us)}" if it.expire_us is not None else ""
        ended = ""
        if it.end_us is not None:
            ended = f"; ended {instant_text(it.end_us)} by {it.ended_by}: {it.end_reason}"
        click.echo(
            f"{it.number}  {it.effect}{rules} for {subject}{policy}{until}"
            f"  (since {instant_text(it.create_us)} by {it.created_by}: {it.reason}){ended}"
        )
    if not listings:
        click.echo("no listings")
