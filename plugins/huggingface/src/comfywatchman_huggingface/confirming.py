"""Confirm where a file is said to be: its size and SHA256 at a pinned commit, and whether it may be had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from comfywatchman_core import BackendError, Digest, errors

from .facts import FileFacts
from .filenames import key_of
from .hub import Hub, Located
from .references import HubFile
from .refusals import gated
from .run import Place

AT_MOST = 3
"""Places of one name that are confirmed by asking their repositories."""
_MORE = 8
"""Further places that cost one cheap request each; asked only while all bytes seen so far are the same."""

_SKIPPED = frozenset({errors.ErrorCode.NOT_FOUND, errors.ErrorCode.DOWNLOADS_DISABLED, errors.ErrorCode.AUTH_REQUIRED})


@frozen(kw_only=True)
class Found:
    """A file that the Hub confirmed."""

    file: HubFile
    facts: FileFacts
    place: Place
    obstacle: errors.Failure | None = None
    """Why it cannot be had, although it is there."""


def agreement(wanted: Iterable[Digest], facts: FileFacts) -> bool | None:
    """Compare published digests with wanted ones; ``None`` where there is nothing to compare."""
    verdict: bool | None = None
    for digest in wanted:
        stated = {
            "sha256": facts.sha256,
            "autov2": facts.sha256[:10] if facts.sha256 else None,
            "git-sha1": facts.git_sha1,
        }.get(digest.algorithm)
        if stated is not None:
            if stated != digest.value:
                return False
            verdict = True
    return verdict


def confirm(hub: Hub, places: Sequence[Place], wanted: Sequence[Digest] = ()) -> list[Found]:
    """Confirm the first of *places*, best first; those that turn out not to be there are left out.

    Further places of trusted publishers are looked at while the question is open: until a file has the *wanted*
    digest, or, without one, until two files differ and the name is known to be ambiguous.

    :raises BackendError: The Hub could not be asked.
    """
    found = [one for place in places[:AT_MOST] if (one := _by_repository(hub, place)) is not None]
    for place in [place for place in places[AT_MOST:] if place.rank is not None][:_MORE]:
        if any(agreement(wanted, one.facts) for one in found):
            break
        if not wanted and len({one.facts.sha256 for one in found}) > 1:
            break
        one = _by_request(hub, place)
        if one is not None and one.obstacle is None:
            found.append(one)
    return found


def may_be_read(hub: Hub, file: HubFile) -> errors.Failure | None:
    """Say why the files of a gated repository may not be read; ``None`` where they may."""
    if not hub.asker.signed_in:
        return gated(file, hub.settings, signed_in=False).failure
    try:
        hub.locate(file)
    except BackendError as error:
        if error.code is errors.ErrorCode.GATED:
            return error.failure
        raise
    return None


def _by_repository(hub: Hub, place: Place) -> Found | None:
    """Ask the repository, once for everything that the run wants of it."""
    if place.commit is None:
        return _by_request(hub, place)
    file = HubFile(repo=place.repo, path=place.path, revision=place.commit)
    try:
        facts = _facts(hub, file)
    except BackendError as error:
        if error.code is errors.ErrorCode.GATED:
            return Found(file=file, facts=FileFacts(), place=place, obstacle=error.failure)
        if error.code is not errors.ErrorCode.NOT_FOUND:
            if error.code in _SKIPPED:
                return None
            raise
        # The commit is gone (history was squashed), or the repository: what it has now decides.
        return _by_request(hub, place)
    if facts is None:
        return None
    if facts.sha256 is None and facts.git_sha1 is None:
        return _by_request(hub, place)
    obstacle = may_be_read(hub, file) if place.gated else None
    return Found(file=file, facts=facts, place=place, obstacle=obstacle)


def _by_request(hub: Hub, place: Place) -> Found | None:
    """Ask for the file itself, at its present revision."""
    file = HubFile(repo=place.repo, path=place.path)
    try:
        located: Located = hub.locate(file)
    except BackendError as error:
        if error.code is errors.ErrorCode.GATED:
            return Found(file=file, facts=FileFacts(), place=place, obstacle=error.failure)
        if error.code in _SKIPPED:
            return None
        raise
    return Found(file=located.file, facts=located.facts, place=evolve(place, gated=False))


def _facts(hub: Hub, file: HubFile) -> FileFacts | None:
    run = hub.asker.run
    key = (file.repo, file.revision or "")
    with run.lock:
        known, asked = run.paths.setdefault(key, {}), run.asked_paths.setdefault(key, set())
        if file.path not in asked:
            paths = [file.path]
            for name in sorted(run.wanted - {key_of(file.path)}):
                paths += [place.path for place in (run.index or {}).get(name, ()) if place.repo == file.repo]
            paths = [path for path in dict.fromkeys(paths) if path not in asked]
            known.update(hub.paths_info(file, paths))
            asked.update(paths)
        return known.get(file.path)
