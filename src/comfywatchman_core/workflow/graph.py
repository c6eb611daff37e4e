"""Walk a saved graph: subgraphs, promoted widgets, group nodes, linked widgets, muted and bypassed nodes.

The meanings are those of ComfyUI's own frontend, which alone decides what a
saved graph does when it is queued.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from functools import cached_property
from typing import Any, Final

from attrs import define, field

from comfywatchman_core.errors import WorkflowError

from .loaders import LoaderTable
from .nodes import Node, align, names_a_file, names_something, pair, widget_names

MAX_NODES = 200_000
"""Nodes after every subgraph is expanded; a few nested definitions can stand for billions."""
_MAX_LINKS_FOLLOWED = 64
_MAX_NESTING = 64
_MAX_DECLARATIONS = 256
_LONGEST_ID = 80

_INACTIVE_MODES = (2, 4)  # 2: never (muted), 4: bypassed; LiteGraph's LGraphEventMode
_INPUT_NODE = -10  # the pseudo-node inside a subgraph from which its inputs come
_OUTER: Final = object()
"""Nothing outside overrides the widget: the value that the node itself stores counts."""
_UNKNOWN: Final = object()
"""The value is computed when the graph runs."""


def is_graph(document: object) -> bool:
    """Say whether *document* has the form of a saved graph."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def read_graph(document: Mapping[str, Any], loaders: LoaderTable) -> Iterator[Node]:
    """Walk every node of a saved graph, inner nodes of subgraphs and group nodes included.

    :raises WorkflowError: The graph stands for more nodes than anyone could run.
    """
    return _Reader(document, loaders).walk()


class _Graph:
    """The root graph or a subgraph's definition, with what is asked of it again and again."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        listed = document.get("nodes")
        self.nodes = [node for node in listed if isinstance(node, dict)] if isinstance(listed, list) else []
        inputs = document.get("inputs")
        self._inputs = inputs if isinstance(inputs, list) else []
        node = document.get("inputNode")
        self._input_node = node.get("id", _INPUT_NODE) if isinstance(node, dict) else _INPUT_NODE
        self._links = document.get("links")

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
        return {_id(node): node for node in self.nodes}

    @cached_property
    def widget_inputs(self) -> KeysView[str]:
        """Names of the subgraph's inputs that lead to a widget inside it, in order."""
        driven: set[int] = set()
        for node in self.nodes:
            for link in _links_by_widget(node).values():
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

    def is_input(self, node_id: object) -> bool:
        """Say whether *node_id* is the pseudo-node from which the inputs of a subgraph come."""
        return bool(node_id == self._input_node)

    def input_name(self, slot: object) -> str | None:
        if not isinstance(slot, int) or not 0 <= slot < len(self._inputs):
            return None
        entry = self._inputs[slot]
        name = entry.get("name") if isinstance(entry, dict) else None
        return name if isinstance(name, str) else None


@define
class _Scope:
    """The root graph, or one instance of a subgraph."""

    graph: _Graph
    prefix: str = ""
    active: bool = True
    outer: _Scope | None = None
    host_links: Mapping[str, Any] = field(factory=dict)
    """Input of the instance to the link, in ``outer``, that drives it."""
    promoted: Mapping[str, Any] = field(factory=dict)
    """Subgraph input to the value that the instance stores for it."""
    overrides: Mapping[tuple[str, str], Any] = field(factory=dict)
    """Inner node and widget to the value that the instance stores for them (the older serialisation)."""
    declarations: tuple[Mapping[str, Any], ...] = ()
    """What the instances around this scope declare."""
    expanding: frozenset[str] = frozenset()
    """Definitions around this scope, against cycles."""
    brings_files: bool = False
    """The values that come in from outside may name files."""


