"""What stands where a requested file belongs, as the entry of a report.

The inventory says what lies where; this module adds what follows for the
request: an intact file with other bytes than a known digest is a conflict.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, evolve, field

from .errors import ErrorCode, Failure, UnsafeName
from .folders import ModelFolders
from .inventory import Found, Inventory
from .models import ModelRequest
from .names import has_model_extension
from .report import Entry, Status
from .state import Digests, Memory


@define
class Standing:
    """Looks files up for a run, and knows where they belong."""

    folders: ModelFolders
    inventory: Inventory
    digests: Digests
    """Of files that were hashed before."""
    accepted: Sequence[str] = ()
    """SHA256 of files that the user takes whatever their request states."""
    _seen: dict[Path, str] = field(factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls,
        folders: ModelFolders,
        memory: Memory | None = None,
        accepted: Sequence[str] = (),
        *,
        listed: Mapping[str, frozenset[str]] | None = None,
    ) -> Standing:
        """Look at the disk anew.

        :param listed: Folder key to the names that a running ComfyUI lists.
        """
        return cls(folders, Inventory(folders, listed=listed), (memory or Memory(None)).digests, accepted)

    def entry(
        self, request: ModelRequest, *, place: Path | None = None, cancelled: Callable[[], bool] = lambda: False
    ) -> Entry:
        """Say what is there for *request*. Hashes a file only where a SHA256 is known to compare with.

        :param place: Where it belongs, for a caller that knows.
        :raises Cancelled: The caller asked to stop.
        """
        if request.name is None:
            return Entry(request=request, status=Status.MISSING)
        found = self.inventory.locate(request)
        path = found.path or place or self._place(request)
        entry = Entry(request=request, status=found.status, path=path, size=found.size)
        if found.status is Status.CORRUPT and found.path is not None and (reason := _unreadable(found.path)):
            return _in_the_way(entry, f"{found.path} cannot be read: {reason}", "Check its permissions, and the disk.")
        if found.status is Status.CORRUPT:
            message = f"{found.path} {found.reason}"
            hint = "`comfywatchman get` replaces it."
            failure = Failure(code=ErrorCode.NOT_A_MODEL, message=message, hint=hint)
            return Entry(request=request, status=Status.CORRUPT, path=found.path, size=found.size, error=failure)
        if found.status in (Status.PRESENT, Status.ELSEWHERE) and found.path is not None and request.sha256:
            return self._compared(entry, found, request.sha256, cancelled)
        return entry

    def _compared(self, entry: Entry, found: Found, wanted: str, cancelled: Callable[[], bool]) -> Entry:
        assert found.path is not None
        actual = None
        if entry.request.size is None or found.size == entry.request.size:
            try:
                actual = self.digests.sha256(found.path, cancelled)
            except OSError as error:
                told = f"{found.path} cannot be read: {error.strerror or error}"
                return _in_the_way(entry, told, "Check its permissions, and the disk.")
        if actual is not None and (actual == wanted or actual in self.accepted):
            return Entry(request=entry.request, status=entry.status, path=entry.path, size=entry.size, sha256=actual)
        if found.status is Status.ELSEWHERE:
            # another file that bears the same name
            return Entry(request=entry.request, status=Status.MISSING, path=self._place(entry.request))
        told = f"its SHA256 is {actual}" if actual else f"it has {found.size} bytes"
        return evolve(
            _in_the_way(
                entry,
                f"a different file is at {found.path}: {told}, where {wanted} is asked for",
                "Move it aside, or run again with --force to replace it.",
            ),
            sha256=actual,
        )

    def _place(self, request: ModelRequest) -> Path | None:
        """Where a missing file belongs; ``None`` while its folder or its suffix is not known."""
        if request.name is None or not request.folder or not has_model_extension(request.name):
            return None
        try:
            return self.folders.destination(request.folder, request.name)
        except UnsafeName:
            return None  # told when the file would be written

    def may_hold(self, sha256: str, size: int) -> list[Path]:
        """Files of *size* bytes that are there, but for those that this run has seen to hold other bytes."""
        return [path for path in self.inventory.of_size(size) if self._seen.get(path, sha256) == sha256]

    def sha256_of(self, path: Path) -> str:
        """The SHA256 of a file. :raises OSError: It cannot be read."""
        self._seen[path] = sha256 = self.digests.sha256(path)
        return sha256

    def remember(self, path: Path, staged: os.stat_result, sha256: str) -> None:
        """Keep the digest of a file that was placed at *path*.

        :param staged: Of the bytes that were judged; where *path* names others by now, nothing is kept.
        """
        with suppress(OSError):
            status = path.stat()
            if status.st_mtime_ns == staged.st_mtime_ns and os.path.samestat(status, staged):
                self.digests.note(path, status, sha256, is_new=True)
                self._seen[path] = sha256

    def refresh(self, path: Path) -> None:
        """Look at *path* anew when next asked."""
        self._seen.pop(path, None)
        self.inventory.refresh(path)


def _in_the_way(entry: Entry, message: str, hint: str) -> Entry:
    """The entry of a file that is not touched unless the user says so."""
    failure = Failure(code=ErrorCode.CONFLICT, message=message, hint=hint)
    return evolve(entry, status=Status.FAILED, error=failure)


def _unreadable(path: Path) -> str:
    """Why *path* cannot be opened; empty if it can. A file that is only locked may be whole."""
    try:
        with open(path, "rb"):
            return ""
    except OSError as error:
        return error.strerror or str(error)
