"""Ask the sources what they state about files that are there, by digest, name and folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from attrs import Factory, define, evolve, field

from .conversation import Conversation, Surroundings
from .errors import Cancelled, Failure
from .models import Digest, Match, ModelRequest
from .state import Statement

_KNOWS_FOR_CERTAIN = 80
"""Priority from which on a back end answers out of a table, without a network."""


@define(kw_only=True)
class Publishers:
    """Asks the back ends. Their answers are told apart by whether anybody could not be asked."""

    around: Surroundings
    failures: dict[str, Failure] = Factory(dict)
    """Back end → why it could not be asked, the last time."""
    _tables: tuple[str, ...] = field(init=False)
    _searches: tuple[str, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        backends = self.around.backends
        chosen = self.around.config.rules.backends
        names = [name for name in backends.names if not chosen or name in chosen]
        self._tables = tuple(name for name in names if backends.get(name).priority >= _KNOWS_FOR_CERTAIN)
        self._searches = tuple(name for name in names if name not in self._tables)

    @property
    def is_online(self) -> bool:
        """Sources that need the network are asked, too."""
        return not self.around.config.offline

    def ask(self, files: Mapping[Path, ModelRequest]) -> Iterator[tuple[Path, Statement | None]]:
        """Ask about *files*, several at a time.

        :param files: For each file a request with the SHA256 that it has.
        :returns: The files, each with what was said; ``None`` where nobody spoke for the file and somebody could
            not be asked.
        :raises Cancelled: The caller asked to stop.
        """
        if self.is_online:
            self._prepare(tuple(files.values()))
        with ThreadPoolExecutor(self.around.config.download.jobs, thread_name_prefix="ask") as pool:
            running = {pool.submit(self._statement, request): key for key, request in files.items()}
            try:
                for done in as_completed(running):
                    yield running[done], done.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _prepare(self, requests: Sequence[ModelRequest]) -> None:
        conversation = Conversation(label="", around=self.around)
        for name, prepare in self.around.backends.with_method("prepare"):
            if name in self._searches:
                conversation.prepare(name, prepare, requests)

    def _statement(self, request: ModelRequest) -> Statement | None:
        if self.around.cancelled():
            raise Cancelled("stopped before a question")
        conversation = Conversation(label=request.label, around=self.around)
        names = (*self._tables, *(self._searches if self.is_online else ()))
        is_complete = True
        for answer in conversation.resolve(request, only=names, order=names):
            name = answer.attempt.backend
            if answer.attempt.failure is not None:
                is_complete = False
                self.failures[name] = answer.attempt.failure
            if any(offer.sha256 == request.sha256 for offer in answer.value or ()):
                return Statement(voice=name, sha256=request.sha256 or "", online=self.is_online)
        other = self._other_bytes(conversation, request)
        if other is not None:
            return other
        return Statement(online=self.is_online) if is_complete else None

    def _other_bytes(self, conversation: Conversation, request: ModelRequest) -> Statement | None:
        """What a curated table has under exactly this name, where it is not what is there."""
        for answer in conversation.resolve(
            evolve(request, digests=(), size=None), only=self._tables, order=self._tables
        ):
            for offer in answer.value or ():
                if offer.trusted and offer.match >= Match.SOURCE_ID and offer.sha256:
                    return Statement(voice=answer.attempt.backend, sha256=offer.sha256, online=self.is_online)
        return None


def question(name: str, folder: str, sha256: str, size: int) -> ModelRequest:
    """The request that asks who knows a file. :raises UnsafeName: It has a name that no request may have."""
    return ModelRequest(name=name, folder=folder, digests=(Digest("sha256", sha256),), size=size)
