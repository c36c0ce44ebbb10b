"""The impact of a promotion as a page, which a committee reads without a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from models import charts, html
from service.cli import impact_report as report
from service.engine.impact import Effect

Document = Mapping[str, Any]


def of(document: Document) -> str:
    """The page of an impact, which follows from its document alone."""
    models = document["models"]
    head = "".join(
        f'<p class="id">{words} model: {escape(models[name]["model_id"])}, '
        f"{escape(models[name]['outcome'])}</p>\n"
        for name, words in (("served", "Served"), ("candidate", "New"))
    )
    head += f'<p class="id">Impact ID: {report.id_of(document)}</p>\n'
    with charts.without_checks():
        return html.page("Impact of a promotion", head, _sections(document))


def _sections(it: Document) -> Iterator[str]:
    population = it["population"]
    about = (
        f"{population['people']:,} people on record, {population['compared']:,} compared. Not"
        f" compared: {population['no_features']:,} without features, {population['no_consent']:,}"
        f" without consent, {population['merged']:,} merged."
    )
    if not population["compared"]:
        yield html.section("warnings", "Warnings", about, "<p>Nobody can be compared.</p>\n")
        return
    about += f" Newest features: {population['features_until']}."
    found = [*report.difference(it), *report.warnings(it)]
    items = "".join(f'<p class="warning">{escape(text)}.</p>\n' for text in found)
    yield html.section("warnings", "Warnings", about, items or "<p>None.</p>\n")
    yield _bands(it["bands"])
    yield _effects(it["everybody"])
    rows = report.money_rows(it["limits"])
    yield html.section("limits", "Limits", "", html.table(rows[0], rows[1:]))
    if it["offers"]:
        yield html.section("offers", "Mildest offers", "", *_offers(it))
    if reasons := [*_reasons(it)]:
        yield html.section("scores", "People without a score", "", *reasons)
    if it["segments"] or it["protected_not_on_record"]:
        yield _segments(it)


def _bands(bands: Document) -> str:
    names, people = bands["names"], bands["people"]
    before = [sum(row) for row in people]
    after = [sum(column) for column in zip(*people, strict=True)]
    rows = report.matrix(names, people)
    return html.section(
        "bands",
        "Score bands",
        "Rows: the band by the served model. Columns: the band by the new one.",
        html.pair(
            html.figure(
                charts.two_counts(names, before, after),
                "People in each band: grey by the served model, dark by the new one.",
            ),
            html.table(rows[0], rows[1:]),
        ),
    )


def _effects(everybody: Document) -> str:
    effects = [(words, everybody[effect]) for effect, words in report.WORDS.items()]
    return html.section(
        "effects",
        "Effects on people",
        "Shares of the people who are compared.",
        html.table(
            ("Effect", "People", "Share", "95 % interval"),
            [(words, *report.rate(rate)) for words, rate in effects],
            [rate["value"] for _, rate in effects],
        ),
    )


def _offers(it: Document) -> Iterator[str]:
    for offers in it["offers"]:
        yield f"<h3>{escape(report.offers_title(offers))}</h3>\n"
        rows = report.matrix(offers["names"], offers["people"])
        yield html.table(rows[0], rows[1:])


def _reasons(it: Document) -> Iterator[str]:
    for name, words in report.REASONS.items():
        if it[name]:
            rows = [(row["reason"], row["feature"], f"{row['people']:,}") for row in it[name]]
            yield html.table((words, "Feature", "People"), rows)


def _segments(it: Document) -> str:
    parts = []
    for segment in it["segments"]:
        rows = report.segment_rows(segment)
        shares: Sequence[float] = [group[Effect.LIMIT_DOWN]["value"] for group in segment["groups"]]
        parts.append(f"<h3>{escape(rows[0][0])}</h3>\n")
        parts.append(html.table(("Group", *rows[0][1:]), rows[1:], shares))
    parts += [f"<p>{escape(text)}.</p>\n" for text in report.not_on_record(it)]
    return html.section(
        "segments",
        "Groups of people",
        "The bar is the share whose limit falls; the last column compares it with that of all"
        " others. Groups with fewer than 200 people are not judged.",
        *parts,
    )
