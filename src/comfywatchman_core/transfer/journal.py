"""What survives a process: whose bytes lie in the staging file, and which of them are there.

The first line says whose they are, and which ranges the disk has confirmed.
Each further line is a range that was written since; a process that is killed
loses nothing of what the system took from it. After a power cut those lines
count for nothing, because the disk may have taken them before the bytes.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from attrs import asdict, frozen

from comfywatchman_core.owners import boot_id

from .spans import NO_END, Range, merged

_SCHEMA = "comfywatchman/1"
_MOST_BYTES = 16 << 20


@frozen(kw_only=True)
class Identity:
    """What tells one file's bytes from another's."""

    source: str
    """The address that was asked, without query: it may be signed."""
    storage: str = ""
    """The address that answered, without query."""
    sha256: str = ""
    """What the bytes are expected to be; empty where nobody says."""
    etag: str = ""
    """A strong validator, or empty."""
    modified: str = ""
    """``Last-Modified``, where it is old enough to be a strong validator, or empty."""
    total: int = NO_END

    @property
    def validator(self) -> str:
        """What ``If-Range`` may carry, or empty."""
        return self.etag or self.modified

    @property
    def is_strong(self) -> bool:
        """Bytes from two answers may be put together: what comes out is checked, or the server vouches."""
        return bool(self.sha256 or self.validator)

    def admits(self, earlier: Identity) -> bool:
        """Say whether bytes that were kept under *earlier* may be gone on with."""
        if self.sha256 and earlier.sha256:
            return self.sha256 == earlier.sha256
        return self.source == earlier.source and bool(earlier.validator)


def without_query(url: str) -> str:
    """*url* as a name for the file behind it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Journal:
    """The journal of one staging file. :meth:`note` may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = -1

    def read(self) -> tuple[Identity, list[Range]] | None:
        """What an earlier process left; ``None`` for nothing, or nothing that can be relied on."""
        try:
            with self._path.open("rb") as file:
                first, *notes = file.read(_MOST_BYTES).split(b"\n")
            header = json.loads(first)
            if header["schema"] != _SCHEMA:
                return None
            identity = Identity(**{name: kind(header[name]) for name, kind in _FIELDS.items()})
            ranges = [_range(pair, identity.total) for pair in header["ranges"]]
            if header["boot"] and header["boot"] == boot_id():
                with suppress(ValueError):  # what follows a torn line counts for nothing
                    for note in notes[:-1]:
                        ranges.append(_range(json.loads(note), identity.total))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return identity, merged(ranges)

    def write(self, identity: Identity, confirmed: Iterable[Range], written: Iterable[Range], *, sync: bool) -> None:
        """Put a new journal in the place of the old one.

        :param confirmed: Ranges that survive a power cut.
        :param written: Ranges that survive the end of the process.
        :raises OSError: It cannot be written.
        """
        header = {"schema": _SCHEMA, "boot": boot_id(), **asdict(identity), "ranges": list(confirmed)}
        lines = [json.dumps(header), *(json.dumps(pair) for pair in written), ""]
        fresh = self._path.with_suffix(".new")
        with self._lock:
            fresh.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            descriptor = os.open(fresh, flags, 0o666)
            try:
                os.write(descriptor, "\n".join(lines).encode())
                if sync:
                    os.fsync(descriptor)
                os.replace(fresh, self._path)
            except OSError:
                os.close(descriptor)
                raise
            self._close()
            self._descriptor = descriptor

    def note(self, start: int, end: int) -> None:
        """Enter a range that was written. :raises OSError: The disk does not take it."""
        with self._lock:
            if self._descriptor >= 0:
                os.write(self._descriptor, b"[%d, %d]\n" % (start, end))

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def remove(self) -> None:
        """Forget everything."""
        with self._lock:
            self._close()
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_FIELDS = {"source": str, "storage": str, "sha256": str, "etag": str, "modified": str, "total": int}


def _range(pair: object, total: int) -> Range:
    """:raises ValueError: It is no range of a file of *total* bytes."""
    if isinstance(pair, list) and len(pair) == 2:
        start, end = pair
        if type(start) is int and type(end) is int and 0 <= start < end <= total:
            return start, end
    raise ValueError(f"not a range: {pair!r}")
