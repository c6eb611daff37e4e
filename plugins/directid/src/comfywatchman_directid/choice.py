"""What a request is offered from the tables, and how surely.

A name is not an identity: files of one name differ, and one file has many
names. So a row is offered as *the* file only where nothing else could be
meant; else every row is offered as one possibility, and the core, which
compares digests, calls the name ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from comfywatchman_core import Candidate, Digest, Match, ModelRequest

from .generic import ends_with_path, is_generic
from .rows import KnownModel, folder_key, name_key, names_to_try
from .sources import HubFile, Source, identify
from .table import Table, is_for_folder

MOST_OFFERS = 50
"""Of one name. The packaged table has six at most."""


@frozen(kw_only=True)
class Tables:
    """The tables of one question, by whose word counts."""

    users: tuple[Table, ...] = ()
    """The user's own, in his order: what they say of a name is final."""
    packaged: Table
    learned: Table
    """Names that were seen on this machine: asked last, they may only add what nobody else knows."""

    @property
    def all(self) -> tuple[Table, ...]:
        return (*self.users, self.packaged, self.learned)


@frozen
class Found:
    """A row, and the table that it stands in."""

    row: KnownModel
    table: Table


def choose(request: ModelRequest, tables: Tables) -> tuple[Candidate, ...] | None:
    """Offer what the tables know of *request*, best first.

    :returns: ``None`` for a reference to a file that stands in no table: its own source answers for it.
    """
    if request.reference is not None and (source := identify(request.reference)) is not None:
        found = [one for one in _from_source(source, tables) if one.row.source.is_surely(source)]
        return _offers(request, _best_named(_fitting(request, found)), Match.SOURCE_ID) or None
    if request.sha256 and (found := _with_digest(request, request.sha256, tables)):
        return _offers(request, found, Match.DIGEST)
    if request.name is None:
        return None
    return _by_name(request, str(request.name), tables)


def _by_name(request: ModelRequest, name: str, tables: Tables) -> tuple[Candidate, ...]:
    address = identify(request.url)
    for table in tables.users:
        if found := _named(request, name, table):
            return _decide(request, found, _told(address, found, "your table is followed"))
    at_address = _fitting(request, _from_source(address, tables)) if address else []
    if same_name := [found for found in at_address if _has_name(found.row, name)]:
        return _offers(request, same_name, Match.SOURCE_ID)
    at_address = [found for found in at_address if address and found.row.source.is_surely(address)]
    for table in (tables.packaged, tables.learned):
        if not (found := _named(request, name, table)):
            continue
        if address is None:
            return _decide(request, found)
        if at_address:  # known to be another model's file: a slip in the workflow, not a choice
            other = at_address[0].row.name
            return _decide(request, found, (f"the workflow's own address leads to {other}, which is another model",))
        note = "the workflow itself gives another address"
        return _offers(request, found, Match.FUZZY, (note,))
    if at_address:
        return _offers(request, _best_named(at_address), Match.SOURCE_ID)
    return _elsewhere(request, name, tables)


def _named(request: ModelRequest, name: str, table: Table) -> list[Found]:
    for full_name in names_to_try(name):
        rows = [row for row in table.named(full_name) if not request.folder or is_for_folder(row, request.folder)]
        if is_generic(name_key(full_name)):
            rows = [row for row in rows if ends_with_path(_whole_path(row.source), full_name)]
        if found := _fitting(request, [Found(row, table) for row in rows]):
            return found
    return []


def _elsewhere(request: ModelRequest, name: str, tables: Tables) -> tuple[Candidate, ...]:
    """The name is known, but for other folders: reported, never taken unasked."""
    found: list[Found] = []
    for table in tables.all:
        for full_name in names_to_try(name):
            if not is_generic(name_key(full_name)):
                found += _fitting(request, [Found(row, table) for row in table.named(full_name)])
    if not found:
        return ()
    folders = sorted({folder for one in found for folder in one.row.folders})
    return _offers(
        request, found, Match.FUZZY, (f"known for {', '.join(folders)}, not for {folder_key(request.folder)}",)
    )


