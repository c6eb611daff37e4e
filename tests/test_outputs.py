"""The files that a command writes besides models are promised before the work and there after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfywatchman_core.cli import main

WORKFLOW = {"3": {"class_type": "VAELoader", "inputs": {"vae_name": "nobody_has_this.safetensors"}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a workflow and an empty models directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(WORKFLOW), "utf-8")
    (tmp_path / "models").mkdir()
    return tmp_path


def run(*arguments: str) -> int:
    return main([*arguments, "a.json", "--models-dir", "models", "--no-config"])


@pytest.mark.parametrize("command", [("scan",), ("plan", "--no-plugins"), ("get", "--no-plugins")])
def test_every_command_that_looks_after_workflows_writes_a_page_however_it_ends(
    here: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--report", "run.html") == 4

    assert "vae/nobody_has_this.safetensors" in (here / "run.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("models", "models is a directory"),
        ("no/such/run.html", "there is no directory no/such"),
    ],
)
@pytest.mark.parametrize("option", ["--report", "-o"])
def test_what_cannot_be_written_is_said_before_the_work(
    here: Path, capsys: pytest.CaptureFixture[str], option: str, given: str, told: str
) -> None:
    assert run("plan", "--no-plugins", option, given) == 2

    captured = capsys.readouterr()
    assert told in captured.err.replace("\\", "/")
    assert option in captured.err
    assert captured.out == ""


def test_the_page_holds_the_commands_that_the_hints_speak_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("get", "--backend", "directid", "--report", "run.html")

    assert "--models-dir models --no-config</code>" in (here / "run.html").read_text("utf-8")
