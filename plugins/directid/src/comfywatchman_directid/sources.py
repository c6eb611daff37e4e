"""Which file at which source an address or a reference names, and how that file is spelled.

Two spellings of one file compare equal here: pages, download links and
references of a source all become the same value. Nothing is asked.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from attrs import frozen

HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co", "hf-mirror.com"})
"""Hosts whose addresses name files of the Hub; the last one is a public mirror with the Hub's own paths."""

CIVITAI_HOSTS = frozenset(
    prefix + host for host in ("civitai.com", "civitai.red", "civitai.green") for prefix in ("", "www.")
)
"""Hosts of one catalogue with one set of ids (2026-04: split by audience, not by data)."""

_STORAGE = (".hf.co", ".huggingface.co", "b2.civitai.com", ".backblazeb2.com", ".r2.cloudflarestorage.com")
"""Ends of the hosts that both sources redirect to. Links there are signed for a day at most: one that was pasted
somewhere is dead, and says nothing of where the file is."""

_LONGEST = 2048
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LARGEST_ID = 2147483647
WISHES = ("type", "format", "size", "fp", "quantType")
"""The keys by which a download link of Civitai chooses among a version's files."""
_AIR = re.compile(
    r"(?:urn:)?(?:air:)?[\w.-]*:[\w.-]*:civitai:(?P<model>\d+)@(?P<version>\d+)(?:\+(?P<file>\d+))?(?:\.\w+)?",
    re.IGNORECASE | re.ASCII,
)
_SHORT = re.compile(r"civitai:(?P<model>\d+)@(?P<version>\d+)(?:\+(?P<file>\d+))?", re.IGNORECASE | re.ASCII)


@frozen(kw_only=True)
class HubFile:
    """A file in a model repository of the Hugging Face Hub."""

    repository: str
    """``OWNER/NAME``."""
    path: str
    """Path in the repository, forward slashes."""
    revision: str = "main"
    """Branch, tag or commit under which the file is looked for."""
    commit: str = ""
    """The commit at which digest and size were read; empty while nobody looked."""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for equal files, whatever the revision; the Hub takes any case for a repository's name."""
        return ("huggingface", self.repository.lower(), self.path)

    @property
    def name(self) -> str:
        """The file's own name at its source."""
        return self.path.rpartition("/")[2]

    @property
    def pinned(self) -> str:
        """The revision that never changes, where one is known; else the one that may."""
        return self.commit or self.revision

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repository}/resolve/{quote(self.pinned, safe='')}/{quote(self.path)}"

    @property
    def reference(self) -> str:
        """What names exactly this file on the command line."""
        revision = "" if self.pinned == "main" and "@" not in self.path else f"@{self.pinned}"
        return f"hf:{self.repository}/{self.path}{revision}"

    @property
    def delegate(self) -> str:
        """The back end whose files these are."""
        return "huggingface"

    @property
    def is_pinned(self) -> bool:
        """True where the bytes behind this value cannot change."""
        return bool(_COMMIT.fullmatch(self.pinned))

    def accepts(self, other: Source) -> bool:
        """Say whether *other* may mean the file that is described here, and not another state of it."""
        return self.key == other.key and isinstance(other, HubFile) and other.pinned in (self.revision, self.commit)

    def is_surely(self, other: Source) -> bool:
        """Say whether *other* can mean no other file than this."""
        return self.accepts(other)


@frozen(kw_only=True)
class CivitaiFile:
    """A file of a model version in Civitai's catalogue."""

    version: int
    model: int | None = None
    file: int | None = None
    wish: tuple[tuple[str, str], ...] = ()
    """What a download link says of the file while its id is not known: ``type``, ``format``, ``size``, ``fp``."""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for files of one version; :meth:`accepts` tells them apart as far as ids are known."""
        return ("civitai", str(self.version))

    @property
    def name(self) -> str:
        """Empty: only the catalogue knows the file's name."""
        return ""

    @property
    def url(self) -> str:
        query = {"fileId": str(self.file)} if self.file else dict(self.wish)
        base = f"https://civitai.com/api/download/models/{self.version}"
        return f"{base}?{urlencode(query, quote_via=quote)}" if query else base

    @property
    def reference(self) -> str:
        """The short form where it says everything; else the download link."""
        if self.model is None or (self.wish and not self.file):
            return self.url
        return f"civitai:{self.model}@{self.version}" + (f"+{self.file}" if self.file else "")

    @property
    def delegate(self) -> str:
        """The back end whose files these are."""
        return "civitai"

    @property
    def is_pinned(self) -> bool:
        """True with a file id: a version may get other files, a file id never means other bytes."""
        return self.file is not None

    def accepts(self, other: Source) -> bool:
        """Say whether *other* may mean this file: no id that both state differs."""
        return (
            isinstance(other, CivitaiFile)
            and self.version == other.version
            and (self.file is None or other.file is None or self.file == other.file)
            and (not self.wish or not other.wish or self.wish == other.wish)
        )

    def is_surely(self, other: Source) -> bool:
        """Say whether *other* can mean no other file than this: a version alone has several."""
        if not self.accepts(other) or not isinstance(other, CivitaiFile):
            return False
        return (self.file is not None and self.file == other.file) or (bool(self.wish) and self.wish == other.wish)


