"""Ask a running ComfyUI which loaders, folders and files it has: the truth about that installation.

Asked only when the user names its address. The answers come from the user's
own program, yet they are bounded and checked like any others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from .errors import BackendError, ErrorCode
from .folders import ModelFolders, canonical_key, is_folder_key
from .http import ApiClient
from .names import has_model_extension
from .workflow.loaders import LoaderTable, NodeClass, packaged

_OBJECT_INFO_BYTES = 64 << 20
"""Installations with hundreds of packs answer with tens of megabytes."""
_WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_MAX_KEYS = 500


@frozen(kw_only=True)
class Installation:
    """What one running ComfyUI said of itself."""

    url: str
    loaders: LoaderTable
    """The packaged table, with what this installation knows better."""
    classes: Mapping[str, NodeClass]
    """Only what it said: its classes that list model files."""
    folders: ModelFolders | None
    """Its folders, where it says them and they are on this machine; ``None`` for another machine's."""
    listed: Mapping[str, frozenset[str]]
    """Folder key to the names that it lists, with forward slashes."""


def ask_server(url: str, http: ApiClient, *, loaders: LoaderTable | None = None) -> Installation:
    """Ask the ComfyUI at *url*.

    :param loaders: The table that its answers are laid over; the packaged one by default.
    :raises BackendError: It does not answer, or is no ComfyUI.
    """
    base = url.rstrip("/")
    loaders = loaders or packaged()
    described = _object(http.get_json(f"{base}/object_info", endpoint=base, limit=_OBJECT_INFO_BYTES, retries=0), base)
    folders = list(_folders(http, base))
    keys = [key for key, _, _ in folders] or _strings(_optional(http, f"{base}/models", base))
    keys = [key for key in keys if is_folder_key(key)]
    raw = {key: frozenset(_strings(_optional(http, f"{base}/models/{key}", base))) for key in keys[:_MAX_KEYS]}
    classes = dict(_classes(described, raw, loaders))
    return Installation(
        url=base,
        loaders=loaders.overlaid(classes, (canonical_key(key) for key in raw)),
        classes=classes,
        folders=_on_this_machine(folders),
        listed={canonical_key(key): frozenset(name.replace("\\", "/") for name in names) for key, names in raw.items()},
    )


def _object(answer: Any, base: str) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise BackendError(
            f"{base} answers, but not like a ComfyUI",
            code=ErrorCode.UNAVAILABLE,
            hint="Give the address that ComfyUI prints when it starts, for example http://127.0.0.1:8188.",
        )
    return answer


def _optional(http: ApiClient, url: str, base: str) -> Any:
    """An answer that older versions do not have; ``None`` without it."""
    try:
        return http.get_json(url, endpoint=base, retries=0)
    except BackendError:
        return None


def _strings(answer: Any) -> list[str]:
    return [entry for entry in answer if isinstance(entry, str)] if isinstance(answer, list) else []


def _folders(http: ApiClient, base: str) -> Iterator[tuple[str, list[str], frozenset[str]]]:
    """Read keys, directories and suffixes: of new versions in one answer, of older ones without the suffixes."""
    answer = _optional(http, f"{base}/experiment/models", base)
    for entry in answer if isinstance(answer, list) else ():
        if isinstance(entry, dict) and isinstance(name := entry.get("name"), str) and is_folder_key(name):
            yield name, _strings(entry.get("folders")), frozenset(_strings(entry.get("extensions")))
    if not isinstance(answer, list):
        answer = _optional(http, f"{base}/internal/folder_paths", base)
        for name, paths in answer.items() if isinstance(answer, dict) else ():
            if is_folder_key(name):
                yield name, _strings(paths), frozenset()


def _on_this_machine(folders: Iterable[tuple[str, list[str], frozenset[str]]]) -> ModelFolders | None:
    roots: dict[str, tuple[Path, ...]] = {}
    extensions: dict[str, frozenset[str]] = {}
    for key, paths, suffixes in folders:
        key = canonical_key(key)
        roots[key] = tuple(Path(path) for path in paths if os.path.isabs(path))
        if suffixes:
            extensions[key] = frozenset(suffix.lower() for suffix in suffixes)
    if not any(root.is_dir() for paths in roots.values() for root in paths):
        return None
    return ModelFolders.of_installation(roots, extensions)


def _classes(
    described: Mapping[str, Any], listed: Mapping[str, frozenset[str]], loaders: LoaderTable
) -> Iterator[tuple[str, NodeClass]]:
    for name, node in described.items():
        groups = node.get("input") if isinstance(node, dict) else None
        if not isinstance(groups, dict):
            continue
        known = loaders.node_class(name)
        inputs: dict[str, tuple[str, ...]] = {}
        widgets: list[str] = []
        for group in ("required", "optional"):
            entries = groups.get(group)
            for input_name, entry in entries.items() if isinstance(entries, dict) else ():
                if not isinstance(entry, list) or not entry or not _is_widget(entry):
                    continue
                widgets.append(input_name)
                choices = _choices(entry)
                if choices is not None:
                    keys = _keys_of(choices, listed, known.keys(input_name) if known else (), loaders, input_name)
                    if keys:
                        inputs[input_name] = keys
        if inputs:
            yield name, NodeClass(inputs=inputs, widgets=tuple(widgets))


def _is_widget(entry: list[Any]) -> bool:
    options = entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}
    return not options.get("forceInput") and (isinstance(entry[0], list) or entry[0] in _WIDGETS)


def _choices(entry: list[Any]) -> frozenset[str] | None:
    """The choices of a combo in either spelling; ``None`` for another widget."""
    if isinstance(entry[0], list):
        return frozenset(_strings(entry[0]))
    options = entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}
    return frozenset(_strings(options.get("options"))) if entry[0] == "COMBO" else None


def _keys_of(
    choices: frozenset[str],
    listed: Mapping[str, frozenset[str]],
    known: tuple[str, ...],
    loaders: LoaderTable,
    input_name: str,
) -> tuple[str, ...]:
    """Tell which folder's files a combo offers: the one that lists just these.

    Where several do, as empty and aliased ones, the table's own word decides, then the input's name. A combo
    without a file in it says nothing.
    """
    files = frozenset(choice for choice in choices if has_model_extension(choice.replace("\\", "/")))
    if not files:
        return known
    if known and files <= frozenset().union(*(listed.get(key, frozenset()) for key in known)):
        return known
    fitting = [key for key, names in listed.items() if names and names <= choices and files <= names]
    if not fitting:
        return known
    guess = loaders.fallback(input_name)
    canonical = [canonical_key(key) for key in fitting]
    return (guess,) if guess in canonical else (canonical[0],)
