"""The impact of a promotion as a document with an id, and as text."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from models import manifest
from models.rates import Rate, wilson
from models.scorecard import BANDS
from service.cli.parts import instant_text
from service.domain.policy import ALL_OFFERS, Reason
from service.engine.catalog import Catalog
from service.engine.impact import UNSCORABLE, Apart, Effect, Group, Tally, Why
from service.engine.impact_offers import OffersImpact, offers_of
from service.engine.segments import OTHERS
from service.preview.text import money, table

FORMAT = "freehold-impact-1"
SMALL_GROUP = 200
"""Smaller groups are shown and not judged."""
MOST_GROUPS = 50
"""The groups of a segment that are shown, the largest; the people of others are one more group."""
MOST_LADDERS = 20
"""The lists of cut-offs that are shown, those of most products."""
TOO_FEW, MORE_OFTEN, LESS_OFTEN, AS_OFTEN = "too few", "more often", "less often", "as often"

Document = dict[str, Any]


def document_of(
    tally: Tally,
    catalog: Catalog,
    models: Mapping[str, Mapping[str, str]],
    protected: Mapping[str, bool],
) -> Document:
    """The document of an impact.

    `models` describes the served model and the candidate. `protected` says of each protected
    column whether people on record have it. The same database and models give the same document.
    """
    return {
        "format": FORMAT,
        "models": {name: dict(it) for name, it in models.items()},
        "population": {
            "people": tally.everybody.people + tally.apart.total(),
            "compared": tally.everybody.people,
            **{str(it): tally.apart[it] for it in Apart},
            "features_until": instant_text(tally.as_of_us or None),
            "sha256": tally.population_sha256,
        },
        "everybody": _effects(tally.everybody),
        "bands": _bands(tally),
        "limits": [
            {
                "currency": currency,
                "steps": [asdict(it) for it in catalog.limit_steps.get(currency, ())],
                **asdict(tally.money[currency]),
            }
            for currency in sorted(tally.money)
        ],
        "offers": [_offers(it) for it in offers_of(tally.scores, catalog, MOST_LADDERS)],
        "newly_unscorable": _reasons(tally.newly_unscorable),
        "newly_scorable": _reasons(tally.newly_scorable),
        "segments": [
            {
                "name": it.name,
                "protected": it.protected,
                "groups": _groups(tally.groups[it.name], it.names, tally.everybody),
            }
            for it in tally.segments
        ],
        "protected_not_on_record": sorted(it for it, known in protected.items() if not known),
    }


def id_of(document: Mapping[str, Any]) -> str:
    """The id of an impact: the SHA-256 of its document as canonical JSON."""
    return hashlib.sha256(manifest.canonical(document)).hexdigest()


def write(document: Document, path: Path) -> None:
    """Writes the document with its id. Raises OSError."""
    whole = {"impact_id": id_of(document), "impact": document}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_id(path: Path, candidate: str) -> str:
    """The id of the impact in a file, which must be that of promoting this candidate.

    Raises ClickException for any other file, and OSError.
    """
    try:
        whole = json.loads(path.read_bytes())
        document, told = whole["impact"], whole["impact_id"]
        known, found = document["format"] == FORMAT, id_of(document)
        model_id = document["models"]["candidate"]["model_id"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise click.ClickException(
            f"{path}: is no impact: write one by `freehold model impact FOLDER --json FILE`"
        ) from error
    if not known:
        raise click.ClickException(f"{path}: has another format than {FORMAT}")
    if found != told:
        raise click.ClickException(f"{path}: was changed: its content does not have its impact ID")
    if model_id != candidate:
        raise click.ClickException(f"{path}: is the impact of model {model_id}, not {candidate}")
    return found


def _effects(it: Group) -> dict[str, Any]:
    return {str(effect): Rate(it.effects[effect], it.people).as_json() for effect in Effect}


def _bands(tally: Tally) -> Document:
    names = [*(name for name, _ in BANDS), UNSCORABLE]
    return {
        "names": [name or "unscorable" for name in names],
        "people": [[tally.bands[old, new] for new in names] for old in names],
    }


def _offers(it: OffersImpact) -> Document:
    return {
        "cut_offs": [{"from_score": score, "offer": str(offer)} for score, offer in it.ladder],
        "products": ["/".join(name) for name in it.products],
        "names": [str(offer) for offer in ALL_OFFERS],
        "people": [[it.people[old, new] for new in ALL_OFFERS] for old in ALL_OFFERS],
    }


def _reasons(found: Counter[Why]) -> list[Document]:
    """The reasons with their features, that of most people first."""
    return [
        {"reason": reason, "feature": feature, "people": number}
        for (reason, feature), number in sorted(found.items(), key=lambda it: (-it[1], it[0]))
    ]


def _groups(groups: Mapping[str, Group], names: Sequence[str], everybody: Group) -> list[Document]:
    """The largest groups, each with its effects and its verdict: those of `names` in their order,
    then the others by size."""
    order = sorted(groups, key=lambda it: (it == OTHERS, -groups[it].people, it))
    shown = {name: groups[name] for name in order[:MOST_GROUPS]}
    for name in order[MOST_GROUPS:]:
        shown.setdefault(OTHERS, Group()).join(groups[name])
    place = {name: number for number, name in enumerate(names)}
    return [
        {
            "group": name,
            "people": it.people,
            **_effects(it),
            "limits_fall": group_verdict(it, everybody),
        }
        for name, it in sorted(shown.items(), key=lambda it: place.get(it[0], len(place)))
    ]


def group_verdict(it: Group, everybody: Group) -> str:
    """Whether the limits of a group fall more often than those of all other people."""
    others = everybody.people - it.people
    if it.people < SMALL_GROUP or others < SMALL_GROUP:
        return TOO_FEW
    falls = it.effects[Effect.LIMIT_DOWN]
    low, high = wilson(falls, it.people)
    others_low, others_high = wilson(everybody.effects[Effect.LIMIT_DOWN] - falls, others)
    if low > others_high:
        return MORE_OFTEN
    return LESS_OFTEN if high < others_low else AS_OFTEN


WORDS = {
    Effect.LIMIT_UP: "limit rises",
    Effect.LIMIT_DOWN: "limit falls",
    Effect.LIMIT_TO_ZERO: "limit falls to 0",
    Effect.SCORE_UP: "score rises",
    Effect.SCORE_DOWN: "score falls",
    Effect.NEWLY_UNSCORABLE: "newly unscorable",
    Effect.NEWLY_SCORABLE: "newly scorable",
}


REASONS = {
    "newly_unscorable": "Newly unscorable, by the candidate's reason",
    "newly_scorable": "Newly scorable, by the served model's reason",
}


def shown(document: Document) -> str:
    """The text of an impact, with a line break at the end."""
    return "\n".join(_lines(document)) + "\n"


def _lines(it: Document) -> Iterator[str]:
    models, population = it["models"], it["population"]
    for name in ("served", "candidate"):
        yield f"{name}: model {models[name]['model_id']}, {models[name]['outcome']}"
    yield from difference(it)
    yield (
        f"{population['people']:,} people on record, {population['compared']:,} compared;"
        f" not compared: {population['no_features']:,} without features,"
        f" {population['no_consent']:,} without consent, {population['merged']:,} merged"
    )
    if not population["compared"]:
        yield "nobody can be compared"
        return
    yield f"newest features: {population['features_until']}"
    yield from (f"warning: {text}" for text in warnings(it))
    yield ""
    yield "People, by the band (rows: the served model; columns: the candidate)"
    yield from table(matrix(it["bands"]["names"], it["bands"]["people"]))
    yield ""
    rows = [[words, *rate(it["everybody"][effect])] for effect, words in WORDS.items()]
    yield from table([["Effect", "people", "share", "95 % interval"], *rows])
    yield ""
    yield from table(money_rows(it["limits"]))
    for offers in it["offers"]:
        yield ""
        yield from _offer_lines(offers)
    for name, words in REASONS.items():
        if it[name]:
            yield ""
            rows = [[row["reason"], row["feature"], f"{row['people']:,}"] for row in it[name]]
            yield from table([[words, "feature", "people"], *rows])
    for segment in it["segments"]:
        yield ""
        yield from table(segment_rows(segment))
    if it["protected_not_on_record"]:
        yield ""
    yield from not_on_record(it)


def difference(it: Mapping[str, Any]) -> Iterator[str]:
    """The warning that the models do not predict the same."""
    models = it["models"]
    if models["served"]["outcome"] != models["candidate"]["outcome"]:
        yield "the models predict different outcomes: their scores do not mean the same"


def not_on_record(it: Mapping[str, Any]) -> Iterator[str]:
    """A line for each protected column that nobody's features have."""
    for name in it["protected_not_on_record"]:
        yield f"{name} is protected, and no features on record have it: it is not compared"


