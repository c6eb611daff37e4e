"""Collect the facts of the packaged table of known models from what their publishers declare.

    python maintenance/seed_known_models.py TABLE --declared LABEL=DIRECTORY_OR_WHEEL ... --facts FILE

``--declared`` reads every workflow below a directory, or inside a wheel, and takes what its nodes declare in
``properties.models`` (the official template packages on PyPI are MIT). ``--facts`` reads a JSON list of rows
``{name, folder, url, sha256, size, source}``. What TABLE already says stays; digests are added, never replaced.
Only facts are taken: names, folders, addresses, digests.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from comfywatchman_directid.documents import parse_document, render_document
from comfywatchman_directid.generic import is_generic
from comfywatchman_directid.rows import KnownModel, folder_key, name_key
from comfywatchman_directid.sources import CivitaiFile, HubFile, Source, identify

_FOLDER_KEYS = ("text_encoders", "clip_vision", "diffusion_models", "vae", "loras", "controlnet", "checkpoints")

_BY_HAND = (
    (re.compile(r"ip-adapter.*_lora\.", re.I), "loras"),
    (re.compile(r"ip-adapter|sd15_light|full_face", re.I), "ipadapter"),
    (re.compile(r"clip-vit|clip_vision|image_encoder/model\.", re.I), "clip_vision"),
    (re.compile(r"clip_[lg]\.|t5|gemma|text_encoder", re.I), "text_encoders"),
    (re.compile(r"vae|flux_ae", re.I), "vae"),
)
"""Folders of files whose source says only in its code what they are for; matched on name and path."""

_PRECISION = re.compile(r"(?:nv|mx)?fp(?:4|8|16|32)|bf16|int(?:4|8)|nf4|q[2-8]_\w|e[45]m[23]|scaled|mixed")


@frozen(kw_only=True)
class Declared:
    """One fact as somebody states it."""

    name: str
    folder: str
    source: Source
    sha256: str | None
    size: int | None = None
    by: str


def declarations(label: str, root: Path) -> Iterator[Declared]:
    """What the workflows below *root*, a directory or a wheel, declare."""
    for data in _json_files(root):
        try:
            document = json.loads(data)
        except ValueError:
            continue
        for model in _models(document):
            source = identify(model.get("url"))
            digest = model.get("hash") if str(model.get("hash_type", "")).upper() == "SHA256" else None
            if source is not None and model.get("name") and model.get("directory"):
                yield Declared(
                    name=model["name"], folder=model["directory"], source=source, sha256=_digest(digest), by=label
                )


def facts(path: Path) -> Iterator[Declared]:
    """The rows of a list of facts."""
    for row in json.loads(path.read_bytes()):
        source = identify(row["url"])
        if source is not None:
            by = row["source"].partition(", name taken")[0]
            for folder in (row["folder"] or "").split("/"):
                yield Declared(
                    name=row["name"],
                    folder=folder,
                    source=source,
                    sha256=_digest(row.get("sha256")),
                    size=row.get("size"),
                    by=by,
                )


def merge(table: Iterable[KnownModel], declared: Iterable[Declared]) -> list[KnownModel]:
    """Put *declared* and the rows of *table* together: one row for each name and file, the most declared first."""
    rows = {(name_key(row.name), row.source.key): row for row in table}
    counted: collections.Counter[tuple[Any, ...]] = collections.Counter()
    for one in declared:
        key = (name_key(one.name), one.source.key)
        counted[key] += 1
        folder = folder_key(one.folder) or _folder_of(one)
        row = rows.get(key) or KnownModel(name=one.name, folders=(), source=one.source)
        folders = row.folders if not folder or folder in row.folders else (*row.folders, folder)
        seen_in = row.seen_in if one.by in row.seen_in else (*row.seen_in, one.by)
        size = row.size or one.size
        rows[key] = evolve(row, folders=folders, seen_in=seen_in, sha256=row.sha256 or one.sha256, size=size)
    known = _digests_by_source(rows.values())
    shared = [evolve(row, sha256=row.sha256 or known.get(row.source.key)) for row in rows.values()]
    kept = _with_rightful_names(shared)
    return sorted(kept, key=lambda row: (name_key(row.name), -counted[name_key(row.name), row.source.key]))


def _digests_by_source(rows: Iterable[KnownModel]) -> dict[tuple[str, ...], str]:
    """The digest of each file that exactly one digest is stated for. A wish is part of the file's identity here."""
    stated: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        if row.sha256 and not isinstance(row.source, CivitaiFile):
            stated.setdefault(row.source.key, set()).add(row.sha256)
    return {key: digests.pop() for key, digests in stated.items() if len(digests) == 1}


