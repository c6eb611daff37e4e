"""Copies of workflows that declare digest and address of every model in ``properties.models`` of its node.

Such a copy needs no search and no plan: whoever opens it, ComfyUI's own
dialogue for missing models included, is told which bytes are meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from .addresses import redact
from .atomic import write_text
from .containers import Damaged, parse_json
from .errors import BackendError, ErrorCode, UsageError
from .jsontext import Change, Place, added, changed, replaced, spelled
from .names import same_name_key
from .report import Entry, Status

_MAX_NESTING = 64
"""Definitions within definitions; readers of workflows go no deeper either."""
_LEFT_OUT = (Status.INACTIVE, Status.SKIPPED, Status.CORRUPT, Status.FAILED)


@frozen(kw_only=True)
class Declaration:
    """What a copy says of one model."""

    name: str
    directory: str
    url: str = ""
    """Where it can be had, if that may be said in a file; empty otherwise."""
    sha256: str = ""
    """Empty where nobody states it."""

    @property
    def members(self) -> dict[str, str]:
        """As ComfyUI spells an entry."""
        told = {"name": self.name, "url": self.url, "directory": self.directory}
        if self.sha256:
            told |= {"hash": self.sha256, "hash_type": "SHA256"}
        return {key: value for key, value in told.items() if value}


def write_copies(entries: Iterable[Entry], directory: Path, *, replace: bool) -> tuple[Path, ...]:
    """Write a copy of every workflow that names a model of *entries*, and return their paths.

    Workflows of several directories keep their places to each other.

    :param replace: Also where another file is in the way, the workflow itself for one.
    :raises UsageError: A workflow has no place for declarations, or cannot be read; or a copy cannot be written.
    :raises BackendError: ``conflict``: another file is in the way; nothing is written.
    """
    wanted = _by_workflow(entries)
    sources = {workflow: Path(os.path.abspath(workflow)) for workflow in wanted}
    texts = {}
    try:
        base = Path(os.path.commonpath([path.parent for path in sources.values()])) if sources else directory
        for workflow, by_node in wanted.items():
            texts[directory / sources[workflow].relative_to(base)] = declared(read_graph(Path(workflow)), by_node)
    except (ValueError, RecursionError) as error:  # Windows: workflows on several drives
        raise UsageError(f"no copies can be made: {error}", hint="Name fewer workflows.") from error
    try:
        for path, text in texts.items():
            if not replace and os.path.lexists(path) and path.read_bytes() != text.encode():
                raise BackendError(
                    f"{path} is another file, and is not replaced by a copy",
                    code=ErrorCode.CONFLICT,
                    hint="Pass another directory as --embed, or run again with --force to replace it.",
                )
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
    except OSError as error:
        message = f"the copy {error.filename} cannot be written: {error.strerror}"
        raise UsageError(message, hint="Pass another directory as --embed.") from error
    return tuple(texts)


def read_graph(path: Path) -> str:
    """The text of the workflow at *path*. :raises UsageError: It is not one that the editor saved as JSON."""
    hint = "Open it in ComfyUI and save it as a workflow."
    try:
        data = path.read_bytes()
        document = parse_json(data)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", hint="Check the path.") from error
    except (Damaged, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot have declarations: it is no JSON file", hint=hint) from error
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        raise UsageError(f"{path} cannot have declarations: it is not a workflow as the editor saves it", hint=hint)
    return text


def declared(text: str, by_node: Mapping[str, Sequence[Declaration]]) -> str:
    """Declare models in the nodes that name them, and change nothing else of the workflow *text*.

    What is declared already stays, but for a digest that is another one.

    :param by_node: The models of each node, by its path of ids (``11:3`` is in the subgraph that 11 stands for).
    :raises UsageError: A node's properties are not what ComfyUI makes of them.
    """
    root = Place.whole(text.removeprefix("\ufeff"))
    nodes: dict[int, tuple[Place, list[Declaration]]] = {}
    graph = _Graph(root)
    for path, models in by_node.items():
        place = graph.node(path)
        if place is not None:
            _, held = nodes.setdefault(place.begin, (place, []))
            held += [model for model in models if model not in held]
    changes = [change for place, models in nodes.values() for change in _in_node(place, models)]
    return text[: len(text) - len(root.text)] + changed(root.text, changes)


@frozen
class _Node:
    place: Place
    kind: str
    """Its class, or the id of the subgraph that it stands for; empty where it has none."""


class _Graph:
    """Finds the nodes of a saved workflow in its text. Everything is looked at once, however often it is used."""

    def __init__(self, root: Place) -> None:
        self._root = _nodes_in(root)
        self._inside: dict[str, dict[str, _Node]] = {}
        """What a node of that kind stands for."""
        self._collect(root, _MAX_NESTING)
        groups = root.member("extra", "groupNodes")
        for name, group in groups.members() if groups is not None and groups.is_object else ():
            members = group.member("nodes")
            nodes = {str(number): _node(one) for number, one in enumerate(members.elements() if members else ())}
            self._inside |= {f"workflow{separator}{name}": nodes for separator in "/>"}

    def _collect(self, graph: Place, depth: int) -> None:
        listed = graph.member("definitions", "subgraphs")
        for definition in listed.elements() if listed is not None and depth else ():
            identity = definition.member("id")
            if identity is not None and isinstance(identity.value, str) and identity.value not in self._inside:
                self._inside[identity.value] = _nodes_in(definition)
                self._collect(definition, depth - 1)

    def node(self, path: str) -> Place | None:
        """The node that *path* leads to; ``None`` where there is none."""
        nodes, found = self._root, None
        for part in path.split(":"):
            found = nodes.get(part)
            nodes = self._inside.get(found.kind, {}) if found is not None else {}
        return found.place if found is not None and found.place.is_object else None


def _node(place: Place) -> _Node:
    kind = place.member("type")
    return _Node(place, kind.value if kind is not None and isinstance(kind.value, str) else "")


def _nodes_in(graph: Place) -> dict[str, _Node]:
    listed = graph.member("nodes")
    found = {}
    for node in listed.elements() if listed is not None else ():
        identity = node.member("id")
        if identity is not None:
            found[str(identity.value)] = _node(node)
    return found


def _in_node(node: Place, models: Sequence[Declaration]) -> Iterable[Change]:
    properties = node.member("properties")
    listed = node.member("properties", "models")
    if properties is None:
        return [added(node, spelled("properties", {"models": [one.members for one in models]}))]
    if not properties.is_object or (listed is not None and not listed.is_list):
        identity = node.member("id")
        raise UsageError(
            f"node {identity.value if identity else '?'} has properties that no ComfyUI wrote",
            hint="Open the workflow in ComfyUI and save it again.",
        )
    if listed is None:
        return [added(properties, spelled("models", [one.members for one in models]))]
    present = [(one, one.value) for one in listed.elements() if one.is_object]
    changes: list[Change] = []
    fresh: list[str] = []
    for model in models:
        same = [place for place, value in present if _is_for(value, model.name)]
        fresh += [] if same else [_spelled(model)]
        changes += [change for place in same for change in _in_entry(place, model)]
    return [*changes, added(listed, *fresh)] if fresh else changes


def _in_entry(entry: Place, model: Declaration) -> Iterable[Change]:
    known = dict(entry.members())
    missing = []
    for key, value in model.members.items():
        if key not in known or (key == "url" and not known[key].value):
            missing.append((key, value))
        elif key in ("hash", "hash_type") and str(known[key].value).lower() != value.lower():
            yield replaced(known[key], value)
    for key, value in [one for one in missing if one[0] in known]:
        yield replaced(known[key], value)
    if fresh := [spelled(key, value) for key, value in missing if key not in known]:
        yield added(entry, *fresh)


def _is_for(entry: Mapping[str, Any], name: str) -> bool:
    """Say whether *entry* declares the model *name*; one of the two may leave its sub-folder out."""
    theirs, ours = same_name_key(str(entry.get("name", ""))), same_name_key(name)
    if "/" in theirs and "/" in ours:
        return theirs == ours
    return theirs.rpartition("/")[2] == ours.rpartition("/")[2]


def _spelled(model: Declaration) -> str:
    return "{" + ", ".join(spelled(key, value) for key, value in model.members.items()) + "}"


def _by_workflow(entries: Iterable[Entry]) -> dict[str, dict[str, list[Declaration]]]:
    found: dict[str, dict[str, list[Declaration]]] = {}
    for entry in entries:
        model = _declaration(entry)
        if model is None:
            continue
        for node in entry.request.wanted_by:
            found.setdefault(node.workflow, {}).setdefault(node.node, []).append(model)
    return found


def _declaration(entry: Entry) -> Declaration | None:
    request, offer = entry.request, entry.candidate
    if request.name is None or not request.folder or entry.status in _LEFT_OUT:
        return None
    sha256 = entry.sha256 or (offer.sha256 if offer is not None else None) or request.sha256 or ""
    # Plain http would be refused. A query may be a signature; without it only a digest says which file is meant.
    address = offer.url if offer is not None and offer.url.startswith("https://") else ""
    url = redact(address) if sha256 or redact(address) == address else ""
    model = Declaration(name=str(request.name), directory=request.folder, url=url, sha256=sha256)
    return model if model.url or model.sha256 else None
