"""A few worker processes that end when their parent's work ends, normally or not.

The standard pools are not used: the executor of concurrent.futures waits for running tasks on an
interrupt, and multiprocessing.Pool waits for ever on a worker that was killed. Workers are spawned,
not forked, because OpenMP, which LightGBM uses, does not survive a fork.

The arrays of their input lie in files without a name, which all workers map: so they are in memory
once, and nothing is left of them when the last process has ended. With `shared`, this process maps
the same file, and has no copy of its own.

A fit takes most memory while it reads its columns. Workers on a large input do that in turns.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import signal
import tempfile
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Semaphore
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np

from models.errors import TrainingError

_S = TypeVar("_S")
_T = TypeVar("_T")
_R = TypeVar("_R")

_GRACE_SECONDS = 5.0
# Arrays begin at multiples of this.
_ALIGNED = 64
FITS_BYTES = 256 * 2**20
"""The memory of simultaneous fits; one fit may take more."""
TURN_BYTES = 64 * 2**20
"""The input of workers that read their columns at the same time; one worker always may."""
# How workers are started.
CONTEXT: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")


def usual_jobs(array_bytes: int) -> int:
    """The processes for an input of that size: one for each core, while they take little memory.

    A fit takes about twice the memory of its input, so that several at a time would take more than
    four times a large table's.
    """
    return max(1, min(os.cpu_count() or 1, FITS_BYTES // (2 * max(1, array_bytes))))


_turns: AbstractContextManager[Any] = nullcontext()


def turn() -> AbstractContextManager[Any]:
    """This process's turn among the workers of its `run`, for a step that takes much memory and
    little time: it waits while too many others have theirs. Elsewhere it never waits."""
    return _turns


def run(
    work: Callable[[_S, _T], _R], state: _S, tasks: Sequence[_T], jobs: int | None
) -> Generator[tuple[int, _R], None, None]:
    """Yield (index of the task, work(state, task)) as results arrive, from `jobs` processes;
    None are the `usual_jobs` of the state's arrays.

    `work` must be a module's function; state, tasks and results must pickle. The state's arrays are
    read-only in the workers. An error in `work` is raised here; a worker that dies, or that cannot
    read its input, is a TrainingError. Tasks start in order. Use the iterator inside
    contextlib.closing: closing it, or any exception, also an interrupt, ends the processes.
    """
    if not tasks:
        return
    workers: dict[Connection, BaseProcess] = {}
    own = _unnamed_file()
    try:
        packed, others = _packed(state, own)
        size = sum(place.size for place in packed.places)
        if jobs is None:
            jobs = usual_jobs(size)
        turns = CONTEXT.Semaphore(max(1, TURN_BYTES // max(1, size)))
        for _ in range(max(1, min(jobs, len(tasks)))):
            ours, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_serve, args=(theirs, work, turns), daemon=True)
            process.start()
            theirs.close()
            workers[ours] = process
        waiting = iter(enumerate(tasks))
        busy: set[Connection] = set()
        for pipe in workers:
            pipe.send(packed)
            for file in (own, *others):
                reduction.send_handle(pipe, file.fileno(), workers[pipe].pid)
            pipe.send(next(waiting))
            busy.add(pipe)
        while busy:
            for ready in wait(list(busy)):
                if not isinstance(ready, Connection):
                    continue
                index, result = _receive(ready, workers[ready])
                following = next(waiting, None)
                if following is None:
                    busy.discard(ready)
                else:
                    ready.send(following)
                yield index, result
    except BrokenPipeError as error:
        raise TrainingError("a worker process died") from error
    finally:
        own.close()
        _end(workers)


def shared(state: _S) -> _S:
    """The same state with its arrays, read-only, in a file that the workers of any `run` map."""
    file = _unnamed_file()
    packed, others = _packed(state, file)
    content = _mapped(file.fileno())
    # The arrays hold the mapping, and the file is closed with it.
    weakref.finalize(content, file.close)
    _FILES[_address(content)] = _File(weakref.ref(content), file)
    made: _S = _unpacked(packed, [content, *(_mapped(it.fileno()) for it in others)])
    return made


class _File(NamedTuple):
    """A file whose content is mapped here, while the mapping lives."""

    content: weakref.ref[mmap.mmap]
    file: IO[bytes]


_FILES: dict[int, _File] = {}
"""The files of `shared` by the addresses of their mappings."""


class _Place(NamedTuple):
    """The place of an array: the number of its file, and the bytes in it."""

    file: int
    start: int
    size: int


class _Packed(NamedTuple):
    """A pickled object, and the places of the arrays that it lacks: in a file of its own, number 0,
    or in others, which are numbered from 1."""

    text: bytes
    places: tuple[_Place, ...]


def _unnamed_file() -> IO[bytes]:
    """A file in memory where the system has such files, else one on the disk."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("freehold"), "w+b")
    return tempfile.TemporaryFile()


