"""Tell by its first bytes what a file is, and have the right reader look for the graph in it."""

from __future__ import annotations

from comfywatchman_core.errors import WorkflowError

from . import png
from .carried import MAX_TEXT, Carried, from_pairs
from .source import Damaged, Source

_HEAD = 64


def read_container(source: Source) -> Carried:
    """Find what *source* carries.

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
    if source.size > MAX_TEXT:
        raise Damaged(f"it has {source.size} bytes, and is no container that is known")
    return Carried(container="json", workflow=source.read(0, source.size))
