"""The maintainer's command that reads loaders out of source trees, and out of a running ComfyUI."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from standins.comfyui import comfyui

COMMAND = Path(__file__).resolve().parent.parent / "maintenance" / "loader_table.py"

FIRST_API = """
import folder_paths

class Plain:
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"model": ("MODEL",),
                             "ckpt_name": (folder_paths.get_filename_list("checkpoints"), {"tooltip": "x"}),
                             "strength": ("FLOAT", {"default": 1.0}),
                             "text": ("STRING", {"forceInput": True}),
                             "mode": (["a", "b"],)},
                "optional": {"clip_name": (["None"] + folder_paths.get_filename_list("clip"),)}}

class Approximate:
    @staticmethod
    def listed(s):
        return folder_paths.get_filename_list("vae") + folder_paths.get_filename_list("vae_approx")

    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"vae_name": (s.listed(s),)}}

class Stack:
    @classmethod
    def INPUT_TYPES(cls):
        loras = ["None"] + folder_paths.get_filename_list("loras")
        inputs = {"required": {"count": ("INT", {"default": 3})}}
        for i in range(1, 50):
            inputs["required"][f"lora_name_{i}"] = (loras,)
            inputs["required"][f"strength_{i}"] = ("FLOAT", {})
        return inputs

class Heir(Plain):
    pass

class NoLoader:
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"image": ("IMAGE",), "steps": ("INT", {})}}

NODE_CLASS_MAPPINGS = {"PlainLoader": Plain, "VAEish": Approximate, "My Stack": Stack, "Heir": Heir}
NODE_CLASS_MAPPINGS.update({"Nothing": NoLoader})
"""

SECOND_API = """
from comfy_api.latest import io
import folder_paths

class New(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="NewLoader",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("model_name", options=folder_paths.get_filename_list("detection")),
                io.Float.Input("threshold", default=0.5),
            ],
            outputs=[io.Model.Output()],
        )
"""


@pytest.fixture
def command() -> ModuleType:
    specification = importlib.util.spec_from_file_location("loader_table", COMMAND)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "loaders.json"
    packs = {"core": {"PlainLoader": ["ckpt_name=old", "*added_by_hand=loras"], "Gone": ["x=vae"]}}
    path.write_text(json.dumps({"schema": "comfywatchman-loaders/1", "packs": packs}))
    return path


def tree(directory: Path, *, core: bool = False) -> Path:
    directory.mkdir()
    (directory / "nodes.py").write_text(FIRST_API)
    (directory / "extra.py").write_text(SECOND_API)
    (directory / "broken.py").write_text("def (:")
    (directory / "custom_nodes").mkdir()
    (directory / "custom_nodes" / "other.py").write_text(FIRST_API.replace("PlainLoader", "NotOurs"))
    if core:
        (directory / "folder_paths.py").touch()
    return directory


def packs(path: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(path.read_text())["packs"]
    return found


def test_loaders_of_both_ways_to_write_a_node_are_read(command: ModuleType, table: Path, tmp_path: Path) -> None:
    assert command.main([str(tree(tmp_path / "my-pack")), "--table", str(table)]) == 0

    assert packs(table)["my-pack"] == {
        "Heir": ["ckpt_name=checkpoints", "strength", "mode", "clip_name=text_encoders"],
        "My Stack": ["count", "*lora_name_<n>=loras"],
        "NewLoader": ["model_name=detection", "threshold"],
        "VAEish": ["vae_name=vae|vae_approx"],
    }


def test_what_is_found_replaces_and_what_was_added_by_hand_stays(
    command: ModuleType, table: Path, tmp_path: Path
) -> None:
    command.main([str(tree(tmp_path / "comfy", core=True)), "--table", str(table)])

    core = packs(table)["core"]
    assert core["PlainLoader"] == [
        "ckpt_name=checkpoints",
        "strength",
        "mode",
        "clip_name=text_encoders",
        "*added_by_hand=loras",
    ]
    assert core["Gone"] == ["x=vae"]
    assert "NotOurs" not in core


def test_the_changes_are_told_and_a_check_writes_nothing(
    command: ModuleType, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = table.read_text()

    assert command.main([str(tree(tmp_path / "my-pack")), "--table", str(table), "--check"]) == 1

    told = capsys.readouterr().out
    assert "changed: PlainLoader: ckpt_name=checkpoints" in told
    assert "new: NewLoader: model_name=detection, threshold" in told
    assert table.read_text() == before


def test_a_running_server_tells_its_loaders(command: ModuleType, table: Path) -> None:
    with comfyui() as origin:
        command.main(["--server", origin.url, "--table", str(table)])

    assert packs(table)["other"]["SomebodysLoraStack"] == ["count", "first=loras", "second=loras"]


def test_the_packaged_table_is_spelled_as_the_command_spells_it(command: ModuleType) -> None:
    text = command.TABLE.read_text(encoding="utf-8")

    assert command.spell(json.loads(text)["packs"]) == text
