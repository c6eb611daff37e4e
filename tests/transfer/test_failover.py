"""A source that fails for good hands over to the next, and the report says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from standins.faulty import GOOD, Ending, Faulty, Scene, faulty
from transfer.commands import leftovers

from comfywatchman_core import Candidate, Config, Context, Digest, Match, ModelRequest, Report, Watchman, hookimpl
from comfywatchman_core.report import Status
from comfywatchman_core.testing import safetensors, sha256

NAME = "model.safetensors"
SIZE = 3 << 20
CONTENT = safetensors("model", SIZE)


class Shelf:
    """A back end that knows one file at one address."""

    api_version = 1

    def __init__(self, server: Faulty, path: str, priority: int) -> None:
        self.priority = priority
        self._offer = Candidate(
            match=Match.FILENAME,
            url=server.url + path,
            endpoint=server.url,
            name=NAME,
            digests=(Digest("sha256", sha256(CONTENT)),),
        )

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> tuple[Candidate, ...]:
        return (evolve(self._offer),)


@pytest.fixture
def first() -> Iterator[Faulty]:
    with faulty() as server:
        server.files["/first"] = CONTENT
        yield server


@pytest.fixture
def second() -> Iterator[Faulty]:
    with faulty(host="localhost") as server:
        server.files["/second"] = CONTENT
        yield server


def ensure(first: Faulty, second: Faulty, models: Path) -> Report:
    config = evolve(Config(plugins=False), download=evolve(Config().download, max_retries=0, timeout_seconds=2.0))
    backends: dict[str, Any] = {"first": Shelf(first, "/first", 60), "second": Shelf(second, "/second", 50)}
    with Watchman(evolve(config, models_dir=models), backends=backends) as watchman:
        return watchman.ensure_models(f"loras/{NAME}")


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(Scene(status=404, body=b"gone"), id="it is gone"),
        pytest.param(Scene(status=410, body=b"gone"), id="it was taken down"),
        pytest.param(Scene(status=403, body=b"gated"), id="it wants a licence to be accepted"),
        pytest.param(Scene(status=429, body=b"", headers={"Retry-After": "99999"}), id="it wants to be left alone"),
        pytest.param(Scene(status=503, body=b""), id="it is down"),
        pytest.param(Scene(instead=b"\n", then=Ending.RST), id="it breaks off"),
        pytest.param(Scene(body=b"<html>", headers={"Content-Type": "text/html"}), id="it sends a page"),
        pytest.param(Scene(body=safetensors("other", SIZE)), id="it sends another file"),
        pytest.param(Scene(headers={"Content-Encoding": "br"}), id="it sends it encoded"),
    ],
)
def test_the_next_source_has_it(first: Faulty, second: Faulty, tmp_path: Path, scene: Scene) -> None:
    first.play("/first", scene)

    report = ensure(first, second, tmp_path / "models")

    (entry,) = report.entries
    assert report.ok
    assert (entry.status, entry.backend) == (Status.DOWNLOADED, "second")
    assert (tmp_path / "models" / "loras" / NAME).read_bytes() == CONTENT
    transfers = [attempt for attempt in entry.attempts if attempt.hook == "download_artifact"]
    assert len(transfers) > 1
    assert [name for name in leftovers(tmp_path) if name.endswith(".cw")] == []


def test_what_the_first_source_sent_is_not_transferred_again_from_the_next(
    first: Faulty, second: Faulty, tmp_path: Path
) -> None:
    first.play("/first", Scene(sends=SIZE // 2, then=Ending.FIN), Scene(status=404, body=b"gone"))
    second.play("/second", GOOD)

    report = ensure(first, second, tmp_path / "models")

    assert report.ok
    assert second.sent["/second"] <= len(CONTENT) - SIZE // 2 + (1 << 20)
