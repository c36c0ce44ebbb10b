"""``python -m benchmarks scoring``: the time of a score and of its reasons, against LightGBM's own.

All ways compute from the same rows of the model's columns, one row at a time or 64 together, and
no row twice in a row: the time of a tree depends on whether the processor guesses its way. `tables`
is what the server does. Its rivals are `Booster.predict` as it comes, whose threads wait for each
other in loops, and with one thread, which is the fair one and gives the ratio of the file;
LightGBM's C call for single rows, by ctypes, without anything of Python around it; and
`pred_contrib` for the reasons. "whole" is a score from the bytes of raw values: checks, derived
columns, margin, score, and with reasons if it says so.

All ways take turns in each round, with a rest between them, because LightGBM's threads wait in
loops for some milliseconds after a call. After the rest a way makes some untimed calls, for which
the processor's caches are cold. Times are CPU times of the whole process, LightGBM's
threads included, in µs a row. Beside each way of a margin stands the number of rows in which it has
the bits of `Booster.predict`, and beside the reasons their greatest difference from `pred_contrib`.
"""

from __future__ import annotations

import ctypes
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import lightgbm
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import (
    BenchmarkError,
    Quartiles,
    commit,
    document,
    in_turn,
    machine,
    quartiles,
    ratios,
    write_json,
)
from benchmarks.options import FOLDER, json_option, model_option
from benchmarks.prepared import trained
from models import reading, spec, tables
from models.explain import Explainer, TreeShap
from models.scorer import ModelScorer, Scored
from models.scratch import Memory

Floats = NDArray[np.float64]

TOGETHER = 64
_ROOT = Path(__file__).resolve().parent.parent
_SPEC = _ROOT / "models" / "data" / "taiwan.toml"
_HIGHEST = 1_000
"""Above every score, so that every row gets reasons."""
_ONE_THREAD = "Booster.predict, one thread"
_REST_S = 0.03
_UNTIMED = 4
_RAW_SCORE = 1
_FLOAT64 = 1


class OneRow:
    """LightGBM's C call for single rows, prepared once for one width."""

    def __init__(self, booster: lightgbm.Booster, width: int) -> None:
        # Of all callers of the library, PyDLL is the cheapest: it keeps the interpreter's lock.
        basic: Any = lightgbm.basic
        library: Any = ctypes.PyDLL(basic._LIB._name)
        self._library, self._handle = library, ctypes.c_void_p()
        failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(_RAW_SCORE),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(width),
            b"num_threads=1",
            ctypes.byref(self._handle),
        )
        if failed:
            raise BenchmarkError("LightGBM does not prepare its call for single rows")
        self._call = library.LGBM_BoosterPredictForMatSingleRowFast
        self._call.argtypes = [ctypes.c_void_p] * 4
        self._length = ctypes.c_int64()

    def margins(self, derived: Floats) -> Floats:
        """(n, width) contiguous values to (n,) margins, one call for each row."""
        found = np.empty(derived.shape[0])
        call, handle, length = self._call, self._handle, ctypes.addressof(self._length)
        row, stride, out = derived.ctypes.data, derived.strides[0], found.ctypes.data
        for _ in range(derived.shape[0]):
            call(handle, row, length, out)
            row += stride
            out += 8
        return found

    def close(self) -> None:
        """Frees the prepared call."""
        self._library.LGBM_FastConfigFree(self._handle)


@dataclass(frozen=True)
class Ways:
    """The ways to compute the same, by name: functions of a part of the rows. `size` is the number
    of rows of each call."""

    size: int
    of: dict[str, Callable[[slice], object]]


@dataclass(frozen=True)
class Rows:
    """The same rows in both forms: bytes of raw values, and the model's columns."""

    raw: list[bytes]
    derived: Floats


