"""The power benchmark's reading of a trace, its disks, and its verdicts on them."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import power, power_kill, power_load, power_states
from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError
from benchmarks.power_check import Batch, Verdict, acknowledged, check
from benchmarks.power_disk import SECTOR, Disk, Fates, choose_cut, ignoring, index_of_log
from benchmarks.power_states import Bench, Experiment, Recording, Tally
from benchmarks.power_trace import (
    Acknowledge,
    Create,
    Event,
    StraceMissing,
    Sync,
    SyncFolder,
    TraceError,
    Truncate,
    Unlink,
    Write,
    parse,
    require_strace,
)
from service.storage.database import open_database

FOLDER = Path("/data")
BATCHES = 30


def hexed(text: str | bytes) -> str:
    """Text as strace prints it with -xx."""
    content = text.encode() if isinstance(text, str) else text
    return "".join(f"\\x{byte:02x}" for byte in content)


def fd(number: int, path: str) -> str:
    """A descriptor as strace prints it with -y."""
    return f"{number}<{hexed(path)}>"


def opened(path: str, flags: str = "O_RDWR|O_CREAT") -> str:
    """The line of a successful open."""
    return f'7  openat(AT_FDCWD<{hexed("/")}>, "{hexed(path)}", {flags}, 0644) = {fd(4, path)}'


def written(path: str, data: bytes, offset: int, returned: int | None = None) -> str:
    """A line of a pwrite64."""
    count = len(data) if returned is None else returned
    return f'7  pwrite64({fd(4, path)}, "{hexed(data)}", {len(data)}, {offset}) = {count}'


def events_of(*lines: str, present: tuple[str, ...] = ()) -> list[Event]:
    """The events of a trace in the folder FOLDER."""
    return list(parse(lines, FOLDER, present))


def test_a_trace_becomes_events_in_their_order() -> None:
    """Writes, syncs, created and deleted names, and acknowledgements are read in the traced
    order."""
    assert events_of(
        opened("/data/a.db-wal"),
        written("/data/a.db-wal", b"\x00frame\xff", 32),
        f"7  fdatasync({fd(4, '/data/a.db-wal')}) = 0",
        f"7  fsync({fd(5, '/data')})           = 0",
        f'7  write({fd(1, "pipe:[99]")}, "{hexed(b"told" + bytes([10]))}", 5) = 5',
        f"7  ftruncate({fd(3, '/data/a.db')}, 8192) = 0",
        f'7  unlink("{hexed("/data/a.db-wal")}") = 0',
        f'7  unlinkat({fd(5, "/data")}, "{hexed("a.db")}", 0) = 0',
        "7  +++ exited with 0 +++",
        present=("a.db",),
    ) == [
        Create("a.db-wal"),
        Write("a.db-wal", 32, b"\x00frame\xff"),
        Sync("a.db-wal"),
        SyncFolder(),
        Acknowledge(b"told\n"),
        Truncate("a.db", 8192),
        Unlink("a.db-wal"),
        Unlink("a.db"),
    ]


def test_opening_an_existing_file_creates_nothing() -> None:
    """Only the first open of a name creates it, and an open with O_TRUNC truncates it."""
    assert events_of(opened("/data/a.db"), present=("a.db",)) == []
    assert events_of(opened("/data/a.db"), opened("/data/a.db")) == [Create("a.db")]
    assert events_of(opened("/data/a.db", "O_WRONLY|O_TRUNC"), present=("a.db",)) == [
        Truncate("a.db", 0)
    ]


def test_other_files_and_the_logs_index_are_ignored() -> None:
    """Files elsewhere do not matter, and the log's index is rebuilt whatever it contains."""
    shm = "/data/a.db-shm"
    assert (
        events_of(
            opened("/data/../etc/passwd"),
            opened("/database/a.db"),
            written("/tmp/x", b"x", 0),
            opened(shm),
            written(shm, b"x", 0),
            f"7  ftruncate({fd(5, shm)}, 3) = 0",
            f"7  mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_SHARED, {fd(5, shm)}, 0) = 0x7fa60861",
            "7  mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7fa6",
            f'7  unlink("{hexed(shm)}") = 0',
            f'7  write({fd(2, "pipe:[9]")}, "{hexed("oh")}", 2) = 2',
        )
        == []
    )


