"""What the service's refusals mean, and what the user can do about each.

The same status stands for different things: 401 is "log in" or "nobody may
download this"; only the text tells them apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from comfywatchman_core import AuthRequired, BackendError

from .credentials import WHERE_TO_PUT_IT, Key

QUOTA_HINT = "The limit is lifted within a day; run the same command again then. The other sources are still asked."

_LONGEST_TEXT = 200


class Answer(Protocol):
    """The part of the core's answer that is read here."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def url(self) -> str: ...
    @property
    def text(self) -> str: ...
    def error(self, message: str = ..., *, hint: str | None = ...) -> BackendError: ...


def is_document(answer: Answer) -> bool:
    """Say whether the body is a JSON object, as every refusal of the API itself is."""
    return bool(_document(answer)) or answer.text.strip() == "{}"


def refused_read(answer: Answer) -> BackendError:
    """The error that a refused question to the API stands for."""
    status, text = answer.status, _text(answer)
    pause = answer.error().retry_after
    if status == 451:
        return BackendError(
            "Civitai does not answer in this region (451), for legal reasons",
            code="unavailable",
            hint="Nothing to retry; base_url in [backends.civitai] may name another host that speaks the same API.",
            http_status=status,
        )
    if status == 429:
        return BackendError(
            "Civitai answers 429: too many questions",
            code="rate_limited",
            hint="Run again later; a smaller requests_per_second in [backends.civitai] asks more slowly.",
            http_status=status,
            retry_after=pause,
        )
    if status in (401, 403):
        challenge = "" if text else ", with a page meant for browsers"
        return BackendError(
            f"Civitai refuses to be asked from here ({status}{challenge})",
            code="unavailable",
            hint="Its protection may block this address or proxy; try again later or from another network.",
            http_status=status,
        )
    return BackendError(
        f"Civitai did not take the question ({status}): {text or 'no reason given'}",
        code="unavailable",
        hint="The API may have changed; look for a newer comfywatchman-civitai.",
        http_status=status,
        retry_after=pause,
    )


def refused_download(answer: Answer, what: str, base_url: str, key: Key | None) -> BackendError | None:
    """The error that a refused download stands for; ``None`` where the answer tells nothing of its own.

    :param what: The reference of the file, for the message.
    :param key: The key that was sent.
    """
    if _is_login_page(answer.url):
        return _login(what, key)
    if not _same_origin(answer.url, base_url):
        return _by_storage(answer, what)
    if re.search(r"/(?:models|model-versions)/\d+", urlsplit(answer.url).path) and "/api/" not in answer.url:
        return _early_access(what, {})  # what browsers are shown in the place of a file in early access
    document, text = _document(answer), _text(answer)
    told = f"{document.get('error') or ''} {document.get('message') or ''} {text}".lower()
    if answer.status == 401 and "disabled" in told:
        return BackendError(
            f"the creator of {what} has disabled its download",
            code="downloads_disabled",
            hint="A key does not help; ask the creator, or choose another model.",
            http_status=401,
        )
    if answer.status == 401:
        return _login(what, key)
    if answer.status == 403:
        return _forbidden(answer, what, document, told)
    if answer.status in _DOWNLOADS:
        code, message, hint = _DOWNLOADS[answer.status]
        return BackendError(
            message.format(what=what, text=text or "no reason given"),
            code=code,
            hint=hint,
            http_status=answer.status,
            retry_after=answer.error().retry_after,
        )
    return None


