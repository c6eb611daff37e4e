"""A graph as it stands in the file: its nodes, links and inputs, and what is asked of them again and again."""

from __future__ import annotations

from collections.abc import Callable, KeysView, Mapping
from functools import cached_property
from typing import Any

from .effort import weight_of

MAX_DECLARATIONS = 256
"""Entries of ``properties.models`` that are looked at; nodes have one for each file they load."""

_INACTIVE_MODES = (2, 4)  # 2: never (muted), 4: bypassed; LiteGraph's LGraphEventMode
_INPUT_NODE = -10  # the pseudo-node inside a subgraph from which its inputs come
_LONGEST_ID = 80
_PARTS = ("widgets_values", "widgets_values_named", "inputs", "properties")


class SavedGraph:
    """The root graph or a subgraph's definition, with what is asked of it again and again."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        listed = document.get("nodes")
        self.nodes = [node for node in listed if isinstance(node, dict)] if isinstance(listed, list) else []
        inputs = document.get("inputs")
        self._inputs = inputs if isinstance(inputs, list) else []
        node = document.get("inputNode")
        self._input_node = node.get("id", _INPUT_NODE) if isinstance(node, dict) else _INPUT_NODE
        self._links = document.get("links")
        self._handed_on: dict[int, Any] = {}

    @cached_property
    def weight(self) -> int:
        """The work of walking the graph once, subgraphs in it not counted."""
        return sum(weight_of(node.get(part)) for node in self.nodes for part in _PARTS)

    @cached_property
    def _origins(self) -> dict[int | str, tuple[Any, Any]]:
        found: dict[int | str, tuple[Any, Any]] = {}
        for link in self._links if isinstance(self._links, list) else ():
            if isinstance(link, list) and len(link) >= 5 and isinstance(link[0], (int, str)):
                found[link[0]] = (link[1], link[2])
            elif isinstance(link, dict) and isinstance(link.get("id"), (int, str)):
                found[link["id"]] = (link.get("origin_id"), link.get("origin_slot"))
        return found

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Any]]:
        return {id_of(node): node for node in self.nodes}

    @cached_property
    def widget_inputs(self) -> KeysView[str]:
        """Names of the subgraph's inputs that lead to a widget inside it, in order."""
        driven: set[int] = set()
        for node in self.nodes:
            for link in links_by_widget(node).values():
                origin = self.origin_of(link)
                if origin is not None and self.is_input(origin[0]) and isinstance(origin[1], int):
                    driven.add(origin[1])
        names = (self.input_name(slot) for slot in sorted(driven))
        return dict.fromkeys(name for name in names if name is not None).keys()

    def origin_of(self, link: object) -> tuple[Any, Any] | None:
        """The node and the slot that *link* comes from."""
        return self._origins.get(link) if isinstance(link, (int, str)) else None

    def node(self, node_id: object) -> Mapping[str, Any] | None:
        return self._by_id.get(str(node_id)) if isinstance(node_id, (int, str)) else None

    def handed_on(self, source: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Any]) -> Any:
        """What *read* says of the node *source* of this graph; asked once, however many links leave the node."""
        known = self._handed_on
        if id(source) not in known:
            known[id(source)] = read(source)
        return known[id(source)]

    def is_input(self, node_id: object) -> bool:
        """Say whether *node_id* is the pseudo-node from which the inputs of a subgraph come."""
        return bool(node_id == self._input_node)

    def input_name(self, slot: object) -> str | None:
        if not isinstance(slot, int) or not 0 <= slot < len(self._inputs):
            return None
        entry = self._inputs[slot]
        name = entry.get("name") if isinstance(entry, dict) else None
        return name if isinstance(name, str) else None


def id_of(node: Mapping[str, Any]) -> str:
    """The id of a saved node, which may be a number or a word."""
    found = node.get("id")
    return str(found)[:_LONGEST_ID] if isinstance(found, (int, str)) else "?"


def is_switched_off(node: Mapping[str, Any]) -> bool:
    """Say whether a saved node is muted or bypassed."""
    return node.get("mode") in _INACTIVE_MODES


def declarations(node: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The entries of ``properties.models`` of a saved node, unchecked."""
    properties = node.get("properties")
    listed = properties.get("models") if isinstance(properties, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(entry for entry in listed[:MAX_DECLARATIONS] if isinstance(entry, dict))


def links_by_widget(node: Mapping[str, Any]) -> dict[str, Any]:
    """Name of each widget that a link drives, with the link."""
    found: dict[str, Any] = {}
    inputs = node.get("inputs")
    for entry in inputs if isinstance(inputs, list) else ():
        if isinstance(entry, dict) and entry.get("link") is not None:
            widget = entry.get("widget")
            name = widget.get("name") if isinstance(widget, dict) else None
            if isinstance(name, str):
                found[name] = entry["link"]
    return found


def links_by_input(node: Mapping[str, Any]) -> dict[str, Any]:
    """Name of each input that a link drives, with the link."""
    inputs = node.get("inputs")
    return {
        entry["name"]: entry["link"]
        for entry in (inputs if isinstance(inputs, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and entry.get("link") is not None
    }


def takes_text(host: Mapping[str, Any]) -> bool:
    """Say whether a link may bring a text, a file's name for one, into an instance of a subgraph."""
    inputs = host.get("inputs")
    return isinstance(inputs, list) and any(
        isinstance(entry, dict)
        and entry.get("link") is not None
        and (entry.get("widget") is not None or entry.get("type") in ("COMBO", "STRING", "*", None))
        for entry in inputs
    )


def proxies_of(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Read ``properties.proxyWidgets``: pairs of inner node and widget; ``-1`` is a subgraph input."""
    properties = host.get("properties")
    listed = properties.get("proxyWidgets") if isinstance(properties, dict) else None
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, list) and len(entry) >= 2 and isinstance(entry[1], str):
            inner, widget = str(entry[0])[:_LONGEST_ID] if isinstance(entry[0], (int, str)) else "?", entry[1]
            prefix, separator, bare = widget.partition(": ")  # "12: name", an older way to say which node
            found.append((inner, bare if separator and prefix.isdigit() else widget))
    return found
