"""Walk a saved graph: subgraphs, group nodes, muted and bypassed nodes, every node with the values that count.

The meanings are those of ComfyUI's own frontend, which alone decides what a
saved graph does when it is queued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from comfywatchman_core.errors import WorkflowError

from .effort import Effort, weight_of
from .groups import group_values, unlinked
from .loaders import LoaderTable
from .nodes import LONGEST_CLASS, Node, names_something, pair
from .saved import (
    MAX_DECLARATIONS,
    SavedGraph,
    declarations,
    id_of,
    is_switched_off,
    links_by_input,
    links_by_widget,
    takes_text,
)
from .values import Scope, driven, host_values

MAX_NODES = 200_000
"""Nodes after every subgraph is expanded; a few nested definitions can stand for billions."""
_MAX_NESTING = 64
_FREE_INSTANCES = 16
"""Instances of one subgraph that are walked uncounted: they cost no more than reading the file some times over."""


def is_graph(document: object) -> bool:
    """Say whether *document* has the form of a saved graph."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def read_graph(document: Mapping[str, Any], loaders: LoaderTable, effort: Effort) -> Iterator[Node]:
    """Walk every node of a saved graph that may name a model, inner nodes of subgraphs and group nodes included.

    :raises WorkflowError: The graph stands for more nodes than anyone could run.
    """
    return _Reader(document, loaders, effort).walk()


class _Reader:
    def __init__(self, document: Mapping[str, Any], loaders: LoaderTable, effort: Effort) -> None:
        self._effort = effort
        self._root = SavedGraph(document)
        self._loaders = loaders
        self._definitions: dict[str, SavedGraph] = {}
        self._collect_definitions(document, _MAX_NESTING)
        extra = document.get("extra")
        groups = extra.get("groupNodes") if isinstance(extra, dict) else None
        self._groups: Mapping[str, Any] = groups if isinstance(groups, dict) else {}
        self._read = 0
        self._entered: Counter[str] = Counter()

    def _collect_definitions(self, document: Mapping[str, Any], depth: int) -> None:
        definitions = document.get("definitions")
        listed = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        for definition in listed if isinstance(listed, list) else ():
            if isinstance(definition, dict) and isinstance(definition.get("id"), str) and depth:
                self._definitions.setdefault(definition["id"], SavedGraph(definition))
                self._collect_definitions(definition, depth - 1)

    def walk(self) -> Iterator[Node]:
        return self._walk(Scope(self._root))

    def _walk(self, scope: Scope) -> Iterator[Node]:
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

    def _enter(self, scope: Scope, host: Mapping[str, Any], definition_id: str) -> Iterator[Node]:
        if definition_id in scope.expanding or len(scope.expanding) >= _MAX_NESTING:
            return
        definition = self._definitions[definition_id]
        self._entered[definition_id] += 1
        if self._entered[definition_id] > _FREE_INSTANCES:
            self._effort.spend(definition.weight + len(definition.nodes) * len(scope.declarations))
        promoted, overrides = host_values(scope, host, definition)
        host_links = links_by_input(host)
        brings_files = any(map(names_something, promoted.values())) or bool(overrides)
        yield from self._walk(
            Scope(
                definition,
                prefix=f"{scope.prefix}{id_of(host)}:",
                active=scope.active and not is_switched_off(host),
                outer=scope,
                host_links=host_links,
                promoted=promoted,
                overrides=overrides,
                declarations=(*declarations(host), *scope.declarations)[:MAX_DECLARATIONS],
                expanding=scope.expanding | {definition_id},
                brings_files=brings_files or takes_text(host),
            )
        )

    def _plain(self, scope: Scope, node: Mapping[str, Any], node_class: str) -> Node | None:
        described = self._loaders.node_class(node_class)
        if described is None and not self._may_name(scope, node, node_class):
            return None
        widgets = pair(node, described, self._loaders.nothing)
        linked = links_by_widget(node)
        if linked or scope.overrides:
            widgets = driven(scope, node, widgets, linked)
        declared = declarations(node)
        if not widgets and not declared:
            return None
        return Node(
            f"{scope.prefix}{id_of(node)}",
            node_class[:LONGEST_CLASS],
            scope.active and not is_switched_off(node),
            tuple(widgets),
            (*declared, *scope.declarations) if scope.declarations else declared,
        )

    def _may_name(self, scope: Scope, node: Mapping[str, Any], node_class: str) -> bool:
        """Tell the few nodes that may name a model from the many that do not, before anything else is asked of them."""
        if node_class in self._loaders.notes:
            return True
        if node_class in self._loaders.silent:
            return False
        if _is_of_interest(node) or declarations(node):
            return True
        return scope.brings_files and (bool(scope.overrides) or bool(links_by_widget(node)))

    def _group(self, scope: Scope, node: Mapping[str, Any], group: object) -> Iterator[Node]:
        """Take an old group node apart: the inner classes say what is loaded, the instance's values win."""
        inner = group.get("nodes") if isinstance(group, dict) else None
        members: list[Mapping[str, Any]] = [
            member for member in (inner if isinstance(inner, list) else ()) if isinstance(member, dict)
        ]
        self._effort.spend(self._root.handed_on(group, weight_of) if isinstance(group, dict) else 0)
        inside = Scope(
            SavedGraph({}), prefix=f"{scope.prefix}{id_of(node)}:", active=scope.active and not is_switched_off(node)
        )
        for number, (member, values) in enumerate(zip(members, group_values(members, node), strict=True)):
            self._read += 1
            node_class = member.get("type")
            if isinstance(node_class, str):
                read = self._plain(
                    inside, {**member, "id": number, "inputs": unlinked(member), "widgets_values": values}, node_class
                )
                if read is not None:
                    yield read


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
