"""The commands that make models."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path

import click

from service.cli.parts import missing_library

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """Seconds, from texts such as 90, 90s, 15m and 2h."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds of a text; fails the command for any other text."""
        found = re.fullmatch(r"(\d{1,7})([smh]?)", str(value))
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is not a time such as 90s, 15m or 2h", param, ctx)
        return float(int(found[1]) * _UNITS[found[2]])


@click.command()
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="TOML file that describes the data and the model.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the model and its figures.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="Processes that train at the same time.",
)
@click.option(
    "--budget",
    type=Duration(),
    default="20m",
    show_default=True,
    help="Processor time of the training, such as 90s, 15m or 2h. It decides how many recipes are "
    "compared and how thoroughly. A spec that pins a recipe needs none.",
)
def train(spec: Path, out: Path, jobs: int, budget: float) -> None:
    """Train and cross-validate the credit model.

    Without a recipe in the spec, a scorecard and trees are compared, and the better one is
    written."""
    try:
        # Training imports it only after minutes; a missing library is reported now.
        import_module("sklearn.linear_model")
        from models.report import print_metrics
        from models.train import train as run
    except ImportError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        text = f"training needs {missing}, which is not installed: pip install 'freehold[train]'"
        raise click.ClickException(text) from error

    print_metrics(run(spec, out, jobs=jobs, budget_s=budget))
