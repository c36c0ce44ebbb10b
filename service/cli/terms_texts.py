"""The texts that the commands for documents of terms print: faults, differences, steps, results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.parts import instant_text
from service.domain.access import PLATFORM
from service.domain.documents import Difference, DocumentKind
from service.domain.errors import TermsDamaged, Violation

if TYPE_CHECKING:
    from service.engine.records.documents import TermsDocument
    from service.storage.terms_acts import Applied


def faults_text(where: Path | str, faults: Iterable[Violation]) -> list[str]:
    """A line for each fault: the file, the key, and what to do."""
    return [f"{where}: {it.field} {it.description} ({it.rule})" for it in faults]


def difference_lines(found: Iterable[Difference]) -> list[str]:
    """A line for each difference."""
    lines = []
    for it in found:
        if not it.before:
            lines.append(f"  + {it.path} = {it.after}")
        elif not it.after:
            lines.append(f"  - {it.path} = {it.before}")
        else:
            lines.append(f"  ~ {it.path}: {it.before} -> {it.after}")
    return lines


MOST_OUTSIDE = 50
"""The most broken bounds of other terms that a command prints."""
_SAID = {
    "DRAFTED": "kept as a draft, because it has faults",
    "VALIDATED": "kept; it has no faults, and is not in force yet",
    "ACTIVATED": "in force now",
    "RETIRED": "retired",
    "UNCHANGED": "unchanged",
}


def report(
    it: Applied, as_json: bool, *, dry_run: bool = False, where: str = "", refused: bool = False
) -> None:
    """Prints a result; `refused` says that a document with faults was not kept either."""
    document, refused = it.document, refused and bool(it.faults)
    if as_json:
        record = {
            "outcome": "REFUSED" if refused else it.outcome,
            "terms": record_of(document),
            "differences": [one._asdict() for one in it.differences],
            "faults": [one._asdict() for one in it.faults],
            "products": [one._asdict() for one in it.products],
            "outside": [one._asdict() for one in it.outside],
            "unused": [one._asdict() for one in it.unused],
        }
        click.echo(json.dumps(record))
        return
    said = _SAID[it.outcome]
    if it.outcome == "UNCHANGED" and not it.differences:
        said = f"unchanged: the same terms are {document.state.lower()}"
    if refused:
        said = "refused, because it has faults"
    head = f"{document.kind} {document.name}{_whose(document)} revision {document.revision}: {said}"
    click.echo(f"{head} (dry run: nothing was changed)" if dry_run else head)
    changed = [] if all(not one.before for one in it.differences) else it.differences
    for line in difference_lines(changed):
        click.echo(line)
    for line in faults_text(where, it.faults):
        click.echo(f"  ! {line}")
    if it.outside:
        when = "" if it.outcome == "ACTIVATED" else ", once it is in force"
        click.echo(f"  terms in force outside these bounds{when} (they stay in force):")
    for fault in it.outside[:MOST_OUTSIDE]:
        click.echo(f"    {fault.field} {fault.description} ({fault.rule})")
    if len(it.outside) > MOST_OUTSIDE:
        click.echo(f"    and {len(it.outside) - MOST_OUTSIDE} more")
    for fault in it.unused:
        click.echo(f"  note: {fault.field} {fault.description} ({fault.rule})")
    for one in it.products[:10]:
        click.echo(f"  product {one.operator_id}/{one.product_id}: revision {one.revision}")
    if len(it.products) > 10:
        click.echo(f"  and {len(it.products) - 10} more products")


def _whose(it: TermsDocument) -> str:
    """Says that a tariff or a policy is the platform's, for a command that named no operator."""
    shared = it.owner == PLATFORM and it.kind in (DocumentKind.TARIFF, DocumentKind.POLICY)
    return " of the platform" if shared else ""


def steps_of(it: TermsDocument) -> list[tuple[str, int, str, str]]:
    """The steps that a document has taken, with instant, actor and reason."""
    steps = (
        ("drafted", it.create_us, it.created_by, it.create_reason),
        ("validated", it.validate_us, it.validated_by, it.validate_reason),
        ("activated", it.activate_us, it.activated_by, it.activate_reason),
        ("retired", it.retire_us, it.retired_by, it.retire_reason),
    )
    return [(name, us, by or "", why or "") for name, us, by, why in steps if us is not None]


def last_step(it: TermsDocument) -> tuple[str, str, str]:
    _, us, by, why = steps_of(it)[-1]
    return instant_text(us), by, why


def record_of(it: TermsDocument) -> dict[str, Any]:
    """A document with its steps; a damaged one is null, so that a list shows the others."""
    from service.storage.documents import table_of

    document: Mapping[str, Any] | None = None
    with suppress(TermsDamaged):
        document = table_of(it)
    return {
        "kind": it.kind,
        "owner": it.owner,
        "name": it.name,
        "revision": it.revision,
        "state": it.state,
        "digest": it.digest,
        "document": document,
        "steps": [
            {"step": name, "time": instant_text(us), "by": by, "reason": why}
            for name, us, by, why in steps_of(it)
        ],
    }


def columns_of(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows of a table as lines with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
