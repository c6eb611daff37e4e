"""Recorded conversations with the Hub: written from the stand-in or from the live service, read without a network.

``RECORD_CASSETTES=standin`` records from the stand-in, as if it were the Hub; ``RECORD_CASSETTES=live`` from
the Hub itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from comfywatchman_core.testing import cassette
from comfywatchman_core.testing.cassettes import RESPONSE_HEADERS

from .hub import HubStandIn

HOME = "https://huggingface.co"
STORAGE = "https://cas-bridge.xethub.hf.co"

_RESPONSE_HEADERS = RESPONSE_HEADERS | {
    "ratelimit",
    "ratelimit-policy",
    "x-error-code",
    "x-error-message",
    "x-linked-etag",
    "x-linked-size",
    "x-repo-commit",
}
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
    if source() != "standin":
        with cassette(path, record=source() == "live", response_headers=_RESPONSE_HEADERS):
            yield HOME
        return
    with HubStandIn() as hub:
        fill(hub)
        origins = {hub.url: HOME, hub.cdn_url: STORAGE}
        with cassette(path, record=True, origins=origins, response_headers=_RESPONSE_HEADERS):
            yield hub.url


def unfit(text: str) -> str | None:
    """What in a recording must never be in one; ``None`` where there is nothing of the kind."""
    found = _UNFIT.search(text)
    return found.group() if found else None
