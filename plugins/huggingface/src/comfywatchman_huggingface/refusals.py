"""What a refusal of the Hub means, and what the user can do about it.

The status alone does not say: 401 stands for a missing repository, a private
one, a gated one and a bad token. ``X-Error-Code`` tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from comfywatchman_core import AuthRequired, BackendError, errors

from .references import HubFile
from .settings import HOME, Settings


class Answer(Protocol):
    """An HTTP answer as the core's client returns it."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    @property
    def body(self) -> bytes: ...
    @property
    def url(self) -> str:
        """Where the answer came from, after redirects."""

    def json(self) -> Any: ...
    def error(self, message: str = ..., *, hint: str | None = ...) -> BackendError: ...


_TOKEN_STEPS = f"create a token at {HOME}/settings/tokens and set HF_TOKEN, or run `hf auth login`"


def error_code(answer: Answer) -> str:
    """``X-Error-Code``, or empty."""
    return answer.headers.get("x-error-code", "")


def is_bad_token(answer: Answer) -> bool:
    """Say whether the Hub could not read the token; it then refuses public repositories, too."""
    words = error_message(answer).lower()
    said = "invalid credentials" in words or "invalid username or password" in words
    return answer.status == 401 and not error_code(answer) and said


def error_message(answer: Answer) -> str:
    """What the Hub says in words; from the header, or from a JSON body."""
    if text := answer.headers.get("x-error-message"):
        return text
    try:
        body = answer.json()
    except BackendError:
        return ""
    text = body.get("error") if isinstance(body, Mapping) else None
    return text if isinstance(text, str) else ""


def seconds_until_reset(headers: Mapping[str, str]) -> tuple[str, int, float] | None:
    """Read the ``RateLimit`` header.

    :returns: Bucket, requests left, seconds until it is full again; ``None`` without the header.
    """
    found = re.search(
        r'"(\w{1,40})"\s*;\s*r\s*=\s*(\d{1,9})\s*;\s*t\s*=\s*(\d{1,9})(?!\d)', headers.get("ratelimit", "")
    )
    return (found[1], int(found[2]), float(found[3])) if found else None


def refusal(answer: Answer, file: HubFile, settings: Settings, *, signed_in: bool) -> BackendError:
    """The error that *answer* about *file* stands for.

    :param signed_in: A token was sent with the request.
    """
    code, status = error_code(answer), answer.status
    where = file.page(settings.site)
    # The order matters: a gated repository answers 401 as a missing one does, and so does a bad token.
    if code == "GatedRepo":
        return gated(file, settings, signed_in=signed_in, answer=answer)
    if code == "RevisionNotFound":
        hint = "Branches and tags can be renamed, and history can be rewritten; try without a revision."
        return _error(answer, errors.ErrorCode.NOT_FOUND, f"{where} has no revision {file.revision or 'main'}", hint)
    if code == "EntryNotFound":
        hint = "It may have been renamed there; look at the repository's file list."
        return _error(answer, errors.ErrorCode.NOT_FOUND, f"{where} has no file {file.path}", hint)
    if status == 451 or error_message(answer) == "Access to this resource is disabled.":
        return _error(
            answer, errors.ErrorCode.DOWNLOADS_DISABLED, f"{where} is disabled by the Hub", "Find another source."
        )
    if is_bad_token(answer):
        return _error(
            answer, errors.ErrorCode.AUTH_REQUIRED, "the Hub does not accept the token", f"To renew it, {_TOKEN_STEPS}."
        )
    if code == "RepoNotFound" or status == 401:
        hint = (
            "Check the name; if it is private, the token's account needs access to it."
            if signed_in
            else f"Check the name; if it is private, {_TOKEN_STEPS}."
        )
        return _error(answer, errors.ErrorCode.NOT_FOUND, f"{where} does not exist, or is private", hint)
    if status == 403:
        hint = "The token may lack the right to read this repository; a fine-grained token names what it may read."
        return _error(answer, errors.ErrorCode.AUTH_REQUIRED, f"{where} may not be read", hint)
    if status == 429:
        return rate_limited(settings, pause_of(answer))
    return answer.error(hint="The Hub may have trouble; try again later.")


def gated(file: HubFile, settings: Settings, *, signed_in: bool, answer: Answer | None = None) -> BackendError:
    """The error for a repository whose licence has to be accepted first."""
    where = file.page(settings.site)
    if not signed_in:
        hint = f"Accept the licence at {where}, {_TOKEN_STEPS}."
        message = f"{where} is gated, and no token is set"
    elif answer is not None and answer.status == 401:
        hint = f"Accept the licence at {where}; the token seems to be invalid: {_TOKEN_STEPS}."
        message = f"{where} is gated, and the token is not accepted"
    else:
        hint = (
            f"Accept the licence at {where} with the token's account; a fine-grained token also needs the right "
            "to read public gated repositories."
        )
        message = f"{where} is gated, and the token's account has no access"
    return AuthRequired(
        message,
        hint=hint,
        code=errors.ErrorCode.GATED,
        http_status=answer.status if answer is not None else None,
    )


def rate_limited(settings: Settings, seconds: float | None) -> BackendError:
    """The error for a request limit that is not waited for."""
    when = f"in {seconds:.0f} seconds" if seconds is not None else "in some minutes"
    return BackendError(
        f"{settings.endpoint} allows no more requests for now",
        hint=f"Run again {when}; with a token (HF_TOKEN) the limits are higher.",
        code=errors.ErrorCode.RATE_LIMITED,
        http_status=429,
        retry_after=seconds,
    )


def pause_of(answer: Answer) -> float | None:
    """Seconds after which a 429 may be asked again, by either of its headers."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text):
        return float(text)
    told = seconds_until_reset(answer.headers)
    return told[2] if told else None


def _error(answer: Answer, code: errors.ErrorCode, message: str, hint: str | None = None) -> BackendError:
    kind = AuthRequired if code is errors.ErrorCode.AUTH_REQUIRED else BackendError
    return kind(message, hint=hint, code=code, http_status=answer.status)