def test_a_failed_call_has_no_effect() -> None:
    """A failed call changes nothing, a failed sync included, and a short write is short."""
    assert events_of(
        f"7  fdatasync({fd(4, '/data/a.db')}) = -1 EIO (Input/output error)",
        f"7  sync_file_range({fd(4, '/data/a.db')}, 0, 9, SYNC_FILE_RANGE_WRITE) = 0",
        written("/data/a.db", b"123456", 8, returned=4),
        f'7  openat(AT_FDCWD<{hexed("/")}>, "{hexed("/data/b")}", O_CREAT) = -1 EACCES (Denied)',
        present=("a.db",),
    ) == [Write("a.db", 8, b"1234")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"7  fdatasync({fd(4, '/data/a.db')} <unfinished ...>", "overlap"),
        ("7  <... fdatasync resumed>) = 0", "overlap"),
        ("nonsense", "not a line"),
        (f'7  rename("{hexed("/data/a.db")}", "{hexed("/data/b.db")}") = 0', "rename"),
        (f'7  rename("{hexed("a.db")}", "{hexed("b.db")}") = 0', "relative"),
        (f"7  mmap(0, 9, PROT_READ|PROT_WRITE, MAP_SHARED, {fd(4, '/data/a.db')}, 0) = 0x7", "mem"),
        (f'7  write({fd(4, "/data/a.db")}, "{hexed("x")}", 1) = 1', "no event"),
        (f"7  fallocate({fd(4, '/data/a.db')}, 0, 0, 9) = 0", "no event"),
        (f'7  pwrite64({fd(4, "/data/a.db")}, "{hexed("x")}"..., 9, 0) = 9', "as a whole"),
        (written("/data/new.db", b"x", 0), "not there"),
        (f"7  fsync({fd(4, '/data/a.db')}(deleted)) = 0", "not there"),
        (f'7  write({fd(1, "pipe:[9]")}, "{hexed("told")}", 4) = 2', "pieces"),
        ("7  io_uring_enter(4, 1, 0, 0, NULL, 8) = 1", "descriptor"),
    ],
)
def test_an_unknown_change_is_refused(line: str, why: str) -> None:
    """A change of a file that the model does not know stops the benchmark."""
    with pytest.raises(TraceError, match=why):
        events_of(line, present=("a.db",))


def test_the_benchmark_says_that_strace_is_missing() -> None:
    """Without strace the command exits with 3 and names it."""
    result = CliRunner(env={"PATH": ""}).invoke(main, ["power", "--states", "1"])
    assert result.exit_code == power.CANNOT_TRACE
    assert "needs strace, and it is not installed" in result.output


def test_forbidden_tracing_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strace that may not trace is reported differently from a missing one, with its own
    message."""
    fake = tmp_path / "strace"
    fake.write_text("#!/bin/sh\necho 'ptrace: Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(StraceMissing, match="may not trace: ptrace: Operation not permitted"):
        require_strace()


def survivors(disk: Disk, name: str = "a", tries: int = 400) -> list[bytes | None]:
    """The possible contents of one file after power cuts; None means that the file is gone."""
    return [disk.cut(random.Random(seed))[0].get(name) for seed in range(tries)]


def disk_after(*events: Event, **files: bytes) -> Disk:
    """A disk with these files, after these events."""
    disk = Disk(files)
    for event in events:
        disk.do(event)
    return disk


def test_synced_writes_survive() -> None:
    """A file's writes before its last sync are in every state, whatever follows."""
    old, new = b"o" * SECTOR, b"n" * SECTOR
    disk = disk_after(Write("a", 0, new), Sync("a"), Write("a", SECTOR, old), a=old)
    assert {found and found[:SECTOR] for found in survivors(disk)} == {new}


def test_a_sync_is_of_one_file() -> None:
    """Syncing one file leaves another's writes unsynced."""
    disk = disk_after(Write("a", 0, b"new"), Sync("b"), a=b"old", b=b"")
    assert set(survivors(disk)) == {b"old", b"new"}


def test_unsynced_writes_are_kept_dropped_and_torn_by_whole_sectors() -> None:
    """An unsynced write is there, missing, or there in some of its sectors, never in part of a
    sector."""
    count = 3
    disk = disk_after(Write("a", 0, b"n" * SECTOR * count), a=b"o" * SECTOR * count)
    shapes = set()
    for found in survivors(disk):
        assert found is not None
        sectors = [found[place : place + SECTOR] for place in range(0, len(found), SECTOR)]
        assert all(len(set(sector)) == 1 for sector in sectors)
        shapes.add("".join(chr(sector[0]) for sector in sectors))
    assert shapes == {a + b + c for a in "on" for b in "on" for c in "on"}


