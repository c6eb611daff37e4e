"""An SQLite database that nothing may depend on: whatever is wrong with it becomes one warning, never an error."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar

from .door import alone_in
from .filesystems import shares_memory
from .salvage import salvage
from .schema import APPLICATION, STEPS, TABLES

_T = TypeVar("_T")

_PATIENCE = 10.0
_IMPATIENT = 0.2
"""Seconds to wait for other processes; after the first time that was in vain, only briefly."""
_MOST_LOCKOUTS = 5

_HEADER = struct.Struct(">60xI4xI")  # user_version and application_id (sqlite.org/fileformat2.html, 1.3)

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class _Foreign(sqlite3.DatabaseError):
    """The file is a database, and not one of ours."""


class _Newer(Exception):
    """The database was written by a newer version."""


class Database:
    """Reads and writes rows, as long as that works. Safe to share between threads, and between processes.

    Nothing here raises: a database that is locked, read-only, full, damaged or from a newer version is told of
    once, and from then on answers as an empty one. A damaged file is renamed, what can be read of it is saved,
    and a new one is begun.

    :param path: The file, made with its directory when first needed; ``None`` keeps nothing at all.
    :param tell: Takes one sentence for the user.
    :param create: False makes no file where there is none.
    :param steps: The schema; see :data:`~.schema.STEPS`.
    :param patience: Seconds to wait for other processes the first time.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        tell: Callable[[str], None] = lambda message: None,
        create: bool = True,
        steps: Sequence[str] = STEPS,
        patience: float | None = None,
    ) -> None:
        self.path = path
        self._tell = tell
        self._create = create
        self._steps = steps
        self._patience = _PATIENCE if patience is None else patience
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._is_off = path is None
        self._lockouts = 0
        self._told: set[str] = set()

    def read(self, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that *question* asks for; none where the database cannot say."""
        return self._carry_out(lambda connection: connection.execute(question, values).fetchall(), [])

    def write(self, order: str, rows: Iterable[Sequence[Any]]) -> bool:
        """Carry out *order* for each of *rows*, all or none; returns whether that was done."""
        kept = list(rows)

        def step(connection: sqlite3.Connection) -> bool:
            if len(kept) == 1:  # a transaction of its own
                connection.execute(order, kept[0])
                return True
            with _transaction(connection):
                connection.executemany(order, kept)
            return True

        return self._carry_out(step, False)

    def close(self) -> None:
        """Let go of the file. The next question opens it again."""
        with self._lock:
            if self._connection is not None:
                with suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None

    def _carry_out(self, step: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        with self._lock:
            for is_second in (False, True):
                try:
                    connection = self._connection or self._open()
                    return otherwise if connection is None else step(connection)
                except sqlite3.Error as error:
                    if is_second or not _is_damage(error) or not self._begin_anew(error):
                        self._give_up(error)
                        return otherwise
                except (ValueError, OverflowError) as error:  # a text or a number that no column can hold
                    self._say("value", f"something is not remembered: {error}")
                    return otherwise
                except OSError as error:
                    self._switch_off(f"the state in {self.path} cannot be used: {error.strerror or error}")
                    return otherwise
                except _Newer as error:
                    self._switch_off(str(error))
                    return otherwise
        raise AssertionError("unreachable")

    def _open(self) -> sqlite3.Connection | None:
        if self._is_off or self.path is None or not self._prepare(self.path):
            return None
        with alone_in(self.path.parent):
            self._opened = _inode(self.path)
            self._connection = self._connected(self.path)
        return self._connection

    def _prepare(self, path: Path) -> bool:
        """Make the file, so that nobody else can read it; SQLite gives its log the same mode."""
        if not self._create and not path.exists():
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            self._switch_off(f"the state is not used: {path} is no ordinary file")
            return False
        if os.name == "posix" and status.st_mode & 0o077:
            with suppress(OSError):
                path.chmod(0o600)
        return True

    def _connected(self, path: Path) -> sqlite3.Connection:
        self._check_header(path)
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # A damaged text must not keep the rows around it from being read.
            connection.text_factory = methodcaller("decode", "utf-8", "replace")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._bring_up_to_date(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_header(self, path: Path) -> None:
        """Look before SQLite does: opening alone writes beside a database, and one from the future is left alone."""
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        if len(head) == _HEADER.size and head.startswith(b"SQLite format 3\0"):
            self._check_version(*_HEADER.unpack(head))

    def _check_version(self, version: int, application: int) -> None:
        if application not in (0, APPLICATION):
            raise _Foreign("it belongs to another program")
        if application == APPLICATION and version > len(self._steps):
            raise _Newer(
                f"{self.path} was written by a newer version (schema {version}, this one knows {len(self._steps)}); "
                "it is left alone, and this run remembers nothing"
            )

    def _bring_up_to_date(self, connection: sqlite3.Connection, path: Path) -> None:
        version, application = _number(connection, "user_version"), _number(connection, "application_id")
        self._check_version(version, application)
        if application == 0 and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise _Foreign("it belongs to another program")
        if _text(connection, "journal_mode") != "wal" and shares_memory(path.parent):
            with suppress(sqlite3.OperationalError):  # a file system without shared memory keeps the old journal
                connection.execute("PRAGMA journal_mode = WAL")
        while (version := _number(connection, "user_version")) < len(self._steps):
            with _transaction(connection):
                if _number(connection, "user_version") == version:  # another process may have been quicker
                    for order in filter(str.strip, self._steps[version].split(";")):
                        connection.execute(order)
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {version + 1}")

    def _begin_anew(self, error: sqlite3.Error) -> bool:
        """Put a damaged database aside and save what can be read of it; returns whether it is worth trying again."""
        self.close()
        path = self.path
        if path is None:
            return False
        aside = path.with_name(f"{path.name}.damaged")
        try:
            with alone_in(path.parent):
                if _inode(path) != self._opened:
                    return True  # another process did it already
                for suffix in ("-wal", "-shm", "-journal", ""):
                    with suppress(FileNotFoundError):
                        os.replace(f"{path}{suffix}", f"{aside}{suffix}")
                self._prepare(path)
                self._opened = _inode(path)
                self._connection = self._connected(path)
                saved = salvage(aside, self._connection, TABLES)
        except (OSError, sqlite3.Error) as another:
            self._switch_off(f"{path} is damaged ({error}) and cannot be set aside: {another}")
            return False
        self._say(
            "damaged",
            f"{path} is damaged ({error}); it is set aside as {aside.name}, and a new one is begun "
            f"with the {saved} rows that could be read",
        )
        return True

    def _give_up(self, error: sqlite3.Error) -> None:
        code = _code(error)
        if code in _LOCKED:
            self._say("locked", f"{self.path} is locked by another process; this run goes on without it")
            self._patience = _IMPATIENT
            self._lockouts += 1
            self._is_off = self._lockouts > _MOST_LOCKOUTS
            if self._connection is not None:
                with suppress(sqlite3.Error):
                    self._connection.execute(f"PRAGMA busy_timeout = {int(_IMPATIENT * 1000)}")
        elif code == sqlite3.SQLITE_READONLY and self._connection is not None:
            self._say("read-only", f"{self.path} is read-only; this run is not remembered")
        else:
            self._switch_off(f"the state in {self.path} cannot be used: {error}")

    def _switch_off(self, message: str) -> None:
        self.close()
        self._is_off = True
        self._say("off", message)

    def _say(self, what: str, message: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(message)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")  # a reader that turns into a writer is refused without waiting
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _text(connection: sqlite3.Connection, pragma: str) -> str:
    return str(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    missing = ("no such table", "no such column", "has no column named")
    return isinstance(error, _Foreign) or _code(error) in _DAMAGED or any(text in str(error) for text in missing)
