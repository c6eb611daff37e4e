"""Which file of the Hub an address or a reference means."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qs, quote, unquote, urlsplit

from attrs import frozen

from .filenames import has_model_suffix
from .settings import HOSTS, Settings

STORAGE_HOSTS = (
    "cas-bridge.xethub.hf.co",
    "cas-server.xethub.hf.co",
    "transfer.xethub.hf.co",
    "cdn-lfs.huggingface.co",
    "cdn-lfs-us-1.huggingface.co",
    "cdn-lfs-eu-1.huggingface.co",
    "cdn-lfs.hf.co",
    "cdn-lfs-us-1.hf.co",
    "cdn-lfs-eu-1.hf.co",
    "us.aws.cdn.hf.co",
    "eu.aws.cdn.hf.co",
    "us.gcp.cdn.hf.co",
)
"""Where the Hub redirects to. Links there are signed for an hour: one in a workflow is dead."""

_KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ONE_WORD = re.compile(
    r"/(?P<repo>[\w.-]{1,96})/(?:resolve|blob|raw|tree|blame)/(?P<revision>[^/]+)(?:/(?P<path>.+))?", re.ASCII
)
_REPO = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}", re.ASCII)
_LONGEST = 4096


@frozen(kw_only=True)
class HubFile:
    """A file, a folder or a whole repository on the Hub, at some revision."""

    repo: str
    """``OWNER/NAME``; one word for the Hub's oldest models."""
    path: str = ""
    """Below the repository's root; empty for the repository itself."""
    revision: str | None = None
    """Branch, tag, commit or ``refs/pr/N``; ``None`` is the default branch."""
    kind: str = "models"
    """``models``, ``datasets`` or ``spaces``."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def owner(self) -> str:
        return self.repo.partition("/")[0]

    @property
    def is_pinned(self) -> bool:
        """True where the revision is a commit, so that the bytes cannot change."""
        return bool(self.revision and _COMMIT.fullmatch(self.revision))

    def page(self, endpoint: str) -> str:
        """Address of the repository."""
        prefix = "" if self.kind == "models" else f"{self.kind}/"
        return f"{endpoint}/{prefix}{self.repo}"

    def url(self, endpoint: str) -> str:
        """Address of the bytes, whatever storage they are in."""
        revision = quote(self.revision or "main", safe="")
        return f"{self.page(endpoint)}/resolve/{revision}/{quote(self.path)}"

    @property
    def reference(self) -> str:
        """What a user types to get exactly this: ``hf:OWNER/REPO/PATH[@REVISION]``."""
        if self.kind == "models" and "/" in self.repo:
            revision = f"@{self.revision}" if self.revision else ""
            return f"hf:{self.repo}/{self.path}{revision}" if self.path else f"hf:{self.repo}{revision}"
        prefix = "" if self.kind == "models" else f"{self.kind}/"
        revision = f"@{quote(self.revision or 'main', safe='')}"
        return f"hf://{prefix}{self.repo}{revision}" + (f"/{self.path}" if self.path else "")


@frozen(kw_only=True)
class StorageLink:
    """A link to the Hub's storage that somebody copied: dead, but it may say what it was."""

    sha256: str | None = None
    name: str | None = None


def read_reference(text: str, settings: Settings) -> HubFile | None:
    """Read an ``hf:`` reference, an ``hf://`` location or an address of the Hub.

    Addresses of the Hub's own hosts, of the configured endpoint and of its mirrors all mean the endpoint;
    ``blob``, ``raw`` and ``tree`` pages mean the file they show.

    :returns: ``None`` where the text means nothing on the Hub.
    """
    if len(text) > _LONGEST:
        return None
    text = text.strip()
    if text.startswith("hf:") and not text.startswith("hf://"):
        return checked(_short(text.removeprefix("hf:")))
    if text.startswith("hf://"):
        found = _as_the_hub_reads_it(text)
        if found is None or (not found.path and has_model_suffix(found.repo)):
            found = _one_word_location(text.removeprefix("hf://"))
        return checked(found)
    path = _path_on_the_hub(text.partition("#")[0], settings)
    if path is None:
        return None
    if word := _ONE_WORD.fullmatch(path):
        below = unquote(word["path"] or "").strip("/")
        return checked(HubFile(repo=word["repo"], revision=unquote(word["revision"]), path=below))
    return checked(_as_the_hub_reads_it("https://huggingface.co" + path))


