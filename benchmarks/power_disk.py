"""The disk after a power cut: everything that was synced, and any part of the rest.

The model, which allows more than a journalling file system does:

- Files as they were before the run are on disk, names and contents.
- A file's writes and truncations before its last completed fsync or fdatasync are on disk. Each
  later one is kept, dropped or torn, independently of all others, even of an earlier one of the
  same bytes. Torn: some of the file's 512-byte sectors that it covers are kept, the first ones or
  any mixture; a sector is written completely or not at all, and its bytes beside the written ones
  do not change (SQLite assumes this as its "powersafe overwrite").
- A lost write past the end of the file may still have made the file longer; the new bytes are zeros
  or random.
- Names created and deleted since the last fsync of the folder are there or not: each as at any
  moment since then. A synced file whose name is not on disk is gone.
- The index of the log (`-shm`) is missing or random: the database must not trust it.

For variety, each state follows one of a few patterns: any mixture in even or uneven shares, nothing
unsynced kept, everything kept, everything torn, or the first changes in order.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.power_trace import (
    REBUILT_SUFFIX,
    Acknowledge,
    Create,
    Event,
    Sync,
    SyncFolder,
    Truncate,
    Unlink,
    Write,
)

SECTOR = 512
"""Bytes that a disk writes as one unit."""

_NEAR: dict[str, tuple[type, ...]] = {
    "acknowledgement": (Acknowledge,),
    "sync": (Sync,),
    "name": (Create, Unlink, SyncFolder),
    "anywhere": (),
}
_AROUND = 3
_INDEX_BYTES = 32_768


@dataclass(slots=True)
class Fates:
    """The number of unsynced changes with each fate.

    synced  writes and truncations that were safe
    kept, dropped, torn  those that were not
    names   files whose names were not synced
    """

    synced: int = 0
    kept: int = 0
    dropped: int = 0
    torn: int = 0
    names: int = 0

    @property
    def open(self) -> bool:
        """Whether anything was left to chance."""
        return bool(self.kept + self.dropped + self.torn + self.names)

    def add(self, other: Fates) -> None:
        """Counts the changes of another state too."""
        self.synced += other.synced
        self.kept += other.kept
        self.dropped += other.dropped
        self.torn += other.torn
        self.names += other.names


class Pattern(NamedTuple):
    """The probabilities that an unsynced change is kept, dropped or torn.

    With `in_order` the change's place decides: the first ones are kept, the others dropped.
    """

    name: str
    kept: float
    dropped: float
    torn: float
    in_order: bool = False


PATTERNS = (
    Pattern("even", 1, 1, 1),
    Pattern("mostly kept", 8, 1, 1),
    Pattern("mostly dropped", 1, 8, 1),
    Pattern("mostly torn", 1, 1, 8),
    Pattern("all kept", 1, 0, 0),
    Pattern("all dropped", 0, 1, 0),
    Pattern("in order", 0, 0, 0, in_order=True),
)


@dataclass(slots=True)
class _File:
    """The bytes that are certainly on disk, and those that may be."""

    durable: bytearray
    pending: list[Write | Truncate] = field(default_factory=list)
    synced: int = 0

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.synced += len(self.pending)
        self.pending.clear()


class Disk:
    """A folder on a disk at one moment of a run."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {name: _File(bytearray(content)) for name, content in files.items()}
        # The files that each name has meant since the folder's last sync, oldest first.
        self._names: dict[str, list[_File | None]] = {
            name: [file] for name, file in self._files.items()
        }
        self._all = list(self._files.values())

    def do(self, event: Event) -> None:
        """Applies the next event."""
        match event:
            case Write(name) | Truncate(name):
                self._files[name].pending.append(event)
            case Sync(name):
                self._files[name].sync()
            case Create(name):
                self._files[name] = file = _File(bytearray())
                self._all.append(file)
                self._names.setdefault(name, [None]).append(file)
            case Unlink(name):
                del self._files[name]
                self._names[name].append(None)
            case SyncFolder():
                self._names = {name: [states[-1]] for name, states in self._names.items()}
            case Acknowledge():
                pass

    def cut(self, chance: random.Random) -> tuple[dict[str, bytes], Fates, str]:
        """One possible result of a power cut now.

        The folder's files, the number of changes with each fate, and their pattern. The disk itself
        is not changed.
        """
        pattern = chance.choice(PATTERNS)
        fates = Fates(synced=sum(file.synced for file in self._all))
        found: dict[str, bytes] = {}
        for name, states in sorted(self._names.items()):
            fates.names += len(states) > 1
            file = states[_place(states, pattern, chance)]
            if file is not None:
                found[name] = bytes(_survive(file, pattern, chance, fates))
        return found, fates, pattern.name


