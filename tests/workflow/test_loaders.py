"""The tables that ship with the package agree with each other, and with the facts on the shelf beside the project."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from comfywatchman_core.folders import canonical_key, is_folder_key
from comfywatchman_core.workflow.loaders import NodeClass, packaged

SHELF = Path(__file__).resolve().parents[3] / "shared" / "contracts" / "loader_map.json"
NO_MODELS = {"configs", "luts"}


def test_every_folder_of_the_table_is_a_key_or_no_model_folder() -> None:
    table = packaged()
    named = {key for described in table.classes.values() for keys in described.inputs.values() for key in keys}
    named |= set(table.by_input.values())

    unknown = {key for key in named - NO_MODELS if key.partition("/")[0] not in table.folder_keys}

    assert unknown == set()


def test_every_key_of_the_table_may_be_written_to() -> None:
    assert [key for key in packaged().folder_keys if not is_folder_key(key)] == []


def test_keys_are_spelled_as_comfyui_spells_them_today() -> None:
    table = packaged()
    named = {key for described in table.classes.values() for keys in described.inputs.values() for key in keys}

    assert {key for key in named if canonical_key(key) != key} == set()


def test_rows_belong_to_classes_that_are_known() -> None:
    table = packaged()
    laid_out = [described for described in table.classes.values() if described.rows is not None]

    assert len(laid_out) >= 6
    for described in laid_out:
        assert described.inputs


@pytest.mark.skipif(not SHELF.exists(), reason="the shelf is not beside this checkout")
def test_the_table_says_what_the_contract_says() -> None:
    contract = json.loads(SHELF.read_text())
    table = packaged()

    differing = [
        f"{name}.{entry}"
        for name, node in contract["nodes"].items()
        for entry, keys in node["inputs"].items()
        if (described := table.node_class(name)) is None
        or described.keys(re.sub("<n>", "3", entry)) != tuple(canonical_key(key) for key in keys)
    ]
    assert differing == []
    assert [name for name in contract["self_downloading"] if not table.downloads_itself(name)] == []
    assert [key for key in contract["custom_folders"] if canonical_key(key) not in table.folder_keys | NO_MODELS] == []
    for name, fallback in contract["input_name_fallback"].items():
        spelled = name.replace("..", ".3.")
        assert table.fallback(spelled) == fallback["folder"] or fallback["folder"] in NO_MODELS, name


def test_a_numbered_input_belongs_to_its_family() -> None:
    described = packaged().node_class("LoRA Stacker")

    assert described is not None
    assert described.keys("lora_name_49") == ("loras",)
    assert described.keys("lora_wt_49") == ()


@pytest.mark.parametrize(
    "name", ["CLIPLoaderMultiGPU", "CLIPLoaderDisTorch2MultiGPU", "CLIPLoaderAdvancedMultiGPU", "CLIPLoaderMultiGPUv2"]
)
def test_wrapped_loaders_are_their_base_class(name: str) -> None:
    assert packaged().node_class(name) == packaged().node_class("CLIPLoader")


def test_what_an_installation_says_comes_first_and_what_it_cannot_say_is_kept() -> None:
    described = NodeClass(inputs={"lora_name_<n>": ("my_loras",)}, widgets=("lora_count",))

    table = packaged().overlaid({"LoRA Stacker": described, "Mine": described}, ["my_loras"])

    stacker = table.node_class("LoRA Stacker")
    assert stacker is not None
    assert stacker.keys("lora_name_1") == ("my_loras",)
    assert stacker.rows is not None
    assert "my_loras" in table.folder_keys
    assert packaged().node_class("Mine") is None
