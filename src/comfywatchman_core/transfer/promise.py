"""What an answer promises to send, and the answers that no model file can come from."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

from attrs import frozen

from comfywatchman_core.addresses import redact
from comfywatchman_core.answer import TRANSIENT
from comfywatchman_core.errors import BackendError, ErrorCode
from comfywatchman_core.pacing import LONGEST_WAIT
from comfywatchman_core.transport import Exchange, TransportError

from .journal import Identity, without_query
from .spans import NO_END

_REFUSAL_BYTES = 64 << 10
_LARGEST = 1 << 44
"""Bytes. Whoever announces more would only make the disk look full."""
_PAGES = frozenset({"text/html", "application/xhtml+xml", "application/json", "application/problem+json"})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_NOTHING_LEFT = re.compile(r"bytes \*/(\d{1,18})")


class Stale(Exception):
    """What lies in the staging place and what the server has are not the same file."""


@frozen(kw_only=True)
class Promise:
    """The head of an answer that sends bytes."""

    start: int
    """Place in the file of the first byte that comes."""
    partial: bool
    """The server honoured the ``Range`` that it was asked for."""
    is_bounded: bool
    """The server says how much comes; what ends earlier was cut."""
    ranges: bool
    """The server may answer to ``Range``."""
    identity: Identity


def read_promise(exchange: Exchange, asked: Identity, *, offset: int | None) -> Promise:
    """Judge an answer before any of its body is used.

    :param asked: What is known of the file that was asked for.
    :param offset: The first byte that was asked for with ``Range``; ``None`` if none was.
    :raises Stale: The server has another file than the one whose first bytes are here.
    :raises BackendError: It refuses, or sends something that is no file. ``response`` holds what it said.
    """
    headers = exchange.headers
    status = exchange.status
    where = redact(exchange.url)
    if status in (412, 416) and offset is not None:
        raise Stale(f"{where} has not got the bytes from {offset} on")
    if status not in (200, 206):
        raise _refusal(exchange)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _PAGES:
        raise BackendError(
            f"{where} sent a page ({kind}) instead of a file",
            code=ErrorCode.NOT_A_MODEL,
            http_status=status,
            hint="It may ask for a login; look at the address in a browser.",
            response=exchange.answer(_REFUSAL_BYTES),
        )
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise BackendError(
            f"{where} sends the file encoded ({encoding[:20]!a}) although it was asked not to",
            code=ErrorCode.NOT_A_MODEL,
            hint="Another source may have it.",
        )
    start, total = 0, _length(headers.get("content-length", ""))
    bounded = total < NO_END or "chunked" in headers.get("transfer-encoding", "").lower()
    if status == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip().lower())
        if offset is None or found is None or int(found.group(1)) != offset:
            raise Stale(f"{where} sent other bytes than those that were asked for")
        start, total = offset, asked.total if found.group(3) == "*" else int(found.group(3))
    if total == 0:
        raise BackendError(
            f"{where} sent an empty file", code=ErrorCode.NOT_A_MODEL, hint="Another source may have it."
        )
    if NO_END > total > _LARGEST:
        raise BackendError(
            f"{where} announces {total:,} bytes, which no model has",
            code=ErrorCode.SIZE_MISMATCH,
            hint="Another source may have it.",
        )
    etag = _strong(headers.get("etag", ""))
    identity = Identity(
        source=asked.source,
        storage=without_query(exchange.url),
        sha256=asked.sha256,
        etag=etag,
        modified="" if etag else _old_enough(headers.get("last-modified", ""), headers.get("date", "")),
        total=total,
    )
    if status == 206 and _is_another(identity, asked):
        raise Stale(f"{where} has another file than before")
    ranges = headers.get("accept-ranges", "bytes").strip().lower() != "none" and total < NO_END
    return Promise(start=start, partial=status == 206, is_bounded=bounded, ranges=ranges, identity=identity)


def check_size(promise: Promise, size: int | None) -> None:
    """:raises BackendError: ``size_mismatch``: what comes is not as long as the source stated."""
    total = promise.identity.total
    if size is not None and total not in (size, NO_END):
        raise BackendError(
            f"{promise.identity.storage} has {total:,} bytes where {size:,} were announced",
            code=ErrorCode.SIZE_MISMATCH,
            hint="The file was replaced, or the address leads elsewhere; another source may have it.",
        )


def is_complete(exchange: Exchange, received: int) -> bool:
    """Say whether a refusal of ``Range`` means that all *received* bytes are all there are."""
    found = _NOTHING_LEFT.fullmatch(exchange.headers.get("content-range", "").strip().lower())
    return exchange.status == 416 and found is not None and int(found.group(1)) == received


def may_end_differently(error: BackendError) -> bool:
    """Say whether another attempt is worth it."""
    if isinstance(error, TransportError):
        return error.retryable
    if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
        return False
    return error.http_status in TRANSIENT


def _refusal(exchange: Exchange) -> BackendError:
    error = exchange.answer(_REFUSAL_BYTES).error()
    if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
        error.hint = f"The source asks to be left alone for {error.retry_after:,.0f} s; run again after that."
    return error


def _is_another(answered: Identity, known: Identity) -> bool:
    if NO_END > known.total != answered.total:
        return True
    if answered.storage != known.storage and known.sha256:
        return False  # the same file from another host has another validator; its digest is looked at in the end
    if known.etag or answered.etag:
        return answered.etag != known.etag if known.etag else False
    return bool(known.modified and answered.modified and answered.modified != known.modified)


def _length(text: str) -> int:
    """Read ``Content-Length``; what is no number promises nothing."""
    said = {part.strip() for part in text.split(",")}
    text = said.pop()
    return int(text) if not said and text.isascii() and text.isdecimal() and len(text) < 19 else NO_END


def _strong(etag: str) -> str:
    etag = etag.strip()
    return etag if len(etag) > 2 and etag[0] == etag[-1] == '"' and etag.isascii() and etag.isprintable() else ""


def _old_enough(modified: str, date: str) -> str:
    """``Last-Modified`` is strong when the file cannot have changed twice in its second (RFC 9110, 8.8.2.2)."""
    try:
        answered = parsedate_to_datetime(date).timestamp() if date else time.time()
        return modified if modified and parsedate_to_datetime(modified).timestamp() + 1 <= answered else ""
    except (ValueError, TypeError, OverflowError):
        return ""
