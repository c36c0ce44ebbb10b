"""`freehold model impact`: everybody on record under the served model and under a candidate."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.parts import load_model, loaded, numbered, opened, settings_options
from service.cli.settings import derivations_of

if TYPE_CHECKING:
    from models.manifest import Manifest
    from models.spec_columns import Feature
    from service.engine.segments import Segment
    from service.storage.impact import OnRecord


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@settings_options("database", "model", "derivations")
@click.option(
    "--by",
    "names",
    multiple=True,
    metavar="NAME",
    help="Feature on record whose groups are told apart; may be repeated.",
)
@click.option(
    "--json",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the impact to this file, for `freehold model accept --impact FILE`.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the impact to this file as a page, which loads nothing from elsewhere.",
)
def impact(
    folder: Path,
    options: dict[str, Any],
    config_file: Path | None,
    names: tuple[str, ...],
    file: Path | None,
    page: Path | None,
) -> None:
    """Show the effect of promoting the model in FOLDER on everybody.

    People's features on record are scored by the served model (`--model`) and by the one in FOLDER:
    bands, limits, offers, people who can no longer be scored, by segment and by protected column.
    Nothing is changed. The impact ID at the end is the hash of all that was shown."""
    from models.scorer import ModelScorer
    from service.cli import impact_report, impact_segments
    from service.storage.impact import impact as read
    from service.storage.models import kinds_of_models

    settings = loaded(options, config_file).settings
    database = opened(settings.database)
    served = load_model(settings)
    candidate = ModelScorer.load(folder, derivations=derivations_of(settings))
    if served.model_id == candidate.model_id:
        raise click.ClickException(f"{folder}: has the served model, {served.model_id}, itself")
    declared = {it.name: it for it in protected_columns(folder, candidate.manifest)}
    on_record: set[str] = set(kinds_of_models(database))
    failed = Counter[str]()

    def note(error: Exception) -> None:
        # An error itself keeps all of its batch's rows.
        failed[str(error)[:200]] += 1

    def segments_of(record: OnRecord) -> list[Segment]:
        on_record.update(*record.schemas.values())
        if unknown := [it for it in names if it not in on_record]:
            raise click.BadParameter(
                f"no features on record have the name {unknown[0]}", param_hint="--by"
            )
        wanted = [it for it in dict.fromkeys([*declared, *names]) if it in on_record]
        return impact_segments.segments(
            wanted, impact_segments.Known(declared, (candidate, served)), record
        )

    tally, catalog = read(database, served, candidate, segments_of, note)
    models = {
        name: {"model_id": it.model_id, "outcome": it.outcome, "scale": it.scale_version}
        for name, it in (("served", served), ("candidate", candidate))
    }
    protected = {name: name in on_record for name in declared}
    document = impact_report.document_of(tally, catalog, models, protected)
    click.echo(impact_report.shown(document))
    for text, count in failed.most_common(1):
        batches = numbered(failed.total(), "batch", "batches")
        click.echo(f"a model failed in {batches}, in {count} so: {text}", err=True)
    click.echo(f"impact ID: {impact_report.id_of(document)}")
    if file is not None:
        impact_report.write(document, file)
    if page is not None:
        from service.cli import impact_page

        page.write_text(impact_page.of(document), encoding="utf-8")


def protected_columns(folder: Path, manifest: Manifest) -> tuple[Feature, ...]:
    """The protected columns that the spec beside a model declares.

    None without a spec, or with another one than the model's.
    """
    from models import spec
    from models.development import SPEC

    try:
        content = (folder / SPEC).read_bytes()
    except FileNotFoundError:
        return ()
    if hashlib.sha256(content).hexdigest() != manifest.document.get("spec_sha256"):
        return ()
    return spec.load(folder / SPEC).protected
