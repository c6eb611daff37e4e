"""Confirm the file that an address leads to, and say so where it is not the one that is wanted."""

from __future__ import annotations

from attrs import evolve

from comfywatchman_core import BackendError, Candidate, Match, ModelRequest, errors

from .confirming import Found, agreement, may_be_read
from .facts import FileFacts
from .filenames import family_of, has_model_suffix, key_of, keys_of, precision_of, suffix_of
from .folders import Fit, fit_of
from .hub import Hub
from .named import Names
from .ranking import Scored, offer, offers
from .references import HubFile, read_reference
from .run import Place

_HINTS = 3
_LISTED = 50

GONE = frozenset({errors.ErrorCode.NOT_FOUND, errors.ErrorCode.DOWNLOADS_DISABLED})
"""An address that fails so leads nowhere; the name may still be found elsewhere."""


class Addresses:
    """Answers requests by address.

    :param names: Finds the same bytes elsewhere where they may not be had.
    """

    def __init__(self, hub: Hub, names: Names) -> None:
        self._hub = hub
        self._names = names

    def find(self, file: HubFile, request: ModelRequest, name: str) -> tuple[list[Candidate], bool]:
        """Offer what the workflow's own address leads to: for *name*, or for a checksum, or not quite.

        :returns: The offers, and whether the search may end with them.
        :raises BackendError: It leads nowhere, or the Hub could not be asked.
        """
        if not has_model_suffix(file.path):
            inside = self._inside(file, request, name)
            return inside, bool(inside)
        found = self.located(file)
        agrees = agreement(request.digests, found.facts)
        if agrees is False:
            note = "The workflow's own address has other bytes by now than the workflow's checksum asks for."
            changed = Scored(found=found, match=Match.SOURCE_ID, score=0.3, notes=(note,))
            return offers([changed], self._hub.settings), False
        if agrees:
            scored = Scored(found=found, match=Match.DIGEST, score=1.0)
        elif _same_name(file.name, name):
            scored = Scored(found=found, match=Match.SOURCE_ID, score=0.98)
        else:
            contradicted = self._contradicted(found, request, name)
            return contradicted, any(one.match > Match.FUZZY for one in contradicted)
        return [*self._names.mirrors(found, request), *offers([scored], self._hub.settings)], True

    def missing(self, file: HubFile, failure: errors.Failure) -> Candidate:
        """The offer of a file that is known not to be there: it says so in the report, and is not tried."""
        found = Found(file=file, facts=FileFacts(), place=Place(repo=file.repo, path=file.path), obstacle=failure)
        return offer(Scored(found=found, match=Match.SOURCE_ID, score=0.0), self._hub.settings)

    def in_notes(self, request: ModelRequest, name: str) -> list[Candidate]:
        """Addresses in the workflow's notes that end in the wanted name."""
        files = [file for hint in request.hints if (file := read_reference(hint, self._hub.settings)) is not None]
        files = [file for file in dict.fromkeys(files) if _same_name(file.name, name)]
        found_offers: list[Candidate] = []
        for file in files[:_HINTS]:
            try:
                found = self.located(file)
            except BackendError as error:
                if error.code not in GONE:
                    raise
                continue
            agrees = agreement(request.digests, found.facts)
            if agrees is not False:
                note = "Its address stands in the workflow's notes."
                match = Match.DIGEST if agrees else Match.FILENAME
                found_offers += offers(
                    [Scored(found=found, match=match, score=0.98, notes=(note,))], self._hub.settings
                )
                found_offers += self._names.mirrors(found, request)
        return found_offers

    def located(self, file: HubFile) -> Found:
        """Confirm *file* by one request; a gated one from what its repository says in public."""
        place = Place(repo=file.repo, path=file.path)
        try:
            located = self._hub.locate(file)
        except BackendError as error:
            if error.code is not errors.ErrorCode.GATED:
                raise
            return self._gated(file, place, error)
        return Found(file=located.file, facts=located.facts, place=evolve(place, repo=located.file.repo))

    def choices(self, file: HubFile) -> list[Candidate]:
        """The model files of a repository or folder that was named without a file."""
        repository = self._hub.repository(file)
        prefix = f"{file.path}/" if file.path else ""
        if file.path in repository.files:
            return []
        paths = [path for path in sorted(repository.files) if path.startswith(prefix) and has_model_suffix(path)]
        if not paths:
            raise BackendError(
                f"{file.page(self._hub.settings.site)} has no model file" + (f" below {file.path}" if prefix else ""),
                code=errors.ErrorCode.NOT_FOUND,
                hint="Look at the repository's file list.",
            )
        commit = repository.commit or file.revision
        scored: list[Scored] = []
        for path in paths[:_LISTED]:
            pinned = HubFile(repo=repository.id, kind=file.kind, path=path, revision=commit)
            obstacle = may_be_read(self._hub, pinned) if repository.gated and len(paths) == 1 else None
            place = Place(repo=repository.id, path=path, gated=repository.gated)
            found = Found(file=pinned, facts=repository.files[path], place=place, obstacle=obstacle)
            match = Match.SOURCE_ID if len(paths) == 1 else Match.FUZZY
            scored.append(Scored(found=found, match=match, score=1.0 if len(paths) == 1 else 0.3))
        return offers(scored, self._hub.settings)

    def _gated(self, file: HubFile, place: Place, error: BackendError) -> Found:
        """Cards and lists of gated repositories are public: commit, size and SHA256 are known all the same."""
        try:
            repository = self._hub.repository(file)
        except BackendError as closed:
            if closed.code is not errors.ErrorCode.GATED:
                raise
            return Found(file=file, facts=FileFacts(), place=evolve(place, gated=True), obstacle=error.failure)
        pinned = evolve(file, repo=repository.id, revision=repository.commit or file.revision)
        facts = repository.files.get(file.path)
        if facts is None or facts == FileFacts():  # some mirrors list names only
            facts = self._hub.paths_info(pinned, [file.path]).get(file.path)
        if facts is None:
            raise BackendError(
                f"{file.page(self._hub.settings.site)} has no file {file.path}",
                code=errors.ErrorCode.NOT_FOUND,
                hint="It may have been renamed there; look at the repository's file list.",
            )
        return Found(file=pinned, facts=facts, place=evolve(place, gated=True), obstacle=error.failure)

    def _contradicted(self, found: Found, request: ModelRequest, name: str) -> list[Candidate]:
        """The address ends in another name than the one wanted, and no checksum says that it is right.

        Some authors rename files, some copy the wrong address. If the wanted name lies beside the file that the
        address leads to, the address is the mistake.
        """
        there = found.file.name
        self._hub.asker.warn(f"The workflow asks for {name}, and its address leads to {there}.")
        if _sounds_like(there, name):
            beside = evolve(found.file, path="/".join(filter(None, (found.file.folder, name))))
            try:
                twin = self.located(beside)
            except BackendError as error:
                if error.code is not errors.ErrorCode.NOT_FOUND:
                    raise
            else:
                note = f"The workflow's address leads to {there}; this file of the wanted name lies beside it."
                other = f"The workflow's address leads here, but the file is called {there}."
                same = bool(twin.facts.sha256) and twin.facts.sha256 == found.facts.sha256
                return offers(
                    [
                        Scored(found=twin, match=Match.SOURCE_ID if same else Match.FILENAME, score=0.9, notes=(note,)),
                        Scored(found=found, match=Match.FUZZY, score=0.4, notes=(other,)),
                    ],
                    self._hub.settings,
                )
        if suffix_of(there) != suffix_of(name) or precision_of(there) != precision_of(name):
            note = f"The workflow's address leads to {there}, which differs from {name} in format or precision."
            return offers([Scored(found=found, match=Match.FUZZY, score=0.4, notes=(note,))], self._hub.settings)
        note = f"It is called {there} at its source, and saved under the name that the workflow uses."
        scored = Scored(found=found, match=Match.SOURCE_ID, score=0.9, notes=(note,))
        return [*self._names.mirrors(found, request, there), *offers([scored], self._hub.settings)]

    def _inside(self, file: HubFile, request: ModelRequest, name: str) -> list[Candidate]:
        """The wanted name inside the repository, or the folder of it, that an address names."""
        repository = self._hub.repository(file)
        prefix = f"{file.path}/" if file.path else ""
        paths = [path for path in repository.files if path.startswith(prefix) and _same_name(path, name)]
        if request.folder and len(paths) > 1:
            paths = [path for path in paths if fit_of(path, request.folder) is not Fit.CONTRADICTS]
        scored = []
        for path in paths[:_LISTED]:
            pinned = HubFile(repo=repository.id, kind=file.kind, path=path, revision=repository.commit or file.revision)
            found = self.located(pinned)
            agrees = agreement(request.digests, found.facts)
            if agrees is not False:
                match = Match.DIGEST if agrees else Match.SOURCE_ID if len(paths) == 1 else Match.FILENAME
                scored.append(Scored(found=found, match=match, score=0.95))
        return offers(scored, self._hub.settings)


def _same_name(path: str, name: str) -> bool:
    return key_of(path) in keys_of(name)


def _sounds_like(there: str, name: str) -> bool:
    """Only then is it worth a request to look beside *there* for *name*: the same format, and a word in common."""
    words = set(family_of(there).rpartition(".")[0].split()) & set(family_of(name).rpartition(".")[0].split())
    return suffix_of(there) == suffix_of(name) and bool(words)
