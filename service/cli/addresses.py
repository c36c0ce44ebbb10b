"""Addresses of servers, HOST:PORT or unix:PATH, and whether other machines reach them."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv6Address, ip_address

from service.rpc.unix_socket import UNIX


def is_address(text: str) -> bool:
    """True if a text is HOST:PORT or unix:PATH."""
    if text.startswith(UNIX):
        return bool(text.removeprefix(UNIX).strip("/"))
    return is_network_address(text)


def is_network_address(text: str) -> bool:
    """True if a text is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host and re.fullmatch("[0-9]{1,5}", port)) and int(port) <= 65_535


def why_not_plaintext(address: str) -> str | None:
    """The reason why keys may not travel to an address in plaintext, and what to do; None if no
    other machine reaches it."""
    try:
        if is_local(address):
            return None
    except ValueError as error:
        return str(error)
    return (
        f"other machines reach {address}, and without TLS they can read the keys of its calls: give"
        " tls_certificate and tls_key, or plaintext_on_network if a proxy or the network itself"
        " protects them"
    )


def why_not_metrics(address: str) -> str | None:
    """The reason why metrics may not be served on an address, and what to do; None if no other
    machine reaches it."""
    try:
        if is_local(address):
            return None
    except ValueError as error:
        return str(error)
    return (
        "other machines may reach that address, and anybody there may read the metrics: give"
        " 127.0.0.1:9464, or give metrics_on_network too"
    )


def is_local(address: str) -> bool:
    """True if no other machine reaches an address. Raises ValueError if its host is not known."""
    if address.startswith(UNIX):
        return True
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"the host of {address} is not known: give another address") from error
    return all(_is_loopback(str(place[0])) for *_, place in found)


def _is_loopback(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
