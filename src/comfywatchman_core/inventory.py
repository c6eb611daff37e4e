"""Which requested files are on this disk: at their place, elsewhere, broken, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath

from attrs import frozen

from .folders import ModelFolders, canonical_key
from .formats import defect
from .models import ModelRequest
from .names import MODEL_EXTENSIONS, has_model_extension, same_name_key
from .report import Status

_EMBEDDING_SUFFIXES = (".safetensors", ".pt", ".bin")  # in this order: comfy/sd1_clip.py, 2026-08
_SUFFIXES = (*_EMBEDDING_SUFFIXES, *sorted(MODEL_EXTENSIONS.difference(_EMBEDDING_SUFFIXES)))
_MAX_DIRECTORIES = 200_000
_WALKERS = 8


@frozen(kw_only=True)
class Found:
    """What the disk says about one request."""

    status: Status
    """PRESENT, ELSEWHERE, CORRUPT or MISSING."""
    path: Path | None = None
    """Where it is; for CORRUPT the file that has to be replaced. ``None`` for MISSING, and for a file of which
    only a server says that it is there."""
    size: int | None = None
    """Bytes."""
    reason: str = ""
    """For CORRUPT: why, as a clause that continues "the file …"."""
    hides: tuple[Path, ...] = ()
    """Files of this very name in later roots, which ComfyUI does not read while this one is there."""
    dangling: Path | None = None
    """A link at the file's place that leads nowhere; ComfyUI passes it over."""


@frozen
class _Listed:
    root: Path
    name: str
    """Below ``root``, as the file system spells it, with forward slashes."""

    @property
    def path(self) -> Path:
        return self.root / self.name


class _Listing:
    """All files below one root, kept up to date file by file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside = os.path.join(root, "")
        self.names: set[str] = set()
        self.by_base: dict[str, list[str]] = {}
        for name in sorted(walk(root)):
            self._add(name)

    def look_again(self, path: str, *, there: bool) -> None:
        """Enter or strike out the file at *path*, if it lies below the root."""
        if not path.startswith(self._inside):
            return
        name = path.removeprefix(self._inside).replace(os.sep, "/")
        if there and name not in self.names:
            self._add(name)
        elif not there and name in self.names:
            self.names.discard(name)
            self.by_base[_base(name)] = [one for one in self.by_base[_base(name)] if one != name]

    def _add(self, name: str) -> None:
        self.names.add(name)
        self.by_base.setdefault(_base(name), []).append(name)


def _base(name: str) -> str:
    return same_name_key(name).rpartition("/")[2]


class Inventory:
    """One listing of the model folders, shared by all requests of a run. Safe to share between threads.

    Directories are walked when first asked about, each once. What was found is
    checked against the disk again when it is reported, so that a file that was
    placed or removed meanwhile is seen, if :meth:`refresh` was called for it.

    :param listed: Folder key to the names that a running ComfyUI lists, which may be on another machine:
        what it lists is there, though no path of this machine leads to it.
    """

    def __init__(self, folders: ModelFolders, *, listed: Mapping[str, frozenset[str]] | None = None) -> None:
        self.folders = folders
        self._listed = listed or {}
        self._lock = threading.Lock()
        self._listings: dict[Path, _Listing] = {}
        self._sizes: dict[int, dict[Path, None]] | None = None
        self._defects: dict[tuple[Path, int, int], str | None] = {}

    def prepare(self, requests: Iterable[ModelRequest]) -> None:
        """Walk the folders of all *requests* at once; network drives answer several walks in the time of one."""
        keys = dict.fromkeys(request.folder for request in requests)
        roots = dict.fromkeys(root for key in keys for root in self._roots(key))
        with self._lock:
            waiting = [root for root in roots if root not in self._listings]
        if len(waiting) > 1:
            with ThreadPoolExecutor(min(_WALKERS, len(waiting))) as pool:
                listings = list(pool.map(_Listing, waiting))
            with self._lock:
                self._listings.update({listing.root: listing for listing in listings})

    def refresh(self, path: Path) -> None:
        """Look at *path* again: a file was written or removed there."""
        with self._lock:
            there = path.is_file()
            for listing in self._listings.values():
                listing.look_again(str(path), there=there)
            if self._sizes is not None:
                self._measure(path, self._sizes)

    def of_size(self, size: int) -> tuple[Path, ...]:
        """Every model file of exactly *size* bytes, below any root. The first call looks at all of them."""
        with self._lock:
            known = self._sizes
        if known is None:
            known = {}
            for path in self._files():
                self._measure(path, known)
            with self._lock:
                self._sizes = known
        return tuple(known.get(size, ()))

    def _files(self) -> Iterator[Path]:
        for root in self.folders.all_roots():
            yield from (root / name for name in sorted(self._listing(root).names) if has_model_extension(name))

    @staticmethod
    def _measure(path: Path, sizes: dict[int, dict[Path, None]]) -> None:
        with suppress(OSError):  # gone since: whoever asks for it finds that out
            sizes.setdefault(path.stat().st_size, {})[path] = None

    def locate(self, request: ModelRequest) -> Found:
        """Find the file that *request* names.

        A file is present when it lies below a root of its folder key under exactly the name the workflow
        gives. ComfyUI reads the first root that has it, so that one is reported, and if it is broken, that
        one has to be repaired. For a request without a folder no place is the right one, and any file of
        that name is elsewhere.
        """
        if request.name is None:
            return Found(status=Status.MISSING)
        exact = self._exact(request.folder, request.name)
        if exact:
            return self._judge(exact)
        near = self._elsewhere(request.folder, request.name)
        dangling = self._dangling(request)
        for listed in near:
            found = self._judge([listed])
            if found.status is Status.PRESENT:
                return Found(status=Status.ELSEWHERE, path=found.path, size=found.size, dangling=dangling)
        return self._told(request.folder, request.name) or Found(status=Status.MISSING, dangling=dangling)

    def _told(self, key: str, name: PurePosixPath) -> Found | None:
        """What the server's lists say of a file that is not on this machine."""
        wanted = set(_spellings(name))
        bases = {same_name_key(spelled).rpartition("/")[2] for spelled in wanted}
        key = canonical_key(key)
        for listed_key in [key] if key else self._listed:
            names = self._listed.get(listed_key, frozenset())
            if key and wanted & names:
                return Found(status=Status.PRESENT)
            if any(same_name_key(listed).rpartition("/")[2] in bases for listed in names):
                exact = key and _is_searched_below(key, name)
                return Found(status=Status.PRESENT if exact else Status.ELSEWHERE)
        return None

    def _roots(self, key: str) -> tuple[Path, ...]:
        return self.folders.roots(key) if key else self.folders.all_roots()

    def _listing(self, root: Path) -> _Listing:
        with self._lock:
            known = self._listings.get(root)
        if known is None:
            known = _Listing(root)
            with self._lock:
                self._listings[root] = known
        return known

    def _exact(self, key: str, name: PurePosixPath) -> list[_Listed]:
        if not key:
            return []
        found = []
        for root in self.folders.roots(key):
            names = self._listing(root).names
            for spelled in _spellings(name):
                if spelled in names:
                    found.append(_Listed(root, spelled))
                    break
        if not found and _is_searched_below(key, name):
            found = [listed for listed in self._by_base(self.folders.roots(key), name) if _same_tail(listed.name, name)]
        return found

    def _elsewhere(self, key: str, name: PurePosixPath) -> list[_Listed]:
        return self._by_base(self._roots(key), name)

    def _by_base(self, roots: Iterable[Path], name: PurePosixPath) -> list[_Listed]:
        found = []
        for root in roots:
            by_base = self._listing(root).by_base
            for spelled in _spellings(PurePosixPath(name.name)):
                found += [_Listed(root, listed) for listed in by_base.get(same_name_key(spelled), ())]
        return found

    def _judge(self, listed: list[_Listed]) -> Found:
        first = listed[0]
        try:
            status = os.stat(first.path)
            identity = (first.path, status.st_size, status.st_mtime_ns)
            if identity not in self._defects:
                self._defects[identity] = defect(first.path)
            reason = self._defects[identity]
        except FileNotFoundError:
            return Found(status=Status.MISSING)
        except OSError as error:
            return Found(status=Status.CORRUPT, path=first.path, reason=f"cannot be read: {error.strerror or error}")
        return Found(
            status=Status.CORRUPT if reason else Status.PRESENT,
            path=first.path,
            size=status.st_size,
            reason=reason or "",
            hides=tuple(hidden.path for hidden in listed[1:] if not _is_same_file(first.path, hidden.path)),
        )

    def _dangling(self, request: ModelRequest) -> Path | None:
        if request.name is None or not request.folder:
            return None
        for root in self.folders.roots(request.folder):
            path = root / request.name
            if path.is_symlink() and not path.exists():
                return path
        return None


