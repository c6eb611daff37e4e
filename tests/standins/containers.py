"""Small real files of every kind that carries a workflow, made byte by byte from their formats' descriptions.

Each function takes the texts and returns the file. They are written apart from
the readers on purpose: nothing of the package is imported here.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Pairs = Sequence[tuple[str, str]]


def png(pairs: Pairs, kind: str = "tEXt", *, behind_pixels: bool = False, pixels: int = 1) -> bytes:
    """A PNG of one grey pixel.

    :param kind: ``tEXt``, ``iTXt``, ``iTXt-zlib``, ``zTXt``, or ``comf`` as in animated ones.
    :param pixels: How many IDAT chunks lie in it.
    """
    texts = b"".join(_png_chunk(kind.partition("-")[0].encode(), _png_text(kind, *pair)) for pair in pairs)
    head = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    data = _png_chunk(b"IDAT", zlib.compress(b"\0\x7f")) * pixels
    body = head + data + texts if behind_pixels or kind == "comf" else head + texts + data
    return b"\x89PNG\r\n\x1a\n" + body + _png_chunk(b"IEND", b"")


def _png_text(kind: str, name: str, text: str) -> bytes:
    keyword = name.encode("latin-1") + b"\0"
    if kind == "iTXt":
        return keyword + b"\0\0" + b"en\0" + b"\0" + text.encode()
    if kind == "iTXt-zlib":
        return keyword + b"\1\0" + b"\0" + b"\0" + zlib.compress(text.encode())
    if kind == "zTXt":
        return keyword + b"\0" + zlib.compress(text.encode("latin-1"))
    return keyword + text.encode("latin-1", "replace" if kind == "tEXt" else "strict")


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def exif(entries: Mapping[int, str], *, order: str = "<", prefix: bool = True, comment: bytes = b"") -> bytes:
    """An Exif block with one ASCII value a tag; ``comment`` goes to UserComment in the inner directory."""
    values = [(tag, 2, text.encode() + b"\0") for tag, text in sorted(entries.items())]
    count = len(values) + bool(comment)
    at = 8 + 2 + 12 * count + 4
    directory, data = struct.pack(order + "H", count), b""
    for tag, kind, value in values:
        if len(value) <= 4:
            directory += struct.pack(order + "HHI", tag, kind, len(value)) + value.ljust(4, b"\0")
        else:
            directory += struct.pack(order + "HHII", tag, kind, len(value), at + len(data))
            data += value
    if comment:
        inner = at + len(data)
        directory += struct.pack(order + "HHII", 0x8769, 4, 1, inner)
        data += struct.pack(order + "H", 1)
        data += struct.pack(order + "HHII", 0x9286, 7, len(comment), inner + 2 + 12 + 4) + b"\0\0\0\0" + comment
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + directory + b"\0\0\0\0" + data
    return (b"Exif\0\0" if prefix else b"") + tiff


def webp(block: bytes) -> bytes:
    """A WebP with an Exif block; its one frame is empty, as no reader here looks at it."""
    chunks = _riff_chunk(b"VP8X", struct.pack("<B3x", 8) + b"\0" * 6) + _riff_chunk(b"VP8L", b"\x2f\0\0\0\0\0\0")
    body = b"WEBP" + chunks + _riff_chunk(b"EXIF", block)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def box(kind: bytes, body: bytes, *, wide: bool = False) -> bytes:
    """A box of ISO/IEC 14496-12; ``wide`` writes its size with 64 bits."""
    if wide:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, kind) + body


def avif(block: bytes, *, inside: bool = False) -> bytes:
    """An AVIF whose second item is an Exif block; ``inside`` puts it into ``idat`` instead of ``mdat``."""
    item = struct.pack(">I", 0 if not block.startswith(b"Exif") else 6) + block
    infe = box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 1, 0, b"av01") + b"\0")
    infe += box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 2, 0, b"Exif") + b"\0")
    iinf = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", 2) + infe)
    ftyp = box(b"ftyp", b"avif\0\0\0\0avifmif1")

    def build(offset: int) -> bytes:
        method = struct.pack(">H", 1 if inside else 0)
        entries = struct.pack(">H", 1) + b"\0\0" + struct.pack(">HHII", 0, 1, 0, 4)
        entries += struct.pack(">H", 2) + method + struct.pack(">HHII", 0, 1, offset, len(item))
        iloc = box(b"iloc", b"\1\0\0\0" + b"\x44\0" + struct.pack(">H", 2) + entries)
        extra = box(b"idat", item) if inside else b""
        return ftyp + box(b"meta", b"\0\0\0\0" + box(b"hdlr", b"\0" * 24) + iinf + iloc + extra)

    if inside:
        return build(0) + box(b"mdat", b"pixels")
    head = build(0)
    return build(len(head) + 8) + box(b"mdat", item)


def mp4(
    pairs: Pairs, *, quicktime: bool = False, index_last: bool = True, wide: bool = False, frames: int = 64
) -> bytes:
    """A film with named texts, as ``movflags use_metadata_tags`` writes them."""
    keys = b"\0\0\0\0" + struct.pack(">I", len(pairs))
    keys += b"".join(struct.pack(">I4s", 8 + len(name), b"mdta") + name.encode() for name, _ in pairs)
    items = b"".join(
        box(struct.pack(">I", number), box(b"data", struct.pack(">II", 1, 0) + text.encode()))
        for number, (_, text) in enumerate(pairs, 1)
    )
    meta = box(b"hdlr", b"\0\0\0\0\0\0\0\0mdta" + b"\0" * 13) + box(b"keys", keys) + box(b"ilst", items)
    return _film(box(b"udta", box(b"meta", meta if quicktime else b"\0\0\0\0" + meta)), index_last, wide, frames)


def mp4_comment(text: str) -> bytes:
    """A film with a comment of iTunes' kind, where VideoHelperSuite puts both graphs."""
    items = box(b"\xa9cmt", box(b"data", struct.pack(">II", 1, 0) + text.encode()))
    meta = b"\0\0\0\0" + box(b"hdlr", b"\0\0\0\0\0\0\0\0mdirappl" + b"\0" * 9) + box(b"ilst", items)
    return _film(box(b"udta", box(b"meta", meta)), index_last=True, wide=False, frames=64)


