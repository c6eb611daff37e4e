"""The learned table: what was downloaded and verified on this machine, found again at once.

A row is written for a file that cannot change behind its source (a commit, a
file id) and that a published checksum spoke for. It claims no more than how
its name was come by: a name that only a workflow gave stays a name.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from comfywatchman_core import BackendError, Candidate, Match, ModelRequest

from .documents import TableError, parse_document, render_document
from .files import locked, read_bounded, replace_whole
from .rows import SUFFIXES, KnownModel, folder_key, name_key
from .sources import HubFile, Source, WebFile, identify

MOST_LEARNED = 5000
"""Rows; the oldest go first."""

FILE_NAME = "learned.json"

_turn = threading.Lock()


def row_for(
    request: ModelRequest, candidate: Candidate, sha256: str, size: int, today: datetime.date
) -> KnownModel | None:
    """Say what is worth remembering of a verified download; ``None`` for nothing."""
    name = request.name.name if request.name else candidate.name.replace("\\", "/").rpartition("/")[2]
    if not name_key(name).endswith(SUFFIXES):  # the suffix was added by the source
        name = candidate.name.replace("\\", "/").rpartition("/")[2]
    folder = folder_key(request.folder or candidate.folder)
    source = identify(candidate.reference) or identify(candidate.url)
    if source is None or not folder or not name_key(name).endswith(SUFFIXES) or not _is_lasting(source):
        return None
    return KnownModel(
        name=name,
        folders=(folder,),
        source=source,
        sha256=sha256.lower(),
        size=size,
        seen_in=("downloaded",),
        checked=today.isoformat(),
        match=Match.SOURCE_ID if request.explicit else Match.FILENAME,
    )


def remember(path: Path, row: KnownModel, tell: Callable[[str], None]) -> bool:
    """Add *row* to the table at *path*; a table that cannot be read is set aside, one of a newer form left alone.

    :param tell: Takes a sentence about a table that was set aside.
    :returns: Whether the file was written.
    :raises BackendError: The table is not to be touched.
    :raises OSError: It cannot be written.
    """
    parse_document(render_document([row]), "what was learned")  # one bad row would make the whole table unreadable
    with _turn, locked(path):
        rows = list(_present_rows(path, tell))
        same = [one for one in rows if _key(one) == _key(row)]
        if any(one.sha256 == row.sha256 and one.match >= row.match for one in same):
            return False
        rows = [one for one in rows if one not in same]
        rows.append(row)
        replace_whole(path, render_document(rows[-MOST_LEARNED:]))
        return True


def _present_rows(path: Path, tell: Callable[[str], None]) -> tuple[KnownModel, ...]:
    try:
        data = read_bounded(path)
    except FileNotFoundError:
        return ()
    try:
        return parse_document(data, str(path))[1]
    except TableError as error:
        if b'"comfywatchman-known/' in data[:200] and b'"comfywatchman-known/1"' not in data[:200]:
            raise BackendError(
                f"{path} was written by a newer version and is left alone", hint="Upgrade comfywatchman-directid."
            ) from error
        aside = path.with_name(f"{path.name}.bad")
        os.replace(path, aside)
        tell(f"{error}; it is set aside as {aside.name}, and a new one begun")
        return ()


def _key(row: KnownModel) -> tuple[object, ...]:
    return (name_key(row.name), row.folders, row.source)


def _is_lasting(source: Source) -> bool:
    if isinstance(source, HubFile):
        return source.is_pinned
    if not isinstance(source, WebFile):
        return True
    # A query may be a signature or a token, and a number or a bare name is a place in somebody's own network.
    parts = urlsplit(source.address)
    host = parts.hostname or ""
    return not parts.query and "." in host and not _is_number(host)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.replace(".", "").isdigit()
    return True
