"""Each refusal of the Hub, told apart by its code, in the order that the overlapping ones need."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from attrs import frozen
from comfywatchman_huggingface.references import HubFile
from comfywatchman_huggingface.refusals import error_message, pause_of, refusal, seconds_until_reset
from comfywatchman_huggingface.settings import Settings

from comfywatchman_core import AuthRequired, BackendError, errors

FILE = HubFile(repo="maker/model", path="vae/ae.safetensors", revision="main")
CODE = errors.ErrorCode


@frozen
class Answered:
    """An answer as the core's client gives it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    url: str = "https://huggingface.co/maker/model"

    def json(self) -> object:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise BackendError("not JSON") from error

    def error(self, message: str = "", *, hint: str | None = None) -> BackendError:
        return BackendError(message or str(self.status), hint=hint, code=CODE.UNAVAILABLE, http_status=self.status)


@pytest.mark.parametrize(
    ("status", "headers", "code", "says"),
    [
        (401, {"x-error-code": "GatedRepo"}, CODE.GATED, "is gated, and no token is set"),
        (403, {"x-error-code": "GatedRepo"}, CODE.GATED, "is gated"),
        (401, {"x-error-code": "RepoNotFound"}, CODE.NOT_FOUND, "does not exist, or is private"),
        (404, {"x-error-code": "RepoNotFound"}, CODE.NOT_FOUND, "does not exist, or is private"),
        (404, {"x-error-code": "RevisionNotFound"}, CODE.NOT_FOUND, "has no revision main"),
        (404, {"x-error-code": "EntryNotFound"}, CODE.NOT_FOUND, "has no file vae/ae.safetensors"),
        (
            401,
            {"x-error-message": "Invalid credentials in Authorization header"},
            CODE.AUTH_REQUIRED,
            "does not accept the token",
        ),
        # a mirror that answers without codes
        (401, {}, CODE.NOT_FOUND, "does not exist, or is private"),
        (403, {}, CODE.AUTH_REQUIRED, "may not be read"),
        (403, {"x-error-message": "Access to this resource is disabled."}, CODE.DOWNLOADS_DISABLED, "is disabled"),
        (451, {}, CODE.DOWNLOADS_DISABLED, "is disabled"),
        (429, {"ratelimit": '"api";r=0;t=55'}, CODE.RATE_LIMITED, "allows no more requests"),
        (503, {}, CODE.UNAVAILABLE, "503"),
    ],
)
def test_a_refusal_has_its_own_code_and_a_hint(
    status: int, headers: dict[str, str], code: errors.ErrorCode, says: str
) -> None:
    error = refusal(Answered(status, headers), FILE, Settings(), signed_in=False)

    assert error.code is code
    assert says in str(error)
    assert error.hint
    assert isinstance(error, AuthRequired) is (code in (CODE.GATED, CODE.AUTH_REQUIRED))


@pytest.mark.parametrize(
    ("status", "signed_in", "says"),
    [
        (401, False, "no token is set"),
        (401, True, "the token is not accepted"),
        (403, True, "the token's account has no access"),
    ],
)
def test_a_gate_says_what_is_missing(status: int, signed_in: bool, says: str) -> None:
    error = refusal(Answered(status, {"x-error-code": "GatedRepo"}), FILE, Settings(), signed_in=signed_in)

    assert says in str(error)
    assert "https://huggingface.co/maker/model" in (error.hint or "")


def test_a_message_is_read_from_the_body_where_the_header_is_missing() -> None:
    assert error_message(Answered(401, {}, b'{"error": "Invalid credentials in Authorization header"}'))
    assert error_message(Answered(401, {}, b'{"error": ["x"]}')) == ""
    assert error_message(Answered(401, {}, b"<html>")) == ""
    assert error_message(Answered(401, {}, b"[1]")) == ""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('"api";r=0;t=55', ("api", 0, 55.0)),
        ('"resolvers" ; r = 12 ; t = 3', ("resolvers", 12, 3.0)),
        ("api;r=0", None),
        ("", None),
        ('"api";r=-1;t=5', None),
        ('"api";r=0;t=' + "9" * 40, None),
    ],
)
def test_the_limits_header_is_read_and_nonsense_is_not(text: str, read: object) -> None:
    assert seconds_until_reset({"ratelimit": text}) == read


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7", "ratelimit": '"api";r=0;t=55'}, 7.0),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_pause_is_read_from_either_header(headers: dict[str, str], seconds: float | None) -> None:
    assert pause_of(Answered(429, headers)) == seconds