def _film(udta: bytes, index_last: bool, wide: bool, frames: int) -> bytes:
    moov = box(b"moov", box(b"mvhd", b"\0" * 100) + box(b"trak", box(b"tkhd", b"\0" * 84)) + udta)
    mdat = box(b"mdat", b"\0" * frames, wide=wide)
    return box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + (mdat + moov if index_last else moov + mdat)


def vorbis_comments(pairs: Pairs) -> bytes:
    """A comment block: vendor, count, ``NAME=value``, all lengths little-endian."""
    body = struct.pack("<I", 4) + b"test" + struct.pack("<I", len(pairs))
    for name, text in pairs:
        entry = f"{name}={text}".encode()
        body += struct.pack("<I", len(entry)) + entry
    return body


def flac(pairs: Pairs, *, tagged: bool = False) -> bytes:
    """A FLAC with a comment block between two others; ``tagged`` puts an ID3 tag in front."""
    info = struct.pack(">HH6x", 4096, 4096) + (44100 << 44 | 15 << 36).to_bytes(8, "big") + b"\0" * 16
    blocks = b"\0" + len(info).to_bytes(3, "big") + info
    comments = vorbis_comments(pairs)
    blocks += b"\4" + len(comments).to_bytes(3, "big") + comments
    blocks += b"\x81" + (16).to_bytes(3, "big") + b"\0" * 16
    return (mp3([], sound=b"") if tagged else b"") + b"fLaC" + blocks + b"\xff\xf8" + b"\0" * 64


