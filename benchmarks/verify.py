"""How fast ``verify`` reads files, and how little it does when nothing changed.

    python benchmarks/verify.py [--gigabytes 10] [--files 10000] [--place DIR]

* reading: wall time of ``comfywatchman verify`` over large files with an empty memory, as a ratio to ``sha256sum``
  (and to ``openssl dgst``, which uses the processor's own SHA instructions where coreutils may not) over the same
  files, one process for each core. All of them read the files from the same state of the page cache: each file was
  read once right before. Less than 1 is faster.
* remembering: CPU seconds, user and system, of a whole second ``verify`` of many small files, the start of Python
  included.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from comfywatchman_core.testing import safetensors

_BLOCK = 64 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast verify reads, and how little it does when nothing changed.")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="bytes to read, in thousands of millions")
    parser.add_argument("--files", type=int, default=10_000, help="small files that do not change")
    parser.add_argument("--place", metavar="DIR", help="where the files are made, and removed afterwards")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verify-", dir=options.place) as place:
        reading(Path(place) / "large", options.gigabytes)
        shutil.rmtree(Path(place) / "large")
        return remembering(Path(place) / "small", options.files)


def reading(place: Path, gigabytes: float) -> None:
    """Compare the wall time of hashing large files."""
    files = large_files(place / "models" / "checkpoints", round(gigabytes * 1e9))
    total = sum(path.stat().st_size for path in files)
    cores = len(os.sched_getaffinity(0))
    print(f"reading {total / 1e9:.1f} GB in {len(files)} files on {cores} cores")
    for path in files:
        read(path)
    ours = seconds_of(verify(place), place / "state")
    print(f"  verify                  {ours:6.1f} s   {total / ours / 1e9:.2f} GB/s")
    for name, command in (("sha256sum", ["sha256sum"]), ("openssl", ["openssl", "dgst", "-sha256"])):
        if shutil.which(command[0]) is None:
            continue
        names = b"\0".join(map(os.fsencode, files))
        seconds = seconds_of(["xargs", "-0", "-n1", f"-P{cores}", *command], place, names)
        speed = total / seconds / 1e9
        print(f"  {name:<10} in parallel  {seconds:6.1f} s   {speed:.2f} GB/s   verify is {ours / seconds:.2f} of it")


def remembering(place: Path, count: int) -> int:
    """Measure a second verification; fails where it takes a second of CPU or more."""
    folder = place / "models" / "loras"
    folder.mkdir(parents=True)
    long_ago = time.time() - 1e6
    for number in range(count):
        path = folder / f"{number // 100:03}" / f"{number:06}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(safetensors(str(number), 512))
        os.utime(path, (long_ago, long_ago))
    print(f"verifying {count} small files twice")
    for turn in ("first", "second"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = seconds_of(verify(place), place / "state")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        print(f"  {turn:<7} {seconds:6.2f} s   {cpu:.2f} s of CPU")
    return int(cpu >= 1.0)


def large_files(folder: Path, total: int) -> list[Path]:
    """Make files of different sizes with *total* bytes together, as checkpoints, LoRAs and their like have."""
    folder.mkdir(parents=True)
    block = random.Random(1).randbytes(_BLOCK)
    files = []
    left, share = total, total // 3
    while left > 0:
        size = min(left, max(share, _BLOCK))
        path = folder / f"{len(files):02}.bin"
        with path.open("wb") as file:
            written = 0
            while written < size:
                shift = len(files) * 4099 % _BLOCK
                written += file.write(memoryview(block)[shift : shift + size - written])
        files.append(path)
        left, share = left - size, share * 3 // 4
    return files


def verify(place: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "comfywatchman_core", "verify", "--comfyui", str(place)),
        *("--offline", "--no-plugins", "--no-config", "--no-progress"),
    ]


def seconds_of(command: Sequence[str], state: Path, stdin: bytes = b"") -> float:
    environment = {**os.environ, "COMFYWATCHMAN_STATE_DIR": str(state)}
    started = time.perf_counter()
    subprocess.run(command, input=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def read(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(_BLOCK):
            pass


if __name__ == "__main__":
    sys.exit(main())
