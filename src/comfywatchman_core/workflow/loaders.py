"""Which inputs of which node classes name model files, and the folder key each of them belongs to.

The knowledge is data: ``data/loaders.json`` (classes, rebuilt by a maintainer
from source trees) and ``data/nodes.json`` (rules that stand in no source file).
A running ComfyUI can answer for its own nodes; see :meth:`LoaderTable.overlaid`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from attrs import field, frozen

_NUMBER = "<n>"


@frozen(kw_only=True)
class Rows:
    """How a node that stacks models lays its numbered rows out, and which of them it loads."""

    head: tuple[str, ...] = ()
    """Widgets before the first row."""
    row: tuple[str, ...] = ()
    """Widgets of one row, ``<n>`` standing for its number; empty when their order is not known."""
    first: int = 1
    count: str = ""
    """The widget that says how many rows are live."""
    select: str = ""
    """The widget that holds the number of the one live row."""
    toggle: str = ""
    """The widget that switches all rows off."""


@frozen(kw_only=True)
class NodeClass:
    """What is known of one node class."""

    inputs: Mapping[str, tuple[str, ...]]
    """Input name to folder keys, the main one first. ``<n>`` in a name stands for any number."""
    widgets: tuple[str, ...] = ()
    """Names of the widgets in the order of ``widgets_values``; empty when that is not known."""
    rows: Rows | None = None
    _has_families: bool = field(init=False, repr=False, eq=False)

    @_has_families.default
    def _look_for_families(self) -> bool:
        return any(_NUMBER in name for name in self.inputs)

    def keys(self, name: str) -> tuple[str, ...]:
        """Folder keys of the files that the input *name* lists; empty for an input that names no file."""
        found = self.inputs.get(name)
        if found is None and self._has_families:
            found = self.inputs.get(_numbered(name))
        return found or ()

    @property
    def only_keys(self) -> tuple[str, ...]:
        """The folder keys, where every input of the class has the same; else empty."""
        different = set(self.inputs.values())
        return different.pop() if len(different) == 1 else ()


@lru_cache(4096)
def _numbered(name: str) -> str:
    """Put ``<n>`` in place of the one number of *name*."""
    return re.sub(r"\d+", _NUMBER, name, count=1)


@frozen(kw_only=True)
class LoaderTable:
    """The node classes that load models. Immutable, and cheap to ask."""

    classes: Mapping[str, NodeClass]
    by_input: Mapping[str, str]
    """Input name to folder key: the last resort, for classes that nobody described."""
    silent: frozenset[str] = frozenset()
    """Classes whose values are never references."""
    notes: frozenset[str] = frozenset()
    """Classes that hold prose."""
    lora_tags: frozenset[str] = frozenset()
    """Classes that read ``<lora:NAME:1>`` in their texts."""
    nothing: frozenset[str] = frozenset()
    """Values, in lower case, by which a combo says that no file is chosen."""
    folder_keys: frozenset[str] = frozenset()
    """Folder keys that exist. A workflow's own word for a folder counts only if it is one of them."""
    _wrappers: tuple[re.Pattern[str], ...] = field(default=(), repr=False)
    _self_downloading: tuple[re.Pattern[str], ...] = field(default=(), repr=False)
    _found: dict[str, NodeClass | None] = field(factory=dict, init=False, repr=False, eq=False)
    _fetching: dict[str, bool] = field(factory=dict, init=False, repr=False, eq=False)

    def node_class(self, name: str) -> NodeClass | None:
        """Describe the class *name*, through the suffixes of packs that wrap other packs' loaders."""
        try:
            return self._found[name]
        except KeyError:
            found = self._found[name] = self._look_up(name)
            return found

    def _look_up(self, name: str) -> NodeClass | None:
        if name in self.classes:
            return self.classes[name]
        for wrapper in self._wrappers:
            bare = wrapper.sub("", name)
            if bare != name and bare in self.classes:
                return self.classes[bare]
        return None

    def fallback(self, input_name: str) -> str:
        """Guess the folder key from the name of an input alone; empty where the name says nothing."""
        found = self.by_input.get(input_name)
        if found is None and input_name[-1:].isdigit() | ("_" in input_name):
            found = self.by_input.get(_numbered(input_name))
        return found or ""

    def downloads_itself(self, name: str) -> bool:
        """Say whether nodes of the class *name* fetch their own files, into folders of their own."""
        try:
            return self._fetching[name]
        except KeyError:
            found = self._fetching[name] = any(pattern.search(name) for pattern in self._self_downloading)
            return found

    def overlaid(self, classes: Mapping[str, NodeClass], folder_keys: Iterable[str] = ()) -> LoaderTable:
        """Make a table in which *classes*, as an installation reports them, take precedence.

        What an installation cannot say, how rows are laid out for one, is kept.
        """
        merged = dict(self.classes)
        for name, described in classes.items():
            known = self.classes.get(name)
            merged[name] = NodeClass(
                inputs={**(known.inputs if known else {}), **described.inputs},
                widgets=described.widgets or (known.widgets if known else ()),
                rows=known.rows if known else None,
            )
        return LoaderTable(
            classes=merged,
            by_input=self.by_input,
            silent=self.silent,
            notes=self.notes,
            lora_tags=self.lora_tags,
            nothing=self.nothing,
            folder_keys=self.folder_keys | frozenset(folder_keys),
            wrappers=self._wrappers,
            self_downloading=self._self_downloading,
        )


