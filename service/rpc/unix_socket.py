"""A socket file as the server's address: `unix:PATH`, open to the server's own user only."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

UNIX = "unix:"


def in_use(address: str) -> bool:
    """True if a process listens on a unix address; gRPC would take it away from that process."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address.removeprefix(UNIX))
        except OSError:
            return False
    return True


@contextmanager
def owner_only(address: str) -> Iterator[None]:
    """Gives a socket file that is made in the block the mode 0600."""
    if not address.startswith(UNIX):
        yield
        return
    before = os.umask(stat.S_IXUSR | stat.S_IRWXG | stat.S_IRWXO)
    try:
        yield
    finally:
        os.umask(before)


def refusal_of(address: str) -> str:
    """The reason why a unix address cannot be bound; tries it, because gRPC gives no reason."""
    path = address.removeprefix(UNIX)
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(path)
        except OSError as error:
            if os.path.lexists(path):
                return "a file of that name exists"
            return error.strerror or str(error)
    os.unlink(path)
    return "gRPC could not bind it"
