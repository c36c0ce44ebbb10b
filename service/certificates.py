"""Certificates of TLS: their files are read and checked, and a file's new content is noticed.

All files are PEM. A certificate's file begins with the certificate itself; the rest of its chain
follows. The key has no passphrase, because a server must start without a person.
"""

from __future__ import annotations

import hashlib
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from service.domain.errors import FreeholdError

CURVES = (SECP256R1, SECP384R1)
RSA_BITS = 2048
"""Shorter keys count as broken."""
WAIT_S = 1.0
"""The longest wait for another thread's look at the files."""


class TlsUnusable(FreeholdError):
    """A certificate, a key or a CA cannot be used; the text names the file and the remedy."""

    def __init__(self, why: str) -> None:
        super().__init__("TLS_UNUSABLE", why)


class TlsFiles(NamedTuple):
    """The files of a server's TLS; with a client CA, clients must show a certificate of it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Identity(NamedTuple):
    """The checked content of these files."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    fingerprint: str
    ends: datetime
    """The first end of a certificate in the chain, UTC."""


def fingerprint_of(certificate: bytes) -> str:
    """The SHA-256 of the first certificate of a PEM text, 64 hexadecimal digits.

    Raises ValueError.
    """
    text = certificate.decode("ascii")
    head, foot = ssl.PEM_HEADER, ssl.PEM_FOOTER
    first = text[text.index(head) : text.index(foot) + len(foot)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


def read_fingerprint(file: Path) -> str:
    """The fingerprint of the certificate in a file. Raises TlsUnusable."""
    content = _read(file)
    _certificates(file, content)
    return fingerprint_of(content)


def load_identity(files: TlsFiles, now: datetime) -> Identity:
    """Reads and checks a server's files. Raises TlsUnusable."""
    return _checked(files, _contents(files), now)


def _checked(files: TlsFiles, content: _Contents, now: datetime) -> Identity:
    _check_closed(files.key)
    chain = _certificates(files.certificate, content.certificate)
    key = _private_key(files.key, content.key)
    if key.public_key() != chain[0].public_key():
        raise TlsUnusable(
            f"the key in {files.key} does not fit the first certificate in {files.certificate}:"
            " give the key that it was made for"
        )
    for it in chain:
        _check_time(files.certificate, it, now)
    if files.client_ca is not None and content.client_ca is not None:
        for it in _certificates(files.client_ca, content.client_ca):
            _check_time(files.client_ca, it, now)
    ends = min(it.not_valid_after_utc for it in chain)
    return Identity(*content, fingerprint_of(content.certificate), ends)


class _Contents(NamedTuple):
    certificate: bytes
    key: bytes
    client_ca: bytes | None


def _contents(files: TlsFiles) -> _Contents:
    ca = None if files.client_ca is None else _read(files.client_ca)
    return _Contents(_read(files.certificate), _read(files.key), ca)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsUnusable(f"cannot read {path}: {error.strerror}") from error


def _check_closed(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise TlsUnusable(f"cannot read {key}: {error.strerror}") from error
    if mode & stat.S_IRWXO:
        raise TlsUnusable(f"{key} is open to everybody on this machine; run chmod 600 on it")


def _certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise TlsUnusable(f"{path} holds no certificate in PEM") from error


def _private_key(path: Path, content: bytes) -> PrivateKeyTypes:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as error:
        raise TlsUnusable(f"the key in {path} has a passphrase: give a key without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsUnusable(f"{path} holds no private key in PEM") from error
    if isinstance(key, RSAPrivateKey) and key.key_size >= RSA_BITS:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, CURVES):
        return key
    # Tried: gRPC's clients refuse Ed25519 and P-521, and its server other curves.
    raise TlsUnusable(
        f"the key in {path} is of a kind that clients refuse: make one of RSA with at least"
        f" {RSA_BITS} bits, or on the curve P-256 or P-384"
    )


def _check_time(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= ends:
        raise TlsUnusable(f"a certificate in {path} expired at {ends.isoformat()}: renew it")
    if now < begins:
        raise TlsUnusable(
            f"a certificate in {path} is not valid before {begins.isoformat()}: wait, or check"
            " this machine's clock"
        )


@dataclass(frozen=True, slots=True)
class TlsAlarms:
    """The functions that report on certificates."""

    used: Callable[[Identity], None]
    """A certificate is used from now on."""
    unusable: Callable[[str], None]
    """New content of the files cannot be used; it says why. The last good content stays in use."""
    usable_again: Callable[[], None]
    """The files hold again the content in use."""
    ends_soon: Callable[[Identity, timedelta], None]
    """The certificate in use ends in this time; zero or less if it has ended."""


def utc_now() -> datetime:
    """The machine's time, by which TLS compares certificates, also in a sandbox."""
    return datetime.now(UTC)


class Certificates:
    """The certificate in use; it follows its files. Threads may share it."""

    def __init__(
        self, files: TlsFiles, alarms: TlsAlarms, now: Callable[[], datetime] = utc_now
    ) -> None:
        """Raises TlsUnusable."""
        self._files = files
        self._alarms = alarms
        self._now = now
        self._why: str | None = None
        """The reported fault of the files."""
        self._doubt: tuple[str, _Contents | None] | None = None
        """The fault that the last look found, and the files' content."""
        self._looking = Lock()
        self._warned: datetime | None = None
        self.used = load_identity(files, now())
        alarms.used(self.used)

    def look(self) -> None:
        """Compares the files with the content in use, and uses new content that is right.

        Wrong or half-written files leave the content in use. They are reported once, when the next
        look finds them unchanged: files that are just being written are no fault. Another thread's
        look may have read older files, so this one waits for its end; it gives up after `WAIT_S`,
        because a file system that hangs must not stop the handshakes.
        """
        if not self._looking.acquire(timeout=WAIT_S):
            return
        try:
            self._compare()
        finally:
            self._looking.release()

    def _compare(self) -> None:
        found = None
        try:
            found = _contents(self._files)
            if found != self.used[:3]:
                self.used = _checked(self._files, found, self._now())
                self._warned = None
                self._alarms.used(self.used)
            elif self._why is not None:
                self._alarms.usable_again()
            self._why = self._doubt = None
        except TlsUnusable as error:
            doubt = (error.message, found)
            if doubt == self._doubt and error.message != self._why:
                self._why = error.message
                self._alarms.unusable(error.message)
            self._doubt = doubt

    def warn(self, less_s: float, again_s: float) -> None:
        """Reports a certificate that ends in less than `less_s` seconds.

        It is reported again after `again_s` seconds.
        """
        now = self._now()
        left = self.used.ends - now
        due = self._warned is None or (now - self._warned).total_seconds() >= again_s
        if left.total_seconds() < less_s and due:
            self._warned = now
            self._alarms.ends_soon(self.used, left)
