"""Servers with TLS, their files, and clients with certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import grpc

from service.certificates import Certificates, Identity, TlsAlarms, TlsFiles, utc_now
from service.config import TlsLimits
from service.rpc.tls import ServerTls
from tests.rpc.support import Caller
from tests.tls.authority import Authority, Pair

EVERY_HANDSHAKE = TlsLimits(check_s=3600, handshake_check_s=0)
"""Files are compared at each handshake, and only then: no test waits."""


@dataclass
class Alarms:
    """Everything that was reported."""

    used: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    again: int = 0
    ends: list[timedelta] = field(default_factory=list)

    def functions(self) -> TlsAlarms:
        """The functions that a server reports with."""

        def used(it: Identity) -> None:
            self.used.append(it.fingerprint)

        def again() -> None:
            self.again += 1

        def ends(_: Identity, left: timedelta) -> None:
            self.ends.append(left)

        return TlsAlarms(used, self.unusable.append, again, ends)


class Desk:
    """An authority, a server's files in a folder, and what the server reported on them."""

    def __init__(self, folder: Path, *, mutual: bool = False) -> None:
        self.authority = Authority()
        self.alarms = Alarms()
        self.files = TlsFiles(
            folder / "server.pem", folder / "server.key", folder / "ca.pem" if mutual else None
        )
        (folder / "ca.pem").write_bytes(self.authority.certificate)
        self.ca = folder / "ca.pem"
        self.now: datetime | None = None
        """The server's time; None for the machine's."""
        self.pair = self.renew()

    def renew(self) -> Pair:
        """Writes a new certificate and its key into the server's files."""
        self.pair = self.authority.issue()
        self.pair.write(self.files.certificate, self.files.key)
        return self.pair

    def certificates(self) -> Certificates:
        """The certificate in use of a server with these files."""
        return Certificates(self.files, self.alarms.functions(), lambda: self.now or utc_now())

    def tls(self, limits: TlsLimits = EVERY_HANDSHAKE) -> ServerTls:
        """The TLS of a server with these files."""
        return ServerTls(self.certificates(), limits)

    def credentials(self, own: Pair | None = None) -> grpc.ChannelCredentials:
        """Those of a client that trusts the authority, perhaps with a certificate of its own."""
        key, certificate = (None, None) if own is None else (own.key, own.certificate)
        return grpc.ssl_channel_credentials(self.authority.certificate, key, certificate)


@contextmanager
def caller(address: str, key: str, credentials: grpc.ChannelCredentials | None) -> Iterator[Caller]:
    """A caller on a connection of its own."""
    made = Caller(address, key, credentials)
    try:
        yield made
    finally:
        made.close()
