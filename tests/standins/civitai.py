"""A Civitai of one's own for tests: the API's origin, and a storage origin on another host and port.

It follows what is known of the real service: which file a download gives, how
files are named, what the search looks at, how every refusal reads. ::

    with CivitaiStandIn() as civitai:
        civitai.add_model(name="Ink", type="LORA", versions=[Version("v1", [File("ink.safetensors", payload)])])
        ...                             # base_url = civitai.url
        assert civitai.storage_requests # what the storage host was asked
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal

from comfywatchman_core.testing import Asked, Reply, serve

from .civitai_catalogue import Catalogue, DownloadAnswer, File, Model, StorageFault, Version
from .civitai_documents import Documents, chosen_file
from .civitai_downloads import Downloads
from .civitai_listing import MODEL_TYPES, Listing
from .civitai_naming import Rule
from .civitai_search import SearchIndex

__all__ = ["CivitaiStandIn", "DownloadAnswer", "File", "Model", "StorageFault", "Version"]

_HASH = re.compile(r"[0-9A-Fa-f]{64}")


class CivitaiStandIn:
    """The service while the block lasts.

    :param keys: API keys that it knows; every other one counts as anonymous, silently, as on the real service.
    :param needs_login: Every download asks for a key.
    :param rule: The naming rule in force.
    :param style: Whose signed URLs the storage uses.
    :param lifetime: Seconds until a signed URL expires.
    :param fills_pages: See :class:`SearchIndex`.
    :param printed_base: The host that ``/models/{id}`` and ``mini`` print in URLs, as configured there.
    """

    def __init__(
        self,
        *,
        keys: tuple[str, ...] = (),
        needs_login: bool = False,
        rule: Rule = "v2",
        style: Literal["r2", "b2"] = "r2",
        lifetime: float = 86400.0,
        pinned_urls: bool = False,
        fills_pages: bool = False,
        printed_base: str = "https://civitai.com",
    ) -> None:
        self.keys = keys
        self.catalogue = Catalogue()
        self.index = SearchIndex(fills_pages=fills_pages)
        self.documents = Documents(rule=rule, pinned_urls=pinned_urls)
        self.downloads = Downloads(
            self.catalogue,
            self.documents,
            lambda: self.storage_url,
            style=style,
            lifetime=lifetime,
            needs_login=needs_login,
        )
        self.listing = Listing(self.catalogue, self.index, self.documents)
        self.region_blocked = False
        self.storage_answer: Callable[[Asked], Reply] = self.downloads.serve_file
        """How the storage answers; a test may put something of its own in the way."""
        self._printed_base = printed_base
        self._planned: list[tuple[str, Reply, int]] = []
        self._stack = ExitStack()

    def __enter__(self) -> CivitaiStandIn:
        self._api = self._stack.enter_context(serve(lambda asked: self.answer(asked)))
        self._storage = self._stack.enter_context(serve(lambda asked: self.storage_answer(asked), host="localhost"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The API's origin: what ``base_url`` is set to."""
        return self._api.url

    @property
    def storage_url(self) -> str:
        """The origin that downloads lead to."""
        return self._storage.url

    @property
    def requests(self) -> list[Asked]:
        """What the API's origin was asked."""
        return self._api.asked

    @property
    def storage_requests(self) -> list[Asked]:
        """What the storage origin was asked."""
        return self._storage.asked

    def add_model(self, *, name: str, type: str = "LORA", versions: list[Version], **more: Any) -> Model:
        """Publish a model; ids that are not given are chosen."""
        model = self.catalogue.add(Model(name, type, versions, **more))
        self.index.add(
            model.id,
            name=model.name,
            maker=model.creator or "",
            hashes=[value for v in model.shown_versions for file in v.files for value in file.all_hashes().values()],
            triggers=[word for version in model.shown_versions for word in version.trained_words],
            likes=model.likes,
        )
        return model

    def answer_next(self, prefix: str, reply: Reply, *, times: int = 1) -> None:
        """Give *reply* to the next *times* requests whose path begins with *prefix*."""
        self._planned.append((prefix, reply, times))

    def answer(self, asked: Asked) -> Reply:
        """How the API's origin answers."""
        planned = self._take_planned(asked)
        if planned is not None:
            return planned
        base = f"http://{asked.headers.get('host', '')}"
        logged_in = self._key_of(asked) in self.keys
        path = asked.path.rstrip("/")
        if self.region_blocked and path.startswith("/api/v1"):
            message = "Access to this service is not available in your region due to legal restrictions."
            return Reply.json({"error": message, "code": "REGION_BLOCKED"}, 451)
        if re.fullmatch(r"/api/download/models/[^/]+", path):
            return self.downloads.answer(asked, base, logged_in=logged_in)
        if path == "/api/v1/models":
            return _get_only(asked) or self.listing.answer(asked, base, logged_in=logged_in)
        for pattern, answer in self._routes():
            found = re.fullmatch(pattern, path)
            if found:
                return answer(asked, base, found)
        if path == "/api/v1/me":
            return _get_only(asked) or (
                Reply.json({"id": 7, "username": "tester", "tier": "free", "status": "active", "isMember": False})
                if logged_in
                else Reply.json({"error": "Unauthorized"}, 401)
            )
        return Reply.html("<!DOCTYPE html><html><title>Civitai</title></html>", 404 if "/api/" in path else 200)

    def _take_planned(self, asked: Asked) -> Reply | None:
        for index, (prefix, reply, times) in enumerate(self._planned):
            if asked.path.startswith(prefix):
                if times > 1:
                    self._planned[index] = (prefix, reply, times - 1)
                else:
                    del self._planned[index]
                return reply
        return None

    def _key_of(self, asked: Asked) -> str:
        header = asked.headers.get("authorization")
        if header is not None:  # the query's token is ignored then, and so is the scheme's name
            return header.partition(" ")[2]
        return asked.query.get("token", [""])[-1]

    def _routes(self) -> list[tuple[str, Callable[[Asked, str, re.Match[str]], Reply]]]:
        return [
            (r"/api/v1/models/([^/]+)", self._model),
            (r"/api/v1/model-versions/mini/([^/]+)", self._mini),
            (r"/api/v1/model-versions/by-hash", self._by_hashes),
            (r"/api/v1/model-versions/by-hash/ids", self._ids_by_hashes),
            (r"/api/v1/model-versions/by-hash/([^/]+)", self._by_hash),
            (r"/api/v1/model-versions/([^/]+)", self._version),
            (r"/api/v1/enums", self._enums),
        ]

    def _model(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        number = _id(found.group(1))
        if number is None:
            return Reply.json({"error": "Invalid model id"}, 400)
        model = self.catalogue.models.get(number)
        if model is None or model.poi or model.status != "Published" or not model.nsfw_level:
            return Reply.json({"error": f"No model with id {number}"}, 404)
        return Reply.json(self.documents.model(model, self._printed_base, listed=False))

    def _version(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        number = _id(found.group(1))
        if number is None:
            return Reply.json({"error": "Invalid version id"}, 400)
        model, version = self.catalogue.versions.get(number, (None, None))
        if model is None or version is None or not _published(model, version) or not version.nsfw_level:
            return Reply.json({"error": "Model not found"}, 404)
        if not version.files:
            return Reply.json({"error": "Missing model file"}, 404)
        return _get_only(asked) or Reply.json(self.documents.version(model, version, base, honour_override=False))

    def _mini(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        number = _id(found.group(1))
        if number is None:
            return Reply.json({"error": "Invalid version id"}, 400)
        model, version = self.catalogue.versions.get(number, (None, None))
        if model is None or version is None or not _published(model, version):
            return Reply.json({"error": "Model not found"}, 404)
        wanted = asked.query.get("modelFileId", [""])[-1]
        public = [file for file in version.files if file.public]
        if wanted:
            file = next((file for file in public if str(file.id) == wanted), None)
            if file is None:
                return Reply.json({"error": f"Model file {wanted} not found in version {number}"}, 404)
        else:
            file = chosen_file(public)
        if file is None:
            return Reply.json({"error": "Missing model file"}, 404)
        return _get_only(asked) or Reply.json(self.documents.mini(model, version, file, self._printed_base))

    def _by_hash(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        hit = self.catalogue.by_hash(found.group(1))
        if hit is None:
            return Reply.json({"error": "Model not found"}, 404)
        return Reply.json(self.documents.version(*hit, base, honour_override=True))

    def _by_hashes(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        hashes = _hash_list(asked, 100)
        if hashes is None:
            return _hashes_refused()
        hits = [self.catalogue.by_hash(value) for value in hashes]
        documents: list[Any] = [
            # the host is computed from a header that no request has
            self.documents.version(*hit, "https://undefined", honour_override=True)
            for hit in reversed(hits)
            if hit is not None
        ]
        return Reply.json([*documents, None] if len(documents) > 1 else documents)

    def _ids_by_hashes(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        hashes = _hash_list(asked, 10_000)
        if hashes is None:
            return _hashes_refused()
        hits = [(value, self.catalogue.by_hash(value)) for value in hashes]
        return Reply.json(
            [
                {"modelVersionId": hit[1].id, "modelId": hit[0].id, "hash": value.upper()}
                for value, hit in hits
                if hit is not None
            ]
        )

    def _enums(self, asked: Asked, base: str, found: re.Match[str]) -> Reply:
        bases = sorted({version.base_model for _, version in self.catalogue.versions.values()})
        return Reply.json({"ModelType": sorted(MODEL_TYPES), "ActiveBaseModel": bases, "BaseModel": bases})


def _published(model: Model, version: Version) -> bool:
    return model.status == "Published" and version.status == "Published"


def _id(text: str) -> int | None:
    return int(text) if text.isdigit() and 1 <= int(text) <= 2147483647 else None


def _get_only(asked: Asked) -> Reply | None:
    return None if asked.method in ("GET", "HEAD") else Reply.json({"error": "Method not allowed"}, 405)


def _hash_list(asked: Asked, most: int) -> list[str] | None:
    try:
        hashes = json.loads(asked.body)
    except ValueError:
        return None
    if asked.method != "POST" or not isinstance(hashes, list) or len(hashes) > most:
        return None
    return hashes if all(isinstance(value, str) and _HASH.fullmatch(value) for value in hashes) else None


def _hashes_refused() -> Reply:
    return Reply.json({"error": "Request must include an array of SHA256 Hashes. [...]"}, 400)
