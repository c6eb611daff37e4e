"""Digests that are remembered, and when they are not believed."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from comfywatchman_core.errors import Cancelled
from comfywatchman_core.state import Memory
from comfywatchman_core.testing import sha256

LONG_AGO = 1_600_000_000_123_456_789


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ink.safetensors"
    write(path, b"old bytes")
    return path


def write(path: Path, data: bytes, at: int = LONG_AGO) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(at, at))


def remembered(place: Path, path: Path) -> str | None:
    memory = Memory(place)
    seen = memory.digests.recall(path, path.stat())
    memory.close()
    return seen.sha256 if seen else None


def hashed(place: Path, path: Path) -> str:
    memory = Memory(place)
    try:
        return memory.digests.sha256(path)
    finally:
        memory.close()


def test_a_file_is_hashed_once(place: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashed(place, file) == sha256(b"old bytes")
    monkeypatch.setattr("comfywatchman_core.state.digests.sha256_of_file", lambda *_: pytest.fail("read again"))

    assert hashed(place, file) == sha256(b"old bytes")


def test_without_a_database_it_is_still_hashed_once_a_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(None)
    memory.digests.sha256(file)
    monkeypatch.setattr("comfywatchman_core.state.digests.sha256_of_file", lambda *_: pytest.fail("read again"))

    assert memory.digests.sha256(file) == sha256(b"old bytes")


def test_a_file_of_another_size_is_hashed_again(place: Path, file: Path) -> None:
    hashed(place, file)
    write(file, b"old bytes and more")

    assert hashed(place, file) == sha256(b"old bytes and more")


def test_a_file_that_was_written_to_is_hashed_again(place: Path, file: Path) -> None:
    hashed(place, file)
    write(file, b"new bytes", LONG_AGO + 1)

    assert hashed(place, file) == sha256(b"new bytes")


def test_a_file_that_took_its_place_is_hashed_again_though_size_and_time_agree(place: Path, file: Path) -> None:
    hashed(place, file)
    other = file.with_name("other")
    write(other, b"new bytes")
    other.replace(file)

    assert hashed(place, file) == sha256(b"new bytes")


def test_a_file_whose_time_was_put_back_is_hashed_again(place: Path, file: Path) -> None:
    hashed(place, file)
    time.sleep(0.02)  # the change time of the inode must have moved on
    write(file, b"new bytes")

    assert hashed(place, file) == sha256(b"new bytes")


def test_bytes_that_changed_though_nothing_wrote_to_them_are_known_by_both_digests(place: Path, file: Path) -> None:
    hashed(place, file)
    time.sleep(0.02)
    write(file, b"new bytes")
    hashed(place, file)

    memory = Memory(place)
    seen = memory.digests.recall(file, file.stat())
    memory.close()
    assert seen is not None
    assert (seen.sha256, seen.was) == (sha256(b"new bytes"), sha256(b"old bytes"))


def test_a_file_that_is_still_being_written_is_not_remembered(place: Path, file: Path) -> None:
    memory = Memory(place)
    before = file.stat()
    file.write_bytes(b"other bytes")

    memory.digests.note(file, before, sha256(b"old bytes"))

    assert memory.digests.recall(file, before) is None
    memory.close()


def test_files_written_within_the_tick_of_their_clock_are_waited_for_once_and_in_the_end(
    place: Path, file: Path
) -> None:
    slept: list[float] = []
    memory = Memory(place)
    memory.digests._now = lambda: LONG_AGO + 1_000_000  # type: ignore[method-assign]
    memory.digests._sleep = slept.append  # type: ignore[method-assign]
    other = file.with_name("other")
    write(other, b"other bytes")

    memory.digests.note(file, file.stat(), "a" * 64)
    memory.digests.note(other, other.stat(), "b" * 64)

    assert slept == []
    assert remembered(place, file) is None
    memory.close()
    assert slept == [pytest.approx(0.009)]
    assert (remembered(place, file), remembered(place, other)) == ("a" * 64, "b" * 64)


def test_the_digests_of_many_small_files_are_written_down_together_a_second_after_the_last_ones(
    place: Path, file: Path
) -> None:
    memory = Memory(place)
    files = [file.with_name(name) for name in ("first", "second", "third")]
    for path, seconds in zip(files, (10.0, 10.5, 11.1), strict=True):
        write(path, b"bytes")
        memory.digests._now = lambda seconds=seconds: LONG_AGO + int(seconds * 1e9)  # type: ignore[misc]
        memory.digests.note(path, path.stat(), "a" * 64)
        if path.name == "second":
            assert [remembered(place, one) is None for one in files[:2]] == [False, True]

    assert all(remembered(place, one) for one in files)
    memory.close()


def test_a_digest_that_is_forgotten_before_it_is_written_down_stays_forgotten(place: Path, file: Path) -> None:
    memory = Memory(place)
    other = file.with_name("other")
    write(other, b"other bytes")
    memory.digests.note(other, other.stat(), "b" * 64)
    memory.digests.note(file, file.stat(), "a" * 64)

    memory.digests.forget(file)
    memory.close()

    assert remembered(place, file) is None
    assert remembered(place, other) == "b" * 64


def test_a_file_that_is_asked_for_within_the_tick_of_its_clock_is_known(place: Path, file: Path) -> None:
    memory = Memory(place)
    memory.digests._now = lambda: LONG_AGO + 1_000_000  # type: ignore[method-assign]

    memory.digests.note(file, file.stat(), "a" * 64)

    seen = memory.digests.recall(file, file.stat())
    assert seen is not None
    assert seen.sha256 == "a" * 64
    memory.close()


def test_a_clock_that_is_set_back_while_a_file_settles_keeps_nobody_waiting(place: Path, file: Path) -> None:
    slept: list[float] = []
    memory = Memory(place)
    memory.digests._now = lambda: LONG_AGO + 1_000_000  # type: ignore[method-assign]
    memory.digests._sleep = slept.append  # type: ignore[method-assign]
    memory.digests.note(file, file.stat(), "a" * 64)
    memory.digests._now = lambda: LONG_AGO - 10**15  # type: ignore[method-assign]

    memory.close()

    assert slept == [pytest.approx(0.01)]
    assert remembered(place, file) == "a" * 64


def test_a_file_on_a_clock_of_whole_seconds_is_remembered_later(place: Path, file: Path) -> None:
    second = LONG_AGO // 10**9 * 10**9
    os.utime(file, ns=(second, second))
    memory = Memory(place)
    memory.digests._now = lambda: second + 10**9  # type: ignore[method-assign]

    memory.digests.note(file, file.stat(), "a" * 64)

    assert remembered(place, file) is None
    memory.digests._now = lambda: second + 3 * 10**9  # type: ignore[method-assign]
    memory.digests.note(file, file.stat(), "a" * 64)
    assert remembered(place, file) == "a" * 64
    memory.close()


def test_a_clock_that_was_set_back_changes_nothing(place: Path, file: Path) -> None:
    future = time.time_ns() + 10**15
    write(file, b"old bytes", future)

    hashed(place, file)

    assert remembered(place, file) == sha256(b"old bytes")
    write(file, b"new bytes", future - 10**14)
    assert hashed(place, file) == sha256(b"new bytes")


def test_a_digest_with_a_flipped_bit_is_not_believed(place: Path, file: Path) -> None:
    hashed(place, file)
    connection = sqlite3.connect(place / "state.sqlite")
    connection.execute("UPDATE digests SET sha256 = ?", ("f" * 64,))
    connection.commit()
    connection.close()

    assert remembered(place, file) is None
    assert hashed(place, file) == sha256(b"old bytes")


def test_all_that_is_known_can_be_read_at_once(place: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.bin" for number in range(50)]
    for path in paths:
        write(path, path.name.encode())
        hashed(place, path)

    memory = Memory(place)
    memory.digests.load_all()
    memory._database.close()
    memory._database._is_off = True
    assert all(memory.digests.recall(path, path.stat()) for path in paths)


def test_a_name_that_is_no_text_is_remembered_like_any_other(place: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.safetensors")
    try:
        write(path, b"bytes")
    except OSError:
        pytest.skip("this file system takes only text")

    assert hashed(place, path) == sha256(b"bytes")
    assert remembered(place, path) == sha256(b"bytes")


def test_a_link_is_known_by_what_it_leads_to(place: Path, file: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link.safetensors", tmp_path / "other.safetensors"
    write(other, b"new bytes")
    link.symlink_to(file)
    hashed(place, link)

    link.unlink()
    link.symlink_to(other)

    assert hashed(place, link) == sha256(b"new bytes")


def test_what_is_forgotten_is_hashed_again(place: Path, file: Path) -> None:
    hashed(place, file)
    memory = Memory(place)
    memory.digests.forget(file)
    memory.close()

    assert remembered(place, file) is None


def test_hashing_can_be_stopped(place: Path, file: Path) -> None:
    memory = Memory(place)
    with pytest.raises(Cancelled):
        memory.digests.sha256(file, lambda: True)
    memory.close()


def test_of_too_many_those_of_files_that_are_gone_are_dropped(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfywatchman_core.state.digests.MOST", 3)
    kept = [tmp_path / f"kept-{number}.safetensors" for number in range(3)]
    lost = [tmp_path / f"lost-{number}.safetensors" for number in range(3)]
    for path in (*kept, *lost):
        write(path, path.name.encode())
        hashed(place, path)
    for path in lost:
        path.unlink()

    fresh = tmp_path / "fresh.safetensors"
    write(fresh, b"fresh")
    hashed(place, fresh)

    with sqlite3.connect(place / "state.sqlite") as database:
        paths = {Path(os.fsdecode(path)).name for (path,) in database.execute("SELECT path FROM digests")}
    assert paths == {path.name for path in (*kept, fresh)}


def test_nothing_is_dropped_while_there_are_few(place: Path, file: Path, tmp_path: Path) -> None:
    hashed(place, file)
    saved = file.rename(tmp_path / "aside")
    other = tmp_path / "other.safetensors"
    write(other, b"other")
    hashed(place, other)
    saved.rename(file)

    with sqlite3.connect(place / "state.sqlite") as database:
        assert database.execute("SELECT count(*) FROM digests").fetchone() == (2,)
