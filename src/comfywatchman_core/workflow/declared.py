"""What a workflow declares of its models (``properties.models``): believed for the file that is selected, only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from comfywatchman_core.folders import canonical_key
from comfywatchman_core.models import Digest
from comfywatchman_core.names import same_name_key

from .nodes import names_a_file

MOST = 2000
"""Entries that are looked at in one place; templates have a dozen at most."""
_LONGEST_URL = 4096
_LONGEST_NAME = 4096
_LONGEST_REASON = 200


@frozen(kw_only=True)
class Declaration:
    """One entry, as far as it can be believed."""

    name: str
    key: str
    """``name``, comparable."""
    folder: str
    """A folder key in today's spelling, known or not; empty for none."""
    url: str | None
    digests: tuple[Digest, ...]
    misread: str = ""
    """Why the checksum that stands there is none; empty where it is one, or none stands there."""


class Declared:
    """The entries of one place: a node with the instances around it, or the root of a workflow."""

    def __init__(self, entries: Iterable[Mapping[str, Any]] = ()) -> None:
        self._by_key: dict[str, Declaration] = {}
        self._by_base: dict[str, Declaration] = {}
        self._by_stem: dict[str, Declaration] = {}
        for entry in list(entries)[:MOST]:
            declaration = _read(entry)
            if declaration is not None:
                base = declaration.key.rpartition("/")[2]
                self._by_key.setdefault(declaration.key, declaration)
                self._by_base.setdefault(base, declaration)
                self._by_stem.setdefault(base.rpartition(".")[0], declaration)

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def names(self, text: str) -> bool:
        """Say whether *text* is the name of an entry, letter for letter but for case and slashes."""
        return bool(self._by_key) and len(text) <= _LONGEST_NAME and same_name_key(text) in self._by_key

    def match(self, name: str) -> Declaration | None:
        """Find the entry for the file that is selected as *name*; one for another file is stale and does not count.

        A name with a sub-folder and one without are the same file, and a name without a suffix is that of any.
        """
        if not self._by_key:
            return None
        key = same_name_key(name)
        base = key.rpartition("/")[2]
        found = self._by_key.get(key) or self._by_base.get(base)
        if found is not None and found.key != key and "/" in key and "/" in found.key:
            found = None  # two files of one name, told apart by their sub-folders
        if found is None and not names_a_file(name):
            found = self._by_stem.get(base)
        return found


def _read(entry: Mapping[str, Any]) -> Declaration | None:
    name, url, folder = entry.get("name"), entry.get("url"), entry.get("directory")
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return None
    digests, misread = _digests(entry)
    is_url = isinstance(url, str) and len(url) <= _LONGEST_URL and url.lower().startswith(("https://", "http://"))
    return Declaration(
        name=name,
        key=same_name_key(name),
        folder=canonical_key(folder) if isinstance(folder, str) else "",
        url=url if is_url else None,
        digests=digests,
        misread=misread,
    )


def _digests(entry: Mapping[str, Any]) -> tuple[tuple[Digest, ...], str]:
    value, algorithm = entry.get("hash"), entry.get("hash_type")
    if not isinstance(value, str) or not isinstance(algorithm, str) or not value.strip():
        return (), ""
    try:
        return (Digest(algorithm.replace("-", ""), value),), ""
    except ValueError as error:
        return (), str(error)[:_LONGEST_REASON]


def addresses_by_name(declarations: Sequence[Declaration], most: int) -> dict[str, list[str]]:
    """Collect the addresses of *declarations* by comparable name, at most *most* of each."""
    found: dict[str, list[str]] = {}
    for declaration in declarations:
        if declaration.url is not None:
            urls = found.setdefault(declaration.key, [])
            if declaration.url not in urls and len(urls) < most:
                urls.append(declaration.url)
    return found
