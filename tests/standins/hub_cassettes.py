"""Recorded conversations with the Hub: written from the stand-in or from the live service, read without a network.

``RECORD_CASSETTES=standin`` records from the stand-in, as if it were the Hub; ``RECORD_CASSETTES=live`` from
the Hub itself. Only what is named here is kept of headers, and links lose their signatures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .hub import HubStandIn

HOME = "https://huggingface.co"
STORAGE = "https://cas-bridge.xethub.hf.co"

_REQUEST_HEADERS = frozenset({"accept", "content-type", "range"})
_RESPONSE_HEADERS = frozenset(
    {
        "accept-ranges",
        "content-length",
        "content-type",
        "etag",
        "link",
        "location",
        "ratelimit",
        "ratelimit-policy",
        "x-error-code",
        "x-error-message",
        "x-linked-etag",
        "x-linked-size",
        "x-repo-commit",
    }
)
_UNFIT = re.compile(r"hf_[A-Za-z0-9]{6}|Signature|X-Amz|Bearer|[Cc]ookie|127\.0\.0\.1|localhost", re.ASCII)


def source() -> str:
    """Where this run records from: ``standin``, ``live``, or nowhere."""
    return os.environ.get("RECORD_CASSETTES", "")


@contextmanager
def conversation(path: Path, fill: Callable[[HubStandIn], None]) -> Iterator[str]:
    """Lend the endpoint to ask, while what is said is recorded to *path* or played back from it.

    :param fill: Puts into a stand-in what the live Hub has.
    :raises AssertionError: Something was recorded that is never asked for.
    """
    import vcr

    if not source():
        with vcr.use_cassette(str(path), record_mode="none", match_on=_MATCH) as cassette:
            yield HOME
        assert cassette.all_played, f"{path.name} holds answers that nobody asks for"
        return
    path.unlink(missing_ok=True)
    if source() == "live":
        with vcr.use_cassette(str(path), record_mode="all", **_scrubbing({})):
            yield HOME
        return
    with HubStandIn() as hub:
        fill(hub)
        origins = {hub.url: HOME, hub.cdn_url: STORAGE}
        with vcr.use_cassette(str(path), record_mode="all", **_scrubbing(origins)):
            yield hub.url


def unfit(text: str) -> str | None:
    """What in a recording must never be in one; ``None`` where there is nothing of the kind."""
    found = _UNFIT.search(text)
    return found.group() if found else None


_MATCH = ["method", "scheme", "host", "port", "path", "query", "body"]


def _scrubbing(origins: Mapping[str, str]) -> dict[str, Any]:
    def renamed(text: str) -> str:
        for mine, theirs in origins.items():
            text = text.replace(mine, theirs)
        return re.sub(r"(https://[^\s\"'<>]*?)\?[^\s\"'<>]*(?:Signature|X-Amz)[^\s\"'<>]*", r"\1", text)

    def request(asked: Any) -> Any:
        asked.uri = renamed(asked.uri)
        asked.headers = {name: value for name, value in asked.headers.items() if name.lower() in _REQUEST_HEADERS}
        return asked

    def response(answered: dict[str, Any]) -> dict[str, Any]:
        answered["headers"] = {
            name: [renamed(value) for value in ([values] if isinstance(values, str) else values)]
            for name, values in answered["headers"].items()
            if name.lower() in _RESPONSE_HEADERS
        }
        body = answered["body"]["string"]
        text = renamed(body.decode("utf-8", "replace") if isinstance(body, bytes) else body)
        answered["body"] = {"string": text.encode()}
        for name in answered["headers"]:
            if name.lower() == "content-length" and text:
                answered["headers"][name] = [str(len(text.encode()))]
        return answered

    return {"before_record_request": request, "before_record_response": response, "match_on": _MATCH}
