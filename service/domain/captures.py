"""Captures of an authorization, and the parts of them that corrections give up or dispute.

Each capture has a number within its authorization and a purpose. Earlier builds captured amounts
without writing such rows. An amount without a row counts as one capture for the fee, with the
number 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from service.domain.errors import InvalidInput

WITHOUT_ROW = 0
"""The number of the amount that was captured without a row."""


class Purpose(StrEnum):
    """The purpose of a capture. Only the fee is compared with the tariff."""

    FEE = "FEE"
    DAMAGE = "DAMAGE"
    PENALTY = "PENALTY"


class Capture(NamedTuple):
    """One capture; amounts are minor units."""

    number: int
    purpose: Purpose
    amount_minor: int
    conceded_minor: int = 0
    disputed_minor: int = 0

    @property
    def open_minor(self) -> int:
        """The amount that is neither conceded nor disputed."""
        return max(0, self.amount_minor - self.conceded_minor - self.disputed_minor)

    @property
    def kept_minor(self) -> int:
        """The amount that the operator has not conceded."""
        return self.amount_minor - self.conceded_minor


class Taken(NamedTuple):
    """The capture of a step."""

    purpose: Purpose
    amount_minor: int
    business_reference: str = ""


class Part(NamedTuple):
    """The part of a correction that concerns one capture.

    `amount_minor` is what the correction is about. `conceded_minor` and `disputed_minor` are the
    changes of the capture; a dispute that ends lowers `disputed_minor`.
    """

    capture: int
    amount_minor: int
    conceded_minor: int = 0
    disputed_minor: int = 0


def cited_parts(
    captures: Sequence[Capture], amount_minor: int, cited: int | None
) -> list[tuple[int, int]]:
    """The captures that an amount comes from, each by its number with its share.

    The amount comes from the cited capture, or else from the newest capture with enough left. If no
    single capture has enough left, the amount comes from several, the newest first. `captures` are
    in this order; the last one is the amount without a row. Raises InvalidInput if the cited
    capture does not exist or has less left.
    """
    if cited is not None:
        found = next((it for it in captures if it.number == cited), None)
        if found is None or cited == WITHOUT_ROW:
            raise InvalidInput.of(
                "capture", "capture.unknown", "must be the number of a capture of this rental"
            )
        if found.open_minor < amount_minor:
            raise InvalidInput.of(
                "capture",
                "capture.exceeded",
                f"must be a capture with at least {amount_minor} left; capture {cited} has"
                f" only {found.open_minor} left",
            )
        return [(cited, amount_minor)]
    enough = next((it for it in captures if it.open_minor >= amount_minor), None)
    if enough is not None:
        return [(enough.number, amount_minor)]
    return spread([(it.number, it.open_minor) for it in captures], amount_minor)


def spread(places: Iterable[tuple[int, int]], amount_minor: int) -> list[tuple[int, int]]:
    """Takes an amount from captures in this order, from each at most the amount that is left.

    If the captures together have too little, the rest is taken from the amount without a row: a
    server of an earlier build may have given up a part of that amount and written no row.
    """
    shares: list[tuple[int, int]] = []
    rest_minor = amount_minor
    for number, most_minor in places:
        share_minor = min(rest_minor, most_minor)
        if share_minor > 0:
            shares.append((number, share_minor))
            rest_minor -= share_minor
    if rest_minor:
        shares.append((WITHOUT_ROW, rest_minor))
    return shares
