"""Keys bound to client certificates."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from service.cli import cli
from service.config import KeyLimits, Limits
from service.domain.access import hash_key, key_id_of, new_key
from service.domain.errors import InvalidInput, NotFound
from service.engine.records.administration import KeyInfo
from service.storage import admin, bindings
from service.storage.compatibility import KEYS_BUILD
from service.storage.migrate import build_number, oldest_build_of
from service.storage.store import SqlStore
from tests.fakes import OPERATOR, START_US, Served, serving
from tests.rpc.examples import example
from tests.rpc.support import OPERATOR_RPCS, RPCS, TIMEOUT_S, Caller, Refused, outcome, until
from tests.tls.authority import Pair
from tests.tls.support import Desk, caller

NO_END = KeyLimits(known_s=3600)
"""Known keys are never looked up again."""
NO_CACHE = KeyLimits(known_s=0, unknown_s=0)
"""Each call looks its key up."""


def key_id(key: str) -> str:
    return key_id_of(hash_key(key))


def bind(engine: Engine, name: str, fingerprint: str) -> set[str]:
    """Binds a key by a command; its certificates."""
    return _changed(bindings.bind, engine, name, fingerprint)


def unbind(engine: Engine, name: str, fingerprint: str) -> set[str]:
    """Ends a binding by a command; the other certificates of the key."""
    return _changed(bindings.unbind, engine, name, fingerprint)


def _changed(change: Callable[..., bytes], engine: Engine, name: str, fingerprint: str) -> set[str]:
    asked = admin.by_shell("bind", [name, fingerprint], "", "root")

    def encode(it: KeyInfo) -> bytes:
        return " ".join(it.certificates).encode()

    return set(change(engine, asked, name, fingerprint, START_US, encode).decode().split())


class Bound(NamedTuple):
    """A server with TLS, and the certificate to which its operator's key is bound."""

    served: Served
    desk: Desk
    own: Pair

    @contextmanager
    def calling(self, certificate: Pair | None, key: str = "") -> Iterator[Caller]:
        """A caller with this certificate and this key, or the bound one."""
        credentials = self.desk.credentials(certificate)
        with caller(self.served.address, key or self.served.operator_key, credentials) as it:
            yield it


@contextmanager
def bound_key(folder: Path, limits: Limits) -> Iterator[Bound]:
    """A server with mutual TLS whose operator's key is bound."""
    desk = Desk(folder, mutual=True)
    own = desk.authority.issue("shop")
    with serving(folder, tls=desk.tls(), limits=limits) as served:
        bind(served.store.engine, key_id(served.operator_key), own.fingerprint)
        yield Bound(served, desk, own)


@pytest.fixture(params=[NO_END, NO_CACHE], ids=["cached", "looked up"])
def bound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bound]:
    with bound_key(tmp_path, Limits(keys=request.param)) as made:
        yield made


def refusal(it: Caller) -> tuple[grpc.StatusCode, str]:
    found = outcome(it.page)
    assert isinstance(found, Refused), "the call was answered"
    return found.code, found.reason


