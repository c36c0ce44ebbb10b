"""Rounds side by side: prepared together, raced in heats, and their rows read together.

A wave prepares all of its rounds, and then runs them in heats, one after another. The rounds of a
heat start at one barrier; each is a race by itself, whose calls are sent next to one another. But
the servers get the calls of all rounds at once, so the rounds also hinder each other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.races_arena import SECOND_US, Answer, Call, Clients
from benchmarks.races_rows import Reader, Stored

_ONE_CLOCK = 0.7
"""The share of turns in which only one of several servers gets the time."""


class _Turns:
    """The heats of a wave. They run one after another, as soon as all rounds of the wave have
    reached the turn."""

    def __init__(self, heats: Sequence[int]) -> None:
        self._all = asyncio.Barrier(sum(heats))
        self._left = list(heats)
        self._may = [asyncio.Event() for _ in range(len(heats) + 1)]
        self._may[0].set()

    @asynccontextmanager
    async def take(self, heat: int) -> AsyncIterator[None]:
        await self._all.wait()
        await self._may[heat].wait()
        yield
        self._left[heat] -= 1
        if not self._left[heat]:
            self._may[heat + 1].set()


class _Start:
    """The barrier of one heat: when its last round has come, the calls of all rounds are sent."""

    def __init__(self, clients: Clients, rounds: int, chance: random.Random) -> None:
        self._clients = clients
        self._rounds = rounds
        self._chance = chance
        self._groups: list[Sequence[Call]] = []
        self._answers: asyncio.Future[list[list[Answer]]] = asyncio.Future()

    async def contend(
        self, calls: Sequence[Call], at_us: int | None, time: str, late_s: float
    ) -> list[Answer]:
        """The answers to these calls, in the order of sending; time's answer is the last."""
        place = len(self._groups)
        self._groups.append(calls)
        if len(self._groups) == self._rounds:
            self._answers.set_result(await self._race(at_us, time, late_s))
        answers = await self._answers
        return answers[place] + answers[-1]

    async def _race(self, at_us: int | None, time: str, late_s: float) -> list[list[Answer]]:
        clients, chance = self._clients, self._chance
        if at_us is None:
            return await clients.race([*self._groups, []], 0.0, chance)
        await clients.advance(at_us - SECOND_US)
        servers = list(range(len(clients.arena.servers)))
        if chance.random() < _ONE_CLOCK:
            servers = [chance.choice(servers)]
        moving = [clients.to_instant(at_us, time, server) for server in servers]
        answers = await clients.race([*self._groups, moving], late_s, chance)
        await clients.advance(at_us)
        return answers


class Wave:
    """Many rounds, in heats of a fixed size; `chance` decides the order of sending."""

    def __init__(
        self, clients: Clients, reader: Reader, rounds: int, heat: int, chance: random.Random
    ) -> None:
        self.clients = clients
        self.start_us = clients.arena.now_us
        self.users: set[str] = set()
        self.requests: set[str] = set()
        self.references: set[str] = set()
        self.assets: set[str] = set()
        self._heat = heat
        self._heats = [min(heat, rounds - first) for first in range(0, rounds, heat)]
        self._chance = chance
        self._reader = reader
        self._turns: list[_Turns] = []
        self._starts: dict[tuple[int, int], _Start] = {}
        self._raced = asyncio.Barrier(rounds)
        self._stored: Stored | None = None

    def heat_of(self, place: int) -> int:
        """The heat, from 0, of the round at this place."""
        return place // self._heat

    def lane_of(self, place: int) -> int:
        """The place within its heat, from 0."""
        return place % self._heat

    @asynccontextmanager
    async def turn(self, place: int, number: int) -> AsyncIterator[None]:
        """The turn with this number, from 0, of a round's heat. All rounds of a heat share the
        turn."""
        while len(self._turns) <= number:
            self._turns.append(_Turns(self._heats))
        async with self._turns[number].take(self.heat_of(place)):
            yield

    async def contend(
        self,
        place: int,
        number: int,
        calls: Sequence[Call],
        *,
        at_us: int | None,
        time: str,
        late_s: float,
    ) -> list[Answer]:
        """The answers to the calls sent at the heat's barrier, in that order.

        With `at_us`, which all rounds of the heat share, one server or each of them is moved to
        that instant, `late_s` seconds after the calls; the answer to that, of the kind `time`, is
        the last. Before, the clocks are one second earlier, and afterwards all are at the instant.
        """
        heat = self.heat_of(place)
        self.requests |= {call.request_id for call in calls}
        if (heat, number) not in self._starts:
            start = _Start(self.clients, self._heats[heat], self._chance)
            self._starts[heat, number] = start
        return await self._starts[heat, number].contend(calls, at_us, time, late_s)

    async def stored(self) -> Stored:
        """The rows, once every round has raced."""
        if self._stored is None:
            await self._raced.wait()
        if self._stored is None:
            self._stored = self._reader.read(
                self.users, self.requests, self.references, self.assets
            )
        return self._stored
