"""The site shows every page of the documentation, and nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from .pages import DOCS, ROOT


def pages_of(part: object) -> Iterator[str]:
    """The pages below a part of the navigation."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for one in part.values():
            yield from pages_of(one)
    elif isinstance(part, list):
        for one in part:
            yield from pages_of(one)


def test_the_navigation_leads_to_every_page_once() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))

    listed = sorted(pages_of(site["nav"]))

    assert listed == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_a_warning_of_the_site_is_an_error() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))

    assert site["strict"] is True
    assert {level for kind in site["validation"].values() for level in kind.values()} == {"warn"}


def test_the_pictures_show_light_and_dark_and_load_nothing() -> None:
    pictures = sorted(DOCS.rglob("*.svg"))

    assert pictures
    for picture in pictures:
        text = picture.read_text("utf-8")
        assert "prefers-color-scheme: dark" in text
        assert not re.search(r"<script|href|url\(\s*[\"']?(?!#)|@import", text)
