"""The certificate in use: how it follows its files, and when its end is reported."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Timer

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.certificates import Certificates, TlsUnusable, fingerprint_of, utc_now
from service.config import Limits, TlsLimits
from tests.fakes import serving
from tests.rpc.support import Refused, outcome, until
from tests.tls.authority import DAY, Authority, Key
from tests.tls.support import EVERY_HANDSHAKE, Desk, caller


def half_written(desk: Desk) -> None:
    whole = desk.authority.issue().certificate
    desk.files.certificate.write_bytes(whole[: len(whole) // 2])


def only_the_certificate(desk: Desk) -> None:
    desk.files.certificate.write_bytes(desk.authority.issue().certificate)


def only_the_key(desk: Desk) -> None:
    desk.files.key.write_bytes(desk.authority.issue().key)


def empty(desk: Desk) -> None:
    desk.files.certificate.write_bytes(b"")


def gone(desk: Desk) -> None:
    desk.files.key.unlink()


def expired(desk: Desk) -> None:
    desk.authority.issue(begins=-2 * DAY, ends=-DAY).write(desk.files.certificate, desk.files.key)


def no_ca(desk: Desk) -> None:
    desk.ca.write_bytes(b"")


def open_to_others(desk: Desk) -> None:
    # First the mode: a look between the two finds nothing new to use.
    desk.files.key.chmod(0o644)
    desk.renew()


WRONG = (
    *(half_written, only_the_certificate, only_the_key, empty, gone, expired, no_ca),
    open_to_others,
)


@pytest.mark.parametrize("spoil", WRONG)
def test_wrong_files_leave_the_certificate_in_use(
    tmp_path: Path, spoil: Callable[[Desk], None]
) -> None:
    """New files that are half-written, wrong, expired or open to others leave the last good
    certificate in use, and are reported once; the next good files are used."""
    desk = Desk(tmp_path, mutual=True)
    first = desk.pair
    own = desk.authority.issue("shop")
    with serving(tmp_path, tls=desk.tls()) as served:
        spoil(desk)
        for _ in range(2):
            with caller(served.address, served.operator_key, desk.credentials(own)) as it:
                it.page()
        (why,) = desk.alarms.unusable
        assert any(str(file) in why for file in desk.files)
        assert desk.alarms.used == [first.fingerprint]
        desk.files.key.unlink(missing_ok=True)
        desk.ca.write_bytes(desk.authority.certificate)
        second = desk.renew()
        with caller(served.address, served.operator_key, desk.credentials(own)) as it:
            it.page()
    assert desk.alarms.used == [first.fingerprint, second.fingerprint]
    assert len(desk.alarms.unusable) == 1


def test_files_that_are_put_back(tmp_path: Path) -> None:
    """If the files hold the certificate in use again, the fault's end is reported; the next fault
    is reported anew."""
    desk = Desk(tmp_path)
    used = desk.certificates()
    for _ in range(2):
        only_the_certificate(desk)
        used.look()
        used.look()
        desk.pair.write(desk.files.certificate, desk.files.key)
        used.look()
        used.look()
    assert (len(desk.alarms.unusable), desk.alarms.again) == (2, 2)
    assert used.used.fingerprint == desk.pair.fingerprint


def test_a_look_waits_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that begins while another thread's look has read older files sees the newer ones."""
    monkeypatch.setattr("service.certificates.WAIT_S", 30.0)
    desk = Desk(tmp_path)
    reading, goes_on = Event(), Event()
    goes_on.set()

    def now() -> datetime:
        reading.set()
        assert goes_on.wait(30)
        return utc_now()

    used = Certificates(desk.files, desk.alarms.functions(), now)
    desk.renew()
    reading.clear()
    goes_on.clear()
    with ThreadPoolExecutor(1) as pool:
        older = pool.submit(used.look)
        assert reading.wait(30)
        newest = desk.renew()
        Timer(0.05, goes_on.set).start()
        used.look()
        older.result(30)
    assert used.used.fingerprint == newest.fingerprint


def test_a_new_client_ca(tmp_path: Path) -> None:
    """A new client CA counts for new connections: certificates of the old one are refused."""
    desk = Desk(tmp_path, mutual=True)
    old, other = desk.authority.issue("shop"), Authority("another CA")
    new = other.issue("shop")
    key, certificate = new.key, new.certificate
    with serving(tmp_path, tls=desk.tls()) as served:
        desk.ca.write_bytes(other.certificate)
        trusted = grpc.ssl_channel_credentials(desk.authority.certificate, key, certificate)
        with caller(served.address, served.operator_key, trusted) as it:
            it.page()
        with caller(served.address, served.operator_key, desk.credentials(old)) as it:
            answer = outcome(it.page)
            assert isinstance(answer, Refused)
            assert answer.code is grpc.StatusCode.UNAVAILABLE


def test_a_running_server_looks_without_connections(tmp_path: Path) -> None:
    """A running server notices wrong files even if nobody connects."""
    desk = Desk(tmp_path)
    limits = TlsLimits(check_s=0.02, handshake_check_s=3600)
    with serving(tmp_path, tls=desk.tls(limits), limits=replace(Limits(), tls=limits)):
        only_the_key(desk)
        until(lambda: len(desk.alarms.unusable) == 1, "the wrong key is reported")


