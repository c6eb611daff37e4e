"""Read the reference pages: sections, rows of tables, words in code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"


def page(name: str) -> str:
    """The text of a reference page."""
    return (REFERENCE / name).read_text("utf-8")


def section(name: str, heading: str) -> str:
    """What stands below *heading* on a reference page, up to the next heading of its rank or a higher one."""
    text = page(name)
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"{name} has no section {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row of *text*, headings left out."""
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if line.startswith("|") and not set(line) <= set("|- :") and before.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def first_words(text: str) -> list[str]:
    """The code in the first cell of every row of *text*."""
    return [word for row in rows(text) for word in re.findall(r"`([^`]+)`", row[0])]


def fields(of: type) -> set[str]:
    """The public fields of an attrs class."""
    return {one.name for one in attrs.fields(of) if not one.name.startswith("_")}
