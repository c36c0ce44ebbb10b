"""The use of credit lines under a draft: the changes by each rental, as time goes on."""

from __future__ import annotations

from typing import NamedTuple

from service.preview.history import DECLINED, FOREVER_US, NEVER, Happened
from service.preview.verdicts import Verdict, is_stricter


class Change(NamedTuple):
    """A changed use of a person's line by one rental, in minor units.

    Of the credit `before_minor`, `sure_minor` was surely held. Under the draft from `least_minor`
    to `most_minor` is held. `endless` says that a rental under the draft may last for any time.
    """

    before_minor: int
    sure_minor: int
    least_minor: int
    most_minor: int
    endless: bool


def change_of(happened: int, before: Verdict, strict: Verdict, lenient: Verdict) -> Change | None:
    """The change of the line by one item; None if it is used as before."""
    if before.same_as == strict.same_as == lenient.same_as:
        return None
    sure = (happened & Happened.HELD) != 0
    maybe = sure or (happened & Happened.MAYBE_HELD) != 0
    least, most = [], []
    for end in (strict, lenient):
        surely = sure and end.rank != DECLINED and not is_stricter(before, end)
        least.append(end.credit_minor if surely else 0)
        most.append(end.credit_minor if maybe or is_stricter(end, before) else 0)
    return Change(
        before.credit_minor if maybe else 0,
        before.credit_minor if sure else 0,
        min(least),
        max(most),
        not sure and max(most) > 0,
    )


class Move(NamedTuple):
    """A change of the least and the most by which a line is used more, in minor units."""

    least_minor: int
    most_minor: int


NO_MOVE = Move(0, 0)


def moves_of(it: Change, drawn_minor: int, *, late: bool) -> tuple[Move, Move, Move]:
    """The moves of a line by a rental: when it is asked for, when it holds at the latest, and when
    it is closed, if it ever is.

    A `late` rental holds after it was asked for. In the end at most `drawn_minor` of its credit was
    drawn.
    """
    before, sure, least, most, endless = it
    least -= before
    closed = NO_MOVE
    if not endless:
        grows = min(most, drawn_minor) if most > before else 0
        closed = Move(-drawn_minor - least, grows - most + sure)
    if late:
        return Move(-before, most), Move(least + before, -sure), closed
    return Move(least, most - sure), NO_MOVE, closed


class Line:
    """The changes of one line so far: calls must be in the order of time.

    From `least_minor` to `most_minor` more of it is used under the draft, in minor units, until
    before `next_us`. After that `advance` has to be called.
    """

    __slots__ = ("_coming", "least_minor", "most_minor", "next_us")

    def __init__(self) -> None:
        self.least_minor = self.most_minor = 0
        self.next_us = FOREVER_US
        self._coming: list[tuple[int, int, int]] = []

    def at(self, now_us: int) -> tuple[int, int]:
        """The least and the most by which the line is used more under the draft."""
        if now_us >= self.next_us:
            self.advance(now_us)
        return self.least_minor, self.most_minor

    def add(self, it: Change, times_us: tuple[int, int, int], drawn_minor: int) -> None:
        """Adds the change by a rental that was asked for, held at the latest, and closed (NEVER: it
        is open) at these times. In the end at most `drawn_minor` of its credit was drawn."""
        at_us, held_us, close_us = times_us
        asked, held, closed = moves_of(it, drawn_minor, late=held_us > at_us)
        self.least_minor += asked.least_minor
        self.most_minor += asked.most_minor
        if held_us > at_us:
            self._later(held_us, held)
        if close_us != NEVER:
            self._later(max(close_us + 1, held_us), closed)

    def _later(self, at_us: int, it: Move) -> None:
        if it != NO_MOVE:
            self._coming.append((at_us, *it))
            self.next_us = min(self.next_us, at_us)

    def advance(self, now_us: int) -> None:
        """Takes all changes until now."""
        still, next_us = [], FOREVER_US
        for one in self._coming:
            at_us, least_minor, most_minor = one
            if at_us <= now_us:
                self.least_minor += least_minor
                self.most_minor += most_minor
            else:
                still.append(one)
                next_us = min(next_us, at_us)
        self._coming, self.next_us = still, next_us
