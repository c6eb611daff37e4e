"""What the Civitai stand-in holds: models, their versions and their files, as a test describes them."""

from __future__ import annotations

import enum
import hashlib
import struct
import zlib
from typing import Any

from attrs import Factory, define, field

_MIB = 1 << 20
_PUBLISHED = "2026-05-01T10:00:00.000Z"


class DownloadAnswer(enum.StrEnum):
    """The rows of the download's status table; a test picks one for a file."""

    OK = "ok"
    BLOCKED = "blocked"
    QUOTA = "quota"
    BAD_PARAMETER = "bad_parameter"
    MISSING = "missing"
    ARCHIVED = "archived"
    DISABLED = "disabled"
    LOGIN = "login"
    EARLY_ACCESS = "early_access"
    PAYWALL = "paywall"
    NO_ACCESS = "no_access"
    FILE_MISSING = "file_missing"
    SERVER_ERROR = "server_error"


class StorageFault(enum.StrEnum):
    """What the storage host does wrong with a file."""

    NONE = "none"
    CUT = "cut"
    """Half of the bytes, then the connection ends."""
    IGNORES_RANGE = "ignores_range"
    WRONG_LENGTH = "wrong_length"
    """``Content-Length`` promises more bytes than come."""
    OTHER_BYTES = "other_bytes"
    """As many bytes, but not those the published checksum is of."""
    LOGIN_PAGE = "login_page"
    """A web page with status 200."""
    JSON_ERROR = "json_error"
    """An error document with status 200."""


@define(eq=False)
class File:
    """One file of a version."""

    name: str
    """As it was uploaded; what the API prints is composed by the naming rule."""
    payload: bytes | None = field(default=None, repr=False)
    """``None``: a file that is only looked up; its checksums are made up from its id."""
    id: int = field(default=0, kw_only=True)
    type: str = field(default="Model", kw_only=True)
    metadata: dict[str, str | None] | None = field(default=Factory(dict), kw_only=True)
    override: str | None = field(default=None, kw_only=True)
    public: bool = field(default=True, kw_only=True)
    size: float | None = field(default=None, kw_only=True)
    """Bytes that the API states; a fraction shows as a rounded ``sizeKB``."""
    hashes: dict[str, str] | None = field(default=None, kw_only=True)
    """What the API states; ``None``: computed. ``{}``: the scan is pending."""
    pickle_scan: str = field(default="Success", kw_only=True)
    virus_scan: str = field(default="Success", kw_only=True)
    answer: DownloadAnswer = field(default=DownloadAnswer.OK, kw_only=True)
    misses: int = field(default=0, kw_only=True)
    """The first so many downloads answer 404; the storage heals after them."""
    spliced: bool = field(default=False, kw_only=True)
    """Shown in this version, but belongs to another: ``?fileId=`` does not find it."""
    fault: StorageFault = field(default=StorageFault.NONE, kw_only=True)
    faults: int = field(default=1 << 30, kw_only=True)
    """The fault happens so many times."""

    @property
    def byte_count(self) -> float:
        if self.size is not None:
            return self.size
        return len(self.payload) if self.payload is not None else 100_000_000 + 1024 * self.id

    def all_hashes(self) -> dict[str, str]:
        """Every kind of checksum, upper case, as the service prints them."""
        if self.hashes is not None:
            return self.hashes
        if self.payload is None:
            sha256 = hashlib.sha256(f"file {self.id}".encode()).hexdigest().upper()
            return {"SHA256": sha256, "AutoV2": sha256[:10], "AutoV3": sha256[20:32]}
        return hash_kinds(self.payload, self.name)


