"""``properties.models``: believed for the file that is selected, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from standins.graphs import declared, graph, node, read

from comfywatchman_core.models import Digest

HASH = "a" * 64


def only(document: Any) -> Any:
    (request,) = read(document).requests
    return request


def test_the_address_and_the_checksum_of_the_selected_file_are_kept() -> None:
    loader = node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", "vae", hash=HASH, hash_type="SHA256"))

    request = only(graph(loader))

    assert request.url == "https://example.com/ae.safetensors"
    assert request.digests == (Digest("sha256", HASH),)


@pytest.mark.parametrize(
    "fields",
    [
        {"hash": HASH},
        {"hash": HASH, "hash_type": "unheard-of"},
        {"hash": "xyz", "hash_type": "SHA256"},
        {"hash": 3, "hash_type": "SHA256"},
    ],
)
def test_a_checksum_that_says_nothing_is_left_out(fields: dict[str, Any]) -> None:
    assert only(graph(node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", **fields)))).digests == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"hash": HASH[:-1], "hash_type": "SHA256"}, "not a sha256 digest"),
        ({"hash": "xyz\n", "hash_type": "SHA256"}, "not a sha256 digest: 'xyz'"),
        ({"hash": HASH, "hash_type": "unheard-of"}, "unknown digest algorithm 'unheardof'"),
    ],
)
def test_a_checksum_that_cannot_be_read_is_told_once(fields: dict[str, Any], reason: str) -> None:
    loader = node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", **fields))

    (problem,) = read(graph(loader, {**loader, "id": 2})).problems

    assert problem.code == "digest"
    assert reason in problem.message
    assert "'ae.safetensors'" in problem.message


@pytest.mark.parametrize("fields", [{}, {"hash": "", "hash_type": "SHA256"}, {"hash": HASH}, {"hash_type": "SHA256"}])
def test_of_a_checksum_that_is_not_there_nothing_is_told(fields: dict[str, Any]) -> None:
    assert not read(graph(node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", **fields)))).problems


@pytest.mark.parametrize("url", ["ftp://example.com/ae", "file:///etc/passwd", "javascript:alert(1)", 3, "x" * 5000])
def test_an_address_that_is_none_is_left_out(url: Any) -> None:
    loader = node("VAELoader", ["ae.safetensors"])
    loader["properties"] = {"models": [{"name": "ae.safetensors", "url": url, "directory": "vae"}]}

    assert only(graph(loader)).url is None


def test_the_same_file_in_another_sub_folder_is_the_declared_one() -> None:
    loader = node("LoraLoader", ["SDXL\\ink.safetensors", 1, 1], **declared("ink.safetensors", "loras"))

    assert only(graph(loader)).url == "https://example.com/ink.safetensors"


def test_the_same_name_in_two_sub_folders_is_two_files() -> None:
    loader = node(
        "LoraLoader", ["fp8/ink.safetensors", 1, 1], **declared("fp16/ink.safetensors", "loras", "https://x/y")
    )

    assert only(graph(loader)).url is None


def test_models_may_be_declared_at_the_root() -> None:
    entry = {"name": "ae.safetensors", "url": "https://example.com/root", "directory": "vae"}

    assert only(graph(node("VAELoader", ["ae.safetensors"]), models=[entry])).url == "https://example.com/root"
    assert read(graph(node("VAELoader", ["other.safetensors"]), models=[entry])).requests[0].url is None


def test_two_addresses_for_one_file_are_an_address_and_a_hint() -> None:
    first = node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", "vae", "https://example.com/1"))
    second = node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", "vae", "https://example.com/2"))

    request = only(graph(first, second))

    assert request.url == "https://example.com/1"
    assert request.hints == ("https://example.com/2",)


def test_another_nodes_declaration_of_the_same_name_is_a_hint() -> None:
    # the same file is a checkpoint in one node and a diffusion model in another: the folder is the reference's
    first = node("UNETLoader", ["flux.safetensors", "default"], **declared("flux.safetensors", "checkpoints"))
    second = node("CheckpointLoaderSimple", ["flux.safetensors"])

    requests = {request.folder: request for request in read(graph(first, second)).requests}

    assert requests["diffusion_models"].url == "https://example.com/flux.safetensors"
    assert requests["checkpoints"].url is None
    assert requests["checkpoints"].hints == ("https://example.com/flux.safetensors",)


def test_the_name_that_is_selected_counts_and_not_that_of_the_address() -> None:
    # renamed on download, on purpose
    loader = node("LoraLoader", ["mine.safetensors", 1, 1])
    loader.update(declared("mine.safetensors", "loras", "https://example.com/theirs.safetensors"))

    request = only(graph(loader))

    assert request.label == "loras/mine.safetensors"
    assert request.url == "https://example.com/theirs.safetensors"
