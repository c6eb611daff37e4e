"""The digest that follows a file while it is written: from memory what comes in order, from the file the rest."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman_core.transfer import follower as followers
from comfywatchman_core.transfer.follower import Follower
from comfywatchman_core.transfer.part import Part
from comfywatchman_core.transfer.spans import Ledger, Span

CONTENT = bytes(range(256)) * 40
TOTAL = len(CONTENT)


class CountingPart(Part):
    """A staging file that counts what is read back from it."""

    read_back = 0

    def read_into(self, buffer: memoryview, offset: int) -> int:
        count = super().read_into(buffer, offset)
        self.read_back += count
        return count


@pytest.fixture
def part(tmp_path: Path) -> Iterator[CountingPart]:
    part = CountingPart(tmp_path / "part", keep=False)
    yield part
    part.close()


def bring(part: Part, follower: Follower, span: Span, count: int) -> None:
    """Write the next *count* bytes of *span*, as a connection does."""
    place = span.position
    chunk = memoryview(CONTENT)[place : place + count]
    part.write(chunk, place)
    follower.enter(chunk, span, place)


def test_bytes_that_come_in_order_are_not_read_back(part: CountingPart) -> None:
    ledger = Ledger(TOTAL)
    follower = Follower(part, ledger)
    span = ledger.take()
    assert span is not None
    follower.start()

    while span.left:
        bring(part, follower, span, 100)

    assert follower.wait(10) == hashlib.sha256(CONTENT).hexdigest()
    assert part.read_back == 0


def test_bytes_that_come_out_of_order_are_read_back(part: CountingPart) -> None:
    ledger = Ledger(TOTAL)
    follower = Follower(part, ledger)
    first, second = ledger.take(1000), ledger.take()
    assert first is not None
    assert second is not None
    follower.start()

    while second.left:
        bring(part, follower, second, 500)
    bring(part, follower, first, 1000)

    assert follower.wait(10) == hashlib.sha256(CONTENT).hexdigest()
    assert part.read_back == TOTAL - 1000


def test_what_an_earlier_run_left_is_read_back_before_what_comes(part: CountingPart) -> None:
    part.write(memoryview(CONTENT)[:3000], 0)
    ledger = Ledger(TOTAL, [(0, 3000)])
    follower = Follower(part, ledger)
    span = ledger.take()
    assert span is not None

    while span.left:
        bring(part, follower, span, 100)

    assert follower.wait(10) == hashlib.sha256(CONTENT).hexdigest()
    assert part.read_back >= 3000


def test_bytes_behind_a_shortened_end_are_hashed_as_they_lie_in_the_file(part: CountingPart) -> None:
    ledger = Ledger(TOTAL)
    follower = Follower(part, ledger)
    span = ledger.take()
    assert span is not None
    ledger.shorten(span, 1000)

    part.write(memoryview(b"x" * 1500), 0)  # came from another answer than what is written over its end
    part.write(memoryview(CONTENT)[:1000], 0)
    follower.enter(memoryview(CONTENT[:1000] + b"x" * 500), span, 0)
    rest = ledger.take()
    assert rest is not None
    assert rest.position == 1000
    while rest.left:
        bring(part, follower, rest, 100)

    assert follower.wait(10) == hashlib.sha256(CONTENT).hexdigest()


def test_a_span_that_was_given_back_enters_nothing_more(part: CountingPart) -> None:
    ledger = Ledger(TOTAL)
    follower = Follower(part, ledger)
    span = ledger.take()
    assert span is not None
    ledger.give_back(span)

    bring(part, follower, span, 100)

    assert (ledger.received, ledger.left) == (0, TOTAL)


def test_who_brings_bytes_faster_than_they_are_hashed_waits(
    part: CountingPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "_MOST_HELD", 1000)
    monkeypatch.setattr(followers, "_CHUNK", 100)
    ledger = Ledger(TOTAL)
    follower = Follower(part, ledger)
    span = ledger.take()
    assert span is not None
    most, hashing = 0, threading.Event()
    digest = hashlib.sha256()

    class Slow:
        """A digest that starts only when told."""

        def update(self, chunk: memoryview) -> None:
            nonlocal most
            hashing.wait(10)
            most = max(most, ledger.received - follower.hashed)
            digest.update(chunk)

        def hexdigest(self) -> str:
            return digest.hexdigest()

    follower._digest = Slow()  # type: ignore[assignment]
    follower.start()
    threading.Timer(0.1, hashing.set).start()
    while span.left:
        bring(part, follower, span, 100)

    assert follower.wait(10) == hashlib.sha256(CONTENT).hexdigest()
    assert 900 <= most <= 1100


def test_who_waits_for_the_digest_is_let_go_when_it_stops(part: CountingPart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "_MOST_HELD", 100)
    monkeypatch.setattr(followers, "_PATIENCE", 0.01)
    ledger = Ledger(TOTAL)
    follower = Follower(part, ledger)
    span = ledger.take()
    assert span is not None
    follower.start()
    follower.stop()

    while span.left:
        bring(part, follower, span, 100)

    assert ledger.finished
