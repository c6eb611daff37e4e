"""What the Hub states about one file, read out of its various answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

_HEX = re.compile(r"[0-9a-f]+")


@frozen(kw_only=True)
class FileFacts:
    """What the Hub states about one file of one commit."""

    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    """Of LFS files, which all models are."""
    git_sha1: str | None = None
    """Of small files that git holds itself."""
    chunked: bool = False
    """The Hub's chunk store (Xet) has it, too."""


def facts_of_headers(headers: Mapping[str, str], *, status: int, own: bool) -> FileFacts:
    """Read the answer to a request for a file.

    :param headers: Names in lower case.
    :param own: The answer is the endpoint's own; storage states hashes of another sort as its ETag.
    """
    tag = headers.get("x-linked-etag") or (headers.get("etag", "") if own else "")
    tag = tag.removeprefix("W/").strip('"')
    # The length of a redirect's own text is not the file's.
    size = headers.get("x-linked-size") or (headers.get("content-length") if status == 200 else None)
    return FileFacts(
        size=_count(size),
        sha256=hex_digits(tag, 64),
        git_sha1=hex_digits(tag, 40),
        chunked=hex_digits(headers.get("x-xet-hash"), 64) is not None,
    )


def facts_of_entry(entry: Mapping[str, Any]) -> FileFacts:
    """Read an entry of ``paths-info`` or of ``siblings``.

    The first calls the SHA256 ``lfs.oid``, the other ``lfs.sha256``. Where there is ``lfs``, the entry's own
    ``oid`` is the pointer's, and ``xetHash`` is a third, unrelated value.
    """
    lfs = entry.get("lfs")
    if isinstance(lfs, Mapping):
        size = lfs.get("size", entry.get("size"))
        return FileFacts(
            size=_count(size),
            sha256=hex_digits(lfs.get("oid") or lfs.get("sha256"), 64),
            chunked=hex_digits(entry.get("xetHash"), 64) is not None,
        )
    oid = entry.get("oid") or entry.get("blobId")
    return FileFacts(size=_count(entry.get("size")), git_sha1=hex_digits(oid, 40))


def hex_digits(text: object, length: int) -> str | None:
    """*text* in lower case, if it is *length* hexadecimal digits."""
    if not isinstance(text, str):
        return None
    text = text.strip().lower().removeprefix("sha256:")
    return text if len(text) == length and _HEX.fullmatch(text) else None


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else None
