"""Save from a damaged database the rows that can still be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_MOST = 1_000_000
"""Rows of one table."""
_BATCH = 500


def salvage(damaged: Path, into: sqlite3.Connection, tables: Iterable[str]) -> int:
    """Copy the readable rows of *tables*; the damaged file is not written to.

    Rows are read from both ends, because one bad page stops each direction. What a row is worth its own check
    value says, when it is used.

    :param into: An open database of the current schema.
    :returns: Rows saved.
    """
    saved = 0
    with suppress(sqlite3.Error):
        source = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            # Without this, SQLite reads nothing at all of a file that is shorter than its header says.
            source.execute("PRAGMA writable_schema = ON")
            for table in tables:
                for direction in ("ASC", "DESC"):
                    with suppress(sqlite3.Error):
                        saved += _copy(source, into, table, direction)
        finally:
            source.close()
    return saved


def _copy(source: sqlite3.Connection, into: sqlite3.Connection, table: str, direction: str) -> int:
    described = into.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [row[1] for row in described]
    key = ", ".join(f"{row[1]} {direction}" for row in described if row[5])
    rows = source.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {key} LIMIT {_MOST}")
    order = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    before = into.total_changes
    while batch := _readable(rows):
        into.execute("BEGIN IMMEDIATE")
        with suppress(sqlite3.Error):
            into.executemany(order, batch)
        into.execute("COMMIT")
    return into.total_changes - before


def _readable(rows: sqlite3.Cursor) -> list[tuple[object, ...]]:
    batch: list[tuple[object, ...]] = []
    with suppress(sqlite3.Error):
        while len(batch) < _BATCH and (row := rows.fetchone()) is not None:
            batch.append(row)
    return batch
