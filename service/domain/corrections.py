"""Corrections: the captures that a concession or a dispute concerns."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.authorization import Authorization
from service.domain.captures import WITHOUT_ROW, Capture, Part, Purpose, cited_parts, spread


def newest_first(it: Authorization, captures: Sequence[Capture]) -> list[Capture]:
    """All captures, the newest first; the last one is the amount captured without a row."""
    without_row = Capture(
        WITHOUT_ROW,
        Purpose.FEE,
        it.captured_minor - sum([one.amount_minor for one in captures]),
        it.conceded_minor - sum([one.conceded_minor for one in captures]),
        it.disputed_minor - sum([one.disputed_minor for one in captures]),
    )
    return [*sorted(captures, reverse=True), without_row]


def conceded(
    it: Authorization, captures: Sequence[Capture], amount_minor: int, cited: int | None = None
) -> tuple[Part, ...]:
    """The operator gives up an amount of the cited capture, or of the newest with enough left.

    Raises InvalidInput if the cited capture does not exist or has less left.
    """
    if amount_minor == 0:
        return ()
    shares = cited_parts(newest_first(it, captures), amount_minor, cited)
    return tuple([Part(number, minor, minor) for number, minor in shares])


def disputed(
    it: Authorization, captures: Sequence[Capture], amount_minor: int, cited: int | None
) -> tuple[Part, ...]:
    """An amount of the cited capture, or of the newest with enough left, is disputed.

    Raises InvalidInput in the same cases as `conceded`.
    """
    shares = cited_parts(newest_first(it, captures), amount_minor, cited)
    return tuple([Part(number, minor, 0, minor) for number, minor in shares])


def decided(it: Authorization, captures: Sequence[Capture], *, concedes: bool) -> tuple[Part, ...]:
    """All disputes are decided; with `concedes` the operator gives the disputed amounts up."""
    return tuple(
        [
            Part(one.number, minor, minor if concedes else 0, -minor)
            for one in newest_first(it, captures)
            if (minor := one.disputed_minor) > 0
        ]
    )


def given_back(
    captures: Sequence[Capture], open_minor: int, disputed_minor: int
) -> tuple[Part, ...]:
    """The operator gives up amounts of these captures: of their open and their disputed parts.

    `captures` are the newest first, and the last one is the amount without a row.
    """
    undisputed = dict(spread([(it.number, it.open_minor) for it in captures], open_minor))
    in_dispute = dict(spread([(it.number, it.disputed_minor) for it in captures], disputed_minor))
    return tuple(
        [
            Part(number, minor, minor, -in_dispute.get(number, 0))
            for number in [it.number for it in captures]
            if (minor := undisputed.get(number, 0) + in_dispute.get(number, 0))
        ]
    )
