"""Commands for specs: draft one from a table, and check one before training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import click

from service.cli.parts import missing_library

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@contextmanager
def training_extra() -> Iterator[None]:
    """Names the library that the `train` extra would install, where one is missing."""
    try:
        yield
    except ImportError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        text = f"training needs {missing}, which is not installed: pip install 'freehold[train]'"
        raise click.ClickException(text) from error


@click.group()
def spec() -> None:
    """Draft a model's spec from a table, and check it."""


@spec.command("init")
@click.argument("table", type=FILE)
@click.option("--label", required=True, help="Column of the outcome: its name or position.")
@click.option("--bad", required=True, multiple=True, help="Value of a bad outcome.")
@click.option("--good", multiple=True, help="Value of a good outcome.")
@click.option("--outcome", required=True, help="Name of the bad outcome, such as loan_default.")
@click.option("--horizon", required=True, help="Time in which the outcome counts.")
@click.option("--population", required=True, help="The people in the table.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the spec. Default: beside the table, with the ending .toml.",
)
def init(
    table: Path,
    label: str,
    bad: tuple[str, ...],
    good: tuple[str, ...],
    outcome: str,
    horizon: str,
    population: str,
    out: Path | None,
) -> None:
    """Draft a spec that trains as it is.

    Comments in the draft mark all that a person should decide."""
    with training_extra():
        from models.drafting import Question, draft

    path = out or table.with_name(table.name.split(".")[0] + ".toml")
    if path.exists():
        raise click.ClickException(f"{path} exists; name another file with --out")
    question = Question(label, bad, good, outcome, horizon, population)
    made = draft(table, path, question, date.today())
    path.write_text(made.text, encoding="utf-8")
    click.echo(f"{path}: {made.rows} rows, {made.inputs} input columns")
    for note in made.notes:
        click.echo(f"  look at: {note}")
    click.echo(f"next: freehold spec check {path}")


@spec.command("check")
@click.argument("path", metavar="SPEC", type=FILE)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder that the model would go to; it is checked too.",
)
def check(path: Path, out: Path | None) -> None:
    """Say all that is wrong with a spec and its table, before any fit."""
    with training_extra():
        from models.checking import report

    found = report(path, out)
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    for error in found.errors:
        click.echo(f"error: {error}", err=True)
    if found.errors:
        raise click.exceptions.Exit(1)
    click.echo(f"{path}: nothing is wrong")
