"""Find files in a mirror by what is known of them, without believing what it says of others."""

from __future__ import annotations

from collections.abc import Callable

from comfywatchman_core import BackendError, errors

from .layout import MARKER, MOST_PLACES, Facts, facts_path, is_marker, name_path, read_facts

Read = Callable[[str], bytes | None]
"""Reads the small document at a path of the mirror; ``None`` where there is none."""


def expect_mirror(read: Read, url: str) -> None:
    """:raises BackendError: There is no mirror at *url*: it is not mounted, or mistaken."""
    document = read(MARKER)
    if document is None or not is_marker(document):
        raise BackendError(
            f"there is no mirror at {url}",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="See whether it is mounted and the address right; `comfywatchman-mirror push` makes one.",
        )


def by_digest(read: Read, sha256: str) -> Facts | None:
    """The file of that digest; ``None`` where the mirror has none, or says nothing that can be used."""
    document = read(facts_path(sha256))
    facts = read_facts(document) if document is not None else None
    return facts if facts is not None and facts.sha256 == sha256 else None


def by_name(read: Read, folder: str, name: str) -> list[Facts]:
    """Every file that has that name; several are for the caller to decide on.

    One read more than there are files: the places of a name are filled in order.
    """
    found: dict[str, Facts] = {}
    for place in range(MOST_PLACES):
        document = read(name_path(folder, name, place))
        if document is None:
            break
        facts = read_facts(document)
        if facts is not None and (facts.folder, facts.name) == (folder, name):
            found.setdefault(facts.sha256, facts)
    # What was pruned may have left its name behind.
    return [facts for facts in found.values() if by_digest(read, facts.sha256) is not None]
