"""The process of a server's verification: one question on standard input, the result on output.

The process ends at once when its input is closed: then nobody waits for the result.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from functools import partial
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.books.processes import Elsewhere
from service.bounds import with_values
from service.config import Limits
from service.domain.verification import Verification, Witness
from service.engine.ports import StorageFailed
from service.engine.verification_job import write_verification
from service.rpc.stored import read_answer, read_payload
from service.signing import PublicKeys
from service.storage.database import open_database
from service.storage.proof import verify_database


def main() -> None:
    """Reads the question, and writes the progress and then the result, each as a line of JSON."""
    # The output is for the answers alone; whatever else is printed goes to standard error.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    os.nice(asked["niceness"])
    try:
        found = _verify(asked, out)
    except StorageFailed as error:
        said: dict[str, Any] = {"unavailable": str(error)}
    else:
        said = write_verification(found)
    out.write(json.dumps(said) + "\n")


def _verify(asked: dict[str, Any], out: IO[str]) -> Verification:
    keys = asked["keys"]
    made = None
    if keys is not None:
        made = PublicKeys(Ed25519PublicKey.from_public_bytes(bytes.fromhex(it)) for it in keys)
    limits = with_values(Limits(), asked["limits"])
    reopen = partial(open_database, asked["url"], limits=limits)
    engine = reopen()
    try:
        return verify_database(
            engine,
            made,
            [Witness(number, bytes.fromhex(digest)) for number, digest in asked["witnesses"]],
            read_answer,
            read_payload=read_payload,
            elsewhere=Elsewhere(reopen),
            progress=partial(_tell, out),
        )
    finally:
        engine.dispose()


def _tell(out: IO[str], done: float) -> None:
    out.write(json.dumps({"done": done}) + "\n")


def _end_with_the_input() -> None:
    sys.stdin.read()
    # The helpers are in this process's group.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
