"""Find places beyond the trusted publishers: repositories by name, and model cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from comfywatchman_core import BackendError, errors

from .filenames import key_of, keys_of, search_terms
from .hub import Hub
from .publishers import places_of
from .references import HubFile
from .run import Place

_REPOSITORIES = 20
_CARDS = 3


def by_repository_name(hub: Hub, name: str) -> list[Place]:
    """Search repositories whose name has to do with *name*, and keep files called exactly so.

    At most three requests; fewer where one of them finds something, or was made before in this run.
    """
    for term in search_terms(name):
        places = [place for place in _search(hub, term) if _is_called(place, name)]
        if places:
            return sorted(places, key=_order)
    return []


def by_card(hub: Hub, name: str) -> list[Place]:
    """Search model cards that mention *name*: one request, and one for each of the first repositories found."""
    places: list[Place] = []
    for repo in hub.cards(name)[:_CARDS]:
        try:
            held = hub.repository(HubFile(repo=repo))
        except BackendError as error:
            if error.code is not errors.ErrorCode.NOT_FOUND:
                raise
            continue
        entry = {"id": held.id, "sha": held.commit, "gated": held.gated, "siblings": _siblings(held.files)}
        places += [evolve(place, by_card=True) for place in _ranked(hub, entry) if _is_called(place, name)]
    return places


def _search(hub: Hub, term: str) -> tuple[Place, ...]:
    run = hub.asker.run
    known = run.searches.get(term.casefold())
    if known is None:
        found: list[Place] = []
        # One page is enough: what is used most comes first.
        for count, entry in enumerate(hub.models(search=term, sort="downloads", limit=_REPOSITORIES), start=1):
            found += _ranked(hub, entry)
            if count >= _REPOSITORIES:
                break
        known = run.searches[term.casefold()] = tuple(found)
    return known


def _ranked(hub: Hub, entry: Mapping[str, Any]) -> Iterable[Place]:
    """The files of one repository; a publisher's stay a publisher's however they were found."""
    owner = str(entry.get("id", "")).partition("/")[0].casefold()
    publishers = [publisher.casefold() for publisher in hub.settings.publishers]
    return places_of(entry, publishers.index(owner) if owner in publishers else None)


def _siblings(paths: Iterable[str]) -> list[dict[str, str]]:
    return [{"rfilename": path} for path in paths]


def _is_called(place: Place, name: str) -> bool:
    return key_of(place.path) in keys_of(name)


def _order(place: Place) -> tuple[object, ...]:
    return (place.rank is None, place.rank or 0, -place.downloads, place.repo, place.path)
