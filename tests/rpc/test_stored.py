"""The answers stored for retries, as the verifier reads them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from freehold.v1 import authorization_service_pb2 as calls

from service.books.verify import verify_books
from service.rpc import stored
from service.rpc.stored import read_answer
from service.storage.database import open_database
from tests.fakes import serving
from tests.rpc.examples import passing
from tests.rpc.support import MUTATIONS, RPCS, desks
from tests.storage.book import attack


def test_stored_answers_match_their_requests(tmp_path: Path) -> None:
    """For every method, the stored answer is about its request's authorization; another request's
    answer, or a truncated one, is a fault."""
    with serving(tmp_path) as served, desks(served) as desk:
        for method in sorted(MUTATIONS):
            desk.caller_for(method).send(method, passing(desk, method))
        gone = {"user_id": desk.platform.person(), "authorize_request_id": "never-came"}
        assert desk.operator.call("ReverseAuthorization", origin=gone).tombstone
        assert desk.platform.verify().verified
    file = tmp_path / "freehold.db"
    with attack(file) as connection:
        by_method = "SELECT caller, request_id, answer FROM requests WHERE method=?"
        ((caller, request_id, answer), other) = connection.execute(
            f"{by_method} ORDER BY caller, request_id LIMIT 2", ("Authorize",)
        ).fetchall()
    engine = open_database(f"sqlite:///{file}")
    try:
        assert verify_books(engine, read_answer=read_answer).fault is None
        for wrong in (other[2], b"", answer[:-1]):
            with attack(file) as connection:
                connection.execute(
                    "UPDATE requests SET answer=? WHERE caller=? AND request_id=?",
                    (wrong, caller, request_id),
                )
            fault = verify_books(engine, read_answer=read_answer).fault
            assert fault is not None
            assert (fault.rule, fault.row) == ("ANSWER", f"requests/{caller}/{request_id}")
    finally:
        engine.dispose()


RELEASED = {
    "ApproveWriteOff", "Authorize", "AuthorizeGroup", "ClaimReturn", "ConfirmAuthorization",
    "ContestReturn", "DecreaseAuthorization", "ExtendRental", "IncrementAuthorization",
    "LowerCharge", "OpenDispute", "PayOutOperator", "PayOutRefund", "ProposeWriteOff", "PutUsers",
    "RecordChargeBack", "RecordOperatorPayment", "RecordPaidElsewhere", "RecordPayment",
    "RefundCharge", "ReportFound", "ReportLost", "ResolveChargeBack", "ResolveDispute",
    "ResolveReview", "ReverseAuthorization", "SetCreditLimit", "SetProvision", "SetStanding",
    "SettleAuthorization", "StartRental",
}  # fmt: skip
"""Every method whose answers a released build stored; names are only ever added."""
RELEASE = "0.1.0"
"""The version up to which RELEASED is complete."""


def test_answers_of_every_released_method_are_read() -> None:
    """Answers of all present methods, and of every released and removed one, can be read."""
    assert RELEASED - set(MUTATIONS) == set(stored.REMOVED)
    assert set(MUTATIONS).isdisjoint(stored.REMOVED)


def test_every_response_of_the_contract_belongs_to_a_known_method() -> None:
    """Every response in the contract belongs to a method, or to a removed one."""
    files = {rpc.response.DESCRIPTOR.file for rpc in RPCS.values()}
    kept = {name for file in files for name in file.message_types_by_name}
    responses = {name for name in kept if name.endswith("Response")}
    known = {rpc.response.DESCRIPTOR.name for rpc in RPCS.values()}
    assert responses - known == {it.DESCRIPTOR.name for it in stored.REMOVED.values()}


def test_a_release_completes_the_list_of_methods() -> None:
    """A new version adds its new methods to RELEASED and its number to RELEASE."""
    missing = sorted(set(MUTATIONS) - RELEASED)
    assert version("freehold") == RELEASE, f"add {missing} to RELEASED, then change RELEASE"


def test_answers_of_a_removed_method_keep_the_books_verifiable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database with a removed method's answer verifies while its response is read, and a wrong
    answer of that method is still found."""
    with serving(tmp_path) as served, desks(served) as desk:
        desk.operator.send("Authorize", passing(desk, "Authorize"))
    file = tmp_path / "freehold.db"
    with attack(file) as connection:
        connection.execute("UPDATE requests SET method = 'Rent' WHERE method = 'Authorize'")
    engine = open_database(f"sqlite:///{file}")
    try:
        fault = verify_books(engine, read_answer=read_answer).fault
        assert fault is not None
        assert fault.detail == "is not an answer of Rent"
        monkeypatch.setitem(stored.REMOVED, "Rent", calls.AuthorizeResponse)
        assert verify_books(engine, read_answer=read_answer).fault is None
        with attack(file) as connection:
            connection.execute("UPDATE requests SET answer = x'00' WHERE method = 'Rent'")
        fault = verify_books(engine, read_answer=read_answer).fault
        assert fault is not None
        assert fault.rule == "ANSWER"
    finally:
        engine.dispose()


@pytest.mark.parametrize("method", sorted({*MUTATIONS, "Sing"}))
def test_unreadable_answers(method: str) -> None:
    """Bytes that are not a message, and an answer without a method, are not read."""
    with pytest.raises(ValueError, match="no"):
        read_answer(method, b"\xff")
