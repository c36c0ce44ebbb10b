"""Starts the server of the crash benchmark: ``python -m benchmarks.crash_server BUILD serve …``.

The arguments after BUILD go to the `freehold` command. BUILD is `real`, or the name of a defect
that the benchmark must find; the shipped code has no switch for a defect: only this process changes
a class.

real                  `freehold` as it is installed to serve: scikit-learn, which only the tests
                      need, is hidden from LightGBM, which imports it when it can. With it a start
                      takes twice as long.
answer-before-commit  Every batch is answered first and committed 20 ms later, as a write-behind
                      store does. Batches still follow one another, so that only the moment of the
                      commit differs from the real build.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from service import cli
from service.engine.records.users import UserFeatures
from service.storage.store import SqlStore

_BEHIND_S = 0.020


def answer_before_commit() -> None:
    """Let a transaction's block end at once, and its commit come later on another thread."""
    begin: Callable[[SqlStore], AbstractContextManager[Any]] = SqlStore.begin
    features = SqlStore.features
    behind = ThreadPoolExecutor(1)
    commits: list[Future[None]] = []

    def caught_up() -> None:
        while commits:
            commits.pop().result()

    def commit(transaction: AbstractContextManager[Any]) -> None:
        time.sleep(_BEHIND_S)
        transaction.__exit__(None, None, None)

    @contextmanager
    def begin_and_commit_later(self: SqlStore) -> Iterator[Any]:
        caught_up()
        transaction = begin(self)
        opened = transaction.__enter__()
        try:
            yield opened
        except BaseException as error:
            if not transaction.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            commits.append(behind.submit(commit, transaction))

    def features_when_caught_up(self: SqlStore, keys: Iterable[str]) -> dict[str, UserFeatures]:
        caught_up()  # they are read on the connection that commits
        return features(self, keys)

    SqlStore.begin = begin_and_commit_later  # type: ignore[method-assign]
    SqlStore.features = features_when_caught_up  # type: ignore[method-assign]


REAL = "real"
DEFECTS: dict[str, Callable[[], None]] = {"answer-before-commit": answer_before_commit}


def main() -> None:
    """Become the build in the first argument, and run the `freehold` command."""
    build = sys.argv.pop(1)
    if build != REAL:
        DEFECTS[build]()
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
