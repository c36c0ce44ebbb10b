"""A careful service with one transaction a call: ``python -m benchmarks.rivals_service …``.

It answers Authorize as a good team would build it first: gRPC's threads, SQLAlchemy, and one
transaction a call. It promises as much as Freehold does for this call: a key, a request id that
counts once with its kept answer, a score by the same model, a hold that never exceeds the line, the
record of the decision, both entries of the hold with their balances, and an event. Its tables are
plainer, and it checks no messages, so it has less to do.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import click
import grpc
import lightgbm
import numpy as np
from freehold.v1 import authorization_pb2 as pb
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse
from freehold.v1.authorization_service_pb2_grpc import (
    AuthorizationServiceServicer,
    add_AuthorizationServiceServicer_to_server,
)
from freehold.v1.credit_service_pb2 import User
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_REDUCED, OFFER_ZERO, Money
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    select,
    update,
)

from models import manifest

THREADS = 8
DEPOSIT_MINOR = 19_900
LIMIT_MINOR = 50_000
ZERO_FROM, REDUCED_FROM = 550, 500
HALF_BP = 5_000

schema = MetaData()
keys = Table(
    "keys",
    schema,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("operator_id", String, nullable=False),
)
users = Table(
    "users",
    schema,
    Column("user_id", String, primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)
lines = Table(
    "lines",
    schema,
    Column("user_id", String, ForeignKey("users.user_id"), primary_key=True),
    Column("limit_minor", Integer, nullable=False),
    Column("held_minor", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("held_minor >= 0 AND held_minor <= limit_minor"),
)
requests = Table(
    "requests",
    schema,
    Column("operator_id", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
)
decisions = Table(
    "decisions",
    schema,
    Column("decision_id", String, primary_key=True),
    Column("user_id", String, ForeignKey("users.user_id"), nullable=False),
    Column("model_id", String, nullable=False),
    Column("margin", String, nullable=False),
    Column("score", Integer, nullable=False),
    Column("offer", Integer, nullable=False),
    Column("line_version", Integer, nullable=False),
    Column("decide_us", Integer, nullable=False),
)
authorizations = Table(
    "authorizations",
    schema,
    Column("authorization_id", String, primary_key=True),
    Column("operator_id", String, nullable=False),
    Column("user_id", String, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("decision_id", String, ForeignKey("decisions.decision_id"), nullable=False),
    Column("product_id", String, nullable=False),
    Column("asset_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("held_minor", Integer, nullable=False),
    Column("cash_minor", Integer, nullable=False),
    Column("create_us", Integer, nullable=False),
    UniqueConstraint("operator_id", "asset_id"),
)
entries = Table(
    "entries",
    schema,
    Column("entry_id", Integer, primary_key=True),
    Column("authorization_id", ForeignKey("authorizations.authorization_id"), nullable=False),
    Column("account", String, nullable=False),
    Column("amount_minor", Integer, nullable=False),
    Column("balance_minor", Integer, nullable=False),
    Column("version", Integer, nullable=False),
)
events = Table(
    "events",
    schema,
    Column("event_id", Integer, primary_key=True),
    Column("authorization_id", String, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)


def open_file(path: Path) -> Engine:
    """The SQLite file, with the journal and the durability of Freehold's."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _set(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's `begin` below is the only one
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def fill(path: Path, key: str, people: Iterable[User], names: Sequence[str]) -> None:
    """Makes a database with an operator's key and these people; `names` are the model's raw
    columns, in the order of a row."""
    engine = open_file(path)
    schema.create_all(engine)
    raw = {
        it.user_id: np.array([it.features.get(name, np.nan) for name in names]).tobytes()
        for it in people
    }
    line = {"limit_minor": LIMIT_MINOR, "held_minor": 0, "version": 0}
    with engine.begin() as connection:
        hashed = hashlib.sha256(key.encode()).digest()
        connection.execute(insert(keys), [{"key_hash": hashed, "operator_id": "bench"}])
        connection.execute(insert(users), [{"user_id": u, "raw": r} for u, r in raw.items()])
        connection.execute(insert(lines), [{"user_id": user_id, **line} for user_id in raw])
    engine.dispose()


