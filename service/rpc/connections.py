"""Ends the connections of a listening port.

gRPC answers calls that reach a server in the moment of its shutdown with CANCELLED, and a client
cannot tell them from calls that were cancelled on purpose. So the connections end first. Then
clients see a connection that broke, which gRPC reports as UNAVAILABLE.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")
"""The folders of the process's descriptors on Linux and on other systems."""


def stop_listening(port: int) -> None:
    """Refuses new connections to the port from now on."""
    with socket.socket() as closed:
        for descriptor in _sockets(port, listening=True):
            # The descriptor is gRPC's to close. An accept that fails would be logged as an error.
            os.dup2(closed.fileno(), descriptor, inheritable=False)


def cut(port: int) -> None:
    """Ends the accepted connections of the port, after all bytes written so far."""
    for descriptor in _sockets(port, listening=False):
        it = socket.socket(fileno=descriptor)
        with suppress(OSError):  # the other side was faster
            it.shutdown(socket.SHUT_RDWR)
        it.detach()


def _sockets(port: int, *, listening: bool) -> list[int]:
    """The descriptors of the port's sockets that listen, or of those that were accepted."""
    found = []
    for descriptor in _descriptors():
        try:
            it = socket.socket(fileno=descriptor)
        except OSError:
            continue  # no socket
        with suppress(OSError):
            if (
                it.family in (socket.AF_INET, socket.AF_INET6)
                and it.type == socket.SOCK_STREAM
                and it.getsockname()[1] == port
                and bool(it.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) == listening
            ):
                found.append(descriptor)
        it.detach()
    return found


def _descriptors() -> list[int]:
    for folder in _DESCRIPTORS:
        with suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return []
