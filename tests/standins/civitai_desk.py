"""A place to ask the Civitai back end from: contexts as the core lends them, and what it was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import Factory, define, evolve, field
from comfywatchman_civitai import CivitaiBackend

import comfywatchman_core as cw
from comfywatchman_core import Artifact, Candidate, Context, Match, ModelRequest, events
from comfywatchman_core.http import ApiClient
from comfywatchman_core.report import Entry, Report


@define
class Desk:
    """Asks one back end as the core does, and keeps what it told."""

    endpoint: str
    folder: Path
    settings: dict[str, Any] = Factory(dict)
    backend: CivitaiBackend = Factory(CivitaiBackend)
    told: list[events.Event] = Factory(list)
    cancelled: Callable[[], bool] = lambda: False
    http: ApiClient = field(factory=lambda: ApiClient(retries=0, timeout=5))

    @property
    def context(self) -> Context:
        return Context(
            name="civitai",
            settings={"base_url": self.endpoint, **self.settings},
            emit=self.told.append,
            fetch=_no_engine,
            cancelled=self.cancelled,
            http=self.http,
            cache_dir=self.folder / "cache",
        )

    def new_run(self) -> None:
        """What follows belongs to another run."""
        self.http = ApiClient(retries=0, timeout=5)

    def resolve(self, name: str | None = None, folder: str = "", **request: Any) -> list[Candidate] | None:
        """Ask for a file of that name; without one for ``reference``."""
        found = self.backend.resolve_model(ModelRequest(name=name, folder=folder, **request), self.context)
        return None if found is None else list(found)

    def offer(self, name: str | None = None, folder: str = "", **request: Any) -> Candidate:
        """The one offer for a request. :raises AssertionError: There is none, or several."""
        found = self.resolve(name, folder, **request)
        assert found is not None
        assert len(found) == 1, found
        return found[0]

    def run(self, what: str | Sequence[str], *, retries: int = 0, **rules: Any) -> Report:
        """Let the core do the whole job, into ``models`` below the desk's folder."""
        models = self.folder / "models"
        models.mkdir(exist_ok=True)
        settings = {f"backends.civitai.{key}": value for key, value in self.settings.items()}
        config = cw.Config.load(
            use_file=False,
            arguments={
                "models_dir": str(models),
                "state_dir": str(self.folder / "state"),
                "download.max_retries": retries,
                "backends.civitai.base_url": self.endpoint,
                **settings,
            },
        )
        config = evolve(config, rules=evolve(config.rules, **rules))
        with cw.Watchman(config, backends={"civitai": self.backend}) as watchman:
            return watchman.ensure_models([what] if isinstance(what, str) else what, on_event=self.told.append)

    def get(self, what: str, **options: Any) -> Entry:
        """:meth:`run` for one file."""
        (entry,) = self.run(what, **options).entries
        return entry

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, events.Warned)]


def accepted(offers: Sequence[Candidate] | None) -> list[Candidate]:
    """The offers that the core may take unasked."""
    return [offer for offer in offers or () if offer.match >= Match.FILENAME]


def _no_engine(candidate: Candidate, target: Path, *, headers: Mapping[str, str] = {}) -> Artifact:
    raise AssertionError(f"a transfer was asked for: {candidate.url}")
