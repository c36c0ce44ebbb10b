"""Keys, persons, the record of acts and approvals, on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, Table, select
from sqlalchemy.exc import DBAPIError

from service.books.verify import verify_books
from service.domain.access import (
    OPERATOR_SCOPES,
    PLATFORM,
    PLATFORM_SCOPES,
    Principal,
    Scope,
    hash_key,
    key_id_of,
    new_key,
)
from service.domain.errors import ActRefused, FreeholdError, InvalidInput, NotFound
from service.engine.ports import StorageFailed
from service.engine.records.administration import (
    Approval,
    AuditEvent,
    KeyInfo,
    NewKey,
)
from service.storage import admin, approvals, keys, persons
from service.storage import schema as t
from service.storage.administration import list_audit
from service.storage.database import open_database, writing
from service.storage.proposals import list_proposals
from service.storage.store import SqlStore
from tests.conftest import KINDS, databases_of
from tests.fakes import OPERATOR, START_US
from tests.rows import keep_rows_again, let_rows_be_removed
from tests.storage.administered import (
    HOUR_US,
    LIFE_US,
    administer,
    approve,
    asked,
    id_of,
    propose,
    shell,
)

EVERYTHING = frozenset(map(str, PLATFORM_SCOPES | {Scope.KEYS_ADMIN}))


def ada(key_id: str = "a" * 16, person_id: str = "ada", **changes: Any) -> Principal:
    """A person of the platform who may administer keys."""
    return Principal(None, frozenset(map(Scope, EVERYTHING)), key_id, person_id, **changes)


BOB = ada("b" * 16, "bob")
CY = ada("c" * 16, "cy")


def add_key(engine: Engine, operator_id: str | None = None, **wanted: Any) -> str:
    """The id of a new key."""
    key = new_key()
    admin.add_key(engine, key, operator_id, START_US, wanted=NewKey(operator_id, **wanted))
    return key_id_of(hash_key(key))


def info(engine: Engine, key_id: str) -> KeyInfo:
    """The stored key with this id."""
    (found,) = [it for it in keys.list_keys(engine) if it.key_id == key_id]
    return found


def add_person(engine: Engine, person_id: str, owner: str = PLATFORM) -> None:
    persons.add_person(
        engine, shell("add_person"), owner, person_id, "Name", START_US, lambda _: b""
    )


def acts(engine: Engine, owner: str = PLATFORM) -> list[AuditEvent]:
    """The record of an owner's acts, whose numbers have no gap."""
    found = list_audit(engine, owner)
    assert [it.number for it in found] == list(range(1, len(found) + 1))
    return found


def refusal(act: Callable[[], object]) -> str:
    """The reason of a refused act."""
    with pytest.raises(FreeholdError) as refused:
        act()
    return refused.value.reason


