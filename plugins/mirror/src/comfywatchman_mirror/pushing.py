"""Bring a file into a mirror: its bytes first, then its facts, then its name, each in one step.

Whoever is killed in between leaves something that nobody is led to, and that
the next push completes.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from attrs import frozen

from comfywatchman_core import BackendError, errors

from .gathering import LocalFile
from .layout import (
    LARGEST_DOCUMENT,
    MARKER,
    MOST_PLACES,
    NAMES,
    Facts,
    bytes_path,
    facts_path,
    is_marker,
    marker,
    name_path,
    now,
    read_facts,
)
from .publishing import ChangedFile
from .stores import CHUNK, Store

Cancelled = Callable[[], bool]

_READERS = 8


class State(enum.StrEnum):
    """What became of a file."""

    PUSHED = "pushed"
    PRESENT = "present"
    """The mirror had its bytes already."""


@frozen(kw_only=True)
class Pushed:
    """A file that the mirror has, and was asked to have."""

    facts: Facts
    state: State
    namesakes: int = 0
    """Other files that the mirror has under this name: it alone does not lead to one of them any more."""


def found(store: Store) -> bool:
    """Make a mirror of the place, if it is none yet; returns whether that was so.

    :raises BackendError: There is one of another layout.
    """
    is_new = store.create(MARKER, marker())
    document = store.read(MARKER, LARGEST_DOCUMENT)
    if document is None or not is_marker(document):
        raise BackendError(
            f"what is at {MARKER} is not of this layout",
            code=errors.ErrorCode.CONFLICT,
            hint="Use the version that made the mirror, or another place.",
        )
    return is_new


def push(store: Store, file: LocalFile, *, verify: bool, cancelled: Cancelled) -> Pushed:
    """Make *store* have *file* under its digest and its name. Does nothing that is done already.

    :param verify: Read the bytes back, also those that were there.
    :raises BackendError: ``checksum_mismatch``: the file is not what the plan states, or the store has other bytes;
        ``not_found``: it is not there; or whatever the store says.
    :raises Cancelled: The caller asked to stop.
    """
    sha256, size, state = _push_bytes(store, file, cancelled)
    if verify and (actual := sha256_in(store, sha256, cancelled)) != sha256:
        raise _corrupt(sha256, f"its bytes are {actual}")
    facts = _facts_of(file, sha256, size)
    if not store.create(facts_path(sha256), facts.document()):
        known = _facts_at(store, facts_path(sha256))
        if known is None or (known.sha256, known.size) != (sha256, size):
            raise _corrupt(sha256, "its facts are not those of its bytes")
    return Pushed(facts=facts, state=state, namesakes=_push_name(store, facts))


def _push_bytes(store: Store, file: LocalFile, cancelled: Cancelled) -> tuple[str, int, State]:
    """Returns digest and size of what the store has now."""
    stored = store.stat(bytes_path(file.sha256)) if file.sha256 else None
    if not file.path.is_file():
        if file.sha256 and stored is not None:
            return file.sha256, stored.size, State.PRESENT  # pushed from elsewhere
        raise BackendError(
            f"{file.label} is not at {file.path}",
            code=errors.ErrorCode.NOT_FOUND,
            hint="Get it first: `comfywatchman get --plan FILE --models-dir DIR`.",
        )
    size = file.path.stat().st_size
    if stored is not None and stored.size == size and file.sha256:
        return file.sha256, size, State.PRESENT
    sha256, md5 = _digests(file.path, cancelled, md5=store.keeps_objects)
    if file.sha256 not in (None, sha256):
        raise BackendError(
            f"{file.label}: the plan states {file.sha256}, and the file is {sha256}",
            code=errors.ErrorCode.CHECKSUM_MISMATCH,
            hint="Nothing was pushed. `comfywatchman verify --plan FILE` looks at all of them.",
        )
    try:
        is_new = store.create(bytes_path(sha256), file.path, sha256)
    except ChangedFile as error:
        raise BackendError(
            str(error), code=errors.ErrorCode.CHECKSUM_MISMATCH, hint="Nothing was pushed; run again."
        ) from error
    stored = store.stat(bytes_path(sha256))
    if stored is None or stored.size != size:
        raise _corrupt(sha256, f"it has {stored.size if stored else 'no'} bytes there, and {size} here")
    if stored.md5 and stored.md5 != md5:
        raise _corrupt(sha256, "the store states another MD5")
    return sha256, size, State.PUSHED if is_new else State.PRESENT


def _push_name(store: Store, facts: Facts) -> int:
    """Enter *facts* at the first free place of its name; returns how many others have that name.

    Two who push at once cannot both create one place: whoever comes second looks at it, and takes the next.
    """
    others: set[str] = set()
    for place in range(MOST_PLACES):
        path = name_path(facts.folder, facts.name, place)
        if not store.create(path, facts.document()):
            known = _facts_at(store, path)
            if known is None or known.sha256 != facts.sha256:
                others |= {known.sha256} if known is not None else set()
                continue
        return len(others)
    raise BackendError(
        f"{facts.label} is the name of {MOST_PLACES} files already",
        code=errors.ErrorCode.CONFLICT,
        hint="Its bytes are there, and found by digest. Prune what nobody needs.",
    )


def _facts_of(file: LocalFile, sha256: str, size: int) -> Facts:
    try:
        return Facts(
            sha256=sha256,
            size=size,
            folder=file.folder,
            name=file.name,
            backend=file.backend,
            reference=file.reference,
            url=file.url,
            pushed=now(),
        )
    except ValueError as error:
        raise BackendError(
            f"{file.label} cannot be entered: {error}",
            code=errors.ErrorCode.UNSAFE_NAME,
            hint="Correct what the plan says of it.",
        ) from error


def names_of(store: Store) -> Iterator[tuple[str, Facts | None]]:
    """Every entry of a name: its path, and what it says, where that can be read."""
    paths = [stored.path for stored in store.walk(NAMES) if stored.path.endswith(".json")]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="names") as pool:
        yield from zip(paths, pool.map(partial(_facts_at, store), paths), strict=True)


def sha256_in(store: Store, sha256: str, cancelled: Cancelled) -> str:
    """The digest of what the store holds as *sha256*. :raises BackendError: It cannot be read."""
    digest = hashlib.sha256()
    for piece in store.pieces(bytes_path(sha256), 0):
        if cancelled():
            raise errors.Cancelled("stopped while reading the mirror")
        digest.update(piece)
    return digest.hexdigest()


def _digests(path: Path, cancelled: Cancelled, *, md5: bool) -> tuple[str, str]:
    """SHA256 and, for stores that state one, MD5."""
    digests = [hashlib.sha256(), *([hashlib.md5(usedforsecurity=False)] if md5 else [])]
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            if cancelled():
                raise errors.Cancelled(f"stopped while hashing {path}")
            for digest in digests:
                digest.update(piece)
    return digests[0].hexdigest(), digests[-1].hexdigest()


def _facts_at(store: Store, path: str) -> Facts | None:
    document = store.read(path, LARGEST_DOCUMENT)
    return read_facts(document) if document is not None else None


def _corrupt(sha256: str, why: str) -> BackendError:
    return BackendError(
        f"the mirror's copy of {sha256} is not right: {why}",
        code=errors.ErrorCode.CHECKSUM_MISMATCH,
        hint="Run `comfywatchman-mirror check --remove`, then push again.",
    )
