"""Events of authorizations, and the answers composed around the same bytes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, get_args, get_type_hints

from freehold.v1 import authorization_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from service.books.verify import verify_books
from service.domain.attestations import AttestationKind, Cause, Source
from service.domain.authorization import Authorization, Collection
from service.domain.captures import Purpose
from service.domain.charge_backs import ChargeBack
from service.domain.suspense import Direction, SuspenseItem
from service.domain.tariff import Fee, FeeItem, FeeLine
from service.domain.transitions import Transition
from service.engine.calls import (
    Answer,
    Attestation,
    ChargedBack,
    Corrected,
    Cut,
    CutTime,
    Group,
    LateStart,
    Matched,
    Payloads,
    Priced,
    Settled,
)
from service.engine.records.attestations import AttestationRecord
from service.engine.records.captures import CaptureRecord, CorrectionRecord
from service.rpc import (
    answers,
    authorization_service,
    charge_backs,
    collection_service,
    credit_service,
)
from service.rpc.convert import RARE, encode_authorization, encode_rest
from service.rpc.mutations import Mutation
from service.rpc.stored import read_answer, read_payload
from tests.fakes import OPERATOR, START_US, serving
from tests.rpc.examples import passing
from tests.rpc.receipts import without_receipt
from tests.rpc.support import Desks, desks

ROWS: dict[str, Mutation] = {
    it.name: it
    for service in (authorization_service, credit_service, collection_service)
    for it in service.MUTATIONS
}
WRITERS = (
    answers.write_authorized, answers.write_group, answers.write_settled,
    answers.write_reversed, answers.write_provisioned, answers.write_corrected,
    answers.write_asked, answers.write_started, answers.write_attested,
    charge_backs.write_charged_back, charge_backs.write_matched,
)  # fmt: skip
ABOUT = sorted(name for name, it in ROWS.items() if it.write in WRITERS)
"""The methods that answer with authorizations."""

CHOSEN = {"user_id": st.text("abc-", min_size=1, max_size=9), "currency": st.just("CNY")}


def _values(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field of an authorization."""
    if name in CHOSEN:
        return CHOSEN[name]
    if name == "band":
        return st.sampled_from(["", *"ABCDE"])
    if hint is int:
        return st.integers(0, (1 << 31) - 1)
    kinds = get_args(hint)
    if kinds[:1] == (int,):
        return st.none() | st.integers(0, 1 << 50)
    return st.from_type(hint)


AUTHORIZATIONS = st.builds(
    Authorization, **{name: _values(name, it) for name, it in get_type_hints(Authorization).items()}
)
CAPTURE = CaptureRecord(
    "ann", "a", 2, Purpose.DAMAGE, 500, "case-1", 3, START_US, START_US, b"", 20, 30
)
CORRECTION = CorrectionRecord(
    *("ann", "a", 1, Transition.LOWERED, 2, 20, 20, 0, "case-2", "a dent"),
    *(4, START_US, START_US, b""),
)
ATTESTATION = AttestationRecord(
    *("ann", "a", 1, AttestationKind.WAIVER, Cause.ITEM_AT_FAULT, Source.USER, "photo-1"),
    *(START_US, 500, 300, 4, START_US, START_US, b""),
)
CASE = ChargeBack("ann", "a", "case-1", "platform", "pay-1", 500, "CNY", 0, START_US, 100, 400)
ITEM = SuspenseItem("platform", "odd-1", "ann", "a", Direction.OUT, 500, "CNY", START_US, 300)
FEE = Fee((FeeLine(FeeItem.START_FEE, 1, 150, 150), FeeLine(FeeItem.INTERVALS, 2, 100, 200)), 350)


CUT = (CutTime("rental_period", "bike", 86_400_000_000),)


