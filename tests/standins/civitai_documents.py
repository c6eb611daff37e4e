"""The JSON shapes in which the Civitai stand-in shows its catalogue; they differ from endpoint to endpoint."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from attrs import define

from .civitai_catalogue import File, Model, Version
from .civitai_naming import Rule, printed_name

PRIMARY_TYPES = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
WEIGHTS = {"format": 100.0, "size": 10.0, "fp": 1.0, "quantType": 0.5}
_PREFERRED = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M"}
_ECOSYSTEMS = {"SD 1.5": "sd1", "SDXL 1.0": "sdxl", "Pony": "sdxl", "Illustrious": "sdxl", "Flux.1 D": "flux1"}


def chosen_file(files: list[File], wishes: dict[str, str] | None = None) -> File | None:
    """The file that the service picks out of a version; the first of equals."""
    wanted = {**_PREFERRED, **(wishes or {})}

    def score(file: File) -> float:
        points = 2000.0 if file.type in PRIMARY_TYPES else 1000.0
        for key, value in (file.metadata or {}).items():
            if key in WEIGHTS:
                points += WEIGHTS[key] if value == wanted[key] else -WEIGHTS[key]
        return points

    return max(files, key=score, default=None)


@define(frozen=True)
class Documents:
    """Writes the documents of one service."""

    rule: Rule = "v2"
    pinned_urls: bool = False
    """Print ``?fileId=`` in ``downloadUrl``, as since August 2026."""

    def model(self, model: Model, base: str, *, listed: bool, primary_only: bool = False) -> dict[str, Any]:
        """``GET /models/{id}``, or an item of the list."""
        stats = ("downloadCount", "thumbsUpCount", "thumbsDownCount", "commentCount", "tippedAmountCount")
        document: dict[str, Any] = {
            "id": model.id,
            "name": model.name,
            "description": f"<p>{model.name}</p>",
            "type": model.type,
            "nsfw": model.nsfw_level > 3,
            "nsfwLevel": model.nsfw_level,
            "poi": model.poi,
            "minor": model.minor,
            "availability": model.availability,
            "allowCommercialUse": model.commercial_use,
            "stats": {key: None if model.null_stats else model.likes for key in stats},
            "tags": model.tags,
        }
        if model.mode:
            document["mode"] = model.mode
        if model.creator is not None:
            document["creator"] = {"username": model.creator, "image": None}
        document["modelVersions"] = [
            self._version_in_model(model, version, index, base, listed=listed, primary_only=primary_only)
            for index, version in enumerate(model.shown_versions)
        ]
        return document

    def _version_in_model(
        self, model: Model, version: Version, index: int, base: str, *, listed: bool, primary_only: bool
    ) -> dict[str, Any]:
        archived = model.mode == "Archived"
        files = [] if archived else self._files(model, version, base, listed=listed, alone=False)
        document: dict[str, Any] = {
            "id": version.id,
            "index": index,
            "name": version.name,
            "baseModel": version.base_model,
            "baseModelType": "Standard",
            "publishedAt": version.published_at,
            "availability": "Public",
            "nsfwLevel": version.nsfw_level,
            "description": None,
            "trainedWords": version.trained_words,
            "earlyAccessDeadline": version.early_access_deadline,
            "paidAccess": version.paid_access,
            "files": [file for file in files if file.get("primary")] if primary_only else files,
            "images": [],
            **version.extra,
        }
        if not archived:
            document["downloadUrl"] = f"{base}/api/download/models/{version.id}"
        if not listed:
            document["status"] = version.status
            # the service removes what is null or empty here, and only here
            document = {key: value for key, value in document.items() if value not in (None, [], "")}
        return document

    def version(self, model: Model, version: Version, base: str, *, honour_override: bool) -> dict[str, Any]:
        """``GET /model-versions/{id}`` and what by-hash answers with."""
        archived = model.mode == "Archived"
        document: dict[str, Any] = {
            "id": version.id,
            "modelId": model.id,
            "name": version.name,
            "nsfwLevel": version.nsfw_level,
            "status": version.status,
            "publishedAt": version.published_at,
            "trainedWords": version.trained_words,
            "baseModel": version.base_model,
            "description": None,
            "usageControl": version.usage_control,
            "paidAccess": version.paid_access,
            "earlyAccessDeadline": version.early_access_deadline,
            "air": self.air(model, version),
            "stats": {"downloadCount": None, "thumbsUpCount": model.likes},
            "model": {"name": model.name, "type": model.type, "nsfw": model.nsfw_level > 3, "poi": model.poi},
            "files": []
            if archived
            else self._files(model, version, base, listed=False, alone=True, honour_override=honour_override),
            "images": [],
            **version.extra,
        }
        if model.mode:
            document["model"]["mode"] = model.mode
        if not archived:
            document["downloadUrl"] = f"{base}/api/download/models/{version.id}"
        return document

    def mini(self, model: Model, version: Version, file: File, base: str) -> dict[str, Any]:
        """``GET /model-versions/mini/{id}``: the one place that tells the uploaded name."""
        return {
            "air": self.air(model, version),
            "versionName": version.name,
            "modelName": model.name,
            "baseModel": version.base_model,
            "availability": model.availability,
            "publishedAt": version.published_at,
            "size": file.byte_count / 1024,
            "fileType": file.type,
            "fileName": file.name,
            "hashes": file.all_hashes(),
            "downloadUrls": [f"{base}/api/download/models/{version.id}?fileId={file.id}"],
            "format": (file.metadata or {}).get("format"),
            "canGenerate": False,
            "requireAuth": version.require_auth,
            "checkPermission": bool(version.paid_access or version.early_access_deadline),
            "earlyAccessEndsAt": version.early_access_deadline,
        }

    def air(self, model: Model, version: Version) -> str:
        kind = {"TextualInversion": "embedding", "LoCon": "lycoris"}.get(model.type, model.type.lower())
        return f"urn:air:{_ECOSYSTEMS.get(version.base_model, 'other')}:{kind}:civitai:{model.id}@{version.id}"

    def _files(
        self, model: Model, version: Version, base: str, *, listed: bool, alone: bool, honour_override: bool = True
    ) -> list[dict[str, Any]]:
        first = chosen_file(version.files)
        documents = []
        for file in version.files:
            if not file.public:
                continue
            kibibytes = file.byte_count / 1024
            document: dict[str, Any] = {
                "id": file.id,
                "sizeKB": kibibytes,
                "name": printed_name(model, version, file, rule=self.rule, honour_override=honour_override),
                "type": file.type,
                "pickleScanResult": file.pickle_scan,
                "pickleScanMessage": None,
                "virusScanResult": file.virus_scan,
                "virusScanMessage": None,
                "metadata": file.metadata,
                "hashes": file.all_hashes(),
                "downloadUrl": base + self._download_path(version, file, is_primary=file is first),
            }
            if listed:
                document["overrideName"] = file.override
            if alone or file is first:
                document["primary"] = file is first
            documents.append(document)
        return documents

    def _download_path(self, version: Version, file: File, *, is_primary: bool) -> str:
        path = f"/api/download/models/{version.id}"
        if self.pinned_urls and not file.spliced:
            return f"{path}?fileId={file.id}"
        if is_primary:
            return path
        parts = {"type": file.type, **{key: (file.metadata or {}).get(key) for key in WEIGHTS}}
        if file.type == "Training Data":
            parts["format"] = None
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in parts.items() if value)
        return f"{path}?{query}" if query else path


def selected_for_download(files: list[File], query: dict[str, str], preferences: dict[str, str]) -> File | None:
    """``GET /api/download/models/V?query``: the file, or ``None`` for 404.

    :param preferences: Those of the account; the query goes before them.
    """
    if query.get("fileId"):
        return next(
            (file for file in files if str(file.id) == query["fileId"] and file.public and not file.spliced), None
        )
    wishes = {key: query[key] for key in WEIGHTS if query.get(key)}
    file = chosen_file(
        [file for file in files if not query.get("type") or file.type == query["type"]], {**preferences, **wishes}
    )
    if file is None:
        return None
    for key, value in wishes.items():
        has = (file.metadata or {}).get(key)
        if has and has != value:
            return None
    return file


def looks_like_a_browser(agent: str) -> bool:
    """Whether the service answers *agent* with pages instead of JSON."""
    return bool(re.search("mozilla|chrome|safari|firefox|opera|edge", agent, re.IGNORECASE))
