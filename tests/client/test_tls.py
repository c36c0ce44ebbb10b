"""Clients by TLS, whose files are renewed while they run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import freehold.tls
import grpc
import pytest
from freehold.client import AsyncClient, Client, FreeholdError
from freehold.tls import MOST_RETIRED, TlsFiles
from freehold.v1 import authorization_service_pb2_grpc
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse

from tests.rpc.support import TIMEOUT_S, until
from tests.tls.authority import Authority, Pair, new_key, pem

REQUEST = AuthorizeRequest(request_id="r-1", user_id="u-1", product_id="bike")
SLOW = AuthorizeRequest(request_id="slow", user_id="u-1", product_id="bike")


class Seeing(authorization_service_pb2_grpc.AuthorizationServiceServicer):
    """Remembers the certificate of each call; a slow call waits for its gate."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.slow = 0
        self.gate = threading.Event()

    def Authorize(
        self, request: AuthorizeRequest, context: grpc.ServicerContext
    ) -> AuthorizeResponse:
        if request.request_id == "slow":
            self.slow += 1
            assert self.gate.wait(TIMEOUT_S)
        self.seen.append(context.auth_context()["x509_pem_cert"][0])
        return AuthorizeResponse()


class Site:
    """A server that asks for certificates, and a client's files."""

    def __init__(self, folder: Path, address: str, authority: Authority, servicer: Seeing) -> None:
        self.authority = authority
        self.servicer = servicer
        self.address = address
        self.files = TlsFiles(folder / "ca.pem", folder / "own.pem", folder / "own.key")
        (folder / "ca.pem").write_bytes(authority.certificate)
        self.renew()

    def renew(self) -> Pair:
        """Writes a new certificate of the client; returns it."""
        pair = self.authority.issue("client")
        assert self.files.certificate is not None
        assert self.files.key is not None
        pair.write(self.files.certificate, self.files.key)
        return pair

    def blocking(self, **options: Any) -> Client:
        return Client(self.address, "key-1", tls=self.files, **options)

    def awaited(self, **options: Any) -> AsyncClient:
        return AsyncClient(self.address, "key-1", tls=self.files, **options)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    authority, servicer = Authority(), Seeing()
    own = authority.issue()
    with ThreadPoolExecutor(max_workers=12) as pool:
        server = grpc.server(pool)
        register = authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server
        register(servicer, server)  # type: ignore[no-untyped-call]
        credentials = grpc.ssl_server_credentials(
            [(own.key, own.certificate)], authority.certificate, require_client_auth=True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        yield Site(tmp_path, f"127.0.0.1:{port}", authority, servicer)
        servicer.gate.set()
        server.stop(None).wait()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call reads the files, so that no test waits."""
    monkeypatch.setattr(freehold.tls, "LOOK_S", 0.0)


def test_renewed_files_make_a_new_connection(site: Site, at_once: None) -> None:
    """After the client's files were renewed, the next call shows the new certificate."""
    with site.blocking() as client:
        client.authorize(REQUEST)
        client.authorize(REQUEST)
        second = site.renew()
        client.authorize(REQUEST)
        client.authorize(REQUEST)
    one, two, three, four = site.servicer.seen
    assert one == two
    assert three == four == second.certificate
    assert one != three


def test_the_asynchronous_client_follows_its_files(site: Site, at_once: None) -> None:
    """The asynchronous client shows the renewed certificate too."""

    async def talk() -> Pair:
        async with site.awaited() as client:
            await client.authorize(REQUEST)
            second = site.renew()
            await client.authorize(REQUEST)
            return second

    second = asyncio.run(talk())
    assert [it == second.certificate for it in site.servicer.seen] == [False, True]


def test_files_are_not_read_for_every_call(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are read again once LOOK_S seconds have passed, however many calls there are."""
    monkeypatch.setattr(freehold.tls, "LOOK_S", 3600.0)
    with site.blocking() as client:
        client.authorize(REQUEST)
        second = site.renew()
        client.authorize(REQUEST)
        monkeypatch.setattr(freehold.tls, "LOOK_S", 0.0)
        client.authorize(REQUEST)
    assert [it == second.certificate for it in site.servicer.seen] == [False, False, True]


def test_a_call_under_way_ends_on_its_connection(site: Site, at_once: None) -> None:
    """A call that is under way when the files change ends as it would have, and its connection is
    closed after it."""
    servicer = site.servicer
    with ThreadPoolExecutor(1) as pool, site.blocking() as client:
        slow = pool.submit(client.authorize, SLOW)
        until(lambda: servicer.slow == 1, "the slow call arrived")
        site.renew()
        client.authorize(REQUEST)
        assert len(client._links.channels()) == 2
        servicer.gate.set()
        slow.result(TIMEOUT_S)
        assert len(client._links.channels()) == 1
    first, second = servicer.seen
    assert first != second


def test_an_awaited_call_under_way_ends_on_its_connection(site: Site, at_once: None) -> None:
    """The same holds for the asynchronous client."""
    servicer = site.servicer

    async def talk() -> None:
        async with site.awaited() as client:
            slow = asyncio.ensure_future(client.authorize(SLOW))
            while not servicer.slow:
                await asyncio.sleep(0.01)
            site.renew()
            await client.authorize(REQUEST)
            assert len(client._links.channels()) == 2
            servicer.gate.set()
            await slow
            assert len(client._links.channels()) == 1

    asyncio.run(asyncio.wait_for(talk(), TIMEOUT_S))
    first, second = servicer.seen
    assert first != second


def test_older_connections_are_bounded(site: Site, at_once: None) -> None:
    """However often the files change while calls are under way, few older connections stay; the
    newest files wait for one of them to end."""
    servicer, most = site.servicer, MOST_RETIRED + 1

    def arrived(number: int) -> bool:
        return servicer.slow == number

    with ThreadPoolExecutor(most + 2) as pool, site.blocking() as client:
        slow = []
        for number in range(1, most + 3):
            slow.append(pool.submit(client.authorize, SLOW))
            until(partial(arrived, number), "the slow call arrived")
            newest = site.renew()
        assert len(client._links.channels()) == most
        client.authorize(REQUEST)
        assert servicer.seen[-1] != newest.certificate
        servicer.gate.set()
        for call in slow:
            call.result(TIMEOUT_S)
        client.authorize(REQUEST)
        assert servicer.seen[-1] == newest.certificate
        assert len(client._links.channels()) == 1


def test_wrong_files_leave_the_connection(site: Site, at_once: None) -> None:
    """A half-written certificate, another key or a missing file leaves the older certificate in
    use, until the files are right again."""
    certificate, key = site.files.certificate, site.files.key
    assert certificate is not None
    assert key is not None
    with site.blocking() as client:
        client.authorize(REQUEST)
        whole = site.authority.issue("client")
        certificate.write_bytes(whole.certificate[:-100])
        client.authorize(REQUEST)
        certificate.write_bytes(whole.certificate)
        client.authorize(REQUEST)
        key.unlink()
        client.authorize(REQUEST)
        key.write_bytes(whole.key)
        client.authorize(REQUEST)
    one, *others, last = site.servicer.seen
    assert others == [one] * 3
    assert last == whole.certificate


def test_wrong_files_are_refused_at_the_start(site: Site, tmp_path: Path) -> None:
    """A client is not made with a file that is missing, is not PEM or does not fit; the error names
    the file."""
    stranger = Authority().issue()
    (tmp_path / "other.key").write_bytes(stranger.key)
    (tmp_path / "secret.key").write_bytes(pem(new_key(), b"a passphrase"))
    (tmp_path / "text").write_text("no certificate")
    ca, own, key = site.files.ca, site.files.certificate, site.files.key
    for files, named in (
        (TlsFiles(tmp_path / "none"), "none: No such file"),
        (TlsFiles(tmp_path / "text"), "text"),
        (TlsFiles(ca, own), "give both"),
        (TlsFiles(ca, None, key), "give both"),
        (TlsFiles(ca, own, tmp_path / "other.key"), "other.key"),
        (TlsFiles(ca, own, tmp_path / "secret.key"), "secret.key"),
    ):
        with pytest.raises(ValueError, match=named):
            Client(site.address, "key-1", tls=files)


def test_another_authority_is_not_trusted(site: Site, tmp_path: Path) -> None:
    """A server whose certificate is of another authority gets no call."""
    (tmp_path / "other.pem").write_bytes(Authority().certificate)
    files = TlsFiles(tmp_path / "other.pem", site.files.certificate, site.files.key)
    with (
        Client(site.address, "key-1", tls=files, timeout_s=5) as client,
        pytest.raises(FreeholdError) as refused,
    ):
        client.authorize(REQUEST)
    assert refused.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert site.servicer.seen == []


def test_the_servers_name_is_checked(site: Site) -> None:
    """The name in the server's certificate must be the target's, or `server_name`."""
    right = replace(site.files, server_name="localhost")
    wrong = replace(site.files, server_name="freehold.example")
    with Client(site.address, "key-1", tls=right) as client:
        client.authorize(REQUEST)
    with (
        Client(site.address, "key-1", tls=wrong, timeout_s=5) as client,
        pytest.raises(FreeholdError),
    ):
        client.authorize(REQUEST)
    assert len(site.servicer.seen) == 1
