"""Read pieces of a file, or of bytes, without ever taking in more than is asked for."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from comfywatchman_core.errors import WorkflowError

MAX_TEXT = 24 << 20
"""Bytes of one text that is taken out of a container, after decompression. The largest workflows, with pictures
pasted into them, have a few million."""

_BUDGET = 96 << 20
"""Bytes that may be read of one file, all pieces together."""
_READS = 100_000
"""Pieces that may be read of one file: hostile ones are made of nothing but headers."""


class Damaged(Exception):
    """The container contradicts itself; what was found up to there may be used."""


class Source:
    """Random access to a file, with a budget."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self._bytes = 0
        self._reads = 0

    @classmethod
    def of_bytes(cls, data: bytes) -> Source:
        """Wrap bytes that are in memory already."""
        return cls(io.BytesIO(data), len(data))

    def read(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; fewer at the end of the file.

        :raises Damaged: The budget of the file is used up.
        """
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        length = min(length, self.size - offset)
        self._bytes += length
        self._reads += 1
        if self._bytes > _BUDGET or self._reads > _READS:
            raise Damaged("it takes too much reading to find its metadata")
        self._file.seek(offset)
        return self._file.read(length)

    def text(self, offset: int, length: int) -> bytes:
        """Read a text that the container says is *length* bytes long.

        :raises Damaged: It is longer than any workflow, or the file ends before.
        """
        if length > MAX_TEXT:
            raise Damaged(f"it says that a text in it has {length} bytes")
        return self.exactly(offset, length)

    def exactly(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*. :raises Damaged: The file ends before."""
        found = self.read(offset, length)
        if len(found) != length:
            raise Damaged(f"it ends at byte {self.size}, in the middle of a part")
        return found


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open *path* for the block. What is no ordinary file, a pipe for one, is read to its end first, within bounds.

    :raises WorkflowError: It cannot be read.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115  (closed below; what goes wrong in the block is told apart)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise WorkflowError(f"it cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    with file:
        try:
            status = os.fstat(file.fileno())
            ordinary = stat.S_ISREG(status.st_mode)
            yield Source(file, status.st_size) if ordinary else Source.of_bytes(_whole(file))
        except OSError as error:
            raise WorkflowError(f"it cannot be read: {error.strerror or error}") from error


def _whole(file: BinaryIO) -> bytes:
    data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise WorkflowError(f"it gives more than {MAX_TEXT} bytes, more than a workflow may have")
    return data
