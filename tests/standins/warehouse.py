"""A source whose back end is installed, for tests in which other processes load it.

The back end takes the server's address from its settings and its token from the environment, as those for real
sites do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, field

from comfywatchman_core import (
    Artifact,
    AuthRequired,
    Candidate,
    Config,
    Context,
    Digest,
    Match,
    ModelRequest,
    hookimpl,
)
from comfywatchman_core.testing import Asked, Origin, Reply, serve, sha256

TOKEN_VARIABLE = "WAREHOUSE_KEY"


class WarehouseBackend:
    """Offers what the server of `url` in `[backends.warehouse]` lists."""

    api_version = 1
    priority = 60

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        url = context.settings.get("url")
        scheme, _, name = (request.reference or f"warehouse:{request.name}").partition(":")
        if url is None or scheme != "warehouse":
            return None
        answer = context.http.get(f"{url}/list/{name}", endpoint=url, headers=_token(context))
        if answer.status == 404:
            return ()
        if answer.status == 401:
            raise AuthRequired("the warehouse wants a token", hint=f"Set {TOKEN_VARIABLE}.")
        listed = answer.json()
        return (
            Candidate(
                match=Match.FILENAME,
                url=f"{url}/files/{name}",
                endpoint=str(url),
                name=name,
                size=listed["size"],
                digests=(Digest("sha256", listed["sha256"]),),
                reference=f"warehouse:{name}",
            ),
        )

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        if candidate.backend != context.name:
            return None
        return context.fetch(candidate, target, headers=_token(context))


def _token(context: Context) -> dict[str, str]:
    token = context.settings.get("token") or os.environ.get(TOKEN_VARIABLE)
    return {"Authorization": f"Bearer {token}"} if token else {}


backend = WarehouseBackend()


@define
class Warehouse:
    """The server, and where the back end finds it."""

    origin: Origin
    files: dict[str, bytes] = field(factory=dict)
    token: str = ""
    """What must be shown; empty for a source that everybody may use."""
    refusals: list[Reply] = field(factory=list)
    """What those who ask for a file are answered first, one each."""
    before: Callable[[Asked], None] = lambda asked: None
    """Called before a file is sent."""

    def config(self, place: Path, **settings: object) -> Config:
        """Settings that use this source for the models below *place*."""
        return Config.load(
            arguments={
                "models_dir": place / "models",
                "state_dir": place / "state",
                "backends.warehouse.url": self.origin.url,
                "download.max_retries": 0,
                "backends.disabled": ("civitai", "directid", "huggingface"),
                **settings,
            },
            use_file=False,
        )

    def transfers(self) -> list[str]:
        """Names of the files that were asked for, in order, one for each request."""
        return [asked.path.rpartition("/")[2] for asked in self.origin.asked if asked.path.startswith("/files/")]

    def answer(self, asked: Asked) -> Reply:
        _, what, name = asked.path.split("/", 2)
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Reply.json({"error": "no token"}, 401)
        data = self.files.get(name)
        if data is None:
            return Reply.json({"error": "not found"}, 404)
        if what == "list":
            return Reply.json({"size": len(data), "sha256": sha256(data)})
        self.before(asked)
        if self.refusals:
            return self.refusals.pop(0)
        return Reply.of_bytes(data, asked, ETag=f'"{sha256(data)[:8]}"')


@contextmanager
def open_warehouse() -> Iterator[Warehouse]:
    """Run the server until the block ends."""
    warehouse: Warehouse
    with serve(lambda asked: warehouse.answer(asked)) as origin:
        warehouse = Warehouse(origin)
        yield warehouse


def write_distribution(site: Path) -> Path:
    """Write what makes the back end an installed one for processes that have *site* on their path."""
    metadata = site / "comfywatchman_warehouse-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: comfywatchman-warehouse\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[comfywatchman.backends]\nwarehouse = standins.warehouse:backend\n")
    return site


def install(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the back end for this process, and for those that it starts, until the test is over."""
    monkeypatch.syspath_prepend(str(write_distribution(site)))
    paths = (os.environ.get("PYTHONPATH", ""), str(site), str(Path(__file__).parents[1]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
