"""How soon the command answers: `--help`, an import of the library, and `backends` with four plugins.

    python benchmarks/startup.py

Times are of the clock, since that is what somebody at a terminal waits for. What is compared takes turns, so that
other work on the machine falls on all of it; the smallest of many runs counts, and the median says how it varies.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path

ROUNDS = 40
HELP_TARGET = 1.5
"""Times the start of Python with argparse."""
IMPORT_TARGET = 15.0
"""Milliseconds over a bare start."""

COMMAND = Path(sysconfig.get_path("scripts"), "comfywatchman.exe" if os.name == "nt" else "comfywatchman")

FOUR = ("directid", "huggingface", "civitai", "shelf")


def _beyond_four() -> list[str]:
    """Arguments that leave out what else is installed: it is not even imported."""
    found = {point.name for point in entry_points(group="comfywatchman.backends")}
    if missing := set(FOUR) - found:
        sys.exit(f"not installed here: {', '.join(sorted(missing))}")
    return [word for name in sorted(found - set(FOUR)) for word in ("--disable", name)]


CASES: dict[str, list[str]] = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import argparse": [sys.executable, "-c", "import argparse"],
    "import comfywatchman_core": [sys.executable, "-c", "import comfywatchman_core"],
    "comfywatchman --version": [str(COMMAND), "--version"],
    "comfywatchman --help": [str(COMMAND), "--help"],
    "comfywatchman get --help": [str(COMMAND), "get", "--help"],
    "comfywatchman backends": [str(COMMAND), "backends", "--no-config", *_beyond_four()],
}


def measured(home: str) -> dict[str, list[float]]:
    """Milliseconds of every run of every case."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("COMFYWATCHMAN_", "PYTHON"))}
    environ |= {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for turn in range(ROUNDS + 2):
        for name, command in CASES.items():
            start = time.perf_counter()
            subprocess.run(command, env=environ, cwd=home, check=True, stdout=subprocess.DEVNULL)
            if turn > 1:  # the first ones read from the disk and write .pyc files
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def main() -> int:
    """Print what was measured; returns 1 where a target is missed."""
    with tempfile.TemporaryDirectory() as home:
        times = measured(home)
    best = {name: min(each) for name, each in times.items()}
    bare, argparse = best["python -c pass"], best["import argparse"]
    print(f"Python {sys.version.split()[0]}, best of {ROUNDS}")
    for name, each in times.items():
        print(f"  {name:28} {best[name]:7.1f} ms   median {statistics.median(each):7.1f} ms")
    ratio = best["comfywatchman --help"] / argparse
    over = best["import comfywatchman_core"] - bare
    print(f"--help: {ratio:.2f} times Python with argparse (target {HELP_TARGET})")
    print(f"import comfywatchman_core: {over:.1f} ms over bare Python (target under {IMPORT_TARGET:.0f})")
    print(f"backends: {best['comfywatchman backends'] - bare:.0f} ms over bare Python, with four plugins")
    return int(ratio > HELP_TARGET or over > IMPORT_TARGET)


if __name__ == "__main__":
    if not COMMAND.exists():
        sys.exit("pip install comfywatchman-core, in the environment of this interpreter")
    sys.exit(main())
