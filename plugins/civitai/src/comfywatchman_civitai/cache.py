"""Answers of the API that are worth keeping between runs: small, fresh for a stated time, and without secrets.

Each answer is one compressed file, named by what was asked. Whatever is wrong
with such a file, it counts as absent: the cache saves questions, nothing
depends on it.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

_MOST_FILES = 2000
_LARGEST_FILE = 2 << 20
_LARGEST_DOCUMENT = 16 << 20
_DEEPEST = 12
"""Levels of nesting; the deepest that is read is the checksums of a file in a page of a search, at eight."""

_KEPT = frozenset(
    {
        # the list
        "items", "metadata", "nextCursor", "modelVersions", "files", "model",
        # models and versions
        "id", "modelId", "name", "type", "mode", "baseModel", "trainedWords", "publishedAt", "createdAt",
        "usageControl", "availability", "paidAccess", "permanent", "endsAt", "earlyAccessDeadline",
        "earlyAccessEndsAt", "earlyAccessTimeFrame",
        # files
        "overrideName", "sizeKB", "format", "size", "fp", "quantType", "hashes", "SHA256", "AutoV1", "AutoV2",
        "AutoV3", "CRC32", "BLAKE3", "primary", "downloadUrl", "pickleScanResult", "virusScanResult",
        # mini
        "air", "versionName", "modelName", "fileName", "fileType", "downloadUrls", "requireAuth",
    }
)  # fmt: skip


@frozen
class Kept:
    """An answer as it is kept: its status, and the members that are read."""

    status: int
    document: Any


def slim(document: Any, depth: int = 0) -> Any:
    """Leave out what is never read (pictures, descriptions, statistics): nine tenths of an answer."""
    if depth > _DEEPEST:
        return None
    if isinstance(document, dict):
        return {key: slim(value, depth + 1) for key, value in document.items() if key in _KEPT}
    if isinstance(document, list):
        return [slim(value, depth + 1) for value in document]
    return document


class Cache:
    """Answers below one directory.

    :param directory: ``None`` keeps nothing.
    """

    def __init__(self, directory: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now
        self._tidied = False

    def get(self, question: str, seconds: float, absent: float) -> Kept | None:
        """The answer to *question* that is younger than *seconds*; one that says "nothing there", than *absent*."""
        path = self._path(question)
        if path is None:
            return None
        try:
            if path.stat().st_size > _LARGEST_FILE:
                return None
            inflate = zlib.decompressobj(wbits=31)
            text = inflate.decompress(path.read_bytes(), _LARGEST_DOCUMENT)
            stored = json.loads(text)
            kept = Kept(int(stored["status"]), stored["document"])
            age = self._now() - float(stored["at"])
            fresh = 0 <= age < (seconds if kept.status == 200 else absent)
            return kept if fresh and stored["question"] == question else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error):
            return None

    def put(self, question: str, kept: Kept) -> None:
        """Keep an answer; a directory that cannot be written is no failure."""
        path = self._path(question)
        if path is None:
            return
        stored = {"question": question, "at": self._now(), "status": kept.status, "document": kept.document}
        data = gzip.compress(json.dumps(stored).encode(), compresslevel=5, mtime=0)
        if len(data) > _LARGEST_FILE:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(name, path)
            except OSError:
                os.unlink(name)
                raise
            self._tidy(path.parent)

    def _path(self, question: str) -> Path | None:
        if self._directory is None:
            return None
        return self._directory / "answers" / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json.gz"

    def _tidy(self, folder: Path) -> None:
        """Once a run, throw away the oldest answers beyond what a cache may hold."""
        if self._tidied:
            return
        self._tidied = True
        files = sorted(folder.glob("*.json.gz"), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - _MOST_FILES)]:
            path.unlink(missing_ok=True)
