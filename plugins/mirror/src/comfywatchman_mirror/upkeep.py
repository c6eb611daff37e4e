"""Look after a mirror: read again what it holds, and remove what nobody wants any more."""

from __future__ import annotations

import datetime
import enum
import random
import re
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from attrs import frozen

from .layout import BYTES, FACTS, INCOMING, LARGEST_DOCUMENT, Facts, bytes_path, facts_path, read_facts
from .pushing import Cancelled, names_of, sha256_in
from .stores import Store

_DIGEST = re.compile(r"[0-9a-f]{64}")
_GATHERED = re.compile(r"\.[0-9a-f]{12}$")
_ABANDONED = 86_400.0
"""Seconds after which what was gathered and not named belongs to nobody: a push of one file may take hours."""


class Condition(enum.StrEnum):
    """What a file of the mirror turned out to be."""

    OK = "ok"
    CORRUPT = "corrupt"
    """Its bytes are not those of its name."""
    LOST = "lost"
    """Its facts are there, and its bytes are not."""


@frozen(kw_only=True)
class Checked:
    """A file of the mirror that was read again."""

    sha256: str
    condition: Condition
    size: int = 0
    actual: str = ""
    """What the bytes are, where they are others."""


@frozen(kw_only=True)
class Unwanted:
    """Something that may be removed."""

    path: str
    why: str
    """``unplanned``, ``old`` or ``abandoned``."""
    size: int = 0
    sha256: str = ""


def check(store: Store, *, sample: int | None, jobs: int, cancelled: Cancelled) -> Iterator[Checked]:
    """Read files of the mirror and compare each with the digest that it is named by, several at a time.

    :param sample: As many, chosen at random; ``None`` for all.
    :raises BackendError: The store does not answer. :raises Cancelled: The caller asked to stop.
    """
    sizes = {stored.path.rpartition("/")[2]: stored.size for stored in store.walk(BYTES)}
    named = {stored.path.rpartition("/")[2].removesuffix(".json") for stored in store.walk(FACTS)}
    digests = sorted(one for one in sizes.keys() | named if _DIGEST.fullmatch(one))
    if sample is not None:
        digests = random.sample(digests, min(sample, len(digests)))

    def read(sha256: str) -> Checked:
        if sha256 not in sizes:
            return Checked(sha256=sha256, condition=Condition.LOST)
        actual = sha256_in(store, sha256, cancelled)
        if actual != sha256:
            return Checked(sha256=sha256, condition=Condition.CORRUPT, size=sizes[sha256], actual=actual)
        return Checked(sha256=sha256, condition=Condition.OK, size=sizes[sha256])

    with ThreadPoolExecutor(jobs, thread_name_prefix="check") as pool:
        yield from pool.map(read, digests)


def discard(store: Store, sha256: str) -> None:
    """Remove a file: its facts first, so that nobody is led to bytes that are not there."""
    store.remove(facts_path(sha256))
    store.remove(bytes_path(sha256))


def unwanted(
    store: Store, *, wanted: Collection[str] | None, labels: Collection[str], older_than: float | None, jobs: int
) -> Iterator[Unwanted]:
    """List what may go.

    :param wanted: SHA256 that plans name; ``None`` where no plan was given.
    :param labels: ``FOLDER/NAME`` that plans name without a digest; every file of such a name is kept.
    :param older_than: Seconds since the push; ``None`` for any age.
    """
    now = time.time()
    for stored in store.walk(INCOMING):
        if _GATHERED.search(stored.path) and stored.changed is not None and now - stored.changed > _ABANDONED:
            yield Unwanted(path=stored.path, why="abandoned", size=stored.size)
    kept = (
        {facts.sha256 for _, facts in names_of(store) if facts is not None and facts.label in labels} if labels else ()
    )
    files = [one for one in store.walk(BYTES) if _DIGEST.fullmatch(one.path.rpartition("/")[2])]
    with ThreadPoolExecutor(jobs, thread_name_prefix="prune") as pool:
        known = pool.map(partial(_facts, store), (one.path.rpartition("/")[2] for one in files))
        for stored, facts in zip(files, known, strict=True):
            sha256 = stored.path.rpartition("/")[2]
            if wanted is not None and (sha256 in wanted or sha256 in kept):
                continue
            pushed = _time_of(facts) or stored.changed
            if older_than is not None and (pushed is None or now - pushed < older_than):
                continue
            why = "unplanned" if wanted is not None else "old"
            yield Unwanted(path=stored.path, why=why, size=stored.size, sha256=sha256)


def remove(store: Store, found: Unwanted) -> None:
    """Remove it. Its names go with :func:`remove_names`."""
    if found.sha256:
        discard(store, found.sha256)
    else:
        store.remove(found.path)


def remove_names(store: Store, gone: Collection[str]) -> int:
    """Remove the names of files that are gone, as far as nothing stands behind them; returns how many.

    Readers look at the places of a name in order, up to the first that is empty: one in the middle stays, and
    leads nowhere.
    """
    entries: dict[str, list[tuple[int, str, Facts | None]]] = {}
    for path, facts in names_of(store):
        place, _, name = path.rpartition("/")
        with suppress(ValueError):
            entries.setdefault(place, []).append((int(name.removesuffix(".json")), path, facts))
    removed = 0
    for places in entries.values():
        for _, path, facts in sorted(places, reverse=True, key=lambda one: one[0]):
            if facts is not None and facts.sha256 not in gone:
                break
            store.remove(path)
            removed += 1
    return removed


def _facts(store: Store, sha256: str) -> Facts | None:
    document = store.read(facts_path(sha256), LARGEST_DOCUMENT)
    return read_facts(document) if document is not None else None


def _time_of(facts: Facts | None) -> float | None:
    with suppress(ValueError):
        if facts is not None:
            return datetime.datetime.fromisoformat(facts.pushed).timestamp()
    return None
