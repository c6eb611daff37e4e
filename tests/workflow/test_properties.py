"""Properties of reading that hold for every graph, however odd: generated, not thought up."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from comfywatchman_core.errors import WorkflowError
from comfywatchman_core.merging import merge_requests
from comfywatchman_core.names import safe_name
from comfywatchman_core.workflow import Workflow, read_workflow_bytes
from comfywatchman_core.workflow.loaders import packaged

NAMES = st.sampled_from(
    [
        "a.safetensors", "SDXL\\a.safetensors", "sub/b.gguf", "../../evil.safetensors", "C:\\x.pt", "taesd", "None", "",
        "bbox/face.pt", "svdq-int4", "org/name", "x.engine", "embedding:neg", "(embedding:neg:1.1) <lora:ink:1>",
        "x" * 300 + ".bin", "con.pt", "größe.ckpt", "a\0.pt", "\udcff.pt", "https://example.com/a.safetensors",
    ]
)  # fmt: skip
CLASSES = st.sampled_from(
    [*sorted(packaged().classes)[::7], "Note", "PrimitiveNode", "Reroute", "Unheard-of", "a", "b"]
)
WIDGETS = st.sampled_from(["ckpt_name", "lora_name", "lora_1", "text", "unet_name", "seed", "vae_name", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.floats(allow_nan=True) | NAMES | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WIDGETS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
IDS = st.integers(0, 6) | st.sampled_from(["1", "two", "-10"])
INPUTS = st.lists(
    st.fixed_dictionaries(
        {"name": WIDGETS, "link": st.none() | st.integers(0, 9)},
        optional={"widget": st.fixed_dictionaries({"name": WIDGETS})},
    ),
    max_size=4,
)
FOLDERS = st.sampled_from(["vae", "custom_nodes", "../x", "unet"])
DECLARED = st.lists(st.fixed_dictionaries({"name": NAMES, "directory": FOLDERS, "url": NAMES}), max_size=2)
NODES = st.fixed_dictionaries(
    {"id": IDS, "type": CLASSES, "mode": st.integers(0, 4)},
    optional={
        "widgets_values": st.lists(JSON, max_size=5) | st.dictionaries(WIDGETS, JSON, max_size=4),
        "widgets_values_named": st.dictionaries(WIDGETS, JSON, max_size=4),
        "inputs": INPUTS,
        "properties": st.fixed_dictionaries(
            {}, optional={"models": DECLARED, "proxyWidgets": st.lists(st.tuples(IDS, WIDGETS).map(list), max_size=3)}
        ),
    },
)
SLOTS = st.integers(0, 2)
LINKS = st.lists(
    st.tuples(st.integers(0, 9), IDS | st.just(-10), SLOTS, IDS, SLOTS, st.just("*")).map(list), max_size=6
)
SUBGRAPHS = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["a", "b"]), "nodes": st.lists(NODES, max_size=3), "links": LINKS, "inputs": INPUTS}
    ),
    max_size=2,
)
GRAPHS = st.fixed_dictionaries(
    {"nodes": st.lists(NODES, max_size=5), "links": LINKS},
    optional={"definitions": st.fixed_dictionaries({"subgraphs": SUBGRAPHS}), "models": DECLARED},
)
PROMPTS = st.dictionaries(
    st.text(max_size=4),
    st.fixed_dictionaries({"class_type": CLASSES, "inputs": st.dictionaries(WIDGETS, JSON, max_size=4)}),
    max_size=4,
)


def read(document: Any) -> Workflow | None:
    """Read *document*; ``None`` where it is refused in the documented way."""
    try:
        return read_workflow_bytes(json.dumps(document).encode(), label="w.json")
    except WorkflowError:
        return None


@settings(max_examples=120, deadline=None)
@given(GRAPHS | PROMPTS | JSON)
def test_reading_ends_with_requests_or_with_the_documented_error(document: Any) -> None:
    found = read(document)

    assert found is None or all(request.name is not None for request in found.requests)


@settings(max_examples=120, deadline=None)
@given(GRAPHS | PROMPTS)
def test_no_name_and_no_folder_leaves_the_models_folder(document: Any) -> None:
    found = read(document)

    for request in found.requests if found else ():
        assert safe_name(request.name or "") == request.name
        assert ".." not in PurePosixPath(request.folder).parts
        assert request.folder not in ("custom_nodes", "user", "input", "web", "configs")


@settings(max_examples=60, deadline=None)
@given(GRAPHS | PROMPTS)
def test_reading_twice_says_the_same(document: Any) -> None:
    assert read(document) == read(document)


@settings(max_examples=60, deadline=None)
@given(GRAPHS | PROMPTS)
def test_every_file_is_asked_for_once(document: Any) -> None:
    found = read(document)

    if found is not None:
        assert merge_requests(found.requests) == found.requests
        assert len({request.label for request in found.requests}) == len(found.requests)


@settings(max_examples=60, deadline=None)
@given(GRAPHS)
def test_muting_every_node_takes_nothing_away_and_leaves_nothing_active(document: Any) -> None:
    def muted(graph: dict[str, Any]) -> dict[str, Any]:
        return {**graph, "nodes": [{**node, "mode": 2} for node in graph["nodes"]]}

    before, after = read(document), read(muted(document))

    if before is not None and after is not None:
        assert {request.label for request in before.requests} == {request.label for request in after.requests}
        assert not any(request.active for request in after.requests)
