"""``--explain``: who was asked about a file, in which order, what each said, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from comfywatchman_core.errors import ErrorCode
from comfywatchman_core.models import Attempt
from comfywatchman_core.report import Entry, Status

from .sentences import said

_STEPS = {"resolve_model": "searched", "download_artifact": "fetched", "verify_artifact": "checked"}


def explained(entry: Entry, in_use: Sequence[str]) -> Iterator[str]:
    """The lines that explain what became of *entry*.

    :param in_use: Every back end that could be asked, in order.
    """
    if not entry.attempts:
        if entry.status in (Status.PRESENT, Status.ELSEWHERE):
            yield "nobody was asked: it is there"
        return
    widest = max(len(one.backend) for one in entry.attempts)
    for hook, step in _STEPS.items():
        attempts = [one for one in entry.attempts if one.hook == hook]
        for place, one in enumerate(attempts, start=1):
            head = step if place == 1 else ""
            told = "confirms that offer" if _confirms(one, entry) else said(one)
            yield f"{head:<9} {place:>2}. {one.backend:<{widest}} {one.seconds:>7.2f} s  {told}"
        if hook == "resolve_model":
            yield from _conclusions(entry, attempts, in_use)


def _confirms(attempt: Attempt, entry: Entry) -> bool:
    """Tell a source that was asked about another's offer from one that made an offer of its own."""
    taken, searched = entry.candidate, attempt.hook == "resolve_model"
    return searched and taken is not None and bool(attempt.offers) and attempt.backend == taken.backend != entry.backend


def _conclusions(entry: Entry, asked: Sequence[Attempt], in_use: Sequence[str]) -> Iterator[str]:
    """Whose offer was taken, why others were not, and who was not asked."""
    indent = " " * 14
    if entry.candidate is not None and entry.backend:
        yield f"{indent}taken: the offer of {entry.backend}, because {_REASONS[entry.candidate.match.label]}"
    for offer in entry.candidates[:5]:
        why = "; ".join((*offer.notes[-1:], *((offer.obstacle.message,) if offer.obstacle else ())))
        if entry.error is not None and entry.error.code is ErrorCode.AMBIGUOUS:
            why = "another offer has this name, and other bytes"
        yield f"{indent}not taken: {offer.reference or offer.name or offer.backend}{f' ({why})' if why else ''}"
    spared = [name for name in in_use if name not in {one.backend for one in asked}]
    if spared and entry.candidate is not None:
        yield f"{indent}not asked: {', '.join(spared)}; the offer was sure enough"


_REASONS = {
    "digest": "its published checksum is the one asked for",
    "source-id": "the address, id or table entry names just this file",
    "filename": "its file has exactly this name",
    "fuzzy": "it comes near, and --min-match fuzzy allows that",
}