def test_a_tear_follows_the_sectors_of_the_file() -> None:
    """A write that begins within a sector is torn at the file's sectors."""
    before, offset = b"o" * 2 * SECTOR, SECTOR - 100
    found = set(survivors(disk_after(Write("a", offset, b"n" * 200), a=before)))
    first = before[:offset] + b"n" * 100 + before[SECTOR:]
    second = before[:SECTOR] + b"n" * 100 + before[SECTOR + 100 :]
    both = before[:offset] + b"n" * 200 + before[SECTOR + 100 :]
    assert found == {before, first, second, both}


def test_writes_may_arrive_out_of_order() -> None:
    """A later write may be on disk without an earlier one, even of the same bytes."""
    disk = disk_after(Write("a", 0, b"first"), Write("a", 4, b"later"), a=b"." * 9)
    assert set(survivors(disk)) == {b"." * 9, b"first....", b"....later", b"firslater"}


def test_a_file_may_be_longer_than_its_bytes() -> None:
    """A lost write past the end may leave the new length, filled with zeros or random bytes."""
    found = survivors(disk_after(Write("a", 2, b"n" * 8), a=b"oo"))
    lengths = {len(it) for it in found if it is not None}
    assert lengths == {2, 10}
    assert b"oo" + bytes(8) in found
    assert b"oo" + b"n" * 8 in found
    assert len(set(found)) > 4


def test_unsynced_truncations_are_open() -> None:
    """A file that was made shorter or longer may have either length until it is synced."""
    assert set(survivors(disk_after(Truncate("a", 2), a=b"1234"))) == {b"1234", b"12"}
    assert set(survivors(disk_after(Truncate("a", 6), a=b"1234"))) == {b"1234", b"1234\0\0"}
    assert set(survivors(disk_after(Truncate("a", 2), Sync("a"), a=b"1234"))) == {b"12"}


def test_a_new_name_needs_a_sync_of_its_folder() -> None:
    """A new file may be gone, synced or not, until its folder is synced."""
    made = (Create("a"), Write("a", 0, b"new"), Sync("a"))
    assert set(survivors(disk_after(*made))) == {None, b"new"}
    assert set(survivors(disk_after(*made, SyncFolder()))) == {b"new"}


def test_a_deleted_name_may_come_back() -> None:
    """Until the folder is synced, a name may mean the old file, the new one, or none."""
    deleted = (Unlink("a"), Create("a"), Write("a", 0, b"new"), Sync("a"))
    assert set(survivors(disk_after(*deleted, a=b"old"))) == {b"old", None, b"new"}
    assert set(survivors(disk_after(*deleted[:1], SyncFolder(), a=b"old"))) == {None}


def test_a_state_follows_from_its_seed() -> None:
    """The same seed gives the same state, and a cut does not change the disk."""
    disk = disk_after(Write("a", 0, b"n" * 2000), a=b"o" * 3000)
    assert survivors(disk, tries=20) == survivors(disk, tries=20)


def test_every_change_is_counted_once() -> None:
    """Each write and truncation is counted as synced, kept, dropped or torn."""
    disk = disk_after(
        Write("a", 0, b"1"), Sync("a"), Write("a", 0, b"n" * 2000), Truncate("a", 5), a=b""
    )
    total = Fates()
    for seed in range(100):
        _, fates, _ = disk.cut(random.Random(seed))
        assert fates.synced == 1
        assert fates.kept + fates.dropped + fates.torn == 2
        assert fates.open
        total.add(fates)
    assert min(total.kept, total.dropped, total.torn) > 10


def test_the_logs_index_is_missing_or_random() -> None:
    """The log's index is never as the run left it."""
    found = [index_of_log("a.db", random.Random(seed)) for seed in range(20)]
    assert {tuple(it) for it in found} == {(), ("a.db-shm",)}


