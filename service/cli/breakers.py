"""Commands for breakers and budgets: what the policies of an operator allow now."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from service.cli.parts import (
    NUMBER,
    database_option,
    instant_text,
    json_option,
    now_us,
    numbered,
    opened,
    shell_user,
)
from service.domain.breakers import OpenedBreaker


@click.group()
def breaker() -> None:
    """List breakers with their losses, and close them."""


@breaker.command("list")
@click.argument("operator_id", metavar="OPERATOR")
@click.option("--open", "open_only", is_flag=True, help="Leave out those that were closed.")
@database_option
@json_option
def list_breakers(operator_id: str, open_only: bool, database: str, as_json: bool) -> None:
    """List the openings of an operator's breakers with their losses."""
    from service.storage import breakers

    _report(breakers.list_breakers(opened(database), operator_id, open_only=open_only), as_json)


@breaker.command("reset")
@click.argument("operator_id", metavar="OPERATOR")
@click.argument("number", type=NUMBER)
@click.option("--reason", required=True, help="Why, for the record.")
@database_option
@json_option
def reset_breaker(operator_id: str, number: int, reason: str, database: str, as_json: bool) -> None:
    """Close a breaker by its number; from then on only later losses count."""
    from service.storage import breakers
    from service.storage.admin import by_shell

    asked = by_shell("reset_breaker", [operator_id, number, reason], "", shell_user())
    closed: list[OpenedBreaker] = []

    def keep(it: OpenedBreaker) -> bytes:
        closed.append(it)
        return b""

    breakers.reset_breaker(opened(database), asked, operator_id, number, reason, now_us(), keep)
    _report(closed, as_json)


def _report(found: Sequence[OpenedBreaker], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([it._asdict() for it in found]))
        return
    for it in found:
        closed = ""
        if it.close_us is not None:
            why = f": {it.close_reason}" if it.close_reason else ""
            closed = f"; closed {instant_text(it.close_us)} by {it.closed_by}{why}"
        click.echo(
            f"{it.number}  {it.policy_id} revision {it.policy_revision}: losses of"
            f" {it.loss_minor} {it.currency} in {numbered(it.rentals, 'rental')} since"
            f" {instant_text(it.since_us)}, at most {it.most_minor} are allowed; opened"
            f" {instant_text(it.open_us)}{closed}"
        )
    if not found:
        click.echo("no openings")


@click.group()
def budget() -> None:
    """See how much of the budgets of exposure is used."""


@budget.command("list")
@click.argument("operator_id", metavar="OPERATOR")
@database_option
@json_option
def list_budgets(operator_id: str, database: str, as_json: bool) -> None:
    """List the budgets under which an operator rents out, in minor units."""
    from service.storage import budgets

    found = budgets.list_budgets(opened(database), operator_id, now_us())
    if as_json:
        click.echo(json.dumps([it._asdict() for it in found]))
        return
    for it in found:
        click.echo(
            f"{it.policy_id} {it.span} {it.currency}: {it.used_minor} of {it.most_minor} used,"
            f" {it.leased_minor} leased, {it.left_minor} left, next slice {it.next_slice_minor}"
        )
    if not found:
        click.echo("no budgets")
