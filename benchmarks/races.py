"""Who wins when several want the same thing at the same moment, and does exactly one win?

Real servers, one on a SQLite file or two on one PostgreSQL database, and fifty connections. Each
scenario (`benchmarks.races_scenarios`) is run for so many rounds with people, holds and items of
their own, on a database of its own. In a round all contenders wait at one barrier and are sent at
once, over both servers, in an order by chance; the outcome is checked from the answers and from
the stored rows, and both books are verified again and again.

A race that nobody could lose proves nothing. So it is counted how close they were: how often every
contender was under way before the first was answered, how often one lost to another that was sent
after it, and how often each kind of contender won; a kind that never won fails the run.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import text

from benchmarks.harness import BenchmarkError, commit, document, file_system, machine, write_json
from benchmarks.postgres import Cluster
from benchmarks.races_arena import CONNECTIONS, Arena, Clients, arena
from benchmarks.races_round import Round, Tally
from benchmarks.races_rows import Reader
from benchmarks.races_scenarios import RACES
from benchmarks.races_wave import Wave
from models import train

_ROOT = Path(__file__).resolve().parent.parent
_SPEC = _ROOT / "models" / "data" / "taiwan.toml"
_ROUNDS_A_WAVE = 25
_ROUNDS_A_VERIFICATION = 500
# Of so many rounds every kind of contender must have won one.
_ENOUGH_ROUNDS = 200
SERVERS = {"sqlite": 1, "postgresql": 2}


def run(
    place: Arena, name: str, rounds: int, seed: int, step: Callable[[Tally], None]
) -> Tally:
    """So many rounds of one scenario; `step` is called after each wave of them.

    Raises BenchmarkError where the machinery failed. What is wrong with the outcomes is in the
    Tally.
    """
    return asyncio.run(_run(place, name, rounds, seed, step))


async def _run(
    place: Arena, name: str, rounds: int, seed: int, step: Callable[[Tally], None]
) -> Tally:
    tally, began, verified = Tally(), time.monotonic(), 0
    async with Clients(place) as clients:
        reader = Reader(place.engine)
        while tally.rounds < rounds:
            count = min(_ROUNDS_A_WAVE, rounds - tally.rounds)
            await _wave(clients, reader, tally, name, seed, count)
            if tally.rounds - verified >= _ROUNDS_A_VERIFICATION or tally.rounds == rounds:
                verified = tally.rounds
                await _verify(clients, tally)
            step(tally)
    tally.wall_s = time.monotonic() - began
    return tally


async def _wave(
    clients: Clients, reader: Reader, tally: Tally, name: str, seed: int, count: int
) -> None:
    first = tally.rounds
    chance = random.Random(f"{name}.{seed}/{first}")
    wave = Wave(clients, reader, count, RACES[name].heat, chance)
    async with asyncio.TaskGroup() as group:
        for place in range(count):
            one = Round(wave, tally, f"{name}.{seed}", first + place, place)
            group.create_task(_round(one, name))


async def _round(one: Round, name: str) -> None:
    await RACES[name].run(one)
    await one.stored()  # where the scenario gave up before
    one.finish()


async def _verify(clients: Clients, tally: Tally) -> None:
    books = await clients.verify()
    tally.books += 1
    if not books.verified:
        fault = books.fault
        tally.wrong([f"books: {fault.rule} at {fault.row}: {fault.detail}"])


def shortcomings(tallies: dict[str, Tally]) -> list[str]:
    """Why a run does not prove what it should, a sentence each; empty when it does."""
    found = []
    for name, tally in tallies.items():
        if tally.violations:
            found.append(f"{name}: {tally.violations} violations: {tally.sentences[0]}")
        if tally.rounds < _ENOUGH_ROUNDS:
            continue
        never = [it for it in RACES[name].outcomes if not tally.outcomes[it]]
        if never:
            found.append(f"{name}: never won by {', '.join(never)}")
        if 2 * tally.overlapping < tally.rounds:
            found.append(f"{name}: only {tally.overlapping} rounds overlapped")
    return found
