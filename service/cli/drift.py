"""`freehold model drift`: the people on record beside those of the model's training."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from service.cli.keys import read_instant_us
from service.cli.parts import load_model, loaded, numbered, opened, settings_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.scorer import ModelScorer
    from models.spec_monitoring import Monitoring
    from models.stability import Drift
    from service.engine.records.users import UserFeatures

ALARM = 3
"""The exit code of a light that --fail-on names; 1 and 2 are those of an error."""

MERGED = "merged into another person"
NO_CONSENT = "without consent"
NO_FEATURES = "without features"
OLDER = "with older features"


class People(NamedTuple):
    """A portion of people: (n, k) raw values in the model's order, those that were not sent, and
    (n,) scores, NaN without one."""

    raw: NDArray[np.float64]
    unsent: NDArray[np.bool_]
    score: NDArray[np.float64]


@click.command("drift")
@settings_options("database", "model", "derivations")
@click.option(
    "--since",
    metavar="INSTANT",
    help="Only people whose features are from this time on (ISO 8601, UTC), for example of the"
    " last month.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all bins to this file.",
)
@click.option(
    "--fail-on",
    type=click.Choice(("amber", "red")),
    help=f"Exit with {ALARM} if a light is this one, or worse. Too few people are no alarm.",
)
def drift(
    options: dict[str, Any],
    config_file: Path | None,
    since: str | None,
    json_file: Path | None,
    fail_on: str | None,
) -> None:
    """Compare the people on record with those of the model's training.

    Counts each person once, with the latest features, and prints the population stability index of
    the score and of each raw column, the worst first. The thresholds are those of the model's spec
    ([monitoring]). Nothing is changed."""
    from models import stability
    from models.monitored import Columns
    from models.spec_monitoring import HOUSE, from_json

    since_us = None if since is None else read_instant_us(since)
    settings = loaded(options, config_file).settings
    model = load_model(settings)
    document = model.manifest.document
    kept = document.get("monitoring")
    rules = HOUSE if kept is None else from_json(kept["rules"])
    watch = stability.Watch(Columns(document, model.manifest.raw, model.domain))
    apart = _count(opened(settings.database), model, watch, since_us)
    found = watch.drift(rules)
    click.echo(f"model {model.model_id}")
    if kept is None:
        click.echo(
            "the model is of an earlier build: without a reference of scores, with the house rules,"
            " and with the rows that it learned from as the reference of the columns"
        )
    others = ", ".join(f"{n} {why}" for why, n in apart.items())
    left_out = f"; left out: {others}" if others else ""
    click.echo(f"{numbered(watch.people, 'person', 'people')} compared{left_out}")
    for line in _table(found):
        click.echo(line)
    for light in (stability.RED, stability.AMBER):
        names = [it.name for it in found if it.light == light]
        if names:
            review = next(it.review for it in found if it.light == light)
            click.echo(f"{light}: {review} ({', '.join(names)})")
    if json_file is not None:
        told = _record(model.model_id, watch.people, apart, rules, found, kept is None)
        json_file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    worst = max((stability.LIGHTS.index(it.light) for it in found), default=0)
    if fail_on is not None and worst >= stability.LIGHTS.index(fail_on):
        raise click.exceptions.Exit(ALARM)


def _count(engine: Any, model: ModelScorer, watch: Any, since_us: int | None) -> dict[str, int]:
    """Counts everybody on record; the numbers of those who are left out, by their reason."""
    from service.storage.database import reading, take_time
    from service.storage.latest_features import everybody, schemas

    apart: Counter[str] = Counter()
    with reading(engine) as connection:
        take_time(connection)
        names = schemas(connection)
        for portion in everybody(connection):
            whole = []
            for it in portion:
                why = _left_out(it, since_us)
                if why:
                    apart[why] += 1
                else:
                    whole.append(it)
            if whole:
                watch.add(*people_of(whole, names, model))
    return {why: apart[why] for why in (MERGED, NO_CONSENT, NO_FEATURES, OLDER) if apart[why]}


def _left_out(it: UserFeatures, since_us: int | None) -> str:
    """The reason for which a person is not compared, or empty."""
    if it.alias_of not in ("", it.user_id):
        return MERGED
    if not it.scoring_consent:
        return NO_CONSENT
    if it.raw is None or it.schema_id is None or it.as_of_us is None:
        return NO_FEATURES
    return OLDER if since_us is not None and it.as_of_us < since_us else ""


def people_of(
    people: Iterable[UserFeatures], names: Mapping[str, Sequence[str]], model: ModelScorer
) -> People:
    """People with features, as the model sees them; `names` are those of each schema's values.

    A row with a value of another kind than the model wants counts as not sent.
    """
    import numpy as np

    from models.scorer import Scored
    from service.engine.feature_values import OtherKind, kinds_of, number_texts, unpack

    kinds = kinds_of(model.raw_names, model.levels)
    rows, unsent = [], []
    for it in people:
        sent = dict(zip(names[it.schema_id or ""], unpack(it.raw or b""), strict=True))
        try:
            sent = number_texts(sent, it.texts or "", kinds, model.levels)
        except OtherKind:
            sent = {}
            unsent.append([True] * len(model.raw_names))
        else:
            unsent.append(
                [name not in sent and name not in model.absent_names for name in model.raw_names]
            )
        rows.append([sent.get(name, math.nan) for name in model.raw_names])
    raw, missing = np.array(rows, dtype="<f8"), np.array(unsent, dtype=np.bool_)
    score = np.full(raw.shape[0], math.nan)
    whole = np.flatnonzero(~missing.any(axis=1))
    results = model.score([raw[i].tobytes() for i in whole.tolist()])
    score[whole] = [it.score if isinstance(it, Scored) else math.nan for it in results]
    return People(raw, missing, score)


def _table(found: Sequence[Drift]) -> list[str]:
    """Lines of a table: the light, the index with its critical value, and the bin that moved
    most."""
    width = max((len(it.name) for it in found), default=0)
    lines = [f"{'':{width}}  light     PSI  by chance  bins  moved most"]
    for it in found:
        head = f"{it.name:{width}}  {it.light:7}"
        if not any(b.now for b in it.bins):
            lines.append(head.rstrip())
            continue
        most = it.most_moved
        before, now = (max(sum(of), 1) for of in zip(*(b[1:] for b in it.bins), strict=True))
        moved = f"{most.name}: {most.reference / before:.1%} to {most.now / now:.1%}"
        lines.append(f"{head} {it.psi:6.3f}     {it.critical:6.3f}  {len(it.bins):4}  {moved}")
    return lines


def _record(
    model_id: str,
    people: int,
    apart: Mapping[str, int],
    rules: Monitoring,
    found: Sequence[Drift],
    earlier: bool,
) -> dict[str, Any]:
    from models.spec_monitoring import to_json

    return {
        "model": model_id,
        "people": people,
        "left_out": dict(apart),
        "rules": to_json(rules),
        "reference": "learned rows" if earlier else "training rows, and scores out of fold",
        "columns": [it._asdict() | {"bins": [bin_._asdict() for bin_ in it.bins]} for it in found],
    }
