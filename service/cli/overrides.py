"""`freehold model overrides`: decisions of persons and lists, and on people without a score."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from service.cli.keys import read_instant_us
from service.cli.parts import database_option, now_us, numbered, opened
from service.domain.currencies import decimal_of

if TYPE_CHECKING:
    from service.storage.overrides import Override

DAY_US = 86_400_000_000


@click.command("overrides")
@database_option
@click.option(
    "--since",
    metavar="INSTANT",
    help="Decisions from this time on (ISO 8601, UTC). The default is 30 days before --until.",
)
@click.option("--until", metavar="INSTANT", help="Decisions before this time. The default is now.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every decision to this file, one JSON object a line.",
)
def overrides(database: str, since: str | None, until: str | None, json_file: Path | None) -> None:
    """Tell where a person or a list decided, or the model could not.

    Counts reviews by their verdict, with its reasons and the persons or keys that gave it, orders
    that a listing denied or spared a rule, and people who could not be scored, by the reason and
    the column; each with what became of the rental, and its money. Nothing is changed."""
    from service.storage.database import reading, take_time
    from service.storage.overrides import overrides as read

    until_us = now_us() if until is None else read_instant_us(until)
    since_us = until_us - 30 * DAY_US if since is None else read_instant_us(since)
    sums = Sums()
    with ExitStack() as stack:
        file = None
        if json_file is not None:
            file = stack.enter_context(json_file.open("w", encoding="utf-8"))
        connection = stack.enter_context(reading(opened(database)))
        take_time(connection)
        for portion in read(connection, since_us, until_us):
            sums.add(portion)
            if file is not None:
                _write(file, portion)
    for line in sums.lines():
        click.echo(line)


class Sums:
    """Counts and money of overrides, by their kind and outcome, and by the reason for no score."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._parts: Counter[tuple[str, str, str]] = Counter()
        self._money: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, found: Iterable[Override]) -> None:
        """Adds overrides."""
        for it in found:
            self._counts[it.kind, it.outcome] += 1
            money = self._money[it.kind, it.outcome, it.currency]
            for place, minor in enumerate((it.captured_minor, it.due_minor, it.written_off_minor)):
                money[place] += minor
            for part in _parts_of(it):
                self._parts[it.kind, part, it.outcome] += 1

    def lines(self) -> list[str]:
        """A line for each kind with its outcomes, and one for each reason for a verdict or for no
        score, and for each person or key that gave verdicts."""
        from service.storage.overrides import Kind, Outcome

        lines = []
        for kind in Kind:
            outcomes = {str(o): self._counts[kind, o] for o in Outcome if self._counts[kind, o]}
            if not outcomes:
                continue
            lines.append(f"{kind}: {_counted(outcomes)}")
            for (of, outcome, currency), money in sorted(self._money.items()):
                if of == kind and any(money):
                    texts = [f"{decimal_of(minor, currency)}" for minor in money]
                    lines.append(
                        f"    {outcome}, {currency}: captured {texts[0]}, due {texts[1]},"
                        f" written off {texts[2]}"
                    )
            lines += self._lines_of_parts(kind)
        return lines or ["no overrides, and nobody without a score"]

    def _lines_of_parts(self, kind: str) -> list[str]:
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for (of, part, outcome), count in self._parts.items():
            if of == kind:
                found[part][outcome] = count
        ordered = sorted(found.items(), key=lambda it: (-sum(it[1].values()), it[0]))
        return [f"    {part}: {_counted(outcomes)}" for part, outcomes in ordered]


def _parts_of(it: Override) -> list[str]:
    """The reason of a verdict and the hand that gave it, or the reason for no score."""
    from service.storage.overrides import Kind

    if it.kind is Kind.UNSCORABLE:
        return [" ".join(filter(None, (it.unscorable, it.column)))]
    if it.kind in (Kind.APPROVED, Kind.DECLINED):
        return [f"reason {it.review_reason or 'not on record'}", f"by {it.by}"]
    return []


def _counted(outcomes: dict[str, int]) -> str:
    total = numbered(sum(outcomes.values()), "decision")
    return f"{total}, {', '.join(f'{n} {outcome}' for outcome, n in outcomes.items())}"


def _write(file: TextIO, portion: Iterable[Override]) -> None:
    for it in portion:
        record: dict[str, Any] = it._asdict()
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
