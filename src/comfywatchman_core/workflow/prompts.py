"""Read the graph in the form in which it is sent to the server: every input by name, nothing muted in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .graph import MAX_NODES
from .nodes import LONGEST_CLASS, Node, names_something


def is_prompt(document: object) -> bool:
    """Say whether *document* maps node ids to nodes with a ``class_type``; a few other keys beside them do no harm."""
    if not isinstance(document, dict):
        return False
    nodes = sum(_is_node(value) for value in document.values())
    return nodes > 0 and nodes * 2 >= len(document)


def read_prompt(document: Mapping[str, Any]) -> Iterator[Node]:
    """Walk the nodes of a prompt; an input that a link drives holds what its origin says, if that is a file name."""
    handed_on: dict[str, str | None] = {}
    for count, (node_id, node) in enumerate(document.items()):
        if count >= MAX_NODES:
            return
        if not _is_node(node):
            continue
        inputs = node.get("inputs")
        if not isinstance(inputs, dict):
            continue
        widgets: list[tuple[str, Any]] = []
        for name, value in inputs.items():
            if _is_link(value):
                origin = str(value[0])
                if origin not in handed_on:
                    handed_on[origin] = _constant(document.get(origin))
                value = handed_on[origin]
            if value is not None:
                widgets.append((name, value))
        yield Node(str(node_id)[:80], node["class_type"][:LONGEST_CLASS], True, tuple(widgets))


def _is_node(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("class_type"), str)


def _is_link(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], (str, int))
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def _constant(source: object) -> str | None:
    """The text that a node hands on as its only string, if it names a model."""
    inputs = source.get("inputs") if isinstance(source, dict) else None
    strings = [value for value in inputs.values() if isinstance(value, str)] if isinstance(inputs, dict) else []
    return strings[0] if len(strings) == 1 and names_something(strings[0]) else None
