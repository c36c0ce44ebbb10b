"""``python -m benchmarks training``: the cost of a training beside the cost of its fits.

Each made-up raw table (see `benchmarks.raw_tables`) is drafted, then trained by the default recipe
in processes of their own. The ratio is the CPU time of everything but the fits over
that of the fits: reading, encoding, scoring, figures, drift, and the report. The aim is at most
0.3. `ratio` takes scorecards as fits; `ratio_to_lightgbm` counts them to the rest.

The data's memory is that of the table's inputs as numbers, the least that a training can hold:
rows times input columns times 8 bytes. `memory_of_matrix` is the peak of all processes of the
training as a multiple of it, with the usual number of workers (see `benchmarks.process_memory`);
`draft_of_matrix` is the same of drafting the spec. The aim is at most 4 for both from 200,000 rows
on, and below at most 4 and 64 MiB, which the report's drawing takes of any table.
`memory_of_columns` and `draft_of_columns` are multiples of all columns of the file as numbers,
which a draft reads.

`--rows 1000000 --columns 25` trains one table of that size instead.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks import process_memory, raw_tables
from benchmarks.harness import BenchmarkError, commit, document, machine, write_json
from benchmarks.options import json_option
from models import budget

AIM = 0.3
MEMORY_AIM = 4.0
FIXED_BYTES = 64 * 2**20
_LARGE = 200_000
USUAL = ("small-crossed", "large-crossed")


@click.command()
@click.option("--rows", type=click.IntRange(300), help="One table of so many rows instead.")
@click.option(
    "--columns",
    type=click.IntRange(raw_tables.MEANINGFUL),
    default=25,
    show_default=True,
    help="Columns of that table.",
)
@click.option("--seed", default=1, show_default=True)
@click.option("--budget-s", default=float(budget.USUAL_S), show_default=True)
@json_option()
def training(
    rows: int | None, columns: int, seed: int, budget_s: float, json_file: Path | None
) -> None:
    """Measure how much of a training's CPU time and memory is not its fits'."""
    kinds = [k for k in raw_tables.SERIES if k.name in USUAL]
    if rows is not None:
        noise = columns - raw_tables.MEANINGFUL
        kinds = [kinds[-1]._replace(name=f"{rows}x{columns}", rows=rows, noise=noise)]
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here, head = machine(folder), commit()
        for kind in kinds:
            found.append(_measured(kind, seed, budget_s, folder))
            click.echo(_line(found[-1]))
    worst = max(it["ratio"] for it in found)
    if json_file is not None:
        facts = document(
            name="training", ratio=worst, rounds=1, seed=seed, machine=here, commit=head,
            figures={"budget_s": budget_s, "aim": AIM, "tables": found},
        )  # fmt: skip
        write_json(json_file, facts)
    if worst > AIM:
        raise click.ClickException(f"everything but the fits takes {worst:.2f} of their CPU time")
    for it in found:
        fixed = 0 if it["rows"] >= _LARGE else FIXED_BYTES
        used = max(it["used_bytes"], it["draft_used_bytes"])
        most = (used - fixed) / it["matrix_bytes"]
        if most > MEMORY_AIM:
            beside = f", beside {fixed >> 20} MiB" if fixed else ""
            raise click.ClickException(
                f"{it['table']} takes {most:.2f} times its memory as numbers{beside}"
            )


def _measured(kind: raw_tables.Kind, seed: int, budget_s: float, folder: Path) -> dict[str, Any]:
    """One table, written and trained."""
    path, spec_path = folder / f"{kind.name}.csv", folder / f"{kind.name}.toml"
    raw_tables.write(kind, seed, path)
    drafted = _run(folder, "draft", str(path), str(spec_path))
    run = _run(folder, "train", str(spec_path), str(folder / f"{kind.name}-model"), str(budget_s))
    fits = run["lightgbm_s"] + run["scorecard_s"]
    matrix = run["rows"] * drafted["inputs"] * 8
    every = run["rows"] * (raw_tables.MEANINGFUL + kind.noise + 1) * 8
    return {
        "table": kind.name,
        "columns": drafted["inputs"],
        "file_bytes": path.stat().st_size,
        "matrix_bytes": matrix,
        **run,
        "ratio": (run["cpu_s"] - fits) / fits,
        "ratio_to_lightgbm": (run["cpu_s"] - run["lightgbm_s"]) / run["lightgbm_s"],
        "memory_of_file": run["used_bytes"] / path.stat().st_size,
        "memory_of_matrix": run["used_bytes"] / matrix,
        "memory_of_columns": run["used_bytes"] / every,
        "draft_used_bytes": drafted["used_bytes"],
        "draft_of_matrix": drafted["used_bytes"] / matrix,
        "draft_of_columns": drafted["used_bytes"] / every,
    }


def _run(folder: Path, *words: str) -> dict[str, Any]:
    """The figures of a process of its own, with its memory and that of its workers."""
    command = [sys.executable, "-m", "benchmarks.training_run", *words]
    done = process_memory.run(command, folder)
    if done.returncode:
        raise BenchmarkError(done.stderr.strip())
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    imported = {int(pid): size for pid, size in figures.pop("imported").items()}
    used, peak = done.peak(imported)
    return {**figures, "used_bytes": used, "peak_bytes": peak}


def _line(it: dict[str, Any]) -> str:
    return (
        f"{it['table']}: {it['rows']:,} rows, {it['columns']} columns: {it['cpu_s']:.1f} s CPU, "
        f"LightGBM {it['lightgbm_s']:.1f} s in {it['lightgbm_fits']} fits, scorecards "
        f"{it['scorecard_s']:.1f} s in {it['scorecard_fits']}; the rest is {it['ratio']:.2f} of "
        f"all fits; {it['peak_bytes'] / 2**20:,.0f} MiB, beyond the imports "
        f"{it['memory_of_matrix']:.1f} times the table as numbers, {it['draft_of_matrix']:.1f} "
        "times for its draft"
    )
