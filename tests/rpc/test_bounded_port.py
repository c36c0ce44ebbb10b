"""The public port before the native transport: its addresses, and slow readers."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from service.config import Limits
from service.rpc import native
from service.rpc.bounded_port import BoundedPort, _Client
from service.rpc.server import CannotListen


class Transport:
    """A socket that counts its pauses."""

    read = True

    def pause_reading(self) -> None:
        self.read = False

    def resume_reading(self) -> None:
        self.read = True

    def is_closing(self) -> bool:
        return False


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_all_addresses_are_those_of_both_families(host: str) -> None:
    """A port on all addresses takes IPv4 and IPv6, as gRPC's own does."""

    async def main() -> None:
        port = BoundedPort(Limits(), "/nowhere")
        number = await port.start(f"{host}:0")
        for place in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(place, number)
            writer.close()
        port.close()

    asyncio.run(main())


def test_a_client_that_reads_nothing_is_not_read() -> None:
    """While a client does not read, neither side of its connection is read; each is read again
    once every reason for its pause is over."""

    async def main() -> None:
        client = _Client(BoundedPort(Limits(), "/nowhere"))
        own: Any = Transport()
        other: Any = Transport()
        client.transport, client.server.transport = own, other
        client.pause_writing()
        assert (own.read, other.read) == (False, False)
        client.server.pause_writing()
        client.resume_writing()
        assert (own.read, other.read) == (False, True)
        client.server.resume_writing()
        assert (own.read, other.read) == (True, True)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["missing", "x" * 120])
def test_a_folder_for_socket_files_is_asked_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder for its socket files, or with one whose path is too long, the transport says
    so, and what to do."""
    folder = tmp_path / name
    if name != "missing":
        folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(CannotListen, match="set TMPDIR"):
        native._folder()
    assert not folder.exists() or not list(folder.iterdir())
