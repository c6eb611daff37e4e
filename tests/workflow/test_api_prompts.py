"""The graph as it is sent to the server, and what servers and tools wrap around graphs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from standins.graphs import MUTED, graph, inactive, labels, node, read

from comfywatchman_core.errors import NoWorkflow, WorkflowError
from comfywatchman_core.workflow import read_workflow_bytes


def prompt(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        identity.lstrip("n"): {"class_type": node_class, "inputs": inputs, "_meta": {"title": node_class}}
        for identity, (node_class, inputs) in nodes.items()
    }


PROMPT = prompt(n4=("CheckpointLoaderSimple", {"ckpt_name": "ink.safetensors"}))
SAVED = graph(node("CheckpointLoaderSimple", ["ink.safetensors"]), node("VAELoader", ["muted.safetensors"], mode=MUTED))


def test_inputs_are_read_by_their_exact_names() -> None:
    document = prompt(
        n1=("LoraLoader", {"model": ["4", 0], "lora_name": "a.safetensors", "strength_model": 1}),
        n2=("DualCLIPLoader", {"clip_name1": "b.safetensors", "clip_name2": "c.safetensors", "type": "flux"}),
    )

    assert labels(document) == ["loras/a.safetensors", "text_encoders/b.safetensors", "text_encoders/c.safetensors"]


def test_ids_of_flattened_subgraphs_are_kept() -> None:
    document = {"57:28": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}}}

    assert read(document).requests[0].wanted_by[0].node == "57:28"


def test_rows_of_objects_and_dotted_inputs_are_read() -> None:
    document = prompt(
        n1=(
            "Power Lora Loader (rgthree)",
            {
                "lora_1": {"on": True, "lora": "a.safetensors", "strength": 1},
                "lora_2": {"on": False, "lora": "off.safetensors", "strength": 1},
            },
        ),
        n2=("LoadLoraModel", {"loras.0.lora_name": "b.safetensors", "loras.1.lora_name": "c.safetensors"}),
        n3=("Lora Loader (LoraManager)", {"text": "", "loras": {"__value__": [{"name": "d", "active": True}]}}),
    )

    assert labels(document) == ["loras/a.safetensors", "loras/b.safetensors", "loras/c.safetensors", "loras/d"]
    assert inactive(document) == ["loras/off.safetensors"]


def test_a_linked_input_takes_the_file_name_of_its_origin() -> None:
    document = prompt(
        n1=("PrimitiveString", {"value": "ae.safetensors"}),
        n2=("VAELoader", {"vae_name": ["1", 0]}),
    )

    assert labels(document) == ["vae/ae.safetensors"]


def test_a_prompt_may_have_other_keys_beside_its_nodes() -> None:
    assert labels({**PROMPT, "version": "1.0"}) == ["checkpoints/ink.safetensors"]


def test_python_writes_what_json_does_not_allow() -> None:
    text = json.dumps({**PROMPT, "5": {"class_type": "X", "inputs": {}, "is_changed": [float("nan"), float("inf")]}})

    found = read_workflow_bytes(text.encode(), label="w.json")

    assert [request.label for request in found.requests] == ["checkpoints/ink.safetensors"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_of_json_is_read(encoding: str) -> None:
    text = json.dumps(graph(node("VAELoader", ["größe.safetensors"])), ensure_ascii=False)

    found = read_workflow_bytes(text.encode(encoding), label="w.json")

    assert [request.label for request in found.requests] == ["vae/größe.safetensors"]


def test_broken_characters_do_not_hide_the_rest() -> None:
    text = json.dumps(graph(node("X", ["?"]), node("VAELoader", ["ae.safetensors"]))).replace("?", "\udcff")

    found = read_workflow_bytes(text.encode("utf-8", "surrogateescape"), label="w.json")

    assert [request.label for request in found.requests] == ["vae/ae.safetensors"]


QUEUED = [1, "id", PROMPT, {"extra_pnginfo": {"workflow": SAVED}, "client_id": "x"}, ["9"]]


@pytest.mark.parametrize(
    ("document", "prefers_saved"),
    [
        ({"prompt": PROMPT, "extra_data": {"extra_pnginfo": {"workflow": SAVED}}}, True),
        ({"prompt": PROMPT, "client_id": "x"}, False),
        ({"prompt": json.dumps(PROMPT), "workflow": SAVED}, True),
        ({"prompt": json.dumps(PROMPT), "workflow": json.dumps(SAVED)}, True),
        ({"output": PROMPT, "workflow": SAVED}, True),
        ({"input": {"workflow": PROMPT}}, False),
        ({"0f8d1c4e": {"prompt": QUEUED, "outputs": {}, "status": {"completed": True}}}, True),
        ({"prompt": QUEUED, "outputs": {}}, True),
        ({"queue_running": [QUEUED], "queue_pending": []}, True),
        (QUEUED, True),
    ],
    ids=["body", "bare-body", "strings", "all-strings", "exported", "worker", "history", "entry", "queue", "item"],
)
def test_what_servers_and_tools_wrap_around_a_graph(document: Any, prefers_saved: bool) -> None:
    assert labels(document) == ["checkpoints/ink.safetensors"]
    assert inactive(document) == (["vae/muted.safetensors"] if prefers_saved else [])


def test_a_history_of_many_runs_asks_for_the_models_of_all() -> None:
    other = prompt(n1=("VAELoader", {"vae_name": "ae.safetensors"}))
    history = {"a": {"prompt": [1, "a", PROMPT, {}, []]}, "b": {"prompt": [2, "b", other, {}, []]}}

    assert labels(history) == ["checkpoints/ink.safetensors", "vae/ae.safetensors"]


def test_node_templates_are_recognised_and_refused() -> None:
    with pytest.raises(NoWorkflow, match="node templates, not a workflow") as caught:
        read({"templates": [{"name": "x", "data": "{}"}]})

    assert "Insert the template" in str(caught.value.hint)


@pytest.mark.parametrize("document", [{}, [], 3, "text", None, {"a": {"b": 1}}, {"nodes": {}}, [{"nodes": []}]])
def test_other_json_is_no_workflow(document: Any) -> None:
    with pytest.raises(NoWorkflow):
        read(document)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b'{"nodes": [', r"not JSON: .*line 1, column"),
        (b"hello", "not JSON"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"nodes": [' + b"1" * 5000 + b"]}", "not JSON"),
        (b'{"nodes": [' + b"{}," * 1_000_000 + b"{}]}", "more than 1000000 parts"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(WorkflowError, match=message) as caught:
        read_workflow_bytes(data, label="w.json")

    assert not isinstance(caught.value, NoWorkflow)
    assert str(caught.value).startswith("w.json: ")


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"PK\x03\x04\0\0", b"\0\0\0\0", b"GIF89a\0"])
def test_files_of_other_kinds_cary_no_workflow(data: bytes) -> None:
    with pytest.raises(NoWorkflow, match="no kind of file that carries a workflow"):
        read_workflow_bytes(data, label="x")