@pytest.fixture(scope="module", params=KINDS)
def administered(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A database with every act, whose books are right. A test undoes what it changes."""
    databases = databases_of(request)
    url = databases.new()
    store = SqlStore(open_database(url))
    administer(store, START_US)
    yield store.engine
    assert verify_books(store.engine).fault is None
    store.close()
    databases.drop(url)


# -- keys ----------------------------------------------------------------------------------------


def test_a_key_ends_at_its_expiry(store: SqlStore) -> None:
    """A key is valid until its expiry, and not at it."""
    key = new_key()
    wanted = NewKey(OPERATOR, expire_us=START_US + HOUR_US)
    admin.add_key(store.engine, key, OPERATOR, START_US, wanted=wanted)
    find = partial(keys.find_principal, store.engine, hash_key(key))
    last = find(START_US + HOUR_US - 1)
    assert last is not None
    assert last.expire_us == START_US + HOUR_US
    assert find(START_US + HOUR_US) is None


@pytest.mark.parametrize(("expire_us", "overlap_us", "ends_us"), [
    (None, HOUR_US, START_US + HOUR_US),
    (START_US + 9 * HOUR_US, HOUR_US, START_US + HOUR_US),
    (START_US + HOUR_US, 9 * HOUR_US, START_US + HOUR_US),
    (None, 0, START_US + 1),
])  # fmt: skip
def test_a_successor_inherits_all(
    store: SqlStore, expire_us: int | None, overlap_us: int, ends_us: int
) -> None:
    """A successor has the person, label, scopes and expiry of its predecessor, which ends after the
    overlap or at its own expiry. A retry makes another successor in place of the first."""
    engine = store.engine
    add_person(engine, "ada")
    old = add_key(
        engine, person_id="ada", label="laptop", scopes=frozenset({"books.read"}),
        expire_us=expire_us,
    )  # fmt: skip
    made = [new_key(), new_key()]
    for key in made:
        done = hash_key(key).encode()
        request = shell("roll_key", old, request_id="r-1")
        keys.roll_key(engine, request, old, overlap_us, key, START_US, lambda *_, done=done: done)
    first, second = (info(engine, key_id_of(hash_key(key))) for key in made)
    assert (first.revoke_us, first.revoked_by) == (START_US, "shell/tester")
    assert second.revoke_us is None
    for it in (first, second):
        assert (it.person_id, it.label, it.expire_us) == ("ada", "laptop", expire_us)
        assert it.scopes.granted == {Scope.BOOKS_READ}
    assert info(engine, old).expire_us == ends_us
    assert [it.act for it in acts(engine)][-3:] == ["key.rolled", "key.revoked", "key.rolled"]
    assert verify_books(engine).fault is None


def test_a_key_is_ended_by_its_id(store: SqlStore) -> None:
    """A key is ended once by its id; an unknown id and an ended key are not found."""
    key_id = add_key(store.engine, OPERATOR)
    end = partial(keys.revoke_key, store.engine, encode=lambda _: b"")
    end(shell("revoke_key", key_id), key_id, START_US + 1)
    assert info(store.engine, key_id).revoke_us == START_US + 1
    for gone in (key_id, "0" * 16):
        with pytest.raises(NotFound):
            end(shell("revoke_key", gone), gone, START_US + 2)


def test_unknown_scopes_and_past_expiries_are_refused(store: SqlStore) -> None:
    """A key gets only scopes of its owner, and an expiry in the future."""
    for wanted, field in (
        (NewKey(OPERATOR, scopes=frozenset({"books.read"})), "scopes"),
        (NewKey(None, scopes=frozenset({"bikes.fly"})), "scopes"),
        (NewKey(None, expire_us=START_US), "expire_time"),
        (NewKey(None, label="a\nb"), "label"),
        (NewKey(None, label="x" * 201), "label"),
    ):
        with pytest.raises(InvalidInput) as refused:
            admin.add_key(store.engine, new_key(), wanted.operator_id, START_US, wanted=wanted)
        assert [it.field for it in refused.value.violations] == [field]
    unknown = NewKey(None, person_id="nobody")
    with pytest.raises(NotFound):
        admin.add_key(store.engine, new_key(), None, START_US, wanted=unknown)


def test_the_last_use_never_goes_back(store: SqlStore) -> None:
    """The latest use of a key is kept, also if an earlier one is recorded later."""
    key = new_key()
    admin.add_key(store.engine, key, OPERATOR, START_US)
    for used_us in (START_US + 5, START_US + 3, START_US + 7, START_US + 7):
        store.note_uses({hash_key(key): used_us, hash_key("unknown"): used_us})
        last = info(store.engine, key_id_of(hash_key(key))).last_use_us
        assert last == max(START_US + 5, used_us)


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_recording_uses_keeps_the_pages_of_the_writer(store: SqlStore) -> None:
    """On SQLite uses are written by the writing connection, which therefore keeps its cached
    pages."""
    store.features(["ann"])
    session: Any = store._session

    def commits_of_others() -> int:
        number: int = session.driver.execute("PRAGMA data_version").fetchone()[0]
        return number

    key = new_key()
    admin.add_key(store.engine, key, OPERATOR, START_US)
    before = commits_of_others()
    store.note_uses({hash_key(key): START_US})
    assert info(store.engine, key_id_of(hash_key(key))).last_use_us == START_US
    assert commits_of_others() == before
    admin.add_key(store.engine, new_key(), OPERATOR, START_US)
    assert commits_of_others() != before


# -- persons -------------------------------------------------------------------------------------


def test_all_keys_of_a_person_who_leaves_end(store: SqlStore) -> None:
    """When a person leaves, the person's keys end, and those of a namesake of another owner do
    not."""
    engine = store.engine
    add_person(engine, "ada")
    add_person(engine, "ada", OPERATOR)
    mine = [add_key(engine, person_id="ada") for _ in range(3)]
    others = [add_key(engine, OPERATOR, person_id="ada"), add_key(engine)]
    leave = partial(keys.remove_person, engine, now_us=START_US + 1, encode=lambda *_: b"")
    leave(shell("remove_person", "ada", request_id="l-1"), PLATFORM, "ada")
    leave(shell("remove_person", "ada", request_id="l-1"), PLATFORM, "ada")
    assert all(info(engine, it).revoke_us == START_US + 1 for it in mine)
    assert all(info(engine, it).revoke_us is None for it in others)
    (left,) = [it for it in persons.list_persons(engine, PLATFORM) if it.person_id == "ada"]
    assert (left.leave_us, left.left_by) == (START_US + 1, "shell/tester")
    assert refusal(lambda: add_key(engine, person_id="ada")) == "PERSON_LEFT"
    assert refusal(lambda: add_person(engine, "ada")) == "PERSON_EXISTS"
    with pytest.raises(NotFound):
        leave(shell("remove_person", "ada"), PLATFORM, "ada")


# -- the record ----------------------------------------------------------------------------------


def test_acts_at_the_same_time_leave_no_gap(store: SqlStore) -> None:
    """Acts on one owner's keys at the same time are numbered without a gap, and none is lost."""
    engine, gate = store.engine, threading.Barrier(4)

    def work(_: int) -> None:
        gate.wait(30)
        for _ in range(5):
            add_key(engine, OPERATOR)

    add_key(engine, OPERATOR)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(acts(engine, OPERATOR)) == 21
    assert verify_books(engine).fault is None


def test_a_refused_act_is_not_in_the_record(store: SqlStore) -> None:
    """A refused act changes nothing, and leaves no number unused."""
    before = acts(store.engine)
    message = partial(asked, ada(), "AddPerson")
    add = partial(persons.add_person, store.engine, encode=lambda _: b"")
    with pytest.raises(ActRefused):
        add(message(), PLATFORM, "eve", "Eve", START_US)
    assert acts(store.engine) == before
    assert not persons.list_persons(store.engine)


def test_acts_are_only_added(store: SqlStore) -> None:
    """The database refuses to change or remove an act, or what was proposed."""
    propose(store.engine, ada())
    for statement in (
        "UPDATE audit SET act = 'x'",
        "DELETE FROM audit",
        "UPDATE proposals SET request = 'x'",
        "UPDATE proposals SET proposed_by = 'x'",
        "DELETE FROM proposals",
    ):
        with pytest.raises(DBAPIError, match="append-only"), writing(store.engine) as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_removed_act_is_found(store: SqlStore, number: int) -> None:
    """The verifier finds a removed act, the newest one too, and all acts of an owner removed."""
    for _ in range(3):
        add_key(store.engine, OPERATOR)
    assert verify_books(store.engine).fault is None
    a = t.audit.c
    let_rows_be_removed(store.engine, [t.audit])
    with writing(store.engine) as connection:
        connection.execute(t.audit.delete().where(a.owner == OPERATOR, a.number == number))
    fault = verify_books(store.engine).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("AUDIT", f"audit/{OPERATOR}")
    with writing(store.engine) as connection:
        connection.execute(t.audit.delete().where(a.owner == OPERATOR))
    fault = verify_books(store.engine).fault
    assert fault is not None
    assert fault.detail == "no act, of 3 that were recorded"
    keep_rows_again(store.engine, [t.audit])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bob", {"operator_id": OPERATOR}),
        ("bob", {"scopes": "books.read"}),
        ("bob", {"scopes": "books.read keys.admin limits.write payments.write"}),
        ("bob", {"person_id": "ada"}),
        ("bob", {"expire_us": None}),
        ("app", {"expire_us": None}),
        ("eve", {"revoke_us": None, "revoked_by": None}),
        ("eve", {"revoke_us": None}),
        ("old", {"person_id": "ada"}),
        ("old-known", {"operator_id": OPERATOR}),
        ("old-known", {"revoke_us": None}),
        ("old", {"certificates": ""}),
        ("app-2", {"certificates": f"{1:064x} {2:064x}"}),
        ("app-3", {"certificates": ""}),
        ("app-2", {"units_a_second": 0}),
        ("app-3", {"units_a_second": None}),
        ("bob", {"units_a_second": 0}),
        ("old-ended", {"units_a_second": 0}),
    ],
)
def test_a_changed_key_is_found(administered: Engine, name: str, changes: dict[str, Any]) -> None:
    """The verifier finds a key whose owner, scopes, person, expiry, certificates, rate or end is
    not what the acts made of it."""
    mine = t.api_keys.c.key_hash.startswith(id_of(name))
    with writing(administered) as connection:
        columns = [t.api_keys.c[column] for column in changes]
        before = connection.execute(select(*columns).where(mine)).mappings().one()
        connection.execute(t.api_keys.update().where(mine).values(**changes))
    try:
        fault = verify_books(administered).fault
    finally:
        with writing(administered) as connection:
            connection.execute(t.api_keys.update().where(mine).values(**before))
    assert fault is not None
    assert fault.rule == "AUDIT"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [(t.persons, "person_id", "cy"), (t.api_keys, "label", "docks"), (t.proposals, "use_us", None)],
)
def test_a_removed_row_of_an_act_is_found(
    store: SqlStore, table: Table, column: str, value: str | None
) -> None:
    """The verifier finds that a key, a person or a proposal was removed that an act made."""
    administer(store, START_US)
    triggers = table is t.proposals
    if triggers:
        let_rows_be_removed(store.engine, [table])
    with writing(store.engine) as connection:
        connection.execute(table.delete().where(table.c[column] == value))
    fault = verify_books(store.engine).fault
    if triggers:
        keep_rows_again(store.engine, [table])
    assert fault is not None
    assert fault.rule == "AUDIT"


