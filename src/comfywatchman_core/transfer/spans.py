"""Which bytes of a file are there, which are on their way, and which nobody has asked for yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from attrs import define

Range = tuple[int, int]
"""First byte and the one after the last."""

NO_END = 1 << 62
"""The end of a file whose size is not known."""


@define(eq=False)
class Span:
    """A stretch of bytes that one connection brings; what lies before ``position`` is on disk."""

    position: int
    end: int
    """May come nearer while the span is read: another connection took over the rest."""

    @property
    def left(self) -> int:
        return self.end - self.position


class Ledger:
    """The account of one file's bytes. Safe to share between threads.

    :param total: Bytes of the file; :data:`NO_END` while that is not known.
    :param done: What is there already.
    """

    def __init__(self, total: int = NO_END, done: Iterable[Range] = ()) -> None:
        self.total = total
        self._grown = threading.Condition()
        self._taken: list[Span] = []
        self._free = _gaps(merged(done), total)
        self._left = sum(end - start for start, end in self._free)

    @property
    def received(self) -> int:
        """Bytes that are there."""
        return self.total - self._left if self.total < NO_END else self.done[-1][1] if self.done else 0

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self._left

    @property
    def finished(self) -> bool:
        return self._left == 0

    @property
    def done(self) -> list[Range]:
        """What is there, in order."""
        with self._grown:
            missing = sorted([*self._free, *((span.position, span.end) for span in self._taken)])
            return _gaps([gap for gap in missing if gap[0] < gap[1]], self.total)

    @property
    def prefix(self) -> int:
        """Bytes from the start of the file without a gap."""
        with self._grown:
            return self._prefix()

    def _prefix(self) -> int:
        starts = [start for start, _ in self._free[:1]]
        starts += [span.position for span in self._taken if span.left]
        return min(starts, default=self.total)

    def await_prefix(self, beyond: int, seconds: float) -> int:
        """Wait until the prefix reaches *beyond*, or the file ends; :returns: the prefix, whatever it is by then."""
        with self._grown:
            self._grown.wait_for(lambda: self._prefix() >= min(beyond, self.total), seconds)
            return self._prefix()

    def take(self, length: int = NO_END) -> Span | None:
        """Hand out the first *length* bytes that nobody has asked for; ``None`` when there are none."""
        with self._grown:
            if not self._free:
                return None
            start, end = self._free.pop(0)
            if end - start > length:
                self._free.insert(0, (start + length, end))
                end = start + length
            span = Span(start, end)
            self._taken.append(span)
            return span

    def extend(self, span: Span, reach: int, length: int) -> bool:
        """Go on with a *span* that is full, if nobody has asked for what follows.

        :param reach: Where the answer ends that the span is read from.
        :param length: The most bytes to go on for.
        :returns: Whether there is more to read.
        """
        with self._grown:
            for place, (start, end) in enumerate(self._free):
                if start == span.end < reach and not span.left:
                    span.end = min(end, reach, start + length)
                    self._free[place : place + 1] = [(span.end, end)] if span.end < end else []
                    self._taken.append(span)
                    return True
            return False

    def steal(self, least: int) -> Span | None:
        """Hand out the second half of the largest remainder on its way; ``None`` when none has *least* bytes twice."""
        with self._grown:
            victim = max(self._taken, key=lambda span: span.left, default=None)
            if victim is None or victim.left < 2 * least:
                return None
            middle = victim.position + victim.left // 2
            span = Span(middle, victim.end)
            victim.end = middle
            self._taken.append(span)
            return span

    def shorten(self, span: Span, length: int) -> None:
        """Let *span* end after *length* more bytes; the rest is free again."""
        with self._grown:
            if span in self._taken and span.left > length:
                self._release((span.position + length, span.end))
                span.end = span.position + length
                if not span.left:
                    self._taken.remove(span)

    def advance(self, span: Span, count: int) -> int:
        """Enter *count* bytes at the position of *span* as being there; what its shortened end cut off is not.

        :returns: How many were entered.
        """
        with self._grown:
            if span not in self._taken:
                return 0  # it was given back
            count = min(count, span.left)
            at_front = span.position <= self._prefix()
            span.position += count
            self._left -= count
            if not span.left:
                self._taken.remove(span)
            if at_front:
                self._grown.notify_all()
            return count

    def give_back(self, span: Span) -> None:
        """Take a span back from a connection that brings no more of it."""
        with self._grown:
            if span in self._taken:
                self._taken.remove(span)
                self._release((span.position, span.end))

    def _release(self, gap: Range) -> None:
        self._free = merged([*self._free, gap])

    def learn_total(self, total: int) -> None:
        """Enter the size of a file whose size was not known, on hearing of it or on reaching its end."""
        with self._grown:
            self.total = total
            self._free = [(start, min(end, total)) for start, end in self._free if start < total]
            for span in self._taken:
                span.end = min(span.end, total)
            self._taken = [span for span in self._taken if span.left > 0]
            self._left = sum(end - start for start, end in self._free) + sum(span.left for span in self._taken)
            self._grown.notify_all()

    def has_work(self, least: int) -> bool:
        """Say whether :meth:`take` or :meth:`steal` would hand something out."""
        with self._grown:
            return bool(self._free) or any(span.left >= 2 * least for span in self._taken)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Put ranges in order, and those that touch together."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    return joined


def _gaps(ranges: Sequence[Range], total: int) -> list[Range]:
    """What lies between *ranges*, which are in order, from 0 to *total*."""
    edges = [0, *(edge for pair in ranges for edge in pair), total]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
