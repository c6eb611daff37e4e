"""How soon the command answers: `--help`, an import, `backends` with four plugins, and `get` of one small file.

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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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


CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import argparse": [sys.executable, "-c", "import argparse"],
    "import comfywatchman_core": [sys.executable, "-c", "import comfywatchman_core"],
    "comfywatchman --version": [str(COMMAND), "--version"],
    "comfywatchman --help": [str(COMMAND), "--help"],
    "comfywatchman get --help": [str(COMMAND), "get", "--help"],
    "comfywatchman backends": [str(COMMAND), "backends", "--no-config", *_beyond_four()],
}

SIZE = 1 << 16
HEADER = b'{"one":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (SIZE, SIZE)
MODEL = len(HEADER).to_bytes(8, "little") + HEADER + bytes(SIZE)
"""Small, so that what is measured is the command and not the transfer."""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def getting(home: Path) -> Iterator[tuple[list[str], Path]]:
    """The command that gets one small file from this machine, and where it puts it."""
    (home / "served").mkdir()
    (home / "served" / "ink.safetensors").write_bytes(MODEL)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(home / "served"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/ink.safetensors#sha256={sha256(MODEL).hexdigest()}"
        place = ("--models-dir", str(home / "models"), "--folder", "loras")
        yield (
            [str(COMMAND), "get", url, *place, "--no-config", "--no-plugins", "-q"],
            home / "models" / "loras" / "ink.safetensors",
        )
        server.shutdown()


def measured(home: str, get: list[str], got: Path) -> dict[str, list[float]]:
    """Milliseconds of every run of every case."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("COMFYWATCHMAN_", "PYTHON"))}
    environ |= {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
    cases = {**CASES, "get of 64 KiB": get, "get of what is there": get}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(ROUNDS + 2):
        for name, command in cases.items():
            if name == "get of 64 KiB":
                got.unlink(missing_ok=True)
            start = time.perf_counter()
            subprocess.run(command, env=environ, cwd=home, check=True, stdout=subprocess.DEVNULL)
            if turn > 1:  # the first ones read from the disk and write .pyc files
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def main() -> int:
    """Print what was measured; returns 1 where a target is missed."""
    with tempfile.TemporaryDirectory() as home, getting(Path(home)) as (get, got):
        times = measured(home, get, got)
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
    print(f"get of 64 KiB: {best['get of 64 KiB'] - bare:.0f} ms over bare Python, with no plugin")
    return int(ratio > HELP_TARGET or over > IMPORT_TARGET)


if __name__ == "__main__":
    if not COMMAND.exists():
        sys.exit("pip install comfywatchman-core, in the environment of this interpreter")
    sys.exit(main())
