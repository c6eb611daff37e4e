"""Find the files in a directory that may carry a workflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from comfywatchman_core.containers import SUFFIXES


def find_workflows(directory: Path) -> Iterator[Path]:
    """Walk *directory*, sorted, and yield every file of a kind that may carry a workflow.

    Links are followed, ``.git`` is skipped, and a directory is entered once
    however many links lead to it. Model files are left out: what ComfyUI
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
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                yield Path(entry.path)
        waiting += reversed(below)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
