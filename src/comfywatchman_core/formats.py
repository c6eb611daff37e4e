"""Whether a file can be what its name says, told from a few kilobytes of it.

No model is loaded and nothing is unpacked: a header says how long its file
must be, and an error page begins like one.
"""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

_SAFETENSORS_HEADER_LIMIT = 100_000_000  # bytes; the reference reader refuses more (safetensors, tensor.rs)
_PARSED_HEADER_LIMIT = 16 << 20
"""Headers up to this size are parsed; from larger ones only the offsets are read, which costs no memory."""
_GGUF_COUNT_LIMIT = 1 << 24
_ZIP_TAIL = 65_557  # bytes: the end record and the longest comment behind it (APPNOTE.TXT 4.3.16)
_JSON_LIMIT = 1 << 20

_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*(\d+)\s*,\s*(\d{1,20})(\d*)\s*\]')
_ZIP_FORMATS = frozenset({".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"})


def defect(path: Path, name: str | None = None) -> str | None:
    """Say why nothing can load the file at *path*.

    :param name: Where its format is read from, when the file does not bear its final name yet.
    :returns: A clause that continues "the file …"; ``None`` when nothing speaks against it.
    :raises OSError: The file cannot be read.
    """
    suffix = os.path.splitext(name or path.name)[1].lower()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return "is empty"
        head = file.read(512)
        if suffix in (".safetensors", ".sft"):
            return _safetensors_defect(file, head, size)
        foreign = foreign_start(head) or _whole_json(file, head, size)
        if foreign:
            return f"is {foreign}"
        if suffix == ".gguf":
            return _gguf_defect(head)
        if suffix in _ZIP_FORMATS and head.startswith(b"PK\x03\x04"):
            return _zip_defect(file, size)
    return None


def foreign_start(head: bytes) -> str | None:
    """Name what a file is that begins with *head* and is no model: a web page, a pointer, an error message.

    :param head: The first bytes; 64 are enough, 512 are better.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<!--")):
        return "a web page"
    if text.startswith((b"<?xml", b"<error", b"<svg")):
        return "an XML document"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file it points to"
    if re.match(rb'[{\[]\s*"(?:error|message|detail|status|code|success)"', text):
        return "an error message in JSON"
    return None


def _safetensors_defect(file: BinaryIO, head: bytes, size: int) -> str | None:
    foreign = foreign_start(head)
    if foreign:
        return f"is {foreign}"
    if size < 10:
        return "is too short to be a safetensors file"
    (length,) = struct.unpack("<Q", head[:8])
    if not 2 <= length <= _SAFETENSORS_HEADER_LIMIT or head[8:9] != b"{":
        return "does not begin like a safetensors file"
    if 8 + length > size:
        return f"is cut off inside its header: {size} of more than {8 + length} bytes"
    file.seek(8)
    header = file.read(length)
    end = _data_end(header)
    if end is None:
        return "has a safetensors header that cannot be read"
    expected = 8 + length + end
    if expected != size:
        return (
            f"is {'shorter' if size < expected else 'longer'} than its header says: {size} instead of {expected} bytes"
        )
    return None


def _data_end(header: bytes) -> int | None:
    """Where the tensors end, in bytes behind the header; ``None`` for a header that is not one."""
    if len(header) > _PARSED_HEADER_LIMIT:
        # more digits than 64 bits have are an attack on int(), and the end of no tensor
        ends = [None if found[3] else int(found[2]) for found in _OFFSETS.finditer(header)]
        return None if None in ends else max((end for end in ends if end is not None), default=0)
    try:
        tensors = json.loads(header)
        return max((int(tensors[name]["data_offsets"][1]) for name in tensors if name != "__metadata__"), default=0)
    except (ValueError, OverflowError, RecursionError, KeyError, IndexError, TypeError):
        return None


def _gguf_defect(head: bytes) -> str | None:
    if len(head) < 24 or not head.startswith(b"GGUF"):
        return "does not begin like a GGUF file"
    version, tensors, pairs = struct.unpack("<IQQ", head[4:24])
    if version not in (1, 2, 3) or tensors > _GGUF_COUNT_LIMIT or pairs > _GGUF_COUNT_LIMIT:
        return "has a GGUF header that cannot be read"
    return None  # no further: parsers of the rest have been a way in (CVE-2026-7482)


def _zip_defect(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - _ZIP_TAIL))
    if b"PK\x05\x06" not in file.read():
        return "is cut off: the index at the end of the archive is missing"
    return None


def _whole_json(file: BinaryIO, head: bytes, size: int) -> str | None:
    if size > _JSON_LIMIT or head.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        file.seek(0)
        json.loads(file.read(_JSON_LIMIT))
    except (ValueError, RecursionError):
        return None
    return "a JSON document"
