"""The tables of the state database, and the steps that bring an older one up to date."""

from __future__ import annotations

APPLICATION = 0x63774D31
"""``PRAGMA application_id``: tells our database from somebody else's file of the same name."""

STEPS = (
    """
    CREATE TABLE digests (
        path     BLOB PRIMARY KEY,
        identity TEXT NOT NULL,
        sha256   TEXT NOT NULL,
        flaw     TEXT NOT NULL,
        was      TEXT NOT NULL,
        seal     INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE history (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,
        at        REAL NOT NULL,
        status    TEXT NOT NULL,
        folder    TEXT NOT NULL,
        name      TEXT NOT NULL,
        path      BLOB NOT NULL,
        backend   TEXT NOT NULL,
        match     TEXT NOT NULL,
        reference TEXT NOT NULL,
        url       TEXT NOT NULL,
        size      INTEGER,
        sha256    TEXT NOT NULL,
        verdict   TEXT NOT NULL,
        seconds   REAL,
        error     TEXT NOT NULL,
        attempts  TEXT NOT NULL,
        seal      INTEGER NOT NULL
    );
    CREATE TABLE rests (
        source  TEXT PRIMARY KEY,
        noted   REAL NOT NULL,
        seconds REAL NOT NULL,
        times   INTEGER NOT NULL,
        code    TEXT NOT NULL,
        message TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE statements (
        sha256 TEXT NOT NULL,
        label  TEXT NOT NULL,
        voice  TEXT NOT NULL,
        stated TEXT NOT NULL,
        noted  REAL NOT NULL,
        online INTEGER NOT NULL,
        seal   INTEGER NOT NULL,
        PRIMARY KEY (sha256, label)
    ) WITHOUT ROWID;
    """,
)
"""Step N makes a database of schema N - 1 one of schema N; ``PRAGMA user_version`` holds the number. A step that
was released is never changed."""

TABLES = ("digests", "history", "rests", "statements")
"""What may be saved from a damaged database, row by row."""
