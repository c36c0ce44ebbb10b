"""Commands for tariffs as pricing plans of GBFS, and plans as tariffs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from service.cli.document_files import read_table
from service.cli.parts import now_us
from service.cli.toml_text import toml_of
from service.domain.day_tariff_segments import segments_of_days
from service.domain.document_fields import MOST_MINOR
from service.domain.errors import InvalidInput
from service.domain.gbfs_export import GbfsVersion, feed_of, json_of, plans_of
from service.domain.gbfs_import import Imported, plans_of_text, tariff_of_plan
from service.domain.tariff_document import TariffDocument, write_tariff
from service.domain.terms_readers import read_tariff_document

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@contextmanager
def faults_of(where: object) -> Iterator[None]:
    """Tells every fault of a document on a line of its own: where, the key, and what to do.

    Raises ClickException in place of InvalidInput.
    """
    try:
        yield
    except InvalidInput as error:
        faults = [f"{where}: {it.field}: {it.description}" for it in error.violations]
        raise click.ClickException("\n".join(faults)) from error


@click.group()
def tariff() -> None:
    """Keep tariffs, and exchange them as pricing plans of GBFS."""


@tariff.command("export")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--gbfs", is_flag=True, required=True, help="As system_pricing_plans.json of GBFS.")
@click.option(
    "--gbfs-version",
    type=click.Choice([str(it) for it in GbfsVersion]),
    default=str(GbfsVersion.V3_0),
    show_default=True,
    help="Version of GBFS; only 3.1-RC3 has caps.",
)
@click.option(
    "--ttl",
    "ttl_s",
    type=click.IntRange(0, 10**9),
    default=86_400,
    show_default=True,
    help="Seconds until the file is made again.",
)
def export_tariffs(files: tuple[Path, ...], gbfs: bool, gbfs_version: str, ttl_s: int) -> None:
    """Print the tariffs of these FILES in TOML or JSON as pricing plans.

    Each place of a tariff is one more plan. A tariff with a key that a plan cannot express is
    refused, and the key is named. A plan names the buy-out in its description only."""
    version = GbfsVersion(gbfs_version)
    plans: dict[str, Any] = {}
    for file in files:
        table = read_table(file)
        with faults_of(file):
            found = _tariff(table)
            for plan in plans_of(found, version):
                name = plan["plan_id"]
                if name in plans:
                    raise InvalidInput.of("name", "name.twice", f"{name} is in two files")
                plans[name] = plan
    updated = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us())
    text = updated.isoformat(timespec="seconds").replace("+00:00", "Z")
    click.echo(json_of(feed_of(list(plans.values()), version, text, ttl_s)))


@tariff.command("import")
@click.argument("file", type=FILE)
@click.option("--gbfs", is_flag=True, required=True, help="FILE is system_pricing_plans.json.")
@click.option(
    "--buy-out-minor",
    type=click.IntRange(0, MOST_MINOR),
    required=True,
    help="The most that a rental costs, in minor units; an item that is still out is then bought.",
)
@click.option("--plan", "plan_id", default="", help="The id of the plan, if FILE has several.")
@click.option("--name", default="", help="The tariff's name, if it is not the plan's id.")
def import_tariff(file: Path, gbfs: bool, buy_out_minor: int, plan_id: str, name: str) -> None:
    """Print a pricing plan as a tariff in TOML.

    What of the plan a tariff does not keep is told on standard error."""
    with faults_of(file):
        found = _imported(file, plan_id, buy_out_minor, name)
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(toml_of(write_tariff(found.document)), nl=False)


def _imported(file: Path, plan_id: str, buy_out_minor: int, name: str) -> Imported:
    plans = plans_of_text(_text(file))
    if not plan_id and len(plans) == 1:
        (plan_id,) = plans
    if plan_id not in plans:
        text = f"has the plans {', '.join(plans)}: name one of them with --plan"
        raise InvalidInput.of("data.plans", "gbfs.plan", text)
    return tariff_of_plan(plans[plan_id], buy_out_minor, name)


def _tariff(table: dict[str, Any]) -> TariffDocument:
    """The tariff of a document of either arithmetic. Raises InvalidInput."""
    read = read_tariff_document(table)
    if isinstance(read, TariffDocument):
        return read
    return TariffDocument(read.name, read.currency, segments_of_days(read.tariff))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput.of("document", "utf-8", "is no text in UTF-8") from None
