"""Addresses that the notes of a workflow give for files: hints for whoever looks for them, nothing more."""

from __future__ import annotations

from collections.abc import Iterable

from comfywatchman_core.names import same_name_key

from .nodes import names_a_file
from .prose import links

MOST_HINTS = 8
"""Addresses that are kept for one file."""
_LONGEST_URL = 4096


class Notes:
    """The addresses in all notes of one workflow, by the name of the file that each is for."""

    def __init__(self, notes: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for text in notes:
            for key, address in links(text):
                if len(address) <= _LONGEST_URL:
                    _keep(self._by_name.setdefault(key, []), address)
                    _keep(self._by_stem.setdefault(key.rpartition(".")[0], []), address)

    def hints(self, name: str) -> tuple[str, ...]:
        """The addresses for the file *name*, whatever folder it is in; for a name without suffix, of any suffix."""
        if not self._by_name:
            return ()
        key = same_name_key(name).rpartition("/")[2]
        found = self._by_name.get(key)
        if found is None and not names_a_file(name):
            found = self._by_stem.get(key)
        return tuple(found or ())


def _keep(known: list[str], address: str) -> None:
    if address not in known and len(known) < MOST_HINTS:
        known.append(address)