def test_cuts_are_often_near_acknowledgements_and_syncs() -> None:
    """A cut is anywhere in the run, and often right after an acknowledgement or a sync."""
    events: list[Event] = [Write("a", n, b"x") for n in range(100)]
    events[40], events[70], events[90] = Acknowledge(b"{}"), Sync("a"), SyncFolder()
    cuts = [choose_cut(events, random.Random(seed)) for seed in range(400)]
    assert all(0 <= cut <= len(events) for _, cut in cuts)
    assert {near for near, _ in cuts} == {"acknowledgement", "sync", "name", "anywhere"}
    assert ("acknowledgement", 41) in cuts
    assert {cut for near, cut in cuts if near == "sync"} == set(range(68, 75))
    assert choose_cut([], random.Random(1)) == ("anywhere", 0)


def test_a_disk_can_lie_about_each_kind_of_sync() -> None:
    """The syncs of the log, of the database file and of the folder can be left out one by one."""
    events: list[Event] = [Sync("a.db-wal"), Sync("a.db"), SyncFolder(), Acknowledge(b"{}")]
    assert ignoring(events, log=True, folder=False, database=False) == events[1:]
    assert ignoring(events, log=False, folder=False, database=True) == [events[0], *events[2:]]
    assert ignoring(events, log=False, folder=True, database=False) == [*events[:2], events[3]]


def test_deaths_are_at_different_calls_of_the_run() -> None:
    """Deaths are spread over writes, syncs, acknowledgements and deletions; no two deaths are at
    the same call."""
    events: list[Event] = [Write("a", n, b"x") for n in range(50)]
    events += [Sync("a"), SyncFolder(), Unlink("a"), *[Acknowledge(b"{}")] * 5]
    found = power_kill.moments(events, 40, 1)
    assert len(set(found)) == len(found)
    numbers: dict[str, list[int]] = {}
    for call, number in found:
        numbers.setdefault(call, []).append(number)
    assert {call: len(of) for call, of in numbers.items()} == {
        "pwrite64": 20, "fsync,fdatasync": 2, "write": 5, "?unlink,?unlinkat": 1,
    }  # fmt: skip
    assert max(numbers["pwrite64"]) <= 50
    assert found == power_kill.moments(events, 40, 1)


@pytest.fixture(scope="module")
def rented(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Batch], str]:
    """A database after a short run without a trace, its batches, and the digest before them."""
    path = tmp_path_factory.mktemp("rented") / "a.db"
    power_load.create_database(path)
    engine = open_database(f"sqlite:///{path}")
    before = power_load.digest_of_rows(engine)
    engine.dispose()
    told = power_load.batches(path, synchronous="FULL", batches=12, sessions=2, seed=3)
    events = [Acknowledge(json.dumps(line).encode() + b"\n") for line in told]
    return path, acknowledged(events), before


Judge = Callable[..., Verdict]


@pytest.fixture
def judge(rented: tuple[Path, list[Batch], str], tmp_path: Path) -> Judge:
    """The verdict on a copy of the database after SQL statements."""
    path, batches, before = rented

    def judged(*statements: str, told: int = 12, of: list[Batch] | None = None) -> Verdict:
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA ignore_check_constraints=ON")
            for statement in statements:
                assert connection.execute(statement).rowcount, statement
            connection.commit()
        return check(copy, of or batches, told, before)

    return judged


def test_a_complete_database_is_whole(judge: Judge) -> None:
    """A database with everything acknowledged is whole, and may have the next batch too."""
    assert judge() == Verdict(12, 0, 0, "")
    assert judge(told=11).whole


def test_a_lost_batch_is_counted(judge: Judge, rented: tuple[Path, list[Batch], str]) -> None:
    """An acknowledged batch without any row is lost; an unacknowledged one is not."""
    more = [*rented[1], Batch(13, {"request-x": "0", "request-y": "0"}, "0")]
    assert judge(told=13, of=more) == Verdict(13, 1, 2, "")
    assert judge(told=12, of=more) == Verdict(12, 0, 0, "")


def test_half_a_batch_is_broken(judge: Judge, rented: tuple[Path, list[Batch], str]) -> None:
    """A batch with one request missing is broken, acknowledged or not."""
    last = next(batch for batch in reversed(rented[1]) if len(batch.requests) > 1)
    name = next(iter(last.requests))
    verdict = judge(f"DELETE FROM requests WHERE request_id = '{name}'", told=0)
    assert verdict == Verdict(0, 0, 0, f"batch {last.number} is there in part")


