"""The recipes, taken at their word: every block of a page runs, against a Hub on this machine."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.hub import HubStandIn
from standins.shelf import node, write_workflow

from comfywatchman_core.testing import safetensors

from .pages import DOCS, ROOT

PAGES = sorted((DOCS / "how-to").glob("*.md"))
INK = safetensors("ink", 20_000)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def shown(page: Path) -> list[str]:
    """Blocks that show a part of an example."""
    return [one for one in (*blocks(page, "python"), *blocks(page, "text")) if re.match(r"class|async def|def|#!", one)]


def programs(page: Path) -> list[str]:
    """Blocks that are whole programs."""
    return [one for one in blocks(page, "python") if one not in shown(page)]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a reader sits: two workflows, two ComfyUIs in the home directory, and a Hub that has what is missing."""
    with HubStandIn() as hub:
        hub.add_repo("Comfy-Org/kit", {"loras/kit_ink.safetensors": INK})
        for name in ("ComfyUI", "Laptop"):
            (tmp_path / "home" / name / "models" / "loras").mkdir(parents=True)
        for name in ("workflow.json", "another.json"):
            write_workflow(tmp_path / name, node("kit_ink.safetensors"))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PATH", sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"])
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("COMFYWATCHMAN_DISABLE", "civitai")
        monkeypatch.syspath_prepend(str(ROOT / "examples"))
        monkeypatch.chdir(tmp_path)
        yield tmp_path


@pytest.mark.skipif(os.name != "posix", reason="the commands are those of a POSIX shell")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.stem)
def test_the_commands_of_a_recipe_run_one_after_the_other(page: Path, desk: Path) -> None:
    done = subprocess.run(
        ["bash", "-euc", "\n".join(blocks(page, "sh"))], capture_output=True, text=True, encoding="utf-8", check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("page", "text"), [(page.stem, text) for page in PAGES for text in programs(page)], ids=lambda one: one[:20]
)
def test_the_programs_of_a_recipe_run(page: str, text: str, desk: Path) -> None:
    (desk / "program.py").write_text(text)

    runpy.run_path(str(desk / "program.py"))

    places = [desk / "ComfyUI", desk / "home" / "ComfyUI"]
    assert any((place / "models/loras/kit_ink.safetensors").exists() for place in places)


@pytest.mark.parametrize(
    ("page", "text"), [(page.stem, text) for page in PAGES for text in shown(page)], ids=lambda one: one[:20]
)
def test_what_a_recipe_shows_of_an_example_stands_in_it(page: str, text: str) -> None:
    examples = [path for path in (ROOT / "examples").rglob("*") if path.suffix in (".py", ".sh")]

    assert any(text in path.read_text("utf-8") for path in examples)


def test_the_plan_of_an_air_gapped_machine_notices_a_file_that_was_damaged_on_the_way(desk: Path) -> None:
    before, after, _ = blocks(DOCS / "how-to" / "air-gapped.md", "sh")
    copy, verify, _ = after.splitlines()
    subprocess.run(["bash", "-euc", f"{before}\n{copy}"], capture_output=True, check=True)
    placed = desk / "home" / "ComfyUI" / "models" / "loras" / "kit_ink.safetensors"
    placed.write_bytes(INK[:-1] + bytes([INK[-1] ^ 1]))

    done = subprocess.run(["bash", "-euc", verify], capture_output=True, text=True, check=False)

    assert done.returncode == 7, done.stdout + done.stderr
