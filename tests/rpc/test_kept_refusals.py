"""Over the wire, a kept refusal is given again, and says since when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, IncrementAuthorizationRequest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.books.verify import verify_books
from service.domain.errors import InvalidInput
from service.engine.records.refusals import read_refusal
from service.rpc import pipeline
from service.rpc.stored import read_answer
from service.storage.database import open_database
from tests.fakes import serving
from tests.rpc import ready
from tests.rpc.support import Desks, advance, desks, yuan
from tests.storage.book import attack


def item_in_use(desk: Desks) -> tuple[str, Message, Callable[[], object]]:
    """An Authorize of an item in use, and what frees the item."""
    asset_id = desk.operator.fresh("asset")
    held = desk.operator.authorize(desk.platform.person(), "umbrella", asset_id=asset_id)
    request = AuthorizeRequest(
        request_id=desk.operator.fresh(),
        user_id=desk.platform.person(),
        product_id="bike",
        asset_id=asset_id,
    )
    return "Authorize", request, lambda: desk.operator.settle(held.name, 0)


def line_exhausted(desk: Desks) -> tuple[str, Message, Callable[[], object]]:
    """An increment beyond the line, and what makes room."""
    held = ready.active(desk)
    request = IncrementAuthorizationRequest(
        request_id=desk.operator.fresh(), name=held.name, amount=yuan(40_000)
    )
    user_id = held.name.split("/")[1]

    def raise_limit() -> object:
        return desk.platform.call("SetCreditLimit", user_id=user_id, limit=yuan(90_000))

    return "IncrementAuthorization", request, raise_limit


@pytest.mark.parametrize("made", [item_in_use, line_exhausted])
def test_row_53_a_refusal_is_given_again(
    desk: Desks,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[Desks], tuple[str, Any, Callable[[], object]]],
) -> None:
    """Row 53: a retry of a refused call gets the same status, byte for byte, marked with the time
    of the first refusal. That holds even if the present input rules would refuse the call. A call
    with another id is decided anew."""
    method, request, remove = made(desk)
    at = Timestamp()
    at.FromMicroseconds(desk.served.clock.now_us())
    first = desk.operator.refused(method, request)
    assert first.reason in ("ASSET_IN_USE", "LINE_EXHAUSTED")
    assert "freehold-replayed" not in dict(first.trailers)
    remove()
    advance(desk, 3_600)
    again = desk.operator.refused(method, request)
    assert (again.code, again.message, again.raw) == (first.code, first.message, first.raw)
    assert dict(again.trailers)["freehold-replayed"].decode() == at.ToJsonString()
    with monkeypatch.context() as patched:

        def refuse(kind: type[Message], body: bytes) -> Message:
            raise InvalidInput.of("user_id", "user_id.tightened", "no value is allowed any more")

        patched.setattr(pipeline, "parse", refuse)
        assert desk.operator.refused(method, request).raw == first.raw
    request.request_id = desk.operator.fresh()
    desk.operator.send(method, request)
    assert desk.platform.verify().verified


def test_row_53_a_damaged_refusal_is_a_fault(tmp_path: Path) -> None:
    """Row 53: verification reads kept refusals, and names one that cannot be read."""
    with serving(tmp_path) as served, desks(served) as desk:
        method, request, _ = item_in_use(desk)
        refusal = desk.operator.refused(method, request)
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
        assert desk.platform.verify().verified
    file = tmp_path / "freehold.db"
    engine = open_database(f"sqlite:///{file}")
    try:
        assert verify_books(engine, read_answer=read_answer).fault is None
        for wrong in (b"", b"{}", b"[]", b'{"kind": "none"}', b"\xff"):
            with attack(file) as connection:
                connection.execute(
                    "UPDATE requests SET answer = ? WHERE method = 'Authorize refused'", (wrong,)
                )
            fault = verify_books(engine, read_answer=read_answer).fault
            assert fault is not None
            assert fault.rule == "ANSWER"
            with pytest.raises(ValueError, match="not a refusal"):
                read_refusal(wrong, 0)
    finally:
        engine.dispose()
