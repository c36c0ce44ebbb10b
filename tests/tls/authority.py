"""Certificate authorities and certificates for tests, made by `cryptography`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, certificate: Path, key: Path) -> None:
        """Writes both files, the key closed to others."""
        certificate.write_bytes(self.certificate)
        key.touch(0o600)
        key.write_bytes(self.key)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, by another library than the server's."""
        found = x509.load_pem_x509_certificate(self.certificate)
        return found.fingerprint(hashes.SHA256()).hex()


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey


def new_key() -> Key:
    """A key of the usual kind."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Key, passphrase: bytes | None = None) -> bytes:
    """A key in PEM, with this passphrase or none."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase),
    )


class Authority:
    """A certificate authority of its own."""

    def __init__(self, name: str = "test CA") -> None:
        self._key = new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key, -DAY, 3650 * DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = made.sign(self._key, hashes.SHA256())
        self.certificate = signed.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self,
        subject: x509.Name,
        key: Key,
        begins: timedelta,
        ends: timedelta,
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )

    def issue(
        self,
        name: str = "localhost",
        *,
        begins: timedelta = -DAY,
        ends: timedelta = 365 * DAY,
        key: Key | None = None,
    ) -> Pair:
        """A certificate for this name and 127.0.0.1, of this authority; times from now on."""
        key = key or new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        made = self._builder(subject, key, begins, ends)
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        return Pair(signed.public_bytes(serialization.Encoding.PEM), pem(key))