def _place(states: Sequence[_File | None], pattern: Pattern, chance: random.Random) -> int:
    if pattern.name == "all kept":
        return -1
    if pattern.name == "all dropped":
        return 0
    return chance.randrange(len(states))


def _survive(file: _File, pattern: Pattern, chance: random.Random, fates: Fates) -> bytearray:
    content = bytearray(file.durable)
    fate_of = ("kept", "dropped", "torn")
    last = chance.randint(0, len(file.pending))
    for place, change in enumerate(file.pending):
        if pattern.in_order:
            fate = "kept" if place < last else "torn" if place == last else "dropped"
        else:
            (fate,) = chance.choices(fate_of, (pattern.kept, pattern.dropped, pattern.torn))
        sectors = _sectors(change)
        if fate == "torn" and len(sectors) < 2:
            fate = chance.choice(("kept", "dropped"))
        if fate == "kept":
            fates.kept += 1
            _apply(content, change)
        elif fate == "dropped":
            fates.dropped += 1
            _grow_all_the_same(content, change, chance)
        else:
            fates.torn += 1
            _grow_all_the_same(content, change, chance)
            for part in _some(sectors, chance):
                _apply(content, part)
    return content


def _sectors(change: Write | Truncate) -> list[Write]:
    """A write, split into the units that a disk writes."""
    if isinstance(change, Truncate):
        return []
    parts, start, end = [], change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        data = change.data[start - change.offset : stop - change.offset]
        parts.append(Write(change.name, start, data))
        start = stop
    return parts


def _some(sectors: Sequence[Write], chance: random.Random) -> Sequence[Write]:
    """At least one and not all: the first ones, or any."""
    count = chance.randrange(1, len(sectors))
    return sectors[:count] if chance.random() < 0.5 else chance.sample(sectors, count)


def _grow_all_the_same(content: bytearray, change: Write | Truncate, chance: random.Random) -> None:
    """A file's length is stored apart from its bytes, and may be written before them."""
    if isinstance(change, Write) and chance.random() < 0.5:
        missing = change.offset + len(change.data) - len(content)
        if missing > 0:
            content += chance.randbytes(missing) if chance.random() < 0.5 else bytes(missing)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.data)
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : end] = change.data


def ignoring(events: Sequence[Event], log: bool, folder: bool, database: bool) -> list[Event]:
    """The events on a disk that acknowledges some syncs and does not do them.

    log       those of files whose name ends with -wal
    folder    those of the folder
    database  those of every other file
    """

    def done(event: Event) -> bool:
        if isinstance(event, Sync):
            return not (log if event.name.endswith("-wal") else database)
        return not (folder and isinstance(event, SyncFolder))

    return [event for event in events if done(event)]


def index_of_log(database: str, chance: random.Random) -> dict[str, bytes]:
    """The index beside the log of a database, which is missing or random; `database` is a file
    name."""
    if chance.random() < 0.5:
        return {}
    return {database + REBUILT_SUFFIX: chance.randbytes(_INDEX_BYTES)}


def choose_cut(events: Sequence[Event], chance: random.Random) -> tuple[str, int]:
    """(the event nearby, number of events before the power cut).

    A quarter of the cuts is near a sync, and a quarter near a created or deleted name; a quarter
    follows an acknowledgement, half of them at once, when the batch has just been acknowledged, and
    half anywhere before the next; the rest is anywhere.
    """
    near = chance.choice(tuple(_NEAR))
    places = [place for place, it in enumerate(events, 1) if isinstance(it, _NEAR[near])]
    if not places:
        return "anywhere", chance.randint(0, len(events))
    which = chance.randrange(len(places))
    cut = places[which]
    if near != "acknowledgement":
        cut += chance.randint(-_AROUND, _AROUND)
    elif chance.random() < 0.5:
        cut = chance.randint(cut, [*places, len(events)][which + 1])
    return near, min(max(cut, 0), len(events))


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Makes the folder hold exactly these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
