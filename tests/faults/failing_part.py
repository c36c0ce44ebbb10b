"""`freehold` with a part that fails: the receiver of the native transport, or the committer."""

from __future__ import annotations

import os
from typing import Any
from unittest.mock import patch

from service.cli import main
from service.engine.group_commit import Committer
from service.rpc import native


def _defect(_committer: Committer) -> Any:
    raise RuntimeError("a defect")


FAILS: dict[str, Any] = {
    # The receiver asks for a number of calls that is no number.
    "receiver": patch.object(native, "MOST_EVENTS", None),
    "committer": patch.object(Committer, "_take", _defect),
}

if __name__ == "__main__":
    with FAILS[os.environ["FAILS"]]:
        main()
