"""``python -m benchmarks NAME [--json FILE]``."""

from __future__ import annotations

import click

from benchmarks.rpc import rpc


@click.group()
def main() -> None:
    """Measure Freehold on this machine; every benchmark takes --json FILE."""


main.add_command(rpc)

if __name__ == "__main__":
    main()
