"""One draft or one training in this process and its workers, measured:
``python -m benchmarks.training_run draft TABLE SPEC``, ``… train SPEC OUT BUDGET``.

It prints a line of JSON: the bytes that each process had after its imports, and of a training the
CPU seconds of the whole, of LightGBM's fits and of the scorecard's. Every fit of LightGBM goes
through `lightgbm.train`, which is wrapped here, and nowhere else. What a worker's start and imports
take is not counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import lightgbm

from benchmarks import process_memory, raw_tables
from models import binned, drafting, fits, parallel, train

_S = TypeVar("_S")
_T = TypeVar("_T")
_R = TypeVar("_R")


class Clock:
    """CPU seconds inside the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def wrap(self, work: Callable[..., _R], calls: int = 1) -> Callable[..., _R]:
        """The function, with its CPU time counted, and each call as so many."""

        def counted(*arguments: Any, **keywords: Any) -> _R:
            start = time.process_time()
            try:
                return work(*arguments, **keywords)
            finally:
                self.seconds += time.process_time() - start
                self.calls += calls

        return counted


class Costs(NamedTuple):
    """The CPU seconds of some work, and of the fits in it."""

    cpu_s: float
    lightgbm: Clock
    scorecard: Clock


class _Answer(NamedTuple):
    """A task's result, its costs, and the process that did it, with its bytes after its imports."""

    result: Any
    costs: Costs
    pid: int
    imported: int


_imported: list[int] = []


def counted(state: Any, task: Any) -> _Answer:
    """`fits.work`, in a worker process, with its costs."""
    if not _imported:
        _imported.append(process_memory.own_bytes())
    fits_, cards = Clock(), Clock()
    train_, cut, fit = lightgbm.train, binned.cut, binned.fit
    lightgbm.train, binned.cut, binned.fit = fits_.wrap(train_), cards.wrap(cut, 0), cards.wrap(fit)
    start = time.process_time()
    try:
        result = fits.work(state, task)
    finally:
        lightgbm.train, binned.cut, binned.fit = train_, cut, fit
    costs = Costs(time.process_time() - start, fits_, cards)
    return _Answer(result, costs, os.getpid(), _imported[0])


class _Counter:
    """`parallel.run`, with the costs of all its workers."""

    def __init__(self) -> None:
        self.costs: list[Costs] = []
        self.imported: dict[int, int] = {os.getpid(): process_memory.own_bytes()}
        self._run = parallel.run

    def run(
        self, _: Callable[[_S, _T], _R], state: _S, tasks: Sequence[_T], jobs: int | None
    ) -> Generator[tuple[int, _R], None, None]:
        """The results of `fits.work`."""
        with closing(self._run(counted, state, tasks, jobs)) as arriving:
            for index, answer in arriving:
                self.costs.append(answer.costs)
                self.imported[answer.pid] = answer.imported
                yield index, answer.result


def main() -> None:
    """Draft or train, and print the figures."""
    kind, *words = sys.argv[1:]
    print(json.dumps(_draft(*words) if kind == "draft" else _train(*words)))


def _draft(table: str, spec: str) -> dict[str, Any]:
    imported = {os.getpid(): process_memory.own_bytes()}
    drafted = drafting.draft(Path(table), Path(spec), raw_tables.QUESTION, raw_tables.TODAY)
    Path(spec).write_text(drafted.text, encoding="utf-8")
    return {"inputs": drafted.inputs, "imported": imported}


def _train(spec: str, out: str, budget_s: str) -> dict[str, Any]:
    # The report's libraries are imported once for a process, not once for a training.
    import altair  # noqa: F401

    counter = _Counter()
    parallel.run = counter.run  # type: ignore[assignment]
    start, begun = time.process_time(), time.perf_counter()
    figures = train.train(Path(spec), Path(out), progress=False, budget_s=float(budget_s))
    costs = counter.costs
    return {
        "cpu_s": time.process_time() - start + sum(it.cpu_s for it in costs),
        "wall_s": time.perf_counter() - begun,
        "lightgbm_s": sum(it.lightgbm.seconds for it in costs),
        "lightgbm_fits": sum(it.lightgbm.calls for it in costs),
        "scorecard_s": sum(it.scorecard.seconds for it in costs),
        "scorecard_fits": sum(it.scorecard.calls for it in costs),
        "imported": counter.imported,
        "rows": figures["rows"],
        "auc": figures["model"]["auc"]["mean"],
        "chosen": figures["choice"]["chosen_in_folds"],
    }


if __name__ == "__main__":
    main()
