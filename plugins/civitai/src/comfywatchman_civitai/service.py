"""Ask the API: every endpoint that is used, its answers kept, its refusals told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from comfywatchman_core import BackendError

from .cache import Kept, slim
from .reading import read_mini, read_model, read_version
from .records import MiniRecord, ModelRecord
from .refusals import is_document, refused_read

if TYPE_CHECKING:
    from comfywatchman_core import Context

    from .credentials import Key
    from .run import Run

PAGE = 100
"""Models a search answers with at most; the service allows no more."""
BATCH = 100
"""Checksums that one request may ask for."""

_HOUR = 3600.0
_DAY = 24 * _HOUR
_FRESH = {"search": _HOUR, "model": _HOUR, "version": _HOUR, "by-hash": _DAY, "mini": 7 * _DAY}
"""Seconds for which an answer counts. The service's own edge serves answers up to 90 minutes old; an uploaded
name and what a checksum belongs to hardly ever change."""
_ABSENCE_FRESH = _HOUR / 4
"""What is not there now may have been uploaded a moment ago."""


@frozen
class Page:
    """One page of a search."""

    models: tuple[ModelRecord, ...]
    next_cursor: str


@define
class Service:
    """The API, as one call of the back end sees it."""

    base_url: str
    context: Context
    run: Run
    asked: int = 0
    """Requests of this call; answers that were kept do not count."""

    def search(self, text: str, types: Sequence[str], *, mature: bool, cursor: str = "") -> Page:
        """Search by the words of *text*, in the names of models and makers, checksums and trigger words.

        :param types: Model types; empty asks for all.
        :param mature: True finds models of every level but those flagged as showing minors; False finds
            only what is rated fit for everybody. Neither contains the other.
        """
        query: dict[str, Any] = {"query": text, "limit": PAGE, "types": list(types) or None}
        query |= {"nsfw": mature or None, "cursor": cursor or None}
        document = self._get("search", "/api/v1/models", query)
        if not isinstance(document, dict) or not isinstance(document.get("items") or [], list):
            raise self._strange("/api/v1/models")
        models = [read for item in document.get("items") or [] if (read := read_model(item))]
        following = document.get("metadata")
        next_cursor = following.get("nextCursor") if isinstance(following, dict) else None
        return Page(tuple(models), str(next_cursor) if isinstance(next_cursor, (str, int)) else "")

    def model(self, number: int) -> ModelRecord | None:
        """One model with its published versions; ``None``: deleted, unpublished, or never there."""
        return read_model(self._get("model", f"/api/v1/models/{number}"))

    def version(self, number: int) -> ModelRecord | None:
        """One version; ``None``: as for :meth:`model`, and also a fresh upload that nobody rated yet."""
        return read_version(self._get("version", f"/api/v1/model-versions/{number}"))

    def mini(self, version: int, file: int | None = None) -> MiniRecord | None:
        """One file with its uploaded name; answers for unrated versions, too."""
        document = self._get("mini", f"/api/v1/model-versions/mini/{version}", {"modelFileId": file})
        return read_mini(document, version=version, file=file)

    def by_hash(self, value: str) -> ModelRecord | None:
        """The oldest version that holds a file of this checksum, of any kind and case."""
        return read_version(self._get("by-hash", _by_hash(value)))

    def learn_expected(self, sha256: str) -> None:
        """Ask about *sha256* together with others that the run will ask about, so that :meth:`by_hash` need not.

        Does nothing for a single one, and gives up on hosts that do not have the batched question.
        """
        with self.run.batching:
            unknown = [sha256, *(value for value in self.run.expected if value != sha256)]
            unknown = [value for value in unknown if self._kept("by-hash", _by_hash(value)) is None]
            if len(unknown) < 2 or sha256 not in unknown:
                return
            try:
                self._learn(unknown[:BATCH])
            except BackendError:
                self.run.expected.clear()

    def _learn(self, sha256s: Sequence[str]) -> None:
        path = "/api/v1/model-versions/by-hash"
        body = json.dumps([value.upper() for value in sha256s]).encode()
        _, documents = self._ask("POST", path, body=body)
        if not isinstance(documents, list):
            raise self._strange(path)
        owners = _oldest_owners(documents)
        for value in sha256s:
            kept = Kept(200, slim(owners[value])) if value in owners else Kept(404, None)
            self.run.remember(_question(self.base_url + _by_hash(value), None), kept, lasting=True)

    def greet(self) -> None:
        """Ask something small. :raises BackendError: The service is out of reach."""
        self._ask("GET", "/api/v1/models", query={"limit": 1})

    def knows(self, key: Key) -> bool:
        """Say whether the service accepts *key*: an unknown one counts as none everywhere else, silently."""
        status, _ = self._ask("GET", "/api/v1/me", headers=key.headers)
        return status == 200

    def _get(self, kind: str, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The document at *path*; ``None`` where the service has none."""
        kept = self._kept(kind, path, query)
        if kept is None:
            status, document = self._ask("GET", path, query=query)
            kept = Kept(status, slim(document))
            self.run.remember(_question(self.base_url + path, query), kept, lasting=True)
        return kept.document

    def _kept(self, kind: str, path: str, query: Mapping[str, Any] | None = None) -> Kept | None:
        return self.run.remembered(_question(self.base_url + path, query), _FRESH[kind], _ABSENCE_FRESH)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Ask once, politely.

        :param headers: What carries the key.
        :returns: 200 and the document; 404, or 401 where a key was shown, and ``None``.
        """
        self.run.check_open()
        self.run.pace.wait(self.context.cancelled)
        self.asked += 1
        shared = {"Accept": "application/json", "Accept-Encoding": "gzip"}  # a page of a search has some megabytes
        if body is not None:
            shared["Content-Type"] = "application/json"
        try:
            answer = self.context.http.request(
                method, self.base_url + path, params=query, headers=headers, body=body, shared=shared
            )
            if answer.status == 404 or (answer.status == 401 and headers):
                if not is_document(answer):  # the service itself says in JSON what it does not have
                    raise self._strange(path)
                status, document = answer.status, None
            elif answer.status == 200:
                status, document = 200, answer.json()
            else:
                raise refused_read(answer)
        except BackendError as error:
            if error.http_status in _LEAVE_ALONE:
                self.run.close(error.failure)
            elif error.code in _NO_ANSWER:
                self.run.struck(error)
            raise
        self.run.answered()
        return status, document

    def _strange(self, path: str) -> BackendError:
        return BackendError(
            f"{self.base_url}{path} answered with something that is no answer of this API",
            code="unavailable",
            hint="Check base_url in [backends.civitai]; a service that is down for maintenance answers so, too.",
        )


_NO_ANSWER = ("network", "unavailable", "stalled")
_LEAVE_ALONE = (429, 451)
"""Too many questions, after all patience; a region that is not served. Every further question is one too many."""


def _by_hash(value: str) -> str:
    return f"/api/v1/model-versions/by-hash/{value.upper()}"


def _oldest_owners(documents: Sequence[object]) -> dict[str, object]:
    """Index a batch's answers by the SHA256 of their files; they come in no order, with repeats and nulls."""
    owners: dict[str, tuple[tuple[str, int], object]] = {}
    for document in documents:
        model = read_version(document)
        if model is None:
            continue
        (version,) = model.versions
        age = (version.published_at, version.id)
        for file in version.files:
            if file.sha256 is not None and (file.sha256 not in owners or age < owners[file.sha256][0]):
                owners[file.sha256] = (age, document)
    return {value: document for value, (_, document) in owners.items()}


def _question(url: str, query: Mapping[str, Any] | None) -> str:
    """What an answer is kept under."""
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"{url} {json.dumps(given, sort_keys=True)}"
