"""Tell by its first bytes what a file is, and have the right reader look for the graph in it."""

from __future__ import annotations

from comfywatchman_core.errors import NoWorkflow, WorkflowError
from comfywatchman_core.formats import foreign_start

from . import boxes, id3, matroska, png, riff, structured, vorbis
from .carried import Carried, from_pairs
from .source import MAX_TEXT, Damaged, Source

_HEAD = 512
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def read_container(source: Source) -> Carried:
    """Find what *source* carries.

    :returns: What was found; nothing (``is_empty``) in a sound container without a graph.
    :raises NoWorkflow: It is of no kind that could carry one.
    :raises WorkflowError: The container is broken, and nothing was found before the damage.
    """
    if source.size == 0:
        raise WorkflowError("it is empty")
    try:
        return _read(source, source.read(0, _HEAD))
    except Damaged as error:
        raise WorkflowError(f"its container is broken: {error}") from error


def _read(source: Source, head: bytes) -> Carried:
    if head.startswith(png.SIGNATURE):
        return from_pairs("png", png.texts(source))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return from_pairs("webp", riff.texts(source))
    if head[4:8] in boxes.FIRST_BOXES:
        return from_pairs("avif" if head[8:12] in (b"avif", b"avis") else "mp4", boxes.texts(source))
    if head.startswith(b"fLaC"):
        return from_pairs("flac", vorbis.flac_texts(source))
    if head.startswith(b"ID3"):
        behind = id3.tag_size(source)
        if source.read(behind, 4) == b"fLaC":
            return from_pairs("flac", vorbis.flac_texts(source, behind))
        return from_pairs("mp3", id3.texts(source))
    if head.startswith(b"OggS"):
        return from_pairs("ogg", vorbis.ogg_texts(source))
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return from_pairs("webm", matroska.texts(source))
    if head.startswith(b"glTF"):
        return from_pairs("glb", structured.glb_texts(source))
    if head.startswith(b"\x76\x2f\x31\x01"):
        return from_pairs("exr", structured.exr_texts(source))
    length = structured.tensors_length(head, source.size)
    if length is not None:
        return from_pairs("safetensors", structured.tensors_texts(source, length))
    return _read_text(source, head)


def _read_text(source: Source, head: bytes) -> Carried:
    text = head.removeprefix(_BYTE_ORDER_MARKS[0]).lstrip()
    if text.startswith(b"<") and (b"<svg" in head or b"<!DOCTYPE svg" in head or text.startswith(b"<?xml")):
        return from_pairs("svg", structured.svg_texts(source))
    foreign = foreign_start(head)
    if foreign is not None:
        raise WorkflowError(f"it is {foreign}", hint="Download the workflow again.")
    if text[:1] not in (b"{", b"[") and not head.startswith(_BYTE_ORDER_MARKS) and b"\0" in head:
        raise NoWorkflow("it is no kind of file that carries a workflow")
    if source.size > MAX_TEXT:
        raise WorkflowError(f"it has {source.size} bytes, more than a workflow may have ({MAX_TEXT})")
    return Carried(container="json", workflow=source.read(0, source.size))
