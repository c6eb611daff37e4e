"""A Hub on this machine, and a back end that is pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk


@pytest.fixture(autouse=True)
def nobody_works_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as running:
        yield running


@pytest.fixture
def desk(hub: HubStandIn, tmp_path: Path) -> Desk:
    """The back end, pointed at the stand-in, with two trusted publishers."""
    return Desk(hub.url, tmp_path, {"publishers": ["Comfy-Org", "Kijai"]})
