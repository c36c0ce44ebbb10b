"""The charts of a report as SVG, drawn by Altair and vl-convert without a network or a browser.

No chart has a text of a user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

# So wide that a chart with its axis fits a telephone.
_WIDTH, _HEIGHT = 280, 220
_INK, _MUTED, _GOOD, _BAD = "#1d3557", "#8d99ae", "#2a7f62", "#b3402a"

Point = Mapping[str, Any]


def roc(curve: Sequence[Point]) -> str:
    """The share of bad people against the share of good people, above the line of chance."""
    corner = [{"good": 0.0, "bad": 0.0, "order": 0}]
    points = corner + [
        {"good": p["good"], "bad": p["bad"], "order": i} for i, p in enumerate(curve, start=1)
    ]
    return _svg([_chance("good", "bad"), _line(points, "good", "bad", _INK)],
                "Share of good people", "Share of bad people")  # fmt: skip


def gains(curve: Sequence[Point]) -> str:
    """The share of all bad people among the riskiest share of people, above the line of chance."""
    corner = [{"people": 0.0, "bad": 0.0, "order": 0}]
    points = corner + [
        {"people": p["people"], "bad": p["bad"], "order": i} for i, p in enumerate(curve, start=1)
    ]
    return _svg([_chance("people", "bad"), _line(points, "people", "bad", _INK)],
                "Riskiest share of people", "Share of all bad people")  # fmt: skip


def ks(curve: Sequence[Point]) -> str:
    """The shares of bad and of good people up to each score, and where they lie furthest apart."""
    import altair

    widest = widest_gap(curve)
    both = [
        _line(
            [{"score": p["score"], name: p[name], "order": i} for i, p in enumerate(curve)],
            "score", name, colour, (altair.Scale(zero=False), "d"),
        )
        for name, colour in (("bad", _BAD), ("good", _GOOD))
    ]  # fmt: skip
    gap = {"score": widest["score"], "low": widest["good"], "high": widest["bad"]}
    rule = (
        altair.Chart(altair.Data(values=[gap]))
        .mark_rule(color=_MUTED, strokeDash=[4, 3])
        .encode(x="score:Q", y="low:Q", y2="high:Q")
    )
    return _svg([*both, rule], "Score up to", "Share of bad and of good people")


def widest_gap(curve: Sequence[Point]) -> Point:
    """The point where the shares of bad and of good people lie furthest apart."""
    return max(curve, key=lambda p: abs(float(p["bad"]) - float(p["good"])))


def calibration(bins: Sequence[Point]) -> str:
    """The bad rate of each bin with its interval against its mean PD; on the line they agree."""
    import altair

    rows = [
        {"pd": b["pd"], "rate": b["bad_rate"], "low": b["interval"][0], "high": b["interval"][1]}
        for b in bins
    ]
    end = max(max(row["pd"], row["high"]) for row in rows)
    line = _line([{"pd": v, "rate": v, "order": v} for v in (0.0, end)], "pd", "rate", _MUTED)
    base = altair.Chart(altair.Data(values=rows))
    bars = base.mark_rule(color=_INK).encode(x="pd:Q", y="low:Q", y2="high:Q")
    dots = base.mark_circle(color=_INK, size=40, opacity=1).encode(x="pd:Q", y="rate:Q")
    return _svg([line, bars, dots], "Mean PD of the bin", "Bad rate with 95 % interval")


def two_counts(names: Sequence[str], before: Sequence[int], after: Sequence[int]) -> str:
    """The people under each name before and after, as two bars side by side."""
    import altair

    rows = [
        {"name": name, "people": count, "when": when}
        for when, counts in (("before", before), ("after", after))
        for name, count in zip(names, counts, strict=True)
    ]
    colours = altair.Scale(domain=["before", "after"], range=[_MUTED, _INK])
    bars = (
        altair.Chart(altair.Data(values=rows))
        .mark_bar()
        .encode(
            x=altair.X("name:N", sort=list(names), axis=altair.Axis(labelAngle=0)),
            y=altair.Y("people:Q", axis=altair.Axis(tickCount=5, format="~s")),
            xOffset=altair.XOffset("when:N", sort=["before", "after"]),
            color=altair.Color("when:N", scale=colours, legend=None),
        )
    )
    return _svg([bars], "Band", "People")


def _chance(x: str, y: str) -> Any:
    return _line([{x: v, y: v, "order": v} for v in (0.0, 1.0)], x, y, _MUTED)


def _line(
    points: Sequence[Point], x: str, y: str, colour: str, axis: tuple[Any, str] | None = None
) -> Any:
    import altair

    scale, form = axis or (altair.Undefined, "%")
    return (
        altair.Chart(altair.Data(values=list(points)))
        .mark_line(color=colour, strokeWidth=2)
        .encode(
            x=altair.X(f"{x}:Q", scale=scale, axis=altair.Axis(format=form, tickCount=5)),
            y=altair.Y(f"{y}:Q", axis=altair.Axis(format="%", tickCount=5)),
            order="order:Q",
        )
    )


def without_checks() -> AbstractContextManager[None]:
    """Lets Altair draw without checks against its schema, which take longer than the charts."""
    from altair.utils import schemapi

    found: AbstractContextManager[None] = schemapi.debug_mode(False)
    return found


def _svg(layers: Sequence[Any], x: str, y: str) -> str:
    import altair
    import vl_convert

    titled = [
        layer.encode(x=layer.encoding.x.copy(), y=layer.encoding.y.copy()) for layer in layers
    ]
    for layer in titled:
        layer.encoding.x.title, layer.encoding.y.title = x, y
    chart = (
        altair.layer(*titled)
        .properties(width=_WIDTH, height=_HEIGHT)
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=11, titleFontSize=11, titleFontWeight="normal")
    )
    text: str = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))
    # Inside HTML an SVG needs no name space; so the page names no address at all.
    for address in ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"):
        for attribute in (f' xmlns="{address}"', f' xmlns:xlink="{address}"'):
            text = text.replace(attribute, "")
    return text