_DOWNLOADS = {
    400: (
        "unavailable",
        "Civitai did not take the address of {what}: {text}",
        "Pass the link of the model's page instead.",
    ),
    404: (
        "not_found",
        "Civitai has no file for {what}",
        "It was deleted or unpublished, or its storage cannot find it at the moment; its page tells which.",
    ),
    410: (
        "not_found",
        "{what} is archived and cannot be downloaded any more",
        "Its checksum may be known elsewhere: other sources and archives can be searched for it.",
    ),
    429: ("rate_limited", "Civitai lets this account download no more for now: {text}", QUOTA_HINT),
    451: (
        "unavailable",
        "Civitai does not serve {what} in this region (451)",
        "Nothing to retry; another source may have the same file.",
    ),
    500: ("unavailable", "Civitai failed over {what}: {text}", "Try again later."),
    502: ("unavailable", "Civitai is out of order at the moment (502), {what} was not sent", "Try again later."),
    503: ("unavailable", "Civitai is overloaded at the moment (503), {what} was not sent", "Try again later."),
    504: ("unavailable", "Civitai is out of order at the moment (504), {what} was not sent", "Try again later."),
}


def is_quota(answer: Answer, base_url: str) -> bool:
    """Say whether the account may download no more: no file of this service will work in this run."""
    return answer.status == 429 and _same_origin(answer.url, base_url)


def _login(what: str, key: Key | None) -> BackendError:
    if key is None:
        return AuthRequired(f"{what} can be downloaded only with a key", hint=WHERE_TO_PUT_IT, http_status=401)
    return AuthRequired(
        f"Civitai wants a key for {what}, and does not accept the one from {key.origin}",
        hint="It is mistyped, expired or revoked; make a new one in the account settings on Civitai.",
        http_status=401,
    )


def _forbidden(answer: Answer, what: str, document: Mapping[str, Any], told: str) -> BackendError:
    if "early access" in told:
        return _early_access(what, document)
    if "do not have access" in told:
        return AuthRequired(
            f"this account has no access to {what}",
            code="gated",
            hint="Its creator grants access; see the model's page.",
            http_status=403,
        )
    if document:
        message = f"Civitai refuses downloads to this address or account ({_text(answer)})"
    else:
        message = "Civitai's protection answered with a page for browsers in the place of the file"
    return BackendError(
        message,
        code="unavailable",
        hint="Try again later or from another network; if it lasts, ask Civitai's support.",
        http_status=403,
    )


def _early_access(what: str, document: Mapping[str, Any]) -> BackendError:
    return early_access(what, _line(document.get("deadline")) or None)


def early_access(what: str, until: str | None) -> BackendError:
    """The error for a file that only those who paid may download.

    :param until: When that ends, as the service writes it.
    """
    if until:
        message, hint = f"{what} is in early access until {until}", "Wait until then, or buy access on its page."
    else:
        message, hint = f"{what} has to be bought; no date is set after which it is free", "Buy access on its page."
    return AuthRequired(message, code="early_access", hint=hint, http_status=403)


def _by_storage(answer: Answer, what: str) -> BackendError | None:
    """The storage host refused a link that the service had signed a moment before."""
    if answer.status in (400, 401, 403):
        return BackendError(
            f"the storage of {what} refused a fresh link ({answer.status})",
            code="unavailable",
            hint="Try again; if it lasts, a proxy or a firewall may change the request.",
            http_status=answer.status,
        )
    return None


def _is_login_page(url: str) -> bool:
    parts = urlsplit(url)
    return "/login" in parts.path or "reason=download-auth" in parts.query


def _same_origin(url: str, base_url: str) -> bool:
    one, other = urlsplit(url), urlsplit(base_url)
    ports = {"http": 80, "https": 443}
    return (one.scheme, one.hostname, one.port or ports.get(one.scheme)) == (
        other.scheme,
        other.hostname,
        other.port or ports.get(other.scheme),
    )


def _document(answer: Answer) -> Mapping[str, Any]:
    try:
        document = json.loads(answer.text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(answer: Answer) -> str:
    """The reason that the answer gives, in one line; empty for a page."""
    document = _document(answer)
    for reason in (document.get("message"), document.get("error")):
        if isinstance(reason, dict):  # zod writes an object
            reason = reason.get("message") or json.dumps(reason)
        if line := _line(reason):
            return line
    return "" if document or answer.text.lstrip().startswith("<") else _line(answer.text)


def _line(text: object) -> str:
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return "".join(letter for letter in words if letter.isprintable())[:_LONGEST_TEXT]