def read_storage_link(url: str) -> StorageLink | None:
    """Recognise a link to the Hub's storage; ``None`` for any other address."""
    try:
        parts = urlsplit(url[:_LONGEST])
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    if host not in STORAGE_HOSTS:
        return None
    # Links of the older kind end in the SHA256 of the file; those of Xet in a hash of another sort.
    last = parts.path.rpartition("/")[2].lower()
    sha256 = last if host.startswith("cdn-lfs") and _SHA256.fullmatch(last) else None
    disposition = parse_qs(parts.query).get("response-content-disposition", [""])[0]
    found = re.search(r'filename="([^"/\\]{1,255})"', disposition)
    return StorageLink(sha256=sha256, name=found[1] if found else None)


def _path_on_the_hub(text: str, settings: Settings) -> str | None:
    """The path of an address of the Hub, below its root and still quoted; ``None`` for any other address."""
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
        base = urlsplit(settings.endpoint)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or parts.username or parts.password:
        return None
    root = base.path.rstrip("/")
    here = (host, port or _port(parts.scheme)) == (base.hostname, base.port or _port(base.scheme))
    if here and (not root or parts.path.startswith(root + "/")):
        return parts.path[len(root) :]
    if port in (None, 80, 443) and host in _all_hosts(settings.mirrors):
        return parts.path
    return None


def _all_hosts(mirrors: Collection[str]) -> frozenset[str]:
    return frozenset(HOSTS) | {mirror.lower() for mirror in mirrors}


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _short(text: str) -> HubFile | None:
    """``OWNER/REPO/PATH[@REVISION]``; what is behind the last ``@`` is a revision unless it ends as a file does."""
    location, mark, revision = text.rpartition("@")
    if not mark or has_model_suffix(revision):
        location, revision = text, ""
    owner, _, rest = location.strip("/").partition("/")
    name, _, path = rest.partition("/")
    if not owner or not name:
        return None
    return HubFile(repo=f"{owner}/{name}", path=path, revision=unquote(revision) or None)


def _one_word_location(text: str) -> HubFile | None:
    found = re.fullmatch(r"([\w.-]+)(?:@([^/]+))?/(.+)", text)
    return HubFile(repo=found[1], revision=unquote(found[2]) if found[2] else None, path=found[3]) if found else None


def _as_the_hub_reads_it(text: str) -> HubFile | None:
    from huggingface_hub import parse_hf_uri  # heavy: only when an address is read
    from huggingface_hub.errors import HfUriError

    try:
        found = parse_hf_uri(text)
    except HfUriError:
        return None
    if found.type not in _KINDS:
        return None
    path = found.path_in_repo.replace("%2F", "/").strip("/")
    return HubFile(kind=_KINDS[found.type], repo=found.id, revision=found.revision, path=path)


def checked(found: HubFile | None) -> HubFile | None:
    """Keep out what could mean another address than it seems to: dots, backslashes, control characters.

    :returns: *found* itself, or ``None``.
    """
    if found is None or not _REPO.fullmatch(found.repo) or found.kind not in _KINDS.values():
        return None
    parts = [*found.repo.split("/"), *(found.revision or "x").split("/"), *(found.path or "x").split("/")]
    if any(part in ("", ".", "..") for part in parts):
        return None
    whole = found.path + (found.revision or "")
    return None if any(not one.isprintable() or one in '\\?"' for one in whole) else found
