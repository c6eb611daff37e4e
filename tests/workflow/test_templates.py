"""The official templates and blueprints, held against what they declare: all of it, and nothing else.

The reader is asked without its look at ``properties.models``: that is the expectation.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman_core.errors import NoWorkflow
from comfywatchman_core.workflow import read_workflow, read_workflow_bytes

TEMPLATES = "comfyui-workflow-templates-json"
BLUEPRINTS = "comfyui-subgraph-blueprints"


def files_of(distribution: str) -> list[Path]:
    try:
        listed = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")
    paths = [Path(str(path.locate())) for path in listed if path.suffix == ".json"]
    return sorted(path for path in paths if is_workflow(path.read_bytes()))


def is_workflow(text: bytes) -> bool:
    """Tell workflows from the catalogues beside them."""
    document = json.loads(text)
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def nodes_of(document: Any) -> Iterator[dict[str, Any]]:
    """Every node anywhere in *document*, however it is nested."""
    if isinstance(document, dict):
        if isinstance(document.get("properties"), dict) and "type" in document:
            yield document
        for value in document.values():
            yield from nodes_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from nodes_of(value)


def declared(document: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in nodes_of(document):
        for entry in node["properties"].get("models") or ():
            found.setdefault(entry["name"], set()).add(entry["directory"])
    return found


def without_declarations(document: Any) -> bytes:
    for node in nodes_of(document):
        node["properties"].pop("models", None)
    return json.dumps(document).encode()


def compare(texts: dict[str, bytes]) -> tuple[int, int, list[str], list[str]]:
    """Read all of *texts*.

    :returns: Workflows, declared (file, name) pairs, what was missed or misplaced, what was invented.
    """
    workflows = pairs = 0
    wrong: list[str] = []
    invented: list[str] = []
    for name, text in texts.items():
        document = json.loads(text)
        expected = declared(document)
        read = read_workflow_bytes(without_declarations(document), label=name)
        workflows += 1
        pairs += len(expected)
        found: dict[str, set[str]] = {}
        for request in read.requests:
            found.setdefault(str(request.name), set()).add(request.folder)
        wrong += [f"{name}: {one}: {found.get(one)}" for one in expected if found.get(one) != expected[one]]
        invented += [f"{name}: {one}" for one in found if one not in expected]
    return workflows, pairs, wrong, invented


def test_every_model_of_every_template_is_found_in_its_folder_and_none_is_invented() -> None:
    workflows, pairs, wrong, invented = compare({path.name: path.read_bytes() for path in files_of(TEMPLATES)})

    assert wrong == []
    assert invented == []
    if importlib.metadata.version(TEMPLATES) == "0.1.123":
        assert (workflows, pairs) == (644, 999)


def test_every_model_of_every_blueprint_is_found_in_its_folder_and_none_is_invented() -> None:
    workflows, pairs, wrong, invented = compare({path.name: path.read_bytes() for path in files_of(BLUEPRINTS)})

    assert wrong == []
    assert invented == []
    if importlib.metadata.version(BLUEPRINTS) == "0.0.13":
        assert (workflows, pairs) == (115, 326)


@pytest.mark.slow
def test_templates_of_a_year_ago_are_read_as_well(older_templates: dict[str, bytes]) -> None:
    workflows, pairs, wrong, invented = compare(older_templates)

    assert (workflows, pairs) == (172, 354)
    assert wrong == []
    # Named in a prompt, and declared nowhere.
    assert invented == ["embedding_example.json: SDA768.pt"]


@pytest.fixture(scope="session")
def older_templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Version 0.1.95, of 84 MB with its pictures; fetched before the network guard of the first test stands."""
    directory = tmp_path_factory.mktemp("templates")
    wanted = "comfyui-workflow-templates==0.1.95"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(directory), wanted]
    if subprocess.run(command, capture_output=True, timeout=300).returncode:
        pytest.skip(f"{wanted} cannot be fetched here")
    with zipfile.ZipFile(next(directory.glob("*.whl"))) as wheel:
        texts = {Path(name).name: wheel.read(name) for name in wheel.namelist() if name.endswith(".json")}
    return {name: text for name, text in texts.items() if is_workflow(text)}


def test_the_catalogues_beside_the_templates_are_no_workflows() -> None:
    folder = files_of(TEMPLATES)[0].parent
    catalogues = [path for path in folder.glob("*.json") if not is_workflow(path.read_bytes())]

    assert catalogues
    for path in catalogues:
        with pytest.raises(NoWorkflow, match="neither a saved workflow nor an API prompt"):
            read_workflow(path)


def test_a_value_promoted_to_the_instance_wins_over_the_one_inside() -> None:
    path = one_of("video_wan_animate2_distilled.json")

    names = {str(request.name) for request in read_workflow(path).requests}

    assert "wan_animate_2_distill_int8_convrot.safetensors" in names
    assert "wan_animate_2_int8_convrot.safetensors" not in names


def test_addresses_and_checksums_of_the_selected_declarations_are_kept() -> None:
    declared_hashes = hashed = addressed = requests = 0
    for path in files_of(TEMPLATES):
        document = json.loads(path.read_bytes())
        entries = [entry for node in nodes_of(document) for entry in node["properties"].get("models") or ()]
        declared_hashes += len({entry["name"] for entry in entries if entry.get("hash")})
        read = read_workflow(path)
        hashed += sum(request.sha256 is not None for request in read.requests)
        addressed += sum(request.url is not None for request in read.requests)
        requests += len(read.requests)

    assert addressed == requests
    assert hashed == declared_hashes > 0


def one_of(name: str) -> Path:
    found = [path for path in files_of(TEMPLATES) if path.name == name]
    if not found:
        pytest.skip(f"this version has no {name}")
    return found[0]
