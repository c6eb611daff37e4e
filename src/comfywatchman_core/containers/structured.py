"""Containers that are, or hold, a JSON or XML document: glTF binaries, tensors, SVG pictures, EXR attributes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .parsing import parse_json
from .source import MAX_TEXT, Damaged, Source

_GLTF_JSON = 0x4E4F534A
_EXR_ATTRIBUTES = 10_000
_EXR_NAME = 256
_SVG_METADATA = 64


def glb_texts(source: Source) -> Iterator[tuple[str, object]]:
    """Look into ``asset.extras`` of a glTF binary: objects, or their JSON. :raises Damaged: Its header is broken."""
    length, kind = struct.unpack("<II", source.exactly(12, 8))
    if kind != _GLTF_JSON:
        raise Damaged("its first chunk is not JSON")
    asset = _object(source.text(20, length)).get("asset")
    extras = asset.get("extras") if isinstance(asset, dict) else None
    if isinstance(extras, dict):
        yield from extras.items()


def tensors_length(head: bytes, size: int) -> int | None:
    """Bytes of the header of a safetensors or latent file that begins with *head*; ``None`` for another file."""
    if len(head) < 9 or head[8:9] != b"{":
        return None
    (length,) = struct.unpack("<Q", head[:8])
    return length if 2 <= length <= size - 8 else None


def tensors_texts(source: Source, length: int) -> Iterator[tuple[str, object]]:
    """Look into ``__metadata__`` of a safetensors header. :raises Damaged: It is no header."""
    metadata = _object(source.text(8, length)).get("__metadata__")
    if isinstance(metadata, dict):
        yield from metadata.items()


def svg_texts(source: Source) -> Iterator[tuple[str, object]]:
    """Look into ``<metadata>`` of an SVG, which holds one JSON object as CDATA."""
    text = source.read(0, MAX_TEXT)
    at = text.find(b"<metadata")
    for _ in range(_SVG_METADATA):
        start, end = text.find(b"<![CDATA[", at), text.find(b"</metadata", at)
        if at < 0 or end < 0:
            return
        if 0 <= start < end:
            with suppress(Damaged):  # other programs keep other things there
                yield from _object(text[start + 9 : text.find(b"]]>", start)]).items()
        at = text.find(b"<metadata", end)


def exr_texts(source: Source) -> Iterator[tuple[str, object]]:
    """Walk the ``string`` attributes in the header of an OpenEXR picture. :raises Damaged: The header is broken."""
    offset = 8
    for _ in range(_EXR_ATTRIBUTES):
        head = source.read(offset, 2 * _EXR_NAME + 4)
        name, found, rest = head.partition(b"\0")
        if not name or not found:
            return
        kind, found, rest = rest.partition(b"\0")
        if not found or len(rest) < 4:
            raise Damaged("an attribute in it is cut off")
        (length,) = struct.unpack("<I", rest[:4])
        start = offset + len(name) + len(kind) + 6
        if kind == b"string" and name.lower() in (b"workflow", b"prompt", b"parameters"):
            yield name.decode("latin-1"), source.text(start, length)
        offset = start + length


def _object(text: bytes) -> dict[str, Any]:
    found = parse_json(text)
    if not isinstance(found, dict):
        raise Damaged("the JSON in it is no object")
    return found
