"""One node of a workflow as ComfyUI would run it, whichever form of graph it stood in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from comfywatchman_core.names import MODEL_EXTENSIONS

from .loaders import NodeClass

FILE_EXTENSIONS = MODEL_EXTENSIONS | {".engine"}
"""Suffixes by which a free string is taken for a model file. Engines are built on the machine, and told of."""

LONGEST_CLASS = 200
"""Characters of a class's name that are kept."""
MAX_DEPTH = 6
"""Levels of objects and lists inside one widget's value; packs use up to three."""
MAX_VALUES = 20_000
"""Strings that one widget's value may hold; what lies beyond is not read."""

_CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_SWITCHES = ("on", "active", "enabled", "enable")


@frozen
class Node:
    """One node, its widgets paired with their names."""

    id: str
    """With the ids of the subgraph instances around it: ``11:3``."""
    node_class: str
    active: bool
    """False for a muted or bypassed node, and for everything inside a subgraph that is one."""
    widgets: tuple[tuple[str, Any], ...]
    """Name and value; the name is empty where nothing tells it."""
    declarations: tuple[Mapping[str, Any], ...] = ()
    """``properties.models`` of the node itself, then of the instances around it; unchecked."""


@frozen
class Text:
    """A string inside a widget's value."""

    name: str
    """The widget's name; with a dot and the key for a string inside an object."""
    value: str
    live: bool = True
    """False where a switch beside it turns it off."""


def names_a_file(text: str) -> bool:
    """Say whether *text* ends like the name of a model file."""
    dot = text.rfind(".", -13)
    return dot > 0 and text[dot:].lower() in FILE_EXTENSIONS and text[dot - 1] not in "/\\"


def names_something(value: object) -> bool:
    """Say whether *value* may hold a model's name: cheap, and rather wrong than silent."""
    if isinstance(value, str):
        return names_a_file(value) or "embedding:" in value or "<lora:" in value
    return isinstance(value, (dict, list)) and bool(value)


def texts(widgets: Iterable[tuple[str, Any]]) -> Iterator[Text]:
    """Walk all strings of *widgets*, those inside objects and lists included."""
    for name, value in widgets:
        if isinstance(value, str):
            yield Text(name, value)
        elif isinstance(value, (dict, list)):
            yield from _nested(name, value)


def _nested(name: str, value: Any) -> Iterator[Text]:
    found = 0
    waiting: list[tuple[str, Any, bool, int]] = [(name, value, True, 0)]
    while waiting and found < MAX_VALUES:
        name, value, live, depth = waiting.pop()
        if isinstance(value, str):
            found += 1
            yield Text(name, value, live)
        elif depth >= MAX_DEPTH:
            continue
        elif isinstance(value, dict):
            live = live and not any(value.get(switch) is False for switch in _SWITCHES)
            waiting += [
                (_inner_name(name, key), inner, live, depth + 1)
                for key, inner in reversed(list(value.items())[:MAX_VALUES])
            ]
        elif isinstance(value, list):
            waiting += [(name, inner, live, depth + 1) for inner in reversed(value[:MAX_VALUES])]


def _inner_name(name: str, key: str) -> str:
    # ``{"content": NAME, "image": …}`` is pysssss' combo with previews, ``{"__value__": […]}`` a list in an API prompt
    if key in ("content", "__value__"):
        return name
    return f"{name}.{key}" if name else key


def pair(
    node: Mapping[str, Any], described: NodeClass | None, nothing: frozenset[str] = frozenset()
) -> list[tuple[str, Any]]:
    """Give the values of a saved node their widgets' names.

    The positional list holds the values that ComfyUI restores; the names come
    from whatever fits it: what is known of the class, the node's own inputs,
    or the object of names that newer frontends write beside the list.

    :param nothing: Values, in lower case, by which a combo says that no file is chosen.
    """
    values = node.get("widgets_values")
    named = node.get("widgets_values_named")
    if isinstance(values, dict):
        return list(values.items())
    if not isinstance(values, list):
        return list(named.items()) if isinstance(named, dict) else []
    for names in _namings(node, described, named):
        aligned = align(names, values)
        if aligned is not None and (described is None or _plausible(aligned, described)):
            return aligned
    if described is not None and described.rows is not None and described.rows.row:
        laid_out = list(zip(_row_names(described, len(values)), values, strict=True))
        if _plausible(laid_out, described) and _only_files(laid_out, described, nothing):
            return laid_out
    if isinstance(named, dict) and named:
        return list(named.items())
    if described is not None and described.widgets:
        # Widgets are mostly added at the end, so that an older or a newer node still begins the same.
        prefix = list(zip(described.widgets, values, strict=False))
        prefix += [("", value) for value in values[len(prefix) :]]
        if _plausible(prefix, described) and _only_files(prefix, described, nothing):
            return prefix
    return [("", value) for value in values]


def _namings(node: Mapping[str, Any], described: NodeClass | None, named: object) -> Iterator[Sequence[str]]:
    if described is not None and described.widgets:
        yield described.widgets
    own = widget_names(node)
    if own:
        yield own
    if isinstance(named, dict) and named:
        yield list(named)


def widget_names(node: Mapping[str, Any]) -> list[str]:
    """Names of the widgets that the inputs of a saved node mention, in order."""
    found = []
    inputs = node.get("inputs")
    for entry in inputs if isinstance(inputs, list) else ():
        widget = entry.get("widget") if isinstance(entry, dict) else None
        if isinstance(widget, dict) and isinstance(widget.get("name"), str):
            found.append(widget["name"])
    return found


def align(names: Sequence[str], values: Sequence[Any]) -> list[tuple[str, Any]] | None:
    """Pair *names* with *values*; ``None`` when they do not fit.

    A seed, or a choice, may be followed by how it changes after each run: a value without a widget of that name.
    """
    surplus = len(values) - len(names)
    if surplus == 0:
        return list(zip(names, values, strict=True))
    if surplus < 0:
        return None
    paired: list[tuple[str, Any]] = []
    remaining = iter(names)
    for value in values:
        if surplus and paired and isinstance(value, str) and value in _CONTROLS:
            paired.append(("control_after_generate", value))
            surplus -= 1
            continue
        name = next(remaining, None)
        if name is None:
            return None
        paired.append((name, value))
    return paired if surplus == 0 else None


def _plausible(paired: Iterable[tuple[str, Any]], described: NodeClass) -> bool:
    """Say whether no number stands where a file belongs, and no file's name where none does."""
    for name, value in paired:
        if isinstance(value, str):
            if names_a_file(value) and not described.keys(name):
                return False
        elif isinstance(value, (int, float)) and described.keys(name):
            return False
    return True


def _only_files(paired: Iterable[tuple[str, Any]], described: NodeClass, nothing: frozenset[str]) -> bool:
    """Say whether each input that names a file has a file's name, or none: the test of a pairing that is a guess."""
    return all(
        names_a_file(value) or value.lower() in nothing
        for name, value in paired
        if isinstance(value, str) and described.keys(name)
    )


def _row_names(described: NodeClass, length: int) -> list[str]:
    rows = described.rows
    assert rows is not None
    names = list(rows.head)
    number = rows.first
    while len(names) < length:
        names += [name.replace("<n>", str(number)) for name in rows.row]
        number += 1
    return names[:length]
