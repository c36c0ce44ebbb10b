"""The sealer: the heads in a seal, its portions, and the right to seal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.hash_chain import seal_digest
from service.engine import operations as c
from service.engine.group_commit import CommitLimits, Committer
from service.engine.ports import Unsealed
from service.engine.records.seals import SealRecord
from service.engine.workers.seals import Sealer
from service.engine.workers.worker import Worker
from service.signing import PublicKeys, SealKey
from service.storage import schema as t
from service.storage.seals import EVENTS_A_HEAD, SqlSealStore
from service.storage.store import SqlStore
from tests.engine.acts import money
from tests.engine.calls import authorize, line, reason, rental, settle
from tests.fakes import BACKSTAGE, Desk, horizon_of
from tests.storage.book import KEY, KEYS, seal, witness

ON_BOTH = "the database keeps the order of events"


@pytest.fixture
def desk(store: SqlStore) -> Iterator[Desk]:
    """An engine on a fresh database, where Ann, Ben and Cem score 700; it verifies at the end."""
    made = Desk(store)
    for user_id in ("ann", "ben", "cem"):
        made.put_user(user_id, 700)
    yield made
    found = verify_books(store.engine, KEYS)
    assert found.fault is None
    assert made.faults == []


def sealed(it: SealRecord) -> dict[str, int]:
    """The people in a seal, with the versions of their lines."""
    return {head.user_id: head.version for head in it.heads}


def test_changed_lines_are_sealed(desk: Desk) -> None:
    """A seal has the present head of every line that changed since the last seal."""
    (first,) = seal(desk)
    assert sealed(first) == {"ann": 1, "ben": 1, "cem": 1}
    it = rental(desk, authorize("ben"))
    rental(desk, settle(it, 100))
    (second,) = seal(desk)
    assert sealed(second) == {"ben": line(desk, "ben").version}
    assert second.heads[0].head == line(desk, "ben").head
    assert (second.number, second.previous) == (2, first.digest)


def test_without_new_entries_there_is_no_seal(desk: Desk) -> None:
    """No seal is made if nothing was posted since the last seal, even if other things happened."""
    seal(desk)
    assert seal(desk) == []
    desk.do(c.SetLimit("ann", money(line(desk).limit_minor)), caller=PLATFORM)
    assert seal(desk) == []
    rental(desk, authorize("ann"))
    assert len(seal(desk)) == 1


def test_a_line_without_entries_is_not_sealed(desk: Desk) -> None:
    """A person without a limit has a line without entries, and nothing to seal."""
    seal(desk)
    rental(desk, authorize("stranger"))
    assert seal(desk) == []


def test_a_seal_is_bounded(desk: Desk) -> None:
    """Seals have a bounded size; there are as many as needed, and no line is left out."""
    for n in range(8):
        desk.put_user(f"user-{n}", 700)
    seals = seal(desk, max_heads=3)
    assert [len(it.heads) for it in seals] == [3, 3, 3, 2]
    assert [it.number for it in seals] == [1, 2, 3, 4]
    everybody = {"ann", "ben", "cem", *(f"user-{n}" for n in range(8))}
    assert set().union(*(sealed(it) for it in seals)) == everybody


def test_a_busy_line_is_sealed_once(desk: Desk) -> None:
    """Many events of one line make one head, even when they are read in portions."""
    seal(desk)
    for _ in range(3 * EVENTS_A_HEAD):
        desk.put_user("ann", 700)
        desk.do(c.SetLimit("ann", None), caller=PLATFORM)
    it = rental(desk, authorize())
    assert [sealed(made) for made in seal(desk, max_heads=1)] == [{"ann": line(desk).version}]
    assert it.user_id == "ann"


def test_a_seals_digest_and_signature(desk: Desk) -> None:
    """A seal's digest covers number, predecessor, time and heads; the signature covers the
    digest."""
    (made,) = seal(desk)
    heads = [(it.version, it.head) for it in made.heads]
    assert heads == sorted(heads, key=lambda head: head[1])
    assert made.seal_us == desk.clock.now_us()
    again = seal_digest(made.number, b"", made.seal_us, made.outbox_sequence, heads)
    assert made.digest == again
    assert KEYS.verify(made.key_id, made.digest, made.signature)
    for changed in (
        seal_digest(2, b"", made.seal_us, made.outbox_sequence, heads),
        seal_digest(1, b"x", made.seal_us, made.outbox_sequence, heads),
        seal_digest(1, b"", made.seal_us + 1, made.outbox_sequence, heads),
        seal_digest(1, b"", made.seal_us, made.outbox_sequence + 1, heads),
        seal_digest(1, b"", made.seal_us, made.outbox_sequence, heads[1:]),
        seal_digest(1, b"", made.seal_us, made.outbox_sequence, heads[::-1]),
    ):
        assert changed != made.digest
        assert not KEYS.verify(made.key_id, changed, made.signature)


def test_a_new_sealer_continues(desk: Desk) -> None:
    """A sealer that starts seals only lines that no seal has."""
    seal(desk)
    rental(desk, authorize("cem"))
    assert [sealed(it) for it in seal(Desk(desk.store))] == [{"cem": 2}]


def test_a_key_may_be_changed(desk: Desk) -> None:
    """Seals by two keys verify with both public keys, and not with one."""
    other = SealKey(Ed25519PrivateKey.generate())
    seal(desk)
    rental(desk, authorize())
    seals = seal(desk, other)
    both = PublicKeys([KEY.public, other.public])
    assert verify_books(desk.store.engine, both, [witness(seals[-1])]).signatures == 2
    fault = verify_books(desk.store.engine, KEYS).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEAL_SIGNATURE", "seals/2")
    with desk.store.engine.connect().execution_options(writes=True) as con, con.begin():
        for (name,) in triggers(desk):
            con.exec_driver_sql(name)
        con.execute(t.sealed_heads.delete().where(t.sealed_heads.c.number == 2))
        con.execute(t.seals.delete().where(t.seals.c.number == 2))


def triggers(desk: Desk) -> list[tuple[str]]:
    """Statements that drop the triggers against removing seals."""
    if desk.store.engine.dialect.name == "postgresql":
        return [(f"DROP TRIGGER {n}_append_only ON {n}",) for n in ("seals", "sealed_heads")]
    return [(f"DROP TRIGGER {n}_no_delete",) for n in ("seals", "sealed_heads")]


# -- several processes --------------------------------------------------------------------------


def test_a_seals_number_is_unique(desk: Desk) -> None:
    """The second of two seals with one number is refused, and its batch continues without the
    seal."""
    (first,) = seal(desk)
    rental(desk, authorize())
    again = desk.work(c.RecordSeal(first._replace(heads=())), request_id="", caller="")
    other = desk.work(authorize("ben"))
    refused, answered = desk.apply(again, other)
    assert reason(refused) == "SEALED_MEANWHILE"
    assert isinstance(answered, bytes)
    assert len(seal(desk)) == 1


def test_two_processes_seal_one_database(desk: Desk) -> None:
    """Two sealers at once make one list of seals: each number is used once, and no line is left
    out."""
    for n in range(12):
        desk.put_user(f"user-{n}", 700)
    rival = Desk(SqlStore(desk.store.engine))
    made: list[SealRecord] = []

    async def run() -> None:
        committers = [Committer(it.engine.apply, CommitLimits()) for it in (desk, rival)]
        sealers = [
            Sealer(
                SqlSealStore(desk.store.engine, horizon_of(desk.store)),
                committer,
                desk.clock,
                KEY,
                BACKSTAGE,
                max_heads=2,
                pause_s=0.0,
                log_seal=made.append,
                log_fault=lambda _id, error, _about=None: desk.faults.append(error),
            )
            for committer in committers
        ]
        for committer in committers:
            committer.start()
        while sum(len(it.heads) for it in made) < 15:
            await asyncio.gather(*(it.seal() for it in sealers))
        for committer in committers:
            await committer.close()

    asyncio.run(run())
    rival.store._drop_writer()
    assert sorted(it.number for it in made) == list(range(1, len(made) + 1))
    with desk.store.engine.connect() as connection:
        heads = connection.execute(select(t.sealed_heads.c.user_id)).scalars().all()
    assert len(heads) == len(set(heads)) == 15


# -- as it runs ---------------------------------------------------------------------------------


def test_the_sealer_ends_with_a_seal(desk: Desk) -> None:
    """The sealer seals at intervals until it is stopped, then seals the rest."""
    made: list[SealRecord] = []

    async def run() -> None:
        committer = Committer(desk.engine.apply, CommitLimits())
        committer.start()
        sealer = Sealer(
            SqlSealStore(desk.store.engine, horizon_of(desk.store)),
            committer,
            desk.clock,
            KEY,
            BACKSTAGE,
            max_heads=10,
            pause_s=0.001,
            log_seal=made.append,
            log_fault=lambda _id, error, _about=None: desk.faults.append(error),
        )
        running = asyncio.create_task(
            Worker(
                "seals",
                sealer.seal,
                interval_s=0.001,
                log_fault=lambda _id, error, _about=None: desk.faults.append(error),
            ).run()
        )
        while not made:
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        work = desk.work(authorize("ben"))
        await committer.submit(work)
        await sealer.close(10.0)
        await committer.close()

    asyncio.run(run())
    assert sealed(made[-1]) == {"ben": 2}


def test_a_failure_is_tried_again(desk: Desk) -> None:
    """A database that is away does not stop the sealer, and the fault is logged."""
    faults: list[BaseException] = []

    class Away:
        def last_event(self) -> int:
            raise OSError("away")

        def unsealed(self, after: int, max_heads: int) -> Unsealed:
            raise OSError("away")

    async def run() -> None:
        committer = Committer(desk.engine.apply, CommitLimits())
        sealer = Sealer(
            Away(),
            committer,
            desk.clock,
            KEY,
            BACKSTAGE,
            max_heads=2,
            pause_s=0.0,
            log_seal=lambda _: None,
            log_fault=lambda _id, error, _about=None: faults.append(error),
        )
        running = asyncio.create_task(
            Worker(
                "seals",
                sealer.seal,
                interval_s=0.001,
                log_fault=lambda _id, error, _about=None: faults.append(error),
            ).run()
        )
        while len(faults) < 3:
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sealer.close(1.0)

    asyncio.run(run())
    assert len(faults) >= 4
