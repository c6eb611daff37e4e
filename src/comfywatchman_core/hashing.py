"""Hash many files at once, as fast as these cores or their disks can."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from pathlib import Path

from attrs import frozen

from .formats import defect
from .verify import sha256_of_file

_BLOCK_DEVICES = Path("/sys/dev/block")


@frozen(kw_only=True)
class Hashed:
    """A file that was read from its first byte to its last."""

    path: Path
    status: os.stat_result
    """From before it was read."""
    sha256: str = ""
    flaw: str = ""
    """Why nothing can load it, as a clause that continues "the file …"."""
    error: OSError | None = None
    """Why it could not be read; then nothing else is known."""
    seconds: float


def hash_files(
    files: Iterable[tuple[Path, os.stat_result]], cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Hashed]:
    """Read *files* and yield each when it is done, in no order.

    As many at a time as there are cores for this process; from a disk with moving heads one at a time, because
    it reads two files at once more slowly than one after the other. Memory: a quarter of a mebibyte for each file
    under way.

    :raises Cancelled: The caller asked to stop.
    """
    by_device: dict[int, list[tuple[Path, os.stat_result]]] = {}
    for path, status in files:
        by_device.setdefault(status.st_dev, []).append((path, status))
    with ExitStack() as pools:
        running = []
        for device, waiting in by_device.items():
            pool = ThreadPoolExecutor(1 if has_moving_heads(device) else cores(), thread_name_prefix="hash")
            pools.callback(pool.shutdown, cancel_futures=True)
            # The largest first: what is left at the end keeps all cores busy.
            for path, status in sorted(waiting, key=lambda one: -one[1].st_size):
                running.append(pool.submit(_hashed, path, status, cancelled))
        for done in as_completed(running):
            yield done.result()


def _hashed(path: Path, status: os.stat_result, cancelled: Callable[[], bool]) -> Hashed:
    started = time.perf_counter()
    try:
        flaw = defect(path) or ""
        sha256 = sha256_of_file(path, cancelled)
    except OSError as error:
        return Hashed(path=path, status=status, error=error, seconds=time.perf_counter() - started)
    return Hashed(path=path, status=status, sha256=sha256, flaw=flaw, seconds=time.perf_counter() - started)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_moving_heads(device: int, block_devices: Path = _BLOCK_DEVICES) -> bool:
    """Say whether the device of that number is a rotating disk of this very machine, as far as the system knows.

    Disks of virtual machines say that they rotate, whatever they are made of; only those with the names of
    real ones (``sda``) are believed.

    :param block_devices: Where Linux describes its disks (sysfs); partitions lie in the directory of their disk.
    """
    if not hasattr(os, "major"):
        return False
    place = Path(os.path.realpath(block_devices / f"{os.major(device)}:{os.minor(device)}"))
    if not place.name.startswith(("sd", "hd")):
        return False
    for disk in (place, place.parent):
        with suppress(OSError):
            return (disk / "queue" / "rotational").read_text().strip() == "1"
    return False
