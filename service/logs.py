"""Structured logs: JSON lines on standard error, without personal data.

A stalled reader never stops the server. Lines go through a bounded queue to the only thread that
writes. If the queue is full, lines are dropped and counted; the count is logged in the place of the
dropped lines. At its end the process writes the queue for at most `LogLimits.last_lines_s`, and
then ends even if nobody reads.
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
from typing import NoReturn, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from service.config import LogLimits

_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Local variables are never logged: they hold keys and personal data.
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
]


class LogStream(io.TextIOBase):
    """A text stream over a descriptor that may block. The stream itself never blocks its writers.

    A thread writes whole lines in their order. It is a daemon thread and writes to the descriptor
    directly. So neither the thread nor a lock of Python's own stream delays the end of the
    interpreter.
    """

    def __init__(self, descriptor: int, limits: LogLimits) -> None:
        """`descriptor` is the file descriptor to write to."""
        self._descriptor = descriptor
        self._most_waiting = limits.most_waiting
        self._most_in_a_line = limits.most_in_a_line
        # Reentrant, because the garbage collector may run a destructor here that logs a warning.
        self._lock = threading.RLock()
        self._lines: SimpleQueue[str | int | None] = SimpleQueue()
        self._waiting = 0
        self._dropped = 0
        self.dropped = 0
        """The lines dropped since the start."""
        self._begun = ""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Takes text, and queues whole lines; never blocks. Returns the length of the text."""
        with self._lock:
            whole = self._begun + text
            end = len(whole) if len(whole) > self._most_in_a_line else whole.rfind("\n") + 1
            self._begun = whole[end:]
            if end:
                self._put(whole[:end])
        return len(text)

    def _put(self, lines: str) -> None:
        # After a drop, wait for some room before taking lines again, so that counts stay few.
        most = self._most_waiting // 2 if self._dropped else self._most_waiting
        if self._waiting and self._waiting + len(lines) > most:
            dropped = lines.count("\n") or 1
            self._dropped += dropped
            self.dropped += dropped
            return
        self._tell_dropped()
        self._waiting += len(lines)
        self._lines.put(lines)

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._lines.put(self._dropped)
            self._dropped = 0

    def flush(self) -> None:
        """Does nothing: waiting for the reader could take for ever."""

    def fileno(self) -> int:
        """The descriptor of the stream, for child processes that inherit it."""
        return self._descriptor

    def writable(self) -> bool:
        """True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the written text."""
        return "utf-8"

    def finish(self, within_s: float) -> bool:
        """Writes the queue for at most `within_s` seconds; returns True if all was written.

        Later lines are lost.
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
            # The queue is empty, so the dropped lines must be reported now.
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
        "why": "the reader of the log was too slow",
        "event": "log_lines_dropped",
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(line) + "\n"


def _write(descriptor: int, text: str) -> None:
    """Writes the whole text, however long it takes; gives up if the descriptor fails."""
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Another process that shares the descriptor has set it to non-blocking.
            select.select([], [descriptor], [])
        except OSError:
            return  # closed, or the disk is full; the next line tries again


def configure_logs(limits: LogLimits, level: str = "INFO") -> LogStream:
    """Writes every event, of libraries too, as one JSON object with time (UTC) and level.

    From here on no Python code blocks on standard error or standard output; both go to standard
    error, through the stream that is returned.
    """
    stream = LogStream(sys.stderr.fileno(), limits)
    # Registered first, so it runs last at exit, after everything else has logged.
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
    return stream


def end_process(code: int, limits: LogLimits) -> NoReturn:
    """Ends the process with this exit code and waits for nothing but the log's last lines."""
    if isinstance(sys.stderr, LogStream):
        sys.stderr.finish(limits.last_lines_s)
    os._exit(code)
