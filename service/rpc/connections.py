"""Ends the connections of a listening port, or of a listening socket file.

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


Place = int | str
"""A port, or the path of a socket file."""


def stop_listening(place: Place) -> None:
    """Refuses new connections to the place from now on."""
    with socket.socket() as closed:
        for descriptor in _sockets(place, listening=True):
            # The descriptor is gRPC's to close. An accept that fails would be logged as an error.
            os.dup2(closed.fileno(), descriptor, inheritable=False)
            if isinstance(place, str):
                # gRPC would remove the file, but knows its name only from the socket.
                with suppress(OSError):
                    os.unlink(place)


def cut(place: Place) -> None:
    """Ends the accepted connections of the place, after all bytes written so far."""
    for descriptor in _sockets(place, listening=False):
        it = socket.socket(fileno=descriptor)
        with suppress(OSError):  # the other side was faster
            it.shutdown(socket.SHUT_RDWR)
        it.detach()


def _sockets(place: Place, *, listening: bool) -> list[int]:
    """The descriptors of the place's sockets that listen, or of those that were accepted."""
    found = []
    for descriptor in _descriptors():
        try:
            it = socket.socket(fileno=descriptor)
        except OSError:
            continue  # no socket
        with suppress(OSError):
            if (
                it.type == socket.SOCK_STREAM
                and _place_of(it) == place
                and bool(it.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) == listening
            ):
                found.append(descriptor)
        it.detach()
    return found


def _place_of(it: socket.socket) -> Place | None:
    """The place of a socket's own end; None if it is of another family."""
    name = it.getsockname()
    if it.family in (socket.AF_INET, socket.AF_INET6):
        return int(name[1])
    return str(name) if it.family == socket.AF_UNIX else None


def _descriptors() -> list[int]:
    for folder in _DESCRIPTORS:
        with suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return []
