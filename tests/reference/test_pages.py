"""Every page: its links lead somewhere, and its code is code."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

import comfywatchman_core as cw

from .pages import DOCS, REFERENCE, ROOT

PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("plugins/*/*.md"), *ROOT.glob("examples/**/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown on the web."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_on_a_page_can_be_read_by_what_it_is_written_for(page: Path) -> None:
    for text in blocks(page, "python"):
        ast.parse(text)
    for text in blocks(page, "toml"):
        tomllib.loads(text)
    for text in blocks(page, "json"):
        json.loads(text)


@pytest.mark.parametrize("text", blocks(REFERENCE / "configuration.md", "toml"))
def test_the_settings_file_of_the_reference_is_accepted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)

    cw.Config.load(environ={}, file=file)


def test_every_page_of_the_documentation_is_reached_from_its_index() -> None:
    reached, new = set[Path](), {DOCS / "index.md"}
    while new:
        page = new.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md)", page.read_text("utf-8"))
        new |= {(page.parent / link).resolve() for link in links} - reached

    assert set(DOCS.rglob("*.md")) - reached == set()


@pytest.mark.parametrize("path", ["pyproject.toml", "src/comfywatchman_shelf/__init__.py", "tests/test_contract.py"])
def test_the_tutorial_shows_the_files_of_the_example_as_they_are(path: str) -> None:
    shown = re.findall(
        r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", (DOCS / "tutorial-backend.md").read_text(), re.MULTILINE | re.DOTALL
    )

    assert dict(shown)[path] == (ROOT / "examples" / "shelf" / path).read_text()