class Refused(Exception):
    """A call that is refused, with its status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Scores(Protocol):
    """A model that scores one row at a time."""

    model_id: str

    def score(self, raw: bytes) -> tuple[float, int]:
        """The margin and the score of a row."""


class Model:
    """The served model, scored by LightGBM's own `predict`, one row at a time."""

    def __init__(self, folder: Path) -> None:
        verified = manifest.read(folder)
        self.model_id = verified.model_id
        self._scale = verified.scale
        self._prepare = verified.preparation()
        self._columns = len(verified.raw_names)
        self._booster = lightgbm.Booster(model_str=verified.model_text)

    def score(self, raw: bytes) -> tuple[float, int]:
        """The margin and the score of a row."""
        row = np.frombuffer(raw, dtype="<f8").reshape(1, self._columns)
        (margin,) = self._booster.predict(self._prepare(row), raw_score=True, num_threads=1)
        return float(margin), self._scale.score(float(margin))


class Service(AuthorizationServiceServicer):
    """Authorize, one transaction a call."""

    def __init__(self, engine: Engine, model: Scores) -> None:
        self._engine = engine
        self._model = model
        # SQLite has one writer. Waiting here is cheaper than SQLite's own waiting, which sleeps.
        self._turn = threading.Lock()

    def Authorize(
        self, request: AuthorizeRequest, context: grpc.ServicerContext
    ) -> AuthorizeResponse:
        """Decides and holds; a repeated request gets its first answer."""
        metadata = dict(context.invocation_metadata())
        key = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        try:
            with self._turn, self._engine.begin() as connection:
                answer = self._authorize(connection, key, request)
        except Refused as refusal:
            context.abort(refusal.code, str(refusal))
        return AuthorizeResponse.FromString(answer)

    def _authorize(self, connection: Connection, key: str, request: AuthorizeRequest) -> bytes:
        operator_id = self._operator(connection, key)
        body = request.SerializeToString(deterministic=True)
        first = connection.execute(
            select(requests.c.body, requests.c.answer).where(
                requests.c.operator_id == operator_id, requests.c.request_id == request.request_id
            )
        ).first()
        if first is not None:
            if first.body != body:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, "the request id was used before")
            return bytes(first.answer)
        person = connection.execute(
            select(users.c.raw, lines.c.limit_minor, lines.c.held_minor, lines.c.version)
            .join(lines, lines.c.user_id == users.c.user_id)
            .where(users.c.user_id == request.user_id)
            .with_for_update()
        ).first()
        if person is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, "the person is not known")
        answer = self._decide(connection, operator_id, request, person)
        connection.execute(
            insert(requests).values(
                operator_id=operator_id, request_id=request.request_id, body=body, answer=answer
            )
        )
        return answer

    def _operator(self, connection: Connection, key: str) -> str:
        hashed = hashlib.sha256(key.encode()).digest()
        found = connection.execute(select(keys.c.operator_id).where(keys.c.key_hash == hashed))
        operator_id = found.scalar()
        if operator_id is None:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "the key is not known")
        return str(operator_id)

    def _decide(
        self, connection: Connection, operator_id: str, request: AuthorizeRequest, person: Any
    ) -> bytes:
        margin, score = self._model.score(person.raw)
        offer, credit_minor = _offer(score, person.limit_minor - person.held_minor)
        now_us = time.time_ns() // 1_000
        decision_id, authorization_id = secrets.token_hex(10), secrets.token_hex(10)
        connection.execute(
            insert(decisions).values(
                decision_id=decision_id,
                user_id=request.user_id,
                model_id=self._model.model_id,
                margin=repr(margin),
                score=score,
                offer=offer,
                line_version=person.version,
                decide_us=now_us,
            )
        )
        held_minor = credit_minor if offer == OFFER_ZERO else 0
        row = {
            "authorization_id": authorization_id,
            "operator_id": operator_id,
            "user_id": request.user_id,
            "decision_id": decision_id,
            "product_id": request.product_id,
            "asset_id": request.asset_id,
            "state": "ACTIVE" if offer == OFFER_ZERO else "OFFERED",
            "held_minor": held_minor,
            "cash_minor": DEPOSIT_MINOR - credit_minor,
            "create_us": now_us,
        }
        connection.execute(insert(authorizations).values(**row))
        if held_minor:
            self._hold(connection, request.user_id, authorization_id, held_minor, person)
        answer = _answer(request, row, offer).SerializeToString()
        connection.execute(insert(events).values(authorization_id=authorization_id, payload=answer))
        return answer

    def _hold(
        self,
        connection: Connection,
        user_id: str,
        authorization_id: str,
        held_minor: int,
        person: Any,
    ) -> None:
        """Holds an amount on the line, with both entries."""
        after, version = person.held_minor + held_minor, person.version + 1
        changed = connection.execute(
            update(lines)
            .where(lines.c.user_id == user_id, lines.c.version == person.version)
            .values(held_minor=after, version=version)
        )
        if changed.rowcount != 1:
            raise Refused(grpc.StatusCode.ABORTED, "the line changed meanwhile")
        shared = {"authorization_id": authorization_id, "version": version}
        free = {"account": "AVAILABLE", "amount_minor": -held_minor}
        held = {"account": "HELD", "amount_minor": held_minor}
        connection.execute(
            insert(entries),
            [
                {**shared, **free, "balance_minor": person.limit_minor - after},
                {**shared, **held, "balance_minor": after},
            ],
        )