def _with_rightful_names(rows: list[KnownModel]) -> list[KnownModel]:
    """The rows; a file that somebody renames stands under its own name as well, or only, where that says more."""
    kept = {(name_key(row.name), row.source.key): row for row in rows if not _usurps(row, rows)}
    for row in rows:
        key = (name_key(row.source.name), row.source.key)
        is_lost = (name_key(row.name), row.source.key) not in kept
        if row.is_renamed and (is_lost or not is_generic(key[0])):
            kept.setdefault(key, evolve(row, name=row.source.name))
    return list(kept.values())


def _usurps(row: KnownModel, rows: list[KnownModel]) -> bool:
    """Say whether somebody's own name for a file says less than the file's, or takes another file's.

    A precision is part of what a model is: a name that leaves it out may be another file's elsewhere. A file
    that really has the name comes first, unless equal digests prove the two the same.
    """
    if not row.is_renamed:
        return False
    if not is_generic(name_key(row.source.name)) and not _precisions(row.source.name) <= _precisions(row.name):
        return True
    rightful = [
        other
        for other in rows
        if name_key(other.name) == name_key(row.name) and not other.is_renamed and other.source.name
    ]
    return bool(rightful) and row.sha256 not in {other.sha256 for other in rightful if other.sha256}


def _precisions(name: str) -> set[str]:
    return set(_PRECISION.findall(name.lower()))


def _folder_of(one: Declared) -> str:
    path = one.source.path if isinstance(one.source, HubFile) else ""
    for part in path.split("/")[:-1]:
        if part.lower() in _FOLDER_KEYS:
            return part.lower()
    return next((folder for pattern, folder in _BY_HAND if pattern.search(f"{one.name} {path}")), "")


def _digest(text: object) -> str | None:
    return text.lower() if isinstance(text, str) and re.fullmatch(r"[0-9a-fA-F]{64}", text) else None


def _json_files(root: Path) -> Iterator[bytes]:
    if root.is_dir():
        for path in sorted(root.rglob("*.json")):
            yield path.read_bytes()
        return
    with zipfile.ZipFile(root) as wheel:
        for name in sorted(wheel.namelist()):
            if name.endswith(".json"):
                yield wheel.read(name)


def _models(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        properties = value.get("properties")
        if isinstance(properties, dict) and isinstance(properties.get("models"), list):
            yield from (model for model in properties["models"] if isinstance(model, dict))
        for inner in value.values():
            yield from _models(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _models(inner)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--declared", action="append", default=[], metavar="LABEL=PATH")
    parser.add_argument("--facts", action="append", default=[], type=Path)
    parser.add_argument("--version", default="", help="the table's own version, e.g. 2026.11.22")
    options = parser.parse_args(arguments)
    present = options.table.read_bytes() if options.table.exists() else render_document([])
    version, rows = parse_document(present, str(options.table))
    declared: list[Declared] = []
    for labelled in options.declared:
        label, _, root = labelled.partition("=")
        declared += declarations(label, Path(root))
    for path in options.facts:
        declared += facts(path)
    merged = merge(rows, declared)
    homeless = [row.name for row in merged if not row.folders]
    if homeless:
        sys.stderr.write(f"no folder is known for: {', '.join(homeless)}\n")
        return 1
    options.table.write_bytes(render_document(merged, options.version or version))
    names = {name_key(row.name) for row in merged}
    digests = sum(bool(row.sha256) for row in merged)
    sys.stdout.write(f"{len(merged)} rows, {len(names)} names, {digests} rows with a digest\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
