"""Change and look over the user's own tables: add, remove, list, check."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from comfywatchman_core import BackendError, Match, ModelRequest, errors

from .checking import Ask, Finding, State, compare, merged
from .documents import parse_document, render_document
from .files import locked, read_bounded, replace_whole
from .rows import KnownModel, folder_key, name_key
from .sources import WebFile, identify


def add(
    path: Path, reference: str, *, ask: Ask, today: datetime.date, name: str = "", folder: str = "", sha256: str = ""
) -> KnownModel:
    """Write a row for *reference*, once its source has confirmed it, and return it.

    A row of the same name and folder is replaced.

    :param reference: An https address, an AIR, ``civitai:…`` or ``hf:…``.
    :param name: What workflows call the file; the source's own name where empty.
    :param folder: ComfyUI's folder key; what the source's back end proposes where empty.
    :param sha256: A digest that the user holds the file to.
    :raises BackendError: The reference names no single file, its source does not confirm it or states another
        digest, or nothing says which name and folder are meant.
    """
    reference, sha256 = _with_digest(reference, sha256)
    source = identify(reference)
    if source is None or (isinstance(source, WebFile) and not reference.lower().startswith("https://")):
        raise _cannot(f"{reference[:200]!a} names no single file", "Pass an https address, hf:…, civitai:… or an AIR.")
    url = reference if "://" in reference else None
    offers = ask(ModelRequest(name=name or None, folder=folder, reference=reference, url=url, explicit=True))
    offer = next((offer for offer in offers if offer.match >= Match.SOURCE_ID), None)
    if offer is None:
        raise BackendError(
            f"no source confirms {reference[:200]!a}",
            code=errors.ErrorCode.NOT_FOUND,
            hint="Check the reference, and `comfywatchman backends`.",
        )
    if offer.obstacle is not None and offer.sha256 is None:
        raise BackendError(offer.obstacle.message, code=offer.obstacle.code, hint=offer.obstacle.hint)
    if sha256 and offer.sha256 and offer.sha256 != sha256.lower():
        raise BackendError(
            f"its source states sha256 {offer.sha256}, where {sha256.lower()} is asked for",
            code=errors.ErrorCode.CHECKSUM_MISMATCH,
            hint="Check the digest.",
        )
    row = KnownModel(
        name=name or (offer.name or source.name).replace("\\", "/").rpartition("/")[2],
        folders=(folder_key(folder or offer.folder),) if folder or offer.folder else (),
        source=merged(source, identify(offer.reference)),
        sha256=sha256.lower() or offer.sha256,
        size=offer.size,
        seen_in=("the user",),
        checked=today.isoformat(),
    )
    if not row.name or not row.folders:
        raise _cannot(f"nothing says which {'folder' if row.name else 'name'} is meant", "Pass --folder and --name.")
    parse_document(render_document([row]), "the new row")
    with locked(path):
        rows, version = _present(path)
        replace_whole(path, render_document([*(one for one in rows if not _same_place(one, row)), row], version))
    return row


def remove(path: Path, pattern: str) -> tuple[KnownModel, ...]:
    """Take the rows that match *pattern*, a ``FOLDER/NAME`` or name with wildcards, out of the table at *path*."""
    with locked(path):
        rows, version = _present(path)
        gone = tuple(row for row in rows if matches(row, pattern))
        if gone:
            replace_whole(path, render_document([row for row in rows if row not in gone], version))
    return gone


def check(path: Path, *, ask: Ask, today: datetime.date, pattern: str = "*", write: bool = False) -> list[Finding]:
    """Compare the rows of the table at *path* that match *pattern* with their sources.

    :param write: Fill in what the table did not know. What changed is told and never written.
    """
    rows, _ = _present(path)
    findings = [compare(row, ask, today) for row in rows if matches(row, pattern)]
    if write:
        with locked(path):
            rows, version = _present(path)
            replace_whole(path, render_document(filled(rows, findings), version))
    return findings


def filled(rows: Sequence[KnownModel], findings: Sequence[Finding]) -> list[KnownModel]:
    """The rows, with what *findings* add to them; a row that changed at its source stays as it is."""
    fresh = {
        (finding.row.name, finding.row.folders, finding.row.source): finding.fresh
        for finding in findings
        if finding.fresh and finding.state in (State.SAME, State.FILLED, State.MOVED)
    }
    return [fresh.get((row.name, row.folders, row.source), row) for row in rows]


def matches(row: KnownModel, pattern: str) -> bool:
    """Say whether *pattern* means *row*: ``NAME`` or ``FOLDER/NAME``, letter case aside, ``*`` and ``?`` allowed."""
    name = name_key(row.name)
    wanted = pattern.lower()
    return fnmatchcase(name, wanted) or any(fnmatchcase(f"{folder}/{name}", wanted) for folder in row.folders)


def _present(path: Path) -> tuple[list[KnownModel], str]:
    try:
        data = read_bounded(path)
    except FileNotFoundError:
        return [], ""
    version, rows = parse_document(data, str(path))
    return list(rows), version


def _with_digest(reference: str, sha256: str) -> tuple[str, str]:
    """Split ``#sha256=…`` off an address. :raises BackendError: What is stated is no SHA256."""
    address, _, fragment = reference.partition("#")
    if fragment.lower().startswith("sha256="):
        reference, sha256 = address, sha256 or fragment[7:]
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise _cannot(f"{sha256[:80]!a} is no SHA256", "A SHA256 has 64 hexadecimal digits.")
    return reference, sha256


def _same_place(one: KnownModel, other: KnownModel) -> bool:
    return name_key(one.name) == name_key(other.name) and set(one.folders) == set(other.folders)


def _cannot(message: str, hint: str) -> BackendError:
    return BackendError(message, code=errors.ErrorCode.NOT_FOUND, hint=hint)