class _Reader:
    def __init__(self, document: Mapping[str, Any], loaders: LoaderTable) -> None:
        self._root = _Graph(document)
        self._loaders = loaders
        self._definitions: dict[str, _Graph] = {}
        self._collect_definitions(document, _MAX_NESTING)
        extra = document.get("extra")
        groups = extra.get("groupNodes") if isinstance(extra, dict) else None
        self._groups: Mapping[str, Any] = groups if isinstance(groups, dict) else {}
        self._read = 0

    def _collect_definitions(self, document: Mapping[str, Any], depth: int) -> None:
        definitions = document.get("definitions")
        listed = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        for definition in listed if isinstance(listed, list) else ():
            if isinstance(definition, dict) and isinstance(definition.get("id"), str) and depth:
                self._definitions.setdefault(definition["id"], _Graph(definition))
                self._collect_definitions(definition, depth - 1)

    def walk(self) -> Iterator[Node]:
        return self._walk(_Scope(self._root))

    def _walk(self, scope: _Scope) -> Iterator[Node]:
        for node in scope.graph.nodes:
            self._read += 1
            if self._read > MAX_NODES:
                raise WorkflowError(
                    f"the workflow expands to more than {MAX_NODES} nodes",
                    hint="Its subgraphs contain each other many times over; no ComfyUI could run it.",
                )
            node_class = node.get("type")
            if not isinstance(node_class, str):
                continue
            if node_class in self._definitions:
                yield from self._enter(scope, node, node_class)
            elif node_class.startswith(("workflow/", "workflow>")) and node_class[9:] in self._groups:
                yield from self._group(scope, node, self._groups[node_class[9:]])
            else:
                read = self._plain(scope, node, node_class)
                if read is not None:
                    yield read

    def _enter(self, scope: _Scope, host: Mapping[str, Any], definition_id: str) -> Iterator[Node]:
        if definition_id in scope.expanding or len(scope.expanding) >= _MAX_NESTING:
            return
        definition = self._definitions[definition_id]
        promoted, overrides = _host_values(scope, host, definition)
        host_links = _links_by_input(host)
        brings_files = any(map(names_something, promoted.values())) or any(map(names_something, overrides.values()))
        yield from self._walk(
            _Scope(
                definition,
                prefix=f"{scope.prefix}{_id(host)}:",
                active=scope.active and not _is_switched_off(host),
                outer=scope,
                host_links=host_links,
                promoted=promoted,
                overrides=overrides,
                declarations=(*_declarations(host), *scope.declarations)[:_MAX_DECLARATIONS],
                expanding=scope.expanding | {definition_id},
                brings_files=brings_files or not definition.widget_inputs.isdisjoint(host_links),
            )
        )

    def _plain(self, scope: _Scope, node: Mapping[str, Any], node_class: str) -> Node | None:
        described = self._loaders.node_class(node_class)
        if described is None and not self._may_name(scope, node, node_class):
            return None
        widgets = pair(node, described, self._loaders.nothing)
        linked = _links_by_widget(node)
        if linked or scope.overrides:
            widgets = _driven(scope, node, widgets, linked)
        declared = _declarations(node)
        if not widgets and not declared:
            return None
        return Node(
            f"{scope.prefix}{_id(node)}",
            node_class,
            scope.active and not _is_switched_off(node),
            tuple(widgets),
            (*declared, *scope.declarations) if scope.declarations else declared,
        )

    def _may_name(self, scope: _Scope, node: Mapping[str, Any], node_class: str) -> bool:
        """Tell the few nodes that may name a model from the many that do not, before anything else is asked of them."""
        if node_class in self._loaders.notes:
            return True
        if node_class in self._loaders.silent:
            return False
        if _is_of_interest(node) or _declarations(node):
            return True
        return scope.brings_files and (bool(scope.overrides) or bool(_links_by_widget(node)))

    def _group(self, scope: _Scope, node: Mapping[str, Any], group: object) -> Iterator[Node]:
        """Take an old group node apart: the inner classes say what is loaded, the instance's values win."""
        inner = group.get("nodes") if isinstance(group, dict) else None
        members: list[Mapping[str, Any]] = [
            member for member in (inner if isinstance(inner, list) else ()) if isinstance(member, dict)
        ]
        inside = _Scope(
            _Graph({}), prefix=f"{scope.prefix}{_id(node)}:", active=scope.active and not _is_switched_off(node)
        )
        for number, (member, values) in enumerate(zip(members, _group_values(members, node), strict=True)):
            self._read += 1
            node_class = member.get("type")
            if isinstance(node_class, str):
                read = self._plain(
                    inside, {**member, "id": number, "inputs": _unlinked(member), "widgets_values": values}, node_class
                )
                if read is not None:
                    yield read


