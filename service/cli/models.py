"""Commands for the models that people's features are kept for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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


@click.group()
def model() -> None:
    """Register, compare, accept, list, rebuild and retire models.

    PutUsers keeps the features that any registered model knows. A server registers its own model.
    Register the next model before you send its new features, and retire models of the past."""


@model.command("register")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@database_option
@request_option
def register(folder: Path, database: str, request_id: str) -> None:
    """Register the model in FOLDER; a retired one counts again."""
    from models.scorer import ModelScorer
    from service.engine.feature_values import ModelFeatures, kinds_of
    from service.storage.admin import by_shell
    from service.storage.models import register_model

    scorer = ModelScorer.load(folder)
    kinds = kinds_of(scorer.raw_names, scorer.levels)
    described = ModelFeatures(scorer.model_id, scorer.outcome, kinds)
    asked = by_shell("register_model", [scorer.model_id], request_id, shell_user())
    register_model(opened(database), asked, described, now_us())
    click.echo(f"model {scorer.model_id} registered; {len(kinds)} features are kept")


@model.command("accept")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why the difference is justified, for the record.")
@click.option(
    "--impact",
    "impact_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of `freehold model impact --json`; the record names its impact ID.",
)
@click.option(
    "--despite-findings", is_flag=True, help="Accept it with open findings of high severity."
)
@database_option
@request_option
def accept(
    folder: Path,
    reason: str,
    impact_file: Path | None,
    despite_findings: bool,
    database: str,
    request_id: str,
) -> None:
    """Accept the model in FOLDER: its fairness gate, or its impact.

    Two people must do so before a server serves a model that the gate blocks. Each does so as a
    user of their own."""
    from models import fairness_gate, manifest
    from service.cli.impact_report import read_id
    from service.storage.admin import by_shell
    from service.storage.administration import LONGEST_TEXT
    from service.storage.models import SIGNATURES, accept_model, people_who_accept

    verified = manifest.read(folder)
    fine = verified.fairness == fairness_gate.FINE
    if fine and impact_file is None:
        raise click.ClickException(
            f"{folder}: its fairness gate is fine; nothing is to accept but an impact (--impact)"
        )
    model_id = verified.model_id
    # Every build verifies a reason, and none before this one another detail of the act. So what the
    # command adds to a reason must be no words of the person.
    marks = "(impact ", "(despite findings)"
    if any(it in reason for it in marks):
        raise click.BadParameter(
            f"must not have {' or '.join(marks)}: the command adds it", param_hint="--reason"
        )
    whole = reason
    if impact_file is not None:
        whole += f" (impact {read_id(impact_file, model_id)})"
    if despite_findings:
        whole += " (despite findings)"
    if not reason or len(whole) > LONGEST_TEXT:
        left = LONGEST_TEXT - (len(whole) - len(reason))
        raise click.BadParameter(f"must have 1 to {left} characters", param_hint="--reason")
    engine, asked = opened(database), [model_id, whole]
    request = by_shell("accept_model", asked, request_id, shell_user())
    verdict, now = verified.fairness, now_us()
    accept_model(engine, request, model_id, verdict, whole, now, despite_findings=despite_findings)
    people = sorted(people_who_accept(engine, model_id))
    click.echo(f"model {model_id} accepted by {', '.join(people)}")
    if len(people) < SIGNATURES and not fine:
        click.echo("another person must accept it too")


@model.command("retire")
@click.argument("model_id")
@click.option("--reason", required=True, help="Why, for the record.")
@database_option
@request_option
def retire(model_id: str, reason: str, database: str, request_id: str) -> None:
    """Retire a model.

    Features that no other model knows are no longer kept."""
    from service.storage.admin import by_shell
    from service.storage.models import retire_model

    asked = by_shell("retire_model", [model_id, reason], request_id, shell_user())
    retire_model(opened(database), asked, model_id, reason, now_us())
    click.echo("model retired")


@model.command("list")
@database_option
@json_option
def list_all(database: str, as_json: bool) -> None:
    """List the models, the first registered first."""
    from service.storage.database import reading
    from service.storage.findings import high_findings
    from service.storage.models import list_models

    engine = opened(database)
    with reading(engine) as connection:
        high = high_findings(connection)
    found: list[dict[str, Any]] = [
        {
            "model": it.model_id,
            "outcome": it.outcome,
            "features": it.kinds,
            "registered": instant_text(it.register_us),
            "registered_by": it.registered_by,
            "retired": instant_text(it.retire_us),
            "retired_by": it.retired_by or "",
            "reason": it.reason,
            "open_high_findings": [str(number) for number in high.get(it.model_id, ())],
        }
        for it in list_models(engine)
    ]
    if not as_json:
        found = [it | {"features": len(it["features"])} for it in found]
    report_rows(found, as_json, "no models: a server registers its own at its start")
