"""A place that holds a mirror and can be listed and written: a mounted disk, SFTP, an object store; all by fsspec."""

from __future__ import annotations

import datetime
import errno
import queue
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from comfywatchman_core import AuthRequired, BackendError, errors

from . import publishing
from .settings import SCHEMES, Settings
from .ssh import connect, pieces_of

_T = TypeVar("_T")

CHUNK = 4 << 20
_SIGNED_FOR = 12 * 3600
"""Seconds for which an address with a signature is good: a large file at the speed of a slow network."""
_CONNECT = 5.0
_SILENCE = 30.0
_LIBRARIES = {"sftp": "paramiko", "s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}


@frozen(kw_only=True)
class Stored:
    """A file in the store."""

    path: str
    """Below the mirror's root."""
    size: int
    changed: float | None = None
    """When, in Unix time, where the store says."""
    md5: str = ""
    """Hexadecimal, where the store states one of the whole file."""


class Store:
    """Reads and writes below one root. Safe to share between threads: each call has a connection to itself."""

    def __init__(self, settings: Settings, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """:param cancelled: Says whether a write that is under way is to stop."""
        self._settings = settings
        self._cancelled = cancelled
        self._root = settings.root
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self.keeps_objects = settings.scheme not in ("file", "sftp")

    def read(self, path: str, limit: int) -> bytes | None:
        """The file at *path*, or its first *limit* bytes and one more; ``None`` where there is none."""
        try:
            return bytes(self._call(lambda fs: fs.cat_file(self._full(path), start=0, end=limit + 1)))
        except FileNotFoundError:
            return None

    def stat(self, path: str) -> Stored | None:
        """What is at *path*; ``None`` for nothing."""
        try:
            return _stored(path, self._call(lambda fs: fs.info(self._full(path))))
        except FileNotFoundError:
            return None

    def pieces(self, path: str, start: int) -> Generator[bytes]:
        """Yield the file at *path* from byte *start* on. :raises BackendError: It is not there, or breaks off."""
        fs = self._take()[0]
        try:
            with fs.open(self._full(path), "rb", **({} if self.keeps_objects else {"block_size": CHUNK})) as file:
                if self._settings.scheme == "sftp":
                    yield from pieces_of(file, start)
                else:
                    file.seek(start)
                    while piece := file.read(CHUNK):
                        yield piece
        except FileNotFoundError as error:
            self._idle.put(fs)
            raise BackendError(f"{path} is not in the mirror", code=errors.ErrorCode.NOT_FOUND) from error
        except Exception as error:  # whatever the store's library raises
            _close(fs)
            self.close()  # what lies idle has ended as well, perhaps: the next attempt connects anew
            raise self._failure(error) from error
        except GeneratorExit:  # left in the middle: answers to what was asked ahead may still be on their way
            _close(fs)
            raise
        self._idle.put(fs)

    def create(self, path: str, source: bytes | Path, sha256: str = "") -> bool:
        """Put *source* at *path*, whole or not at all, and never in the place of something else.

        :param sha256: What a file is held to while it is read; empty for a document.
        :returns: False where something is there already.
        :raises ChangedFile: The file has other bytes; nothing was published.
        :raises Cancelled: The caller asked to stop; nothing was published.
        """
        publish = {"file": publishing.to_disk, "sftp": publishing.to_sftp}.get(
            self._settings.scheme, publishing.to_objects
        )
        try:
            return self._call(lambda fs: publish(fs, self._root, path, source, sha256, self._cancelled))
        except FileNotFoundError as error:
            raise BackendError(
                f"the mirror {self._settings.url} has no place for {path}: {error}",
                code=errors.ErrorCode.UNAVAILABLE,
                hint="Make its bucket or container first, or see whether it is mounted.",
            ) from error

    def walk(self, folder: str) -> Iterator[Stored]:
        """Everything below *folder*, in no order."""
        try:
            found = self._call(lambda fs: fs.find(self._full(folder), detail=True))
        except FileNotFoundError:
            return
        root = self._root.strip("/")
        for name, info in found.items():
            yield _stored(str(name).strip("/").removeprefix(root).lstrip("/"), info)

    def remove(self, path: str) -> None:
        """Remove the file at *path*, if it is there."""
        with suppress(FileNotFoundError):
            self._call(lambda fs: fs.rm_file(self._full(path)))

    def signed(self, path: str) -> str | None:
        """A web address of the file that needs no more credentials, for some hours; ``None`` where none can be had."""
        if not self.keeps_objects:
            return None
        try:
            address = str(self._call(lambda fs: fs.sign(self._full(path), expiration=_SIGNED_FOR)))
        except BackendError:  # without a key of its own, a login may read and not sign
            return None
        return address if address.startswith(("https://", "http://")) else None

    def close(self) -> None:
        """Give connections back."""
        with suppress(queue.Empty):
            while True:
                _close(self._idle.get_nowait())

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _take(self) -> tuple[Any, bool]:
        """A connection that nobody else uses, and whether it was made for this call."""
        with suppress(queue.Empty):
            return self._idle.get_nowait(), False
        try:
            return _file_system(self._settings), True
        except BackendError:
            raise
        except Exception as error:  # whatever the store's library raises
            raise self._failure(error) from error

    def _call(self, call: Callable[[Any], _T]) -> _T:
        """Make *call*; once more where a connection that lay idle turns out to have ended."""
        while True:
            fs, is_fresh = self._take()
            try:
                result = call(fs)
            except (FileNotFoundError, publishing.ChangedFile, errors.Cancelled):
                self._idle.put(fs)
                raise
            except Exception as error:  # whatever the store's library raises
                _close(fs)
                if is_fresh:
                    raise self._failure(error) from error
            else:
                self._idle.put(fs)
                return result

    def _failure(self, error: Exception) -> BackendError:
        where, text = self._settings.url, f"{type(error).__name__}: {error}"[:300]
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return BackendError(
                f"the mirror {where} is full: {text}", code=errors.ErrorCode.DISK_FULL, hint="Prune it, or enlarge it."
            )
        if number in (errno.EROFS, errno.EACCES, errno.EPERM) or isinstance(error, PermissionError):
            return BackendError(
                f"the mirror {where} does not let this be done: {text}",
                code=errors.ErrorCode.READ_ONLY,
                hint="Check what this user may do there.",
            )
        if any(one.__name__ in _LOGIN for one in type(error).__mro__):
            return AuthRequired(
                f"the mirror {where} refuses this login: {text}",
                hint="Check the key, or the variables, that the store's own library reads.",
            )
        if type(error).__name__ in _STRANGERS or "known_hosts" in text:
            return BackendError(
                f"the mirror {where} is not the machine that is known, or not known at all: {text}",
                code=errors.ErrorCode.UNAVAILABLE,
                hint="Connect once with `ssh`, compare the fingerprint, and let it be written into known_hosts.",
            )
        return BackendError(
            f"the mirror {where} does not answer: {text}",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="See whether it is mounted or switched on, and reachable from here.",
        )


_LOGIN = frozenset({"AuthenticationException", "NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"})
_STRANGERS = frozenset({"BadHostKeyException"})
"""Errors of paramiko and botocore, by name: neither is imported for a mirror of another kind."""


def _file_system(settings: Settings) -> Any:
    """fsspec's own file system for the mirror, and no chain of them."""
    extra = SCHEMES[settings.scheme]
    if extra and find_spec(_LIBRARIES[extra]) is None:
        raise BackendError(
            f"a mirror at {settings.scheme}: needs {_LIBRARIES[extra]}, which is not installed",
            hint=f"Install it: pip install 'comfywatchman-mirror[{extra}]'.",
        )
    if settings.scheme == "sftp":
        return connect(settings, connect_seconds=_CONNECT, silence=_SILENCE)
    # What lists from memory would not see what others push. (fsspec keeps one instance for equal options and a thread.)
    options: dict[str, Any] = {"use_listings_cache": False}
    if extra == "s3":
        config = {"connect_timeout": _CONNECT, "read_timeout": _SILENCE, "retries": {"max_attempts": 2}}
        options["config_kwargs"] = {**config, **settings.options.get("config_kwargs", {})}
        # Parts of 50 MB are read whole, and several files are pushed at a time.
        options["max_concurrency"] = settings.options.get("max_concurrency", 2)
    return import_module("fsspec").filesystem(settings.scheme, **{**settings.options, **options})


def _stored(path: str, info: Any) -> Stored:
    stated = (info[name] for name in ("mtime", "LastModified", "last_modified", "updated") if name in info)
    changed: Any = next(stated, None)
    if isinstance(changed, datetime.datetime):
        changed = changed.timestamp()  # disks state seconds
    return Stored(
        path=path,
        size=int(info.get("size") or 0),
        changed=float(changed) if isinstance(changed, (int, float)) else None,
        md5=publishing.stated_md5(info),
    )


def _close(fs: Any) -> None:
    with suppress(Exception):  # it is given up
        client = getattr(fs, "client", None)
        if client is not None:
            client.close()
