"""A server ends if a part fails without which no call is answered; a supervisor starts it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest

from service.config import NATIVE, TRANSPORTS
from tests.faults.support import prepare, server
from tests.rpc.support import Caller, Refused

MODULE = "tests.faults.failing_part"
PARTS = [("receiver", NATIVE), *(("committer", it) for it in TRANSPORTS)]


@pytest.mark.parametrize(("part", "transport"), PARTS)
def test_a_part_that_fails_ends_the_server(
    tmp_path: Path, model: Path, part: str, transport: str
) -> None:
    """If the receiver or the committer fails, the log names it, and the server stops with exit code
    1: no call waits for an answer that does not come."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    operator_key, _ = prepare(url)
    request = AuthorizeRequest(request_id="first", user_id="ann", product_id="bike")
    words = {"FAILS": part, "FREEHOLD_LIMITS_DRAIN_S": "1", "FREEHOLD_LIMITS_NOTICE_S": "0"}
    options = ("--transport", transport)
    with server(url, model, "127.0.0.1:0", *options, module=MODULE, **words) as running:
        caller = Caller(str(running.wait_for("serving")["address"]), operator_key)
        with suppress(Refused):
            caller.send("Authorize", request, timeout=60)
        assert running.wait_for("part_failed")["part"] == part
        assert running.finish() == 1
        assert {"stopping", "stopped"} <= set(running.events())
        caller.close()
