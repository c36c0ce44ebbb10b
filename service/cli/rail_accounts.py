"""Commands for rail accounts."""

from __future__ import annotations

import click

from service.cli.parts import (
    database_option,
    json_option,
    now_us,
    opened,
    report_rows,
    shell_user,
)
from service.engine.records.rail_accounts import RailAccountRecord, account_name


@click.group("rail-account")
def rail_account() -> None:
    """Add and list the accounts at which payments arrive.

    A payment's reference counts once for its account. Each operator and the platform have an
    account "default" from the start, for payments that name no account."""


@rail_account.command("create")
@click.argument("owner")
@click.argument("name")
@click.option("--currency", default="", help="The only currency of the account, such as CNY.")
@click.option("--label", default="", help="The account's number at the rail, or another label.")
@database_option
@json_option
def create_account(
    owner: str, name: str, currency: str, label: str, database: str, as_json: bool
) -> None:
    """Add an account of an operator or of the platform.

    OWNER is an operator's id, or "platform"."""
    from service.storage import rail_accounts

    made = rail_accounts.create(
        opened(database), owner, name, currency, label, now_us(), shell_user()
    )
    _report([made], as_json)


@rail_account.command("share")
@click.argument("account")
@click.argument("operator")
@click.option(
    "--name",
    default="default",
    show_default=True,
    help='The operator\'s name for the account; "default" takes payments that name no account.',
)
@database_option
@json_option
def share_account(account: str, operator: str, name: str, database: str, as_json: bool) -> None:
    """Let an operator use an account of the platform.

    A reference then counts once for all operators that share the account."""
    from service.storage import rail_accounts

    made = rail_accounts.share(opened(database), account, operator, name, now_us(), shell_user())
    _report([made], as_json)


@rail_account.command("list")
@database_option
@json_option
def list_accounts(database: str, as_json: bool) -> None:
    """List the added accounts. Each shared account is shown with the platform's account that it
    uses."""
    from service.storage import rail_accounts

    _report(rail_accounts.list_accounts(opened(database)), as_json)


def _report(accounts: list[RailAccountRecord], as_json: bool) -> None:
    found = [
        {
            "name": account_name(it.caller, it.name),
            "account": account_name(it.owner, it.account),
            "currency": it.currency,
            "label": it.label,
        }
        for it in accounts
    ]
    report_rows(found, as_json, "no accounts but the default ones")