def test_files_are_compared_at_most_once_in_a_while(tmp_path: Path) -> None:
    """A flood of handshakes does not read the files each time: a handshake compares them only if
    `handshake_check_s` has passed."""
    desk = Desk(tmp_path)
    first = desk.pair
    for limit_s, wanted in ((3600.0, 1), (0.0, 2)):
        first.write(desk.files.certificate, desk.files.key)
        desk.alarms.used.clear()
        # A listener alone: the server's worker looks too.
        with ThreadPoolExecutor(1) as pool:
            listener = grpc.server(pool)
            credentials = desk.tls(TlsLimits(handshake_check_s=limit_s)).credentials()
            port = listener.add_secure_port("127.0.0.1:0", credentials)
            listener.start()
            second = desk.renew()
            shown = fingerprint_of(ssl.get_server_certificate(("127.0.0.1", port)).encode())
            listener.stop(None).wait()
        assert shown == (first if wanted == 1 else second).fingerprint
        assert len(desk.alarms.used) == wanted


@pytest.mark.parametrize(
    ("left", "reported"),
    [
        (timedelta(days=22), False),
        (timedelta(days=21, seconds=1), False),
        (timedelta(days=20, hours=23), True),
        (timedelta(0), True),
        (-timedelta(days=1), True),
    ],
)
def test_the_end_of_a_certificate(tmp_path: Path, left: timedelta, reported: bool) -> None:
    """A certificate with less than 21 days left is reported, also when it has ended."""
    desk = Desk(tmp_path)
    tls = desk.tls()
    desk.now = desk.certificates().used.ends - left
    tls.warn()
    assert desk.alarms.ends == ([left] if reported else [])


def test_the_end_is_reported_once_a_day(tmp_path: Path) -> None:
    """The report of an end is repeated after a day, and stops with a new certificate."""
    desk = Desk(tmp_path)
    used = desk.certificates()
    tls = desk.tls()
    ends = used.used.ends
    for hours in (0, 23, 24, 25, 47, 48):
        desk.now = ends - 10 * DAY + timedelta(hours=hours)
        tls.warn()
    assert [10 * DAY - it for it in desk.alarms.ends] == [timedelta(0), DAY, 2 * DAY]


def test_a_renewed_certificate_is_not_reported(tmp_path: Path) -> None:
    """A certificate that was renewed in time is not reported; one renewed with a short life is."""
    desk = Desk(tmp_path)
    desk.authority.issue(ends=2 * DAY).write(desk.files.certificate, desk.files.key)
    used = desk.certificates()
    used.warn(EVERY_HANDSHAKE.expiry_alarm_s, EVERY_HANDSHAKE.expiry_again_s)
    desk.renew()
    used.look()
    used.warn(EVERY_HANDSHAKE.expiry_alarm_s, EVERY_HANDSHAKE.expiry_again_s)
    assert len(desk.alarms.ends) == 1
    desk.authority.issue(ends=3 * DAY).write(desk.files.certificate, desk.files.key)
    used.look()
    used.warn(EVERY_HANDSHAKE.expiry_alarm_s, EVERY_HANDSHAKE.expiry_again_s)
    assert len(desk.alarms.ends) == 2


def test_the_earliest_end_of_a_chain_counts(tmp_path: Path) -> None:
    """The end of a chain is the earliest end of its certificates."""
    desk = Desk(tmp_path)
    short = desk.authority.issue(ends=5 * DAY)
    chain = desk.pair.certificate + short.certificate
    desk.files.certificate.write_bytes(chain)
    assert desk.certificates().used.ends - utc_now() < 6 * DAY


GOOD: dict[str, Callable[[], Key]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65_537, 2048),
}
BAD: dict[str, Callable[[], Key]] = {
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": Ed25519PrivateKey.generate,
    "RSA of 1,024 bits": lambda: rsa.generate_private_key(65_537, 1024),
}


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_kinds_of_keys_that_clients_take(tmp_path: Path, kind: str) -> None:
    """RSA keys of 2,048 bits and keys on P-256 and P-384 work with the client."""
    desk = Desk(tmp_path)
    desk.authority.issue(key=GOOD[kind]()).write(desk.files.certificate, desk.files.key)
    with (
        serving(tmp_path, tls=desk.tls()) as served,
        caller(served.address, served.operator_key, desk.credentials()) as it,
    ):
        it.page()


@pytest.mark.parametrize("kind", sorted(BAD))
def test_kinds_of_keys_that_clients_refuse(tmp_path: Path, kind: str) -> None:
    """Keys of other kinds are refused before a client meets them."""
    desk = Desk(tmp_path)
    desk.authority.issue(key=BAD[kind]()).write(desk.files.certificate, desk.files.key)
    with pytest.raises(TlsUnusable, match="of a kind that clients refuse"):
        desk.certificates()


def test_a_fingerprint_is_that_of_the_first_certificate(tmp_path: Path) -> None:
    """A file's fingerprint is that of its first certificate, whatever text stands around it."""
    first, second = Authority().issue(), Authority().issue()
    text = b"subject=shop\n" + first.certificate + b"\n" + second.certificate
    assert fingerprint_of(text) == first.fingerprint
