"""What one endpoint of the Hub says of its repositories and their files: the questions this back end asks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from attrs import evolve, frozen

from comfywatchman_core import BackendError, errors

from .asking import Asker, origin
from .facts import FileFacts, facts_of_entry, facts_of_headers, hex_digits
from .references import HubFile, checked, read_reference
from .refusals import Answer, refusal

_LIST_BYTES = 64 << 20
"""A page of repositories with all their file names; some publishers' are megabytes long."""
_PAGES = 40
_PATHS_AT_ONCE = 500
"""Paths of one question; the Hub takes 2000."""
_HOPS = 5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Located:
    """A file that one HEAD request confirmed."""

    file: HubFile
    """With its canonical repository, and pinned to a commit where the endpoint tells one."""
    facts: FileFacts


@frozen(kw_only=True)
class Repository:
    """What the Hub states about a repository at some revision."""

    id: str
    commit: str | None
    gated: bool
    files: Mapping[str, FileFacts]


class Hub:
    """Questions to one endpoint, each through an :class:`Asker`."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.settings = asker.settings

    def locate(self, file: HubFile) -> Located:
        """Ask where *file* is, without transferring it: one request, more where the repository was renamed.

        :raises BackendError: It is not there, may not be had, or the endpoint cannot be asked.
        """
        url = file.url(self.settings.endpoint)
        commit: str | None = None
        for _ in range(_HOPS):
            answer = self.asker.ask("HEAD", url, bucket="resolvers", follow=False)
            own = origin(url) == origin(self.settings.endpoint)
            commit = commit or (hex_digits(answer.headers.get("x-repo-commit"), 40) if own else None)
            facts = facts_of_headers(answer.headers, status=answer.status, own=own)
            target = answer.headers.get("location") if answer.status in _REDIRECTS else None
            if answer.status >= 400:
                raise refusal(answer, file, self.settings, signed_in=self.asker.signed_in)
            if target is not None:
                url = _joined(url, target)
                moved = read_reference(url, self.settings)
                if moved is not None and moved.path == file.path and moved.repo != file.repo:
                    file = evolve(moved, revision=file.revision)
                    continue
                if facts.sha256 is None and facts.git_sha1 is None:
                    continue  # small files are redirected within the Hub, and described there
            return self._pinned(file, commit, facts)
        raise BackendError(
            f"{file.page(self.settings.site)} redirects in a circle",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="Try again later.",
        )

    def paths_info(self, file: HubFile, paths: Iterable[str]) -> dict[str, FileFacts]:
        """Ask about several files of one repository at once; what it does not have is left out.

        :param file: Names the repository and the revision.
        """
        url = f"{self.settings.api}/{file.kind}/{file.repo}/paths-info/{quote(file.revision or 'main', safe='')}"
        wanted = list(paths)
        found: dict[str, FileFacts] = {}
        for start in range(0, len(wanted), _PATHS_AT_ONCE):
            fields = {"paths": wanted[start : start + _PATHS_AT_ONCE], "expand": "false"}
            answer = self.asker.ask(
                "POST",
                url,
                body=urlencode(fields, doseq=True).encode(),
                shared={"Content-Type": "application/x-www-form-urlencoded"},
            )
            for entry in self._list(answer, file):
                if entry.get("type") == "file" and isinstance(entry.get("path"), str):
                    found[entry["path"]] = facts_of_entry(entry)
        return found

    def repository(self, file: HubFile) -> Repository:
        """Ask what the repository of *file* holds at its revision: one request."""
        url = f"{self.settings.api}/{file.kind}/{file.repo}"
        if file.revision:
            url += f"/revision/{quote(file.revision, safe='')}"
        body = self._read(self.asker.ask("GET", url, params={"blobs": True}, limit=_LIST_BYTES), file)
        if not isinstance(body, Mapping):
            raise self._strange()
        name = body.get("id")
        repo = name if isinstance(name, str) and checked(HubFile(repo=name)) else file.repo
        siblings = body.get("siblings")
        files = {
            one["rfilename"]: facts_of_entry(one)
            for one in (siblings if isinstance(siblings, list) else ())
            if isinstance(one, Mapping)
            and isinstance(one.get("rfilename"), str)
            and checked(HubFile(repo=repo, path=one["rfilename"]))
        }
        return Repository(
            id=repo,
            commit=hex_digits(body.get("sha"), 40),
            gated=bool(body.get("gated")),
            files=files,
        )

    def models(self, **query: Any) -> Iterator[Mapping[str, Any]]:
        """List repositories with the names of their files, page by page as they are used up.

        :param query: ``author``, ``search``, ``sort``, ``limit`` (of one page).
        """
        url = f"{self.settings.api}/models"
        params: dict[str, Any] | None = {
            "expand": ["siblings", "sha", "gated", "private", "downloads"],
            **query,
        }
        whole = HubFile(repo="models")
        for _ in range(_PAGES):
            answer = self.asker.ask("GET", url, params=params, limit=_LIST_BYTES)
            if answer.status in (401, 403, 404):
                raise BackendError(
                    f"{self.settings.endpoint} does not list models, so that nothing can be found by name",
                    hint="Give the file's address or an hf: reference, or use another endpoint.",
                    code=errors.ErrorCode.UNAVAILABLE,
                    http_status=answer.status,
                )
            yield from self._list(answer, whole)
            following = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("link", ""))
            if not following:
                return
            # A mirror may name the Hub itself here: only the query is taken over.
            url, params = f"{self.settings.api}/models?{urlsplit(following[1]).query}", None

    def cards(self, term: str) -> list[str]:
        """Search model cards for *term*; names of repositories, nothing where that search is not there."""
        answer = self.asker.ask(
            "GET", f"{self.settings.api}/search/full-text", params={"q": term, "type": "model", "limit": 10}
        )
        try:
            hits = answer.json().get("hits") if answer.status == 200 else None
        except (BackendError, AttributeError):
            return []
        found = hits if isinstance(hits, list) else []
        named = [f"{hit.get('repoOwner')}/{hit.get('repoName')}" for hit in found if isinstance(hit, Mapping)]
        return [name for name in named if checked(HubFile(repo=name))]

    def head_of(self, file: HubFile, size: int) -> bytes:
        """Read the first *size* bytes of *file*; nothing where the storage does not serve a part of it."""
        url = file.url(self.settings.endpoint)
        try:
            answer = self.asker.ask("GET", url, bucket="resolvers", shared={"Range": f"bytes=0-{size - 1}"}, limit=size)
        except BackendError:
            return b""
        return answer.body if answer.status in (200, 206) else b""

    def account(self) -> str | None:
        """Ask whose the token is; ``None`` where there is none, or the Hub does not accept it.

        :raises BackendError: The endpoint did not answer.
        """
        if not self.asker.signed_in:
            self.asker.ask("GET", f"{self.settings.api}/models", params={"limit": 1})
            return None
        answer = self.asker.ask("GET", f"{self.settings.api}/whoami-v2")
        if answer.status != 200:
            return None
        body = answer.json()
        name = body.get("name") if isinstance(body, Mapping) else None
        return name if isinstance(name, str) else None

    def _pinned(self, file: HubFile, commit: str | None, facts: FileFacts) -> Located:
        """Complete what an endpoint leaves out that is not quite the Hub: the commit, and the digest."""
        commit = commit or self._commit_of(file)
        file = evolve(file, revision=commit or file.revision)
        if facts.sha256 is None and facts.git_sha1 is None:
            try:
                facts = self.paths_info(file, [file.path]).get(file.path, facts)
            except BackendError as error:
                logger.debug("no digest of %s: %s", file.reference, error)
        return Located(file=file, facts=facts)

    def _commit_of(self, file: HubFile) -> str | None:
        """The commit behind a revision, for endpoints that do not tell it with the file."""
        if file.is_pinned:
            return file.revision
        try:
            return self.repository(file).commit
        except BackendError:
            return None

    def _list(self, answer: Answer, file: HubFile) -> list[Mapping[str, Any]]:
        body = self._read(answer, file)
        if not isinstance(body, list):
            raise self._strange()
        return [one for one in body if isinstance(one, Mapping)]

    def _read(self, answer: Answer, file: HubFile) -> Any:
        if answer.status >= 300:
            raise refusal(answer, file, self.settings, signed_in=self.asker.signed_in)
        return answer.json()

    def _strange(self) -> BackendError:
        return BackendError(
            f"{self.settings.endpoint} answered something else than the Hub does",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="Check HF_ENDPOINT.",
        )


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise BackendError(
            "the Hub redirects to something that is no address", code=errors.ErrorCode.UNAVAILABLE
        ) from error