@frozen(kw_only=True)
class WebFile:
    """A file at any other address; nobody's back end."""

    address: str
    """``https``, lower-case host, without user and fragment."""

    @property
    def key(self) -> tuple[str, ...]:
        return ("url", self.address)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return unquote(urlsplit(self.address).path.rpartition("/")[2])

    @property
    def url(self) -> str:
        return self.address

    @property
    def reference(self) -> str:
        return self.address

    @property
    def delegate(self) -> str:
        """Empty: the core's engine takes the address as it is."""
        return ""

    @property
    def is_pinned(self) -> bool:
        return False

    def accepts(self, other: Source) -> bool:
        return self.key == other.key

    def is_surely(self, other: Source) -> bool:
        return self.key == other.key


Source = HubFile | CivitaiFile | WebFile


def identify(text: str | None) -> Source | None:
    """Read an address, an AIR, ``civitai:…`` or ``hf:…`` as the one file that it names.

    :returns: ``None`` for what names no single file: nothing at all, a page about
        several files, a repository, a name.
    """
    text = (text or "").strip()
    if not text.isprintable() or len(text) > _LONGEST:
        return None
    if found := _SHORT.fullmatch(text) or _AIR.fullmatch(text):
        version, file = _id(found["version"]), _id(found["file"])
        if version is None or (found["file"] and file is None):
            return None
        return CivitaiFile(model=_id(found["model"]), version=version, file=file)
    if text.lower().startswith("hf:"):
        return _hub_reference(text[3:].removeprefix("//"))
    if text.lower().startswith(("http://", "https://")):
        return _address(text)
    return None


def hub_file(repository: str, path: str, revision: str = "main", commit: str = "") -> HubFile | None:
    """Build a :class:`HubFile` from parts that a stranger wrote; ``None`` where they cannot be one."""
    parts = path.split("/")
    if not _REPOSITORY.fullmatch(repository) or not revision or not path.isprintable() or not revision.isprintable():
        return None
    if any(part in ("", ".", "..") for part in parts) or any(part in ("", ".", "..") for part in revision.split("/")):
        return None
    return HubFile(repository=repository, path=path, revision=revision, commit=commit)


def _hub_reference(text: str) -> HubFile | None:
    owner, _, rest = text.partition("/")
    name, _, path = rest.partition("/")
    name, at, revision = name.partition("@")  # hf://OWNER/NAME@REVISION/PATH is the Hub's own spelling
    if not at and "@" in path:
        path, _, revision = path.rpartition("@")
    return hub_file(f"{owner}/{name}", path, revision or "main")


def _address(text: str) -> Source | None:
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if not host:
        return None
    if port in (None, 80, 443):
        if host in HUB_HOSTS:
            return _hub_address(parts.path)
        if host in CIVITAI_HOSTS:
            return _civitai_address(parts.path, parts.query)
    if host.endswith(_STORAGE) or " " in text:
        return None
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port in (None, 443) else f"{shown}:{port}"
    return WebFile(address=f"https://{netloc}{parts.path}" + (f"?{parts.query}" if parts.query else ""))


def _hub_address(path: str) -> HubFile | None:
    # OWNER/NAME/(resolve|blob|raw)/REVISION/PATH; raw gives the pointer of a large file, never the file
    parts = path.strip("/").split("/")
    if len(parts) < 5 or parts[2] not in ("resolve", "blob", "raw") or parts[0] in ("datasets", "spaces"):
        return None
    end = 6 if parts[3] == "refs" else 4
    revision = unquote("/".join(parts[3:end]))
    return hub_file("/".join(parts[:2]), unquote("/".join(parts[end:])), revision)


def _civitai_address(path: str, query: str) -> CivitaiFile | None:
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    parts = path.strip("/").split("/")
    if parts[:2] == ["api", "v1"]:
        parts = parts[2:]
    wish: tuple[tuple[str, str], ...] = ()
    if parts[:3] == ["api", "download", "models"] and len(parts) == 4:
        model, version = None, parts[3]
        wish = tuple((key, asked[key]) for key in WISHES if key in asked)
    elif parts[0] == "model-versions" and len(parts) == 2:
        model, version = None, parts[1]
    elif parts[0] == "models" and len(parts) >= 2:
        model, version = parts[1], asked.get("modelVersionId") or asked.get("version") or ""
    else:
        return None
    number, file = _id(version), _id(asked.get("fileId"))
    if number is None:
        return None
    return CivitaiFile(model=_id(model), version=number, file=file, wish=() if file else wish)


def _id(text: str | None) -> int | None:
    """Read an id of the catalogue; ``None`` for what cannot be one."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > len(str(_LARGEST_ID)):
        return None
    return int(text) if 0 < int(text) <= _LARGEST_ID else None
