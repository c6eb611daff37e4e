"""Recorded conversations with a JSON API: what is kept of them, and what never is.

vcrpy records and plays; this says how, so that no recording holds a secret.
Headers are kept by an allow-list, and secrets are taken out on both sides. ::

    with cassette(path, record=bool(os.environ.get("RECORD")), secrets=[token]):
        backend.resolve_model(request, context)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

REQUEST_HEADERS = frozenset({"accept", "content-type", "range"})
"""What is kept of a request's headers, in lower case."""
RESPONSE_HEADERS = frozenset(
    {"accept-ranges", "content-length", "content-range", "content-type", "etag", "link", "location", "retry-after"}
)
"""What is kept of an answer's headers, in lower case."""
SECRET = "SECRET"
"""What stands in a recording where a secret stood."""

_MATCH_ON = ("method", "scheme", "host", "port", "path", "query", "body")
_SECRET_PARAMETER = re.compile(
    r"(?i)(?:.*(?:token|secret|signature|password|credential)|key|api[-_]?key|sig|x-amz-.+|policy|key-pair-id)"
)
_ADDRESS = re.compile(r"https?://[^\s\"'<>\\]+\?[^\s\"'<>\\]+")
_LEAK = re.compile(
    r"(?im)\bbearer\s+\S|^\s*[\"']?(?:set-cookie|cookie|authorization)[\"']?\s*:|"
    r"[?&](?:x-amz-)?(?:signature|security-token)="
)


@contextmanager
def cassette(
    path: Path,
    *,
    record: bool = False,
    secrets: Collection[str] = (),
    origins: Mapping[str, str] | None = None,
    request_headers: Collection[str] = REQUEST_HEADERS,
    response_headers: Collection[str] = RESPONSE_HEADERS,
) -> Iterator[None]:
    """Play the conversation of *path* until the block ends, or write it anew.

    :param record: Let the requests go out, and write what is said. Otherwise nothing goes out.
    :param secrets: Texts that are taken out wherever they stand: tokens, names of accounts.
    :param origins: What stands in the recording in the place of an origin, so that one of a server on this machine
        looks like one of the site that it plays.
    :param request_headers: Kept, in lower case; all others are not.
    :param response_headers: As *request_headers*.
    :raises AssertionError: Something was recorded that nobody asked for, or holds what :func:`leak` finds.
    """
    import vcr  # type: ignore[import-untyped]

    options = scrubbing(secrets, origins or {}, request_headers, response_headers)
    if record:
        path.unlink(missing_ok=True)
    with vcr.use_cassette(str(path), record_mode="all" if record else "none", match_on=_MATCH_ON, **options) as tape:
        yield
    found = leak(path.read_text("utf-8"), secrets) if path.exists() else None
    assert found is None, f"{path.name} holds {found!r}, which belongs into no recording"
    assert record or tape.all_played, f"{path.name} holds answers that nobody asks for"


def leak(text: str, secrets: Collection[str] = ()) -> str | None:
    """What in a recording must never be in one; ``None`` where there is nothing of the kind."""
    for secret in secrets:
        if secret and secret in text:
            return secret
    found = _LEAK.search(text)
    return found.group() if found else None


def scrubbing(
    secrets: Collection[str],
    origins: Mapping[str, str],
    request_headers: Collection[str] = REQUEST_HEADERS,
    response_headers: Collection[str] = RESPONSE_HEADERS,
) -> dict[str, Any]:
    """The options of vcrpy that take out what no recording may hold; see :func:`cassette`."""

    def clean(text: str) -> str:
        for mine, theirs in origins.items():
            text = text.replace(mine, theirs)
        for secret in secrets:
            text = text.replace(secret, SECRET) if secret else text
        return _ADDRESS.sub(lambda found: _clean_query(found.group()), text)

    def clean_bytes(body: bytes | str | None) -> bytes:
        raw = body.encode() if isinstance(body, str) else body or b""
        return clean(raw.decode("utf-8", "replace")).encode()

    def request(asked: Any) -> Any:
        asked.uri = _clean_query(clean(asked.uri))
        asked.headers = {name: text for name, text in asked.headers.items() if name.lower() in request_headers}
        if asked.body:
            asked.body = clean_bytes(asked.body)
        return asked

    def response(answered: dict[str, Any]) -> dict[str, Any]:
        body = clean_bytes(answered["body"]["string"])
        headers: dict[str, list[str]] = {}
        for name, values in answered["headers"].items():
            if name.lower() in response_headers:
                texts = [values] if isinstance(values, str) else values
                headers[name] = [clean(text) for text in texts]
                if name.lower() == "content-length" and body:
                    headers[name] = [str(len(body))]
        return {**answered, "headers": headers, "body": {"string": body}}

    return {"before_record_request": request, "before_record_response": response}


def _clean_query(url: str) -> str:
    """*url* without the parameters that look like secrets."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, text) for name, text in pairs if not _SECRET_PARAMETER.fullmatch(name)]
    return url if kept == pairs else urlunsplit(parts._replace(query=urlencode(kept)))
