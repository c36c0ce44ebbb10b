"""Clients that rent, retry what was not acknowledged, and remember everything they were told."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    ConfirmAuthorizationRequest,
    ListAuthorizationsRequest,
    ListAuthorizationsResponse,
    ReverseAuthorizationRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.credit_service_pb2 import PutUsersRequest, RecordPaymentRequest, User
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest, VerifyBooksResponse
from freehold.v1.types_pb2 import Money
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

PATIENCE_S = 60.0
"""How long a client goes on retrying one call, with the server away and back."""
CALL_TIMEOUT_S = 20.0
AS_OF_S = 1_704_067_200
RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Sent(NamedTuple):
    """A call as it was made, to be made again."""

    method: str
    request: Message
    platform: bool


class Told(NamedTuple):
    """A call and the answer that acknowledged it."""

    sent: Sent
    answer: bytes


class History:
    """What all clients together sent and were told; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: dict[str, Sent] = {}
        self.told: dict[str, Told] = {}
        self.rentals: dict[str, Authorization] = {}
        self._flying: set[str] = set()
        self._failed: set[str] = set()
        self.stop = threading.Event()

    def begins(self, request_id: str, sent: Sent) -> None:
        """A call goes out."""
        with self._lock:
            self.sent[request_id] = sent
            self._flying.add(request_id)

    def ends(self, request_id: str, sent: Sent, answer: bytes | None) -> None:
        """A call came back, with an answer or without."""
        with self._lock:
            self._flying.discard(request_id)
            if answer is None:
                self._failed.add(request_id)
            else:
                self.told[request_id] = Told(sent, answer)

    def has_told(self, answers: int) -> bool:
        """Whether so many calls were acknowledged."""
        return len(self.told) >= answers

    @property
    def in_flight(self) -> set[str]:
        """Calls sent and not yet answered."""
        with self._lock:
            return set(self._flying)

    @property
    def failed(self) -> set[str]:
        """Calls of which at least one try had no answer."""
        with self._lock:
            return set(self._failed)

    def stands(self, authorization: Authorization) -> None:
        """An authorization as it was last told."""
        with self._lock:
            self.rentals[authorization.name] = authorization


class Connection:
    """Raw calls with two keys over one channel that comes back quickly."""

    def __init__(self, address: str, operator_key: str, platform_key: str) -> None:
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 200),
                ("grpc.enable_retries", 0),
            ],
        )
        self._metadata = [
            (("authorization", f"Bearer {key}"),) for key in (operator_key, platform_key)
        ]

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def send(self, sent: Sent) -> bytes:
        """One try; raises grpc.RpcError."""
        service = {
            "PutUsers": "Credit",
            "RecordPayment": "Credit",
            "VerifyBooks": "Ledger",
        }.get(sent.method, "Authorization")
        call = self._channel.unary_unary(f"/freehold.v1.{service}Service/{sent.method}")
        answer: bytes = call(
            sent.request.SerializeToString(),
            timeout=CALL_TIMEOUT_S,
            metadata=self._metadata[sent.platform],
        )
        return answer

    def all_authorizations(self) -> Iterator[Authorization]:
        """Every authorization of the operator, page by page."""
        token = ""
        while True:
            request = ListAuthorizationsRequest(page_size=500, page_token=token)
            answer = self.send(Sent("ListAuthorizations", request, False))
            page = ListAuthorizationsResponse.FromString(answer)
            yield from page.authorizations
            token = page.next_page_token
            if not token:
                return

    def verify(self) -> VerifyBooksResponse:
        """A VerifyBooks."""
        return VerifyBooksResponse.FromString(
            self.send(Sent("VerifyBooks", VerifyBooksRequest(), True))
        )


