"""The Hub's chunk store (Xet) against plain HTTP, over loopback, for one file.

    python benchmarks/hub_chunks.py [--megabytes 64] [--rounds 2]

Both ends are on one machine, so this is what the two ways cost in work, not what a network gives. Prints the best of
several rounds, the Hub's own client beside ours.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from comfywatchman_huggingface.backend import HuggingFaceBackend
from standins.hub import HubStandIn

from comfywatchman_core import Config, Watchman
from comfywatchman_core.testing import safetensors

REPO, PATH = "Comfy-Org/large", "vae/large.safetensors"
URL = f"https://huggingface.co/{REPO}/resolve/main/{PATH}"


def main() -> int:
    parser = argparse.ArgumentParser(description="The Hub's chunk store against plain HTTP, over loopback.")
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    data = safetensors("large", arguments.megabytes * 1_000_000)
    with HubStandIn() as hub:
        hub.add_repo(REPO, {PATH: data}, scenario="xet")
        os.environ["HF_ENDPOINT"] = hub.url
        ways: dict[str, Callable[[Path], None]] = {
            "http, 8 connections": lambda place: ours(place, "http", 8),
            "http, 1 connection": lambda place: ours(place, "http", 1),
            "xet": lambda place: ours(place, "xet", 8),
            "huggingface_hub, http": lambda place: theirs(hub, place, xet=False),
            "huggingface_hub, xet": lambda place: theirs(hub, place, xet=True),
        }
        for name, way in ways.items():
            best = min(timed(way) for _ in range(arguments.rounds))
            print(f"{name:24} {best:6.2f} s  {len(data) / best / 1e6:7.0f} MB/s")
    return 0


def timed(way: Callable[[Path], None]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        way(Path(folder))
        return time.perf_counter() - started


def ours(place: Path, engine: str, connections: int) -> None:
    """Fetch, verify and place the file as `comfywatchman get` does."""
    config = configured(place, engine, connections)
    with Watchman(config, backends={"huggingface": HuggingFaceBackend()}) as watchman:
        report = watchman.ensure_models(URL)
    report.raise_if_failed()


def configured(place: Path, engine: str, connections: int) -> Config:
    """Settings as a user would write them."""
    file = place / "config.toml"
    file.write_text(
        f'models_dir = "{place / "models"}"\n[download]\nconnections = {connections}\nlink = "never"\n'
        f'[backends.huggingface]\nengine = "{engine}"\n'
    )
    return Config.load(file=file, environ={"COMFYWATCHMAN_STATE_DIR": str(place / "state")})


def theirs(hub: HubStandIn, place: Path, *, xet: bool) -> None:
    """Fetch the file with the Hub's own client, in a process of its own as its switches are read at import."""
    call = f"hf_hub_download({REPO!r}, {PATH!r}, local_dir={str(place)!r}, token=False)"
    code = f"from huggingface_hub import hf_hub_download; {call}"
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(place / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
