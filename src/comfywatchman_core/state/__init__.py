"""What earlier runs knew: history, digests, who asked for rest. The disk is the truth; this only saves time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .database import Database
from .digests import Digests, Seen
from .history import History, Record
from .rests import Rests
from .statements import Statement, Statements

__all__ = ["Digests", "History", "Memory", "Record", "Rests", "Seen", "Statement", "Statements"]

FILE_NAME = "state.sqlite"


class Memory:
    """The state database of one run. Opened when first needed; never fails.

    :param directory: Where it lies; ``None`` remembers nothing beyond the run.
    :param tell: Takes one sentence where something is wrong with it.
    :param create: False begins no new one.
    """

    def __init__(
        self, directory: Path | None, *, tell: Callable[[str], None] = lambda message: None, create: bool = True
    ) -> None:
        path = None if directory is None else directory / FILE_NAME
        self._database = Database(path, tell=tell, create=create)
        self.digests = Digests(self._database)
        self.history = History(self._database)
        self.rests = Rests(self._database)
        self.statements = Statements(self._database)

    def close(self) -> None:
        """Write down what is left, and let go of the file."""
        self.digests.flush()
        self._database.close()