def test_a_gap_is_broken(judge: Judge, rented: tuple[Path, list[Batch], str]) -> None:
    """A batch cannot be missing when a later one is there."""
    names = ", ".join(f"'{name}'" for name in rented[1][2].requests)
    verdict = judge(f"DELETE FROM requests WHERE request_id IN ({names})")
    assert verdict.lost_batches == 1
    assert verdict.broken == "batch 12 is there, and one before it is not"


def test_another_answer_is_a_loss(judge: Judge, rented: tuple[Path, list[Batch], str]) -> None:
    """A retry must get the acknowledged bytes; other bytes are a loss."""
    name = next(iter(rented[1][-1].requests))
    verdict = judge(f"UPDATE requests SET answer = x'00' WHERE request_id = '{name}'")
    assert verdict.lost_requests == 1


def test_a_row_that_differs_is_broken(judge: Judge) -> None:
    """Every row of every table must be as after the last batch, also where no request shows it."""
    verdict = judge("UPDATE decisions SET build = 'other'")
    assert verdict.broken == "the rows are not those after batch 12"


def test_wrong_books_are_broken(judge: Judge) -> None:
    """The books are verified in every state, and the first wrong row is named."""
    verdict = judge(
        "UPDATE lines SET limit_minor = limit_minor + 1, available_minor = available_minor + 1"
    )
    assert "lines/" in verdict.broken


def test_an_unreadable_file_is_broken(tmp_path: Path) -> None:
    """An unreadable database has lost everything, and does not stop the benchmark."""
    path = tmp_path / "a.db"
    path.write_bytes(b"junk" * 4096)
    verdict = check(path, [Batch(1, {"a": "0", "b": "0"}, "0")], 1, "0")
    assert verdict.lost_requests == 2
    assert verdict.broken.startswith("not readable")


FULL = Experiment("FULL", "FULL", "", False, 1)
CONTROL = replace(FULL, name="NORMAL", synchronous="NORMAL", loses=True)


def tallied(*verdicts: Verdict) -> Tally:
    """The sum of these verdicts."""
    tally = Tally()
    for number, verdict in enumerate(verdicts):
        tally.add(power_states.State(number, "sync", 7, "even", Fates(kept=1), verdict))
    return tally


def test_the_proof_needs_all_its_parts() -> None:
    """The run fails if FULL loses or breaks a state, and also if a control loses no state."""
    whole, lost = Verdict(5, 0, 0, ""), Verdict(5, 1, 3, "")
    broken = Verdict(5, 0, 0, "half a batch")
    assert power.failures({FULL: tallied(whole), CONTROL: tallied(whole, lost)}, []) == []
    assert power.failures({FULL: tallied(whole, lost)}, []) == ["FULL"]
    assert power.failures({FULL: tallied(broken)}, []) == ["FULL"]
    assert power.failures({CONTROL: tallied(whole, broken)}, []) == ["NORMAL"]
    died = [power_kill.Death("write", 1, lost)]
    assert power.failures({FULL: tallied(whole)}, died) == ["deaths"]


def test_findings_are_kept() -> None:
    """The first wrong states are kept with their number and their cut."""
    tally = tallied(*[Verdict(5, 1, 3, "")] * 9)
    assert (tally.states, tally.lost_states, tally.lost_requests) == (9, 9, 27)
    assert [finding["number"] for finding in tally.findings] == [0, 1, 2, 3, 4]
    assert tally.findings[0]["cut"] == 7


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """A short real run with each setting, as strace recorded it."""
    try:
        require_strace()
    except StraceMissing as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("recordings")
    return {
        setting: power_states.make_recording(
            folder / setting, setting, batches=BATCHES, sessions=2, seed=5
        )
        for setting in power_load.SYNCHRONOUS
    }


def test_full_syncs_before_acknowledgements(recordings: dict[str, Recording]) -> None:
    """With FULL the log is always synced before a batch is acknowledged; with NORMAL it sometimes
    is not."""

    def unsynced_promises(events: list[Event]) -> int:
        pending, promises = False, 0
        for event in events:
            if isinstance(event, Write) and event.name.endswith("-wal"):
                pending = True
            elif isinstance(event, Sync) and event.name.endswith("-wal"):
                pending = False
            promises += pending and isinstance(event, Acknowledge)
        return promises

    assert unsynced_promises(recordings["FULL"].events) == 0
    assert unsynced_promises(recordings["NORMAL"].events) > BATCHES / 2


