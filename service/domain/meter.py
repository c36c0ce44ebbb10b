"""The meter of a rental: its pauses, and the waived part of the fee."""

from __future__ import annotations

from typing import NamedTuple


class Pause(NamedTuple):
    """A time in which the meter does not run, in microseconds since the epoch; `until_us` is the
    end.

    A pause that nobody resumes ends at the policy's bound, or where the next pause begins.
    """

    from_us: int
    until_us: int
    resumed: bool = False

    @property
    def length_us(self) -> int:
        """The length of the whole pause in microseconds."""
        return self.until_us - self.from_us


class Meter(NamedTuple):
    """All that an operator reported about the fee of a rental; amounts are minor units.

    `pauses` are in the order of time, and no two overlap. `pending_minor` was waived of the fee
    before it was captured, `given_minor` after that. Up to `quota_minutes` of the use are free by
    quotas: the fee takes no more of them than lower it, or all of them if `quota_fixed`, because
    the rental has used them. The first `pass_minutes` of these are those of the person's pass.
    `pass_percent` is the share that a pass takes off the fee.
    """

    pauses: tuple[Pause, ...] = ()
    pending_minor: int = 0
    given_minor: int = 0
    quota_minutes: int = 0
    quota_fixed: bool = False
    pass_minutes: int = 0
    pass_percent: int = 0

    def paused_us(self, until_us: int) -> int:
        """The time until `until_us` in which the meter stood, in microseconds."""
        return sum(
            min(it.until_us, until_us) - it.from_us for it in self.pauses if it.from_us < until_us
        )

    def running_us(self, from_us: int) -> int:
        """The first instant from `from_us` on that is in no pause, in microseconds."""
        for it in self.pauses:
            if it.from_us <= from_us < it.until_us:
                from_us = it.until_us
        return from_us

    def next_pause_us(self, after_us: int) -> int | None:
        """The beginning of the next pause after an instant, in microseconds; None if there is none.

        A pause without length does not count.
        """
        later = (it.from_us for it in self.pauses if it.from_us > after_us and it.length_us)
        return next(later, None)

    def with_pause(self, pause: Pause) -> Meter:
        """The meter with one more pause, which overlaps no other one."""
        return self._replace(pauses=tuple(sorted((*self.pauses, pause))))

    @property
    def times(self) -> tuple[tuple[int, int], ...]:
        """The beginning and the end of each pause, in microseconds since the epoch."""
        return tuple((it.from_us, it.until_us) for it in self.pauses)

    @property
    def paused_whole_us(self) -> int:
        """The length of all pauses; a running pause counts up to the policy's bound."""
        return sum(it.length_us for it in self.pauses)


RUNNING = Meter()
"""The meter of a rental without a pause and without a waiver."""
