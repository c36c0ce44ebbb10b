"""A server whose log nobody reads: a pipe of 4 KiB, full from the first moment on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import threading
import time
from contextlib import suppress
from typing import Any

from benchmarks.attacks.scene import Scene, Stage
from benchmarks.processes import Server, spawn

_PIPE_BYTES = 4_096
_READ_BYTES = 65_536
_SEALS_S = 6.0


async def unread_log(_scene: Scene, stage: Stage) -> dict[str, Any]:
    """Wait until the server has had lines to log: the reader of its log has stopped already."""
    began = time.monotonic()
    await asyncio.sleep(_SEALS_S)
    await stage.ready()
    await stage.over()
    return {"begun": 1, "unread_s": time.monotonic() - began}


class UnreadServer(Server):
    """A server whose log is read until it serves, and never again. The pipe is full then."""

    def launch(self) -> None:
        """Start the process; it is not up yet."""
        self._reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._writer = writer
        self._log.touch()
        self._child = spawn(
            self._arguments, core=self._core, checkout=self._checkout,
            stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
        )  # fmt: skip
        self._copying = threading.Thread(target=self._copy, daemon=True)
        self._copying.start()

    def wait_serving(self) -> None:
        """Wait until the launched process is up, then stop reading; raises BenchmarkError."""
        super().wait_serving()
        self._copying.join()
        # Blocking is a property of the open file, and the server's must stay as it is.
        own = os.open(f"/proc/self/fd/{self._writer}", os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(own, b"\n")
        os.close(own)

    def kill(self) -> bool:
        """SIGKILL, and wait for the end; return whether it was still running."""
        running = super().kill()
        for end in (self._reader, self._writer):
            os.close(end)
        return running

    def _copy(self) -> None:
        """Copy the log into the file up to the line that says that the server is up."""
        with self._log.open("ab") as sink:
            said = b""
            while b'"serving"' not in said and (data := os.read(self._reader, _READ_BYTES)):
                said += data
                sink.write(data)
                sink.flush()
