"""One preview from the database to the report."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Engine

from service.domain.errors import InvalidInput, NotFound
from service.domain.listings import ListingKind
from service.domain.rules import Span
from service.engine.catalog import Catalog
from service.preview.bills import fees_of
from service.preview.budgets import budgets_of
from service.preview.drafts import Draft, faults_of_draft, read_draft
from service.preview.exposure import Timeline
from service.preview.history import DAY_US, History
from service.preview.losses import breakers_of
from service.preview.own_view import own_view
from service.preview.presence import counts
from service.preview.quotas import have_quotas, meters_under
from service.preview.read import Window, read_history
from service.preview.read_beside import Wanted
from service.preview.replay import Replayed, Terms
from service.preview.report import Fees, Part, Preview
from service.preview.rulebook import longest_us, read_names
from service.preview.shortcut import replay_fast
from service.preview.sums import columns_of, part_of
from service.preview.traces import signals_of
from service.preview.usages import Usage, read_usages
from service.storage.database import reading, take_time
from service.storage.terms import read_catalog

MOST_DAYS = 92


class Asked(NamedTuple):
    """A question for a preview: a draft, and an operator's last days until `until_us`.

    `document` is the parsed document of a `kind`. `products` are the products that it is for; empty
    means those under terms of its name. `most` bounds the number of decisions.

    With `least_people` the preview tells no more of people than their operator may know: lines
    count as in `own_view`, days are whole days of UTC, and the draft must concern decisions on at
    least so many people. Otherwise a draft for one person would tell the score.
    """

    operator_id: str
    kind: str
    document: Mapping[str, Any]
    products: frozenset[str]
    days: int
    until_us: int
    most: int
    least_people: int = 0


def preview(database: Engine, asked: Asked) -> Preview:
    """Previews a draft in one state of the database, in any time.

    Raises StorageFailed. Raises NotFound for an unknown operator, and Exhausted for too many
    decisions. Raises InvalidInput for a wrong document, a wrong number of days or unknown products.
    """
    if not 1 <= asked.days <= MOST_DAYS:
        raise InvalidInput.of("days", "days.range", f"must be from 1 to {MOST_DAYS}")
    with _without_collector(), reading(database) as connection:
        take_time(connection)
        return _preview(connection, asked)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Rows are many small objects without cycles; looking for cycles took a third of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _preview(connection: Connection, asked: Asked) -> Preview:
    catalog = read_catalog(connection)
    if asked.operator_id not in catalog.operators:
        raise NotFound("operator", asked.operator_id)
    draft = read_draft(
        *(connection, asked.kind, asked.document, asked.operator_id, catalog, asked.products),
        platform=not asked.least_people,
    )
    until_us = asked.until_us
    if asked.least_people:
        until_us -= until_us % DAY_US
    from_us = until_us - asked.days * DAY_US
    window = window_of(asked, from_us, until_us, draft, catalog)
    history = read_history(connection, window, catalog)
    if asked.least_people:
        _require_people(history, draft, asked.least_people)
        history = own_view(history)
    terms = draft.terms(history)
    usages: list[Usage] = []
    if draft.bills:
        own = [it for key, it in catalog.revisions.items() if key[0] == asked.operator_id]
        both = [*own, *(draft.change(it) for it in own if it.product_id in draft.products)]
        quotas = have_quotas(both)
        products = {it.product_id for it in own if quotas and have_quotas([it])} | draft.products
        usages = list(
            read_usages(connection, window, catalog, products, billed=draft.products, quotas=quotas)
        )
    fees = _fees(usages, catalog, draft, asked.operator_id)
    found = _report(history, terms, draft, replay_fast(history, terms), fees)
    faults = faults_of_draft(
        *(connection, draft, asked.document, asked.operator_id), platform=not asked.least_people
    )
    found = found._replace(faults=tuple(faults))
    if any(it.users < asked.least_people for it in found.products):
        # The figures of a few people stand only in the sums.
        return found._replace(products=())
    return found


def window_of(asked: Asked, from_us: int, until_us: int, draft: Draft, catalog: Catalog) -> Window:
    """The window of a preview, with all that its rules read."""
    own = [it for key, it in catalog.revisions.items() if key[0] == asked.operator_id]
    both = [*own, *(draft.change(it) for it in own if it.product_id in draft.products)]
    signals_us = longest_us(both)
    of_day = any(it.span is Span.DAY for one in both for it in budgets_of(one))
    counting = counts(both)
    bearers = {ListingKind.DEVICE, ListingKind.PAYMENT_ACCOUNT}
    listed = any(kind in bearers for _, kind in catalog.listed)
    return Window(
        asked.operator_id,
        from_us,
        until_us,
        asked.most,
        ages=_needs_ages(asked.operator_id, draft, catalog),
        counts=counting,
        beside=Wanted(
            read_names(both),
            signals=frozenset(it.signal for it in signals_of(both)),
            bearers=counting or signals_us > 0 or listed,
            losses=any(map(breakers_of, both)),
        ),
        lead_us=max(signals_us, DAY_US if counting or of_day else 0),
        totals=len(catalog.limit_steps) > 1,
    )


def _require_people(history: History, draft: Draft, least: int) -> None:
    """Raises InvalidInput if the draft concerns decisions on some people, and on too few."""
    own = [place for place, it in enumerate(history.products) if it.product_id in draft.products]
    concerned = history.judged & np.isin(history.product, own)
    people = len(np.unique(history.users[concerned]))
    if 0 < people < least:
        text = f"must have decisions on at least {least} people: ask for more days or products"
        raise InvalidInput.of("days", "days.too_few_people", text)


Bills = Mapping[str, tuple[Fees, ...]]
"""The fees by product; those of all products under an empty name."""


def _fees(usages: list[Usage], catalog: Catalog, draft: Draft, operator_id: str) -> Bills:
    in_force = {key[1:]: it for key, it in catalog.revisions.items() if key[0] == operator_id}
    # A rental of another product keeps the place that its revision has.
    drafts = {
        name: draft.change(it) if it.product_id in draft.products else replace(it, by_station={})
        for name, it in in_force.items()
    }
    # People use the same minutes for all products whose tariffs have a quota of one name.
    quotas = have_quotas((*in_force.values(), *drafts.values()))
    meters = meters_under(usages, drafts) if quotas else {}
    billed = [it for it in usages if it.billed]
    parts: dict[str, list[Usage]] = {"": billed} if billed else {}
    for it in billed:
        parts.setdefault(it.product_id, []).append(it)
    return {name: fees_of(them, in_force, drafts, meters) for name, them in parts.items()}


def _needs_ages(operator_id: str, draft: Draft, catalog: Catalog) -> bool:
    """True if features may be too old under the draft, or only in force."""
    return any(
        draft.change(it).policy.max_feature_age_us != it.policy.max_feature_age_us
        for key, it in catalog.revisions.items()
        if key[0] == operator_id and key[1] in draft.products
    )


def _report(history: History, terms: Terms, draft: Draft, found: Replayed, fees: Bills) -> Preview:
    columns, timeline = columns_of(found), Timeline(history)
    every = np.ones(len(history), dtype=np.bool_)
    parts = list[Part]()
    for name in sorted({it.product_id for it in history.products}):
        own = np.array([it.product_id == name for it in history.products])
        part = part_of(
            history, found, columns, timeline, own[history.product], name, fees.get(name, ())
        )
        if part.decisions:
            parts.append(part)
    whole = part_of(history, found, columns, timeline, every, "", fees.get("", ()))
    return Preview(
        history.operator_id,
        draft.kind,
        draft.name,
        history.from_us,
        history.until_us,
        whole,
        tuple(parts),
        _notes(whole, draft, found, history),
    )


def _notes(whole: Part, draft: Draft, found: Replayed, history: History) -> tuple[str, ...]:
    """Sentences about the limits of the figures."""
    notes = []
    if history.left_out:
        notes.append(
            f"{history.left_out} decisions were made under revisions of products that make no"
            " sense. They are in no figure; the server's log names the rows (terms_wrong)."
        )
    if history.without_total:
        notes.append(
            f"{history.without_total} decisions kept no free part under a total exposure: they were"
            " made without one, or by an earlier build. There the free part of the line counts,"
            " and it may be more than the total exposure left."
        )
    if draft.left_out:
        notes.append(
            f"The draft has {', '.join(draft.left_out)}. They are not decided again: the figures"
            " are those of its other rules. Where these give the same offer as the terms in force,"
            " a decision stays as it was made."
        )
    for name, rows in sorted(found.conditions.unknown.items()):
        notes.append(
            f"Not known for {len(rows)} decisions: a condition reads {name}, which was not kept."
            " There the condition counts as true at one end and as false at the other."
        )
    if not whole.exact:
        notes.append(
            "A range has the least and the most that is possible: where the draft asks people for"
            " more or for less, nobody knows what they would have done."
        )
    if draft.bills:
        notes.append(
            "Fees are of rentals that are settled, for the same usage under both tariffs. Of prices"
            " of places, those of the order's station count, or all if a later call may have told"
            " another one. What people would have done at other prices is not known."
        )
    if whole.repeated < whole.decisions:
        notes.append(
            f"{whole.decisions - whole.repeated} decisions do not follow from the stored values"
            " under the terms in force; they count as changed only if the draft decides otherwise."
        )
    notes.append(
        "Money is of rentals that happened. Holds count as first decided, without later increments"
        " and decreases. Decisions of other operators, and the use of lines in other currencies,"
        " stay as they were."
    )
    return tuple(notes)
