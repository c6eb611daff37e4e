"""The JSON form of a table of known models: strict to read, stable to write.

``data/known_models.schema.json`` describes the same form for other programs.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from comfywatchman_core import BackendError, ComfyWatchmanError, Match, ModelRequest

from .rows import KnownModel
from .sources import WISHES, CivitaiFile, HubFile, Source, WebFile, hub_file, identify

SCHEMA = "comfywatchman-known/1"
MOST_ROWS = 100_000
_NO_FILE = 1 << 63
"""No file system has a file of so many bytes."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ROW_KEYS = frozenset({"name", "folders", "source", "sha256", "size", "seen_in", "checked", "match"})
_SOURCE_KEYS = {
    "huggingface": frozenset({"kind", "repository", "path", "revision", "commit"}),
    "civitai": frozenset({"kind", "version", "model", "file", "wish"}),
    "url": frozenset({"kind", "url"}),
}
_MATCHES = {Match.FILENAME.label: Match.FILENAME, Match.SOURCE_ID.label: Match.SOURCE_ID}


class TableError(BackendError):
    """A table cannot be used; the message names the file and the line or the key."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}", hint="Correct the table, or take it out of [backends.directid] tables.")


def parse_document(data: bytes, where: str, *, trusted: bool = False) -> tuple[str, tuple[KnownModel, ...]]:
    """Read a table.

    :param where: The file's name, for messages.
    :param trusted: Skip the check of names; for the table that ships with the package.
    :returns: The table's own version, empty where it has none, and its rows in order.
    :raises TableError: It is not JSON, not of this schema, or says something impossible.
    """

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) < len(members):  # a person reads the first of two, and a program the last
            key = collections.Counter(key for key, _ in members).most_common(1)[0][0]
            raise TableError(where, f"{_shown(key)} stands twice in one object")
        return found

    try:
        document = json.loads(data, object_pairs_hook=None if trusted else once)
    except json.JSONDecodeError as error:
        raise TableError(where, f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise TableError(where, "it is not JSON text") from error
    if not isinstance(document, dict):
        raise TableError(where, f'it is not an object with "schema": "{SCHEMA}" and "models"')
    if document.get("schema") != SCHEMA:
        raise TableError(where, f"schema is {_shown(document.get('schema'))}, and only {SCHEMA!r} is understood")
    rows = document.get("models")
    if not isinstance(rows, list) or len(rows) > MOST_ROWS:
        raise TableError(where, f"models is not a list of at most {MOST_ROWS} rows")
    _known_keys(document, frozenset({"schema", "version", "models"}), where, "the table")
    version = document.get("version", "")
    if not isinstance(version, str):
        raise TableError(where, f"version is {_shown(version)}, not a text")
    return version, tuple(_row(row, where, f"models[{index}]", trusted) for index, row in enumerate(rows))


def render_document(rows: Sequence[KnownModel], version: str = "") -> bytes:
    """Write a table: one row a line, in the given order, so that a change shows as one line."""
    head = f'{{"schema": {json.dumps(SCHEMA)}, '
    if version:
        head += f'"version": {json.dumps(version)}, '
    lines = ",\n".join(json.dumps(row_facts(row), ensure_ascii=True) for row in rows)
    return f'{head}"models": [\n{lines}\n]}}\n'.encode()


def row_facts(row: KnownModel) -> dict[str, Any]:
    """The row as plain JSON values; what is not known is left out."""
    facts: dict[str, Any] = {"name": row.name, "folders": list(row.folders), "source": _source_facts(row.source)}
    if row.sha256:
        facts["sha256"] = row.sha256
    if row.size is not None:
        facts["size"] = row.size
    if row.seen_in:
        facts["seen_in"] = list(row.seen_in)
    if row.checked:
        facts["checked"] = row.checked
    if row.match is not Match.SOURCE_ID:
        facts["match"] = row.match.label
    return facts


def _source_facts(source: Source) -> dict[str, Any]:
    if isinstance(source, WebFile):
        return {"kind": "url", "url": source.address}
    if isinstance(source, HubFile):
        facts: dict[str, Any] = {"kind": "huggingface", "repository": source.repository, "path": source.path}
        facts["revision"] = source.revision
        return {**facts, "commit": source.commit} if source.commit else facts
    facts = {"kind": "civitai", "version": source.version}
    if source.model is not None:
        facts["model"] = source.model
    if source.file is not None:
        facts["file"] = source.file
    return {**facts, "wish": dict(source.wish)} if source.wish else facts


def _row(row: object, where: str, at: str, trusted: bool) -> KnownModel:
    if not isinstance(row, dict):
        raise TableError(where, f"{at} is not an object")
    _known_keys(row, _ROW_KEYS, where, at)
    name, folders = row.get("name"), row.get("folders", [])
    if not isinstance(name, str) or not name or "/" in name or "\\" in name:
        raise TableError(where, f"{at}.name is {_shown(name)}, not a file name without a folder")
    at = f"{at} ({name[:80]!a})"
    folders = _texts(folders, where, f"{at}.folders")
    if not trusted:
        _check_names(name, folders, where, at)
    sha256 = row.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise TableError(where, f"{at}.sha256 is {_shown(sha256)}, not 64 hexadecimal digits")
    size = row.get("size")
    if size is not None and not (_is_number(size) and 0 < size < _NO_FILE):
        raise TableError(where, f"{at}.size is {_shown(size)}, not a number of bytes")
    checked = row.get("checked", "")
    if not isinstance(checked, str) or (checked and not _DATE.fullmatch(checked)):
        raise TableError(where, f"{at}.checked is {_shown(checked)}, not a date such as 2026-11-22")
    match = row.get("match", Match.SOURCE_ID.label)
    if not isinstance(match, str) or match not in _MATCHES:
        raise TableError(where, f"{at}.match is {_shown(match)}, not one of {', '.join(sorted(_MATCHES))}")
    return KnownModel(
        name=name,
        folders=folders,
        source=_source(row.get("source"), where, f"{at}.source"),
        sha256=sha256.lower() if sha256 else None,
        size=size,
        seen_in=_texts(row.get("seen_in", []), where, f"{at}.seen_in"),
        checked=checked,
        match=_MATCHES[match],
    )


def _source(source: object, where: str, at: str) -> Source:
    if isinstance(source, str):  # an address or a reference: what a person would write
        read = identify(source)
        if read is None or (isinstance(read, WebFile) and not source.lower().startswith("https://")):
            raise TableError(where, f"{at} names no single file; https addresses, hf:…, civitai:… and AIRs do")
        return read
    kind = source.get("kind") if isinstance(source, dict) else None
    if not isinstance(source, dict) or not isinstance(kind, str) or kind not in _SOURCE_KEYS:
        raise TableError(where, f"{at} is neither an address nor an object of kind {', '.join(_SOURCE_KEYS)}")
    _known_keys(source, _SOURCE_KEYS[kind], where, at)
    if kind == "url":
        return _source(str(source.get("url")), where, f"{at}.url")
    return _hub_source(source, where, at) if kind == "huggingface" else _civitai_source(source, where, at)


def _hub_source(source: Mapping[str, Any], where: str, at: str) -> HubFile:
    values = [source.get("repository"), source.get("path"), source.get("revision", "main"), source.get("commit", "")]
    if not all(isinstance(value, str) for value in values):
        raise TableError(where, f"{at} needs repository, path and revision as texts")
    repository, path, revision, commit = (str(value) for value in values)
    if commit and not _COMMIT.fullmatch(commit):
        raise TableError(where, f"{at}.commit is {_shown(commit)}, not 40 hexadecimal digits")
    file = hub_file(repository, path, revision, commit)
    if file is None:
        raise TableError(where, f"{at} is no file in a repository: {_shown(repository)}, {_shown(path)}")
    return file


def _civitai_source(source: Mapping[str, Any], where: str, at: str) -> CivitaiFile:
    for key in ("version", "model", "file"):
        value = source.get(key)
        optional = value is None and key != "version"
        if not optional and not (_is_number(value) and 0 < value < 1 << 31):
            raise TableError(where, f"{at}.{key} is {_shown(value)}, not an id")
    wish = source.get("wish", {})
    if not isinstance(wish, dict) or not all(isinstance(value, str) for value in wish.values()):
        raise TableError(where, f"{at}.wish is not an object of texts")
    _known_keys(wish, frozenset(WISHES), where, f"{at}.wish")
    return CivitaiFile(
        version=source["version"],
        model=source.get("model"),
        file=source.get("file"),
        wish=tuple((key, wish[key]) for key in WISHES if key in wish),
    )


def _check_names(name: str, folders: Sequence[str], where: str, at: str) -> None:
    try:
        for folder in folders or [""]:
            ModelRequest(name=name, folder=folder)
    except ComfyWatchmanError as error:
        raise TableError(where, f"{at}: {error}") from error


def _texts(value: object, where: str, at: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise TableError(where, f"{at} is not a list of texts")
    return tuple(value)


def _known_keys(value: Mapping[str, Any], known: frozenset[str], where: str, at: str) -> None:
    if strange := sorted(set(value) - known):
        raise TableError(where, f"{at} has the unknown key {_shown(strange[0])}")


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return "missing" if value is None else f"{str(value)[:80]!a}"
