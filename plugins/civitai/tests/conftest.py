"""A Civitai on this machine, and a back end that is pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.civitai import CivitaiStandIn
from standins.civitai_desk import Desk


@pytest.fixture
def civitai() -> Iterator[CivitaiStandIn]:
    with CivitaiStandIn(keys=("good-key",)) as running:
        yield running


@pytest.fixture
def desk(civitai: CivitaiStandIn, tmp_path: Path) -> Desk:
    """The back end, pointed at the stand-in."""
    return Desk(civitai.url, tmp_path)
