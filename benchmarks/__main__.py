"""``python -m benchmarks NAME [--json FILE]``."""

from __future__ import annotations

import click

from benchmarks.attacks.command import attacks
from benchmarks.batch import batch
from benchmarks.budget import budget
from benchmarks.crash import crash
from benchmarks.latency import latency
from benchmarks.overload import overload
from benchmarks.power import power
from benchmarks.preview import previews
from benchmarks.races import races
from benchmarks.restarts import restarts
from benchmarks.rivals import rivals
from benchmarks.rpc import rpc
from benchmarks.scoring import scoring
from benchmarks.soak import soak
from benchmarks.tables import tables
from benchmarks.terms import terms
from benchmarks.trace import trace
from benchmarks.training import training
from benchmarks.verify import verify


@click.group()
def main() -> None:
    """Measure Freehold on this machine; every benchmark takes --json FILE."""


main.add_command(rpc)
main.add_command(attacks)
main.add_command(batch)
main.add_command(budget)
main.add_command(crash)
main.add_command(latency)
main.add_command(overload)
main.add_command(power)
main.add_command(previews, "preview")
main.add_command(races)
main.add_command(restarts)
main.add_command(rivals)
main.add_command(trace)
main.add_command(scoring)
main.add_command(soak)
main.add_command(tables)
main.add_command(terms)
main.add_command(training)
main.add_command(verify)

if __name__ == "__main__":
    main()
