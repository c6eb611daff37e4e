"""What sources stated about files, and for how long "nobody knows it" lasts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from comfywatchman_core.state.database import Database
from comfywatchman_core.state.statements import LASTS, Statement, Statements

SHA = "a" * 64


class Clock:
    time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def next_run(tmp_path: Path, clock: Clock) -> Statements:
    return Statements(Database(tmp_path / "state.sqlite"), now=clock)


def note(statements: Statements, statement: Statement) -> None:
    statements.note_all([(SHA, "loras/a", statement)])


def test_that_a_source_has_just_these_bytes_is_kept_for_good(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(voice="directid", sha256=SHA, online=False))
    clock.time += 100 * LASTS

    recalled = next_run(tmp_path, clock).recall(SHA, "loras/a", online=True)
    assert recalled == Statement(voice="directid", sha256=SHA, online=False)


def test_that_a_source_has_other_bytes_is_asked_again_after_a_week(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(voice="directid", sha256="b" * 64, online=True))

    clock.time += LASTS - 1
    assert next_run(tmp_path, clock).recall(SHA, "loras/a", online=True) is not None
    clock.time += 2
    assert next_run(tmp_path, clock).recall(SHA, "loras/a", online=True) is None


def test_it_is_about_these_bytes_under_this_name_alone(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(voice="directid", sha256=SHA, online=True))

    statements = next_run(tmp_path, clock)
    assert statements.recall("c" * 64, "loras/a", online=True) is None
    assert statements.recall(SHA, "vae/a", online=True) is None


def test_that_nobody_knows_a_file_is_asked_again_after_a_week(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(online=True))

    clock.time += LASTS - 1
    assert next_run(tmp_path, clock).recall(SHA, "loras/a", online=True) == Statement(online=True)
    clock.time += 2
    assert next_run(tmp_path, clock).recall(SHA, "loras/a", online=True) is None


def test_that_no_table_knows_a_file_is_no_answer_for_a_run_with_network(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(online=False))

    statements = next_run(tmp_path, clock)
    assert statements.recall(SHA, "loras/a", online=False) is not None
    assert statements.recall(SHA, "loras/a", online=True) is None


def test_a_clock_that_was_set_back_asks_again(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(online=True))
    clock.time -= 10

    assert next_run(tmp_path, clock).recall(SHA, "loras/a", online=True) is None


def test_a_statement_with_a_flipped_bit_is_not_believed(tmp_path: Path, clock: Clock) -> None:
    note(next_run(tmp_path, clock), Statement(voice="directid", sha256=SHA, online=True))
    connection = sqlite3.connect(tmp_path / "state.sqlite")
    connection.execute("UPDATE statements SET stated = ?", ("b" * 64,))
    connection.commit()
    connection.close()

    assert next_run(tmp_path, clock).recall(SHA, "loras/a", online=True) is None


def test_of_too_many_the_oldest_are_dropped(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfywatchman_core.state.statements.MOST", 2)
    for number in range(5):
        clock.time += 1
        said = Statement(voice="directid", sha256=SHA, online=False)
        next_run(tmp_path, clock).note_all([(SHA, f"loras/{number}", said)])

    statements = next_run(tmp_path, clock)
    known = [number for number in range(5) if statements.recall(SHA, f"loras/{number}", online=False)]
    assert known == [2, 3, 4]
