"""A Hub on 127.0.0.1: the endpoint with its API and its files, and a storage host of another origin.

    with HubStandIn() as hub:
        hub.add_repo("Comfy-Org/x", {"split_files/vae/ae.safetensors": data}, gated="auto")

Repositories choose how they misbehave by ``scenario``:

``plain``; ``direct`` (LFS bytes without a redirect, as some mirrors do); ``ignores-range``; ``no-commit``;
``same-host`` and ``relative`` (the redirect stays at the endpoint); ``cut`` (the first two transfers end in the
middle); ``short`` (ten bytes are missing); ``html`` and ``pointer`` (something else than the file);
``limited-once`` (one 429); ``resolve-cache`` (small files are redirected within the Hub); ``xet`` (the files are in a
chunk store as well), ``xet-broken`` (its token route fails), ``xet-unreachable`` (nobody is at its address) and
``xet-hangs`` (it stops in the middle).
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from attrs import frozen

from comfywatchman_core.testing import Asked, Origin, Reply, serve

from . import hub_api, hub_files
from .hub_limits import Limits, bucket_of
from .hub_repos import Repository, StoredFile
from .hub_xet import ChunkStore

_INVALID_TOKEN = "Invalid credentials in Authorization header"
_UNTYPED = ("datasets", "spaces")


@frozen
class Account:
    """Whoever a token belongs to."""

    name: str
    everything: bool = False
    """Every licence accepted, every private repository seen."""


class HubStandIn:
    """A running Hub; a context manager.

    :ivar token: An account that has accepted every licence and sees every private repository.
    :ivar strangers_token: A valid account that has accepted nothing.
    """

    token = "hf_StandInReaderToken"
    strangers_token = "hf_StandInStrangerToken"

    def __init__(self, *, page_size: int = 1000) -> None:
        """:param page_size: Entries of one page of a list or a tree at most."""
        self.page_size = page_size
        self.lists = True
        """False: ``/api/models`` does not answer, as at some mirrors."""
        self.full_text = True
        self.limits = Limits()
        self.repositories: dict[tuple[str, str], Repository] = {}
        self._renamed: dict[tuple[str, str], str] = {}
        self._links: dict[str, tuple[Repository, str, StoredFile]] = {}
        self._epoch = 0
        self._seen: dict[tuple[str, str], int] = {}
        self._accounts = {self.token: Account("reader", everything=True), self.strangers_token: Account("stranger")}
        self._stack = ExitStack()
        self.hanging_blocks: set[str] = set()
        """Blocks of the chunk store that are asked for in vain."""
        self._store = ChunkStore(self)
        self._hub: Origin | None = None
        self._cdn: Origin | None = None
        self._cas: Origin | None = None
        self._starting = threading.RLock()

    def __enter__(self) -> Self:
        self._hub = self._stack.enter_context(serve(self._answer))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The endpoint, to be used as HF_ENDPOINT."""
        assert self._hub is not None, "enter the stand-in first"
        return self._hub.url

    @property
    def cdn_url(self) -> str:
        """The storage host: the same address under another name and port, so another origin for every client."""
        return self._storage().url

    @property
    def cas_url(self) -> str:
        """The chunk store."""
        return self._chunk_store().url

    @property
    def cas_requests(self) -> list[Asked]:
        """What the chunk store was asked."""
        return self._chunk_store().asked

    @property
    def closed_url(self) -> str:
        """An address at which nobody answers."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{nobody.getsockname()[1]}"

    @property
    def requests(self) -> list[Asked]:
        """What the endpoint was asked, oldest first."""
        assert self._hub is not None, "enter the stand-in first"
        return self._hub.asked

    @property
    def cdn_requests(self) -> list[Asked]:
        """What the storage host was asked."""
        return self._storage().asked

    def counted(self, bucket: str) -> int:
        """How many requests so far belong to *bucket*: ``api``, ``resolvers`` or ``pages``."""
        return sum(bucket_of(asked.path) == bucket for asked in self.requests)

    def add_repo(
        self,
        name: str,
        files: Mapping[str, bytes | StoredFile],
        *,
        kind: str = "models",
        gated: str | bool = False,
        private: bool = False,
        disabled: bool = False,
        downloads: int = 0,
        card: str = "",
        scenario: str = "plain",
    ) -> Repository:
        """Create the repository *name* (``OWNER/NAME``, or one word) with one commit on ``main``.

        :param gated: ``"auto"`` or ``"manual"``: files only for accounts that accepted the licence.
        """
        repository = Repository(
            kind=kind,
            id=name,
            gated=gated,
            private=private,
            disabled=disabled,
            downloads=downloads,
            card=card,
            scenario=scenario,
        )
        repository.commit(files)
        self.repositories[kind, name] = repository
        return repository

    def rename(self, old: str, new: str, *, kind: str = "models") -> None:
        """Move a repository; the old name redirects from now on."""
        repository = self.repositories.pop((kind, old))
        repository.id = new
        self.repositories[kind, new] = repository
        self._renamed[kind, old] = new

    def expire_links(self) -> None:
        """Make every storage link that was handed out so far useless."""
        self._epoch += 1

    def account(self, asked: Asked) -> Account | None:
        """Whose request it is; ``None`` without a token."""
        return self._accounts.get(asked.headers.get("authorization", "").removeprefix("Bearer "))

    def visible(self, account: Account | None, kind: str) -> list[Repository]:
        """The repositories that a list shows to *account*."""
        allowed = account is not None and account.everything
        return [one for (of, _), one in self.repositories.items() if of == kind and (allowed or not one.private)]

    def find(self, asked: Asked, kind: str, parts: Sequence[str]) -> tuple[Repository | None, int, Reply]:
        """The repository that *parts* begin with, and how many segments its name has; else the refusal."""
        account = self.account(asked)
        for length in (2, 1):
            name = "/".join(parts[:length])
            if new := self._renamed.get((kind, name)):
                return None, 0, self._moved(asked, name, new)
            repository = self.repositories.get((kind, name))
            if repository is None:
                continue
            if repository.private and not (account and account.everything):
                break
            if repository.disabled:
                return None, 0, self.refusal(403, message="Access to this resource is disabled.")
            return repository, length, Reply()
        # Whether a repository exists is not told to strangers: without a token the Hub answers 401.
        status = 404 if account else 401
        return None, 0, self.refusal(status, code="RepoNotFound", message="Repository not found")

    def gate(self, asked: Asked, repository: Repository) -> Reply | None:
        """The refusal to hand out files of a gated repository, or nothing."""
        account = self.account(asked)
        if not repository.gated or (account and account.everything):
            return None
        if account is None:
            text = (
                f"Access to model {repository.id} is restricted. You must have access to it and be "
                "authenticated to access it. Please log in."
            )
            return self.refusal(401, code="GatedRepo", message=text)
        text = (
            f"Access to model {repository.id} is restricted and you are not in the authorized list. "
            f"Visit https://huggingface.co/{repository.id} to ask for access."
        )
        return self.refusal(403, code="GatedRepo", message=text)

    def refusal(self, status: int, *, message: str, code: str = "") -> Reply:
        """An error as the Hub words it, in headers and in JSON."""
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        return Reply.json({"error": message}, status, **headers)

    def xet_token(self, asked: Asked, repository: Repository) -> Reply:
        """The route that lends a token for the chunk store."""
        return self.gate(asked, repository) or self._store.lend_token(repository.scenario)

    def by_xet_hash(self, xet_hash: str) -> tuple[Repository, StoredFile] | None:
        """The file that the chunk store knows by that hash."""
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for file in files.values():
                    if file.lfs and file.xet_hash == xet_hash:
                        return repository, file
        return None

    def sign(self, repository: Repository, commit: str, path: str) -> str:
        """A link to the storage host that works until :meth:`expire_links`."""
        key = hashlib.sha256(f"{self._epoch} {repository.kind} {repository.id} {commit} {path}".encode()).hexdigest()
        self._links[key] = (repository, path, repository.commits[commit][path])
        name = quote(path.rpartition("/")[2])
        query = f"response-content-disposition=inline%3B+filename%3D%22{name}%22&X-Amz-Expires=3600"
        return f"{self.cdn_url}/xet-bridge/{key}?{query}&X-Amz-Signature={key[::-1]}&epoch={self._epoch}"

    def signed(self, asked: Asked) -> tuple[Repository | None, str, StoredFile | None]:
        """What a storage link stands for; nothing once it has expired."""
        if asked.query.get("epoch") != [str(self._epoch)]:
            return None, "", None
        return self._links.get(asked.path.rpartition("/")[2], (None, "", None))

    def first_time(self, repository: Repository, what: str, *, times: int = 1) -> bool:
        """True for the first *times* questions about *what*."""
        key = (repository.id, what)
        self._seen[key] = self._seen.get(key, 0) + 1
        return self._seen[key] <= times

    def _storage(self) -> Origin:
        """The storage host; it is started when it is first needed, because most tests never need it."""
        with self._starting:
            if self._cdn is None:
                self._cdn = self._stack.enter_context(serve(partial(hub_files.storage, self), host="localhost"))
            return self._cdn

    def _chunk_store(self) -> Origin:
        with self._starting:
            if self._cas is None:
                self._cas = self._stack.enter_context(serve(self._store.answer))
                self._stack.callback(self._store.release)
            return self._cas

    def _answer(self, asked: Asked) -> Reply:
        bearer = asked.headers.get("authorization", "")
        account = self.account(asked)
        within, told = self.limits.count(account.name if account else "", bucket_of(asked.path))
        if not within:
            reply = self.refusal(429, message="We had to rate limit you.")
        else:
            reply = self._route(asked)
            if bearer and account is None and reply.headers.get("X-Error-Code") != "GatedRepo":
                # 2026-07: a gated repository answers a garbage token as it answers none
                reply = self.refusal(401, message=_INVALID_TOKEN)
        return hub_files.evolve_headers(reply, {**told, **reply.headers, "X-Request-Id": "Root=1-stand-in"})

    def _route(self, asked: Asked) -> Reply:
        # Segments are decoded one by one: %2F inside a revision is not a separator.
        parts = [unquote(part) for part in urlsplit(asked.target).path.split("/") if part]
        if parts[:1] == ["api"]:
            return hub_api.answer(self, asked, parts[1:])
        if parts[:1] == ["xet-bridge"]:
            return hub_files.storage(self, asked)
        kind = parts[0] if parts and parts[0] in _UNTYPED else "models"
        return hub_files.resolve(self, asked, kind, parts[1:] if kind != "models" else parts)

    def _moved(self, asked: Asked, old: str, new: str) -> Reply:
        location = asked.target.replace(f"/{old}", f"/{new}", 1)
        return Reply(status=307, headers={"Location": location, "Content-Type": "text/plain"})
