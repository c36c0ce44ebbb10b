"""Keys bound to client certificates: such a key works only on a connection that shows one of them.

Both commands can be repeated: a certificate that is bound already stays bound, and one that is not
bound stays so.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Connection, Engine, func, select, update

from service.domain.access import KEY_ID_LENGTH
from service.domain.errors import FreeholdError, InvalidInput, NotFound
from service.storage import schema as t
from service.storage.compatibility import CERTIFICATES_BUILD, shut_out_older
from service.storage.database import writing

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
MOST_CERTIFICATES = 15
"""The number of fingerprints that the column holds."""

Certificates = frozenset[str]


class TooManyCertificates(FreeholdError):
    """The key is bound to as many certificates as a key may have."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            "TOO_MANY_CERTIFICATES",
            f"the key {key_id} is bound to {MOST_CERTIFICATES} certificates: unbind one first",
            {"key": key_id},
        )


def bind(engine: Engine, key_id: str, fingerprint: str) -> Certificates:
    """Binds a key to one more certificate; returns all of its certificates.

    From the first binding on, the schema shuts out builds that do not know bindings. Raises
    InvalidInput, NotFound for an unknown or revoked key, and TooManyCertificates.
    """

    def more(bound: Certificates) -> Certificates:
        return bound | {fingerprint}

    with writing(engine) as connection:
        bound = _change(connection, key_id, fingerprint, more)
        shut_out_older(connection, CERTIFICATES_BUILD)
        return bound


def unbind(engine: Engine, key_id: str, fingerprint: str) -> Certificates:
    """Ends the binding of a key to a certificate; returns its other certificates.

    A key without any works on every connection. Raises InvalidInput and NotFound.
    """

    def fewer(bound: Certificates) -> Certificates:
        return bound - {fingerprint}

    with writing(engine) as connection:
        return _change(connection, key_id, fingerprint, fewer)


def _change(
    connection: Connection,
    key_id: str,
    fingerprint: str,
    change: Callable[[Certificates], Certificates],
) -> Certificates:
    if not FINGERPRINT.fullmatch(fingerprint):
        text = "must be the SHA-256 of a certificate, 64 hexadecimal digits"
        raise InvalidInput.of("fingerprint", "fingerprint.form", text)
    k = t.api_keys.c
    key = func.substr(k.key_hash, 1, KEY_ID_LENGTH) == key_id
    query = select(k.key_hash, k.certificates).where(key, k.revoke_us.is_(None))
    found = connection.execute(query.with_for_update()).first()
    if found is None:
        unknown = NotFound("key", key_id)
        unknown.advise("freehold keys lists the keys")
        raise unknown
    bound = change(frozenset(found.certificates.split()))
    if len(bound) > MOST_CERTIFICATES:
        raise TooManyCertificates(key_id)
    written = update(t.api_keys).where(k.key_hash == found.key_hash)
    connection.execute(written.values(certificates=" ".join(sorted(bound))))
    return bound
