"""Which value a widget has when the graph runs: what links bring, and what instances of subgraphs override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, field

from .nodes import align, names_something, widget_names
from .saved import SavedGraph, id_of, links_by_input, proxies_of

_MAX_LINKS_FOLLOWED = 64
_OUTER: Final = object()
"""Nothing outside overrides the widget: the value that the node itself stores counts."""
_UNKNOWN: Final = object()
"""The value is computed when the graph runs."""


@define
class Scope:
    """The root graph, or one instance of a subgraph."""

    graph: SavedGraph
    prefix: str = ""
    active: bool = True
    outer: Scope | None = None
    host_links: Mapping[str, Any] = field(factory=dict)
    """Input of the instance to the link, in ``outer``, that drives it."""
    promoted: Mapping[str, Any] = field(factory=dict)
    """Subgraph input to the value that the instance stores for it."""
    overrides: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """Inner node to widget to the value that the instance stores for it (the older serialisation)."""
    declarations: tuple[Mapping[str, Any], ...] = ()
    """What the instances around this scope declare."""
    expanding: frozenset[str] = frozenset()
    """Definitions around this scope, against cycles."""
    brings_files: bool = False
    """The values that come in from outside may name files."""


def host_values(
    scope: Scope, host: Mapping[str, Any], definition: SavedGraph
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read which inner widgets the values of a subgraph's instance belong to.

    Whatever pairs with the stored list by its number of entries gives the names: the list of promoted
    widgets, the object of names, the instance's own inputs, or the definition's inputs that lead to widgets.
    A list that pairs with none of them says nothing, and the inner nodes' own values count.
    """
    values, named = host.get("widgets_values"), host.get("widgets_values_named")
    proxies = proxies_of(host)
    promoted: dict[str, Any] = {}
    overrides: dict[str, dict[str, Any]] = {}
    if isinstance(values, list) and values and len(proxies) == len(values):
        for (inner, widget), value in zip(proxies, values, strict=True):
            if inner == "-1":
                promoted[widget] = value
            elif value is not None:
                overrides.setdefault(inner, {})[widget] = value
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
    promoted.update(scope.overrides.get(id_of(host), {}))
    return {name: value for name, value in promoted.items() if value is not None}, overrides


def driven(
    scope: Scope, node: Mapping[str, Any], widgets: list[tuple[str, Any]], linked: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """Put what arrives over links, and what an instance overrides, in the place of the stored values."""
    stored = {name: value for name, value in widgets if name}
    if scope.overrides:
        stored.update(scope.overrides.get(id_of(node), {}))
    for name, link in linked.items():
        value = _through(scope, link)
        if value is _UNKNOWN:
            stored.pop(name, None)
        elif value is not _OUTER:
            stored[name] = value
    return [*stored.items(), *(entry for entry in widgets if not entry[0])]


def _through(scope: Scope, link: object) -> Any:
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
            return scope.graph.handed_on(source, _constant)
        link = scope.graph.handed_on(source, _only_link)
    # The outermost instance that stores a value decides.
    return fallbacks[-1] if fallbacks else _OUTER


def _constant(source: Mapping[str, Any]) -> Any:
    """The value of a node that hands its one string on, a primitive for one; else :data:`_UNKNOWN`."""
    values = source.get("widgets_values")
    listed = list(values.values()) if isinstance(values, dict) else values if isinstance(values, list) else []
    if source.get("type") == "PrimitiveNode":
        return listed[0] if listed else _UNKNOWN
    strings = [value for value in listed if isinstance(value, str)]
    return strings[0] if len(strings) == 1 and names_something(strings[0]) else _UNKNOWN


def _only_link(reroute: Mapping[str, Any]) -> Any:
    return next(iter(links_by_input(reroute).values()), None)
