"""Every block of code on every page runs, or says here why it does not; every command in it is one that is taken."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import comfywatchman_core as cw
from comfywatchman_core.cli.parser import make_parser
from comfywatchman_core.folders.extra_paths import read_extra_paths

from .pages import DOCS, ROOT
from .test_pages import PAGES, blocks

HOW_TO = {page.relative_to(ROOT).as_posix() for page in (DOCS / "how-to").glob("*.md")}
"""Run by ``test_how_to``, one block after the other, against a Hub on this machine."""

RUN_ELSEWHERE = {
    ("README.md", "python"): "test_readme runs it",
    ("README.md", "sh"): "test_readme runs it, and tests/packaging what installs",
    ("docs/reference/api.md", "python"): "test_readme runs it",
    ("docs/reference/events.md", "python"): "test_readme runs it",
    ("docs/reference/cli.md", "sh"): "test_readme runs it",
    ("docs/reference/json.md", "sh"): "test_readme runs it",
    ("docs/tutorial-backend.md", "python"): "it is the code of examples/shelf, see test_pages",
    ("docs/tutorial-backend.md", "sh"): "tests/packaging follows it",
    **dict.fromkeys(((page, language) for page in HOW_TO for language in ("python", "sh")), "test_how_to runs it"),
}

NOT_RUN = {
    ("CONTRIBUTING.md", "sh"): "it sets up the tree that the test runs in; .ci/run begins with it",
    ("docs/how-to/ci-images.md", "dockerfile"): "it takes Docker and a package index",
    ("docs/how-to/studio-mirror.md", "dockerfile"): "the same",
    ("plugins/fleet/README.md", "sh"): "it is about several machines; the tests of the package play them",
    **dict.fromkeys(
        (
            (page, "console")
            for page in (
                "meta/README.md",
                "plugins/civitai/README.md",
                "plugins/directid/README.md",
                "plugins/huggingface/README.md",
                "plugins/mirror/README.md",
            )
        ),
        "its addresses are patterns, or lead to the sites themselves",
    ),
}

DATA = ("toml", "json", "yaml", "text", "nginx")
"""Nothing to run: read by what it is written for, here and in ``test_pages``; ``text`` is output, or a tree."""

RUN_HERE = [
    (page, text)
    for page in PAGES
    for text in blocks(page, "python")
    if (page.relative_to(ROOT).as_posix(), "python") not in RUN_ELSEWHERE
]


def kinds(page: Path) -> set[tuple[str, str]]:
    return {
        (page.relative_to(ROOT).as_posix(), language)
        for language in re.findall(r"^```(\w*)\n.*?^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    }


def test_every_block_is_run_or_excused() -> None:
    there = {kind for page in PAGES for kind in kinds(page)}
    here = {(page.relative_to(ROOT).as_posix(), "python") for page, _ in RUN_HERE}

    assert {kind for kind in there if kind[1] not in DATA} - here - set(RUN_ELSEWHERE) == set(NOT_RUN) & there


@pytest.mark.parametrize(("page", "text"), RUN_HERE, ids=lambda one: one.stem if isinstance(one, Path) else "")
def test_python_of_a_reference_page_runs(
    page: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(text)
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "ink.yaml").write_text("interactions: []\nversion: 1\n")
    monkeypatch.chdir(tmp_path)

    runpy.run_path("program.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_shown_are_accepted(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "toml")):
        if "project" in tomllib.loads(text):
            continue
        (tmp_path / f"{number}.toml").write_text(text)
        cw.Config.load(environ={}, file=tmp_path / f"{number}.toml")
    for number, text in enumerate(blocks(page, "yaml")):
        (tmp_path / f"{number}.yaml").write_text(text)
        assert all(yaml.safe_load_all(text))
        if "base_path:" in text:
            assert list(read_extra_paths(tmp_path / f"{number}.yaml"))


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command of ours that is shown, without what a shell makes of the rest of the line."""
    shown = [text for language in ("sh", "console", "dockerfile") for text in blocks(page, language)]
    lines = [line for text in shown for line in text.replace("\\\n", " ").splitlines()]
    found = [text for line in lines for text in re.findall(r"(?:^|[$(&/]|RUN .*) *comfywatchman ([^|>;)&#]+)", line)]
    mentioned = re.findall(r"`comfywatchman ([^`…|\\]+)`", page.read_text("utf-8"))
    for text in (*found, *(one for one in mentioned if not one.split()[-1].startswith("-"))):
        words = shlex.split(re.sub(r"[\[\]]", "", text))
        if words and not words[0].isupper():
            yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_is_one_that_is_taken(page: Path) -> None:
    for words in commands(page):
        try:
            make_parser().parse_args(words)
        except SystemExit as stop:
            assert not stop.code, words  # noqa: PT017  (--help and --version end it as well)


@pytest.mark.skipif(os.name != "posix", reason="a script for cron")
@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.sh")), ids=lambda path: path.name)
def test_a_script_is_read_by_the_plainest_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
