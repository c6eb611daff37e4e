"""Everything this package raises on purpose, and the codes under which it is reported.

This module imports nothing from the package, so any module may import it.
An exception class exists for each thing a caller can do about it; the finer
distinction is its :class:`ErrorCode`, which ``--json`` prints.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from .http import HttpAnswer
    from .report import Report


class ErrorCode(enum.StrEnum):
    """Why a file could not be had; the vocabulary of ``files[].error.code``."""

    AUTH_REQUIRED = "auth_required"
    EARLY_ACCESS = "early_access"
    GATED = "gated"
    DOWNLOADS_DISABLED = "downloads_disabled"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate_limited"
    NETWORK = "network"
    STALLED = "stalled"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    SIZE_MISMATCH = "size_mismatch"
    NOT_A_MODEL = "not_a_model"
    UNSAFE_NAME = "unsafe_name"
    PICKLE_REFUSED = "pickle_refused"
    NO_CHECKSUM = "no_checksum"
    CONFLICT = "conflict"
    BUSY = "busy"
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    CANCELLED = "cancelled"
    BACKEND_FAILED = "backend_failed"


@frozen(kw_only=True)
class Failure:
    """What a report says of an error; holds no traceback and no secret."""

    code: ErrorCode
    message: str
    """One sentence: what happened, to what."""
    hint: str | None = None
    """One sentence: what to do about it."""
    http_status: int | None = None
    retry_after: float | None = None
    """Seconds after which a retry makes sense, where the source says so."""


class ComfyWatchmanError(Exception):
    """Base of every error raised on purpose by the core or by a back end."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ComfyWatchmanError):
    """The arguments or the configuration cannot be used as they are."""


class WorkflowError(ComfyWatchmanError):
    """The file cannot be read as a ComfyUI workflow."""


class NoWorkflow(WorkflowError):
    """The file is sound and carries no workflow: in a directory, most pictures are such files."""


class UnsafeName(ComfyWatchmanError, ValueError):
    """A file name or folder that could lead out of the models folder on some system."""


class BackendError(ComfyWatchmanError):
    """A back end could not do its part; the next one is asked.

    :param code: What a report says; :attr:`ErrorCode.BACKEND_FAILED` where the back end does not know better.
    :param http_status: The status that the source answered with, if one did.
    :param retry_after: Seconds after which the source wants to be asked again.
    :param response: The refusing answer itself, for a back end that can read more out of it.
        Never stored and never printed.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: ErrorCode | str = ErrorCode.BACKEND_FAILED,
        http_status: int | None = None,
        retry_after: float | None = None,
        response: HttpAnswer | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = ErrorCode(code)
        self.http_status = http_status
        self.retry_after = retry_after
        self.response = response

    @property
    def failure(self) -> Failure:
        """The error as a value for a report."""
        return Failure(
            code=self.code,
            message=str(self),
            hint=self.hint,
            http_status=self.http_status,
            retry_after=self.retry_after,
        )


def error_of(failure: Failure) -> BackendError:
    """The error that a recorded failure stands for."""
    return BackendError(
        failure.message,
        hint=failure.hint,
        code=failure.code,
        http_status=failure.http_status,
        retry_after=failure.retry_after,
    )


class AuthRequired(BackendError):
    """The source wants a token, or refused the one it was given."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: ErrorCode | str = ErrorCode.AUTH_REQUIRED,
        http_status: int | None = None,
        retry_after: float | None = None,
        response: HttpAnswer | None = None,
    ) -> None:
        super().__init__(
            message, hint=hint, code=code, http_status=http_status, retry_after=retry_after, response=response
        )


class Cancelled(ComfyWatchmanError):
    """The caller asked to stop; no further back end is asked."""


class ModelsMissing(ComfyWatchmanError):
    """At least one model is still missing; ``report`` says which and why."""

    def __init__(self, message: str, *, report: Report) -> None:
        super().__init__(message, hint="The report's entries say who was asked and what they answered.")
        self.report = report
