"""Signatures of seals by Ed25519. A public key can check signatures, but cannot make them.

The private key is a PEM file (PKCS #8) that only the server can read. The public key is beside it
in `FILE.pub` (PEM, SubjectPublicKeyInfo), for auditors, who may use any other tool.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service.domain.errors import FreeholdError

KEY_ID_CHARACTERS = 16


class SealKeyUnusable(FreeholdError):
    """A key file does not exist, has no key in it, or is readable by others."""

    def __init__(self, why: str) -> None:
        super().__init__("SEAL_KEY_UNUSABLE", why)


def _key_id(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:KEY_ID_CHARACTERS]


class SealKey:
    """The private key of seals."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.key_id = _key_id(self.public)

    def sign(self, digest: bytes) -> bytes:
        """The signature over a digest, 64 bytes."""
        return self._key.sign(digest)


class PublicKeys:
    """Public keys of seals by their ids; there are several after a change of the key."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {_key_id(key): key for key in keys}

    def verify(self, key_id: str, digest: bytes, signature: bytes) -> bool:
        """True if this key is known and made the signature over the digest."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True


def create_seal_key(path: Path) -> str:
    """Writes a new private key, readable only by its owner, and its public key beside it.

    Returns the key's id. Raises SealKeyUnusable if either file exists or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        _write_new(path, private, 0o600)
        _write_new(path.with_name(path.name + ".pub"), public, 0o644)
    except OSError as error:
        raise SealKeyUnusable(f"cannot write {error.filename}: {error.strerror}") from error
    return _key_id(key.public_key())


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load_seal_key(path: Path) -> SealKey:
    """The private key in a file. Raises SealKeyUnusable, also if other users can read the file."""
    content = _read(path)
    if path.stat().st_mode & stat.S_IRWXO:
        raise SealKeyUnusable(f"{path} is open to everybody on this machine; run chmod 600 on it")
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise SealKeyUnusable(f"{path} holds no private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SealKeyUnusable(f"{path} holds no Ed25519 key")
    return SealKey(key)


def load_public_keys(paths: Iterable[Path]) -> PublicKeys:
    """The public keys in files. Raises SealKeyUnusable."""
    keys = []
    for path in paths:
        try:
            key = serialization.load_pem_public_key(_read(path))
        except ValueError as error:
            raise SealKeyUnusable(f"{path} holds no public key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SealKeyUnusable(f"{path} holds no Ed25519 key")
        keys.append(key)
    return PublicKeys(keys)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SealKeyUnusable(f"cannot read {path}: {error.strerror}") from error
