"""The process of a server's verification."""

from __future__ import annotations

import json
from functools import partial
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.answering import answer_one
from service.books.processes import Elsewhere
from service.bounds import with_values
from service.config import Limits
from service.domain.verification import Witness
from service.engine.verification_job import write_verification
from service.rpc.stored import read_answer, read_payload
from service.signing import PublicKeys
from service.storage.database import open_database
from service.storage.proof import verify_database


def main() -> None:
    """Verifies as the question asks."""
    answer_one(_verify)


def _verify(asked: dict[str, Any], out: IO[str]) -> dict[str, Any]:
    keys = asked["keys"]
    made = None
    if keys is not None:
        made = PublicKeys(Ed25519PublicKey.from_public_bytes(bytes.fromhex(it)) for it in keys)
    limits = with_values(Limits(), asked["limits"])
    reopen = partial(open_database, asked["url"], limits=limits)
    engine = reopen()
    try:
        found = verify_database(
            engine,
            made,
            [Witness(number, bytes.fromhex(digest)) for number, digest in asked["witnesses"]],
            read_answer,
            read_payload=read_payload,
            elsewhere=Elsewhere(reopen),
            progress=partial(_tell, out),
        )
        return write_verification(found)
    finally:
        engine.dispose()


def _tell(out: IO[str], done: float) -> None:
    out.write(json.dumps({"done": done}) + "\n")


if __name__ == "__main__":
    main()
