"""A place to ask the Hub's back end from: contexts as the core lends them, and what it was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import Factory, define, evolve, field
from comfywatchman_huggingface.backend import HuggingFaceBackend

from comfywatchman_core import Artifact, Candidate, Context, Digest, Match, ModelRequest, events
from comfywatchman_core.testing import sha256


@define
class Desk:
    """Asks one back end as the core does, and keeps what it told."""

    endpoint: str
    folder: Path
    settings: dict[str, Any] = Factory(dict)
    backend: HuggingFaceBackend = Factory(HuggingFaceBackend)
    told: list[events.Event] = Factory(list)
    cancelled: Callable[[], bool] = lambda: False
    _http: Any = field(default=None)

    @property
    def context(self) -> Context:
        context = Context(
            name="huggingface",
            settings={"endpoint": self.endpoint, **self.settings},
            emit=self.told.append,
            fetch=self._fetch,
            cancelled=self.cancelled,
            cache_dir=self.folder / "cache",
            **({"http": self._http} if self._http else {}),
        )
        self._http = context.http  # one run: one client
        return context

    def new_run(self) -> None:
        """What follows belongs to another run."""
        self._http = None

    def resolve(self, name: str = "ae.safetensors", folder: str = "vae", **request: Any) -> list[Candidate] | None:
        """Ask for a file of that name; without one for ``reference``."""
        found = self.backend.resolve_model(ModelRequest(name=name or None, folder=folder, **request), self.context)
        return None if found is None else list(found)

    def download(self, candidate: Candidate) -> bytes:
        """Transfer *candidate* as the core would have it done."""
        target = self.folder / "staged"
        artifact = self.backend.download_artifact(evolve(candidate, backend="huggingface"), target, {}, self.context)
        assert artifact is not None
        return artifact.path.read_bytes()

    def _fetch(self, candidate: Candidate, target: Path, *, headers: Mapping[str, str] = {}) -> Artifact:
        answer = self.context.http.request("GET", candidate.url, headers=headers, endpoint=candidate.endpoint)
        if answer.status >= 400:
            raise answer.error()
        target.write_bytes(answer.body)
        return Artifact(path=target, size=len(answer.body), digests=(Digest("sha256", sha256(answer.body)),))

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, events.Warned)]


def taken(offers: Sequence[Candidate] | None) -> Candidate | None:
    """The offer that the core would take unasked: none where the best ones by name differ in their bytes."""
    fit = [offer for offer in offers or () if offer.match >= Match.FILENAME and offer.obstacle is None]
    if not fit:
        return None
    best = max(offer.match for offer in fit)
    top = [offer for offer in fit if offer.match is best]
    if best is Match.FILENAME and len({offer.sha256 for offer in top} - {None}) > 1:
        return None
    return top[0]
