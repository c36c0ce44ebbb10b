"""Train the model, play one day of a city's rentals over gRPC, and verify the books."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click
from freehold.client import FreeholdError
from rich.console import Console

from models.errors import ModelError
from service.demo.population import SeenInTraining
from service.demo.run import SPEC, DemoFailed, Options, run
from service.demo.server import ServerFailed, interrupt

_EXISTING_DIR = click.Path(exists=True, file_okay=False, path_type=Path)
_INTERRUPTED = 130
_MIN_RENTALS = 20_000
_PLAIN_WIDTH = 120


@click.command(help=__doc__)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".freehold/demo"),
    show_default=True,
    help="Folder for model, database, log and report.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--rentals",
    type=click.IntRange(min=1, max=999_999),
    default=_MIN_RENTALS,
    show_default=True,
    help="Rentals of the day. With far fewer, some end states stay empty.",
)
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=None,
    help="Number of people. The default is all 6,000 of the hold-out.",
)
@click.option(
    "--model", type=_EXISTING_DIR, default=None, help="Reuse a trained model instead of training."
)
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=SPEC,
    show_default="the shipped data",
    help="TOML file that describes the data and the model to train.",
)
def main(
    out: Path, seed: int, rentals: int, people: int | None, model: Path | None, spec: Path
) -> None:
    """Run the demo; the exit code is 0 only if the books verify and nothing differs."""
    # A shell starts background jobs with SIGINT ignored; the demo must stop there too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    options = Options(out=out, seed=seed, rentals=rentals, people=people, model=model, spec=spec)
    try:
        run(options, console)
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
        sys.exit(_INTERRUPTED)
    except (DemoFailed, ServerFailed, SeenInTraining, ModelError, FreeholdError, ValueError) as e:
        notes = "".join(f" ({note})" for note in getattr(e, "__notes__", ()))
        raise click.ClickException(f"{e}{notes}") from e
    except ExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, FreeholdError):
            raise
        notes = "".join(f" ({note})" for note in getattr(first, "__notes__", ()))
        raise click.ClickException(
            f"a call failed: {first}{notes}; see {out}/server.log"
        ) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


if __name__ == "__main__":
    main()