class Bench:
    """One model with all ways to score by it."""

    def __init__(self, scorer: ModelScorer, rows: Rows) -> None:
        self._scorer, self._rows = scorer, rows
        verified = scorer.manifest
        self.booster = lightgbm.Booster(model_str=verified.model_text)
        trees = tables.parse(verified.model_text)
        if not tables.hold(trees):
            raise BenchmarkError("the model's trees are too deep for tables")
        groups = [column.reason_group for column in verified.derived]
        memory = Memory()
        self._patterns, self._tables = tables.Patterns(trees, memory), tables.Margins(trees, memory)
        self._explainer = Explainer(trees, groups, memory)
        self._tree_shap = TreeShap(self.booster, groups)
        self.one_row = OneRow(self.booster, rows.derived.shape[1])

    def margins(self, part: slice) -> Floats:
        """Margins by the tables."""
        derived = self._rows.derived[part]
        return self._tables.margin(self._patterns.index(derived))[: derived.shape[0]]

    def predicted(self, part: slice, **words: Any) -> Floats:
        """Margins by `Booster.predict`."""
        found = self.booster.predict(self._rows.derived[part], raw_score=True, **words)
        return np.asarray(found, dtype=np.float64)

    def reasons(self, part: slice) -> Floats:
        """Contributions of the reason groups by the tables, the index included."""
        derived = self._rows.derived[part]
        return self._explainer.contributions(self._patterns.index(derived))[: derived.shape[0]]

    def contributions(self, part: slice) -> Floats:
        """Contributions of the reason groups by `pred_contrib`."""
        return self._tree_shap.contributions(self._rows.derived[part])

    def ways(self, size: int) -> Ways:
        """All ways, for calls of so many rows."""
        raw, derived, scorer = self._rows.raw, self._rows.derived, self._scorer
        return Ways(
            size,
            {
                "tables": self.margins,
                "Booster.predict": self.predicted,
                _ONE_THREAD: lambda part: self.predicted(part, num_threads=1),
                "C call for single rows": lambda part: self.one_row.margins(derived[part]),
                "reasons, tables": self.reasons,
                "reasons, pred_contrib": self.contributions,
                "whole, tables": lambda part: scorer.score(raw[part]),
                "whole with reasons, tables": lambda part: scorer.score_with_reasons(
                    raw[part], _HIGHEST
                ),
            },
        )


def rows_of(scorer: ModelScorer, count: int, seed: int) -> Rows:
    """So many rows of the model's data that can be scored, in shuffled order."""
    values = reading.load(spec.load(_SPEC)).raw
    order = np.random.default_rng(seed).permutation(values.shape[0])
    raw, scored = [values[i].tobytes() for i in order[: 2 * count]], []
    for row, result in zip(raw, scorer.score(raw), strict=True):
        if isinstance(result, Scored) and not result.extrapolated:
            scored.append(row)
    if len(scored) < count:
        raise BenchmarkError("too few rows of the data can be scored")
    kept = np.frombuffer(b"".join(scored[:count]), dtype="<f8").reshape(count, -1)
    return Rows(scored[:count], np.ascontiguousarray(scorer.manifest.preparation()(kept)))


