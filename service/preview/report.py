"""The report of a preview: counts of decisions, and sums of money of rentals that happened.

A `Range` has the least and the most that is possible; where both are equal, the figure is exact.
Amounts are minor units of the currency beside them; instants are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from service.domain.errors import Violation
from service.preview.exposure import Exposure

KINDS = ("ZERO", "REDUCED", "FULL", "REVIEW", "DECLINED")
"""The kinds of answers, from the mildest to the strictest; a review comes before its offer."""
UNCERTAIN = "UNCERTAIN"
"""The kind of an answer under the draft that depends on what people would have done."""


class Range(NamedTuple):
    """From `least` to `most`."""

    least: int
    most: int

    @property
    def exact(self) -> bool:
        """True if there is only one possible value."""
        return self.least == self.most


class Amounts(NamedTuple):
    """An amount in a currency: the one that was, and those that are possible under the draft."""

    currency: str
    before_minor: int
    after_minor: Range


class Held(NamedTuple):
    """The credit held over time: as it was, and at the least and at the most under the draft."""

    currency: str
    before: Exposure
    least: Exposure
    most: Exposure


class Refusals(NamedTuple):
    """The decisions that named a reason."""

    reason: str
    before: int
    after: Range


class Group(NamedTuple):
    """Rentals that happened, by what the draft would have answered: MILDER, SAME, STRICTER,
    DECLINED or UNCERTAIN.

    `fee_minor` was charged for them and `other_minor` for damage; `unpaid_minor` is due, disputed
    or written off to this day, and `written_off_minor` the part that is written off. `lost` items
    count as lost, `late` rentals took longer than agreed.
    """

    answer: str
    currency: str
    rentals: int
    fee_minor: int
    other_minor: int
    unpaid_minor: int
    written_off_minor: int
    lost: int
    late: int


class Fees(NamedTuple):
    """The fees of rentals that were returned, by the tariff in force and by the draft.

    `charged_minor` is what was charged. It differs from `before_minor`, the fee by the tariff, if
    operators charged another amount. `higher` and `lower` count rentals that would cost more or
    less. `open_ended` rentals would still have been out, so that their fees are ranges.
    """

    currency: str
    rentals: int
    charged_minor: int
    before_minor: int
    after_minor: Range
    higher: int
    lower: int
    open_ended: int


class Part(NamedTuple):
    """The figures of one product, or of all (an empty `product_id`).

    `offers` counts decisions by the kind of their answer before, and then by the kind after it, or
    UNCERTAIN. `repeated` decisions give the stored answer again under the terms in force.
    """

    product_id: str
    decisions: int
    users: int
    repeated: int
    offers: dict[str, dict[str, int]]
    approved_before: int
    approved_after: Range
    changed: Range
    users_affected: Range
    cash_asked: tuple[Amounts, ...]
    held: tuple[Held, ...]
    refusals: tuple[Refusals, ...]
    happened: tuple[Group, ...]
    fees: tuple[Fees, ...] = ()

    @property
    def exact(self) -> bool:
        """True if every decision has one possible answer under the draft."""
        return self.changed.exact and not any(it.get(UNCERTAIN) for it in self.offers.values())


class Preview(NamedTuple):
    """A preview of a draft. `notes` are sentences about the limits of its figures, and `faults` the
    reasons why the draft cannot come into force now."""

    operator_id: str
    kind: str
    name: str
    from_us: int
    until_us: int
    whole: Part
    products: tuple[Part, ...]
    notes: tuple[str, ...]
    faults: tuple[Violation, ...] = ()


def to_json(value: Any) -> Any:
    """A report as values of JSON: tuples with names become objects."""
    if hasattr(value, "_asdict"):
        return {name: to_json(it) for name, it in value._asdict().items()}
    if isinstance(value, dict):
        return {name: to_json(it) for name, it in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(it) for it in value]
    return value
