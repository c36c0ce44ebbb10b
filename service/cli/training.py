"""The commands that make models."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

from service.cli.specs import training_extra

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


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 1_024),
    show_default="one for each core, and fewer for a large table",
    help="Processes that train at the same time. Each takes about twice the table's memory.",
)


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
    help="Folder for the model and its figures. It may not have another model.",
)
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of all versions, instead of --out: the model gets a folder of its own there, "
    "named by its id.",
)
@jobs_option
@click.option(
    "--budget",
    type=Duration(),
    default="20m",
    show_default=True,
    help="Processor time of the training, such as 90s, 15m or 2h. It decides how many recipes are "
    "compared and how thoroughly. A spec that pins a recipe needs none.",
)
def train(
    spec: Path, out: Path | None, models: Path | None, jobs: int | None, budget: float
) -> None:
    """Train and cross-validate the credit model.

    Without a recipe in the spec, a scorecard and trees are compared, and the better one is
    written."""
    if (out is None) == (models is None):
        raise click.UsageError(
            "name one folder: --out for this model, or --models for all versions"
        )
    training = _training()
    from models.report import print_metrics

    if out is not None:
        print_metrics(training.train(spec, out, jobs=jobs, budget_s=budget))
    elif models is not None:
        folder, metrics = training.train_version(spec, models, jobs=jobs, budget_s=budget)
        print_metrics(metrics)
        click.echo(f"Written to {folder}")


@click.command()
@click.argument("model_id", metavar="ID")
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of all versions.",
)
@jobs_option
def rebuild(model_id: str, models: Path, jobs: int | None) -> None:
    """Make a model again from the sample that it keeps, and compare.

    ID may be the beginning of an id. Nothing is written."""
    training = _training()
    from models.manifest import find

    found = training.rebuild(find(models, model_id), jobs=jobs)
    click.echo(f"model {found}: the sample gives the same model")


def _training() -> ModuleType:
    """The module that trains; a missing library is reported before a fit needs it."""
    with training_extra():
        # The report's libraries, which are imported only once the fits are done.
        import_module("altair")
        import_module("vl_convert")
        return import_module("models.train")
