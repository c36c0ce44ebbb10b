"""The document of the platform's bounds, inside which operators' own terms must stay.

`service/data/examples/bounds.toml` has every key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from service.domain.document_fields import (
    CURRENCY,
    MOST_MINOR,
    MOST_SCORE,
    NAME,
    Fields,
    require_none,
)
from service.domain.documents import DocumentKind, Table
from service.domain.errors import Violation
from service.domain.jurisdictions import ID as JURISDICTION
from service.domain.policy import Policy
from service.domain.policy_document import MOST_US, TIMES, UNITS
from service.domain.product_document import ProductDocument
from service.domain.rules_document import SHARE_BP

DEFAULT_BOUNDS = "default"
"""The name of the bounds of every operator."""
MOST_BOUNDS = 200
"""The most jurisdictions or currencies of a document."""
KIND = re.compile("|".join(DocumentKind))


class AmountBound(NamedTuple):
    """Bounds of a product in a currency, in minor units; None means no bound."""

    currency: str
    most_deposit_minor: int | None = None
    most_hold_minor: int | None = None


class Bounds(NamedTuple):
    """The bounds of operators' terms; None means no bound.

    `longest` has the longest time of some columns of policies, in microseconds, sorted.
    """

    name: str = DEFAULT_BOUNDS
    least_zero_from_score: int | None = None
    least_reduced_from_score: int | None = None
    most_credit_share_bp: int | None = None
    most_increments: int | None = None
    longest: tuple[tuple[str, int], ...] = ()
    amount: tuple[AmountBound, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    second_person: tuple[str, ...] = ()

    def over(self, wider: Bounds) -> Bounds:
        """These bounds, and the wider ones where these have none. Lists are joined."""
        amounts = {it.currency: it for it in (*wider.amount, *self.amount)}
        own = {name: value for name, value in self._asdict().items() if value not in (None, ())}
        return wider._replace(
            **own
            | {
                "longest": tuple(sorted({**dict(wider.longest), **dict(self.longest)}.items())),
                "amount": tuple(sorted(amounts.values())),
                "jurisdictions": tuple(sorted({*wider.jurisdictions, *self.jurisdictions})),
                "second_person": tuple(sorted({*wider.second_person, *self.second_person})),
            }
        )


NO_BOUNDS = Bounds()


def read_bounds(table: Table) -> Bounds:
    """Reads a document of bounds. Raises InvalidInput (TERMS_WRONG) with all faults."""
    faults: list[Violation] = []
    it = Fields(table, faults)
    bounds = Bounds(
        it.text("name", NAME),
        it.maybe_whole("least_zero_from_score", -MOST_SCORE, MOST_SCORE),
        it.maybe_whole("least_reduced_from_score", -MOST_SCORE, MOST_SCORE),
        it.maybe_whole("most_credit_share_bp", 0, SHARE_BP),
        it.maybe_whole("most_increments", 0, MOST_SCORE),
        _read_longest(it),
        _read_amounts(it),
        tuple(sorted(it.texts("jurisdictions", JURISDICTION, MOST_BOUNDS))),
        tuple(sorted(it.texts("second_person", KIND, len(DocumentKind)))),
    )
    it.end()
    require_none(faults)
    return bounds


def _read_longest(document: Fields) -> tuple[tuple[str, int], ...]:
    if not document.has("longest"):
        return ()
    it = Fields(document.take("longest"), document.faults, "longest")
    found = []
    for time in TIMES:
        key, unit_us = f"{time.name}_{time.unit}", UNITS[time.unit]
        longest = it.maybe_whole(key, 0, MOST_US // unit_us)
        if longest is not None:
            found.append((f"{time.name}_us", longest * unit_us))
    it.end()
    return tuple(sorted(found))


def _read_amounts(document: Fields) -> tuple[AmountBound, ...]:
    found: list[AmountBound] = []
    for it in document.tables("amount", MOST_BOUNDS):
        one = AmountBound(
            it.text("currency", CURRENCY),
            it.maybe_whole("most_deposit_minor", 0, MOST_MINOR),
            it.maybe_whole("most_hold_minor", 0, MOST_MINOR),
        )
        if any(one.currency == other.currency for other in found):
            it.fault("currency", "repeated", f"{one.currency} has bounds already: join the two")
        it.end()
        found.append(one)
    return tuple(sorted(found))


def write_bounds(bounds: Bounds) -> dict[str, Any]:
    """The document of bounds; absent values are left out."""
    longest = dict(bounds.longest)
    written: dict[str, Any] = {
        **bounds._asdict(),
        "longest": {
            f"{it.name}_{it.unit}": longest[f"{it.name}_us"] // UNITS[it.unit]
            for it in TIMES
            if f"{it.name}_us" in longest
        },
        "amount": [
            {key: value for key, value in it._asdict().items() if value is not None}
            for it in bounds.amount
        ],
        "jurisdictions": list(bounds.jurisdictions),
        "second_person": list(bounds.second_person),
    }
    return {name: value for name, value in written.items() if value not in (None, [], {})}


def policy_outside(policy: Policy, bounds: Bounds) -> tuple[Violation, ...]:
    """Each bound that a policy breaks, by the name of the bound."""
    return tuple(_policy_outside(policy, bounds))


def _policy_outside(policy: Policy, bounds: Bounds) -> Iterator[Violation]:
    rules = policy.rules
    ladder = None if rules is None else rules.ladder
    for place, rung in enumerate(ladder or ()):
        path = f"ladder[{place}]"
        if rung.credit_share_bp == SHARE_BP:
            yield from _least(f"{path}.from_score", rung.from_score, bounds, _ZERO)
        elif rung.credit_share_bp:
            yield from _least(f"{path}.from_score", rung.from_score, bounds, _REDUCED)
            yield from _share(f"{path}.credit_share_bp", rung.credit_share_bp, bounds)
    if ladder is None:
        yield from _cut_offs("", policy, bounds)
    for place, cut_off in enumerate((None if rules is None else rules.cut_off) or ()):
        yield from _cut_offs(f"cut_off[{place}].", cut_off, bounds)
    for column, longest_us in bounds.longest:
        time_us = getattr(policy, column)
        if time_us is None or time_us > longest_us:
            unit = next(it for it in TIMES if f"{it.name}_us" == column)
            key = f"{unit.name}_{unit.unit}"
            text = f"must be at most {longest_us // UNITS[unit.unit]}"
            yield _outside(key, f"longest.{key}", text)
    most = bounds.most_increments
    if most is not None and (policy.most_increments is None or policy.most_increments > most):
        yield _outside("most_increments", "most_increments", f"must be at most {most}")


_ZERO, _REDUCED = "least_zero_from_score", "least_reduced_from_score"


def _cut_offs(path: str, it: Any, bounds: Bounds) -> Iterator[Violation]:
    """The broken bounds of two cut-offs with a share, which may be None."""
    yield from _least(f"{path}zero_from_score", it.zero_from_score, bounds, _ZERO)
    yield from _least(f"{path}reduced_from_score", it.reduced_from_score, bounds, _REDUCED)
    if it.reduced_credit_share_bp is not None:
        yield from _share(f"{path}reduced_credit_share_bp", it.reduced_credit_share_bp, bounds)


def _least(path: str, score: int, bounds: Bounds, bound: str) -> Iterator[Violation]:
    least = getattr(bounds, bound)
    if least is not None and score < least:
        yield _outside(path, bound, f"must be at least {least}")


def _share(path: str, share_bp: int, bounds: Bounds) -> Iterator[Violation]:
    most = bounds.most_credit_share_bp
    if most is not None and share_bp > most:
        yield _outside(path, "most_credit_share_bp", f"must be at most {most}")


def product_outside(product: ProductDocument, bounds: Bounds) -> tuple[Violation, ...]:
    """Each bound that a product breaks, by the name of the bound."""
    found = []
    for it in bounds.amount:
        if it.currency != product.currency:
            continue
        if it.most_deposit_minor is not None and product.deposit_minor > it.most_deposit_minor:
            text = f"must be at most {it.most_deposit_minor}"
            found.append(_outside("deposit_minor", "most_deposit_minor", text))
        most, hold = it.most_hold_minor, product.most_hold_minor
        if most is not None and (hold is None or hold > most):
            text = f"must be at most {most}"
            found.append(_outside("most_hold_minor", "most_hold_minor", text))
    return tuple(found)


def _outside(path: str, bound: str, text: str) -> Violation:
    return Violation(path, f"bounds.{bound}", f"{text}: the platform's bounds say so")
