"""TLS of the clients: its files, and connections that follow them.

gRPC reads a client's certificate once for each channel. A client that runs for longer than its
certificate therefore makes a new channel when the files have changed.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

import grpc

Channel = TypeVar("Channel")

LOOK_S = 1.0
"""The time between two readings of the files, in seconds; a call looks, and no thread does."""

MOST_RETIRED = 4
"""The most older channels whose calls have not ended; meanwhile the newest files must wait."""


class TlsContent(NamedTuple):
    """The content of the files, in PEM; None for a file that is not given."""

    ca: bytes | None
    certificate: bytes | None
    key: bytes | None


@dataclass(frozen=True)
class TlsFiles:
    """The PEM files of a client's TLS.

    ca           authorities that the server's certificate may be of; None for gRPC's own roots
    certificate  the client's own certificate and its chain, for servers that ask for one
    key          the certificate's key, without a passphrase
    server_name  the name in the server's certificate, where the target is another
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def read(self) -> TlsContent:
        """The content of the files, if they can be used together.

        Raises ValueError if a file is missing, half-written or does not fit.
        """
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("a client's certificate and its key belong together: give both")
        before = self._content()
        self._check()
        if self._content() != before:
            raise ValueError("the files of TLS are being written: read them again")
        return before

    def _content(self) -> TlsContent:
        files = (self.ca, self.certificate, self.key)
        try:
            return TlsContent(*(None if it is None else it.read_bytes() for it in files))
        except OSError as error:
            raise ValueError(f"cannot read {error.filename}: {error.strerror}") from error

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        file = self.ca
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
            if self.certificate is not None:
                file = self.certificate
                # Without a function for the passphrase, OpenSSL would ask the terminal.
                context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (ssl.SSLError, OSError) as error:
            with_key = "" if file is self.ca else f" with the key {self.key}"
            raise ValueError(f"TLS cannot use {file}{with_key}: {error}") from error

    def options(self) -> tuple[tuple[str, str | int], ...]:
        """gRPC's options of a channel with these files."""
        if self.server_name is None:
            return ()
        return (("grpc.ssl_target_name_override", self.server_name),)


def credentials_of(content: TlsContent) -> grpc.ChannelCredentials:
    """gRPC's credentials with this content."""
    return grpc.ssl_channel_credentials(content.ca, content.key, content.certificate)


@dataclass(eq=False)
class Link(Generic[Channel]):
    """A channel, the calls made for it by their path, and the number of them under way."""

    channel: Channel
    calls: dict[str, Any] = field(default_factory=dict)
    under_way: int = 0


class Links(Generic[Channel]):
    """The channel of the newest files, and older ones until their last call ends.

    Without files there is one channel. Threads may share it.
    """

    def __init__(
        self, files: TlsFiles | None, connect: Callable[[TlsContent | None], Channel]
    ) -> None:
        """`connect` makes a channel. Raises ValueError as `TlsFiles.read`."""
        self._files = files
        self._connect = connect
        self._lock = Lock()
        self._content = None if files is None else files.read()
        self._looked_s = time.monotonic()
        self._link = Link(connect(self._content))
        self._retired: list[Link[Channel]] = []

    def take(self) -> Link[Channel]:
        """The link for one call; `give` it back when the call has ended."""
        with self._lock:
            self._follow()
            self._link.under_way += 1
            return self._link

    def give(self, link: Link[Channel]) -> list[Channel]:
        """Ends a call on a link; returns the older channels without calls, which must be closed."""
        with self._lock:
            link.under_way -= 1
            idle = [it for it in self._retired if it.under_way == 0]
            self._retired = [it for it in self._retired if it.under_way > 0]
            return [it.channel for it in idle]

    def channels(self) -> list[Channel]:
        """All channels that are not closed."""
        with self._lock:
            return [it.channel for it in (self._link, *self._retired)]

    def _follow(self) -> None:
        """Makes a new channel if the files have new content that can be used."""
        if self._files is None:
            return
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S or len(self._retired) >= MOST_RETIRED:
            return
        self._looked_s = now_s
        try:
            content = self._files.read()
        except ValueError:
            # Half-written or wrong: the older certificate is used until the files are right.
            return
        if content != self._content:
            self._content = content
            self._retired.append(self._link)
            self._link = Link(self._connect(content))
