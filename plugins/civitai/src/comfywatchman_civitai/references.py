"""Read what users and workflows write to name a model on Civitai: links, AIRs, ``civitai:…``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qs, urlsplit

from attrs import Factory, frozen

from comfywatchman_core import BackendError

HOSTS = frozenset(
    f"{prefix}civitai.{top}" for prefix in ("", "www.") for top in ("com", "red", "green")
)  # .com and .red serve the same ids; .green is an older mirror that pasted links still name
"""Host names whose links name models of this source."""

WISHES = ("type", "format", "size", "fp", "quantType")
"""What a download link may say instead of a file id."""

_LARGEST_ID = 2147483647
_LONGEST = 4096

_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?P<ecosystem>[\w.-]+):(?P<kind>[\w.-]+):(?P<source>[\w.-]+):(?P<id>[\w./-]+?)"
    r"(?:@(?P<version>[\w.-]+?))?(?:\+(?P<file>\d+))?(?:\.(?P<format>[A-Za-z][A-Za-z0-9]*))?",
    re.ASCII,
)
_SHORT = re.compile(r"civitai:(?P<id>\d+)(?:@(?P<version>\d+))?(?:\+(?P<file>\d+))?", re.ASCII | re.IGNORECASE)

_PATHS = (
    re.compile(r"/models/(?P<model>\d+)(?:/.*)?"),
    re.compile(r"/model-versions/(?P<version>\d+)"),
    re.compile(r"/api/download/models/(?P<version>\d+)"),
    re.compile(r"/api/v1/model-versions/(?:mini/)?(?P<version>\d+)"),
    re.compile(r"/api/v1/models/(?P<model>\d+)"),
)


@frozen(kw_only=True)
class Reference:
    """A model, one of its versions, or one file of a version; at least one of ``model`` and ``version`` is known."""

    model: int | None = None
    version: int | None = None
    file: int | None = None
    wishes: Mapping[str, str] = Factory(dict)
    """Type, format, size, precision that a download link asks for instead of a file id."""

    def __str__(self) -> str:
        if self.model is None:
            return f"version {self.version}"
        version = f"@{self.version}" if self.version is not None else ""
        file = f"+{self.file}" if self.file is not None and version else ""
        return f"civitai:{self.model}{version}{file}"


def read_reference(text: str, base_url: str) -> Reference | None:
    """Read *text* as a reference to this source.

    :param base_url: The configured address of the service; links below it count as well.
    :returns: ``None`` where the text names something else, or nothing.
    :raises BackendError: It is a bare number, which may be the id of a model or of a version.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if re.fullmatch(r"\d+", text, re.ASCII):
        raise BackendError(
            f"{text} may be a model or a version of a model on Civitai",
            code="ambiguous",
            hint=f"Pass civitai:{text} for the model, or https://civitai.com/model-versions/{text} for the version.",
        )
    if text.lower().startswith(("http://", "https://")):
        return _read_link(text, base_url)
    return _read_short(text) or _read_air(text)


def is_catalogue_link(url: str, base_url: str) -> bool:
    """Say whether *url* lies on a host of this source. Storage hosts do not count: their links expire."""
    parts = _split(url)
    return parts is not None and _path_below(parts, base_url) is not None


def _read_link(text: str, base_url: str) -> Reference | None:
    parts = _split(text)
    path = _path_below(parts, base_url) if parts is not None else None
    if parts is None or path is None:
        return None
    found = next((match for pattern in _PATHS if (match := pattern.fullmatch(path))), None)
    if found is None:
        return None
    # Only these keys are looked at: a pasted token goes nowhere.
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    ids = {name: _id(number) for name, number in found.groupdict().items()}
    version = ids.get("version") or _id(query.get("modelVersionId") or query.get("version"))
    wishes = {key: query[key][:40] for key in WISHES if query.get(key)} if "/download/" in path else {}
    return _checked(ids.get("model"), version, _id(query.get("fileId")), wishes)


def _read_short(text: str) -> Reference | None:
    found = _SHORT.fullmatch(text)
    return _checked(_id(found["id"]), _id(found["version"]), _id(found["file"])) if found else None


def _read_air(text: str) -> Reference | None:
    found = _AIR.fullmatch(text)
    if found is None or found["source"].lower() != "civitai":
        return None
    if not found["id"].isdecimal() or not (found["version"] or "0").isdecimal():
        return None
    return _checked(_id(found["id"]), _id(found["version"]), _id(found["file"]))


def _checked(
    model: int | None, version: int | None, file: int | None, wishes: Mapping[str, str] | None = None
) -> Reference | None:
    if model is None and version is None:
        return None
    return Reference(model=model, version=version, file=file if version is not None else None, wishes=wishes or {})


def _id(text: str | None) -> int | None:
    """An id that the service could have; ``None`` for everything else."""
    if not text or not text.isascii() or not text.isdecimal() or len(text) > 10:
        return None
    return int(text) if 1 <= int(text) <= _LARGEST_ID else None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018  (the property raises for a port that is no number)
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def _path_below(parts: SplitResult, base_url: str) -> str | None:
    """The path as the service counts it; ``None`` on a foreign host."""
    base = _split(base_url)
    path = parts.path.rstrip("/") or "/"
    if base is not None and (_origin(parts) == _origin(base)):
        prefix = base.path.rstrip("/")
        return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else None
    host = (parts.hostname or "").rstrip(".")
    return path if host in HOSTS and parts.port in (None, 80, 443) else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
