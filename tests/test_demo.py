"""The demonstration is run, so that it cannot rot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_demonstration_ends_well_and_the_second_run_asks_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "in the second: nobody" in done.stdout
    for name in ("huggingface", "civitai"):
        assert f", verified, {name}, " in done.stdout