def _answers(method: str, them: list[Authorization]) -> list[Answer]:
    """Answers of a method with these authorizations."""
    writer = ROWS[method].write
    if writer is answers.write_group:
        group = Group(tuple(them))
        return [group, Group(()), Cut(group, CUT)]
    if writer is answers.write_asked:
        cut = Cut(them[0], CUT)
        return [them[0], cut, Priced(them[0], "0" * 64), Priced(cut, "0" * 64)]
    if writer is answers.write_started:
        return [them[0], LateStart(them[0], "users/ann/authorizations/00000000000000000001")]
    if writer is answers.write_settled:
        settled = [Settled(them[0], None), Settled(them[0], FEE), Settled(them[0], FEE, CAPTURE)]
        debt = Settled(them[0], FEE, CAPTURE, "users/ann/authorizations/debt")
        return [*settled, debt, Settled(them[0], None, handover=ATTESTATION)]
    if writer is answers.write_attested:
        return [Attestation(them[0], ATTESTATION)]
    if writer is answers.write_corrected:
        return [Corrected(them[0], ()), Corrected(them[0], (CORRECTION, CORRECTION))]
    if writer is charge_backs.write_charged_back:
        return [ChargedBack(them[0], CASE)]
    if writer is charge_backs.write_matched:
        return [Matched(ITEM, them[0])]
    return [them[0]]


@given(them=st.lists(AUTHORIZATIONS, min_size=1, max_size=3))
def test_a_response_is_put_together_as_it_would_be_serialized(them: list[Authorization]) -> None:
    """A response of any method, composed around encoded authorizations, has the same bytes as its
    serialized message."""
    # Drawing authorizations takes most of the time, so all methods answer with the same.
    for method, answer in [(it, answer) for it in ABOUT for answer in _answers(it, them)]:
        it = ROWS[method]
        made = it.write(it.response, answer, Payloads(encode_authorization, {}))
        message: Any = it.response.FromString(made)
        assert message.SerializeToString(deterministic=True) == made, method
        while isinstance(answer, Cut | Priced):
            answer = answer.answer
        if isinstance(answer, Group):
            told, held = list(message.authorizations), list(answer.authorizations)
        else:
            told, held = [message.authorization], them[:1]
        expected = [*map(encode_authorization, held)]
        assert [part.SerializeToString() for part in told] == expected, method


@given(AUTHORIZATIONS)
def test_rare_fields_alone_decide_whether_the_rest_is_encoded(it: Authorization) -> None:
    """If the rare fields of an authorization have their defaults, its message has no bytes for
    them, and nothing is collected."""
    usual = {name: Authorization._field_defaults.get(name, "") for name in RARE}
    plain = it._replace(**usual)
    assert (encode_rest(plain), plain.collection) == (b"", Collection.NONE)


def test_every_response_with_authorizations_is_composed() -> None:
    """Every response with an authorization is composed around the authorization's bytes."""
    fields = {name: it.response.DESCRIPTOR.fields_by_name for name, it in ROWS.items()}
    assert (
        sorted(name for name, has in fields.items() if {"authorization", "authorizations"} & {*has})
        == ABOUT
    )


def told_by(desk: Desks, method: str) -> list[pb.Authorization]:
    """Calls a method; returns the authorizations of its answer, as read afterwards."""
    caller = desk.caller_for(method)
    answer: Any = ROWS[method].response.FromString(caller.send(method, passing(desk, method)))
    them = answer.authorizations if method == "AuthorizeGroup" else [answer.authorization]
    return [desk.operator.call("GetAuthorization", name=it.name).authorization for it in them]


def test_an_event_is_rebuilt_from_its_row_alone(tmp_path: Path) -> None:
    """For every method, the row of an event has the operator, and the authorization as it was right
    after the event. The bytes equal those in the stored answer."""
    with serving(tmp_path) as served, desks(served) as desk:
        told = [it for method in ABOUT for it in told_by(desk, method)]
    with sqlite3.connect(tmp_path / "freehold.db") as connection:
        for it in told:
            authorization_id = it.name.rpartition("/")[2]
            ((operator_id, payload),) = connection.execute(
                "SELECT operator_id, payload FROM outbox"
                " WHERE authorization_id = ? AND authorization_version = ?",
                (authorization_id, it.version),
            ).fetchall()
            assert without_receipt(pb.Authorization.FromString(payload)) == it
            assert operator_id == OPERATOR
            ((same,),) = connection.execute(
                "SELECT count(*) FROM requests WHERE instr(answer, ?) > 0", (payload,)
            ).fetchall()
            assert same
    connection.close()
    engine = served.store.engine
    found = verify_books(engine, read_answer=read_answer, read_payload=read_payload)
    assert (found.fault, len(told)) == (None, len(ABOUT) + 1)