def _host_values(
    scope: _Scope, host: Mapping[str, Any], definition: _Graph
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """Read which inner widgets the values of a subgraph's instance belong to.

    Whatever pairs with the stored list by its number of entries gives the names: the list of promoted
    widgets, the object of names, the instance's own inputs, or the definition's inputs that lead to widgets.
    A list that pairs with none of them says nothing, and the inner nodes' own values count.
    """
    values, named = host.get("widgets_values"), host.get("widgets_values_named")
    proxies = _proxies(host)
    promoted: dict[str, Any] = {}
    overrides: dict[tuple[str, str], Any] = {}
    if isinstance(values, list) and values and len(proxies) == len(values):
        for (inner, widget), value in zip(proxies, values, strict=True):
            if inner == "-1":
                promoted[widget] = value
            else:
                overrides[inner, widget] = value
    elif isinstance(values, list) and values:
        for names in (
            list(named) if isinstance(named, dict) else [],
            widget_names(host),
            list(definition.widget_inputs),
        ):
            paired = align(names, values) if names else None
            if paired is not None:
                promoted.update(paired)
                break
        else:
            promoted.update(named if isinstance(named, dict) else {})
    else:
        promoted.update(values if isinstance(values, dict) else named if isinstance(named, dict) else {})
    for (node_id, widget), value in scope.overrides.items():
        if node_id == _id(host):
            promoted[widget] = value
    return (
        {name: value for name, value in promoted.items() if value is not None},
        {place: value for place, value in overrides.items() if value is not None},
    )


def _driven(
    scope: _Scope, node: Mapping[str, Any], widgets: list[tuple[str, Any]], linked: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """Put what arrives over links, and what an instance overrides, in the place of the stored values."""
    stored = {name: value for name, value in widgets if name}
    if scope.overrides:
        node_id = _id(node)
        stored.update({name: value for (inner, name), value in scope.overrides.items() if inner == node_id})
    for name, link in linked.items():
        value = _through(scope, link)
        if value is _UNKNOWN:
            stored.pop(name, None)
        elif value is not _OUTER:
            stored[name] = value
    return [*stored.items(), *(entry for entry in widgets if not entry[0])]


def _through(scope: _Scope, link: object) -> Any:
    """Find the value that arrives over *link*.

    :returns: The value; :data:`_OUTER` when nothing outside says more than the node itself;
        :data:`_UNKNOWN` when it is computed.
    """
    fallbacks: list[Any] = []
    for _ in range(_MAX_LINKS_FOLLOWED):
        origin = scope.graph.origin_of(link)
        if origin is None:
            break
        if scope.graph.is_input(origin[0]):
            name = scope.graph.input_name(origin[1])
            if scope.outer is None or name is None:
                break
            if name in scope.promoted:
                fallbacks.append(scope.promoted[name])
            if name not in scope.host_links:
                break
            scope, link = scope.outer, scope.host_links[name]
            continue
        source = scope.graph.node(origin[0])
        if source is None:
            break
        if source.get("type") != "Reroute":
            return _constant(source)
        link = next(iter(_links_by_input(source).values()), None)
    # The outermost instance that stores a value decides.
    return fallbacks[-1] if fallbacks else _OUTER


def _group_values(members: list[Mapping[str, Any]], node: Mapping[str, Any]) -> list[Any]:
    """Share the flattened values of a group node's instance out among its members."""
    values = node.get("widgets_values")
    given = values if isinstance(values, list) else []
    lengths = [len(kept) if isinstance(kept := member.get("widgets_values"), list) else 0 for member in members]
    if not given or sum(lengths) != len(given):
        return _exchange_files(members, given)
    shares, at = [], 0
    for length in lengths:
        shares.append(given[at : at + length])
        at += length
    return shares


def _exchange_files(members: list[Mapping[str, Any]], given: list[Any]) -> list[Any]:
    """Put the file names of a group node's instance in the places of its definition's, in order."""
    files = [value for value in given if isinstance(value, str) and names_a_file(value)]
    stored = [member.get("widgets_values") for member in members]
    kept = [value for values in stored if isinstance(values, list) for value in values]
    if len(files) != sum(isinstance(value, str) and names_a_file(value) for value in kept):
        return stored
    following = iter(files)
    return [
        [next(following) if isinstance(value, str) and names_a_file(value) else value for value in values]
        if isinstance(values, list)
        else values
        for values in stored
    ]


def _is_of_interest(node: Mapping[str, Any]) -> bool:
    """Say whether a value of *node* may name a model, without looking at it closely."""
    values = node.get("widgets_values")
    if values is None:
        values = node.get("widgets_values_named")
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list):
        return False
    return any(map(names_something, values))


def _id(node: Mapping[str, Any]) -> str:
    node_id = node.get("id")
    return str(node_id)[:_LONGEST_ID] if isinstance(node_id, (int, str)) else "?"


def _is_switched_off(node: Mapping[str, Any]) -> bool:
    return node.get("mode") in _INACTIVE_MODES


def _declarations(node: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    properties = node.get("properties")
    listed = properties.get("models") if isinstance(properties, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(entry for entry in listed[:_MAX_DECLARATIONS] if isinstance(entry, dict))


def _links_by_widget(node: Mapping[str, Any]) -> dict[str, Any]:
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


def _links_by_input(node: Mapping[str, Any]) -> dict[str, Any]:
    """Name of each input that a link drives, with the link."""
    inputs = node.get("inputs")
    return {
        entry["name"]: entry["link"]
        for entry in (inputs if isinstance(inputs, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and entry.get("link") is not None
    }


def _unlinked(member: Mapping[str, Any]) -> list[Any]:
    """Inputs of a group's member without their links, which are numbered in no graph at hand."""
    inputs = member.get("inputs")
    return [
        {**entry, "link": None} for entry in (inputs if isinstance(inputs, list) else ()) if isinstance(entry, dict)
    ]


def _proxies(host: Mapping[str, Any]) -> list[tuple[str, str]]:
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


def _constant(source: Mapping[str, Any]) -> Any:
    """The value of a node that hands its one string on, a primitive for one; else :data:`_UNKNOWN`."""
    values = source.get("widgets_values")
    listed = list(values.values()) if isinstance(values, dict) else values if isinstance(values, list) else []
    if source.get("type") == "PrimitiveNode":
        return listed[0] if listed else _UNKNOWN
    strings = [value for value in listed if isinstance(value, str)]
    return strings[0] if len(strings) == 1 and names_something(strings[0]) else _UNKNOWN
