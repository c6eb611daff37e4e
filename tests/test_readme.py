"""The README and CONTRIBUTING, taken at their word."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from comfywatchman_core import models, report
from comfywatchman_core.cli import results
from comfywatchman_core.testing import safetensors

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
COMMAND = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
LINES = (ROOT / "docs" / "reference" / "json.md").read_text("utf-8")
LIBRARY = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
EVENTS = (ROOT / "docs" / "reference" / "events.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader sits: a workflow here, a ComfyUI in the home directory and one here, and nothing missing."""
    graph = '{"1": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}}}'
    for comfyui in (tmp_path / "ComfyUI", tmp_path / "home" / "ComfyUI"):
        (comfyui / "models" / "vae").mkdir(parents=True)
        (comfyui / "models" / "vae" / "ae.safetensors").write_bytes(safetensors("ae"))
    (tmp_path / "workflow.json").write_text(graph)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", [*blocks(README, "python"), *blocks(LIBRARY, "python"), *blocks(EVENTS, "python")])
def test_python_that_is_shown_runs(text: str, desk: Path) -> None:
    (desk / "program.py").write_text(text)

    runpy.run_path(str(desk / "program.py"))


@pytest.mark.parametrize("text", [one for page in (README, COMMAND, LINES) for one in blocks(page, "sh")])
def test_commands_that_are_shown_run(text: str, desk: Path) -> None:
    if not text.startswith("comfywatchman "):
        pytest.skip("sets the tree up, which a test does not do to the tree that it runs in")

    done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_output_that_is_shown_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    models_folder = Path("/home/you/ComfyUI/models")
    verified = models.VerificationReport((models.Check("sha256", True, cryptographic=True),))

    def entry(status: report.Status, folder: str, name: str, source: str = "", **more: object) -> report.Entry:
        offer = models.Candidate(match=models.Match.FILENAME, url="https://example.org/x", backend=source)
        return report.Entry(
            request=models.ModelRequest(name=name, folder=folder),
            status=status,
            path=models_folder / folder / name,
            verification=verified,
            candidate=offer if source else None,
            **more,  # type: ignore[arg-type]
        )

    entries = (
        entry(
            report.Status.DOWNLOADED,
            "diffusion_models",
            "z_image_turbo_bf16.safetensors",
            size=12_309_866_400,
            source="huggingface",
            seconds=161.0,
        ),
        entry(report.Status.DOWNLOADED, "loras", "styles/wash.safetensors", source="civitai", size=228e6, seconds=9.0),
        entry(report.Status.PRESENT, "vae", "ae.safetensors"),
    )
    results.write(
        report.Report(entries=entries, workflows=1, transferred=12_537_866_400),
        results.Style(),
    )

    assert capsys.readouterr().out == blocks(README, "text")[0]


def test_what_is_said_to_do_without_make_is_what_make_does() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(RUN)", ".venv/bin/python").replace("$(PYTEST) ", "")
    recipes = [line.strip().lstrip("@") for line in makefile.splitlines() if line.startswith("\t")]

    (by_hand,) = (text for text in blocks(README, "sh") if "venv .venv" in text)
    _make_environment, install, demo, test = by_hand.splitlines()

    assert any(recipe.endswith(install.partition("install")[2]) for recipe in recipes)
    assert demo in recipes
    assert test in recipes


def test_every_word_for_make_that_is_mentioned_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    words = set(re.findall(r"(?:^|`)make (\w+)", README + CONTRIBUTING, re.MULTILINE))

    assert {"demo", "test"} <= words
    assert [word for word in words if not re.search(rf"^{word}:", makefile, re.MULTILINE)] == []


def test_the_install_line_names_every_package_that_the_whole_is_made_of() -> None:
    (line,) = (line for line in README.splitlines() if "/pip install . " in line)
    projects = {
        place.parent: tomllib.loads(place.read_text("utf-8"))["project"]
        for place in [*ROOT.glob("pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")]
    }
    parts = " ".join(tomllib.loads((ROOT / "meta" / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"])

    named = {(ROOT / word).resolve() for word in line.partition(" install ")[2].split()}

    wanted = {place for place, project in projects.items() if re.search(rf"\b{project['name']}\b(?!-)", parts)}
    assert named == {*wanted, ROOT / "meta"}
