"""Pages that load nothing from elsewhere and run no script, for a telephone and for a desk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 72rem; margin: 0 auto; padding: 0 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .2rem; border-top: 1px solid #d5d9e0; padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; overflow-wrap: anywhere; }
p, li { max-width: 44rem; overflow-wrap: anywhere; }
.about, figcaption, caption { color: #545d69; font-size: .9rem; text-align: left; }
.warning { border-left: 4px solid #b3402a; background: #fbeeea; padding: .4rem .8rem; }
.verdict { border-left: 4px solid #1d3557; background: #eef2f7; padding: .4rem .8rem; }
.blocked { color: #b3402a; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0;
  font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e7ec;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 8rem;
  max-width: 24rem; overflow-wrap: break-word; }
.bar { display: block; height: .7rem; background: #1d3557; min-width: 1px; }
td.chart { width: 12rem; min-width: 6rem; }
th { vertical-align: bottom; }
figure { margin: .8rem 0; max-width: 24rem; }
svg { max-width: 100%; height: auto; }
.pair { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
@media (max-width: 40rem) {
  h1 { font-size: 1.25rem; }
  table { font-size: .8rem; }
  th, td { padding: .25rem .35rem; }
  th { white-space: normal; }
  th:first-child, td:first-child { min-width: 4.5rem; position: sticky; left: 0;
    background: #fff; }
  td.chart { min-width: 3rem; }
}
.whole { white-space: nowrap; }
.id { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
"""


def page(title: str, head: str, sections: Iterable[str]) -> str:
    """A whole page: the title, a text of HTML below it, and the sections."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{head}{''.join(sections)}</body>\n</html>\n"
    )


def section(name: str, title: str, about: str, *parts: str) -> str:
    """A section with a title, a line about it, which is escaped here, and its parts of HTML."""
    note = f'<p class="about">{escape(about)}</p>\n' if about else ""
    return f'<section id="{name}">\n<h2>{title}</h2>\n{note}{"".join(parts)}</section>\n'


def table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[float] | None = None
) -> str:
    """A table of texts, which are escaped here. With `widths`, from 0 to 1, each row has a bar."""
    titles = [*titles, ""] if widths is not None else titles
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        if widths is not None:
            share = 100.0 * widths[number]
            cells += f'<td class="chart"><span class="bar" style="width:{share:.1f}%"></span></td>'
        body.append(f"<tr>{cells}</tr>\n")
    return (
        '<div class="scroll"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(body)}</tbody>\n</table></div>\n"
    )


def figure(svg: str, caption: str) -> str:
    """A chart above its caption."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"


def pair(*parts: str) -> str:
    """Parts that stand side by side where there is room."""
    return f'<div class="pair">{"".join(parts)}</div>\n'


def prose(text: str) -> str:
    """A text with its commands, which stand between back quotes, as code.

    A narrow page does not part an option after its hyphens.
    """
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(
        f"<code>{_OPTION.sub(_WHOLE, part)}</code>" if place % 2 else part
        for place, part in enumerate(parts)
    )


_OPTION = re.compile(r"(?<!\S)-\S+")
_WHOLE = r'<span class="whole">\g<0></span>'
