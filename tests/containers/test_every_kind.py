"""Every container and form in which ComfyUI, or a saver of note, leaves a graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from standins import containers

from comfywatchman_core.containers import Source, open_source, read_container
from comfywatchman_core.workflow import read_workflow, read_workflow_bytes

GRAPH = {
    "nodes": [
        {"id": 4, "type": "CheckpointLoaderSimple", "mode": 0, "widgets_values": ["ink.safetensors"]},
        {"id": 5, "type": "LoraLoader", "mode": 4, "widgets_values": ["Wäsche/muted.safetensors", 1, 1]},
    ],
    "links": [],
    "version": 0.4,
}
PROMPT = {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "ink.safetensors"}}}
EVERY_KIND = dict(containers.every_kind({"prompt": PROMPT, "workflow": GRAPH}))
ONLY_PROMPT = dict(containers.every_kind({"prompt": PROMPT}))


def names(data: bytes) -> dict[str, bool]:
    return {request.label: request.active for request in read_workflow_bytes(data, label="x").requests}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_the_saved_graph_is_found_in_every_kind_of_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(EVERY_KIND[name])

    found = read_workflow(tmp_path / name)

    assert {request.label: request.active for request in found.requests} == {
        "checkpoints/ink.safetensors": True,
        "loras/Wäsche/muted.safetensors": False,
    }


@pytest.mark.parametrize("name", EVERY_KIND)
def test_a_file_is_known_by_its_content_and_not_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "misnamed.json").write_bytes(EVERY_KIND[name])

    assert len(read_workflow(tmp_path / "misnamed.json").requests) == 2


@pytest.mark.parametrize("name", ONLY_PROMPT)
def test_the_prompt_is_taken_where_no_graph_was_saved(name: str) -> None:
    assert names(ONLY_PROMPT[name]) == {"checkpoints/ink.safetensors": True}


def test_the_saved_graph_is_preferred_to_the_prompt_made_from_it() -> None:
    pairs = [("prompt", json.dumps(PROMPT)), ("workflow", json.dumps(GRAPH))]

    assert "loras/Wäsche/muted.safetensors" in names(containers.png(pairs, "iTXt"))


def test_the_prompt_helps_out_where_the_saved_graph_is_broken() -> None:
    pairs = [("prompt", json.dumps(PROMPT)), ("workflow", "{broken")]

    assert names(containers.png(pairs)) == {"checkpoints/ink.safetensors": True}


def test_any_exif_tag_may_hold_a_graph() -> None:
    block = containers.exif({0x8298: f"Workflow:{json.dumps(GRAPH)}", 0x0110: f"Prompt:{json.dumps(PROMPT)}"})

    assert len(names(containers.webp(block))) == 2


def test_a_film_of_gigabytes_costs_a_few_reads(tmp_path: Path) -> None:
    film = containers.mp4([("workflow", json.dumps(GRAPH))], wide=True, frames=0)
    at = film.index(b"mdat") + 4
    size = 3 << 30
    with open(tmp_path / "film.mp4", "wb") as file:  # sparse: the frames take no room on the disk
        file.write(film[:at] + (16 + size).to_bytes(8, "big"))
        file.seek(at + 8 + size)
        file.write(film[at + 8 :])
    reads: list[int] = []

    class Counting(Source):
        def read(self, offset: int, length: int) -> bytes:
            reads.append(length)
            return super().read(offset, length)

    with open_source(tmp_path / "film.mp4") as source:
        source.__class__ = Counting
        carried = read_container(source)

    assert json.loads(carried.workflow) == GRAPH  # type: ignore[arg-type]
    assert len(reads) < 40
    assert sum(reads) < 10_000


def test_pixels_are_passed_over_unread(tmp_path: Path) -> None:
    picture = containers.png([("workflow", json.dumps(GRAPH))], "comf", pixels=500)
    reads: list[int] = []

    class Counting(Source):
        def read(self, offset: int, length: int) -> bytes:
            reads.append(length)
            return super().read(offset, length)

    read_container(Counting.of_bytes(picture))

    text = len("workflow\0" + json.dumps(GRAPH))
    assert sum(reads[1:]) == 8 * 502 + 80 + text  # the head of each chunk up to the text, its keyword, the text