def mp3(
    pairs: Pairs, *, version: int = 4, encoding: int = 3, unsynchronised: bool = False, sound: bytes = b"\xff\xfb\x90"
) -> bytes:
    """An MP3 with an ID3v2 tag of ``TXXX`` frames."""
    codec = ("latin-1", "utf-16", "utf-16-be", "utf-8")[encoding]
    frames = b""
    for name, text in pairs:
        end = b"\0\0" if encoding in (1, 2) else b"\0"
        body = bytes([encoding]) + name.encode(codec) + end + text.encode(codec)
        size = _syncsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
        frames += b"TXXX" + size + b"\0\0" + body
    frames += b"TIT2" + (_syncsafe(5) if version == 4 else struct.pack(">I", 5)) + b"\0\0\3song"
    if unsynchronised:
        frames = frames.replace(b"\xff", b"\xff\0")
    frames += b"\0" * 32
    return b"ID3" + bytes([version, 0, 0x80 if unsynchronised else 0]) + _syncsafe(len(frames)) + frames + sound


def _syncsafe(number: int) -> bytes:
    return bytes([number >> 21 & 127, number >> 14 & 127, number >> 7 & 127, number & 127])


def ogg(pairs: Pairs, codec: str = "opus") -> bytes:
    """An Ogg stream whose second packet is a comment block, spread over as many pages as it needs."""
    comments = vorbis_comments(pairs)
    if codec == "opus":
        packets = [b"OpusHead" + b"\0" * 11, b"OpusTags" + comments]
    else:
        packets = [b"\x01vorbis" + b"\0" * 23, b"\x03vorbis" + comments + b"\1"]
    pages, number = b"", 0
    for packet in [*packets, b"sound"]:
        lacing = [255] * (len(packet) // 255) + [len(packet) % 255]
        at = 0
        for start in range(0, len(lacing), 255):
            part = lacing[start : start + 255]
            head = struct.pack("<4sBBqIIIB", b"OggS", 0, 1 if start else 0, 0, 7, number, 0, len(part))
            pages += head + bytes(part) + packet[at : at + sum(part)]
            at += sum(part)
            number += 1
    return pages


def matroska(
    pairs: Pairs, *, seek: bool = True, tags_last: bool = True, streamed: bool = False, clusters: int = 3
) -> bytes:
    """A WebM whose tags hold *pairs*.

    :param seek: An index at the beginning says where the tags are.
    :param streamed: Segment and clusters have no known size.
    """
    simple = b"".join(
        _ebml(0x67C8, _ebml(0x45A3, name.encode()) + _ebml(0x4487, text.encode())) for name, text in pairs
    )
    tags = _ebml(0x1254C367, _ebml(0x7373, _ebml(0x63C0, b"") + simple))
    cluster_body = _ebml(0xE7, b"\0") + _ebml(0xA3, b"\x81\0\0\x80" + b"\0" * 100)
    cluster = (b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7 + cluster_body) if streamed else _ebml(0x1F43B675, cluster_body)
    info = _ebml(0x1549A966, _ebml(0x4D80, b"test"))

    def index(position: int) -> bytes:
        entry = _ebml(0x53AB, b"\x12\x54\xc3\x67") + _ebml(0x53AC, struct.pack(">Q", position))
        return _ebml(0x114D9B74, _ebml(0x4DBB, entry))

    head = (index(0) if seek else b"") + info
    position = len(head) + (len(cluster) * clusters if tags_last else 0)
    head = (index(position) if seek else b"") + info
    body = head + (cluster * clusters + tags if tags_last else tags + cluster * clusters)
    segment = b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + body if streamed else _ebml(0x18538067, body)
    return _ebml(0x1A45DFA3, _ebml(0x4282, b"webm")) + segment


def _ebml(identity: int, body: bytes) -> bytes:
    name = identity.to_bytes((identity.bit_length() + 7) // 8, "big")
    return name + (0x10000000 | len(body)).to_bytes(4, "big") + body


def svg(document: Any, *, declaration: bool = True) -> bytes:
    """An SVG with its metadata as CDATA."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if declaration else ""
    return (
        f'{head}<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><metadata><![CDATA['
        f"{json.dumps(document)}]]></metadata><rect/></svg>"
    ).encode()


def glb(extras: Mapping[str, Any]) -> bytes:
    """A glTF binary with *extras* beside its asset's version."""
    document = json.dumps({"asset": {"version": "2.0", "extras": extras}}).encode()
    document += b" " * (-len(document) % 4)
    chunks = struct.pack("<II", len(document), 0x4E4F534A) + document + struct.pack("<II", 4, 0x004E4942) + b"\0" * 4
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def tensors(metadata: Mapping[str, str]) -> bytes:
    """A safetensors (or ``.latent``) file with *metadata* in its header."""
    header = json.dumps(
        {"__metadata__": dict(metadata), "latent_tensor": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 4


def exr(pairs: Pairs) -> bytes:
    """The header of an OpenEXR picture with ``string`` attributes."""
    body = b"channels\0chlist\0" + struct.pack("<I", 1) + b"\0"
    for name, text in pairs:
        value = text.encode()
        body += name.encode() + b"\0string\0" + struct.pack("<I", len(value)) + value
    return b"\x76\x2f\x31\x01\x02\0\0\0" + body + b"\0" + b"\0" * 64


def every_kind(graphs: Mapping[str, Any]) -> Iterable[tuple[str, bytes]]:
    """One file of each kind and form with the same graphs in it: a name for the form, and its bytes.

    :param graphs: ``workflow``, ``prompt`` or both, in the order in which they are to stand in the files.
    """
    texts = {name: json.dumps(graph) for name, graph in graphs.items()}
    pairs = list(texts.items())
    upper = [(name.upper(), text) for name, text in pairs]
    labelled = {0x010F + number: f"{name}:{text}" for number, (name, text) in enumerate(pairs)}
    yield "wrapped.json", json.dumps(dict(graphs)).encode()
    for kind in ("tEXt", "iTXt", "iTXt-zlib", "zTXt", "comf"):
        yield f"{kind}.png", png(pairs, kind)
    for name, order, prefix in (("little", "<", True), ("big", ">", True), ("bare", "<", False)):
        yield f"{name}.webp", webp(exif(labelled, order=order, prefix=prefix))
        yield f"{name}.avif", avif(exif(labelled, order=order, prefix=prefix))
    yield "inside.avif", avif(exif(labelled), inside=True)
    yield "plain.flac", flac(pairs)
    yield "tagged.flac", flac(pairs, tagged=True)
    for version, encoding in ((4, 3), (4, 1), (3, 1), (3, 0), (4, 2)):
        yield f"v2.{version}-{encoding}.mp3", mp3(pairs, version=version, encoding=encoding)
    yield "unsynchronised.mp3", mp3(pairs, version=3, encoding=1, unsynchronised=True)
    yield "stream.opus", ogg(pairs)
    yield "stream.ogg", ogg(pairs, "vorbis")
    yield "indexed.webm", matroska(upper)
    yield "unindexed.mkv", matroska(upper, seek=False)
    yield "tags-first.webm", matroska(upper, seek=False, tags_last=False)
    yield "streamed.webm", matroska(upper, seek=False, streamed=True)
    yield "comment.webm", matroska([("COMMENT", json.dumps(dict(graphs)))])
    yield "index-last.mp4", mp4(pairs)
    yield "index-first.mp4", mp4(pairs, index_last=False)
    yield "wide.mp4", mp4(pairs, wide=True)
    yield "quicktime.mov", mp4(pairs, quicktime=True)
    # VideoHelperSuite puts the prompt as a string into the object, the graph as it is.
    yield (
        "comment.mp4",
        mp4_comment(json.dumps({**texts, **{"workflow": graphs["workflow"]}} if "workflow" in graphs else texts)),
    )
    yield "picture.svg", svg(dict(graphs))
    yield "objects.glb", glb(graphs)
    yield "texts.glb", glb(texts)
    yield "noise.latent", tensors(texts)
    yield "merged.safetensors", tensors(texts)
    yield "picture.exr", exr(pairs)