def _decide(request: ModelRequest, found: Sequence[Found], notes: tuple[str, ...] = ()) -> tuple[Candidate, ...]:
    """Offer rows that carry the name: surely, where they are one file; else each as a possibility."""
    if len(_identities(found)) == 1 and request.folder:
        return _offers(request, found, Match.SOURCE_ID, notes)
    if len(_identities(found)) > 1:
        mentioned = [hint for hint in map(identify, request.hints) if hint is not None]
        hinted = [one for one in found if any(one.row.source.accepts(hint) for hint in mentioned)]
        if len(_identities(hinted)) == 1:
            rest = [one for one in found if one not in hinted]
            return (
                *_offers(request, hinted, Match.FILENAME, (*notes, "the workflow's notes give this address")),
                *_offers(request, rest, Match.FUZZY, notes),
            )
    # A stated digest is worth more than an older place in the table: what arrives can be held to it.
    known_first = sorted(found, key=lambda one: one.row.sha256 is None)
    return _offers(request, known_first, Match.FILENAME, (*notes, *_doubt(found)))


def _doubt(found: Sequence[Found]) -> tuple[str, ...]:
    stated = {one.row.sha256 for one in found if one.row.sha256}
    if len(stated) > 1:
        return (f"{len(stated)} different files have this name",)
    if len(_identities(found)) > 1:
        return (f"{len(found)} sources have a file of this name; whether it is the same is not known",)
    return ()


def _offers(
    request: ModelRequest, found: Iterable[Found], match: Match, notes: tuple[str, ...] = ()
) -> tuple[Candidate, ...]:
    offers: dict[str, Candidate] = {}
    for one in found:
        offer = _offer(request, one, match if match is Match.DIGEST else min(match, one.row.match), notes)
        if len(offers) < MOST_OFFERS:
            offers.setdefault(offer.reference, offer)
    return tuple(sorted(offers.values(), key=lambda offer: -offer.match))


def _offer(request: ModelRequest, found: Found, match: Match, notes: tuple[str, ...]) -> Candidate:
    row, source = found.row, found.row.source
    if row.is_renamed:
        notes = (*notes, f"its source calls it {source.name}")
    if not found.table.curated:
        notes = (*notes, "it was downloaded on this machine before")
    folder = folder_key(request.folder)
    if not folder and len(row.folders) == 1:
        folder = folder_key(row.folders[0])
    return Candidate(
        match=match,
        url=source.url,
        size=row.size,
        digests=(Digest("sha256", row.sha256),) if row.sha256 else (),
        name=source.name or row.name,
        folder=folder,
        reference=source.reference,
        delegate=source.delegate,
        details={"table": found.table.label, "known_as": row.name},
        notes=notes,
        trusted=found.table.curated,
    )


def _with_digest(request: ModelRequest, sha256: str, tables: Tables) -> list[Found]:
    """Rows of the wanted bytes under any name: equal digests are the one honest kind of alias."""
    found = [Found(row, table) for table in tables.all for row in table.with_digest(sha256)]
    name, address = str(request.name or ""), identify(request.url)

    def strangeness(one: Found) -> tuple[bool, bool]:
        return (address is None or not one.row.source.accepts(address), not _has_name(one.row, name))

    return sorted(found, key=strangeness)


def _from_source(source: Source, tables: Tables) -> list[Found]:
    return [Found(row, table) for table in tables.all for row in table.from_source(source)]


def _best_named(found: Sequence[Found]) -> list[Found]:
    """One offer for an address: rather under the name that the source itself gives the file."""
    return sorted(found, key=lambda one: one.row.is_renamed)[:1]


def _fitting(request: ModelRequest, found: Sequence[Found]) -> list[Found]:
    """Leave out what the request's own digest or size says it is not."""
    return [
        one
        for one in found
        if not (request.sha256 and one.row.sha256 and request.sha256 != one.row.sha256)
        and not (request.size and one.row.size and request.size != one.row.size)
    ]


def _identities(found: Iterable[Found]) -> set[tuple[str, ...]]:
    return {one.row.identity for one in found}


def _has_name(row: KnownModel, name: str) -> bool:
    return any(name_key(full_name) == name_key(row.name) for full_name in names_to_try(name))


def _whole_path(source: Source) -> str:
    return f"{source.repository}/{source.path}" if isinstance(source, HubFile) else source.url


def _told(address: Source | None, found: Sequence[Found], what: str) -> tuple[str, ...]:
    if address is None or any(one.row.source.accepts(address) for one in found):
        return ()
    return (f"the workflow itself gives another address; {what}",)
