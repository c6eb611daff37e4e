"""One missing file on its way: its search, the offer that is next, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import define, evolve, field

from .conversation import Conversation
from .errors import Failure
from .models import Candidate, ModelRequest
from .report import Entry, Status
from .search import Search


@define(kw_only=True)
class Job:
    """One missing file on its way: its search, and the offer that is next."""

    entry: Entry
    """What the inventory said."""
    conversation: Conversation
    search: Search
    _offers: Iterator[Candidate] = field(init=False)
    offer: Candidate | None = field(default=None, init=False)
    tried: int = field(default=0, init=False)
    """Offers that were of no use."""
    room: Path | None = field(default=None, init=False)
    """The staging place that disk space is set aside for."""

    def __attrs_post_init__(self) -> None:
        self._offers = iter(self.search)

    @property
    def request(self) -> ModelRequest:
        return self.entry.request

    def advance(self) -> Candidate | None:
        """Search on; ``None`` when nobody offers anything more."""
        self.offer = next(self._offers, None)
        return self.offer

    def size_of(self, offer: Candidate) -> int | None:
        """Bytes of the file, as far as anybody states them."""
        return offer.size if offer.size is not None else self.request.size

    def sha256_of(self, offer: Candidate) -> str | None:
        """The digest that the bytes are held to, as far as anybody states one."""
        return self.request.sha256 or offer.sha256

    def settled(self, status: Status, **changes: object) -> Entry:
        """The entry of this job's end."""
        known: dict[str, object] = {
            "status": status,
            "error": None,  # what was wrong with the file that lay there is over
            "attempts": tuple(self.conversation.attempts),
            "candidates": tuple(self.search.reported),
        }
        return evolve(self.entry, **{**known, **changes})  # type: ignore[arg-type]

    def failed(self, failure: Failure, **changes: object) -> Entry:
        """The entry of a job that came to nothing. What is present or corrupt stays what it was on disk."""
        return self.settled(Status.FAILED, error=failure, **changes)