@pytest.mark.parametrize("withdraw_us", [None, START_US + 5])
def test_a_changed_withdrawal_is_found(store: SqlStore, withdraw_us: int | None) -> None:
    """The verifier finds a withdrawal that was taken back, or has another time."""
    administer(store, START_US)
    withdrawn = t.proposals.c.withdraw_us.is_not(None)
    with writing(store.engine) as connection:
        changed = t.proposals.update().where(withdrawn).values(withdraw_us=withdraw_us)
        assert connection.execute(changed).rowcount == 1
    fault = verify_books(store.engine).fault
    assert fault is not None
    assert fault.rule == "AUDIT"


def test_a_key_that_an_earlier_build_ended_is_right(store: SqlStore) -> None:
    """A build before the record of acts may end a key of this build."""
    key_id = add_key(store.engine, label="till")
    with writing(store.engine) as connection:
        mine = t.api_keys.c.key_hash.startswith(key_id)
        connection.execute(t.api_keys.update().where(mine).values(revoke_us=START_US + 1))
    assert verify_books(store.engine).fault is None


def test_the_record_says_who_acted(store: SqlStore) -> None:
    """The record names the person, the key or the user of the shell, the request and the approver,
    and has no key's text or hash."""
    engine = store.engine
    number = propose(engine, ada())
    approve(engine, BOB, number)
    request = asked(ada(), "AddPerson", "p-1", approval=Approval(number, "AddPerson", b"body"))
    persons.add_person(engine, request, PLATFORM, "eve", "Eve", START_US, lambda _: b"")
    key = new_key()
    admin.add_key(engine, key, None, START_US, user="alice", wanted=NewKey(None, label="app"))
    added, created = acts(engine)[-2:]
    assert added[3:] == (
        "person.added", "persons/eve", json.dumps({"name": "Eve"}), PLATFORM, "a" * 16, "ada", "",
        "p-1", number, "bob",
    )  # fmt: skip
    assert (created.act, created.by_user, created.by_key_id) == ("key.created", "alice", "")
    assert json.loads(created.details)["label"] == "app"
    assert hash_key(key) not in str(acts(engine))