def _packed(state: object, file: IO[bytes]) -> tuple[_Packed, list[IO[bytes]]]:
    """Pickle the state, and write its arrays into the file, except those that a file of `shared`
    has; these other files."""
    arrays: list[pickle.PickleBuffer] = []
    text = pickle.dumps(state, protocol=5, buffer_callback=arrays.append)
    places: list[_Place] = []
    others: list[IO[bytes]] = []
    # A file without a byte cannot be mapped.
    file.write(bytes(_ALIGNED))
    for array in arrays:
        with array.raw() as content:
            found = _found(content)
            if found is not None:
                other, start = found
                if other not in others:
                    others.append(other)
                places.append(_Place(others.index(other) + 1, start, content.nbytes))
                continue
            places.append(_Place(0, file.tell(), content.nbytes))
            file.write(content)
            file.write(bytes(-content.nbytes % _ALIGNED))
    file.flush()
    return _Packed(text, tuple(places)), others


def _found(content: memoryview) -> tuple[IO[bytes], int] | None:
    """The file of `shared` that these bytes lie in, and their place there."""
    at = _address(content)
    for address, (mapping, file) in list(_FILES.items()):
        whole = mapping()
        if whole is None:
            del _FILES[address]
        elif content.nbytes and address <= at and at + content.nbytes <= address + len(whole):
            return file, at - address
    return None


def _address(content: memoryview | mmap.mmap) -> int:
    """The address of the first byte."""
    return int(np.frombuffer(content, dtype=np.uint8).ctypes.data) if len(content) else 0


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _unpacked(packed: _Packed, contents: Sequence[mmap.mmap]) -> Any:
    """The state, whose arrays are in these files in the order of their numbers."""
    views = [memoryview(each) for each in contents]
    arrays = [views[it.file][it.start : it.start + it.size] for it in packed.places]
    return pickle.loads(packed.text, buffers=arrays)


def _receive(pipe: Connection, process: BaseProcess) -> tuple[int, Any]:
    try:
        index, result, failure = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        process.join(_GRACE_SECONDS)
        raise TrainingError(f"a worker process died (exit code {process.exitcode})") from error
    if failure is not None:
        raise failure
    return index, result


def _end(workers: dict[Connection, BaseProcess]) -> None:
    for pipe, process in workers.items():
        process.terminate()
        pipe.close()
    for process in workers.values():
        process.join(_GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: Connection, work: Callable[[Any, Any], Any], turns: Semaphore) -> None:
    """A worker: it answers tasks until its pipe closes. The pipe also closes if the parent dies."""
    global _turns
    _turns = turns
    # An interrupt from the terminal reaches the whole group, but only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        state, lost = _received(pipe)
        while True:
            index, task = pipe.recv()
            answer: tuple[int, Any, Exception | None]
            try:
                answer = (index, None, lost) if lost else (index, work(state, task), None)
            except Exception as error:  # the parent raises it
                answer = (index, None, error)
            pipe.send(answer)
    except (EOFError, OSError):
        return


def _received(pipe: Connection) -> tuple[Any, TrainingError | None]:
    """The state that the parent sent; or the error that answers each task where it cannot be read,
    such as for lack of memory or of open files."""
    try:
        packed: _Packed = pipe.recv()
        contents, faults = [], []
        for _ in range(1 + max((it.file for it in packed.places), default=0)):
            # Each file is received, so that the tasks behind them can be.
            try:
                contents.append(_of_handle(reduction.recv_handle(pipe)))
            except Exception as error:
                faults.append(error)
        for fault in faults:
            raise fault
        return _unpacked(packed, contents), None
    except Exception as error:  # the parent raises it
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        return None, TrainingError(f"a worker process cannot read its input ({cause})")


def _of_handle(descriptor: int) -> mmap.mmap:
    """The content of a received file, which is closed."""
    try:
        return _mapped(descriptor)
    finally:
        os.close(descriptor)
