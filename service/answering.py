"""The process of a job: one question on standard input, the result on standard output.

The process ends at once when its input is closed: then nobody waits for the result.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

from service.engine.ports import StorageFailed

Answer = Callable[[dict[str, Any], IO[str]], dict[str, Any]]
"""Answers a question; lines for the progress may be written before."""


def answer_one(answer: Answer) -> None:
    """Reads the question, and writes the progress and then the result, each as a line of JSON.

    The cause of a failure goes to standard error.
    """
    # The output is for the answers alone; whatever else is printed goes to standard error.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    os.nice(asked["niceness"])
    try:
        said = answer(asked, out)
    except StorageFailed as error:
        traceback.print_exception(error)
        sys.stderr.flush()
        said = {"unavailable": str(error)}
    out.write(json.dumps(said) + "\n")


def _end_with_the_input() -> None:
    sys.stdin.read()
    # The helpers are in this process's group.
    os.killpg(0, signal.SIGKILL)
