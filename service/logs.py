"""Structured logs: JSON lines on standard error, without personal data.

A reader who stands still never stops the server. Lines go through a bounded queue to one thread,
which alone writes; a line that finds the queue full is dropped and counted, and the count stands
in the log at the place of the dropped lines. At the process's end the queue is written for at most
`LogLimits.last_lines_s`; then the process ends although nobody reads.
"""

from __future__ import annotations

import atexit
import io
import json
import logging
import os
import select
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from service.config import LIMITS, LogLimits

_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Never the local variables of a frame: they hold keys and people.
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
]


class LogStream(io.TextIOBase):
    """A text stream that never blocks its writers, over a file that may.

    Whole lines are handed, in their order, to a thread that writes them. The thread is a daemon
    and writes to the descriptor itself, so that neither it nor a lock of Python's own stream keeps
    the interpreter from its end.
    """

    def __init__(self, descriptor: int, limits: LogLimits) -> None:
        """`descriptor` is written to."""
        self._descriptor = descriptor
        self._most_waiting = limits.most_waiting
        self._most_in_a_line = limits.most_in_a_line
        # Reentrant: a destructor that the garbage collector runs in here may warn of something.
        self._lock = threading.RLock()
        self._lines: SimpleQueue[str | int | None] = SimpleQueue()
        self._waiting = 0
        self._dropped = 0
        self._begun = ""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Takes text; what ends a line goes to the thread. Never blocks; returns its length."""
        with self._lock:
            whole = self._begun + text
            end = len(whole) if len(whole) > self._most_in_a_line else whole.rfind("\n") + 1
            self._begun = whole[end:]
            if end:
                self._put(whole[:end])
        return len(text)

    def _put(self, lines: str) -> None:
        # Once lines are dropped there must be some room again, so that the counts stay few.
        most = self._most_waiting // 2 if self._dropped else self._most_waiting
        if self._waiting and self._waiting + len(lines) > most:
            self._dropped += lines.count("\n") or 1
            return
        self._tell_dropped()
        self._waiting += len(lines)
        self._lines.put(lines)

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._lines.put(self._dropped)
            self._dropped = 0

    def flush(self) -> None:
        """Does nothing: whoever waited for the reader could be kept waiting for ever."""

    def fileno(self) -> int:
        """The descriptor behind the stream, for processes that inherit it."""
        return self._descriptor

    def writable(self) -> bool:
        """Always."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of what is written."""
        return "utf-8"

    def finish(self, within_s: float) -> bool:
        """Writes what is left, for at most so many seconds; whether all was written.

        What comes after it is lost.
        """
        with self._lock:
            if self._begun:
                self._put(self._begun + "\n")
                self._begun = ""
            self._tell_dropped()
            self._lines.put(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            _write(self._descriptor, _dropped_line(item) if isinstance(item, int) else item)

    def _next(self) -> str | int | None:
        with suppress(Empty):
            return self._taken(self._lines.get_nowait())
        with self._lock:
            # All that came was written: nobody else would tell what was dropped meanwhile.
            self._tell_dropped()
        return self._taken(self._lines.get())

    def _taken(self, item: str | int | None) -> str | int | None:
        if isinstance(item, str):
            with self._lock:
                self._waiting -= len(item)
        return item


def _dropped_line(lines: int) -> str:
    line = {
        "lines": lines,
        "why": "whoever reads the log was too slow",
        "event": "log_lines_dropped",
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(line) + "\n"


def _write(descriptor: int, text: str) -> None:
    """Writes all of it, however long that takes; nothing when the descriptor takes no more."""
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Whoever shares the descriptor has made it so that it does not block.
            select.select([], [descriptor], [])
        except OSError:
            return  # closed, or the disk is full: the next line is tried again


def configure_logs(level: str = "INFO", limits: LogLimits = LIMITS.log) -> None:
    """Every event, of libraries too, becomes one JSON object with time (UTC) and level.

    From here on nothing in Python that writes to standard error or standard output blocks, and
    both go to standard error.
    """
    stream = LogStream(sys.stderr.fileno(), limits)
    # Last of all that is done at the exit, so that the last words of everything else come through.
    atexit.register(stream.finish, limits.last_lines_s)
    sys.stdout = sys.stderr = stream
    structlog.configure(
        processors=[*_SHARED, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
