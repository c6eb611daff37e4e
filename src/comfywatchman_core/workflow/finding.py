"""Find the files in a directory that may carry a workflow, and read as many as there are."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from comfywatchman_core.containers import SUFFIXES
from comfywatchman_core.errors import Cancelled, WorkflowError

from .loaders import LoaderTable
from .reading import Workflow, read_workflow

_READERS = 8
_AHEAD = 64
"""Files that may be read before the first of them is asked for."""


def find_workflows(directory: Path) -> Iterator[Path]:
    """Walk *directory*, sorted, and yield every file of a kind that may carry a workflow.

    Links are followed, ``.git`` is skipped, and a directory is entered once
    however many links lead to it. Pipes and devices are not waited for. Model files are left out: what ComfyUI
    merged a checkpoint from is not what its owner wants fetched. Pass such a
    file itself to have it read.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [str(directory)]
    while waiting:
        current = waiting.pop()
        try:
            status = os.stat(current)
            if status.st_ino and (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        below = []
        for entry in entries:
            if _is_directory(entry):
                if entry.name != ".git":
                    below.append(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and _is_readable(entry):
                yield Path(entry.path)
        waiting += reversed(below)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_readable(entry: os.DirEntry[str]) -> bool:
    """Say whether reading *entry* ends; so it does for a link that leads nowhere, which is told of then."""
    try:
        return entry.is_file() or entry.is_symlink()
    except OSError:
        return True


def read_workflows(
    paths: Iterable[Path],
    *,
    loaders: LoaderTable | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Path, Workflow | WorkflowError]]:
    """Read many files, and give back each with what came of it, in their order; none stops the others.

    Several are read at a time: a disk of this machine gains nothing by it, a share on the network answers
    eight questions in the time of one.

    :raises Cancelled: The caller asked to stop.
    """

    def read(path: Path) -> Workflow | WorkflowError:
        try:
            return read_workflow(path, loaders=loaders)
        except WorkflowError as error:
            return error

    with ThreadPoolExecutor(_READERS, thread_name_prefix="scan") as pool:
        waiting: deque[tuple[Path, Future[Workflow | WorkflowError]]] = deque()
        try:
            for path in paths:
                waiting.append((path, pool.submit(read, path)))
                if len(waiting) >= _AHEAD:
                    yield _next(waiting, cancelled)
            while waiting:
                yield _next(waiting, cancelled)
        finally:
            for _, future in waiting:
                future.cancel()


def _next(
    waiting: deque[tuple[Path, Future[Workflow | WorkflowError]]], cancelled: Callable[[], bool]
) -> tuple[Path, Workflow | WorkflowError]:
    if cancelled():
        raise Cancelled("stopped while reading workflows")
    path, future = waiting.popleft()
    return path, future.result()