@cache
def packaged() -> LoaderTable:
    """The table that ships with the package."""
    nodes = read_data("nodes.json")
    folders = read_data("folders.json")
    rows = {name: _rows(layout) for name, layout in nodes["rows"].items()}
    return LoaderTable(
        classes={
            name: read_class(widgets, rows.get(name))
            for pack in read_data("loaders.json")["packs"].values()
            for name, widgets in pack.items()
        },
        by_input=nodes["by_input"],
        silent=frozenset(nodes["silent"]),
        notes=frozenset(nodes["notes"]),
        lora_tags=frozenset(nodes["lora_tags"]),
        nothing=frozenset(nodes["nothing"]),
        folder_keys=frozenset(folders["keys"]) | frozenset(folders["pack_keys"]) | frozenset(folders["borrowed"]),
        wrappers=tuple(re.compile(pattern) for pattern in nodes["wrappers"]),
        self_downloading=(
            *(re.compile(rf"^{re.escape(name)}$") for name in nodes["self_downloading"]["classes"]),
            *(re.compile(pattern) for pattern in nodes["self_downloading"]["patterns"]),
        ),
    )


def read_class(widgets: Iterable[str], rows: Rows | None = None) -> NodeClass:
    """Read one class as ``loaders.json`` spells it.

    ``name=key|key`` is a widget that names a file of those folder keys, a bare
    ``name`` any other widget, and ``*name=key`` an input whose place among the
    widgets is not known.
    """
    inputs: dict[str, tuple[str, ...]] = {}
    order: list[str] = []
    for spelled in widgets:
        name, _, keys = spelled.lstrip("*").partition("=")
        if keys:
            inputs[name] = tuple(keys.split("|"))
        if not spelled.startswith("*"):
            order.append(name)
    return NodeClass(inputs=inputs, widgets=tuple(order), rows=rows)


def _rows(layout: Mapping[str, Any]) -> Rows:
    return Rows(
        head=tuple(layout.get("head", ())),
        row=tuple(layout.get("row", ())),
        first=layout.get("first", 1),
        count=layout.get("count", ""),
        select=layout.get("select", ""),
        toggle=layout.get("toggle", ""),
    )


@cache
def read_data(name: str) -> Any:
    """Read a table of the package's own data."""
    return json.loads((files("comfywatchman_core") / "data" / name).read_text(encoding="utf-8"))