# -- approvals -----------------------------------------------------------------------------------


def test_two_persons_approve_at_once(store: SqlStore) -> None:
    """Of several approvals at the same time, exactly one counts."""
    for _ in range(5):
        number, gate = propose(store.engine, ada()), threading.Barrier(2)

        def race(by: Principal, number: int = number, gate: Any = gate) -> str:
            gate.wait(30)
            try:
                approve(store.engine, by, number)
            except ActRefused as error:
                return error.reason
            return "OK"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(race, (BOB, CY))) == ["APPROVED_BEFORE", "OK"]


def test_an_approval_is_used_once_by_two_calls_at_once(store: SqlStore) -> None:
    """If the same approved call is sent several times at once, its first use is recorded once."""
    number = propose(store.engine, ada(), "RecordPayment")
    approve(store.engine, BOB, number)
    gate = threading.Barrier(4)
    approval = Approval(number, "RecordPayment", b"body")

    def send(_: int) -> None:
        gate.wait(30)
        request = asked(ada(), "RecordPayment", "p-1", approval=approval)
        approvals.use_for_call(store.engine, request, START_US)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert [it.act for it in acts(store.engine)][-2:] == ["act.approved", "act.used"]


@pytest.mark.parametrize(
    ("by", "approval", "now_us", "reason"),
    [
        (ada(), Approval(9, "AddPerson", b"body"), 0, "APPROVAL_OF_ANOTHER_CALL"),
        (ada(), Approval(1, "AddPerson", b"other"), 0, "APPROVAL_OF_ANOTHER_CALL"),
        (ada(), Approval(1, "CreateKey", b"body"), 0, "APPROVAL_OF_ANOTHER_CALL"),
        (BOB, Approval(1, "AddPerson", b"body"), 0, "APPROVAL_OF_ANOTHER_CALL"),
        (ada(), Approval(1, "AddPerson", b"body"), LIFE_US, "PROPOSAL_EXPIRED"),
        (ada("0" * 16, ""), Approval(1, "AddPerson", b"body"), 0, "PERSON_REQUIRED"),
        (ada(), None, 0, "APPROVAL_REQUIRED"),
        (ada("d" * 16), Approval(1, "AddPerson", b"body"), LIFE_US - 1, ""),
    ],
)
def test_an_approval_fits_one_call(
    store: SqlStore, by: Principal, approval: Approval | None, now_us: int, reason: str
) -> None:
    """An approval is for its method, its content and its person, under any key of that person, and
    until its time is over."""
    number = propose(store.engine, ada())
    approve(store.engine, BOB, number)
    if approval is not None and approval.number == 1:
        approval = approval._replace(number=number)
    request = asked(by, "AddPerson", approval=approval)
    use = partial(approvals.use_for_call, store.engine, request, START_US + now_us)
    if reason:
        assert refusal(use) == reason
    else:
        use()