def from_freehold(error: Any) -> bool:
    """Whether a status comes from Freehold itself, and not from a broken connection."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            return bool(Status.FromString(value).details)
    return False


class Client:
    """One thread that rents for people of its own, one call after the other."""

    def __init__(
        self,
        connection: Connection,
        history: History,
        prefix: str,
        features: Sequence[dict[str, float]],
        seed: int,
        *,
        retry: bool = True,
    ) -> None:
        self._connection = connection
        self._history = history
        self._prefix = prefix
        self._features = features
        self._chance = random.Random(seed)
        self._number = 0
        self._retry = retry
        self._thread = threading.Thread(target=self._run, name=prefix)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begins to rent."""
        self._thread.start()

    def join(self) -> None:
        """Waits for the end; raises what went wrong."""
        self._thread.join(2 * PATIENCE_S)
        assert not self._thread.is_alive(), f"{self._prefix} hangs"
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            users = self._register()
            while not self._history.stop.is_set():
                self._rent(self._chance.choice(users))
        except _Stopped:
            return
        except BaseException as error:
            self.error = error

    def _id(self) -> str:
        self._number += 1
        return f"{self._prefix}-{self._number}"

    def _register(self) -> list[str]:
        users = []
        for place, features in enumerate(self._features):
            user = User(user_id=f"{self._prefix}.{place}", features=features, scoring_consent=True)
            user.as_of.seconds = AS_OF_S
            users.append(user)
        request_id = self._id()
        # The records of a bulk call are kept for each person, so it is not counted as one.
        self._until_answered(
            request_id, Sent("PutUsers", PutUsersRequest(request_id=request_id, users=users), True)
        )
        return [user.user_id for user in users]

    def _rent(self, user_id: str) -> None:
        chance = self._chance
        rental = self._authorize(user_id)
        if rental.state == Authorization.STATE_OFFERED and chance.random() < 0.7:
            rental = self._call(
                "ConfirmAuthorization",
                ConfirmAuthorizationRequest(
                    request_id=self._id(),
                    name=rental.name,
                    payment_reference=self._id(),
                    paid=rental.deposit_asked,
                ),
            )
        if rental.state != Authorization.STATE_ACTIVE:
            return
        if chance.random() < 0.3:
            rental = self._settle(rental.name, chance.randrange(1, 900), final=False)
        elif chance.random() < 0.3:
            request = ReverseAuthorizationRequest(request_id=self._id(), name=rental.name)
            self._call("ReverseAuthorization", request)
            return
        if chance.random() < 0.9:
            rental = self._settle(rental.name, chance.randrange(900), final=True)
            if rental.due.amount_minor and chance.random() < 0.8:
                self._call(
                    "RecordPayment",
                    RecordPaymentRequest(
                        request_id=self._id(),
                        authorization=rental.name,
                        payment_reference=self._id(),
                        amount=rental.due,
                    ),
                    platform=True,
                )

    def _authorize(self, user_id: str) -> Authorization:
        product_id = self._chance.choice(("bike", "umbrella", "power-bank"))
        request = AuthorizeRequest(
            request_id=self._id(), user_id=user_id, product_id=product_id, asset_id=self._id()
        )
        return self._call("Authorize", request)

    def _settle(self, name: str, amount_minor: int, *, final: bool) -> Authorization:
        request = SettleAuthorizationRequest(
            request_id=self._id(),
            name=name,
            amount=Money(currency_code="CNY", amount_minor=amount_minor),
            final=final,
        )
        return self._call("SettleAuthorization", request)

    def _call(self, method: str, request: Any, *, platform: bool = False) -> Authorization:
        answer = self._until_answered(request.request_id, Sent(method, request, platform))
        # Each of these answers has the authorization as its first field.
        authorization = AuthorizeResponse.FromString(answer).authorization
        self._history.stands(authorization)
        return authorization

    def _until_answered(self, request_id: str, sent: Sent) -> bytes:
        end = time.monotonic() + PATIENCE_S
        while True:
            self._history.begins(request_id, sent)
            answer = None
            try:
                answer = self._connection.send(sent)
            except grpc.RpcError as error:
                if from_freehold(error) and error.code() not in RETRYABLE:
                    raise
                assert time.monotonic() < end, f"no answer to {request_id}"
            finally:
                self._history.ends(request_id, sent, answer)
            if answer is not None:
                return answer
            if not self._retry:
                raise _Stopped
            time.sleep(0.02)


class _Stopped(Exception):
    """The server is gone, and this client was told not to retry."""


@contextmanager
def load(clients: Sequence[Client], connections: Sequence[Connection]) -> Iterator[None]:
    """Clients at work inside the block; after it they are told to stop, and are joined."""
    for client in clients:
        client.start()
    history = clients[0]._history
    try:
        yield
    finally:
        history.stop.set()
        try:
            for client in clients:
                client.join()
        finally:
            for connection in connections:
                connection.close()


def crowd(
    count: int,
    history: History,
    address: str,
    keys: tuple[str, str],
    features: Sequence[dict[str, float]],
    seed: int,
    *,
    retry: bool = True,
) -> tuple[list[Client], list[Connection]]:
    """Clients with a connection each, and people of their own."""
    connections = [Connection(address, *keys) for _ in range(count)]
    share = len(features) // count
    clients = [
        Client(
            connection,
            history,
            f"c{seed}-{place}",
            features[place * share : (place + 1) * share],
            seed * 1_000 + place,
            retry=retry,
        )
        for place, connection in enumerate(connections)
    ]
    return clients, connections


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Waits for a condition; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.002)


def stored_answers(database: Path) -> dict[str, bytes]:
    """The answer kept for each request id, without the bulk calls; fails when one is double."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT request_id, answer FROM requests WHERE method <> 'PutUsers'"
        ).fetchall()
    finally:
        connection.close()
    found = dict(rows)
    assert len(found) == len(rows)
    return found
