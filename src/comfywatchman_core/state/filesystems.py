"""Whether the write-ahead log of SQLite works where a file lies."""

from __future__ import annotations

import os
from pathlib import Path

_SHARED = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "drvfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "orangefs", "smb3", "smbfs", "vboxsf", "virtiofs",
    }
)  # fmt: skip
"""File systems of several hosts, as Linux spells them: no memory is shared between those."""

_MOUNTS = Path("/proc/self/mountinfo")


def shares_memory(directory: Path, mounts: Path = _MOUNTS) -> bool:
    """Say whether all processes that use files in *directory* can share memory.

    The write-ahead log needs that ("All processes using a database must be on the same host computer",
    sqlite.org/wal.html), and SQLite itself cannot tell. Unknown file systems count as local.

    :param mounts: The kernel's table of mounts (proc(5)); where there is none, every place counts as local.
    """
    try:
        table = mounts.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return True
    place = os.path.realpath(directory)
    kinds: list[tuple[int, str]] = []
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[:1]
        if len(fields) > 4 and kind and _lies_below(place, _unescaped(fields[4])):
            kinds.append((len(fields[4]), kind[0]))
    # Of mounts at one place, the last one hides the others.
    nearest = max(reversed(kinds), key=lambda found: found[0], default=(0, ""))[1]
    return not (nearest in _SHARED or nearest.startswith("fuse."))


def _lies_below(place: str, point: str) -> bool:
    return point == "/" or place == point or place.startswith(point + "/")


def _unescaped(text: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text
