"""Generation parameters of A1111 and its relatives: names without suffix, and short hashes that say more."""

from __future__ import annotations

import json

import pytest
from standins import containers
from standins.graphs import graph, node

from comfywatchman_core.errors import NoWorkflow
from comfywatchman_core.models import Digest
from comfywatchman_core.workflow import read_workflow_bytes
from comfywatchman_core.workflow.parameters import named_models

TEXT = """a house <lora:ink:0.8>, <lora:unhashed:1>
Negative prompt: easyneg
Steps: 20, Sampler: Euler a, Seed: 1, Size: 512x512, Model hash: 0123456789, Model: "photo, reel v5", \
VAE hash: abcdef0123, VAE: soft.safetensors, Odd: a, b, \
Lora hashes: "ink: 0123456789ab, other: 1234567890", TI hashes: "easyneg: ba9876543210", Version: v1.9"""


def found(text: str) -> dict[str, tuple[Digest, ...]]:
    return {f"{one.folder}/{one.name}": one.digests for one in named_models(text)}


def test_every_model_is_found_with_its_hash() -> None:
    assert found(TEXT) == {
        "checkpoints/photo, reel v5": (Digest("autov2", "0123456789"),),
        "vae/soft.safetensors": (Digest("autov2", "abcdef0123"),),
        "loras/ink": (Digest("autov3", "0123456789ab"),),
        "loras/other": (Digest("autov2", "1234567890"),),
        "loras/unhashed": (),
        "embeddings/easyneg": (Digest("autov2", "ba98765432"),),
    }


def test_hashes_may_be_an_object() -> None:
    hashes = {"model": "0123456789", "vae": "abcdef0123", "lora:ink": "0123456789ab", "embed:neg": "1234567890"}

    assert found(f"x\nSteps: 20, Model: photo, Hashes: {json.dumps(hashes)}, Version: x") == {
        "checkpoints/photo": (Digest("autov2", "0123456789"),),
        "loras/ink": (Digest("autov3", "0123456789ab"),),
        "embeddings/neg": (Digest("autov2", "1234567890"),),
    }


@pytest.mark.parametrize("value", ["12345", "xyzxyzxyzx", "", "0" * 63])
def test_a_hash_of_no_known_length_is_left_out(value: str) -> None:
    assert found(f"Steps: 1, Model hash: {value}, Model: photo") == {"checkpoints/photo": ()}


@pytest.mark.parametrize(
    "text", ["", "a house", "Steps: 20", "Steps: 20, Sampler: Euler", "VAE: None\nSteps: 1, VAE: None"]
)
def test_parameters_without_a_model_name_none(text: str) -> None:
    assert found(text) == {}


@pytest.mark.parametrize(
    "data",
    [
        containers.png([("parameters", TEXT)]),
        containers.png([("parameters", TEXT)], "iTXt"),
        containers.webp(containers.exif({}, comment=b"UNICODE\0" + TEXT.encode("utf-16-be"))),
        containers.webp(containers.exif({}, comment=b"UNICODE\0" + TEXT.encode("utf-16-le"))),
        containers.webp(containers.exif({}, comment=b"ASCII\0\0\0" + TEXT.encode())),
    ],
    ids=["tEXt", "iTXt", "big-endian", "little-endian", "ascii"],
)
def test_pictures_of_other_front_ends_ask_for_their_models(data: bytes) -> None:
    requests = {request.label: request for request in read_workflow_bytes(data, label="p").requests}

    assert requests["loras/ink"].digests == (Digest("autov3", "0123456789ab"),)
    assert "checkpoints/photo, reel v5" in requests


def test_beside_a_graph_only_the_hashes_count() -> None:
    saved = graph(node("LoraLoader", ["sub/ink.safetensors", 1, 1]), node("CLIPTextEncode", ["embedding:easyneg"]))
    picture = containers.png([("parameters", TEXT), ("workflow", json.dumps(saved))])

    requests = {request.label: request.digests for request in read_workflow_bytes(picture, label="p").requests}

    assert requests == {
        "loras/sub/ink.safetensors": (Digest("autov3", "0123456789ab"),),
        "embeddings/easyneg": (Digest("autov2", "ba98765432"),),
    }


def test_parameters_that_name_no_model_are_no_workflow() -> None:
    with pytest.raises(NoWorkflow, match="generation parameters name no model"):
        read_workflow_bytes(containers.png([("parameters", "a house\nSteps: 20")]), label="p")
