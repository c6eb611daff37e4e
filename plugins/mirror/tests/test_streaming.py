"""Bytes out of a store that has no web address: gone on with after a fault, and begun anew where that is no use."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from comfywatchman_mirror.streaming import stream

from comfywatchman_core import BackendError, Candidate, Context, Match, errors, events
from comfywatchman_core.testing import sha256

DATA = bytes(range(256)) * 400
SHA256 = sha256(DATA)
OFFER = Candidate(match=Match.DIGEST, url=f"mirror:{SHA256}")


class Shop:
    """A store that breaks off when it is told to, and knows from where it was asked."""

    def __init__(self, data: bytes = DATA, *, lasts: tuple[int, ...] = ()) -> None:
        self.data = data
        self.lasts = list(lasts)
        self.asked: list[int] = []

    def pieces(self, start: int) -> Generator[bytes]:
        self.asked.append(start)
        last = self.lasts.pop(0) if self.lasts else len(self.data)
        for place in range(start, len(self.data), 10_000):
            if place - start >= last:
                raise BackendError("gone", code=errors.ErrorCode.UNAVAILABLE)
            yield self.data[place : place + 10_000]


def fetched(shop: Shop, target: Path, *, cancelled: Callable[[], bool] = lambda: False) -> tuple[str, list[int]]:
    """Stream into *target*; returns the digest, and where each transfer began."""
    told: list[events.Event] = []
    context = Context(name="mirror", settings={}, emit=told.append, fetch=_none, cancelled=cancelled)
    artifact = stream(shop.pieces, target, SHA256, len(shop.data), OFFER, context)
    assert artifact.size == target.stat().st_size
    begun = [event.resumed_at for event in told if isinstance(event, events.DownloadStarted)]
    return artifact.digests[0].value, begun


def _none(candidate: Candidate, target: Path, *, headers: object = None) -> None:
    raise AssertionError("not this way")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "part"


def test_what_breaks_off_is_gone_on_with_from_where_it_was(target: Path) -> None:
    shop = Shop(lasts=(20_000, 30_000))

    digest, _ = fetched(shop, target)

    assert digest == SHA256
    assert shop.asked == [0, 20_000, 50_000]
    assert target.read_bytes() == DATA


def test_a_store_that_gives_nothing_is_given_up(target: Path) -> None:
    shop = Shop(lasts=(0,) * 20)

    with pytest.raises(BackendError, match="gone"):
        fetched(shop, target)

    assert len(shop.asked) == 3


def test_a_later_run_goes_on_with_what_an_earlier_one_left(target: Path) -> None:
    with pytest.raises(errors.Cancelled):
        fetched(Shop(), target, cancelled=stop_after(4))
    kept = target.stat().st_size
    shop = Shop()

    digest, begun = fetched(shop, target)

    assert kept
    assert (digest, begun, shop.asked) == (SHA256, [kept], [kept])
    assert list(target.parent.iterdir()) == [target]


def test_bytes_that_were_damaged_in_between_are_not_blamed_on_the_store(target: Path) -> None:
    with pytest.raises(errors.Cancelled):
        fetched(Shop(), target, cancelled=stop_after(4))
    with open(target, "r+b") as file:
        file.write(b"damaged")
    shop = Shop()

    digest, begun = fetched(shop, target)

    assert digest == SHA256
    assert begun[-1] == 0
    assert shop.asked[-1] == 0


@pytest.mark.parametrize("left", [b"of another engine", DATA[:30_000]])
def test_bytes_that_somebody_else_left_are_not_gone_on_with(target: Path, left: bytes) -> None:
    target.write_bytes(left)
    shop = Shop()

    digest, begun = fetched(shop, target)

    assert (digest, begun) == (SHA256, [0])


def test_a_file_with_another_name_is_not_written_to(target: Path, tmp_path: Path) -> None:
    target.write_bytes(b"mine")
    (tmp_path / "published.safetensors").hardlink_to(target)

    fetched(Shop(), target)

    assert (tmp_path / "published.safetensors").read_bytes() == b"mine"


def test_a_store_that_sends_more_than_there_is_is_not_read_to_the_end(target: Path) -> None:
    told: list[events.Event] = []
    context = Context(name="mirror", settings={}, emit=told.append, fetch=_none)
    shop = Shop(DATA * 50)

    artifact = stream(shop.pieces, target, SHA256, len(DATA), OFFER, context)

    assert artifact.digests[0].value != SHA256
    assert artifact.size <= len(DATA) + 10_000


def stop_after(looks: int) -> Callable[[], bool]:
    left = [looks]

    def cancelled() -> bool:
        left[0] -= 1
        return left[0] < 0

    return cancelled
