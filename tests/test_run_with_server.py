"""A run that asks a running ComfyUI, through the library and through the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from standins.comfyui import comfyui
from standins.shelf import node, write_workflow

from comfywatchman_core import Config, Watchman
from comfywatchman_core.cli import main
from comfywatchman_core.report import Status
from comfywatchman_core.testing import safetensors


def stack(name: str) -> dict[str, object]:
    """A node of a class that only the running ComfyUI knows."""
    return {"type": "SomebodysLoraStack", "mode": 0, "widgets_values": [1, name, "None"], "properties": {}}


def test_a_class_that_only_the_installation_knows_has_its_folder(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "loras").mkdir(parents=True)
    (models / "loras/b.safetensors").write_bytes(safetensors("b"))
    workflow = write_workflow(tmp_path / "w.json", stack("b.safetensors"))

    with comfyui({"loras": [str(models / "loras")]}) as origin:
        config = Config(server=origin.url, models_dir=models, state_dir=tmp_path / "state")
        with Watchman(config, backends={}) as watchman:
            (entry,) = watchman.scan(workflow).entries

    assert (entry.request.folder, entry.status) == ("loras", Status.PRESENT)


def test_a_server_that_does_not_answer_is_told_once_and_the_table_is_used(tmp_path: Path) -> None:
    told = []
    workflow = write_workflow(tmp_path / "w.json", node("a.safetensors", "VAELoader"))
    config = Config(server="http://127.0.0.1:9", models_dir=tmp_path / "models", state_dir=tmp_path / "state")

    with Watchman(config, backends={}) as watchman:
        report = watchman.scan(workflow, on_event=told.append)

    assert [entry.request.folder for entry in report.entries] == ["vae"]
    assert len([problem for problem in report.problems if problem.code == "server"]) == 1
    assert report.exit_code == 4


def test_the_command_takes_the_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = write_workflow(tmp_path / "w.json", stack("a.safetensors"))

    with comfyui({"loras": [str(tmp_path / "theirs")]}) as origin:
        code = main(["scan", str(workflow), "--server", origin.url, "--models-dir", str(tmp_path / "m"), "--json"])

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["files"][0]["folder"] == "loras"
    assert code == result["exit_code"]