def measure(ways: Ways, rows: int, rounds: int) -> dict[str, list[float]]:
    """CPU µs a row of each way in each round, in calls over all rows, after some untimed calls."""
    parts = [slice(first, first + ways.size) for first in range(0, rows, ways.size)]
    taken: dict[str, list[float]] = defaultdict(list)
    for way in ways.of.values():
        way(parts[0])
    for _, order in in_turn(list(ways.of), rounds):
        for name in order:
            way = ways.of[name]
            # Until then, threads of the way before may wait in loops.
            time.sleep(_REST_S)
            # `pred_contrib` takes a hundred times as long as the others.
            mine = parts[: max(1, len(parts) // 16)] if "contrib" in name else parts
            # After the rest the processor's caches hold nothing of this way.
            for part in mine[:_UNTIMED]:
                way(part)
            began_s = time.process_time()
            for part in mine:
                way(part)
            took_s = time.process_time() - began_s
            taken[name].append(took_s * 1e6 / (len(mine) * ways.size))
    return taken


@dataclass(frozen=True)
class Exactness:
    """The number of rows, and of those in which a way has the bits of `Booster.predict`; and the
    greatest difference of the reasons' log-odds."""

    rows: int
    equal: dict[str, int]
    reasons_differ_by: float


def exactness(bench: Bench, rows: int) -> Exactness:
    """Compares all ways on all rows."""
    whole = slice(0, rows)
    expected = bench.predicted(whole, num_threads=1)
    found = {
        "tables, 64 rows": np.concatenate(
            [bench.margins(slice(at, at + TOGETHER)) for at in range(0, rows, TOGETHER)]
        ),
        "tables, one row": np.concatenate([bench.margins(slice(i, i + 1)) for i in range(rows)]),
        "C call for single rows": bench.one_row.margins(bench._rows.derived),
    }
    few = slice(0, min(rows, 256))
    apart = np.abs(bench.reasons(few) - bench.contributions(few)).max()
    bits = expected.view(np.uint64)
    equal = {name: int((it.view(np.uint64) == bits).sum()) for name, it in found.items()}
    return Exactness(rows, equal, float(apart))


AIMS = {
    "one row, tables / Booster.predict, one thread": (1, "tables", _ONE_THREAD, 0.15),
    "one row, tables / Booster.predict": (1, "tables", "Booster.predict", 0.15),
    "one row, tables / C call": (1, "tables", "C call for single rows", None),
    "64 rows, tables / Booster.predict, one thread": (64, "tables", _ONE_THREAD, None),
    "64 rows, reasons / pred_contrib": (64, "reasons, tables", "reasons, pred_contrib", 1 / 40),
    "one row, reasons / pred_contrib": (1, "reasons, tables", "reasons, pred_contrib", None),
}
"""The published ratios: the size of the calls, both ways, and the aim if there is one."""
_HEADLINE = f"one row, tables / {_ONE_THREAD}"


def _ratios(taken: dict[int, dict[str, list[float]]]) -> dict[str, Quartiles]:
    return {
        name: quartiles(ratios(taken[size][ours], taken[size][theirs]))
        for name, (size, ours, theirs, _) in AIMS.items()
    }


@click.command()
@click.option("--rounds", default=20, show_default=True, type=click.IntRange(1))
@click.option("--rows", default=1024, show_default=True, type=click.IntRange(TOGETHER, 8192))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@model_option()
@json_option()
def scoring(rounds: int, rows: int, seed: int, model: Path | None, json_file: Path | None) -> None:
    """Time of a score and of its reasons, against LightGBM's own."""
    rows -= rows % TOGETHER
    FOLDER.mkdir(exist_ok=True)
    described, head = machine(FOLDER), commit()
    try:
        scorer = ModelScorer.load(model or trained(FOLDER / "model"))
        bench = Bench(scorer, rows_of(scorer, rows, seed))
        taken = {size: measure(bench.ways(size), rows, rounds) for size in (1, TOGETHER)}
        same = exactness(bench, rows)
        bench.one_row.close()
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    over = _ratios(taken)
    _show(taken, over, same)
    if json_file is not None:
        content = document(
            name="scoring",
            ratio=over[_HEADLINE].median,
            rounds=rounds,
            seed=seed,
            machine=described,
            commit=head,
            figures={
                "rows": rows,
                "us_a_row": {
                    str(size): {name: asdict(quartiles(it)) for name, it in ways.items()}
                    for size, ways in taken.items()
                },
                "ratios": {name: {**asdict(it), "aim": AIMS[name][3]} for name, it in over.items()},
                "exactness": asdict(same),
            },
        )
        write_json(json_file, content)


def _show(
    taken: dict[int, dict[str, list[float]]], over: dict[str, Quartiles], same: Exactness
) -> None:
    table = Table("CPU µs a row", *(f"{size} a call" for size in taken))
    names: Sequence[str] = list(taken[1])
    for name in names:
        table.add_row(name, *(f"{median(ways[name]):.2f}" for ways in taken.values()))
    console = Console()
    console.print(table)
    for name, it in over.items():
        aim = AIMS[name][3]
        asked = "" if aim is None else f", aim {aim:.3f}"
        console.print(f"{name}: {it.median:.3f} ({it.lower:.3f} to {it.upper:.3f}){asked}")
    for name, number in same.equal.items():
        console.print(f"{name}: {number} of {same.rows} rows have the bits of Booster.predict")
    console.print(f"reasons differ from pred_contrib by at most {same.reasons_differ_by:.1e}")