def warnings(it: Mapping[str, Any]) -> Iterator[str]:
    """The groups that are cut more often than the others, and a remedy for missing features."""
    for segment in it["segments"]:
        names = [
            group["group"] for group in segment["groups"] if group["limits_fall"] == MORE_OFTEN
        ]
        if names:
            protected = " (protected)" if segment["protected"] else ""
            yield (
                f"limits fall more often than among all others by {segment['name']}"
                f"{protected}: {', '.join(names)}"
            )
    lacking = [row for row in it["newly_unscorable"] if row["reason"] == Reason.FEATURE_NOT_SENT]
    if lacking:
        people = sum(row["people"] for row in lacking)
        yield (
            f"features of the candidate were not sent for {people:,} people: register it"
            " (freehold model register) and send them with PutUsers first"
        )


def matrix(names: Sequence[str], people: Sequence[Sequence[int]]) -> list[list[str]]:
    """Counts of people with their sums below, and the heads above."""
    sums = [sum(column) for column in zip(*people, strict=True)]
    rows = [*zip(names, people, strict=True), ("all", sums)]
    return [
        ["", *names, "all"],
        *([name, *(f"{n:,}" for n in row), f"{sum(row):,}"] for name, row in rows),
    ]


def rate(rate: Mapping[str, Any]) -> list[str]:
    """People, their share, and its interval."""
    low, high = rate["interval"]
    return [
        f"{rate['hits']:,}", f"{rate['value']:.1%}", f"{low:.1%} to {high:.1%}"
    ]  # fmt: skip


