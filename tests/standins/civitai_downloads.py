"""Downloads of the Civitai stand-in: the status table, the signed redirect, and the storage host behind it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

from attrs import Factory, define

from comfywatchman_core.testing import Asked, Reply

from .civitai_catalogue import Catalogue, DownloadAnswer, File, Model, StorageFault, Version
from .civitai_documents import Documents, looks_like_a_browser, selected_for_download
from .civitai_naming import printed_name

_A = DownloadAnswer
_QUOTA = (
    "We've noticed an unusual amount of downloading from your account. Contact support@civitai.com or come back later."
)
_DISABLED = "The creator of this asset has disabled downloads on this file"
_LOGIN = "The creator of this asset requires you to be logged in to download it"
_EARLY = "This asset is in Early Access. You can use Buzz access it now!"
_FILE_TYPES = frozenset(
    {
        "Model", "Text Encoder", "Vision Encoder", "Pruned Model", "Negative", "Training Data", "VAE", "Config",
        "Archive", "UNet", "Diffusion Model", "CLIPVision", "ControlNet", "Workflow", "Upscaler", "Enhancement LoRA",
        "Other",
    }
)  # fmt: skip
_XML = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'

_REFUSALS: dict[DownloadAnswer, tuple[int, dict[str, str]]] = {
    _A.BLOCKED: (403, {"error": "Forbidden"}),
    _A.QUOTA: (429, {"error": _QUOTA}),
    _A.BAD_PARAMETER: (400, {"error": "Invalid option for type"}),
    _A.MISSING: (404, {"error": "File not found"}),
    _A.ARCHIVED: (410, {"error": "Model archived, not available for download"}),
    _A.DISABLED: (401, {"error": "Unauthorized", "message": _DISABLED}),
    _A.LOGIN: (401, {"error": "Unauthorized", "message": _LOGIN}),
    _A.EARLY_ACCESS: (403, {"error": "Early Access", "message": _EARLY}),
    _A.PAYWALL: (403, {"error": "Early Access", "message": _EARLY}),
    _A.NO_ACCESS: (403, {"error": "You do not have access to download this file"}),
    _A.FILE_MISSING: (404, {"error": "File not found"}),
    _A.SERVER_ERROR: (500, {"error": "Internal error"}),
}


@define(eq=False)
class Downloads:
    """Answers ``/api/download/models/…``, and signs and serves the files."""

    catalogue: Catalogue
    documents: Documents
    storage: Callable[[], str]
    """The storage origin's URL, known once it runs."""
    style: Literal["r2", "b2"] = "r2"
    lifetime: float = 86400.0
    """Seconds for which a signed URL is valid."""
    needs_login: bool = False
    preferences: dict[str, str] = Factory(dict)
    """The file preferences of the account behind the key; they decide what a bare URL gives."""
    redirect: Callable[[str], str] = lambda url: url
    """Rewrites the address of the redirect, for a service that leads astray."""
    _tries: Counter[tuple[str, int]] = Factory(Counter)
    _revoked: set[str] = Factory(set)

    def answer(self, asked: Asked, base: str, *, logged_in: bool) -> Reply:
        """The first hop: an error by the table, or 307 to a signed URL."""
        if asked.method == "HEAD":
            return Reply(status=401)
        browser = looks_like_a_browser(asked.headers.get("user-agent", ""))
        row, version, file, deadline = self._row(asked, logged_in=logged_in)
        if row is not _A.OK or file is None or version is None:
            return self._refusal(row, asked, base, version, deadline, browser=browser)
        return Reply(
            status=307, headers={"Location": self.redirect(self._signed(file)), "Cache-Control": "no-store, max-age=0"}
        )

    def _row(self, asked: Asked, *, logged_in: bool) -> tuple[DownloadAnswer, Version | None, File | None, str | None]:
        query = {key: values[-1] for key, values in asked.query.items()}
        number = asked.path.rpartition("/")[2]
        if query.get("type") and query["type"] not in _FILE_TYPES:
            return _A.BAD_PARAMETER, None, None, None
        model, version = self.catalogue.versions.get(int(number) if number.isdigit() else 0, (None, None))
        if model is None or version is None:
            return _A.MISSING, None, None, None
        file = selected_for_download(version.files, query, self.preferences if logged_in else {})
        forced = file.answer if file is not None else _A.OK
        row = self._by_state(model, version, logged_in=logged_in)
        if forced is _A.LOGIN and logged_in:
            forced = _A.OK
        if forced is not _A.OK:
            row = forced
        if row is _A.OK and file is not None:
            self._tries["file", file.id] += 1
            if self._tries["file", file.id] <= file.misses:
                row = _A.FILE_MISSING
        if row is _A.OK and file is None:
            row = _A.FILE_MISSING
        return row, version, file, version.early_access_deadline or (version.paid_access or {}).get("endsAt")

    def _by_state(self, model: Model, version: Version, *, logged_in: bool) -> DownloadAnswer:
        if model.poi:
            return _A.MISSING
        if model.mode == "Archived":
            return _A.ARCHIVED
        if model.status != "Published" or version.status != "Published":
            return _A.MISSING
        if version.usage_control != "Download":
            return _A.DISABLED
        if (version.require_auth or self.needs_login) and not logged_in:
            return _A.LOGIN
        if version.bought and logged_in:
            return _A.OK
        if version.paid_access:
            return _A.PAYWALL if version.paid_access.get("permanent") else _A.EARLY_ACCESS
        return _A.EARLY_ACCESS if version.early_access_deadline else _A.OK

    def _refusal(
        self,
        row: DownloadAnswer,
        asked: Asked,
        base: str,
        version: Version | None,
        deadline: str | None,
        *,
        browser: bool,
    ) -> Reply:
        if browser and row is _A.LOGIN:
            target = f"{base}/login?returnUrl={quote(asked.path, safe='')}&reason=download-auth"
            return Reply(status=307, headers={"Location": target})
        if browser and row in (_A.EARLY_ACCESS, _A.PAYWALL) and version is not None:
            return Reply(status=307, headers={"Location": f"{base}/model-versions/{version.id}"})
        status, body = _REFUSALS[row]
        if row is _A.EARLY_ACCESS:
            body = {**body, "deadline": deadline or "2126-01-01T00:00:00.000Z"}
        if browser:
            text = body.get("message") or body["error"]
            return Reply(status=status, headers={"Content-Type": "text/plain"}, body=text.encode())
        return Reply.json(body, status)

    def revoke(self) -> None:
        """Let every URL signed so far expire at once."""
        self._revoked |= {f"{expires:.3f}" for expires in self._issued}

    _issued: list[float] = Factory(list)

    def _signed(self, file: File) -> str:
        expires = time.time() + self.lifetime + len(self._issued) / 1000  # no two alike
        self._issued.append(expires)
        key = f"{file.id}-{expires:.3f}"
        model, version = next(
            (model, version) for model, version in self.catalogue.versions.values() if file in version.files
        )
        name = quote(f'attachment; filename="{printed_name(model, version, file, rule=self.documents.rule)}"', safe="")
        if self.style == "b2":
            return (
                f"{self.storage()}/file/civitai-modelfiles/model/7/{key}.safetensors"
                f"?Authorization=3_{_signature(key)}&b2ContentDisposition={name}"
            )
        return (
            f"{self.storage()}/model/7/{key}.safetensors?X-Amz-Expires={int(self.lifetime)}"
            f"&response-content-disposition={name}&X-Amz-Signature={_signature(key)}"
        )

    def serve_file(self, asked: Asked) -> Reply:
        """The storage host."""
        if asked.method == "HEAD":
            return Reply(status=403)
        key = asked.path.rpartition("/")[2].removesuffix(".safetensors")
        number, _, expires = key.partition("-")
        query = {name: values[-1] for name, values in asked.query.items()}
        signature = query.get("X-Amz-Signature") or query.get("Authorization", "").removeprefix("3_")
        if "authorization" in asked.headers:
            if self.style == "b2":
                return Reply.json({"code": "bad_auth_token", "status": 401}, 401)
            return _xml(400, "InvalidRequest", "Missing x-amz-content-sha256")
        if signature != _signature(key):
            return _xml(403, "SignatureDoesNotMatch", "The signature does not match")
        if float(expires) < time.time() or expires in self._revoked:
            if self.style == "b2":
                return Reply.json({"code": "expired_auth_token", "status": 401}, 401)
            return _xml(403, "ExpiredRequest", "Request has expired")
        file = next(
            file for _, version in self.catalogue.versions.values() for file in version.files if str(file.id) == number
        )
        return self._body(file, asked)

    def _body(self, file: File, asked: Asked) -> Reply:
        data = file.payload or b""
        self._tries["storage", file.id] += 1
        fault = file.fault if self._tries["storage", file.id] <= file.faults else StorageFault.NONE
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        if fault is StorageFault.LOGIN_PAGE:
            return Reply.html("<!DOCTYPE html><html><title>Sign in</title></html>")
        if fault is StorageFault.JSON_ERROR:
            return Reply.json({"error": "Something went wrong"})
        if fault is StorageFault.OTHER_BYTES:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if fault is StorageFault.IGNORES_RANGE:
            return Reply(headers={"Content-Type": "application/octet-stream", "ETag": etag}, body=data)
        reply = Reply.of_bytes(data, asked, ETag=etag)
        if fault in (StorageFault.CUT, StorageFault.WRONG_LENGTH):
            sent = reply.body[: len(reply.body) // 2] if fault is StorageFault.CUT else reply.body
            promised = len(reply.body) + (1000 if fault is StorageFault.WRONG_LENGTH else 0)
            headers = {**reply.headers, "Content-Length": str(promised), "Connection": "close"}
            return Reply(status=reply.status, headers=headers, body=sent)
        return reply


def _signature(key: str) -> str:
    return hashlib.sha256(f"stand-in {key}".encode()).hexdigest()


def _xml(status: int, code: str, message: str) -> Reply:
    return Reply(
        status=status,
        headers={"Content-Type": "application/xml"},
        body=_XML.format(code=code, message=message).encode(),
    )
