"""A preview as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from service.preview.report import KINDS, UNCERTAIN, Amounts, Fees, Group, Part, Preview, Range

WORDS = {
    "ZERO": "no deposit",
    "REDUCED": "part of the deposit",
    "FULL": "full deposit",
    "REVIEW": "review",
    "DECLINED": "declined",
    UNCERTAIN: "not certain",
}
ANSWERS = {
    "MILDER": "asked for less",
    "SAME": "the same",
    "STRICTER": "asked for more",
    "DECLINED": "declined",
    UNCERTAIN: "not certain",
}


def shown(preview: Preview) -> str:
    """The text of a preview, with a line break at the end."""
    return "\n".join(_lines(preview)) + "\n"


def _lines(it: Preview) -> Iterator[str]:
    whole = it.whole
    yield (
        f"{it.kind} {it.name} for {it.operator_id}, from {_instant(it.from_us)}"
        f" until {_instant(it.until_us)}"
    )
    for fault in it.faults:
        yield f"cannot come into force now: {fault.field} {fault.description}"
    if not whole.decisions:
        yield "there are no decisions in this time"
        return
    yield (
        f"{whole.decisions:,} decisions on {whole.users:,} people;"
        f" {_range(whole.changed)} would be different, for {_range(whole.users_affected)} people"
    )
    yield "every figure is exact" if whole.exact else "figures with a dash are ranges"
    yield from _part(whole)
    if len(it.products) > 1:
        for part in it.products:
            yield ""
            yield f"== {part.product_id}: {part.decisions:,} decisions"
            yield from _part(part)
    yield ""
    yield from it.notes


def _part(it: Part) -> Iterator[str]:
    yield ""
    yield "Decisions, by the answer (rows: as it was; columns: under the draft)"
    yield from table(_matrix(it))
    yield f"approved: {it.approved_before:,} before, {_range(it.approved_after)} under the draft"
    if it.cash_asked or it.held:
        yield ""
        yield from table([["Money", "", "before", "draft"], *_money(it)])
    if it.refusals:
        yield ""
        rows = [[row.reason, f"{row.before:,}", _range(row.after)] for row in it.refusals]
        yield from table([["Reasons", "before", "draft"], *rows])
    if it.happened:
        yield ""
        heads = ["Rentals that happened", "", "rentals", "fees", "damage", "unpaid", "written off"]
        yield from table([[*heads, "lost", "late"], *map(_group, it.happened)])


def _matrix(it: Part) -> list[list[str]]:
    after = [name for name in (*KINDS, UNCERTAIN) if any(name in row for row in it.offers.values())]
    rows = [["", *(WORDS[name] for name in after)]]
    for kind, row in it.offers.items():
        rows.append([WORDS[kind], *(f"{row.get(name, 0):,}" for name in after)])
    return rows


def _money(it: Part) -> Iterator[list[str]]:
    for amounts in it.cash_asked:
        yield _amounts("cash deposits asked for", amounts)
    for held in it.held:
        for name, values in (
            ("most credit held at once", [x.peak_minor for x in held[1:]]),
            ("credit held on average", [x.mean_minor for x in held[1:]]),
        ):
            after = Range(*sorted(values[1:]))
            yield _amounts(name, Amounts(held.currency, values[0], after))
    for fees in it.fees:
        yield from _fees(fees)


def _fees(it: Fees) -> Iterator[list[str]]:
    yield _amounts("fees by the tariff", Amounts(it.currency, it.before_minor, it.after_minor))
    yield ["fees charged", it.currency, money(it.charged_minor), ""]
    yield [f"{it.higher:,} of {it.rentals:,} rentals dearer, {it.lower:,} cheaper", "", "", ""]


def _amounts(name: str, it: Amounts) -> list[str]:
    least, most = it.after_minor
    after = money(least) if least == most else f"{money(least)} - {money(most)}"
    return [name, it.currency, money(it.before_minor), after]


def _group(it: Group) -> list[str]:
    amounts = (it.fee_minor, it.other_minor, it.unpaid_minor, it.written_off_minor)
    numbers = [f"{it.lost:,}", f"{it.late:,}"]
    return [ANSWERS[it.answer], it.currency, f"{it.rentals:,}", *map(money, amounts), *numbers]


def money(minor: int) -> str:
    """An amount in minor units."""
    return f"{minor:,}"


def _range(it: Range) -> str:
    return f"{it.least:,}" if it.exact else f"{it.least:,} - {it.most:,}"


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).isoformat().removesuffix("+00:00") + "Z"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with aligned columns; the first column on the left, numbers on the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