def test_nobody_approves_their_own_act(store: SqlStore) -> None:
    """The proposer does not approve under another key; nor does a program, nor anybody after the
    proposal's time; an unknown proposal is not found."""
    number = propose(store.engine, ada())
    for by, now_us, reason in (
        (ada("d" * 16), START_US, "SAME_PERSON"),
        (ada("e" * 16, ""), START_US, "PERSON_REQUIRED"),
        (BOB, START_US + LIFE_US, "PROPOSAL_EXPIRED"),
    ):
        assert refusal(partial(approve, store.engine, by, number, now_us)) == reason
    with pytest.raises(NotFound):
        approve(store.engine, BOB, number + 1_000)
    clerk = Principal(OPERATOR, OPERATOR_SCOPES | {Scope.KEYS_ADMIN}, "f" * 16, "carl")
    with pytest.raises(NotFound):
        approve(store.engine, clerk, number)


def test_proposals_wait_until_they_are_approved_or_over(store: SqlStore) -> None:
    """The list of waiting proposals has neither approved ones nor those whose time is over."""
    numbers = [propose(store.engine, ada()) for _ in range(3)]
    approve(store.engine, BOB, numbers[1])
    listed = partial(list_proposals, store.engine, PLATFORM, after=0, size=9)
    assert [it.number for it in listed(waiting_at_us=START_US)] == [numbers[0], numbers[2]]
    assert listed(waiting_at_us=START_US + LIFE_US) == []
    assert [it.number for it in listed(waiting_at_us=None)] == numbers
    assert list_proposals(store.engine, OPERATOR, None, 0, 9) == []


def test_an_act_whose_database_is_away_is_not_done(store: SqlStore) -> None:
    """An act that the database refuses raises the storage's error, and can be tried again."""
    with writing(store.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO audit_away")
    with pytest.raises(StorageFailed):
        add_key(store.engine, OPERATOR)
    with writing(store.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE audit_away RENAME TO audit")
    assert keys.list_keys(store.engine, OPERATOR) == []
    add_key(store.engine, OPERATOR)


def test_a_bound_key_makes_only_bound_keys(store: SqlStore) -> None:
    """A key that is bound to a certificate makes keys that are bound to it too, also at a retry; a
    successor has the bindings of its predecessor."""
    engine, fingerprint = store.engine, "a" * 64
    add_person(engine, "ada")
    by = ada(certificates=frozenset({fingerprint}))
    request = asked(by, "CreateKey", "k-1")._replace(first_key=bytes.decode)
    wanted = NewKey(None, "ada", scopes=frozenset({"books.read"}))

    def encode(it: KeyInfo, _text: str) -> bytes:
        return it.key_id.encode()

    for _ in range(2):
        made = keys.create_key(engine, request, wanted, new_key(), START_US, encode).decode()
        assert info(engine, made).certificates == {fingerprint}
    key = new_key()
    keys.roll_key(
        *(engine, shell("roll_key"), made, HOUR_US, key, START_US),
        lambda *_: hash_key(key).encode(),
    )
    assert info(engine, key_id_of(hash_key(key))).certificates == {fingerprint}
