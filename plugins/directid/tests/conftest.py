"""A context without a network, and tables written down in a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from comfywatchman_core import Artifact, Candidate, Context

Lend = Callable[..., Context]


class NoNetwork:
    """Stands where the core lends its HTTP client: whoever touches it fails."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the network was asked: {name}")


def _no_engine(candidate: Candidate, target: Path, *, headers: Mapping[str, str] | None = None) -> Artifact:
    raise AssertionError(f"a transfer was asked for: {candidate.url}")


@pytest.fixture
def told() -> list[Any]:
    """The events of the test, in order."""
    return []


@pytest.fixture
def lend(told: list[Any]) -> Lend:
    """Make a context whose HTTP client and engine may not be used."""

    def make(settings: Mapping[str, object] | None = None, cache_dir: Path | None = None) -> Context:
        network: Any = NoNetwork()
        return Context(
            name="directid",
            settings=settings or {},
            emit=told.append,
            fetch=_no_engine,
            http=network,
            cache_dir=cache_dir,
        )

    return make


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[..., Path]:
    """Write a user's table of the given rows, and return its path."""

    def write(*rows: Mapping[str, object], name: str = "mine.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"schema": "comfywatchman-known/1", "models": list(rows)}))
        return path

    return write
