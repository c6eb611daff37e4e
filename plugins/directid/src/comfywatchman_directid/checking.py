"""Compare a row with what its source says now."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from comfywatchman_core import BackendError, Candidate, Context, Match, ModelRequest, errors

from .rows import KnownModel
from .sources import CivitaiFile, HubFile, Source, WebFile, identify

Ask = Callable[[ModelRequest], Sequence[Candidate]]
"""Has a request answered by the back end of its source. Raises ``BackendError`` where that cannot be done."""


class State(enum.StrEnum):
    """What became of a file since its row was written."""

    SAME = "same"
    FILLED = "filled"
    """The source states a digest or size that the row did not have."""
    MOVED = "moved"
    """The same bytes, and the source gives itself another name."""
    CHANGED = "changed"
    """Other bytes are there now."""
    GONE = "gone"
    UNKNOWN = "unknown"
    """The source has the file and states no checksum of it."""
    UNASKED = "unasked"
    """The source could not be asked, or keeps the file to itself."""


@frozen(kw_only=True)
class Finding:
    """One row, compared."""

    row: KnownModel
    """As it stands in the table."""
    state: State
    message: str = ""
    fresh: KnownModel | None = None
    """As the source has it; ``None`` where there is nothing to write."""

    def for_row(self, row: KnownModel) -> Finding:
        """The same finding about the same file under another name."""
        fresh = self.fresh and evolve(self.fresh, name=row.name, folders=row.folders, seen_in=row.seen_in)
        return evolve(self, row=row, fresh=fresh)


def compare(row: KnownModel, ask: Ask, today: datetime.date) -> Finding:
    """Ask the source of *row* about the file, and say what is different."""
    request = ModelRequest(
        name=row.name,
        folder=row.folders[0] if row.folders else "",
        reference=_floating(row.source).reference,
        explicit=True,
    )
    try:
        offer = next((offer for offer in ask(request) if offer.match >= Match.SOURCE_ID), None)
    except BackendError as error:
        gone = error.code is errors.ErrorCode.NOT_FOUND
        return Finding(row=row, state=State.GONE if gone else State.UNASKED, message=str(error))
    if offer is None:
        return Finding(row=row, state=State.GONE, message="its source does not have it")
    return _judged(row, offer, today)


def _judged(row: KnownModel, offer: Candidate, today: datetime.date) -> Finding:
    source = merged(row.source, identify(offer.reference))
    if offer.obstacle is not None and offer.obstacle.code is errors.ErrorCode.NOT_FOUND:
        return Finding(row=row, state=State.GONE, message=offer.obstacle.message)
    if offer.sha256 is None:
        why = offer.obstacle.message if offer.obstacle else "its source states no SHA256"
        return Finding(row=row, state=State.UNASKED if offer.obstacle else State.UNKNOWN, message=why)
    fresh = evolve(row, source=source, sha256=offer.sha256, size=offer.size or row.size, checked=today.isoformat())
    if row.sha256 is not None and row.sha256 != offer.sha256:
        message = f"sha256 {row.sha256} is known, its source states {offer.sha256}"
        return Finding(row=row, state=State.CHANGED, message=message, fresh=fresh)
    if source.key != row.source.key:
        return Finding(row=row, state=State.MOVED, message=f"it is {source.reference} now", fresh=fresh)
    is_news = row.sha256 is None or (row.size is None and fresh.size is not None) or source != row.source
    return Finding(row=row, state=State.FILLED if is_news else State.SAME, fresh=fresh)


def merged(known: Source, stated: Source | None) -> Source:
    """Add to *known* what its source states of itself: a commit, ids, a repository's present name."""
    if isinstance(known, HubFile) and isinstance(stated, HubFile) and stated.path == known.path:
        commit = stated.pinned if stated.is_pinned and stated.pinned != known.revision else known.commit
        same_name = stated.repository.lower() == known.repository.lower()
        repository = known.repository if same_name else stated.repository
        return evolve(known, repository=repository, commit=commit)
    if isinstance(known, CivitaiFile) and isinstance(stated, CivitaiFile) and stated.version == known.version:
        return evolve(known, model=stated.model or known.model, file=stated.file or known.file)
    return known


def _floating(source: Source) -> Source:
    """The place where the file is looked for, not the state in which it was seen."""
    return evolve(source, commit="") if isinstance(source, HubFile) else source


def looking_at_addresses(ask: Ask, context: Context) -> Ask:
    """Extend *ask*: an address that is nobody's back end is looked at, before it counts as confirmed.

    :raises BackendError: By the returned function: the address does not answer, or answers with a page.
    """

    def asked(request: ModelRequest) -> Sequence[Candidate]:
        source = identify(request.reference)
        if not isinstance(source, WebFile):
            return ask(request)
        answer = context.http.request("HEAD", source.url, retries=1)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not 200 <= answer.status < 300:
            raise answer.error()
        if kind in ("text/html", "application/json"):
            raise BackendError(
                f"{source.url.partition('?')[0]} answers with {kind}, not with a file",
                code=errors.ErrorCode.NOT_A_MODEL,
                hint="Pass the address of the download itself.",
            )
        length = answer.headers.get("content-length", "")
        size = int(length) if length.isascii() and length.isdigit() and int(length) else None
        return (Candidate(match=Match.SOURCE_ID, url=source.url, size=size, name=source.name, reference=source.url),)

    return asked
