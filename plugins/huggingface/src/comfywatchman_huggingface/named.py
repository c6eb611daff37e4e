"""Find a file by its name alone: among the trusted publishers, then in repositories named like it, then in cards."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from attrs import evolve

from comfywatchman_core import BackendError, Candidate, Digest, Match, ModelRequest, errors

from . import searching
from .confirming import Found, agreement, confirm
from .facts import FileFacts
from .filenames import family_of, is_generic, key_of, suffix_of
from .folders import HEADER_BYTES, canonical, fit_of, folder_of_tensors
from .hub import Hub
from .publishers import PublisherIndex
from .ranking import Scored, by_digest, by_name, offers, raised
from .references import HubFile
from .run import Place

logger = logging.getLogger(__name__)

_SUGGESTIONS = 3


class Names:
    """Answers requests by file name.

    :param index: What the trusted publishers have.
    """

    def __init__(self, hub: Hub, index: PublisherIndex) -> None:
        self._hub = hub
        self._index = index

    def find(self, request: ModelRequest, name: str) -> list[Candidate]:
        """Offer files called *name*; with a digest in *request*, only those that have it.

        :raises BackendError: The Hub could not be asked, or the name alone says nothing.
        """
        if not name:
            return []
        generic = is_generic(name)
        depth = len(request.name.parts) if request.name else 1
        if generic and depth < 2 and not request.digests:
            raise BackendError(
                f"{name} is the name of many different models",
                code=errors.ErrorCode.AMBIGUOUS,
                hint="Give the file's address, its checksum, or an hf: reference.",
            )
        places = self._sorted(self._index.find(name), request)
        if generic and not request.digests:
            places = _below_the_same_folders(places, request)
        found = confirm(self._hub, places, request.digests)
        scored = self._judge(found, request)
        if self._hub.settings.search and not generic and not _can_be_had(scored):
            known = {(place.repo, place.path) for place in places}
            more = [one for one in searching.by_repository_name(self._hub, name) if (one.repo, one.path) not in known]
            found += confirm(self._hub, self._sorted(more, request), request.digests)
            scored = self._judge(found, request)
        if not scored and self._hub.settings.card_search and not generic:
            found += confirm(self._hub, self._sorted(searching.by_card(self._hub, name), request), request.digests)
            scored = self._judge(found, request)
        return offers(scored, self._hub.settings) or ([] if generic else self._suggestions(name))

    def mirrors(self, found: Found, request: ModelRequest, name: str = "") -> list[Candidate]:
        """Where the same bytes may be had, if *found* may not.

        A search for them that cannot be made finds none: what is to be told is the gate, not this.
        """
        if found.obstacle is None or found.obstacle.code is not errors.ErrorCode.GATED or not found.facts.sha256:
            return []
        name = name or found.file.name
        wanted = (Digest("sha256", found.facts.sha256),)
        own = (found.file.repo, found.file.path)

        def confirmed(places: Sequence[Place]) -> list[Scored]:
            others = [place for place in self._sorted(places, request) if (place.repo, place.path) != own]
            return by_digest(confirm(self._hub, others, wanted), wanted)

        try:
            mirrors = confirmed(self._index.find(name))
            if not _can_be_had(mirrors) and self._hub.settings.search and not is_generic(name):
                mirrors = confirmed(searching.by_repository_name(self._hub, name))
        except BackendError as error:
            logger.debug("mirrors of %s cannot be looked for: %s", found.file.reference, error)
            return []
        mirrors = [one for one in mirrors if one.found.obstacle is None]
        match = Match.DIGEST if request.digests else Match.SOURCE_ID
        note = f"The same bytes as {found.file.repo}, which is gated."
        return offers(raised(mirrors, match, 0.98, note), self._hub.settings)

    def folder_inside(self, file: HubFile) -> str:
        """The folder that the tensors of *file* speak for; one ranged request. Empty where they do not decide."""
        if suffix_of(file.path) not in (".safetensors", ".sft"):
            return ""
        return folder_of_tensors(self._hub.head_of(file, HEADER_BYTES))

    def _judge(self, found: Sequence[Found], request: ModelRequest) -> list[Scored]:
        if any(agreement(request.digests, one.facts) is not None for one in found):
            return by_digest(found, request.digests)
        scored = by_name(found, request)
        best = [one for one in scored if one.match is Match.FILENAME]
        if len({one.found.facts.sha256 for one in best if one.found.facts.sha256}) > 1:
            return self._decided_by_folder(best, request) or scored
        return scored

    def _decided_by_folder(self, scored: Sequence[Scored], request: ModelRequest) -> list[Scored]:
        """Of different files of one name, those whose tensors belong into the wanted folder.

        :returns: Nothing where that does not leave exactly one file.
        """
        wanted = canonical(request.folder)
        groups: dict[str | None, list[Scored]] = {}
        for one in scored:
            groups.setdefault(one.found.facts.sha256, []).append(one)
        kinds: dict[str | None, str] = {}
        for digest, members in groups.items():
            readable = next((one for one in members if one.found.obstacle is None), None)
            kinds[digest] = self.folder_inside(readable.found.file) if readable and wanted else ""
        fitting = [digest for digest, kind in kinds.items() if kind == wanted]
        if len(fitting) != 1 or not all(kinds.values()):
            return []
        note = f"Other files of this name are no {request.folder}; this one is, by the tensors inside."
        return [evolve(one, score=0.9, notes=(note,)) for one in groups[fitting[0]]]

    def _suggestions(self, name: str) -> list[Candidate]:
        """The same model in another precision, or under its format's other suffix: it is only named."""
        family, own = _without_suffix(name), key_of(name)
        places = self._index.variants(lambda key: key != own and _without_suffix(key) == family)
        note = f"{name} was not found; this comes near, in another precision or under another suffix."
        return offers(
            [
                Scored(
                    found=Found(
                        file=HubFile(repo=place.repo, path=place.path, revision=place.commit),
                        facts=FileFacts(),
                        place=place,
                    ),
                    match=Match.FUZZY,
                    score=0.2,
                    notes=(note,),
                )
                for place in places[:_SUGGESTIONS]
            ],
            self._hub.settings,
        )

    def _sorted(self, places: Sequence[Place], request: ModelRequest) -> list[Place]:
        """The most promising place first, so that few have to be confirmed."""
        wanted = [part.casefold() for part in request.name.parts] if request.name else []

        def order(place: Place) -> tuple[object, ...]:
            return (
                fit_of(place.path, request.folder),
                -_common_tail(place, wanted),
                place.rank is None,
                place.gated and not self._hub.asker.signed_in,
                place.rank or 0,
                -place.downloads,
                place.path.count("/"),
                place.repo,
                place.path,
            )

        return sorted(places, key=order)


def _without_suffix(name: str) -> tuple[str, bool]:
    """The family of *name*, and its format as far as it is another one."""
    safe = suffix_of(name) in (".safetensors", ".sft")
    return (family_of(name).rpartition(".")[0] if safe else family_of(name)), safe


def _can_be_had(scored: Sequence[Scored]) -> bool:
    return any(one.found.obstacle is None and one.match > Match.FUZZY for one in scored)


def _common_tail(place: Place, wanted: Sequence[str]) -> int:
    """How many parts, from the end, the place has in common with the wanted path: at least the name itself."""
    parts = f"{place.repo}/{place.path}".casefold().split("/")
    count = 0
    for mine, theirs in zip(reversed(parts), reversed(wanted), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _below_the_same_folders(places: Sequence[Place], request: ModelRequest) -> list[Place]:
    """For a generic name: only places whose folder, or repository, is called as in the request."""
    wanted = [part.casefold() for part in request.name.parts] if request.name else []
    longest = max((_common_tail(place, wanted) for place in places), default=0)
    return [place for place in places if longest >= 2 and _common_tail(place, wanted) == longest]
