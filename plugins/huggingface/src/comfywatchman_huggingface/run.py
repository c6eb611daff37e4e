"""What is remembered between the questions of one run: limits, failures, facts, what else is wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from attrs import Factory, define, field, frozen

from comfywatchman_core import BackendError

from .facts import FileFacts
from .filenames import key_of

_DEAD_SECONDS = 60.0
"""How long an endpoint that did not answer is left alone, so that not every file waits for it again."""


@frozen(kw_only=True)
class Place:
    """A file of a wanted name, somewhere on the Hub."""

    repo: str
    path: str
    commit: str | None = None
    gated: bool = False
    downloads: int = 0
    rank: int | None = None
    """Position of its owner among the trusted publishers; ``None`` for anybody else."""
    by_card: bool = False
    """Found through the text of a model card only."""


@define(eq=False)
class Run:
    """Shared by the threads of one run at one endpoint."""

    clock: Callable[[], float] = time.monotonic
    lock: threading.RLock = field(factory=threading.RLock, init=False, repr=False)
    wanted: frozenset[str] = field(default=frozenset(), init=False)
    """Keys of all file names of the run that have to be looked for by name."""
    index: dict[str, tuple[Place, ...]] | None = field(default=None, init=False, repr=False)
    """Key of a file name → where the trusted publishers have it; ``None`` until it is needed."""
    paths: dict[tuple[str, str], dict[str, FileFacts]] = field(factory=dict, init=False, repr=False)
    """(repository, commit) → path → what ``paths-info`` said; a path that is not there is not there."""
    asked_paths: dict[tuple[str, str], set[str]] = field(factory=dict, init=False, repr=False)
    searches: dict[str, tuple[Place, ...]] = field(factory=dict, init=False, repr=False)
    """Search term → every model file of the repositories found."""
    refused_tokens: set[int] = field(factory=set, init=False, repr=False)
    """Hashes of tokens that the Hub could not read."""
    answered: bool = field(default=False, init=False)
    """True once the endpoint has answered anything."""
    _told: set[str] = field(factory=set, init=False, repr=False)
    _opens: dict[str, float] = Factory(dict)
    _dead_until: float = field(default=float("-inf"), init=False)
    _dead: BackendError | None = field(default=None, init=False, repr=False)

    def want(self, names: Iterable[str]) -> None:
        """Remember names that will be asked for, so that one request can answer for several of them."""
        with self.lock:
            self.wanted = self.wanted | {key_of(name) for name in names}

    def first_time(self, what: str) -> bool:
        """True the first time that *what* is to be told."""
        with self.lock:
            known = what in self._told
            self._told.add(what)
            return not known

    def close_bucket(self, bucket: str, seconds: float) -> None:
        """Ask nothing of *bucket* for *seconds*."""
        with self.lock:
            self._opens[bucket] = max(self._opens.get(bucket, float("-inf")), self.clock() + seconds)

    def closed_for(self, bucket: str) -> float:
        """Seconds until *bucket* may be asked again; 0 when it may."""
        with self.lock:
            return max(0.0, self._opens.get(bucket, float("-inf")) - self.clock())

    def died(self, error: BackendError) -> None:
        """Remember that the endpoint did not answer."""
        with self.lock:
            self._dead, self._dead_until = error, self.clock() + _DEAD_SECONDS

    def check_alive(self) -> None:
        """:raises BackendError: The endpoint did not answer a moment ago; nobody waits for it again so soon."""
        with self.lock:
            if self._dead is not None and self.clock() < self._dead_until:
                raise BackendError(
                    str(self._dead), hint=self._dead.hint, code=self._dead.code, http_status=self._dead.http_status
                )
