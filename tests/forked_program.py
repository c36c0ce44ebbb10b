"""A program `freehold` for shells, whose commands are forked with all imports done.

A shell starts a program of its own. This one takes a hundredth of a second of CPU: it hands its
words, environment and streams to the test's process, which forks the command.
"""

from __future__ import annotations

import marshal
import os
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.shell import Forked

PROGRAM = """\
#!{python} -IS
import marshal, os, signal, socket, sys
PASSED_ON = signal.SIGTERM, signal.SIGINT
signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
content = marshal.dumps((sys.argv[1:], dict(os.environ), os.getcwd()))
socket.send_fds(asked, [len(content).to_bytes(8, "big")], [0, 1, 2])
asked.sendall(content)

def heard():
    return asked.recv(8) or sys.exit("freehold: the test's process forks no more commands")


process = int.from_bytes(heard(), "big")
for number in PASSED_ON:
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, _: os.kill(process, number))
signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
code = int.from_bytes(heard(), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
"""Answers as its command does; a signal reaches the command. It imports little."""


class ForkedProgram:
    """The other side of such a program. It takes commands as long as it is open."""

    def __init__(self, program: Path) -> None:
        """Writes the program."""
        self._ends = ExitStack()
        # A socket's name is short.
        folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix="freehold-program-"))
        address = str(Path(folder) / "socket")
        self._asked = self._ends.enter_context(socket.socket(socket.AF_UNIX))
        self._asked.bind(address)
        self._asked.listen()
        ends, self._end = socket.socketpair()
        self._ends.enter_context(ends)
        self._ends.enter_context(self._end)
        program.write_text(PROGRAM.format(python=sys.executable, address=address), "utf-8")
        program.chmod(0o755)
        # Only this thread knows the commands: multiprocessing reads a process's code once.
        self._thread = threading.Thread(target=self._serve, args=(ends,), name="forked program")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.sendall(b"end")
        self._thread.join()
        self._ends.close()

    def _serve(self, ends: socket.socket) -> None:
        running: dict[int, tuple[Forked, socket.socket]] = {}
        with ExitStack() as left:
            while True:
                ready: list[Any] = wait([self._asked, ends, *running])
                if ends in ready:
                    break
                for it in ready:
                    if it is self._asked:
                        asked = left.enter_context(self._asked.accept()[0])
                        process = left.enter_context(started(asked))
                        running[process.sentinel] = process, asked
                        asked.sendall(process.pid.to_bytes(8, "big"))
                    else:
                        process, asked = running.pop(it)
                        asked.sendall(process.wait().to_bytes(8, "big", signed=True))
            for process, _ in running.values():
                process.kill()


def started(asked: socket.socket) -> Forked:
    """The command that a program asks for."""
    size, streams, _, _ = socket.recv_fds(asked, 8, 3)
    try:
        with asked.makefile("rb") as file:
            words, environment, cwd = marshal.loads(file.read(int.from_bytes(size, "big")))
        stdin, stdout, stderr = streams
        return Forked(
            [sys.executable, "-m", "service.cli", *words],
            env=environment, cwd=Path(cwd), stdin=stdin, stdout=stdout, stderr=stderr,
        )  # fmt: skip
    finally:
        for number in streams:
            os.close(number)