def _offer(score: int, available_minor: int) -> tuple[int, int]:
    """The offer, and the part of the deposit that is held on credit."""
    half_minor = DEPOSIT_MINOR * HALF_BP // 10_000
    if score >= ZERO_FROM and available_minor >= DEPOSIT_MINOR:
        return OFFER_ZERO, DEPOSIT_MINOR
    if score >= REDUCED_FROM and available_minor >= half_minor:
        return OFFER_REDUCED, half_minor
    return OFFER_FULL, 0


def _answer(request: AuthorizeRequest, row: dict[str, Any], offer: int) -> AuthorizeResponse:
    """The answer, with the fields that the row has."""
    it = pb.Authorization(
        name=f"users/{row['user_id']}/authorizations/{row['authorization_id']}",
        request_id=request.request_id,
        product_id=row["product_id"],
        asset_id=row["asset_id"],
        state=f"STATE_{row['state']}",
        offer=offer,  # type: ignore[arg-type]
        deposit_asked=Money(currency_code="CNY", amount_minor=row["cash_minor"]),
        held=Money(currency_code="CNY", amount_minor=row["held_minor"]),
        held_credit=Money(currency_code="CNY", amount_minor=row["held_minor"]),
        decision_id=row["decision_id"],
    )
    it.create_time.FromMicroseconds(row["create_us"])
    return AuthorizeResponse(authorization=it)


def _log(name: str) -> None:
    print(json.dumps({"event": name}), file=sys.stderr, flush=True)


@click.command()
@click.option("--listen", required=True, help="HOST:PORT to listen on.")
@click.option("--database", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--model", required=True, type=click.Path(exists=True, path_type=Path))
def main(listen: str, database: Path, model: Path) -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    server = grpc.server(ThreadPoolExecutor(THREADS))
    service = Service(open_file(database), Model(model))
    add_AuthorizationServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(listen)
    server.start()
    _log("serving")
    stop.wait()
    server.stop(1.0).wait()
    _log("stopped")


if __name__ == "__main__":
    main()
