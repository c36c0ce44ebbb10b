"""`freehold model finding`: what reviewers found wrong with a model, until another person closes
it."""

from __future__ import annotations

import click

from service.cli.parts import (
    NUMBER,
    database_option,
    instant_text,
    json_option,
    now_us,
    opened,
    report_rows,
    request_option,
    shell_user,
)


@click.group()
def finding() -> None:
    """Open, close and list findings on models.

    A model with an open finding of high severity is accepted only with --despite-findings."""


@finding.command("open")
@click.argument("model_id")
@click.option(
    "--severity", required=True, type=click.Choice(("low", "medium", "high")), help="How bad it is."
)
@click.option("--text", required=True, help="The finding, for the record.")
@database_option
@request_option
def open_one(model_id: str, severity: str, text: str, database: str, request_id: str) -> None:
    """Open a finding on a registered model."""
    from service.storage.admin import by_shell
    from service.storage.findings import open_finding

    asked = by_shell("open_finding", [model_id, severity, text], request_id, shell_user())
    number = open_finding(opened(database), asked, model_id, severity, text, now_us())
    click.echo(f"finding {number.decode()} opened")


@finding.command("close")
@click.argument("model_id")
@click.argument("number", type=NUMBER)
@click.option("--text", required=True, help="What was done about it, for the record.")
@database_option
@request_option
def close_one(model_id: str, number: int, text: str, database: str, request_id: str) -> None:
    """Close a finding that another person opened."""
    from service.storage.admin import by_shell
    from service.storage.findings import close_finding

    asked = by_shell("close_finding", [model_id, str(number), text], request_id, shell_user())
    close_finding(opened(database), asked, model_id, number, text, now_us())
    click.echo("finding closed")


@finding.command("list")
@click.argument("model_id", default="")
@database_option
@json_option
def list_all(model_id: str, database: str, as_json: bool) -> None:
    """List the findings on a model, or on all, the first opened first."""
    from service.storage.findings import list_findings

    rows = [
        {
            "model": it.model_id,
            "finding": str(it.number),
            "severity": it.severity,
            "text": it.text,
            "opened": instant_text(it.open_us),
            "opened_by": it.opened_by,
            "closed": instant_text(it.close_us),
            "closed_by": it.closed_by,
            "close_text": it.close_text,
        }
        for it in list_findings(opened(database), model_id)
    ]
    report_rows(rows, as_json, "no findings")
