"""Read the API's answers so that no missing, null or odd member does harm.

The shapes differ between endpoints and have changed over the years; unknown
values of an enumeration stay the strings they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from comfywatchman_core import Digest

from .records import FileRecord, Gate, Listed, MiniRecord, ModelRecord, VersionRecord

_LONGEST_NAME = 300
_LONGEST_LIST = 1000
_HASH_KINDS = {
    "SHA256": "sha256",
    "BLAKE3": "blake3",
    "AutoV3": "autov3",
    "AutoV2": "autov2",
    "AutoV1": "autov1",
    "CRC32": "crc32",
}
# Control characters, escape sequences, bidirectional and invisible marks: names are written by strangers.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def read_model(document: object) -> ModelRecord | None:
    """Read an item of the list, or the answer of ``/models/{id}``; ``None`` where it is neither."""
    data = _mapping(document)
    number = _integer(data.get("id"))
    if number is None:
        return None
    versions = [read for one in _list(data.get("modelVersions")) if (read := _read_version(_mapping(one)))]
    return ModelRecord(
        id=number,
        name=_text(data.get("name")),
        type=_text(data.get("type")) or "Other",
        mode=_text(data.get("mode")),
        versions=tuple(versions),
    )


def read_version(document: object) -> ModelRecord | None:
    """Read the answer of ``/model-versions/{id}`` or by-hash, as a model with this one version."""
    data = _mapping(document)
    version = _read_version(data)
    if version is None:
        return None
    model = _mapping(data.get("model"))
    return ModelRecord(
        id=_integer(data.get("modelId")),
        name=_text(model.get("name")),
        type=_text(model.get("type")) or "Other",
        mode=_text(model.get("mode")),
        versions=(version,),
    )


def read_mini(document: object, *, version: int, file: int | None) -> MiniRecord | None:
    """Read the answer of ``/model-versions/mini/{version}``, which tells of one file.

    :param file: The file that was asked for; ``None`` where the service chose.
    """
    data = _mapping(document)
    name = _text(data.get("fileName"))
    if not name:
        return None
    urls = [_printed_url(url) for url in _list(data.get("downloadUrls"))]
    url = next(filter(None, urls), "")
    pinned = re.search(r"[?&]fileId=(\d{1,10})(?:&|$)", url)
    if file is not None and pinned and int(pinned[1]) != file:
        return None  # it tells of another file than it was asked about
    air = re.search(r":civitai:(\d{1,10})@", _text(data.get("air")))
    ends = _text(data.get("earlyAccessEndsAt"))
    record = FileRecord(
        id=file if file is not None else int(pinned[1]) if pinned else None,
        name=name,
        type=_text(data.get("fileType")) or "Model",
        kibibytes=_number(data.get("size")),
        format=_text(data.get("format")),
        digests=_digests(data.get("hashes")),
        primary=True,
        printed_url=url,
    )
    shelf = VersionRecord(
        id=version,
        name=_text(data.get("versionName")),
        base_model=_text(data.get("baseModel")),
        published_at=_text(data.get("publishedAt")),
        gate=Gate(until=ends) if ends else None,
        files=(record,),
    )
    model = ModelRecord(
        id=int(air[1]) if air else None,
        name=_text(data.get("modelName")),
        type=_type_of_air(_text(data.get("air"))),
        versions=(shelf,),
    )
    return MiniRecord(uploaded_name=name, listed=Listed(model, shelf, record))


def _read_version(data: Mapping[str, Any]) -> VersionRecord | None:
    number = _integer(data.get("id"))
    if number is None:
        return None
    files = [read for one in _list(data.get("files")) if (read := _read_file(_mapping(one)))]
    return VersionRecord(
        id=number,
        name=_text(data.get("name")),
        base_model=_text(data.get("baseModel")),
        trained_words=tuple(filter(None, map(_text, _list(data.get("trainedWords"))))),
        published_at=_text(data.get("publishedAt")) or _text(data.get("createdAt")),
        usage_control=_text(data.get("usageControl")) or "Download",
        gate=_gate(data),
        files=tuple(files),
    )


def _read_file(data: Mapping[str, Any]) -> FileRecord | None:
    number = _integer(data.get("id"))
    name = _text(data.get("name"))
    if number is None or not name:
        return None
    metadata = _mapping(data.get("metadata"))
    return FileRecord(
        id=number,
        name=name,
        override=_text(data.get("overrideName")),
        type=_text(data.get("type")) or "Model",
        kibibytes=_number(data.get("sizeKB")),
        format=_text(metadata.get("format")),
        extent=_text(metadata.get("size")),
        precision=_text(metadata.get("fp")),
        quantization=_text(metadata.get("quantType")),
        stated=frozenset(key for key in metadata if isinstance(key, str)),
        digests=_digests(data.get("hashes")),
        primary=data.get("primary") is True,
        printed_url=_printed_url(data.get("downloadUrl")),
        pickle_scan=_text(data.get("pickleScanResult")),
        virus_scan=_text(data.get("virusScanResult")),
    )


def _gate(data: Mapping[str, Any]) -> Gate | None:
    """Early access as it is told today, and as it was told before."""
    if data.get("paidAccess"):
        paid = _mapping(data.get("paidAccess"))
        ends = _text(paid.get("endsAt"))
        return Gate(until=None if paid.get("permanent") is True else ends or _deadline(data) or None)
    if ends := _deadline(data):
        return Gate(until=ends)
    days = _number(data.get("earlyAccessTimeFrame")) or 0
    if data.get("availability") == "EarlyAccess" or days > 0:
        return Gate(until=_after(_text(data.get("publishedAt")), days) if days > 0 else None)
    return None


def _deadline(data: Mapping[str, Any]) -> str:
    return _text(data.get("earlyAccessDeadline")) or _text(data.get("earlyAccessEndsAt"))


def _after(moment: str, days: float) -> str | None:
    try:
        return (datetime.fromisoformat(moment) + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        return None


def _digests(hashes: object) -> tuple[Digest, ...]:
    found = []
    for kind, algorithm in _HASH_KINDS.items():
        value = _text(_mapping(hashes).get(kind))
        try:
            # AutoV3 had 64 digits in 2023 and has 12 today; it is kept and compared on 12
            found.append(Digest(algorithm, value[:12] if kind == "AutoV3" else value))
        except ValueError:
            continue  # absent, or no checksum
    return tuple(found)


def _printed_url(url: object) -> str:
    """Path and query of a download address; empty for anything else, and without what could be a token."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return ""
    if not re.fullmatch(r"/api/download/models/\d{1,10}", parts.path) or not re.fullmatch(r"[!-~]*", parts.query):
        return ""
    kept = "&".join(pair for pair in parts.query.split("&") if pair and not pair.lower().startswith("token="))
    return f"{parts.path}?{kept}" if kept else parts.path


def _type_of_air(air: str) -> str:
    kind = air.split(":")[3] if air.count(":") >= 4 else ""
    return _TYPES_BY_AIR.get(kind, "Other")


_TYPES_BY_AIR = {
    "checkpoint": "Checkpoint",
    "lora": "LORA",
    "dora": "DoRA",
    "lycoris": "LoCon",
    "embedding": "TextualInversion",
    "hypernet": "Hypernetwork",
    "ag": "AestheticGradient",
    "controlnet": "Controlnet",
    "upscaler": "Upscaler",
    "motion": "MotionModule",
    "vae": "VAE",
    "unet": "UNet",
    "diffusionmodel": "UNet",
    "text_encoders": "TextEncoder",
    "textencoder": "TextEncoder",
    "clip": "CLIP",
    "clipvision": "CLIPVision",
    "visionlanguage": "VisionLanguage",
}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value[:_LONGEST_LIST] if isinstance(value, list) else []


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return _UNPRINTABLE.sub("", str(value))[:_LONGEST_NAME].strip()


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) <= 12:
        value = int(value)
    return value if isinstance(value, int) and 0 < value < 1 << 53 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = float(value)
    return number if 0 <= number < 1e15 else None
