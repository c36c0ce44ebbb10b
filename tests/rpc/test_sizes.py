"""A message that keeps the contract's rules is not too large."""

from __future__ import annotations

from typing import Any

import grpc
import protovalidate
import pytest
from buf.validate import validate_pb2
from freehold.v1.authorization_service_pb2 import SettleAuthorizationRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest, User
from freehold.v1.types_pb2 import SignedMoney
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from service.config import MIB, Limits
from service.domain.errors import InvalidInput
from service.rpc.line_items import MOST_BILL_BYTES
from service.rpc.validation import parse
from tests.rpc import ready
from tests.rpc.largest import FOUR_BYTES, largest
from tests.rpc.support import BATCHED, EVERY, RPCS, START_S, Desks, outcome, violated, yuan
from tests.rpc.test_meaning import fields_of

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
PERSIAN = "کرایه\u200cی دوچرخه"


def bill(request_id: str, name: str, *lines: str) -> SettleAuthorizationRequest:
    """A settlement of one fen a line."""
    request = SettleAuthorizationRequest(request_id=request_id, name=name, amount=yuan(len(lines)))
    for line in lines:
        amount = SignedMoney(currency_code="CNY", amount_minor=1)
        request.line_items.add(description=line, amount=amount)
    return request


@pytest.mark.parametrize("method", [it for it in EVERY if it != "PutUsers" and it not in BATCHED])
def test_r16_the_largest_valid_message_is_not_too_large(desk: Desks, method: str) -> None:
    """R16: for every method, the largest message that keeps the rules of its fields passes the
    check of its size. So no valid message is refused because of its size."""
    message = largest(RPCS[method].request)
    assert protovalidate.collect_violations(message) == []
    assert message.ByteSize() <= Limits().max_message_bytes
    if method == "AdvanceClock":
        return  # the largest one moves the clock of the other tests to its end
    result = outcome(lambda: desk.caller_for(method).send(method, message))
    assert isinstance(result, bytes) or result.reason != "MESSAGE_TOO_LARGE"


def test_r16_the_largest_bulk_is_refused_with_its_limit(desk: Desks) -> None:
    """R16: only a bulk call can keep the rules of its fields and still be too large. It is refused
    with the limit as a violation. A thousand people with 32 features each are not too many."""
    message, person = PutUsersRequest(request_id="r" * 64), largest(User)
    for number in range(25):
        person.user_id = f"{number:064}"
        message.users.append(person)
    limit = Limits().max_bulk_message_bytes
    assert limit < message.ByteSize() < 2 * limit + MIB
    while message.ByteSize() > 2 * limit - 1:
        del message.users[-1]
    assert protovalidate.collect_violations(message) == []
    refusal = desk.platform.refused("PutUsers", message)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "MESSAGE_TOO_LARGE",
    )
    assert refusal.fields == {"message"}
    assert f"at most {limit} bytes".encode() in (refusal.raw or b"")
    features = {f"FEATURE_NAME_{number:03}": 1.5 for number in range(32)}
    many = PutUsersRequest(request_id="r" * 64)
    for number in range(1_000):
        user = User(user_id=f"{number:064}", features=features, scoring_consent=True)
        user.as_of.seconds = START_S
        many.users.append(user)
    assert many.ByteSize() <= limit


@pytest.mark.parametrize("text", [FAMILY, PERSIAN, "👩‍🚀" * 60, "\u200dx\u200c"])
def test_r16_joiners_are_allowed(desk: Desks, text: str) -> None:
    """R16: a line of a bill may have the joiners U+200C and U+200D, because Persian and emoji need
    them. Other invisible characters, and a text of joiners alone, are refused."""
    name = ready.active(desk).name
    desk.operator.send("SettleAuthorization", bill(desk.operator.fresh(), name, text))
    for wrong in ("\u200d\u200c", f"{text}\u202e", f"\ufeff{text}", f"{text}\u0085"):
        named = violated(desk.operator, "SettleAuthorization", bill("r-1", name, wrong))
        assert named == {"line_items[0].description"}


def free_texts() -> list[FieldDescriptor]:
    """All fields of requests whose text is not limited to ASCII."""
    found: list[FieldDescriptor] = []
    for method in EVERY:
        for field in fields_of(RPCS[method].request.DESCRIPTOR):
            rules: Any = field.GetOptions().Extensions[validate_pb2.field]
            if "p{C}" in rules.string.pattern:
                found.append(field)
    return found


def test_r16_every_free_text_takes_joiners() -> None:
    """R16: every text of a request that is not limited to ASCII may have the joiners, and no other
    invisible character."""
    texts: Any = free_texts()
    assert "description" in {field.name for field in texts}
    for field in texts:
        for text, right in ((FAMILY, True), (PERSIAN, True), ("a\u202eb", False), ("\0", False)):
            message = GetMessageClass(field.containing_type)()
            setattr(message, field.name, text)
            paths = [it.proto.field for it in protovalidate.collect_violations(message)]
            wrong = {it.elements[0].field_name for it in paths if it is not None and it.elements}
            assert (field.name not in wrong) == right, (field.full_name, text)


def test_r16_a_bill_has_a_size(desk: Desks) -> None:
    """R16: a hundred lines of 200 emoji are INVALID_ARGUMENT at the lines, with the limit; a bill
    of exactly the limit is taken."""
    name = ready.active(desk).name
    many = bill(desk.operator.fresh(), name, *[FOUR_BYTES * 200] * 100)
    refusal = desk.operator.refused("SettleAuthorization", many)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "INVALID_INPUT"
    assert refusal.fields == {"line_items"}
    assert f"at most {MOST_BILL_BYTES} bytes".encode() in (refusal.raw or b"")
    whole, rest = divmod(MOST_BILL_BYTES, 800)
    lines = [*[FOUR_BYTES * 200] * whole, FOUR_BYTES * (rest // 4)]
    assert violated(desk.operator, "SettleAuthorization", bill("r-1", name, *lines, "x")) == {
        "line_items"
    }
    desk.operator.send("SettleAuthorization", bill(desk.operator.fresh(), name, *lines))


def test_a_longest_text_is_the_longest() -> None:
    """The largest message of these tests has texts that no rule lets grow by a character."""
    message = largest(SettleAuthorizationRequest)
    for path in ("request_id", "name"):
        longer = SettleAuthorizationRequest.FromString(message.SerializeToString())
        setattr(longer, path, getattr(longer, path) + "0")
        with pytest.raises(InvalidInput):
            parse(SettleAuthorizationRequest, longer.SerializeToString())
    message.line_items[0].description += "x"
    with pytest.raises(InvalidInput):
        parse(SettleAuthorizationRequest, message.SerializeToString())
