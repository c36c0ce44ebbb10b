"""A preview as a picture: SVG, without a library.

Three drawings: the answers before and under the draft, the credit held over time, and amounts. A
narrow picture has them below each other. Words are beside all colours, so that nobody needs to tell
the colours apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from xml.sax.saxutils import escape

from service.preview.report import KINDS, UNCERTAIN, Held, Part, Preview, Range
from service.preview.text import WORDS

LEAST_WIDTH, WIDE = 360, 760
"""The narrowest picture, and the width from which two drawings stand beside each other, in
pixels."""
MARGIN, GAP = 24, 32
COLOURS = {
    "ZERO": "#1f6fb2",
    "REDUCED": "#7db4dc",
    "FULL": "#efa33a",
    "REVIEW": "#8869ae",
    "DECLINED": "#b33c32",
    UNCERTAIN: "url(#unsure)",
}
DARK_FILLS = frozenset({"ZERO", "REVIEW", "DECLINED"})
INK, PALE, GRID, BEFORE, AFTER = "#1d2733", "#5b6773", "#d9dee3", "#6b7680", "#1f6fb2"
LETTER = 0.54
"""The width of a letter, on the safe side, as a part of the height of the font."""
HATCHING = (
    '<defs><pattern id="unsure" width="6" height="6" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><rect width="6" height="6" fill="#eef0f2"/>'
    '<rect width="2" height="6" fill="#9aa4ad"/></pattern></defs>'
)


class Box(NamedTuple):
    """A place on the picture, in pixels: its upper left corner and its width."""

    x: float
    y: float
    width: float


class Drawn(NamedTuple):
    """The elements of a drawing, and its height in pixels."""

    elements: list[str]
    height: float


def svg(preview: Preview, width: int = 960) -> str:
    """The picture of a preview, `width` pixels wide and at least `LEAST_WIDTH`."""
    width = max(LEAST_WIDTH, width)
    inner = width - 2 * MARGIN
    head = _head(preview, Box(MARGIN, MARGIN, inner))
    y = MARGIN + head.height + GAP / 2
    answers = _answers(preview.whole, Box(MARGIN, y, inner))
    y += answers.height + GAP
    beside = inner if width < WIDE else (inner - GAP) / 2
    elements = [*head.elements, *answers.elements]
    lower = y
    for number, held in enumerate(preview.whole.held):
        left = _credit(preview, held, Box(MARGIN, y, beside))
        elements += left.elements
        lower = max(lower, y + left.height)
        if number == 0 and width >= WIDE:
            right = _amounts(preview.whole, Box(MARGIN + beside + GAP, y, beside))
            elements += right.elements
            lower = max(lower, y + right.height)
        y += left.height + GAP
    if width < WIDE or not preview.whole.held:
        last = _amounts(preview.whole, Box(MARGIN, y, inner))
        elements += last.elements
        lower = max(lower, y + last.height)
    height = lower + MARGIN
    title = escape(f"Preview of {preview.kind} {preview.name}")
    size = f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}"'
    font = 'font-family="system-ui, sans-serif" font-size="13"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {font}>',
            f"<title>{title}</title>",
            HATCHING,
            f'<rect width="{width}" height="{height:.0f}" fill="#ffffff"/>',
            *elements,
            "</svg>",
            "",
        ]
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    anchor: str = "start",
    size: int = 13,
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"'
        f' font-size="{size}"{weight}>{escape(text)}</text>'
    )


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{fill}"/>'


def _line(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'


def _wrapped(text: str, width: float, size: int = 13) -> list[str]:
    """The lines of a text, by its words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) * LETTER * size > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _head(it: Preview, box: Box) -> Drawn:
    whole = it.whole
    days = f"{_day(it.from_us)} to {_day(it.until_us)}"
    told = (
        f"{it.operator_id}, {days}: {whole.decisions:,} decisions on {whole.users:,} people;"
        f" {shown_range(whole.changed)} would be different."
    )
    elements, y = list[str](), box.y - 4
    for line in _wrapped(f"{it.kind} {it.name}: before and under the draft", box.width, 19):
        y += 21
        elements.append(_text(box.x, y, line, size=17, bold=True))
    for line in _wrapped(told, box.width):
        y += 19
        elements.append(_text(box.x, y, line, colour=PALE))
    return Drawn(elements, y - box.y)


def _answers(part: Part, box: Box) -> Drawn:
    """Two bars of the decisions by their answer, and the words of the colours."""
    before = {kind: sum(row.values()) for kind, row in part.offers.items()}
    after = {
        name: sum(row.get(name, 0) for row in part.offers.values()) for name in (*KINDS, UNCERTAIN)
    }
    total = max(1, part.decisions)
    label = 58.0
    y = box.y + 14
    elements = [_text(box.x, y, "Answers", bold=True)]
    y += 12
    for name, counts in (("before", before), ("draft", after)):
        elements.append(_text(box.x, y + 21, name, colour=PALE))
        x = box.x + label
        for kind in (*KINDS, UNCERTAIN):
            count = counts.get(kind, 0)
            width = (box.width - label) * count / total
            if not count:
                continue
            elements.append(_rect(x, y, max(1.0, width - 1), 32, COLOURS[kind]))
            number = f"{count:,}"
            if len(number) * 8 + 8 < width:
                colour = "#ffffff" if kind in DARK_FILLS else INK
                elements.append(
                    _text(x + width / 2, y + 21, number, colour=colour, anchor="middle")
                )
            x += width
        y += 40
    legend = list(_legend(before, after, Box(box.x + label, y + 6, box.width - label)))
    elements += [element for _, element in legend]
    return Drawn(elements, max([y, *(low for low, _ in legend)]) - box.y)


