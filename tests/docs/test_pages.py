"""The pages are short, and their links, paths and commands exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from benchmarks.__main__ import main as benchmarks
from service.cli import cli

ROOT = Path(__file__).resolve().parents[2]
MOST_WORDS = 1_500
"""Words of README.md outside tables and code."""
MADE = (".freehold/",)
"""Folders that a command makes, so a checkout lacks them."""

CODE_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE_SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"[a-z_.][\w.-]*/(?:[\w./-]*(?:/|\.\w+))?")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def is_own(page: Path) -> bool:
    """Whether a page belongs to the project and not to a folder made by a tool."""
    folders = page.relative_to(ROOT).parts[:-1]
    return not any(it.startswith(".") or it in ("build", "dist") for it in folders)


PAGES = sorted(page for page in ROOT.rglob("*.md") if is_own(page))
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def prose(text: str) -> str:
    """A page without its code blocks and tables."""
    lines = CODE_BLOCK.sub("", text).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("|"))


def spans(text: str) -> list[str]:
    """The inline code of a page, tables included."""
    return [" ".join(it.split()) for it in CODE_SPAN.findall(CODE_BLOCK.sub("", text))]


def anchors(page: Path) -> set[str]:
    """The names by which links reach a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in headings}


def broken_links(text: str, page: Path) -> list[str]:
    """The relative links of a page's text without a target."""
    broken = []
    for link in LINK.findall(prose(text) + "\n".join(re.findall(r"^\|.*$", text, re.MULTILINE))):
        if re.match("[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def missing_paths(text: str, page: Path) -> list[str]:
    """The paths in a page's inline code that exist neither beside the page nor from the root."""
    return [
        it
        for it in spans(text)
        if PATH.fullmatch(it)
        and not it.startswith(MADE)
        and not any((folder / it).exists() for folder in (page.parent, ROOT))
    ]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every shell command in a page's shell blocks and inline code."""
    shells = [code for language, code in CODE_BLOCK.findall(text) if language == "sh"]
    for code in (*shells, *spans(text)):
        joined = re.sub(r"\\\n", " ", code)
        for piece in re.split(r"\$\(|[()|&;\n]", joined):
            try:
                words = shlex.split(piece, comments=True)
            except ValueError:  # a piece of another language, inside a here-document
                continue
            if words:
                yield words


@cache
def targets() -> frozenset[str]:
    """The targets of the Makefile."""
    return frozenset(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))


def unknown_of(command: click.Command, words: list[str]) -> str | None:
    """The first word that is not a subcommand or option of a command; None if all words are known.

    Words in capitals stand for a value or for any command.
    """
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0].isupper():
            return None
        if words[0] not in command.commands:
            return words[0]
        command, words = command.commands[words[0]], words[1:]
    known = {name for it in command.params for name in it.opts} | {"--help"}
    return next((it for it in words if it.startswith("--") and it not in known), None)


def unknown_in(words: list[str]) -> str | None:
    """The first word of a shell command that names nothing in the project; None if every word names
    something."""
    match words:
        case ["freehold", *rest]:
            return unknown_of(cli, rest)
        case ["make", target, *_]:
            return None if target in targets() else target
        case ["python", "-m", "benchmarks", *rest]:
            return unknown_of(benchmarks, rest)
        case ["python", "-m", module, *_]:
            return None if find_spec(module) else module
    return None


def unknown_words(text: str) -> list[str]:
    """The commands of a page that do not exist, each with the unknown word."""
    found = ((words, unknown_in(words)) for words in commands(text))
    return [f"{' '.join(words)}: {unknown}" for words, unknown in found if unknown]


def test_the_readme_is_short() -> None:
    """README.md has fewer than 1,500 words outside tables and code."""
    words = len(prose((ROOT / "README.md").read_text("utf-8")).split())
    assert words < MOST_WORDS, f"README.md has {words} words: move detail to a folder's README"


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    """Every relative link of a page names an existing file and heading."""
    page = ROOT / name
    assert broken_links(page.read_text("utf-8"), page) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_path_exists(name: str) -> None:
    """Every path in a page's inline code exists beside the page or from the project's root."""
    page = ROOT / name
    assert missing_paths(page.read_text("utf-8"), page) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_exists(name: str) -> None:
    """Every `make`, `freehold` and `python -m` command of a page exists, with its options."""
    assert unknown_words((ROOT / name).read_text("utf-8")) == []


def test_the_commands_of_the_pages_are_found() -> None:
    """Commands are found in shell blocks, in inline code and in tables."""
    found = {" ".join(words[:2]) for page in PAGES for words in commands(page.read_text("utf-8"))}
    assert {"make demo", "freehold serve", "freehold restore", "python -m"} <= found


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Run `freehold mirgate`.", ["freehold mirgate: mirgate"]),
        ("Run `freehold operator crate ID`.", ["freehold operator crate ID: crate"]),
        (
            "```sh\nfreehold serve \\\n --modell X &\n```",
            ["freehold serve --modell X: --modell"],
        ),
        ("```sh\nKEY=$(freehold key)\n```", ["freehold key: key"]),
        ("| a | `make tets` |", ["make tets: tets"]),
        ("`python -m benchmarks rcp`", ["python -m benchmarks rcp: rcp"]),
        ("`python -m service.deom`", ["python -m service.deom: service.deom"]),
        ("`freehold COMMAND --help`, `freehold --version`, `make check`", []),
    ],
)
def test_an_unknown_command_is_named(text: str, unknown: list[str]) -> None:
    """A misspelt command, subcommand, option, target or module is reported with its name."""
    assert unknown_words(text) == unknown


def test_a_broken_link_is_named() -> None:
    """A link to a missing file or heading is reported; links to the web are not checked."""
    text = "[a](gone.md) [b](README.md#gone) [c](https://example.com/gone) [d](#glossary)"
    assert broken_links(text, ROOT / "README.md") == ["gone.md", "README.md#gone"]


def test_a_missing_path_is_named() -> None:
    """A path that does not exist is reported, unless a command makes this file."""
    text = "`service/gone.py`, `domain/`, `.freehold/demo/report.json`, `a / b`"
    assert missing_paths(text, ROOT / "service" / "README.md") == ["service/gone.py"]


def test_tables_and_code_do_not_count() -> None:
    """The count of words leaves out tables and code blocks, and nothing else."""
    text = (
        "# One\n\ntwo `three`\n\n| four | five |\n|---|---|\n\n```sh\nsix seven\n```\n\n- eight\n"
    )
    assert prose(text).split() == ["#", "One", "two", "`three`", "-", "eight"]
