"""One table of known models, found by name, by source and by digest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from .rows import KnownModel, folder_key, name_key
from .sources import Source


class Table:
    """Rows in their order, with the three ways to find them.

    :param label: What messages call it: a file's path, or ``packaged``.
    :param curated: Its rows were looked over by a person, so that pickle formats may be taken from them.
    """

    def __init__(self, rows: Iterable[KnownModel] = (), *, label: str, version: str = "", curated: bool = True) -> None:
        self.rows = tuple(rows)
        self.label = label
        self.version = version
        self.curated = curated

    def named(self, name: str) -> tuple[KnownModel, ...]:
        """Rows of exactly this file name, whatever their folder; letter case does not count."""
        return tuple(self._by_name.get(name_key(name), ()))

    def from_source(self, source: Source) -> tuple[KnownModel, ...]:
        """Rows whose file *source* names."""
        return tuple(row for row in self._by_source.get(source.key, ()) if row.source.accepts(source))

    def with_digest(self, sha256: str) -> tuple[KnownModel, ...]:
        """Rows of exactly these bytes."""
        return tuple(self._by_digest.get(sha256, ()))

    # An index is built when it is first asked: a run without digests or addresses does not pay for them.
    @cached_property
    def _by_name(self) -> dict[str, list[KnownModel]]:
        index: dict[str, list[KnownModel]] = {}
        for row in self.rows:
            index.setdefault(name_key(row.name), []).append(row)
        return index

    @cached_property
    def _by_source(self) -> dict[tuple[str, ...], list[KnownModel]]:
        index: dict[tuple[str, ...], list[KnownModel]] = {}
        for row in self.rows:
            index.setdefault(row.source.key, []).append(row)
        return index

    @cached_property
    def _by_digest(self) -> dict[str, list[KnownModel]]:
        index: dict[str, list[KnownModel]] = {}
        for row in self.rows:
            if row.sha256:
                index.setdefault(row.sha256, []).append(row)
        return index


def is_for_folder(row: KnownModel, folder: str) -> bool:
    """Say whether *row* is known for the folder key *folder*; a row that names none is for any."""
    return not row.folders or folder_key(folder) in map(folder_key, row.folders)
