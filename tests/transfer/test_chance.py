"""Servers that do this and that at random, and files that change under one's hands."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from standins.faulty import Ending, Scene, faulty
from transfer.engines import Run

from comfywatchman_core.errors import BackendError, Cancelled
from comfywatchman_core.testing import safetensors
from comfywatchman_core.transfer import download, patience, ramp, supply


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several connections for small files, and no pauses."""
    monkeypatch.setattr(patience, "backoff", lambda *_, **__: 0.01)
    monkeypatch.setattr(ramp, "_WORTH_IT", 0.0)
    monkeypatch.setattr(ramp, "_SETTLE", 0.0)
    monkeypatch.setattr(ramp, "_GAIN", -1.0)
    monkeypatch.setattr(supply, "_SMALLEST_PART", 64 << 10)
    monkeypatch.setattr(download, "_TICK", 0.01)
    monkeypatch.setattr(download, "_SLOW_AMONG_OTHERS", 0.5)


def scene(chance: random.Random, size: int) -> Scene:
    pace = chance.choice([0, 1 << 20, 4 << 20])
    sends = chance.randrange(size)
    return chance.choice(
        [
            Scene(pace=pace),
            Scene(pace=pace, chunked=True),
            Scene(pace=pace, sends=sends, then=Ending.FIN),
            Scene(pace=pace, sends=sends, then=Ending.RST),
            Scene(sends=sends, then=Ending.SILENCE),
            Scene(sends=sends, then=Ending.FIN, chunked=True),
            Scene(pace=pace, ranges=False),
            Scene(pace=pace, honours_if_range=False),
            Scene(shift=chance.choice([-5, 7, 100])),
            Scene(status=chance.choice([403, 404, 416, 429, 503]), body=b"no"),
            Scene(instead=b"\n", then=Ending.FIN),
        ]
    )


@pytest.mark.parametrize("_", range(12))
def test_no_file_is_put_together_of_two(_: int, tmp_path: Path) -> None:
    """Without a digest that would tell: only what the server says of its bytes keeps them apart."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    older = safetensors(f"{seed}", chance.choice([50_000, 700_000, 1_500_000]))
    newer = safetensors(f"{seed}+", chance.choice([len(older) - 200, 400_000]))
    with faulty() as server:
        server.files["/m"] = older
        server.play("/m", *(scene(chance, len(older)) for _ in range(chance.randint(1, 8))), Scene(pace=2 << 20))
        settings = {"connections": chance.choice([1, 3, 6]), "timeout": 0.6, "max_retries": chance.choice([1, 4])}
        run = Run(server, tmp_path, settings=settings)
        candidate = run.candidate("/m", digest=False)
        for _ in range(5):
            until = time.monotonic() + chance.choice([0.1, 0.3, 60])
            run.cancelled = lambda until=until: time.monotonic() > until  # type: ignore[misc]
            try:
                run.fetch(candidate)
                break
            except (BackendError, Cancelled):
                assert not run.final.exists()
            server.files["/m"] = chance.choice([older, newer])

    assert not run.final.exists() or run.final.read_bytes() in (older, newer), f"with seed {seed}"
