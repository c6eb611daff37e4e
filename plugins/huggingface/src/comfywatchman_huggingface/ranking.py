"""Turn confirmed files into offers: grouped by their bytes, scored, and the surest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from comfywatchman_core import Candidate, Digest, Match, ModelRequest

from .confirming import Found, agreement
from .filenames import is_pickle
from .folders import Fit, fit_of, folder_of
from .settings import Settings

ENOUGH = 0.9
"""Score from which a file is taken by its name alone."""


@frozen(kw_only=True)
class Scored:
    """A confirmed file and how sure it is that it is the one wanted."""

    found: Found
    match: Match
    score: float
    """0 to 1."""
    notes: tuple[str, ...] = ()


def offer(scored: Scored, settings: Settings) -> Candidate:
    """Write *scored* down as the core wants it."""
    file, facts = scored.found.file, scored.found.facts
    digests = []
    if facts.sha256:
        digests.append(Digest("sha256", facts.sha256))
    elif facts.git_sha1:
        digests.append(Digest("git-sha1", facts.git_sha1))
    notes = list(scored.notes)
    if is_pickle(file.path):
        notes.append("A pickle: loading it can run code.")
    if not file.is_pinned:
        notes.append("The endpoint does not tell which commit this is; the file may change before it is fetched.")
    return Candidate(
        match=scored.match,
        url=file.url(settings.endpoint),
        size=facts.size,
        digests=tuple(digests),
        name=file.name,
        folder=folder_of(file.path),
        reference=file.reference,
        endpoint=settings.endpoint,
        details={
            "kind": file.kind,
            "repo": file.repo,
            "path": file.path,
            "commit": file.revision or "",
            "score": f"{scored.score:.2f}",
            **({"xet": "1"} if facts.chunked else {}),
        },
        notes=tuple(notes),
        obstacle=scored.found.obstacle,
    )


def offers(scored: Iterable[Scored], settings: Settings) -> list[Candidate]:
    """:func:`offer`, for several."""
    return [offer(one, settings) for one in scored]


def by_digest(found: Sequence[Found], wanted: Sequence[Digest]) -> list[Scored]:
    """Keep the files whose published digest is the wanted one: wherever they are, they are the same bytes."""
    agreeing = [one for one in found if agreement(wanted, one.facts)]
    return _sorted(Scored(found=one, match=Match.DIGEST, score=1.0) for one in agreeing)


def by_name(found: Sequence[Found], request: ModelRequest) -> list[Scored]:
    """Score files of exactly the wanted name.

    Files of trusted publishers are taken by name; where two of them differ, all are offered at the same match,
    and the core reports the name as ambiguous. Whatever else has the same bytes is as good as they are. A file
    that only strangers have is offered, never taken unasked.
    """
    scored: list[Scored] = []
    trusted = [one for one in found if _is_trusted(one, request)]
    bytes_of_trusted = {one.facts.sha256 for one in trusted if one.facts.sha256}
    strangers = {one.facts.sha256 for one in found if one.place.rank is None}
    repositories = {one.file.repo for one in found if one.place.rank is None}
    for one in found:
        notes: tuple[str, ...] = ()
        if one in trusted or (one.facts.sha256 in bytes_of_trusted and one.facts.sha256):
            score = ENOUGH if len(bytes_of_trusted) <= 1 else 0.5
            match = Match.FILENAME
            if len(bytes_of_trusted) > 1:
                notes = ("Trusted publishers have different files under this name.",)
        else:
            match = Match.FUZZY
            if one.place.rank is not None:
                score, notes = ENOUGH, ()
            elif one.place.by_card:
                score, notes = 0.4, ("Found through the text of a model card only.",)
            elif len(strangers) > 1:
                score, notes = 0.5, ("Repositories of unknown owners have different files under this name.",)
            elif len(repositories) > 1:
                score, notes = 0.85, ("Only repositories of unknown owners have it; all have the same bytes.",)
            else:
                score, notes = 0.6, ("Only a repository of an unknown owner has it.",)
        if fit_of(one.file.path, request.folder) is Fit.CONTRADICTS:
            score -= 0.3
            there = folder_of(one.file.path)
            notes = (*notes, f"It lies among {there} there, and the workflow loads it from {request.folder}.")
        if is_pickle(one.file.path):
            score -= 0.1
        scored.append(Scored(found=one, match=match, score=max(0.0, score), notes=notes))
    return _sorted(scored)


def _is_trusted(one: Found, request: ModelRequest) -> bool:
    return one.place.rank is not None and fit_of(one.file.path, request.folder) is not Fit.CONTRADICTS


def _sorted(scored: Iterable[Scored]) -> list[Scored]:
    """The surest first; of equal ones what may be had, then the publishers' order, then what is used most."""
    return sorted(
        scored,
        key=lambda one: (
            -one.match,
            one.found.obstacle is not None,
            -round(one.score, 3),
            one.found.place.rank if one.found.place.rank is not None else 1 << 20,
            -one.found.place.downloads,
            one.found.file.repo,
            one.found.file.path,
        ),
    )


def raised(scored: Sequence[Scored], match: Match, score: float, note: str = "") -> list[Scored]:
    """The same files at another match, each with one more note."""
    notes = (note,) if note else ()
    return [evolve(one, match=match, score=score, notes=(*one.notes, *notes)) for one in scored]
