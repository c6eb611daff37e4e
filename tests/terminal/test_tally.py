"""What a run is doing, from its events alone."""

from __future__ import annotations

import pytest

from comfywatchman_core.cli.tally import Tally
from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.events import (
    BytesReceived,
    DownloadStarted,
    Event,
    FileSettled,
    Queued,
    StateChanged,
    Surveyed,
    TransferState,
)
from comfywatchman_core.models import Candidate, Match, ModelRequest
from comfywatchman_core.report import Entry, Status


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(clock: Clock) -> Tally:
    return Tally(clock)


def tell(tally: Tally, *events: Event) -> None:
    for event in events:
        tally(event)


def offer(size: int | None, backend: str = "huggingface") -> Candidate:
    return Candidate(match=Match.DIGEST, url="https://storage.example/ink", size=size, backend=backend)


def started(label: str, size: int | None, at: int = 0) -> DownloadStarted:
    return DownloadStarted(label=label, candidate=offer(size), resumed_at=at, size=size)


def settled(label: str, status: Status, code: ErrorCode | None = None, size: int | None = None) -> FileSettled:
    error = None if code is None else Failure(code=code, message="m")
    entry = Entry(
        request=ModelRequest(name=f"{label}.safetensors", folder="loras"), status=status, size=size, error=error
    )
    return FileSettled(label=label, entry=entry)


def test_files_that_are_there_are_not_among_those_that_are_counted(tally: Tally) -> None:
    tell(tally, Surveyed(needed=5, missing=2), *(settled(name, Status.PRESENT) for name in "abc"))

    assert (tally.settled, tally.missing) == (0, 2)


def test_the_total_grows_with_what_is_found_and_is_certain_once_all_was_searched_for(tally: Tally) -> None:
    tell(tally, Surveyed(needed=2, missing=2), Queued(label="a", candidate=offer(300)))
    assert (tally.size, tally.unsearched, tally.is_size_complete) == (300, 1, False)

    tell(tally, Queued(label="b", candidate=offer(None)))
    assert (tally.unsearched, tally.is_size_complete) == (0, False), "of one the size is not known"

    tell(tally, started("b", 500))
    assert (tally.size, tally.is_size_complete) == (800, True)


def test_a_file_that_nobody_knows_does_not_keep_the_total_uncertain(tally: Tally) -> None:
    tell(
        tally,
        Surveyed(needed=2, missing=2),
        Queued(label="a", candidate=offer(300)),
        settled("b", Status.FAILED, ErrorCode.NOT_FOUND),
    )

    assert (tally.size, tally.is_size_complete, tally.settled) == (300, True, 1)


def test_bytes_of_an_earlier_run_count_as_here_and_not_as_speed(tally: Tally, clock: Clock) -> None:
    tell(tally, Surveyed(needed=1, missing=1), Queued(label="a", candidate=offer(1000)), started("a", 1000, at=600))
    clock.now += 2
    tell(tally, BytesReceived(label="a", received=700, size=1000, rate=50.0))

    assert tally.received == 700
    assert tally.rate == 50.0
    assert tally.left == 6.0


def test_speed_is_that_of_the_last_seconds_over_all_files(tally: Tally, clock: Clock) -> None:
    tell(tally, Surveyed(needed=2, missing=2), started("a", 10_000), started("b", 10_000))
    for second in range(1, 41):
        clock.now += 1
        per_second = 10 if second <= 20 else 100
        for label in "ab":
            received = tally.transfers[label].received + per_second
            tell(tally, BytesReceived(label=label, received=received, size=10_000))

    assert tally.rate == pytest.approx(200, rel=0.15)
    clock.now += 30
    assert tally.rate is None, "nothing came lately"


def test_a_transfer_that_begins_anew_takes_its_bytes_back(tally: Tally, clock: Clock) -> None:
    tell(tally, Surveyed(needed=1, missing=1), started("a", 1000), BytesReceived(label="a", received=800, size=1000))
    tell(tally, started("a", 1000), BytesReceived(label="a", received=10, size=1000))

    assert tally.received == 10


def test_a_file_that_failed_leaves_the_total(tally: Tally) -> None:
    tell(tally, Surveyed(needed=2, missing=2), started("a", 1000), started("b", 500))
    tell(tally, settled("b", Status.FAILED, ErrorCode.CHECKSUM_MISMATCH))

    assert tally.size == 1000
    assert list(tally.transfers) == ["a"]


@pytest.mark.parametrize(
    ("code", "is_kept"),
    [
        (ErrorCode.CANCELLED, True),
        (ErrorCode.NETWORK, True),
        (ErrorCode.DISK_FULL, True),
        # these bytes are put aside, or thrown away
        (ErrorCode.CHECKSUM_MISMATCH, False),
        (ErrorCode.NOT_A_MODEL, False),
    ],
)
def test_what_is_kept_for_the_next_run_is_what_it_can_go_on_with(tally: Tally, code: ErrorCode, is_kept: bool) -> None:
    tell(tally, Surveyed(needed=1, missing=1), started("a", 1000), BytesReceived(label="a", received=400, size=1000))
    tell(tally, settled("a", Status.FAILED, code))

    assert list(tally.kept()) == ([("a", 400, 1000)] if is_kept else [])


def test_a_state_lasts_until_bytes_come(tally: Tally) -> None:
    tell(tally, started("a", 1000), StateChanged(label="a", state=TransferState.STALLED))
    assert tally.transfers["a"].state is TransferState.STALLED

    tell(tally, BytesReceived(label="a", received=1, size=1000))
    assert tally.transfers["a"].state is None


def test_a_stall_began_when_bytes_came_last(tally: Tally, clock: Clock) -> None:
    tell(tally, started("a", 1000), BytesReceived(label="a", received=1, size=1000))
    clock.now += 3
    tell(tally, StateChanged(label="a", state=TransferState.STALLED))

    assert clock.now - tally.transfers["a"].since == 3


def test_an_address_that_was_given_is_shown_by_its_host_and_not_as_core(tally: Tally) -> None:
    tell(
        tally,
        Queued(label="a", candidate=offer(1, backend="core")),
        StateChanged(label="a", state=TransferState.WAITING),
    )

    assert tally.transfers["a"].source == "storage.example"
