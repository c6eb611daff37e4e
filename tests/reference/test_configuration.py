"""The page on settings and variables: what exists is described, and what is described exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import comfywatchman_core as cw
from comfywatchman_core.config import BackendTable, Download
from comfywatchman_core.settings import _ALSO_ACCEPTED, _ENVIRONMENT, _PREFIX

from .pages import ROOT, fields, first_words, rows, section


def settings_of_readme(place: Path) -> str:
    """The section on settings in the README of a plugin."""
    page = place / "README.md"
    found = (
        re.search(r"^## Settings$(.*?)^## ", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        if page.is_file()
        else None
    )
    return found[1] if found else ""


SOURCES = "".join(path.read_text("utf-8") for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])


@pytest.mark.parametrize(
    ("heading", "of", "elsewhere"),
    [
        ("Places and sources", cw.Config, {"download", "backends", "rules", "origins", "warnings"}),
        ("`[download]`", Download, set()),
        ("`[backends]`", BackendTable, {"settings"}),
    ],
)
def test_every_setting_is_described_with_its_default_and_no_other(heading: str, of: type, elsewhere: set[str]) -> None:
    described = {row[0].strip("`"): row[1].strip("`") for row in rows(section("configuration.md", heading))}
    default = of()

    assert set(described) == fields(of) - elsewhere
    for name, text in described.items():
        value = getattr(default, name)
        if value is None:
            assert text in ("none", "the platform's place"), name
        else:
            assert json.loads(text) == (list(value) if isinstance(value, tuple) else value), name


def test_every_variable_of_the_environment_is_described_and_no_other() -> None:
    (table,) = (part for part in section("configuration.md", "Environment").split("\n\n") if _PREFIX + "CONFIG" in part)

    assert set(first_words(table)) == {_PREFIX + "CONFIG", *(_PREFIX + name for name in _ENVIRONMENT)}
    assert [name for name in _ALSO_ACCEPTED if f"`{name}`" not in table] == []


@pytest.mark.parametrize("name", _ENVIRONMENT)
def test_a_variable_sets_what_its_description_says(name: str) -> None:
    (told,) = (row[1] for row in rows(section("configuration.md", "Environment")) if row[0] == f"`{_PREFIX}{name}`")
    sample = {"JOBS": "5", "CONNECTIONS": "5", "LIMIT_RATE": "5M", "DISABLE": "a,b"}.get(name, "1")

    config = cw.Config.load(environ={_PREFIX + name: sample}, use_file=False)

    setting = re.findall(r"`([^`]+)`", told)[0]
    (changed,) = config.origins
    assert {"no_plugins": "plugins = false"}.get(changed, changed) == setting


def test_variables_of_back_ends_that_are_described_are_read_by_somebody() -> None:
    variables = re.findall(r"`((?:HF|HUGGING|CIVITAI)_[A-Z_]+)`", section("configuration.md", "Environment"))

    assert variables
    assert [name for name in variables if f'"{name}"' not in SOURCES] == []


BACK_ENDS = sorted(place.name for place in (ROOT / "plugins").glob("*") if "backends." in settings_of_readme(place))


def test_the_back_ends_whose_settings_are_described_are_those_that_have_some() -> None:
    described = {row[0] for row in rows(section("configuration.md", "`[backends.NAME]`"))}

    assert described == {f"`[backends.{name}]`" for name in BACK_ENDS}


@pytest.mark.parametrize("name", BACK_ENDS)
def test_every_setting_of_a_back_end_is_described_where_it_is_read_and_here_and_no_other(name: str) -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "plugins" / name / "src").rglob("*.py"))
    read = set(re.findall(r"(?:table|settings)\.get\(\s*\"(\w+)\"|_(?:number|flag)\(\s*table, \"(\w+)\"", sources))
    keys = re.search(r"^_KEYS = frozenset\(\s*\{(.*?)\}", sources, re.MULTILINE | re.DOTALL)
    there = {word for pair in read for word in pair if word} | set(re.findall(r'"(\w+)"', keys[1] if keys else ""))
    readme = settings_of_readme(ROOT / "plugins" / name)
    on_its_page = {*first_words(readme.partition("| environment")[0]), *re.findall(r"^(\w+) = ", readme, re.MULTILINE)}

    described = {row[1].strip("`") for row in rows(section("configuration.md", "`[backends.NAME]`")) if name in row[0]}
    assert described == there - {"distribution"}
    assert described == on_its_page