def _legend(before: dict[str, int], after: dict[str, int], box: Box) -> Iterator[tuple[float, str]]:
    """The words of the colours that are used, with both numbers; each with its lower edge."""
    x, y = box.x, box.y
    for kind in (*KINDS, UNCERTAIN):
        counts = before.get(kind, 0), after.get(kind, 0)
        if not any(counts):
            continue
        words = f"{WORDS[kind]} {counts[0]:,} → {counts[1]:,}"
        width = 22 + len(words) * LETTER * 13
        if x + width > box.x + box.width and x > box.x:
            x, y = box.x, y + 20
        yield y + 14, _rect(x, y, 12, 12, COLOURS[kind])
        yield y + 14, _text(x + 18, y + 11, words)
        x += width + 14


def _credit(it: Preview, held: Held, box: Box) -> Drawn:
    """The credit held over time: a line before, and a band under the draft."""
    top, height, left = box.y + 48, 150.0, 74.0
    most = max(1, *held.before.points, *held.most.points)
    scale = nice(most)

    def points(values: Sequence[int]) -> list[tuple[float, float]]:
        step = (box.width - left) / max(1, len(values) - 1)
        return [
            (box.x + left + place * step, top + height * (1 - value / scale))
            for place, value in enumerate(values)
        ]

    elements = [
        _text(box.x, box.y + 14, f"Credit held, {held.currency}, minor units", bold=True),
        _line([(box.x, box.y + 30), (box.x + 14, box.y + 30)], BEFORE, dashed=True),
        _text(box.x + 20, box.y + 34, "before", colour=PALE),
        _rect(box.x + 80, box.y + 24, 14, 10, "#1f6fb255"),
        _text(box.x + 100, box.y + 34, "draft, least to most", colour=PALE),
    ]
    for part in range(3):
        y = top + height * part / 2
        elements.append(_line([(box.x + left, y), (box.x + box.width, y)], GRID))
        elements.append(
            _text(box.x + left - 8, y + 4, f"{scale * (2 - part) // 2:,}", colour=PALE,
                  anchor="end", size=11)
        )  # fmt: skip
    band = [*points(held.most.points), *reversed(points(held.least.points))]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in band)
    elements.append(f'<polygon points="{path}" fill="#1f6fb2" fill-opacity="0.25"/>')
    elements.append(_line(points(held.least.points), AFTER))
    if held.most.points != held.least.points:
        elements.append(_line(points(held.most.points), AFTER))
    elements.append(_line(points(held.before.points), BEFORE, dashed=True))
    y = top + height + 18
    elements.append(_text(box.x + left, y, _day(it.from_us), colour=PALE, size=11))
    elements.append(
        _text(box.x + box.width, y, _day(it.until_us), colour=PALE, anchor="end", size=11)
    )
    return Drawn(elements, y - box.y)


def nice(most: int) -> int:
    """A round even number that is at least `most`."""
    power = int("1" + "0" * (len(str(most)) - 1))
    tenths = (it * power for it in (10, 12, 14, 16, 20, 24, 30, 40, 50, 60, 80, 100))
    return next(it // 10 for it in tenths if it % 20 == 0 and it >= 10 * most)


def _amounts(part: Part, box: Box) -> Drawn:
    """Bars of amounts before and under the draft; a hatched part is possible."""
    rows = [
        (f"Cash deposits asked for, {it.currency}", it.before_minor, it.after_minor)
        for it in part.cash_asked
    ]
    rows += [
        (f"Fees by the tariff, {it.currency}", it.before_minor, it.after_minor) for it in part.fees
    ]
    elements, y, label = list[str](), box.y, 58.0
    for title, before, after in rows:
        y += 14
        elements.append(_text(box.x, y, f"{title}, minor units", bold=True))
        most = max(1, before, after.most)
        room = box.width - label
        for name, least, end, fill in (
            ("before", before, before, BEFORE),
            ("draft", after.least, after.most, AFTER),
        ):
            y += 10
            elements.append(_text(box.x, y + 15, name, colour=PALE))
            elements.append(_rect(box.x + label, y, room * least / most, 20, fill))
            x = box.x + label + room * least / most
            elements.append(_rect(x, y, room * (end - least) / most, 20, COLOURS[UNCERTAIN]))
            y += 33
            elements.append(
                _text(box.x + label, y, shown_range(Range(least, end)), size=12, colour=PALE)
            )
        y += 16
    return Drawn(elements, max(0.0, y - 16 - box.y))


def shown_range(it: Range) -> str:
    """A range, or its only value."""
    return f"{it.least:,}" if it.exact else f"{it.least:,} to {it.most:,}"


def _day(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).date().isoformat()
