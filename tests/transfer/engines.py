"""An engine in this process, with what a run lends it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field
from standins.faulty import Faulty

from comfywatchman_core.events import DownloadStarted, Event, Warned
from comfywatchman_core.hooks import Context
from comfywatchman_core.models import Artifact, Candidate, Digest, Match
from comfywatchman_core.reservation import Reservations
from comfywatchman_core.staging import Staging
from comfywatchman_core.testing import sha256
from comfywatchman_core.transfer import Engine, TransferSettings
from comfywatchman_core.transport import Exchange, Transport


class OpenAtOnce(Transport):
    """A transport that counts the exchanges that are open: a server learns late that one has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._open = 0
        self._counting = threading.Lock()

    def open(self, *args: Any, **options: Any) -> Exchange:
        self._count(1)
        try:
            exchange = super().open(*args, **options)
        except BaseException:
            self._count(-1)
            raise
        close = exchange.close

        def closed() -> None:
            close()
            self._count(-1)

        exchange.close = closed  # type: ignore[method-assign]
        return exchange

    def _count(self, change: int) -> None:
        with self._counting:
            self._open += change
            self.most = max(self.most, self._open)


@define
class Run:
    """One run of the engine against *server*, into *folder*."""

    server: Faulty
    folder: Path
    events: list[Event] = field(factory=list)
    cancelled: Callable[[], bool] = lambda: False
    transport: Transport = field(factory=Transport)
    engine: Engine = field(init=False)
    settings: dict[str, Any] = field(factory=dict)
    reservations: Reservations = field(factory=Reservations)

    def __attrs_post_init__(self) -> None:
        settings = TransferSettings(**{"timeout": 5.0, **self.settings})
        self.engine = Engine(settings, transport=self.transport, reservations=self.reservations)

    @property
    def final(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def started(self) -> DownloadStarted:
        (started,) = (event for event in self.events if isinstance(event, DownloadStarted))
        return started

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]

    def candidate(self, path: str, *, digest: bool = True, **fields: Any) -> Candidate:
        """The file at *path* of the server, held to its digest."""
        digests = (Digest("sha256", sha256(self.server.files[path])),) if digest else ()
        known = {"match": Match.SOURCE_ID, "url": self.server.url + path, "endpoint": self.server.url}
        return Candidate(**{**known, "digests": digests, **fields})

    def fetch(
        self, candidate: Candidate | str, *, headers: Mapping[str, str] | None = None, publish: bool = True
    ) -> Artifact:
        """Claim, transfer, and publish or leave it staged."""
        if isinstance(candidate, str):
            candidate = self.candidate(candidate)
        staging = Staging()
        try:
            with staging.claim(self.final, wait=False) as stage:
                artifact = self.transfer(candidate, stage.target, headers)
                if publish:
                    stage.publish()
        finally:
            staging.close()
        return artifact

    def transfer(self, candidate: Candidate, target: Path, headers: Mapping[str, str] | None = None) -> Artifact:
        context = Context(
            name="core",
            settings={},
            emit=self.events.append,
            fetch=None,  # type: ignore[arg-type]
            cancelled=lambda: self.cancelled(),
        )
        artifact = self.engine.download_artifact(candidate, target, headers or {}, context)
        assert artifact is not None
        return artifact
