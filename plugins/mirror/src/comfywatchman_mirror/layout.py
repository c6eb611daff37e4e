"""Where things are in a mirror, and how its small documents are written and read.

Every path is computed from what a reader knows already, so that a lookup is
one read, and a static web server over the tree is a mirror. The layout is a
contract with others who write one: the README states it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from attrs import asdict, field, frozen

from comfywatchman_core import Digest, ModelRequest

SCHEMA = "comfywatchman-mirror/1"
MARKER = "comfywatchman-mirror.json"
"""Says that this is a mirror: an empty mount point, or a web server's other directory, has none."""
BYTES, FACTS, NAMES, INCOMING = "sha256", "facts", "names", "incoming"
LARGEST_DOCUMENT = 64 << 10
"""Bytes that are read of a document; a real one has a few hundred."""
MOST_PLACES = 16
"""Different files that may have one name."""
_LONGEST_TEXT = 2048
_LARGEST_FILE = 1 << 42


def _sha256(text: object) -> str:
    return Digest("sha256", str(text)).value


def _size(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _LARGEST_FILE:
        raise ValueError(f"not a size: {number!r}")
    return number


def _text(text: object) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not text.isprintable():
        raise ValueError("not a text of one line")
    return text


def _source(text: object) -> str:
    """An address without user, query and fragment, where tokens stand: who can read a mirror reads its facts."""
    text = _text(text).strip()
    try:
        parts = urlsplit(text)
    except ValueError:  # its message shows what it cannot read
        return ""
    if parts.scheme in ("http", "https") and not parts.netloc:
        return ""  # spelled so that nobody can say where its user ends
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@frozen(kw_only=True)
class Facts:
    """What a mirror says of one file; under its digest, and once more under each of its names.

    :raises ValueError: A digest, size, name or text that is none; ``UnsafeName``, which is one, for a name that
        could lead out of a models folder.
    """

    sha256: str = field(converter=_sha256)
    size: int = field(converter=_size)
    """Bytes."""
    folder: str = field(converter=_text)
    """ComfyUI's folder key."""
    name: str = field(converter=_text)
    """The path below it."""
    backend: str = field(default="", converter=_text)
    """Where the file came from, as the plan states it that it was pushed with."""
    reference: str = field(default="", converter=_source)
    url: str = field(default="", converter=_source)
    pushed: str = field(default="", converter=_text)
    """When, in UTC (ISO 8601)."""

    def __attrs_post_init__(self) -> None:
        request = ModelRequest(name=PurePosixPath(self.name), folder=self.folder)
        if not self.folder or str(request.name) != self.name or request.folder != self.folder:
            raise ValueError("not a name below a folder")

    @property
    def label(self) -> str:
        """``FOLDER/NAME``."""
        return f"{self.folder}/{self.name}"

    def document(self) -> bytes:
        """The facts as they are stored."""
        told = {name: value for name, value in asdict(self).items() if value != ""}
        return json.dumps({"schema": SCHEMA, **told}, ensure_ascii=False, indent=1).encode() + b"\n"


def read_facts(document: bytes) -> Facts | None:
    """Read what :meth:`Facts.document` wrote, or somebody else; ``None`` for anything that cannot be relied on."""
    told = _object(document)
    try:
        return Facts(**{one: told[one] for one in _FIELDS if one in told}) if told else None
    except (ValueError, TypeError):
        return None


def marker() -> bytes:
    """The document that makes a directory a mirror."""
    return json.dumps({"schema": SCHEMA}).encode() + b"\n"


def is_marker(document: bytes) -> bool:
    """Say whether *document* is a mirror's, of a layout that this version reads."""
    return bool(_object(document))


def bytes_path(sha256: str) -> str:
    """Where the bytes are."""
    return f"{BYTES}/{sha256[:2]}/{sha256}"


def facts_path(sha256: str) -> str:
    """Where the facts of a digest are."""
    return f"{FACTS}/{sha256[:2]}/{sha256}.json"


def name_path(folder: str, name: str, place: int) -> str:
    """Where the facts of a name are: of the first file that got it at place 0, of another one at place 1.

    The name is hashed: it may be long, differ from another in case only, or hold what a store cannot.
    """
    key = hashlib.sha256(unicodedata.normalize("NFC", f"{folder}/{name}").encode("utf-8", "replace")).hexdigest()
    return f"{NAMES}/{key[:2]}/{key}/{place}.json"


def now() -> str:
    """The present, for :attr:`Facts.pushed`."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


_FIELDS = frozenset({"sha256", "size", "folder", "name", "backend", "reference", "url", "pushed"})


def _object(document: bytes) -> dict[str, object]:
    """The JSON object of this layout that *document* is; empty for anything else."""
    if len(document) > LARGEST_DOCUMENT:
        return {}
    try:
        told = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and told.get("schema") == SCHEMA else {}