def test_a_recording_has_the_hard_cases(recordings: dict[str, Recording]) -> None:
    """A run has checkpoints, overwritten logs, and logs deleted and created again."""
    counts = power_states.counts_of(recordings["FULL"])
    assert counts["batches"] == BATCHES
    assert counts["logs_created"] == 2
    assert counts["log_restarts"] >= 1
    assert counts["checkpoints"] > counts["logs_created"]
    assert counts["requests"] > BATCHES


def test_full_loses_nothing(recordings: dict[str, Recording], tmp_path: Path) -> None:
    """With synchronous=FULL no power cut loses an acknowledged batch or breaks the books."""
    experiment = replace(FULL, states=40)
    tally = power_states.run([experiment], recordings, seed=1, folder=tmp_path, workers=1)[
        experiment
    ]
    assert (tally.states, tally.lost_states, tally.broken_states) == (40, 0, 0), tally.findings
    assert tally.unsynced_states > 10


@pytest.mark.parametrize(
    ("synchronous", "lies"),
    [("NORMAL", ""), ("FULL", "log"), ("FULL", "folder"), ("FULL", "database")],
)
def test_the_controls_lose_batches(
    recordings: dict[str, Recording], tmp_path: Path, synchronous: str, lies: str
) -> None:
    """Without the syncs of FULL, or on a disk that skips one kind of sync, acknowledged batches are
    lost."""
    bench = Bench(recordings, 1, tmp_path / "states")
    experiment = Experiment("control", synchronous, lies, True, 60)
    assert any(bench.state(experiment, number).verdict.lost_batches for number in range(60))


def test_normal_loses_whole_batches_only(recordings: dict[str, Recording], tmp_path: Path) -> None:
    """With NORMAL the last batches may be lost, each as a whole, and the books still verify."""
    bench = Bench(recordings, 2, tmp_path / "states")
    assert [bench.state(CONTROL, number).verdict.broken for number in range(20)] == [""] * 20


def test_death_at_a_call_loses_nothing(recordings: dict[str, Recording], tmp_path: Path) -> None:
    """A process killed at its entry into a write, a sync or an acknowledgement has lost no
    acknowledged batch."""
    died = power_kill.all_deaths(
        recordings["FULL"],
        tmp_path,
        [("pwrite64", 400), ("fsync,fdatasync", 20), ("write", 9), ("?unlink,?unlinkat", 2)],
        workers=2,
    )
    assert all(death.verdict.whole for death in died), died
    assert died[2].verdict.acknowledged == 8
    assert min(death.verdict.acknowledged for death in died) > 0


@pytest.mark.usefixtures("recordings")
def test_a_run_that_proves_nothing_is_refused(tmp_path: Path) -> None:
    """A load too short to overwrite its log proves nothing, and the benchmark says so."""
    with pytest.raises(BenchmarkError, match="log_restarts"):
        power_states.make_recording(tmp_path / "x", "FULL", batches=2, sessions=1, seed=1)


def test_the_command_gives_table_and_json(
    tmp_path: Path, recordings: dict[str, Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command records, rebuilds and judges; its JSON has both settings' figures."""
    recorded = []

    def record(folder: Path, setting: str, *, batches: int, sessions: int, seed: int) -> Recording:
        """The recording of the other tests, which the same arguments have made."""
        recorded.append((folder.name, setting, batches, sessions, seed))
        return recordings[setting]

    monkeypatch.setattr(power, "make_recording", record)
    out = tmp_path / "power.json"
    arguments = (
        f"power --states 30 --control-states 25 --deaths 1 --batches {BATCHES} --sessions 2 "
        "--seed 5 --workers 1"
    )
    result = CliRunner().invoke(
        main, [*arguments.split(), "--folder", str(tmp_path / "work"), "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert recorded == [(it, it, BATCHES, 2, 5) for it in power_load.SYNCHRONOUS]
    content = json.loads(out.read_text())
    assert content["name"] == "power"
    assert content["ratio"] == 1.0
    assert content["deaths"]["count"] == 1
    found = {it["name"]: it for it in content["experiments"]}
    assert found["FULL"]["states"] == 30
    assert found["FULL"]["lost_states"] == 0
    assert found["NORMAL"]["lost_states"] > 0
    assert found["NORMAL"]["changes"]["torn"] > 0
    assert content["recordings"]["FULL"]["batches"] == BATCHES
    assert "disks that lost one" in result.output
