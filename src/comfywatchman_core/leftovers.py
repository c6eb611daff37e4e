"""What earlier runs left below a models folder: staging places nobody works in, and refused files."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from .claims import claim, is_claimed, notes_in
from .disk import as_disk_error
from .staging import QUARANTINED, SUFFIX, regular_file, staging_place

_OURS = frozenset({"part", "journal.json"})


class LeftoverKind(enum.StrEnum):
    """What a leftover is."""

    STAGING = "staging"
    """Bytes of an unfinished download; the next run goes on with them."""
    QUARANTINE = "quarantine"
    """Bytes that were refused."""


@frozen(kw_only=True)
class Leftover:
    """One thing that `clean` may remove."""

    path: Path
    kind: LeftoverKind
    size: int
    """Bytes that removing it frees."""
    busy: bool = False
    """A living process works on it: leave it alone."""


def leftovers(root: Path) -> Iterator[Leftover]:
    """List what lies below *root*, linked folders included; what cannot be read is passed over."""
    seen: set[tuple[int, int]] = set()
    for directory, folders, files in os.walk(root, followlinks=True):
        here = Path(directory)
        try:
            status = here.stat()
        except OSError:  # a run that is at work removes its own
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in sorted(files):
            if QUARANTINED.fullmatch(name) and (found := regular_file(here / name)):
                yield Leftover(path=here / name, kind=LeftoverKind.QUARANTINE, size=found.st_size)
        for name in sorted(folders):
            place = here / name
            with suppress(OSError):  # likewise
                if not _is_staging(place):
                    continue
                folders.remove(name)
                size = sum(_taken(path.lstat()) for path in place.rglob("*"))
                yield Leftover(path=place, kind=LeftoverKind.STAGING, size=size, busy=is_claimed(place))


def remove(leftover: Leftover) -> None:
    """Remove *leftover*, unless a process took it up since. :raises BackendError: It cannot be removed."""
    try:
        if leftover.kind is LeftoverKind.QUARANTINE:
            leftover.path.unlink(missing_ok=True)
        elif leftover.path.is_dir() and (owned := claim(leftover.path)) is not None:
            owned.give_up(keep=False)
    except OSError as error:
        raise as_disk_error(error, leftover.path) from error


def tidy(final: Path) -> None:
    """Remove what a process left that ended right after publishing *final*: a staging place without bytes of its own.

    Cheap enough to be called for each file that is present.
    """
    place = staging_place(final)
    with suppress(OSError):  # what cannot be removed is listed by `clean`
        if not _is_staging(place) or (owned := claim(place)) is None:
            return
        part = regular_file(place / "part")
        is_named = part is None or (final.exists() and os.path.samestat(part, final.stat()))
        owned.give_up(keep=not is_named)


def _is_staging(place: Path) -> bool:
    if not (place.name.startswith(".") and place.name.endswith(SUFFIX)) or place.is_symlink() or not place.is_dir():
        return False
    names = {path.name for path in place.iterdir()}
    return not names or bool(names & _OURS) or bool(notes_in(place))


def _taken(status: os.stat_result) -> int:
    """Bytes that a file takes on its disk, where the system says; a part with holes takes less than its length."""
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512
