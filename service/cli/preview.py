"""Commands that preview a draft of terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from service.cli.document_files import read_table
from service.cli.keys import read_instant_us
from service.cli.parts import database_option, json_option, limits_given, now_us, opened
from service.domain.errors import InvalidInput


def _instant(_context: click.Context, _option: click.Parameter, text: str | None) -> int:
    return now_us() if text is None else read_instant_us(text)


def preview_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of each command that previews a draft."""
    for option in (
        click.option("--width", default=960, show_default=True, type=click.IntRange(360, 4_000),
                     help="Width of the picture in pixels."),
        click.option("--picture", type=click.Path(dir_okay=False, path_type=Path),
                     help="Write a picture of before and after to this file, as SVG."),
        json_option,
        click.option("--product", "products", multiple=True,
                     help="Product that the draft is for; may be repeated. The default is every"
                     " product under terms of the same name."),
        click.option("--until", metavar="INSTANT", callback=_instant,
                     help="End of the time that is decided again (ISO 8601, UTC), for example of a"
                     " sandbox's days. The default is now."),
        click.option("--days", default=30, show_default=True, type=click.IntRange(1, 92),
                     help="Length of the time that is decided again."),
        click.option("--operator", "operator_id", required=True, help="Operator of the terms."),
        database_option,
        click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def policy() -> None:
    """Keep policies: to whom, for which deposit, for how long."""


@policy.command("preview")
@preview_options
def preview_policy(file: Path, **given: Any) -> None:
    """Show what a policy would have done to an operator's last days.

    FILE is a draft of the policy in TOML or JSON. Stored decisions are decided again under it,
    one after the other; nothing is changed."""
    _preview("policy", file, **given)


@click.group()
def product() -> None:
    """Keep products: items with deposit, tariff and policy."""


@product.command("preview")
@preview_options
def preview_product(file: Path, **given: Any) -> None:
    """Show what a product would have done to an operator's last days.

    FILE is a draft of the product in TOML or JSON; it names a tariff and a policy in force.
    Nothing is changed."""
    _preview("product", file, **given)


@click.command("preview")
@preview_options
def preview_tariff(file: Path, **given: Any) -> None:
    """Show what a tariff would have charged for an operator's last days.

    FILE is a draft of the tariff in TOML or JSON. The fees of settled rentals are computed again
    by it; nothing is changed."""
    _preview("tariff", file, **given)


def _preview(
    kind: str,
    file: Path,
    *,
    database: str,
    operator_id: str,
    days: int,
    until: int,
    products: tuple[str, ...],
    as_json: bool,
    picture: Path | None,
    width: int,
) -> None:
    from service.preview.picture import svg
    from service.preview.report import to_json
    from service.preview.run import Asked, preview
    from service.preview.text import shown

    document = read_table(file)
    most = limits_given().previews.most_decisions
    asked = Asked(operator_id, kind, document, frozenset(products), days, until, most)
    try:
        found = preview(opened(database), asked)
    except InvalidInput as error:
        faults = [f"{file}: {it.field}: {it.description}" for it in error.violations]
        raise click.ClickException("\n".join(faults)) from error
    if picture is not None:
        picture.write_text(svg(found, width), encoding="utf-8")
    click.echo(json.dumps(to_json(found)) if as_json else shown(found), nl=as_json)
