"""The database: opened by many, damaged, locked, read-only, from the future, and never an error."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from comfywatchman_core.state.database import Database
from comfywatchman_core.state.schema import STEPS

PUT = "INSERT OR REPLACE INTO statements VALUES (?, ?, ?, ?, ?, ?, ?)"
ALL = "SELECT sha256 FROM statements ORDER BY sha256"


def row(text: str) -> tuple[object, ...]:
    return (text, "label", "", "", 0.0, 0, 0)


def filled(path: Path, count: int = 2000) -> None:
    database = Database(path)
    assert database.write(PUT, [row(f"{number:064}") for number in range(count)])
    database.close()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.sqlite"


def test_what_one_run_writes_the_next_one_reads(path: Path, told: list[str]) -> None:
    filled(path, 1)

    assert Database(path, tell=told.append).read(ALL) == [("0" * 64,)]
    assert told == []


def test_nobody_else_may_read_it_or_its_log(path: Path) -> None:
    database = Database(path)
    database.write(PUT, [row("a")])

    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {"state.sqlite": 0o600, "state.sqlite-wal": 0o600, "state.sqlite-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    database.close()


def test_a_database_that_others_can_read_is_closed_to_them(path: Path) -> None:
    filled(path, 1)
    path.chmod(0o644)

    Database(path).read(ALL)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_not_made_before_it_is_needed(path: Path) -> None:
    Database(path).close()

    assert not path.parent.exists()


def test_a_reader_that_must_not_create_it_finds_nothing_and_leaves_nothing(path: Path, told: list[str]) -> None:
    assert Database(path, create=False, tell=told.append).read(ALL) == []
    assert not path.parent.exists()
    assert told == []


def test_without_a_place_nothing_is_kept(told: list[str]) -> None:
    database = Database(None, tell=told.append)

    assert not database.write(PUT, [row("a")])
    assert database.read(ALL) == []
    assert told == []


def test_rows_are_written_all_or_none(path: Path, told: list[str]) -> None:
    database = Database(path, tell=told.append)

    assert not database.write(PUT, [row("a"), ("b", None, None, None, None, None, None)])

    assert database.read(ALL) == []


def test_a_database_of_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(path: Path) -> None:
    filled(path, 1)
    newer = (*STEPS, "ALTER TABLE statements ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")

    assert Database(path, steps=newer).read("SELECT sha256, colour FROM statements") == [("0" * 64, "blue")]


def test_a_step_that_fails_leaves_the_older_schema_as_it_was(path: Path, told: list[str]) -> None:
    filled(path, 1)
    broken = (*STEPS, "ALTER TABLE statements ADD COLUMN colour TEXT; ALTER TABLE digests ADD COLUMN sha256 TEXT")

    assert Database(path, steps=broken, tell=told.append).read(ALL) == []

    assert len(told) == 1
    assert Database(path).read("SELECT * FROM statements") == [row("0" * 64)]


def test_a_database_from_the_future_is_told_once_and_not_touched(path: Path, told: list[str]) -> None:
    filled(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = path.read_bytes()

    database = Database(path, tell=told.append)
    assert database.read(ALL) == []
    assert not database.write(PUT, [row("a")])

    assert len(told) == 1
    assert "schema 99" in told[0]
    assert "left alone" in told[0]
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def damage_all(data: bytes) -> bytes:
    return b"\xde\xad" * (len(data) // 2)


def damage_header(data: bytes) -> bytes:
    return b"not a database, " + data[16:]


def damage_middle(data: bytes) -> bytes:
    third = len(data) // 3
    return data[:third] + os.urandom(third) + data[2 * third :]


def damage_end(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damage_first_page(data: bytes) -> bytes:
    return data[:100] + bytes(4096 - 100) + data[4096:]


@pytest.mark.parametrize("damage", [damage_all, damage_header, damage_middle, damage_end, damage_first_page])
def test_a_damaged_database_is_told_once_set_aside_and_begun_anew(path: Path, told: list[str], damage: object) -> None:
    filled(path)
    assert callable(damage)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    database = Database(path, tell=told.append)
    rows = len(database.read(ALL))
    assert database.write(PUT, [row("f" * 64)])
    assert len(database.read(ALL)) == rows + 1
    database.close()

    assert len(told) == 1
    assert "set aside as state.sqlite.damaged" in told[0]
    assert path.with_name("state.sqlite.damaged").read_bytes() == damaged
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [damage_middle, damage_end])
def test_the_readable_rows_of_a_damaged_database_are_saved(path: Path, told: list[str], damage: object) -> None:
    filled(path)
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))

    saved = Database(path, tell=told.append).read(ALL)

    assert f"the {len(saved)} rows" in told[0]
    assert 200 < len(saved) < 2000
    assert {(f"{number:064}",) for number in range(2000)} >= set(saved)


def test_a_log_of_garbage_does_no_harm(path: Path, told: list[str]) -> None:
    filled(path, 3)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).write_bytes(os.urandom(50_000))

    assert len(Database(path, tell=told.append).read(ALL)) == 3
    assert told == []


@pytest.mark.parametrize("left", [("-wal", "-shm"), ("-wal",), ("-shm",), ("-journal",)], ids="".join)
def test_what_a_lost_database_leaves_beside_it_does_no_harm(path: Path, told: list[str], left: tuple[str, ...]) -> None:
    path.parent.mkdir()
    for suffix in left:
        Path(f"{path}{suffix}").write_bytes(os.urandom(32_768))

    database = Database(path, tell=told.append)
    assert database.write(PUT, [row("a")])
    assert database.read(ALL) == [("a",)]
    assert told == []


def test_an_empty_file_is_a_new_database(path: Path, told: list[str]) -> None:
    path.parent.mkdir()
    path.touch()

    assert Database(path, tell=told.append).write(PUT, [row("a")])
    assert told == []


def test_another_programs_database_is_set_aside_whole(path: Path, told: list[str]) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name)")
    connection.execute("INSERT INTO recipes VALUES ('soup')")
    connection.commit()
    connection.close()

    assert Database(path, tell=told.append).write(PUT, [row("a")])

    assert "another program" in told[0]
    kept = sqlite3.connect(path.with_name("state.sqlite.damaged"))
    assert kept.execute("SELECT * FROM recipes").fetchall() == [("soup",)]
    kept.close()


def test_a_database_without_its_tables_is_set_aside(path: Path, told: list[str]) -> None:
    filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE statements")
    connection.commit()
    connection.close()

    database = Database(path, tell=told.append)

    assert database.read(ALL) == []
    assert database.write(PUT, [row("a")])
    assert len(told) == 1


def test_text_that_is_no_text_keeps_nobody_from_reading_the_other_rows(path: Path, told: list[str]) -> None:
    filled(path, 2)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE statements SET label = CAST(x'ff00fe' AS TEXT) WHERE sha256 LIKE '%1'")
    connection.commit()
    connection.close()

    assert len(Database(path, tell=told.append).read("SELECT * FROM statements")) == 2
    assert told == []


def test_a_locked_database_is_told_once_and_waited_for_once(path: Path, told: list[str]) -> None:
    filled(path, 1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    database = Database(path, tell=told.append, patience=0.05)

    assert not database.write(PUT, [row("a")])
    assert not database.write(PUT, [row("b")])
    assert len(told) == 1
    assert "locked by another process" in told[0]

    holder.execute("ROLLBACK")
    holder.close()
    assert database.write(PUT, [row("c")])
    assert told == [told[0]]


def test_a_database_that_stays_locked_is_given_up_for_the_run(path: Path, told: list[str]) -> None:
    filled(path, 1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    database = Database(path, tell=told.append, patience=0.01)

    for number in range(20):
        assert not database.write(PUT, [row(str(number))])

    holder.close()
    assert len(told) == 1
    assert not database.write(PUT, [row("a")])
    assert Database(path).read(ALL) == [("0" * 64,)]


def test_a_directory_in_its_place_is_told_and_left_alone(path: Path, told: list[str]) -> None:
    path.mkdir(parents=True)

    database = Database(path, tell=told.append)

    assert database.read(ALL) == []
    assert not database.write(PUT, [row("a")])
    assert len(told) == 1
    assert path.is_dir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_in_its_place_does_not_hang_the_run(path: Path, told: list[str]) -> None:
    path.parent.mkdir()
    os.mkfifo(path)

    assert Database(path, tell=told.append).read(ALL) == []
    assert len(told) == 1


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "taken").write_text("a file")

    assert not Database(tmp_path / "taken" / "state.sqlite", tell=told.append).write(PUT, [row("a")])

    assert len(told) == 1
    assert "cannot be used" in told[0]


_AS_A_GUEST = """
import os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from comfywatchman_core.state.database import Database
import comfywatchman_core.state.salvage, sqlite3
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
told = []
database = Database(Path({state!r}), tell=told.append)
print(len(database.read({all!r})), database.write({put!r}, [{row!r}]), database.write({put!r}, [{row!r}]))
print(*told, sep="\\n")
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="no users to become")
def test_a_read_only_database_is_read_and_told_once(tmp_path: Path) -> None:
    place = tmp_path / "state"
    filled(place / "state.sqlite", 3)
    (place / "state.sqlite").chmod(0o444)
    place.chmod(0o555)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)

    code = _AS_A_GUEST.format(path=sys.path, state=str(place / "state.sqlite"), all=ALL, put=PUT, row=row("a"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    place.chmod(0o755)

    answer, *told = done.stdout.splitlines()
    assert answer in ("3 False False", "0 False False")  # a log in a read-only directory may make it unreadable
    assert len(told) == 1
    assert "read-only" in told[0] or "cannot be used" in told[0]


@pytest.mark.parametrize("value", ["\ud800", 1 << 70])
def test_a_value_that_no_column_can_hold_is_told_and_harms_no_other(path: Path, told: list[str], value: object) -> None:
    database = Database(path, tell=told.append)

    assert not database.write(PUT, [("a", value, "", "", 0.0, 0, 0)])

    assert len(told) == 1
    assert database.write(PUT, [row("b")])
    assert database.read(ALL) == [("b",)]


def test_many_threads_share_one_database(path: Path, told: list[str]) -> None:
    database = Database(path, tell=told.append)

    def work(number: int) -> None:
        for step in range(20):
            database.write(PUT, [row(f"{number}-{step}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(database.read(ALL)) == 160
    assert told == []


def test_a_disk_that_takes_no_more_is_told_once_and_what_is_there_is_kept(path: Path, told: list[str]) -> None:
    filled(path, 2000)
    database = Database(path, tell=told.append)
    database.read("PRAGMA max_page_count = 1")  # SQLite then says what it says of a full disk

    assert not database.write(PUT, [row(f"new-{number:060}") for number in range(2000)])
    assert not database.write(PUT, [row("another")])

    assert len(told) == 1
    assert "full" in told[0]
    assert len(Database(path).read(ALL)) == 2000
