"""AdminService: keys, persons, and acts that need a second person."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from freehold.client import AsyncClient, Client, FreeholdError
from freehold.v1.admin_service_pb2 import CreateKeyRequest
from freehold.v1.charge_back_pb2 import SUSPENSE_DIRECTION_IN
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.clock import SandboxClock
from service.config import KeyLimits, Limits
from service.domain.access import (
    OPERATOR_SCOPES,
    PLATFORM,
    PLATFORM_SCOPES,
    Scope,
    hash_key,
    key_id_of,
    new_key,
)
from service.engine.records.administration import NewKey
from service.storage import admin
from service.storage.administration import list_audit
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, Served, serving
from tests.rpc import ready
from tests.rpc.support import (
    RPCS,
    Caller,
    Desks,
    Refused,
    add_person,
    desks,
    outcome,
    until,
    yuan,
)

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
ADMIN = Scope.KEYS_ADMIN


class Office(NamedTuple):
    """A server, its callers, a clock for its keys, and callers of its persons."""

    desk: Desks
    clock: SandboxClock
    ada: Caller
    """A person of the platform, as are `ada_again` (another key of hers) and `bob`."""
    ada_again: Caller
    bob: Caller
    carl: Caller
    """A person of the operator, as `dora`; both may administer keys."""
    dora: Caller
    program: Caller
    """A program of the platform that may administer keys."""

    @property
    def served(self) -> Served:
        return self.desk.served

    def caller(self, key: str) -> Caller:
        """A further caller."""
        return Caller(self.served.address, key)


def key_of(served: Served, owner: str, person_id: str = "", *, expire_us: int | None = None) -> str:
    """The text of a new key with the owner's usual scopes and keys.admin."""
    operator_id = None if owner == PLATFORM else owner
    usual = PLATFORM_SCOPES if operator_id is None else OPERATOR_SCOPES
    scopes = frozenset(map(str, usual | {ADMIN}))
    key = new_key()
    wanted = NewKey(operator_id, person_id, "", scopes, expire_us)
    admin.add_key(served.store.engine, key, operator_id, START_US, wanted=wanted)
    return key


