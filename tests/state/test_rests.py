"""Sources that want to be left alone, across runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.state.database import Database
from comfywatchman_core.state.rests import LONGEST, Rests


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def next_run(path: Path, clock: Clock) -> Rests:
    return Rests(Database(path), now=clock)


def limited(seconds: float | None, code: ErrorCode = ErrorCode.RATE_LIMITED) -> Failure:
    return Failure(code=code, message="the quota is used up", retry_after=seconds)


def test_a_source_is_left_alone_for_as_long_as_it_said(path: Path, clock: Clock) -> None:
    next_run(path, clock).note("civitai", limited(600))

    clock.time += 599
    refusal = next_run(path, clock).refusal("civitai")
    assert refusal is not None
    assert refusal.code is ErrorCode.RATE_LIMITED
    assert refusal.retry_after == 1
    assert "the quota is used up" in refusal.message
    clock.time += 2
    assert next_run(path, clock).refusal("civitai") is None


def test_other_sources_are_asked_meanwhile(path: Path, clock: Clock) -> None:
    rests = next_run(path, clock)
    rests.note("civitai", limited(600))

    assert rests.refusal("huggingface") is None


def test_what_the_source_said_holds_in_the_same_run(path: Path, clock: Clock) -> None:
    rests = next_run(path, clock)
    rests.note("civitai", limited(600))

    assert rests.refusal("civitai") is not None


@pytest.mark.parametrize(
    "failure",
    [
        limited(5),  # so short that the run waits for it
        limited(None, ErrorCode.UNAVAILABLE),  # nothing says that it wants rest
        limited(600, ErrorCode.EARLY_ACCESS),  # one file that is not out yet
        limited(600, ErrorCode.NOT_FOUND),
        limited(600, ErrorCode.NETWORK),
    ],
)
def test_no_other_failure_keeps_a_source_from_being_asked(path: Path, clock: Clock, failure: Failure) -> None:
    rests = next_run(path, clock)
    rests.note("civitai", failure)

    assert rests.refusal("civitai") is None
    assert next_run(path, clock).refusal("civitai") is None


def test_a_service_in_trouble_that_says_for_how_long_is_left_alone(path: Path, clock: Clock) -> None:
    next_run(path, clock).note("civitai", limited(120, ErrorCode.UNAVAILABLE))

    refusal = next_run(path, clock).refusal("civitai")
    assert refusal is not None
    assert refusal.code is ErrorCode.UNAVAILABLE


def test_a_guessed_rest_is_for_later_runs_and_grows(path: Path, clock: Clock) -> None:
    lasted = []
    for _ in range(8):
        rests = next_run(path, clock)
        rests.note("civitai", limited(None))
        rests.note("civitai", limited(None))
        assert rests.refusal("civitai") is None, "this run goes on trying"
        refusal = next_run(path, clock).refusal("civitai")
        assert refusal is not None
        assert refusal.retry_after is not None
        lasted.append(refusal.retry_after)
        clock.time += refusal.retry_after + 1

    assert lasted == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_guess_begins_anew_after_a_long_peace(path: Path, clock: Clock) -> None:
    for _ in range(3):
        next_run(path, clock).note("civitai", limited(None))
    clock.time += 86_400

    next_run(path, clock).note("civitai", limited(None))

    refusal = next_run(path, clock).refusal("civitai")
    assert refusal is not None
    assert refusal.retry_after == 60


@pytest.mark.parametrize("seconds", [600, None])
def test_a_source_that_answers_is_forgiven(path: Path, clock: Clock, seconds: float | None) -> None:
    rests = next_run(path, clock)
    rests.note("civitai", limited(seconds))
    rests.lift("civitai")

    assert rests.refusal("civitai") is None
    assert next_run(path, clock).refusal("civitai") is None


def test_nobody_is_believed_for_longer_than_a_day(path: Path, clock: Clock) -> None:
    next_run(path, clock).note("civitai", limited(10.0**12))

    clock.time += LONGEST + 1
    assert next_run(path, clock).refusal("civitai") is None


def test_a_clock_that_was_set_back_ends_every_rest(path: Path, clock: Clock) -> None:
    next_run(path, clock).note("civitai", limited(600))

    clock.time -= 3600
    assert next_run(path, clock).refusal("civitai") is None


def test_without_a_database_a_rest_still_holds_for_the_run(clock: Clock) -> None:
    rests = Rests(Database(None), now=clock)
    rests.note("civitai", limited(600))

    assert rests.refusal("civitai") is not None


def test_rows_of_garbage_keep_nobody_from_being_asked(path: Path, clock: Clock) -> None:
    database = Database(path)
    garbage = [
        ("a", "x", 5, 1, "rate_limited", "m"),
        ("b", 5.0, -3, 1, "rate_limited", "m"),
        ("c", clock(), 1e300, 1, "rate_limited", "m"),
        ("d", clock(), 100, 1, "no such code", "m"),
        ("e", float("inf"), 100, 1, "rate_limited", "m"),
    ]
    assert database.write("INSERT INTO rests VALUES (?, ?, ?, ?, ?, ?)", garbage)
    database.close()

    rests = next_run(path, clock)
    assert [name for name in "abcde" if rests.refusal(name)] == []


def test_rests_that_are_over_leave_nothing_behind(path: Path, clock: Clock) -> None:
    for number in range(20):
        next_run(path, clock).note(f"host-{number}", limited(600))
        clock.time += 3600

    database = Database(path)
    assert len(database.read("SELECT source FROM rests")) == 2
    database.close()


REFUSED = Failure(code=ErrorCode.CHECKSUM_MISMATCH, message="its SHA256 is another one")


def test_bytes_that_were_refused_once_may_be_fetched_again_at_once(path: Path, clock: Clock) -> None:
    next_run(path, clock).note_refused("ink", REFUSED)
    clock.time += 1

    assert next_run(path, clock).refusal("ink") is None


def test_bytes_that_are_refused_again_and_again_are_left_alone_longer_and_longer(path: Path, clock: Clock) -> None:
    waits = []
    for _ in range(5):
        next_run(path, clock).note_refused("ink", REFUSED)
        refusal = next_run(path, clock).refusal("ink")
        waits.append(refusal.retry_after if refusal else None)
        clock.time += (refusal.retry_after if refusal and refusal.retry_after else 0) + 1

    assert waits == [0.0, 600.0, 1200.0, 2400.0, 4800.0]
    assert next_run(path, clock).refusal("ink") is None
    clock.time += 100_000
    next_run(path, clock).note_refused("ink", REFUSED)
    clock.time += 1
    assert next_run(path, clock).refusal("ink") is None, "it begins anew after a long peace"


def test_a_refusal_of_bytes_says_why_how_often_and_what_to_do(path: Path, clock: Clock) -> None:
    for _ in range(2):
        next_run(path, clock).note_refused("ink", REFUSED)

    refusal = next_run(path, clock).refusal("ink")

    assert refusal is not None
    assert refusal.code is ErrorCode.CHECKSUM_MISMATCH
    assert "refused 2 times: its SHA256 is another one" in refusal.message
    assert "10 minutes" in (refusal.hint or "")
    assert "--force" in (refusal.hint or "")
