"""An HTTP answer read whole, and the error that its status stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from . import addresses
from .errors import AuthRequired, BackendError, ErrorCode
from .pacing import retry_after

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""Statuses that a later attempt may not meet again."""


_HINTS = {
    ErrorCode.AUTH_REQUIRED: "The source wants a token, or does not let the one it was given have this.",
    ErrorCode.NOT_FOUND: "It may have been moved or removed.",
    ErrorCode.RATE_LIMITED: "Run again later; what has arrived is kept.",
    ErrorCode.UNAVAILABLE: "The source may have trouble; try again later.",
}


@frozen(kw_only=True)
class HttpAnswer:
    """An answer read whole; bounded in size."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case. ``location`` and cookies may be as good as a password."""
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    """Where the answer came from, after redirects. May hold a signature: never print it."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Parse the body. :raises BackendError: It is not JSON, whatever the status and the type say."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type").partition(";")[0]
            raise BackendError(
                f"{addresses.redact(self.url)} answered {self.status} with {addresses.printable(kind)} instead of JSON",
                code=ErrorCode.UNAVAILABLE,
                http_status=self.status,
                hint="The service may be down for maintenance, or a proxy answers in its place; try again later.",
                response=self,
            ) from error

    def error(self, message: str = "", *, hint: str | None = None) -> BackendError:
        """The error that this answer stands for, by its status."""
        pause = retry_after(self.headers)
        wish = f", and wants to be left alone for {pause:.0f} seconds" if pause else ""
        message = message or f"{addresses.redact(self.url)} answered {self.status}{wish}"
        kind: type[BackendError] = AuthRequired if self.status in (401, 403) else BackendError
        return kind(
            message,
            hint=hint or _HINTS.get(code_of_status(self.status)),
            code=code_of_status(self.status),
            http_status=self.status,
            retry_after=pause,
            response=self,
        )


def code_of_status(status: int) -> ErrorCode:
    """Map an HTTP status onto the report's vocabulary, for a source that says nothing more exact."""
    if status in (401, 403):
        return ErrorCode.AUTH_REQUIRED
    if status in (404, 410):
        return ErrorCode.NOT_FOUND
    if status == 429:
        return ErrorCode.RATE_LIMITED
    return ErrorCode.UNAVAILABLE