def locate(request: ModelRequest, folders: ModelFolders) -> Found:
    """Find one file without an :class:`Inventory` to share."""
    return Inventory(folders).locate(request)


def _spellings(name: PurePosixPath) -> Iterator[str]:
    """The name as given, and with the suffixes that are tried for a name without one."""
    yield str(name)
    if not has_model_extension(name):
        for suffix in _SUFFIXES:
            yield f"{name}{suffix}"


def _is_searched_below(key: str, name: PurePosixPath) -> bool:
    """Say whether a file in any sub-folder of the key answers to *name*: embeddings, and LoRAs named without suffix."""
    key = canonical_key(key)
    return key == "embeddings" or (key == "loras" and not has_model_extension(name))


def _same_tail(listed: str, name: PurePosixPath) -> bool:
    return any(listed == spelled or listed.endswith("/" + spelled) for spelled in _spellings(name))


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def walk(root: Path) -> Iterator[str]:
    """List the files below *root* as ComfyUI does: links followed, ``.git`` skipped; loops end.

    Two links to one directory are two directories with files of their own, as they are to ComfyUI.
    """
    visited = 0
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(root), "", frozenset())]
    while waiting and visited < _MAX_DIRECTORIES:
        directory, below, around = waiting.pop()
        visited += 1
        try:
            status = os.stat(directory)
            identity = (status.st_dev, status.st_ino)
            if identity in around and status.st_ino:
                continue
            inside = around | {identity}
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = below + entry.name
                    if entry.is_dir():
                        if entry.name != ".git":
                            waiting.append((entry.path, name + "/", inside))
                    elif entry.is_file():
                        yield name
        except OSError:
            continue  # a folder that cannot be listed has no files for ComfyUI either
