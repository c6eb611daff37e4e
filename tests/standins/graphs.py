"""Workflows as ComfyUI's frontend saves them, built in a line or two."""

from __future__ import annotations

import json
from typing import Any

from comfywatchman_core.workflow import LoaderTable, Workflow, read_workflow_bytes

ALWAYS, MUTED, BYPASSED = 0, 2, 4


def node(node_class: str, values: Any = None, /, **fields: Any) -> dict[str, Any]:
    """A saved node; ``id`` counts from 1 in :func:`graph` unless it is given."""
    return {"type": node_class, "mode": ALWAYS, "widgets_values": values, **fields}


def graph(*nodes: dict[str, Any], links: Any = (), **fields: Any) -> dict[str, Any]:
    """A saved graph of *nodes*."""
    numbered = [{"id": number, **one} for number, one in enumerate(nodes, 1)]
    return {"nodes": numbered, "links": list(links), "version": 0.4, **fields}


def subgraph(identity: str, *nodes: dict[str, Any], inputs: Any = (), links: Any = ()) -> dict[str, Any]:
    """A definition; each of *links* is (id, slot of the definition's input, inner node, its slot)."""
    return {
        **graph(*nodes),
        "id": identity,
        "version": 1,
        "inputs": [{"id": f"in{slot}", "name": name, "type": "*"} for slot, name in enumerate(inputs)],
        "inputNode": {"id": -10},
        "outputNode": {"id": -20},
        "links": [
            {"id": link, "origin_id": -10, "origin_slot": slot, "target_id": target, "target_slot": at, "type": "*"}
            for link, slot, target, at in links
        ],
    }


def widget_input(name: str, link: int | None = None) -> dict[str, Any]:
    """An entry of a node's ``inputs`` that belongs to a widget."""
    return {"name": name, "type": "COMBO", "widget": {"name": name}, "link": link}


def declared(name: str, directory: str = "", url: str = "", **fields: Any) -> dict[str, Any]:
    """``properties`` that declare one model."""
    entry = {"name": name, "directory": directory, "url": url or f"https://example.com/{name}", **fields}
    return {"properties": {"models": [entry]}}


def read(document: Any, *, loaders: LoaderTable | None = None) -> Workflow:
    """Read *document* as the file ``w.json``."""
    return read_workflow_bytes(json.dumps(document).encode(), label="w.json", loaders=loaders)


def labels(document: Any) -> list[str]:
    """``FOLDER/NAME`` of everything active that *document* asks for."""
    return [request.label for request in read(document).requests if request.active]


def inactive(document: Any) -> list[str]:
    """``FOLDER/NAME`` of everything that only switched-off nodes ask for."""
    return [request.label for request in read(document).requests if not request.active]


def problems(document: Any) -> list[str]:
    """Codes of what has to be said about *document*."""
    return [problem.code for problem in read(document).problems]