REQUIRED = (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REQUIRED")


def test_a_bound_key_needs_its_certificate(bound: Bound) -> None:
    """A bound key works on a connection with its certificate. With another certificate of the same
    authority it is UNAUTHENTICATED, also while the key's result is cached."""
    with bound.calling(bound.own) as right, bound.calling(bound.desk.authority.issue("shop")) as it:
        for _ in range(2):
            right.page()
            assert refusal(it) == REQUIRED


def test_every_method_needs_the_certificate(bound: Bound) -> None:
    """A bound key without its certificate is refused by every method of its owner, for any
    message."""
    with bound.calling(bound.desk.authority.issue()) as it:
        for method in OPERATOR_RPCS:
            for body in (example(method), b"\xff"):
                assert it.refused(method, body).reason == "CERTIFICATE_REQUIRED", method


@pytest.mark.parametrize("met", [False, True], ids=["first call", "key known"])
def test_a_bound_key_waits_for_no_message(tmp_path: Path, met: bool) -> None:
    """A bound key without its certificate is refused before its message is read, so it takes none
    of its owner's places."""
    # Every call of a known key but the first waits for its message by the pipeline.
    limits = Limits(max_unread=0, keys=NO_END)
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(TIMEOUT_S)
        yield from ()

    with bound_key(tmp_path, limits) as bound, bound.calling(bound.own) as right:
        for _ in range(2 if met else 0):
            right.page()
        other = bound.desk.credentials(bound.desk.authority.issue())
        with grpc.secure_channel(bound.served.address, other) as channel:
            start = channel.stream_unary(RPCS["GetAuthorization"].path)
            call = start.future(nothing(), metadata=right.metadata, timeout=TIMEOUT_S)
            try:
                with pytest.raises(grpc.RpcError) as refused:
                    call.result()
            finally:
                over.set()
        assert Refused(refused.value).reason == "CERTIFICATE_REQUIRED"
        right.page()


def test_other_keys_need_no_certificate_of_their_own(bound: Bound) -> None:
    """A key without a binding works with any certificate of the authority."""
    with bound.calling(bound.desk.authority.issue(), bound.served.other_operator_key) as it:
        it.page()


@pytest.mark.parametrize("tls", [True, False], ids=["no client certificate", "plaintext"])
def test_a_connection_without_a_certificate(tmp_path: Path, tls: bool) -> None:
    """A bound key is refused on a plaintext connection, and on TLS that asks for no client
    certificate, even if the client has it."""
    desk = Desk(tmp_path)
    own = desk.authority.issue("shop")
    with serving(tmp_path, tls=desk.tls() if tls else None) as served:
        bind(served.store.engine, key_id(served.operator_key), own.fingerprint)
        credentials = desk.credentials(own) if tls else None
        with caller(served.address, served.operator_key, credentials) as it:
            assert refusal(it) == REQUIRED


def test_a_binding_reaches_a_running_server(tmp_path: Path) -> None:
    """A binding, and its end, count in a running server after at most the time for which keys are
    cached."""
    with bound_key(tmp_path, Limits(keys=KeyLimits(known_s=0.2))) as bound:
        engine, key = bound.served.store.engine, bound.served.operator_key
        with bound.calling(bound.desk.authority.issue()) as it:
            assert refusal(it) == REQUIRED
            unbind(engine, key_id(key), bound.own.fingerprint)
            until(lambda: not isinstance(outcome(it.page), Refused), "the key works again")
            bind(engine, key_id(key), bound.own.fingerprint)
            until(lambda: isinstance(outcome(it.page), Refused), "the key is refused again")
            assert refusal(it) == REQUIRED


def test_a_key_with_two_certificates(tmp_path: Path) -> None:
    """A key bound to two certificates works with either, so that a certificate can be replaced
    without a gap."""
    with bound_key(tmp_path, Limits(keys=NO_CACHE)) as bound:
        engine, key = bound.served.store.engine, bound.served.operator_key
        second = bound.desk.authority.issue("shop")
        both = bind(engine, key_id(key), second.fingerprint)
        assert both == {bound.own.fingerprint, second.fingerprint}
        with bound.calling(bound.own) as old, bound.calling(second) as new:
            old.page()
            new.page()
            left = unbind(engine, key_id(key), bound.own.fingerprint)
            assert left == {second.fingerprint}
            new.page()
            assert refusal(old) == REQUIRED


# -- the commands ----------------------------------------------------------------------------------


class Shop(NamedTuple):
    """A database with one key."""

    engine: Engine
    url: str
    key_id: str


@pytest.fixture
def shop(store: SqlStore, url: str) -> Shop:
    key = new_key()
    admin.add_key(store.engine, key, OPERATOR, START_US)
    return Shop(store.engine, url, key_id(key))


def typed(shop: Shop, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--database", shop.url])


def listed(shop: Shop) -> list[str]:
    """The certificates of the key in the list of keys."""
    (key,) = json.loads(typed(shop, "keys", "--json").output)
    found: list[str] = key["certificates"]
    return found


def test_bind_and_unbind_by_file_or_fingerprint(shop: Shop, tmp_path: Path) -> None:
    """bind-key and unbind-key name a certificate by its file or by its SHA-256, with or without
    colons; repeating them changes nothing; `keys` shows the bindings."""
    pair = Desk(tmp_path).pair
    (tmp_path / "shop.pem").write_bytes(pair.certificate)
    by_file = ("--certificate", str(tmp_path / "shop.pem"))
    digits = pair.fingerprint.upper()
    with_colons = ":".join(digits[at : at + 2] for at in range(0, 64, 2))
    for named in (by_file, ("--fingerprint", with_colons), ("--fingerprint", digits)):
        for _ in range(2):
            done = typed(shop, "bind-key", shop.key_id, *named)
            assert (done.exit_code, done.output) == (
                0,
                f"key {shop.key_id} is bound to {pair.fingerprint}\n",
            )
        assert listed(shop) == [pair.fingerprint]
        assert f"certificates: {pair.fingerprint}" in typed(shop, "keys").output
        for _ in range(2):
            done = typed(shop, "unbind-key", shop.key_id, *named)
            assert done.output == (
                f"key {shop.key_id} is bound to no certificate and works on every connection\n"
            )
        assert listed(shop) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "give either --certificate or --fingerprint"),
        (("--certificate", "c", "--fingerprint", "0" * 64), "give either --certificate or"),
        (("--fingerprint", "0" * 63), "--fingerprint: is not a SHA-256, 64 hexadecimal digits"),
    ],
)
def test_a_binding_names_one_certificate(shop: Shop, words: tuple[str, ...], line: str) -> None:
    """A binding without a certificate, with two, or with a malformed fingerprint is refused."""
    done = typed(shop, "bind-key", shop.key_id, *words)
    assert done.exit_code == 2
    assert line in done.output
    assert listed(shop) == []


def test_unknown_and_revoked_keys_are_not_bound(shop: Shop) -> None:
    """A key that is unknown or revoked is not found, and a part of a key's id names no key."""
    gone = new_key()
    admin.add_key(shop.engine, gone, OPERATOR, START_US)
    admin.revoke_key(shop.engine, gone, START_US)
    for name in (key_id(gone), "0" * 16, shop.key_id[:8], ""):
        for change in (bind, unbind):
            with pytest.raises(NotFound):
                change(shop.engine, name, "0" * 64)
    with pytest.raises(InvalidInput):
        bind(shop.engine, shop.key_id, "A" * 64)


def test_a_key_has_at_most_fifteen_certificates(shop: Shop) -> None:
    """The sixteenth certificate of a key is refused, and leaves the fifteen."""
    for number in range(15):
        bind(shop.engine, shop.key_id, f"{number:064x}")
    with pytest.raises(bindings.TooManyCertificates):
        bind(shop.engine, shop.key_id, f"{15:064x}")
    assert listed(shop) == [f"{number:064x}" for number in range(15)]


def test_a_binding_shuts_earlier_builds_out(shop: Shop) -> None:
    """From the first binding on, builds that would let the key in without its certificate may not
    run on the database; without a binding they may."""

    def oldest() -> int | None:
        with shop.engine.connect() as connection:
            return oldest_build_of(connection)

    before = oldest()
    assert before is not None
    assert before < KEYS_BUILD <= build_number()
    for number in range(2):
        bind(shop.engine, shop.key_id, f"{number:064x}")
        assert oldest() == KEYS_BUILD
