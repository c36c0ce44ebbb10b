"""`freehold stand-ins`: stand-in decisions beside those of the model."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.parts import (
    instant_text,
    json_option,
    load_model,
    loaded,
    now_us,
    numbered,
    opened,
    settings_options,
)

if TYPE_CHECKING:
    from service.engine.stand_ins import Compared


@click.command("stand-ins")
@settings_options("database", "model", "derivations")
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(1, 3_660),
    help="Length of the time until now.",
)
@json_option
def stand_ins(options: dict[str, Any], config_file: Path | None, days: int, as_json: bool) -> None:
    """Compare stand-in decisions with those of the model.

    If the model fails on a person's features, the full deposit is asked for, with the reason
    STAND_IN_DECISION. This scores the same features now and tells whether the offer would have been
    another one. Nothing is changed."""  # fmt: skip
    from service.engine.scoring import Assessor
    from service.engine.stand_ins import compare
    from service.storage.stand_ins import stand_ins as read
    from service.storage.store import SqlStore

    settings = loaded(options, config_file).settings
    engine = opened(settings.database)
    since_us = now_us() - timedelta(days=days) // timedelta(microseconds=1)
    found = read(engine, since_us)
    store = SqlStore(engine)
    compared: list[Compared] = []
    if found:
        assessor = Assessor(store, load_model(settings))
        compared = compare(found, assessor, store.catalog().revisions)
    if as_json:
        click.echo(json.dumps([_record(it) for it in compared]))
        return
    for it in compared:
        made = it.stand_in
        again = f"{it.offer or 'DECLINED'} at {it.score}" if not it.why else it.why
        name = f"users/{made.user_id}/authorizations/{made.authorization_id}"
        mark = "differs" if it.differs else "the same" if not it.why else "not compared"
        at = instant_text(made.decide_us)
        click.echo(f"{at} {name}: {made.offer or 'DECLINED'}, by the model {again}: {mark}")
    differing = sum(it.differs for it in compared)
    decisions = numbered(len(compared), "stand-in decision")
    click.echo(f"{decisions} in {numbered(days, 'day')}, {differing} differ")


def _record(it: Compared) -> dict[str, object]:
    made = it.stand_in
    return {
        "decision_id": made.decision_id,
        "authorization": f"users/{made.user_id}/authorizations/{made.authorization_id}",
        "decide_us": made.decide_us,
        "offer": made.offer,
        "score": it.score,
        "model_offer": it.offer,
        "not_compared": it.why,
        "differs": it.differs,
    }
