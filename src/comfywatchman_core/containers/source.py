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
    """Open *path* for the block.

    :raises WorkflowError: It is no ordinary file, or cannot be read.
    """
    try:
        # O_NONBLOCK: a named pipe among the workflows would otherwise wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WorkflowError(f"it cannot be opened: {reason}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise WorkflowError("it is not an ordinary file")
        yield Source(file, status.st_size)