@pytest.fixture(scope="module")
def office(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    clock = SandboxClock(START_US)
    limits = Limits(keys=KeyLimits(known_s=0.2, unknown_s=0.1))
    folder = tmp_path_factory.mktemp("office")
    with serving(folder, limits=limits, key_clock=clock) as served, desks(served) as desk:
        for owner, person_id in (
            *((PLATFORM, it) for it in ("ada", "bob")),
            *((OPERATOR, it) for it in ("carl", "dora")),
        ):
            add_person(served.store.engine, person_id, owner)
        owners = [(PLATFORM, "ada"), (PLATFORM, "ada"), (PLATFORM, "bob")]
        owners += [(OPERATOR, "carl"), (OPERATOR, "dora"), (PLATFORM, "")]
        callers = [Caller(served.address, key_of(served, *it)) for it in owners]
        yield Office(desk, clock, *callers)
        for caller in callers:
            caller.close()


def stamp(instant_us: int) -> Timestamp:
    """A Timestamp of microseconds."""
    made = Timestamp()
    made.FromMicroseconds(instant_us)
    return made


def under(caller: Caller, proposal: int) -> tuple[tuple[str, str], ...]:
    """The caller's metadata with an approval."""
    return (*caller.metadata, ("freehold-approval", str(proposal)))


def request(method: str, caller: Caller, /, **parts: Any) -> Any:
    """A request with a fresh request id."""
    return RPCS[method].request(**{"request_id": caller.fresh("act"), **parts})


def propose(caller: Caller, method: str, message: Message) -> int:
    """Proposes a call; the proposal's number."""
    made = caller.call("ProposeAct", method=method, request=message.SerializeToString())
    return int(made.proposal.number)


def approved(proposer: Caller, approver: Caller, method: str, message: Message) -> int:
    """The number of an approved proposal."""
    number = propose(proposer, method, message)
    assert approver.call("ApproveAct", proposal=number).proposal.approved_by
    return number


def done(proposer: Caller, approver: Caller, method: str, /, **parts: Any) -> Any:
    """The answer to a call that two persons do."""
    message = request(method, proposer, **parts)
    number = approved(proposer, approver, method, message)
    answer = proposer.send(method, message, metadata=under(proposer, number))
    return RPCS[method].response.FromString(answer)


def refusal(caller: Caller, method: str, /, number: int = 0, **parts: Any) -> str:
    """The reason of a refused call, which is a state that does not allow it."""
    message = request(method, caller, **parts)
    metadata = under(caller, number) if number else None
    refused = caller.refused(method, message, metadata=metadata)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    return refused.reason


def acts(office: Office, owner: str = PLATFORM) -> list[tuple[str, str, str]]:
    """The acts in the record: act, subject and who approved."""
    found = list_audit(office.served.store.engine, owner)
    assert [it.number for it in found] == list(range(1, len(found) + 1))
    return [(it.act, it.subject, it.approved_by) for it in found]


# -- own keys ------------------------------------------------------------------------------------


def test_a_person_makes_keys_for_themselves(office: Office) -> None:
    """A person's key makes a further key of the same person, with no more scopes, alone. The key
    works at once, and its text is in no list and in no record."""
    made = office.ada.call(
        "CreateKey", person_id="ada", label="laptop", scopes=["profiles.read", "keys.admin"]
    )
    caller = office.caller(made.api_key)
    listed = caller.call("ListKeys", page_size=1000).keys
    mine = next(it for it in listed if it.key_id == made.key.key_id)
    assert (mine.person_id, mine.label) == ("ada", "laptop")
    assert list(mine.scopes) == ["keys.admin", "profiles.read"]
    assert not mine.HasField("expire_time")
    assert acts(office)[-1] == ("key.created", f"keys/{mine.key_id}", "")
    with office.served.store.engine.connect() as connection:
        for table in ("api_keys", "audit", "requests"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert made.api_key not in str(rows)
    caller.close()


def test_a_repeated_creation_shows_a_new_key(office: Office) -> None:
    """A repeated CreateKey answers a new key and ends the first one, for an hour; a first key that
    was ended in another way is never replaced."""
    message = request("CreateKey", office.ada, person_id="ada", scopes=["keys.admin"])
    kind: Any = RPCS["CreateKey"].response
    first, second = (kind.FromString(office.ada.send("CreateKey", message)) for _ in range(2))
    assert first.api_key != second.api_key
    keys = {it.key_id: it for it in office.ada.call("ListKeys", page_size=1000).keys}
    assert keys[first.key.key_id].HasField("revoke_time")
    assert not keys[second.key.key_id].HasField("revoke_time")
    office.ada.call("RevokeKey", key_id=second.key.key_id)
    assert office.ada.refused("CreateKey", message).reason == "KEY_MADE"
    message = request("CreateKey", office.ada, person_id="ada", scopes=["keys.admin"])
    office.ada.send("CreateKey", message)
    # A retry does not begin the hour anew.
    office.clock.advance(office.clock.now_us() + 2400 * SECOND_US)
    office.ada.send("CreateKey", message)
    office.clock.advance(office.clock.now_us() + 1201 * SECOND_US)
    assert office.ada.refused("CreateKey", message).reason == "KEY_MADE"


def test_a_request_id_is_for_one_request(office: Office) -> None:
    """The same request id with another content is refused with the field that differs; the same
    content gets the same answer."""
    message = request("AddPerson", office.ada, person_id="eve", display_name="Eve")
    number = approved(office.ada, office.bob, "AddPerson", message)
    metadata = under(office.ada, number)
    first = office.ada.send("AddPerson", message, metadata=metadata)
    assert office.ada.send("AddPerson", message, metadata=metadata) == first
    message.display_name = "Eva"
    refused = office.ada.refused("AddPerson", message)
    assert refused.reason == "REQUEST_ID_REUSED"
    assert refused.info.metadata["field"] == "display_name"


# -- a second person -----------------------------------------------------------------------------

POWER: dict[str, Callable[[Office], tuple[str, dict[str, Any]]]] = {
    "a person": lambda it: ("AddPerson", {"person_id": it.ada.fresh("p"), "display_name": "P"}),
    "another's key": lambda _: ("CreateKey", {"person_id": "bob", "scopes": ["books.read"]}),
    "a program's key": lambda _: ("CreateKey", {"scopes": ["books.read"]}),
    "a scope that the maker lacks": lambda _: (
        "CreateKey",
        {"person_id": "ada", "scopes": ["sandbox.clock", "keys.admin", "payments.write"]},
    ),
    "an operator's key": lambda _: (
        "CreateKey",
        {"operator_id": OPERATOR, "scopes": ["authorizations.read"]},
    ),
    "another's label": lambda it: (
        "UpdateKey",
        {"key_id": it.bob.call("CreateKey", person_id="bob", scopes=["books.read"]).key.key_id},
    ),
    "another's successor": lambda it: (
        "RollKey",
        {"key_id": it.bob.call("CreateKey", person_id="bob", scopes=["books.read"]).key.key_id},
    ),
}
"""Acts that give power."""


@pytest.mark.parametrize("power", sorted(POWER))
def test_an_act_of_power_needs_a_second_person(office: Office, power: str) -> None:
    """An act that gives power is refused to one person and to a program, and is done with the
    approval of a second person, whose name is in the record."""
    caller = office.ada
    if power == "a scope that the maker lacks":
        made = caller.call("CreateKey", person_id="ada", scopes=["keys.admin", "proposals.write"])
        caller = office.caller(made.api_key)
    method, parts = POWER[power](office)
    assert refusal(caller, method, **parts) == "APPROVAL_REQUIRED"
    assert refusal(office.program, method, **parts) == "PERSON_REQUIRED"
    assert done(caller, office.bob, method, **parts)
    owner = OPERATOR if parts.get("operator_id") else PLATFORM
    act = acts(office, owner)[-1]
    assert act[2] == "bob"


def test_a_key_is_ended_by_one_person(office: Office) -> None:
    """Ending a key needs nobody else, so that a key in wrong hands ends at once; the record says
    who did it."""
    made = office.bob.call("CreateKey", person_id="bob", scopes=["books.read"]).key
    ended = office.ada.call("RevokeKey", key_id=made.key_id).key
    assert ended.HasField("revoke_time")
    assert acts(office)[-1][:2] == ("key.revoked", f"keys/{made.key_id}")
    refused = office.ada.refused("RevokeKey", request("RevokeKey", office.ada, key_id=made.key_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND")


def test_nobody_approves_their_own_proposal(office: Office) -> None:
    """The proposer does not approve, under the same key or under another one; a program does not
    approve either."""
    message = request("AddPerson", office.ada, person_id="frank", display_name="Frank")
    number = propose(office.ada, "AddPerson", message)
    for caller in (office.ada, office.ada_again):
        assert refusal(caller, "ApproveAct", proposal=number) == "SAME_PERSON"
    assert refusal(office.program, "ApproveAct", proposal=number) == "PERSON_REQUIRED"
    metadata = under(office.ada, number)
    assert office.ada.refused("AddPerson", message, metadata=metadata).reason == "NOT_APPROVED"
    office.bob.call("ApproveAct", proposal=number)
    office.ada.send("AddPerson", message, metadata=metadata)


def test_two_approvals_at_once(office: Office) -> None:
    """Of two approvals at the same time one counts, and the other is refused."""
    root = office.desk.admin
    for _ in range(10):
        message = request("AddPerson", office.ada, person_id=office.ada.fresh("p"))
        message.display_name = "P"
        number, gate = propose(office.ada, "AddPerson", message), threading.Barrier(2)

        def approve(caller: Caller, number: int = number, gate: Any = gate) -> str:
            gate.wait(30)
            result = outcome(lambda: caller.call("ApproveAct", proposal=number))
            return result.reason if isinstance(result, Refused) else "OK"

        with ThreadPoolExecutor(2) as pool:
            said = sorted(pool.map(approve, (office.bob, root)))
        assert said == ["APPROVED_BEFORE", "OK"]


def test_a_proposal_is_withdrawn_by_its_proposer(office: Office) -> None:
    """The proposer withdraws a proposal, approved or not, under any key; then it is not approved,
    not used, not waiting, and not withdrawn again. Nobody else withdraws it."""
    messages = [
        request("AddPerson", office.ada, person_id=it, display_name="W") for it in ("w-1", "w-2")
    ]
    waiting = propose(office.ada, "AddPerson", messages[0])
    ready_to_send = approved(office.ada, office.bob, "AddPerson", messages[1])
    for number in (waiting, ready_to_send):
        assert refusal(office.bob, "WithdrawAct", proposal=number) == "PROPOSER_REQUIRED"
        assert refusal(office.program, "WithdrawAct", proposal=number) == "PERSON_REQUIRED"
        it = office.ada_again.call("WithdrawAct", proposal=number).proposal
        assert it.withdraw_time == stamp(office.clock.now_us())
        assert refusal(office.ada, "WithdrawAct", proposal=number) == "PROPOSAL_WITHDRAWN"
        assert acts(office)[-1][:2] == ("act.withdrawn", f"proposals/{number}")
    assert refusal(office.bob, "ApproveAct", proposal=waiting) == "PROPOSAL_WITHDRAWN"
    refused = office.ada.refused(
        "AddPerson", messages[1], metadata=under(office.ada, ready_to_send)
    )
    assert refused.reason == "PROPOSAL_WITHDRAWN"
    listed = office.ada.call("ListProposals", waiting_only=True, page_size=1000).proposals
    assert not {waiting, ready_to_send} & {it.number for it in listed}
    assert office.desk.platform.verify().verified


def test_a_used_proposal_is_not_withdrawn(office: Office) -> None:
    """A proposal whose call was sent is not withdrawn."""
    message = request("AddPerson", office.ada, person_id="w-3", display_name="W")
    number = approved(office.ada, office.bob, "AddPerson", message)
    office.ada.send("AddPerson", message, metadata=under(office.ada, number))
    assert refusal(office.ada, "WithdrawAct", proposal=number) == "PROPOSAL_USED"


def test_a_binding_is_in_the_record(office: Office) -> None:
    """BindKey and UnbindKey change the certificates of a key, leave an act, and are done once for
    their request id."""
    made = office.ada.call("CreateKey", person_id="ada", scopes=["keys.admin"]).key
    own, other = "a" * 64, "b" * 64
    message = request("BindKey", office.ada, key_id=made.key_id, fingerprint=own)
    first = office.ada.send("BindKey", message)
    assert office.ada.send("BindKey", message) == first
    assert acts(office)[-1][:2] == ("key.bound", f"keys/{made.key_id}")
    both = office.ada.call("BindKey", key_id=made.key_id, fingerprint=other).key
    assert list(both.certificates) == [own, other]
    left = office.ada.call("UnbindKey", key_id=made.key_id, fingerprint=own).key
    assert list(left.certificates) == [other]
    before = acts(office)
    assert before[-1][:2] == ("key.unbound", f"keys/{made.key_id}")
    # An act that changes nothing is not recorded.
    office.ada.call("UnbindKey", key_id=made.key_id, fingerprint=own)
    assert acts(office) == before
    assert office.desk.platform.verify().verified


def test_only_the_first_binding_of_anothers_key_needs_nobody(office: Office) -> None:
    """One person binds another's key to its first certificate, which only narrows it. A further
    certificate, and the end of a binding, give power and need a second person."""
    made = office.bob.call("CreateKey", person_id="bob", scopes=["books.read"]).key
    mine = {"key_id": made.key_id, "fingerprint": "a" * 64}
    office.ada.call("BindKey", **mine)
    more = {"key_id": made.key_id, "fingerprint": "b" * 64}
    assert refusal(office.ada, "BindKey", **more) == "APPROVAL_REQUIRED"
    assert refusal(office.ada, "UnbindKey", **mine) == "APPROVAL_REQUIRED"
    unbound = done(office.ada, office.bob, "UnbindKey", **mine).key
    assert not unbound.certificates


def test_the_platform_sets_the_rate_of_a_key(office: Office) -> None:
    """The platform gives an operator's key a rate of its own, which a running server follows, and
    takes it back. The operator does not set it, and neither a new key of that key nor its successor
    escapes it."""
    text = key_of(office.served, OPERATOR, "carl")
    caller = office.caller(text)
    key_id = key_id_of(hash_key(text))
    for change in ({"units_a_second": 1}, {"usual_rate": True}):
        message = request("UpdateKey", office.carl, key_id=key_id, **change)
        assert office.carl.refused("UpdateKey", message).fields == {"units_a_second"}
    both = request("UpdateKey", office.ada, key_id=key_id, units_a_second=1, usual_rate=True)
    assert office.ada.refused("UpdateKey", both).fields == {"units_a_second"}
    limited = done(office.ada, office.bob, "UpdateKey", key_id=key_id, units_a_second=1).key
    assert limited.units_a_second == 1

    def is_limited() -> bool:
        result = outcome(lambda: caller.call("ListKeys"))
        return isinstance(result, Refused) and result.reason == "RATE_LIMITED"

    until(is_limited, "the rate counts")
    successor = office.carl.call("RollKey", key_id=key_id)
    assert successor.key.units_a_second == 1
    usual = done(office.ada, office.bob, "UpdateKey", key_id=key_id, usual_rate=True).key
    assert not usual.HasField("units_a_second")
    free = done(office.ada, office.bob, "UpdateKey", key_id=key_id, units_a_second=0).key
    assert free.HasField("units_a_second")
    until(lambda: not is_limited(), "the rate is gone")
    for _ in range(10):
        caller.call("ListKeys")
    assert office.desk.platform.verify().verified
    caller.close()


def test_a_key_with_a_rate_makes_no_key_without_it(office: Office) -> None:
    """A key that a limited key makes has the same rate."""
    text = key_of(office.served, OPERATOR, "dora")
    key_id = key_id_of(hash_key(text))
    done(office.ada, office.bob, "UpdateKey", key_id=key_id, units_a_second=1_000)
    caller = office.caller(text)
    until(
        lambda: caller.call(
            "CreateKey", person_id="dora", scopes=["authorizations.read"]
        ).key.units_a_second == 1_000,
        "the new key has the rate",
    )  # fmt: skip
    caller.close()


def test_an_approval_is_for_one_request(office: Office) -> None:
    """An approval does not allow another method, another content, another request id or another
    person's call, and the approved request counts once."""
    message = request("AddPerson", office.ada, person_id="gina", display_name="Gina")
    number = approved(office.ada, office.bob, "AddPerson", message)
    others = [
        request("AddPerson", office.ada, person_id="gina", display_name="Gina"),
        RPCS["AddPerson"].request(
            request_id=message.request_id, person_id="gina", display_name="Ginger"
        ),
    ]
    for other in others:
        refused = office.ada.refused("AddPerson", other, metadata=under(office.ada, number))
        assert refused.reason == "APPROVAL_OF_ANOTHER_CALL"
    root = office.desk.admin
    refused = root.refused("AddPerson", message, metadata=under(root, number))
    assert refused.reason == "APPROVAL_OF_ANOTHER_CALL"
    parts = {"person_id": "bob", "scopes": ["books.read"]}
    assert refusal(office.ada, "CreateKey", number, **parts) == "APPROVAL_OF_ANOTHER_CALL"
    assert refusal(office.ada, "CreateKey", 999_999, **parts) == "APPROVAL_OF_ANOTHER_CALL"
    # Another key of the same person sends the same call.
    twice = [
        caller.send("AddPerson", message, metadata=under(caller, number))
        for caller in (office.ada_again, office.ada)
    ]
    assert twice[0] == twice[1]
    assert [it[1] for it in acts(office)].count("persons/gina") == 1


def test_a_proposal_expires(office: Office) -> None:
    """A proposal can be approved, and an approved call sent, until the proposal's time is over. The
    stored answer of a call that was done stays."""
    messages = [
        request("AddPerson", office.ada, person_id=it, display_name="H") for it in ("h-1", "h-2")
    ]
    numbers = [approved(office.ada, office.bob, "AddPerson", it) for it in messages]
    waiting = propose(office.ada, "AddPerson", messages[1])
    answer = office.ada.send("AddPerson", messages[0], metadata=under(office.ada, numbers[0]))
    office.clock.advance(office.clock.now_us() + DAY_US)
    assert refusal(office.bob, "ApproveAct", proposal=waiting) == "PROPOSAL_EXPIRED"
    late = under(office.ada, numbers[1])
    refused = office.ada.refused("AddPerson", messages[1], metadata=late)
    assert refused.reason == "PROPOSAL_EXPIRED"
    assert office.ada.send("AddPerson", messages[0]) == answer


def test_an_approver_needs_the_scope(office: Office) -> None:
    """A person proposes and approves only calls that their own key may send."""
    made = office.ada.call("CreateKey", person_id="ada", scopes=["proposals.write"])
    weak = office.caller(made.api_key)
    body = request("AddPerson", weak, person_id="i", display_name="I").SerializeToString()
    message = request("ProposeAct", weak, method="AddPerson", request=body)
    refused = weak.refused("ProposeAct", message)
    assert (refused.reason, refused.info.metadata["scope"]) == ("SCOPE_MISSING", "keys.admin")
    number = propose(office.bob, "AddPerson", RPCS["AddPerson"].request.FromString(body))
    refused = weak.refused("ApproveAct", request("ApproveAct", weak, proposal=number))
    assert (refused.reason, refused.info.metadata["scope"]) == ("SCOPE_MISSING", "keys.admin")
    weak.close()


def test_a_proposal_shows_the_call(office: Office) -> None:
    """The list of proposals shows the whole call to the approver; a call that breaks an input rule,
    and one that needs nobody, is not proposed."""
    message = request("RecordPayment", office.ada, amount=yuan(200_000))
    message.authorization = f"users/u/authorizations/{'0' * 20}"
    message.payment_reference = "reference-1"
    number = propose(office.ada, "RecordPayment", message)
    page = office.bob.call("ListProposals", waiting_only=True, page_size=1000).proposals
    (shown,) = [it for it in page if it.number == number]
    assert (shown.method, shown.proposed_by, shown.approved_by) == ("RecordPayment", "ada", "")
    assert '"payment_reference": "reference-1"' in shown.request_json
    assert '"amount_minor": "200000"' in shown.request_json
    for method, body in (
        ("RecordPayment", b"\xff"),
        ("RecordPayment", b"\x0a\x00"),
        ("Sing", b"x"),
    ):
        wrong = request("ProposeAct", office.ada, method=method, request=body)
        refused = office.ada.refused("ProposeAct", wrong)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


# -- money ---------------------------------------------------------------------------------------


def test_much_money_needs_a_second_person(office: Office) -> None:
    """A payment above the bound is refused to one person, is recorded once with an approval, and
    needs none below the bound or by a program's key."""
    rental = ready.settled(office.desk)
    message = request("RecordPayment", office.ada, amount=yuan(100_001))
    message.authorization = rental.name
    message.payment_reference = office.ada.fresh("pay")
    assert office.ada.refused("RecordPayment", message).reason == "APPROVAL_REQUIRED"
    number = approved(office.ada, office.bob, "RecordPayment", message)
    metadata = under(office.ada, number)
    answers = {office.ada.send("RecordPayment", message, metadata=metadata) for _ in range(3)}
    assert len(answers) == 1
    # The stored answer needs no approval, as it moves nothing.
    assert office.ada.send("RecordPayment", message) in answers
    used = [it for it in acts(office) if it[1] == f"proposals/{number}"]
    assert [it[0] for it in used] == ["act.proposed", "act.approved", "act.used"]
    assert used[-1][2] == "bob"
    for caller, amount_minor in ((office.ada, 100_000), (office.desk.platform, 100_001)):
        caller.pay(ready.settled(office.desk).name, amount_minor)
    assert office.desk.platform.verify().verified


def test_the_python_client_sends_an_approval(office: Office) -> None:
    """The Python client, which resends by itself, sends an approved call with its proposal's
    number."""
    message = CreateKeyRequest(request_id=office.ada.fresh(), scopes=["books.read"])
    number = approved(office.ada, office.bob, "CreateKey", message)
    key = office.ada.metadata[0][1].removeprefix("Bearer ")
    with Client(office.served.address, key, plaintext=True) as client:
        with pytest.raises(FreeholdError) as refused:
            client.create_key(message)
        assert refused.value.reason == "APPROVAL_REQUIRED"
        assert client.create_key(message, approval=number).api_key.startswith("fh_")

    async def send() -> str:
        awaited = AsyncClient(office.served.address, key, plaintext=True)
        try:
            answer = await awaited.create_key(message, approval=number)
            return answer.api_key
        finally:
            await awaited.close()

    assert asyncio.run(send()).startswith("fh_")


def test_an_approval_of_money_is_not_for_another_amount(office: Office) -> None:
    """An approved payment cannot be sent with another amount, another reference or another request
    id."""
    rental = ready.settled(office.desk)
    message = request("RecordPayment", office.ada, amount=yuan(150_000))
    message.authorization = rental.name
    message.payment_reference = office.ada.fresh("pay")
    number = approved(office.ada, office.bob, "RecordPayment", message)
    for field, value in (
        ("amount", yuan(150_001)),
        ("payment_reference", office.ada.fresh("pay")),
        ("request_id", office.ada.fresh()),
    ):
        other = RPCS["RecordPayment"].request.FromString(message.SerializeToString())
        other.ClearField(field)
        other.MergeFrom(RPCS["RecordPayment"].request(**{field: value}))
        refused = office.ada.refused("RecordPayment", other, metadata=under(office.ada, number))
        assert refused.reason == "APPROVAL_OF_ANOTHER_CALL", field
    wrong = (*office.ada.metadata, ("freehold-approval", "one"))
    assert office.ada.refused("RecordPayment", message, metadata=wrong).fields == {
        "freehold-approval"
    }


def test_one_person_with_two_keys_is_one_hand(office: Office) -> None:
    """A write-off and a merge, which need two people, are refused to one person with two keys, and
    so is a match that pays a debt."""
    rental = ready.settled(office.desk)
    one, two = office.desk.platform.person(), office.desk.platform.person()
    money: dict[str, Any] = {"payment_reference": office.ada.fresh("odd"), "amount": yuan(1_000)}
    office.ada.call("RecordUnmatched", direction=SUSPENSE_DIRECTION_IN, **money)
    first: tuple[tuple[str, str, dict[str, Any], str], ...] = (
        ("ProposeWriteOff", "ApproveWriteOff", {"name": rental.name}, "NEEDED"),
        ("ProposeMerge", "ApproveMerge", {"user_id": one, "survivor": two}, "REQUIRED"),
    )
    for propose_it, approve_it, parts, reason in first:
        why = {"reason": "one person"} if propose_it == "ProposeMerge" else {}
        office.ada.call(propose_it, **parts, **why)
        for caller in (office.ada, office.ada_again):
            assert refusal(caller, approve_it, **parts) == f"SECOND_PERSON_{reason}"
        office.bob.call(approve_it, **parts)
    other = ready.declined(office.desk)
    match = {**money, "name": other.name}
    office.ada.call("MatchSuspense", **match)
    assert refusal(office.ada_again, "MatchSuspense", **match) == "SECOND_PERSON_NEEDED"
    office.bob.call("MatchSuspense", **match)
    assert office.desk.platform.verify().verified


# -- operators -----------------------------------------------------------------------------------


def test_an_operator_administers_its_own_keys(office: Office) -> None:
    """An operator's persons make keys for its own programs, two of them together, with no more
    scopes and no longer life than the maker's key has."""
    parts: dict[str, Any] = {"scopes": ["authorizations.read"], "label": "app"}
    assert refusal(office.carl, "CreateKey", **parts) == "APPROVAL_REQUIRED"
    made = done(office.carl, office.dora, "CreateKey", **parts)
    assert (made.key.operator_id, made.key.person_id) == (OPERATOR, "")
    office.caller(made.api_key).page()
    assert acts(office, OPERATOR)[-1][2] == "dora"
    key = key_of(office.served, OPERATOR, "carl", expire_us=office.clock.now_us() + 99 * DAY_US)
    brief = office.caller(key)
    for expire in (None, stamp(office.clock.now_us() + 100 * DAY_US)):
        message = request("CreateKey", brief, person_id="carl", scopes=["keys.admin"])
        if expire is not None:
            message.expire_time.CopyFrom(expire)
        assert brief.refused("CreateKey", message).fields == {"expire_time"}
    message = request("CreateKey", office.carl, person_id="carl", scopes=["books.read"])
    assert office.carl.refused("CreateKey", message).fields == {"scopes"}
    weak = office.caller(
        office.carl.call("CreateKey", person_id="carl", scopes=["keys.admin"]).api_key
    )
    parts = {"person_id": "carl", "scopes": ["authorizations.read"]}
    for method, more in (("CreateKey", parts), ("RollKey", {"key_id": made.key.key_id})):
        refused = weak.refused(method, request(method, weak, **more))
        assert refused.reason == "SCOPE_MISSING"
        assert refused.info.metadata["scope"] == "authorizations.read"
    for caller in (brief, weak):
        caller.close()


def test_nothing_of_another_operator_can_be_learned(office: Office) -> None:
    """An operator's key gets the same refusal for another operator, and for its keys and persons,
    as for those that do not exist."""
    other = key_of(office.served, OTHER_OPERATOR)
    listed = office.ada.call("ListKeys", operator_id=OTHER_OPERATOR, page_size=1000).keys
    there, missing = listed[0].key_id, "0" * 16
    assert other not in str(listed)
    for method, parts in (
        ("ListKeys", {}),
        ("ListPersons", {}),
        ("ListAuditEvents", {}),
        ("CreateKey", {"scopes": ["authorizations.read"], "request_id": "x"}),
        ("AddPerson", {"person_id": "p", "display_name": "P", "request_id": "x"}),
        ("RemovePerson", {"person_id": "p", "request_id": "x"}),
    ):
        said = []
        for operator_id in (OTHER_OPERATOR, "nowhere"):
            message = RPCS[method].request(operator_id=operator_id, **parts)
            refused = office.carl.refused(method, message)
            assert refused.code is grpc.StatusCode.NOT_FOUND
            said.append(refused.message.replace(operator_id, "it"))
        assert said[0] == said[1]
    for method in ("UpdateKey", "RollKey", "RevokeKey", "BindKey", "UnbindKey"):
        codes, more = set(), {"fingerprint": "0" * 64} if "ind" in method else {}
        for key_id in (there, missing, listed[-1].key_id):
            message = request(method, office.carl, key_id=key_id, **more)
            refused = office.carl.refused(method, message)
            codes.add((refused.code, refused.message.replace(key_id, "it")))
        assert len(codes) == 1
    mine = {it.operator_id for it in office.carl.call("ListKeys", page_size=1000).keys}
    assert mine == {OPERATOR}
    shown = office.carl.call("ListAuditEvents", page_size=1000).events
    assert shown
    assert not any(it.by_shell_user for it in shown)
    assert not any(it.by_key_id for it in shown if it.by == PLATFORM)


def test_a_person_who_leaves_has_no_keys(office: Office) -> None:
    """All keys of a person end when the person leaves, and no further key is made for that
    person."""
    done(office.ada, office.bob, "AddPerson", person_id="hugo", display_name="Hugo")
    texts = [
        done(office.ada, office.bob, "CreateKey", person_id="hugo", scopes=[scope]).api_key
        for scope in ("keys.admin", "books.read")
    ]
    callers = [office.caller(text) for text in texts]
    callers[0].call("ListKeys")
    left = office.ada.call("RemovePerson", person_id="hugo")
    assert len(left.key_ids) == 2
    until(lambda: ended(callers[0]), "the key ended")
    message = request("CreateKey", office.ada, person_id="hugo", scopes=["books.read"])
    assert office.ada.refused("CreateKey", message).reason == "PERSON_LEFT"
    again = request("RemovePerson", office.ada, person_id="hugo")
    assert office.ada.refused("RemovePerson", again).reason == "PERSON_NOT_FOUND"
    for caller in callers:
        caller.close()


# -- times ---------------------------------------------------------------------------------------


def ended(caller: Caller) -> bool:
    """Whether the caller's key is refused."""
    result = outcome(lambda: caller.call("ListKeys"))
    if not isinstance(result, Refused):
        return False
    assert (result.code, result.reason) == (grpc.StatusCode.UNAUTHENTICATED, "KEY_UNKNOWN")
    return True


def test_a_rolled_key_ends_after_the_overlap(office: Office) -> None:
    """The successor has the person, label, scopes and expiry of the old key. The old key works
    until the overlap is over, and never longer than it would have."""
    expire_us = office.clock.now_us() + 30 * DAY_US
    made = office.ada.call(
        "CreateKey",
        person_id="ada",
        label="laptop",
        scopes=["keys.admin"],
        expire_time=stamp(expire_us),
    )
    rolled = office.ada.call("RollKey", key_id=made.key.key_id, overlap=Duration(seconds=60))
    same = ("person_id", "label", "scopes", "expire_time")
    assert [getattr(rolled.key, it) for it in same] == [getattr(made.key, it) for it in same]
    assert rolled.replaced.expire_time == stamp(office.clock.now_us() + 60 * SECOND_US)
    old, new = office.caller(made.api_key), office.caller(rolled.api_key)
    for caller in (old, new):
        caller.call("ListKeys")
    office.clock.advance(office.clock.now_us() + 60 * SECOND_US)
    until(lambda: ended(old), "the old key ended")
    new.call("ListKeys")
    capped = office.ada.call(
        "RollKey", key_id=rolled.key.key_id, overlap=Duration(seconds=2_592_000)
    )
    assert capped.replaced.expire_time == stamp(expire_us)
    refused = office.ada.refused("RollKey", request("RollKey", office.ada, key_id=made.key.key_id))
    assert refused.reason == "KEY_EXPIRED"
    for caller in (old, new):
        caller.close()


def test_a_label_and_an_expiry_change(office: Office) -> None:
    """A person changes the label of an own key, and moves its expiry; a past expiry is refused."""
    made = office.ada.call("CreateKey", person_id="ada", scopes=["keys.admin"])
    key_id = made.key.key_id
    changed = office.ada.call("UpdateKey", key_id=key_id, label="phone").key
    assert (changed.label, changed.HasField("expire_time")) == ("phone", False)
    ends = stamp(office.clock.now_us() + DAY_US)
    changed = office.ada.call("UpdateKey", key_id=key_id, expire_time=ends).key
    assert (changed.label, changed.expire_time) == ("phone", ends)
    message = request("UpdateKey", office.ada, key_id=key_id, expire_time=stamp(START_US))
    assert office.ada.refused("UpdateKey", message).fields == {"expire_time"}


def test_lists_have_pages(office: Office) -> None:
    """Lists of keys, persons, acts and proposals give each row once, page by page."""
    add_person(office.served.store.engine, "zoe")
    for place in range(4):
        message = request("AddPerson", office.ada, person_id=f"listed-{place}", display_name="L")
        propose(office.ada, "AddPerson", message)
    for method, name in (
        ("ListKeys", "keys"),
        ("ListPersons", "persons"),
        ("ListAuditEvents", "events"),
        ("ListProposals", "proposals"),
    ):
        whole = list(getattr(office.ada.call(method, page_size=1000), name))
        token, found = "", list[Any]()
        while True:
            page = office.ada.call(method, page_size=3, page_token=token)
            found += getattr(page, name)
            token = page.next_page_token
            if not token:
                break
        assert found == whole
        assert len(whole) > 3


def test_the_last_use_of_a_key_is_recorded(tmp_path: Path) -> None:
    """The time of a key's last use is recorded in the background, and shown by ListKeys."""
    limits = Limits(keys=KeyLimits(known_s=0.0, use_interval_s=1.0))
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:

        def used() -> bool:
            desk.operator.page()
            listed = desk.admin.call("ListKeys", operator_id=OPERATOR).keys
            return all(it.HasField("last_use_time") for it in listed)

        until(used, "the use is recorded")
