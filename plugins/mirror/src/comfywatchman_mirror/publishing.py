"""Give bytes a name in a store: whole or not at all, and never a name that is taken.

Each kind of store has one step that creates a name and fails where it exists;
everything else is gathered under another name before it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from comfywatchman_core import errors

from .layout import INCOMING

Cancelled = Callable[[], bool]

_CHUNK = 4 << 20


class ChangedFile(Exception):
    """A file had other bytes when it was read once more. Nothing was published."""


def to_disk(fs: Any, root: str, path: str, source: bytes | Path, sha256: str, cancelled: Cancelled) -> bool:
    """By a hard link, which the file system makes only once; where it knows none, by a look and a rename."""
    final, gathered = Path(root, path), Path(root, _gathering(path))
    if os.path.lexists(final):
        return False
    for directory in (final.parent, gathered.parent):
        directory.mkdir(parents=True, exist_ok=True)
    try:
        with open(gathered, "xb") as file:
            _copy(source, file, sha256, cancelled)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(gathered, final)
        except FileExistsError:
            return False
        except OSError:
            # FAT and some network shares know no links.
            if isinstance(source, bytes):
                return _written_at_once(final, source)
            if not os.path.lexists(final):  # bytes have the name of their digest: whoever is quicker writes the same
                os.rename(gathered, final)
        _sync(final.parent)
        return True
    finally:
        gathered.unlink(missing_ok=True)


def _written_at_once(final: Path, document: bytes) -> bool:
    """Create a document under its name. Cut off by a kill, it is one that readers pass over."""
    try:
        with open(final, "xb") as file:
            file.write(document)
    except FileExistsError:
        return False
    return True


def to_sftp(fs: Any, root: str, path: str, source: bytes | Path, sha256: str, cancelled: Cancelled) -> bool:
    """By the rename of SFTP, which refuses a name that is taken (draft-ietf-secsh-filexfer-02, 6.5)."""
    final, gathered = f"{root}/{path}", f"{root}/{_gathering(path)}"
    if _is_there(fs, final):
        return False
    for directory in (final.rpartition("/")[0], gathered.rpartition("/")[0]):
        _make_directories(fs.ftp, directory)
    try:
        with fs.ftp.open(gathered, "wxb") as file:
            file.set_pipelined(True)
            _copy(source, file, sha256, cancelled)
        try:
            fs.ftp.rename(gathered, final)
        except OSError:
            if _is_there(fs, final):
                return False
            raise
        return True
    finally:
        with suppress(OSError):
            fs.ftp.remove(gathered)


def to_objects(fs: Any, root: str, path: str, source: bytes | Path, sha256: str, cancelled: Cancelled) -> bool:
    """By a put on the condition that nothing is there; the store itself shows an object when it is whole."""
    final = f"{root}/{path}"
    if fs.exists(final):
        return False
    before = source.stat() if isinstance(source, Path) else None
    try:
        if isinstance(source, Path):
            fs.put_file(str(source), final, mode="create")
        else:
            fs.pipe_file(final, source, mode="create")
    except Exception:  # each library says "it is there" in its own way
        if fs.exists(final):
            return False
        raise
    if before is not None and isinstance(source, Path):
        after = source.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            fs.rm_file(final)
            raise ChangedFile(f"{source} changed while it was pushed")
    return True


def stated_md5(info: Any) -> str:
    """The MD5 of a whole file as its store states it, hexadecimal; empty where it states none.

    S3's ETag is one where it has no dash (not put together from parts) and the object is not encrypted by KMS.
    """
    etag = str(info.get("ETag") or "").strip('"')
    if len(etag) == 32 and set(etag) <= set("0123456789abcdef") and "kms" not in str(info.get("ServerSideEncryption")):
        return etag
    stated = info.get("md5Hash") or getattr(info.get("content_settings"), "content_md5", None)
    with suppress(ValueError, TypeError):
        raw = base64.b64decode(stated) if isinstance(stated, str) else bytes(stated or b"")
        return raw.hex() if len(raw) == 16 else ""
    return ""


def _gathering(path: str) -> str:
    return f"{INCOMING}/{path.rpartition('/')[2]}.{secrets.token_hex(6)}"


def _copy(source: bytes | Path, file: BinaryIO, sha256: str, cancelled: Cancelled) -> None:
    """:raises ChangedFile: It is not what *sha256* says, if that says anything."""
    digest = hashlib.sha256()
    for piece in _pieces(source):
        if cancelled():
            raise errors.Cancelled("stopped while pushing")
        file.write(piece)
        digest.update(piece)
    if sha256 and digest.hexdigest() != sha256:
        raise ChangedFile(f"{source!s} changed while it was pushed")


def _pieces(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with open(source, "rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def _is_there(fs: Any, path: str) -> bool:
    with suppress(FileNotFoundError):
        fs.ftp.lstat(path)
        return True
    return False


def _make_directories(ftp: Any, path: str) -> None:
    try:
        ftp.stat(path)
    except FileNotFoundError:
        _make_directories(ftp, path.rpartition("/")[0] or "/") if "/" in path.strip("/") else None
        with suppress(OSError):  # somebody else made it at this moment; if not, the next step says so
            ftp.mkdir(path)


def _sync(directory: Path) -> None:
    """Make a new name survive a power cut, where the system can."""
    with suppress(OSError):  # Windows opens no directory, and some network shares sync none
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
