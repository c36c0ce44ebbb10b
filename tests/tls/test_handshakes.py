"""Connections by TLS: who is let in, and which certificate a connection gets."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from service.certificates import fingerprint_of
from tests.fakes import Served, serving
from tests.rpc.support import Refused, outcome
from tests.tls.authority import DAY, Authority
from tests.tls.support import Desk, caller


def shown(served: Served) -> str:
    """The fingerprint of the certificate that a new connection gets, by Python's own TLS."""
    host, port = served.address.split(":")
    return fingerprint_of(ssl.get_server_certificate((host, int(port))).encode())


def is_refused(served: Served, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether a call on a new connection does not reach the server."""
    with caller(served.address, served.operator_key, credentials) as it:
        answer = outcome(it.page)
    return isinstance(answer, Refused) and answer.code is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_trusts_the_authority(tmp_path: Path) -> None:
    """With --tls-certificate and --tls-key, a client that trusts the authority is answered, and a
    client without TLS, or with another authority, is not."""
    desk = Desk(tmp_path)
    with serving(tmp_path, tls=desk.tls()) as served:
        with caller(served.address, served.operator_key, desk.credentials()) as it:
            assert list(it.page().authorizations) == []
        assert is_refused(served, None)
        stranger = Authority()
        assert is_refused(served, grpc.ssl_channel_credentials(stranger.certificate))
        assert shown(served) == desk.pair.fingerprint


def test_a_client_certificate_is_required(tmp_path: Path) -> None:
    """With --tls-client-ca, only clients with a valid certificate of that authority are
    answered."""
    desk = Desk(tmp_path, mutual=True)
    with serving(tmp_path, tls=desk.tls()) as served:
        own = desk.authority.issue("shop")
        with caller(served.address, served.operator_key, desk.credentials(own)) as it:
            assert list(it.page().authorizations) == []
        assert is_refused(served, desk.credentials())
        # An authority of the same name is another authority: its key differs.
        assert is_refused(served, desk.credentials(Authority().issue("shop")))
        past = desk.authority.issue("shop", begins=-2 * DAY, ends=-DAY)
        assert is_refused(served, desk.credentials(past))


def test_a_new_certificate_under_live_calls(tmp_path: Path) -> None:
    """A new certificate counts for new connections without a restart; calls on older connections
    go on."""
    desk = Desk(tmp_path)
    first = desk.pair
    with (
        serving(tmp_path, tls=desk.tls()) as served,
        caller(served.address, served.operator_key, desk.credentials()) as older,
        caller(served.address, served.operator_key, desk.credentials()) as newer,
    ):
        older.page()
        second = desk.renew()
        older.page()
        assert shown(served) == second.fingerprint != first.fingerprint
        newer.page()
        older.page()
    assert desk.alarms.used == [first.fingerprint, second.fingerprint]
    assert desk.alarms.unusable == []