_MONEY = {
    "lines": "lines",
    "kept": "... whose limit no score changes",
    "up": "... whose limit rises",
    "down": "... whose limit falls",
    "to_zero": "... whose limit falls to 0",
    "out_of_date": "... whose limit now is not the served model's",
    "served_minor": "sum of limits, served model",
    "candidate_minor": "sum of limits, candidate",
    "up_minor": "sum of rises",
    "down_minor": "sum of falls",
    "held_minor": "held now",
    "drawn_minor": "drawn now",
    "above_served": "lines in use above the served model's limit",
    "above_served_minor": "amount above it",
    "above": "lines in use above the candidate's limit",
    "above_minor": "amount above it",
}


def money_rows(limits: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The lines and their amounts, a column for each currency, below the heads."""
    heads = ["Limits (amounts in minor units)", *(it["currency"] for it in limits)]
    return [
        heads,
        *([words, *(money(it[name]) for it in limits)] for name, words in _MONEY.items()),
    ]


def offers_title(it: Mapping[str, Any]) -> str:
    """The products of some offers, with their cut-offs."""
    cut_offs = ", ".join(f"{step['offer']} from {step['from_score']}" for step in it["cut_offs"])
    products = it["products"]
    more = f" and {len(products) - 3:,} more" if len(products) > 3 else ""
    return f"Mildest offer of {', '.join(products[:3])}{more} ({cut_offs}), by the score alone"


def _offer_lines(it: Mapping[str, Any]) -> Iterator[str]:
    yield offers_title(it)
    yield from table(matrix(it["names"], it["people"]))


def segment_rows(it: Mapping[str, Any]) -> list[list[str]]:
    """The groups of a segment below their heads."""
    effects = (Effect.LIMIT_DOWN, Effect.LIMIT_TO_ZERO, Effect.LIMIT_UP, Effect.NEWLY_UNSCORABLE)
    heads = [it["name"] + (" (protected)" if it["protected"] else ""), "people"]
    rows = []
    for group in it["groups"]:
        falls, *others = (rate(group[effect]) for effect in effects)
        shares = [f"{falls[1]} ({falls[2]})", *(share for _, share, _ in others)]
        rows.append([group["group"], f"{group['people']:,}", *shares, group["limits_fall"]])
    return [[*heads, *(WORDS[it] for it in effects), "... than of the others"], *rows]
