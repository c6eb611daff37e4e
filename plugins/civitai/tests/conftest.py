"""A stand-in for the service, and contexts that lead to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_civitai import CivitaiBackend
from standins.civitai import CivitaiStandIn

from comfywatchman_core import Artifact, Candidate, Context, ModelRequest
from comfywatchman_core.http import ApiClient

Ask = Callable[..., Sequence[Candidate] | None]


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVITAI_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def civitai() -> Iterator[CivitaiStandIn]:
    with CivitaiStandIn(keys=("good-key",)) as service:
        yield service


@pytest.fixture
def told() -> list[Any]:
    """The events of the test, in order."""
    return []


def no_engine(candidate: Candidate, target: Path, *, headers: Mapping[str, str] = {}) -> Artifact:
    raise AssertionError(f"a transfer was asked for: {candidate.url}")


@pytest.fixture
def backend() -> CivitaiBackend:
    return CivitaiBackend()


@pytest.fixture
def lend(civitai: CivitaiStandIn, told: list[Any]) -> Callable[..., Context]:
    """Make the context of one run; each has an HTTP client of its own."""

    def make(settings: Mapping[str, object] | None = None, **more: Any) -> Context:
        options = {"fetch": no_engine, "http": ApiClient(retries=0, timeout=5), **more}
        return Context(
            name="civitai", settings={"base_url": civitai.url, **(settings or {})}, emit=told.append, **options
        )

    return make


@pytest.fixture
def ask(backend: CivitaiBackend, lend: Callable[..., Context]) -> Ask:
    """Ask the back end about one request, in one run."""
    context = lend()

    def resolve(name: str | None = None, folder: str = "", **more: Any) -> Sequence[Candidate] | None:
        return backend.resolve_model(ModelRequest(name=name, folder=folder, **more), context)

    return resolve
