"""Which model files a node names, by its class, its inputs and its texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from attrs import frozen

from .declared import Declared
from .effort import Effort
from .loaders import LoaderTable, NodeClass, Rows
from .nodes import Node, Text, names_a_file, texts
from .prose import embeddings, lora_tags


class Kind(Enum):
    """What a reference stands for."""

    FILE = auto()
    FOLDER = auto()
    """A directory or a repository, which no single download can make present."""
    SELF_DOWNLOADING = auto()
    """The node's pack fetches it."""
    MACHINE_BUILT = auto()
    """An engine, built on the machine that uses it."""
    EMBEDDING = auto()
    """Named in a prompt; ComfyUI only warns when it is missing."""


@frozen
class Reference:
    """One model as one node names it."""

    name: str
    """As the workflow spells it, its separators and its suffix, or lack of one, included."""
    keys: tuple[str, ...]
    """Folder keys by what is known of the node class, the main one first; empty for an unknown class."""
    input: str
    node: Node
    kind: Kind = Kind.FILE
    live: bool = True


_SUFFIXLESS_FOLDERS = frozenset({"diffusers", "LLM", "CogVideo"})
# nodes.py, VAELoader, 2026-08: names that stand for two files, beginnings of files that lie elsewhere, and no file
_VAE_PAIRS = frozenset({"taesd", "taesdxl", "taesd3", "taef1", "taef2", "taeqi2_1"})
_VAE_APPROXIMATIONS = ("taehv", "lighttae", "taeltx_2", "taeh3")
_NO_VAE_FILE = frozenset({"pixel_space"})
_NEVER_A_MODEL = frozenset({"configs", "luts", "fonts", "custom_nodes", "datasets"})
_LONGEST_NAME = 4096
_TRUE_ENOUGH = (False, None, "False", "Off", "off", "disabled")


def references(node: Node, loaders: LoaderTable, declared: Declared, effort: Effort) -> Iterator[Reference]:
    """Find every model that *node* names. Which of them a folder lacks is not asked here.

    :param declared: What the node, and the instances around it, declare.
    :raises WorkflowError: The effort is used up.
    """
    if node.node_class in loaders.silent:
        return
    described = loaders.node_class(node.node_class)
    fetches = loaders.downloads_itself(node.node_class)
    dead = _dead_rows(node.widgets, described)
    found = list(texts(node.widgets))
    # Lists of LoRAs stand beside the tags they were made from, and say which of them are switched off.
    reads_tags = node.node_class in loaders.lora_tags and not (
        described is not None and any(described.keys(text.name) for text in found)
    )
    for text in found:
        effort.spend(1, len(text.value))
        if "embedding:" in text.value:
            for name in dict.fromkeys(embeddings(text.value)):
                yield Reference(name, ("embeddings",), text.name, node, Kind.EMBEDDING, text.live)
        if reads_tags and "<lora:" in text.value:
            for name in dict.fromkeys(lora_tags(text.value)):
                yield Reference(name, ("loras",), text.name, node, live=text.live)
        live = text.live and text.name not in dead
        yield from _named(text, node, described, loaders, fetches=fetches, declared=declared, live=live)


def _named(
    text: Text,
    node: Node,
    described: NodeClass | None,
    loaders: LoaderTable,
    *,
    fetches: bool,
    declared: Declared,
    live: bool,
) -> Iterator[Reference]:
    value = text.value
    if len(value) > _LONGEST_NAME:
        return
    is_file = names_a_file(value)
    keys = described.keys(text.name) if described is not None and text.name else ()
    if keys and keys[0] in _NEVER_A_MODEL:
        return
    if not keys and not is_file and not declared.names(value):
        return
    if not keys and described is not None:
        keys = described.only_keys
    if value.strip().lower() in loaders.nothing or "\n" in value:
        return
    is_placed = keys or loaders.fallback(text.name.rpartition(".")[2] or text.name)
    if not is_placed and not declared.names(value) and not _is_single_name(value):
        return
    if fetches:
        yield Reference(value, keys, text.name, node, Kind.SELF_DOWNLOADING, live)
    elif value.lower().endswith(".engine") or "tensorrt" in keys:
        yield Reference(value, keys, text.name, node, Kind.MACHINE_BUILT, live)
    elif "vae" in keys and "vae_approx" in keys:
        yield from _vae(text, node, live)
    elif not is_file and _is_folder(value, keys):
        yield Reference(value, keys, text.name, node, Kind.FOLDER, live)
    else:
        yield Reference(value, keys, text.name, node, live=live)


def _is_single_name(value: str) -> bool:
    """Tell the name of a file in an unknown widget from prose and from addresses that end like one."""
    return not re.search(r"\s|://|embedding:", value)


def _is_folder(value: str, keys: Sequence[str]) -> bool:
    # Nunchaku's folders (svdq-int4-flux.1-dev) and repository ids (org/name) stand where other versions have files
    return (
        bool(_SUFFIXLESS_FOLDERS.intersection(keys))
        or value.startswith("svdq-")
        or re.fullmatch(r"[\w.-]+/[\w.-]+", value) is not None
    )


def _vae(text: Text, node: Node, live: bool) -> Iterator[Reference]:
    """Read what a VAE loader lists: files of ``vae``, and small approximations that lie in ``vae_approx``."""
    if text.value in _VAE_PAIRS:
        for half in ("encoder", "decoder"):
            yield Reference(f"{text.value}_{half}", ("vae_approx",), text.name, node, live=live)
    elif text.value not in _NO_VAE_FILE:
        key = "vae_approx" if text.value.startswith(_VAE_APPROXIMATIONS) else "vae"
        yield Reference(text.value, (key,), text.name, node, live=live)


def _dead_rows(widgets: Sequence[tuple[str, Any]], described: NodeClass | None) -> frozenset[str]:
    """Names of the inputs whose row is switched off, or beyond the number of rows that are in use."""
    if described is None or (described.rows is None and not any(name.startswith("switch") for name, _ in widgets)):
        return frozenset()
    values = {name: value for name, value in widgets if name}
    named = [name for name in values if described.keys(name)]
    rows = described.rows
    dead = {name for name in named if rows is not None and not _row_is_live(_row_number(name), rows, values)}
    for name in named:
        switch = values.get(f"switch_{_row_number(name)}", values.get("switch", "On"))
        if switch in ("Off", "off", False):
            dead.add(name)
    return frozenset(dead)


def _row_is_live(number: int | None, rows: Rows, values: Mapping[str, Any]) -> bool:
    if number is None:
        return True
    if rows.toggle and rows.toggle in values and values[rows.toggle] in _TRUE_ENOUGH:
        return False
    count = values.get(rows.count)
    if isinstance(count, (int, float)) and number >= count + rows.first:
        return False
    select = values.get(rows.select)
    return not isinstance(select, int) or select == number


def _row_number(name: str) -> int | None:
    found = re.search(r"\d{1,4}", name)
    return int(found[0]) if found else None
