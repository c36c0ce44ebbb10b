"""``python -m benchmarks NAME [--json FILE]``."""

from __future__ import annotations

import click

from benchmarks.crash import crash
from benchmarks.power import power
from benchmarks.races import races
from benchmarks.rpc import rpc
from benchmarks.terms import terms
from benchmarks.trace import trace


@click.group()
def main() -> None:
    """Measure Freehold on this machine; every benchmark takes --json FILE."""


main.add_command(rpc)
main.add_command(crash)
main.add_command(power)
main.add_command(races)
main.add_command(trace)
main.add_command(terms)

if __name__ == "__main__":
    main()
