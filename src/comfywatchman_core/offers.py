"""Which of a back end's answers may be used at all.

Back ends are installed code, but what they pass on comes from servers and
tables. Everything is looked at again before the core acts on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from . import addresses
from .errors import BackendError, Failure, UnsafeName
from .models import Candidate, Digest, Match
from .names import safe_name

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NEVER_ITS_OWN = frozenset({"http", "https", "ftp", "ftps", "data"})
"""Schemes that no back end can have for addresses of its own. ``file`` is not among them: a back end that copies
from a shared folder says so with it, and no engine opens such an address."""
_LONGEST_URL = 8192
_LONGEST_TEXT = 4096


def checked_offers(
    value: Any, backend: str, *, settings: Mapping[str, Any], transfers: bool
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Sort what *backend* returned into candidates that may be used and reasons why the others may not.

    :param settings: The back end's own table; addresses in it are endpoints that the user configured.
    :param transfers: The back end downloads by itself, so that its addresses may have schemes of their own.
    :raises TypeError: The answer is no sequence of candidates.
    """
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"resolve_model returned {type(value).__name__}, not a sequence of Candidate")
    offers: list[Candidate] = []
    refused: list[str] = []
    for offer in value:
        if not isinstance(offer, Candidate):
            raise TypeError(f"resolve_model returned a sequence with {type(offer).__name__} in it, not Candidate")
        try:
            offers.append(_checked(offer, backend, settings, transfers))
        except (BackendError, UnsafeName, ValueError, TypeError) as error:
            refused.append(addresses.redact_text(str(error))[:300])
    return tuple(offers), tuple(refused)


def _checked(offer: Candidate, backend: str, settings: Mapping[str, Any], transfers: bool) -> Candidate:
    _check_types(offer)
    if offer.name:
        safe_name(offer.name)
    if offer.folder:
        safe_name(offer.folder)
    endpoint = _endpoint(offer, settings)
    scheme = offer.url.partition(":")[0].lower()
    if not offer.obstacle and (not transfers or scheme in _NEVER_ITS_OWN):
        addresses.check_scheme(offer.url, endpoint=endpoint)
    return evolve(offer, backend=backend, endpoint=endpoint)


def _check_types(offer: Candidate) -> None:
    if not isinstance(offer.match, Match):
        raise TypeError(f"match is {offer.match!r}, not a Match")
    if not isinstance(offer.url, str) or len(offer.url) > _LONGEST_URL or addresses.printable(offer.url) != offer.url:
        raise ValueError("its address is no printable text")
    if not offer.obstacle and not _SCHEME.match(offer.url):
        raise ValueError(f"{addresses.redact(offer.url)!r} is no address")
    if not all(isinstance(digest, Digest) for digest in offer.digests):
        raise TypeError("a digest is no Digest")
    if offer.size is not None and (not isinstance(offer.size, int) or isinstance(offer.size, bool) or offer.size < 0):
        raise ValueError(f"its size is {offer.size!r}")
    texts = (offer.name, offer.folder, offer.reference, offer.endpoint, offer.delegate)
    if not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in (*texts, *offer.notes)):
        raise TypeError("one of its texts is no text, or far too long")
    if not isinstance(offer.details, Mapping) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in offer.details.items()
    ):
        raise TypeError("its details are no mapping of texts")
    if offer.obstacle is not None and not isinstance(offer.obstacle, Failure):
        raise TypeError("its obstacle is no Failure")
    if not isinstance(offer.trusted, bool):
        raise TypeError(f"trusted is {offer.trusted!r}")


def _endpoint(offer: Candidate, settings: Mapping[str, Any]) -> str:
    """The endpoint that *offer* lies below: its own word, or an address in the back end's settings."""
    configured = [text for text in settings.values() if isinstance(text, str) and re.match(r"https?://", text)]
    for endpoint in (offer.endpoint, *configured):
        if endpoint and offer.url.startswith(("http://", "https://")) and addresses.is_below(offer.url, endpoint):
            return endpoint
    return ""
