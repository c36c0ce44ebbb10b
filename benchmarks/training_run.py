"""One draft or one training in this process, measured:
``python -m benchmarks.training_run draft TABLE SPEC``, ``… train SPEC OUT BUDGET``.

It prints a line of JSON: the peak of the process's memory, and of a training the CPU seconds of the
whole, of LightGBM's fits and of the scorecard's. Every fit of LightGBM goes through
`lightgbm.train`, which is wrapped here, and nowhere else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import lightgbm

from benchmarks import raw_tables
from models import binned, drafting, parallel, train

_R = TypeVar("_R")


class Clock:
    """CPU seconds inside the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def wrap(self, work: Callable[..., _R]) -> Callable[..., _R]:
        """The function, with its CPU time counted."""

        def counted(*arguments: Any, **keywords: Any) -> _R:
            start = time.process_time()
            try:
                return work(*arguments, **keywords)
            finally:
                self.seconds += time.process_time() - start
                self.calls += 1

        return counted


def _here(
    work: Callable[[Any, Any], _R], state: Any, tasks: Sequence[Any], jobs: int | None
) -> Generator[tuple[int, _R], None, None]:
    """`parallel.run` without further processes."""
    for index, task in enumerate(tasks):
        yield index, work(state, task)


def peak_bytes() -> int:
    """The most memory that this process has had, in bytes.

    Not by `getrusage`: its peak also counts the parent's memory at the time of the fork.
    """
    status = Path("/proc/self/status").read_text("utf-8")
    (line,) = [it for it in status.splitlines() if it.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def main() -> None:
    """Draft or train, and print the figures."""
    kind, *words = sys.argv[1:]
    print(json.dumps(_draft(*words) if kind == "draft" else _train(*words)))


def _draft(table: str, spec: str) -> dict[str, Any]:
    before = peak_bytes()
    drafted = drafting.draft(Path(table), Path(spec), raw_tables.QUESTION, raw_tables.TODAY)
    Path(spec).write_text(drafted.text, encoding="utf-8")
    return {
        "inputs": drafted.inputs, "imported_bytes": before, "peak_bytes": peak_bytes(),
    }  # fmt: skip


def _train(spec: str, out: str, budget_s: str) -> dict[str, Any]:
    # The report's libraries are imported once for a process, not once for a training.
    import altair  # noqa: F401

    fits, cards = Clock(), Clock()
    lightgbm.train = fits.wrap(lightgbm.train)
    binned.fit = cards.wrap(binned.fit)
    parallel.run = _here
    before = peak_bytes()
    start, begun = time.process_time(), time.perf_counter()
    figures = train.train(Path(spec), Path(out), progress=False, jobs=1, budget_s=float(budget_s))
    return {
        "cpu_s": time.process_time() - start,
        "wall_s": time.perf_counter() - begun,
        "lightgbm_s": fits.seconds,
        "lightgbm_fits": fits.calls,
        "scorecard_s": cards.seconds,
        "scorecard_fits": cards.calls,
        "imported_bytes": before,
        "peak_bytes": peak_bytes(),
        "rows": figures["rows"],
        "auc": figures["model"]["auc"]["mean"],
        "chosen": figures["choice"]["chosen_in_folds"],
    }


if __name__ == "__main__":
    main()
