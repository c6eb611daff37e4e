"""Recorded conversations with Civitai: written from the stand-in or from the live service, read without a network.

``RECORD_CASSETTES=standin`` records from the stand-in, as if it were the service; ``RECORD_CASSETTES=live`` from
the service itself. Headers are kept by an allow-list, and links lose their tokens on both sides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .civitai import CivitaiStandIn

HOME = "https://civitai.com"

_REQUEST_HEADERS = frozenset({"accept", "content-type"})
_RESPONSE_HEADERS = frozenset({"cache-control", "content-length", "content-type", "retry-after"})
_MATCH = ["method", "scheme", "host", "port", "path", "query", "body"]
_SECRET = re.compile(r"([?&](?:token|X-Amz-[A-Za-z-]+|Authorization)=)[^\"'&\s]*")
_UNFIT = re.compile(
    r"Bearer|[Aa]uthorization|[Cc]ookie|X-Amz|[?&]token=(?!\*)|127\.0\.0\.1|localhost|\b[0-9a-f]{32}\b", re.ASCII
)


@contextmanager
def conversation(path: Path, fill: Callable[[CivitaiStandIn], None]) -> Iterator[str]:
    """Lend the address to ask, while what is said is recorded to *path* or played back from it.

    :param fill: Puts into a stand-in what the live service has.
    :raises AssertionError: Something was recorded that is never asked for.
    """
    import vcr  # type: ignore[import-untyped]

    source = os.environ.get("RECORD_CASSETTES", "")
    if not source:
        with vcr.use_cassette(str(path), record_mode="none", match_on=_MATCH) as cassette:
            yield HOME
        assert cassette.all_played, f"{path.name} holds answers that nobody asks for"
        return
    path.unlink(missing_ok=True)
    if source == "live":
        with vcr.use_cassette(str(path), record_mode="all", **_scrubbing("")):
            yield HOME
        return
    with CivitaiStandIn() as service:
        fill(service)
        with vcr.use_cassette(str(path), record_mode="all", **_scrubbing(service.url)):
            yield service.url


def unfit(text: str) -> str | None:
    """What in a recording must never be in one; ``None`` where there is nothing of the kind."""
    found = _UNFIT.search(text)
    return found.group() if found else None


def _scrubbing(origin: str) -> dict[str, Any]:
    def scrubbed(text: str) -> str:
        text = text.replace(origin, HOME) if origin else text
        return _SECRET.sub(lambda found: f"{found.group(1)}***", text)

    def request(asked: Any) -> Any:
        asked.uri = scrubbed(asked.uri)
        asked.headers = {name: value for name, value in asked.headers.items() if name.lower() in _REQUEST_HEADERS}
        return asked

    def response(answered: dict[str, Any]) -> dict[str, Any]:
        body = answered["body"]["string"]
        text = scrubbed(body.decode("utf-8", "replace") if isinstance(body, bytes) else body)
        answered["body"] = {"string": text.encode()}
        answered["headers"] = {
            name: [str(len(text.encode()))] if name.lower() == "content-length" else values
            for name, values in answered["headers"].items()
            if name.lower() in _RESPONSE_HEADERS
        }
        return answered

    return {"before_record_request": request, "before_record_response": response, "match_on": _MATCH}
