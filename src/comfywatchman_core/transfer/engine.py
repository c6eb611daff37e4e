"""The engine as a back end: it answers for addresses that nobody else knows, and transfers any."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from comfywatchman_core import addresses
from comfywatchman_core.disk import as_disk_error
from comfywatchman_core.errors import BackendError, Cancelled, ErrorCode
from comfywatchman_core.events import BytesReceived, DownloadFinished, DownloadStarted
from comfywatchman_core.hooks import Context, hookimpl
from comfywatchman_core.models import Artifact, Candidate, Digest, Match, ModelRequest
from comfywatchman_core.pacing import HostGates, backoff
from comfywatchman_core.transport import Exchange, Transport, TransportError

from .reservation import Reservations
from .settings import TransferSettings

_REFUSAL_BYTES = 64 << 10
_CHUNK = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class Engine:
    """The back end ``core``. One per run; shared by all worker threads."""

    api_version = 1
    priority = -1000

    def __init__(
        self,
        settings: TransferSettings,
        *,
        transport: Transport,
        gates: HostGates | None = None,
        reservations: Reservations | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._gates = gates or HostGates()
        self._reservations = reservations or Reservations()

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Offer the request's own address, as it is."""
        if not request.url:
            return None
        return (
            Candidate(
                match=Match.SOURCE_ID,
                url=request.url,
                size=request.size,
                digests=request.digests,
                name=unquote(urlsplit(request.url).path.rpartition("/")[2]),
                endpoint=addresses.origin(request.url) if request.explicit else "",
            ),
        )

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        """Bring *candidate* to *target*; declines what is no http address."""
        if urlsplit(candidate.url).scheme not in ("http", "https"):
            return None
        for attempt in range(self._settings.max_retries + 1):
            try:
                return self._attempt(candidate, target, headers, context)
            except TransportError as error:
                if attempt == self._settings.max_retries or not error.retryable:
                    raise
            except BackendError as error:
                if attempt == self._settings.max_retries or error.http_status not in _TRANSIENT:
                    raise
            self._gates.sleep(backoff(attempt), context.cancelled)
        raise AssertionError("unreachable")

    def _attempt(self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context) -> Artifact:
        exchange = self._transport.open("GET", candidate.url, credentials=headers, endpoint=candidate.endpoint)
        try:
            size = self._check(exchange, candidate)
            context.emit(DownloadStarted(label="", candidate=candidate, resumed_at=0, size=size))
            try:
                with self._reservations.reserve(target.parent, size or 0):
                    received, digest = self._receive(exchange, target, size, context)
            except OSError as error:
                raise as_disk_error(error, target) from error
        finally:
            exchange.close()
        if size is not None and received < size:
            raise TransportError(f"{addresses.redact(exchange.url)} ended after {received} of {size} bytes")
        artifact = Artifact(path=target, size=received, digests=(Digest("sha256", digest),))
        context.emit(DownloadFinished(label="", candidate=candidate, artifact=artifact))
        return artifact

    def _check(self, exchange: Exchange, candidate: Candidate) -> int | None:
        if exchange.status != 200:
            raise exchange.answer(_REFUSAL_BYTES).error()
        kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/json", "application/xhtml+xml"):
            answer = exchange.answer(_REFUSAL_BYTES)
            raise BackendError(
                f"{addresses.redact(exchange.url)} sent a page ({kind}) instead of a file",
                code=ErrorCode.NOT_A_MODEL,
                http_status=exchange.status,
                hint="The page may be a login; look at the address in a browser.",
                response=answer,
            )
        if exchange.headers.get("content-encoding", "identity").lower() != "identity":
            raise BackendError(
                f"{addresses.redact(exchange.url)} encodes the file although it was asked not to",
                code=ErrorCode.NOT_A_MODEL,
            )
        length = exchange.headers.get("content-length", "")
        size = int(length) if length.isdecimal() else None
        if size is not None and candidate.size is not None and size != candidate.size:
            raise BackendError(
                f"{addresses.redact(exchange.url)} has {size} bytes instead of {candidate.size}",
                code=ErrorCode.SIZE_MISMATCH,
            )
        return size if size is not None else candidate.size

    def _receive(self, exchange: Exchange, target: Path, size: int | None, context: Context) -> tuple[int, str]:
        digest = hashlib.sha256()
        received = 0
        target.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "wb", buffering=0) as file:
            while True:
                if context.cancelled():
                    raise Cancelled("stopped during a download")
                chunk = exchange.read(_CHUNK)
                if not chunk:
                    return received, digest.hexdigest()
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if size is not None and received > size:
                    raise BackendError(
                        f"{addresses.redact(exchange.url)} sent more than {size} bytes", code=ErrorCode.SIZE_MISMATCH
                    )
                context.emit(BytesReceived(label="", received=received, size=size))