def hash_kinds(data: bytes, name: str) -> dict[str, str]:
    """Compute the service's six kinds. BLAKE3 is not in the standard library: another 256-bit hash stands in."""
    sha256 = hashlib.sha256(data).hexdigest().upper()
    kinds = {
        "SHA256": sha256,
        "AutoV2": sha256[:10],
        "CRC32": struct.pack("<I", zlib.crc32(data)).hex().upper(),
        "BLAKE3": hashlib.sha3_256(data).hexdigest().upper(),
    }
    if len(data) >= 2 * _MIB:
        kinds["AutoV1"] = hashlib.sha256(data[_MIB : _MIB + (1 << 16)]).hexdigest()[:8].upper()
    if name.endswith(".safetensors") and len(data) > 8:
        start = 8 + struct.unpack("<Q", data[:8])[0]
        if start <= len(data):
            kinds["AutoV3"] = hashlib.sha256(data[start:]).hexdigest()[:12].upper()
    return kinds


@define(eq=False)
class Version:
    """One version of a model."""

    name: str
    files: list[File] = Factory(list)
    id: int = field(default=0, kw_only=True)
    base_model: str = field(default="SDXL 1.0", kw_only=True)
    trained_words: list[str] = field(default=Factory(list), kw_only=True)
    status: str = field(default="Published", kw_only=True)
    published_at: str = field(default=_PUBLISHED, kw_only=True)
    nsfw_level: int = field(default=1, kw_only=True)
    usage_control: str = field(default="Download", kw_only=True)
    paid_access: dict[str, Any] | None = field(default=None, kw_only=True)
    early_access_deadline: str | None = field(default=None, kw_only=True)
    bought: bool = field(default=False, kw_only=True)
    """Whoever is logged in has bought access to it."""
    require_auth: bool = field(default=False, kw_only=True)
    extra: dict[str, Any] = field(default=Factory(dict), kw_only=True)
    """Further members of the version's JSON, for shapes of older answers."""


@define(eq=False)
class Model:
    """One model, as its page shows it."""

    name: str
    type: str
    versions: list[Version]
    id: int = field(default=0, kw_only=True)
    creator: str | None = field(default="maker", kw_only=True)
    nsfw_level: int = field(default=1, kw_only=True)
    minor: bool = field(default=False, kw_only=True)
    poi: bool = field(default=False, kw_only=True)
    mode: str | None = field(default=None, kw_only=True)
    status: str = field(default="Published", kw_only=True)
    availability: str = field(default="Public", kw_only=True)
    likes: int = field(default=0, kw_only=True)
    tags: list[str] = field(default=Factory(list), kw_only=True)
    commercial_use: Any = field(default=Factory(lambda: ["Image", "Rent"]), kw_only=True)
    """A list today; older answers hold a string."""
    null_stats: bool = field(default=False, kw_only=True)

    @property
    def shown_versions(self) -> list[Version]:
        """Published ones that have a file."""
        if self.status != "Published":
            return []
        return [version for version in self.versions if version.status == "Published" and version.files]


class Catalogue:
    """All models, and the ways the service looks them up."""

    def __init__(self, *, first_id: int = 1000) -> None:
        self.models: dict[int, Model] = {}
        self.versions: dict[int, tuple[Model, Version]] = {}
        self._by_hash: dict[str, list[tuple[Model, Version, File]]] = {}
        self._next = first_id

    def add(self, model: Model) -> Model:
        """Take *model* in; ids that it does not state are given to it."""
        self._number(model)
        self.models[model.id] = model
        for version in model.versions:
            self._number(version)
            self.versions[version.id] = (model, version)
            for file in version.files:
                self._number(file)
                for value in file.all_hashes().values():
                    self._by_hash.setdefault(value.upper(), []).append((model, version, file))
        return model

    def _number(self, thing: Model | Version | File) -> None:
        if not thing.id:
            self._next += 1
            thing.id = self._next

    def by_hash(self, value: str) -> tuple[Model, Version] | None:
        """The oldest published version that holds a file of this checksum, of whatever kind."""
        found = [
            (version.published_at, version.id, model, version)
            for model, version, file in self._by_hash.get(value.upper(), [])
            if model.status == "Published" and version.status == "Published" and file.public
        ]
        if not found:
            return None
        _, _, model, version = min(found, key=lambda row: row[:2])
        return model, version
