"""Where the types cannot tell, the file's own header says what it is."""

from __future__ import annotations

import json
import struct

import pytest
from comfywatchman_civitai import header
from standins.civitai import CivitaiStandIn, File, StorageFault, Version
from standins.civitai_desk import Desk

from comfywatchman_core.testing import Reply


def a_checkpoint(*tensors: str, filler: int = 0) -> bytes:
    """A safetensors file with tensors of these names, and so many more before them."""
    names = [*(f"model.diffusion_model.block.{number}.weight" for number in range(filler)), *tensors]
    table = {
        name: {"dtype": "F16", "shape": [1], "data_offsets": [2 * place, 2 * place + 2]}
        for place, name in enumerate(names)
    }
    head = json.dumps(table).encode()
    return struct.pack("<Q", len(head)) + head + bytes(2 * len(names))


BARE = a_checkpoint("model.diffusion_model.in.weight")
WHOLE = a_checkpoint("model.diffusion_model.in.weight", "first_stage_model.decoder.weight")


def publish(civitai: CivitaiStandIn, data: bytes, *, base_model: str = "Flux.1 D", name: str = "p.safetensors") -> str:
    model = civitai.add_model(
        name="Painter", type="Checkpoint", versions=[Version("v1", [File(name, data)], base_model=base_model)]
    )
    return f"civitai:{model.id}@{model.versions[0].id}"


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        (BARE, "diffusion_models"),
        (WHOLE, "checkpoints"),
        (a_checkpoint("conditioner.embedders.0.weight"), "checkpoints"),
        (a_checkpoint("text_encoders.t5.weight"), "checkpoints"),
    ],
)
def test_a_checkpoint_of_a_family_that_is_often_bare_is_looked_into(
    civitai: CivitaiStandIn, desk: Desk, data: bytes, folder: str
) -> None:
    offer = desk.offer(reference=publish(civitai, data))

    assert offer.folder == folder
    assert [asked.headers["range"] for asked in civitai.storage_requests] == ["bytes=0-524287"]


def test_a_long_header_is_read_to_its_end(civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "FIRST_BYTES", 4096)
    data = a_checkpoint("first_stage_model.decoder.weight", filler=200)

    assert desk.offer(reference=publish(civitai, data)).folder == "checkpoints"
    assert desk.offer(reference=publish(civitai, a_checkpoint(filler=200))).folder == "diffusion_models"
    assert len(civitai.storage_requests) == 4


@pytest.mark.parametrize("data", [b"", b"<html>", struct.pack("<Q", 1 << 62) + b"{", struct.pack("<Q", 3) + b"abc"])
def test_what_has_no_header_stays_a_checkpoint_with_a_warning(civitai: CivitaiStandIn, desk: Desk, data: bytes) -> None:
    offer = desk.offer(reference=publish(civitai, data))

    assert offer.folder == "checkpoints"
    assert any("--folder diffusion_models" in note for note in offer.notes)


def test_a_storage_without_ranges_is_not_drained(civitai: CivitaiStandIn, desk: Desk) -> None:
    model = civitai.add_model(
        name="Painter",
        type="Checkpoint",
        versions=[
            Version(
                "v1",
                [File("p.safetensors", BARE + bytes(1 << 20), fault=StorageFault.IGNORES_RANGE)],
                base_model="Flux.1 D",
            )
        ],
    )

    assert any("--folder" in note for note in desk.offer(reference=f"civitai:{model.id}").notes)


def test_a_refused_look_is_no_failure(civitai: CivitaiStandIn, desk: Desk) -> None:
    reference = publish(civitai, BARE)
    civitai.answer_next("/api/download/models/", Reply.json({"error": "Unauthorized"}, 401))

    assert desk.offer(reference=reference).obstacle is None


@pytest.mark.parametrize("base_model", ["SDXL 1.0", "SD 1.5", "Pony", "Illustrious"])
def test_families_that_come_whole_are_not_looked_into(civitai: CivitaiStandIn, desk: Desk, base_model: str) -> None:
    assert desk.offer(reference=publish(civitai, WHOLE, base_model=base_model)).folder == "checkpoints"
    assert civitai.storage_requests == []


def test_the_folder_that_the_workflow_names_is_not_questioned(civitai: CivitaiStandIn, desk: Desk) -> None:
    desk.offer("p.safetensors", "checkpoints", reference=publish(civitai, BARE))

    assert civitai.storage_requests == []


def test_a_gguf_file_is_a_diffusion_model_without_a_look(civitai: CivitaiStandIn, desk: Desk) -> None:
    assert desk.offer(reference=publish(civitai, b"GGUF", name="p.gguf")).folder == "diffusion_models"
    assert civitai.storage_requests == []
