"""Quotas under random calls, compared with a reference that counts every minute in plain lists."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.domain.authorization import Authorization, State
from service.domain.fee_lines import FeeItem
from service.domain.money import Money
from service.domain.segment_tariff import Quota, QuotaPeriod, SegmentTariff
from service.domain.tariff import fee
from service.domain.time_zones import time_zone
from service.engine.calls import Corrected, Settled
from service.engine.operations import LowerCharge, Settle
from tests.engine.test_quotas import TARIFF, ZONE, after, offer, rent
from tests.fakes import MINUTE_US, Desk

QUOTAS = (Quota("daily", 20, QuotaPeriod.DAY), Quota("weekly", 45, QuotaPeriod.WEEK))
PEOPLE = ("ann", "eva", "flo")
COMMANDS = 150


class Plain:
    """The free minutes of all people, as lists of the rentals that use them."""

    def __init__(self) -> None:
        self.uses: list[dict[str, Any]] = []

    def left(self, user_id: str, quota: Quota, start_us: int) -> int:
        """The minutes of a quota that are left around a start."""
        used: list[int] = [
            it["minutes"]
            for it in self.uses
            if (it["user"], it["quota"]) == (user_id, quota.name)
            and it["period"] == self.period(quota, start_us)
        ]
        return max(0, quota.minutes - sum(used))

    @staticmethod
    def period(quota: Quota, start_us: int) -> str:
        """The period's name: the day, or the week with its year."""
        day = datetime.fromtimestamp(start_us / 1e6, time_zone(ZONE)) + timedelta(0)
        return f"{day:%F}" if quota.per is QuotaPeriod.DAY else f"{day:%G-%V}"

    def settle(self, it: Authorization, tariff: SegmentTariff, end_us: int, *, free: bool) -> int:
        """The fee of a rental; tries every number of minutes."""
        assert it.start_us is not None
        lefts = [self.left(it.user_id, quota, it.start_us) for quota in QUOTAS]
        started = max(1, -((it.start_us - end_us) // MINUTE_US))
        fees = [
            fee(tariff, it.start_us, end_us, quota_us=minutes * MINUTE_US).total_minor
            for minutes in range(min(sum(lefts), started) + 1)
        ]
        taken = fees.index(min(fees))
        if not (free and min(fees)):
            for quota, left in zip(QUOTAS, lefts, strict=True):
                part = min(taken, left)
                taken -= part
                use: dict[str, Any] = {"user": it.user_id, "rental": it.authorization_id}
                use |= {"quota": quota.name}
                use |= {"period": self.period(quota, it.start_us), "minutes": part}
                self.uses.append(use)
        return min(fees)

    def give_back(self, it: Authorization) -> None:
        """Forgets the minutes of a rental."""
        self.uses = [use for use in self.uses if use["rental"] != it.authorization_id]


@pytest.mark.parametrize("seed", range(3))
def test_random_rentals_use_the_minutes_of_the_reference(desk: Desk, seed: int) -> None:
    """Whatever people rent, settle and get back, each fee and each free minute is that of the
    reference; and the books verify."""
    chance, plain = random.Random(seed), Plain()
    tariff = TARIFF._replace(quotas=QUOTAS, free_minutes=chance.choice([0, 3]))
    for user_id in PEOPLE:
        desk.put_user(user_id, 700)
    offer(desk, tariff)
    out: list[Authorization] = []
    charged: list[Authorization] = []
    for _ in range(COMMANDS):
        after(desk, chance.choice([0, 0.5, 1, 7, 33, 200, 9 * 60]))
        what = chance.random()
        if what < 0.4 and len(out) < 4:
            it = rent(desk, chance.choice(PEOPLE))
            if it.state is State.ACTIVE:
                out.append(it)
        elif what < 0.8 and out:
            it = out.pop(chance.randrange(len(out)))
            charged += _settled(desk, it, tariff, plain, nothing=chance.random() < 0.1)
        elif charged:
            it = charged.pop(chance.randrange(len(charged)))
            minor = chance.choice([it.due_minor, it.due_minor // 2])
            command = LowerCharge(
                it.user_id, it.authorization_id, amount=Money("CNY", minor), reason=""
            )
            answer = desk.do(command)
            assert isinstance(answer, Corrected)
            if minor == it.due_minor:
                plain.give_back(it)
            else:
                charged.append(answer.authorization)
    assert desk.faults == []
    assert plain.uses


def _settled(
    desk: Desk, it: Authorization, tariff: SegmentTariff, plain: Plain, *, nothing: bool
) -> list[Authorization]:
    """Settles a rental that still runs, and compares its fee; returns it if it was charged."""
    now_us = desk.clock.now_us()
    if it.lost_us is not None and now_us >= it.lost_us:
        return []
    amount = Money("CNY", 0) if nothing else None
    settled = desk.do(Settle(it.user_id, it.authorization_id, amount, final=True))
    assert isinstance(settled, Settled)
    minor = plain.settle(it, tariff, now_us, free=nothing)
    if settled.fee is not None:
        assert settled.fee.total_minor == minor
        told = sum(
            line.quantity for line in settled.fee.lines if line.item is FeeItem.QUOTA_MINUTES
        )
        mine = [use["minutes"] for use in plain.uses if use["rental"] == it.authorization_id]
        assert told == sum(mine)
    return [settled.authorization] if settled.authorization.due_minor else []
