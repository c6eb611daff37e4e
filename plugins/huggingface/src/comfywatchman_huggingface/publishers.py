"""Which files the trusted publishers have: their repositories listed once a day, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from comfywatchman_core import BackendError

from .facts import hex_digits
from .filenames import has_model_suffix, key_of, keys_of
from .hub import Hub
from .references import HubFile, checked
from .run import Place

_SCHEMA = "comfywatchman-huggingface/publisher/1"
_PAGE = 500
_FILE_BYTES = 256 << 20


@frozen(kw_only=True)
class Listing:
    """One publisher's repositories, as listed at some time."""

    listed: float
    """Seconds since 1970."""
    places: tuple[Place, ...]


class PublisherIndex:
    """The model files of all publishers, by name.

    :param folder: Where lists are kept; ``None`` keeps none.
    :param now: Seconds since 1970.
    """

    def __init__(self, hub: Hub, folder: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._hub = hub
        self._folder = folder
        self._now = now

    def find(self, name: str) -> tuple[Place, ...]:
        """Where publishers have a file called *name*, in their order; the first call of a run may list them.

        A name without a suffix (embeddings) finds files of that stem.

        :raises BackendError: A publisher could not be listed, and no earlier list is there.
        """
        run = self._hub.asker.run
        with run.lock:
            if run.index is None:
                run.index = self._read_all()
            return tuple(place for key in keys_of(name) for place in run.index.get(key, ()))

    def variants(self, belongs: Callable[[str], bool]) -> list[Place]:
        """Files of publishers whose name *belongs*; no request is made."""
        index = self._hub.asker.run.index or {}
        return [places[0] for key, places in sorted(index.items()) if belongs(key)]

    def _read_all(self) -> dict[str, tuple[Place, ...]]:
        by_name: dict[str, list[Place]] = defaultdict(list)
        for rank, publisher in enumerate(self._hub.settings.publishers):
            for place in self._listing(publisher, rank).places:
                by_name[key_of(place.path)].append(place)
        return {key: tuple(places) for key, places in by_name.items()}

    def _listing(self, publisher: str, rank: int) -> Listing:
        kept = self._load(publisher, rank)
        lifetime = self._hub.settings.index_hours * 3600
        if kept is not None and 0 <= self._now() - kept.listed < lifetime:
            return kept
        try:
            found = Listing(listed=self._now(), places=tuple(self._list(publisher, rank)))
        except BackendError as error:
            if kept is None:
                raise
            self._hub.asker.warn(f"The list of {publisher}'s files is not fresh: {error}.")
            return kept
        self._save(publisher, found)
        return found

    def _list(self, publisher: str, rank: int) -> Iterable[Place]:
        for entry in self._hub.models(author=publisher, limit=_PAGE):
            # A mirror that does not know `author` lists everybody; only the publisher's own count as trusted.
            if str(entry.get("id", "")).partition("/")[0].casefold() == publisher.casefold():
                yield from places_of(entry, rank)

    def _path(self, publisher: str) -> Path | None:
        if self._folder is None:
            return None
        key = hashlib.sha256(f"{self._hub.settings.endpoint} {publisher.casefold()}".encode()).hexdigest()[:32]
        return self._folder / "publishers" / f"{key}.json"

    def _load(self, publisher: str, rank: int) -> Listing | None:
        path = self._path(publisher)
        if path is None:
            return None
        try:
            if path.stat().st_size > _FILE_BYTES:
                return None
            kept = json.loads(path.read_bytes())
            if kept["schema"] != _SCHEMA or kept["publisher"] != publisher:
                return None
            places = [place for entry in kept["repositories"] for place in places_of(entry, rank)]
            return Listing(listed=float(kept["listed"]), places=tuple(places))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None  # whatever it is, it can be asked for again

    def _save(self, publisher: str, listing: Listing) -> None:
        path = self._path(publisher)
        if path is None:
            return
        repositories: dict[str, dict[str, Any]] = {}
        for place in listing.places:
            entry = repositories.setdefault(
                place.repo,
                {
                    "id": place.repo,
                    "sha": place.commit,
                    "gated": place.gated,
                    "downloads": place.downloads,
                    "siblings": [],
                },
            )
            entry["siblings"].append({"rfilename": place.path})
        text = json.dumps(
            {
                "schema": _SCHEMA,
                "endpoint": self._hub.settings.endpoint,
                "publisher": publisher,
                "listed": listing.listed,
                "repositories": list(repositories.values()),
            }
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = path.with_name(f"{path.name}.{os.getpid()}")
            # Names of private repositories may be in it.
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(new, path)
        except OSError as error:
            self._hub.asker.warn(f"The list of {publisher}'s files cannot be kept: {error.strerror}.")


def places_of(entry: Mapping[str, Any], rank: int | None = None) -> Iterable[Place]:
    """The model files of one repository of a list; nothing where the entry is not what the Hub sends."""
    repo, siblings = entry.get("id"), entry.get("siblings")
    if not isinstance(repo, str) or not isinstance(siblings, list):
        return
    downloads = entry.get("downloads")
    for sibling in siblings:
        path = sibling.get("rfilename") if isinstance(sibling, Mapping) else None
        if isinstance(path, str) and has_model_suffix(path) and checked(HubFile(repo=repo, path=path)):
            yield Place(
                repo=repo,
                path=path,
                commit=hex_digits(entry.get("sha"), 40),
                gated=bool(entry.get("gated")),
                downloads=downloads if isinstance(downloads, int) else 0,
                rank=rank,
            )
