"""Keys bound to client certificates: such a key works only on a connection that shows one of them.

Both acts can be repeated: a certificate that is bound already stays bound, and one that is not
bound stays so.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Engine

from service.domain.errors import FreeholdError, InvalidInput, NotFound
from service.engine.records.administration import Asked, KeyInfo
from service.storage.administration import Administration, administer
from service.storage.compatibility import KEYS_BUILD, shut_out_older
from service.storage.keys import guard, owner_of, read_key, set_key, wanted_of

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
MOST_CERTIFICATES = 15
"""The number of fingerprints that the column holds."""

Certificates = frozenset[str]
Encode = Callable[[KeyInfo], bytes]


class TooManyCertificates(FreeholdError):
    """The key is bound to as many certificates as a key may have."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            "TOO_MANY_CERTIFICATES",
            f"the key {key_id} is bound to {MOST_CERTIFICATES} certificates: unbind one first",
            {"key": key_id},
        )


def bind(
    engine: Engine, asked: Asked, key_id: str, fingerprint: str, now_us: int, encode: Encode
) -> bytes:
    """Binds a key to one more certificate; returns the answer.

    From the first binding on, the schema shuts out builds that do not know bindings. The first
    certificate of a key only narrows it, so it needs no second person. Raises InvalidInput,
    NotFound for an unknown or ended key, TooManyCertificates, ActRefused, and RequestIdReused.
    """

    def more(bound: Certificates) -> Certificates:
        return bound | {fingerprint}

    return _change(engine, asked, "key.bound", key_id, fingerprint, now_us, more, encode)


def unbind(
    engine: Engine, asked: Asked, key_id: str, fingerprint: str, now_us: int, encode: Encode
) -> bytes:
    """Ends the binding of a key to a certificate; returns the answer.

    A key without any works on every connection. Raises as `bind`.
    """

    def fewer(bound: Certificates) -> Certificates:
        return bound - {fingerprint}

    return _change(engine, asked, "key.unbound", key_id, fingerprint, now_us, fewer, encode)


def _change(
    engine: Engine,
    asked: Asked,
    name: str,
    key_id: str,
    fingerprint: str,
    now_us: int,
    change: Callable[[Certificates], Certificates],
    encode: Encode,
) -> bytes:
    if not FINGERPRINT.fullmatch(fingerprint):
        text = "must be the SHA-256 of a certificate, 64 hexadecimal digits"
        raise InvalidInput.of("fingerprint", "fingerprint.form", text)

    def act(desk: Administration) -> bytes:
        before = read_key(desk.connection, key_id)
        if before is None or before.revoke_us is not None:
            raise NotFound("key", key_id)
        after = before._replace(certificates=change(before.certificates))
        if len(after.certificates) > MOST_CERTIFICATES:
            raise TooManyCertificates(key_id)
        if after != before:
            if before.certificates:
                guard(desk, wanted_of(after))
            shut_out_older(desk.connection, KEYS_BUILD)
            bound = sorted(after.certificates)
            set_key(desk.connection, key_id, certificates=" ".join(bound))
            desk.note(name, f"keys/{key_id}", fingerprint=fingerprint, certificates=bound)
        return encode(after)

    return administer(engine, asked, owner_of(engine, asked, key_id), now_us, act)
