"""``GET /api/v1/models`` of the Civitai stand-in: parameters, visibility, search, paging."""

from __future__ import annotations

import json
from typing import Any

from attrs import Factory, define

from comfywatchman_core.testing import Asked, Reply

from .civitai_catalogue import Catalogue, Model
from .civitai_documents import Documents
from .civitai_search import SearchIndex

MODEL_TYPES = frozenset(
    {
        "Checkpoint", "TextualInversion", "Hypernetwork", "AestheticGradient", "LORA", "LoCon", "DoRA",
        "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet", "CLIPVision", "Poses",
        "Wildcards", "Workflows", "ComfyWorkflows", "Detection", "VisionLanguage", "CLIP", "LLM", "Other",
    }
)  # fmt: skip
_PERIODS = ("AllTime", "Year", "Month", "Week", "Day")
_SORTS = (
    "Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected", "Most Images", "Newest",
    "Oldest",
)  # fmt: skip
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_SFW, _ANY_LEVEL = 1, 31


class _Refused(Exception):
    """The query is answered with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


@define
class Listing:
    """The list endpoint over one catalogue."""

    catalogue: Catalogue
    index: SearchIndex
    documents: Documents
    still: bool = False
    """Nothing in the catalogue changes any more: each model is written down once."""
    _written: dict[tuple[int, str, bool], str] = Factory(dict)

    def answer(self, asked: Asked, base: str, *, logged_in: bool) -> Reply:
        query = asked.query
        try:
            if ("favorites" in query or "hidden" in query) and not logged_in:
                return Reply.json({"error": "Unauthorized"}, 401)
            return self._page(query, asked, base)
        except _Refused as refused:
            return refused.reply

    def _page(self, query: dict[str, list[str]], asked: Asked, base: str) -> Reply:
        limit = _number(query, "limit", 100, lowest=0, highest=100)
        text = _one(query, "query").strip()
        page = _number(query, "page", 0, lowest=1) if "page" in query else 0
        if page and text:
            message = "Cannot use page param with query search. Use cursor-based pagination."
            raise _Refused(Reply.json({"error": message}, 400))
        if page * limit > 1000:
            message = "You've requested too many pages, please use cursors instead"
            raise _Refused(Reply.json({"error": message}, 429))
        models = self._found(text, query)
        cursor = _one(query, "cursor")
        if cursor and not cursor.rpartition("|")[2].isdigit():
            raise _zod("cursor", "Invalid cursor")
        start = int(cursor.rpartition("|")[2]) if cursor else max(0, page - 1) * limit
        # With a query the search is cut first; what other filters remove leaves a page short.
        shown = [model for model in models[start : start + limit] if self._passes(model, query, late=bool(text))]
        metadata: dict[str, Any] = {"currentPage": page, "pageSize": limit} if page else {}
        if start + limit < len(models):
            end = start + limit
            metadata["nextCursor"] = str(end) if text else f"{models[end].likes}|{end}"
            metadata["nextPage"] = f"{base}{asked.path}?cursor={metadata['nextCursor']}"
        items = ",".join(self._item(model, base, _boolean(query, "primaryFileOnly")) for model in shown)
        return Reply(
            headers={
                "Content-Type": "application/json",
                "Cache-Control": "public, s-maxage=300, stale-while-revalidate=150",
            },
            body=f'{{"items":[{items}],"metadata":{json.dumps(metadata)}}}'.encode(),
        )

    def _item(self, model: Model, base: str, primary_only: bool) -> str:
        key = (model.id, base, primary_only)
        text = self._written.get(key) if self.still else None
        if text is None:
            document = self.documents.model(model, base, listed=True, primary_only=primary_only)
            text = self._written[key] = json.dumps(document)
        return text

    def _found(self, text: str, query: dict[str, list[str]]) -> list[Model]:
        types = query.get("types", [])
        if any(kind not in MODEL_TYPES for kind in types):
            raise _zod("types", f"Invalid option: {types[0]!r}")
        if _one(query, "sort", _SORTS[0]) not in _SORTS or _one(query, "period", _PERIODS[0]) not in _PERIODS:
            raise _zod("sort", "Invalid option")
        nsfw = _boolean(query, "nsfw")

        def visible(model: Model) -> bool:
            if model.poi or not model.shown_versions or model.availability in ("Private", "Unsearchable"):
                return False
            if model.mode == "Archived" and not _one(query, "archived"):
                return False
            if types and model.type not in types:
                return False
            if nsfw:
                return bool(model.nsfw_level & _ANY_LEVEL) and not model.minor and "child" not in model.tags
            return bool(model.nsfw_level & _SFW)

        if text:
            models = self.catalogue.models
            return [models[found] for found in self.index.search(text, lambda found: visible(models[found]))]
        kept = [m for m in self.catalogue.models.values() if visible(m) and self._passes(m, query, late=True)]
        ids = _numbers(query, "ids")
        versions = _numbers(query, "modelVersionIds")
        if ids:
            kept = [model for model in kept if model.id in ids]
        if versions:
            kept = [model for model in kept if versions & {version.id for version in model.versions}]
        return sorted(kept, key=lambda model: (-model.likes, model.id))

    def _passes(self, model: Model, query: dict[str, list[str]], *, late: bool) -> bool:
        if not late:
            return True
        username = _one(query, "username")
        if username and not any(other.creator == username for other in self.catalogue.models.values()):
            raise _Refused(Reply.json({"error": f"User {username} not found"}, 404))
        bases = query.get("baseModels", [])
        tag = _one(query, "tag")
        return (
            (not username or model.creator == username)
            and (not tag or tag in model.tags)
            and (not bases or any(version.base_model in bases for version in model.shown_versions))
        )


def _one(query: dict[str, list[str]], key: str, default: str = "") -> str:
    return query.get(key, [default])[-1]


def _number(query: dict[str, list[str]], key: str, default: int, *, lowest: int, highest: int = 1 << 31) -> int:
    text = _one(query, key, str(default))
    if not text.isdigit() or not lowest <= int(text) <= highest:
        raise _zod(key, "Too big or too small")
    return int(text)


def _numbers(query: dict[str, list[str]], key: str) -> set[int]:
    parts = ",".join(query.get(key, [])).split(",")
    return {int(part) for part in parts if part.isdigit()}


def _boolean(query: dict[str, list[str]], key: str) -> bool:
    text = _one(query, key, "false").lower()
    if text not in _TRUE + _FALSE:
        raise _zod(key, "Invalid boolean")
    return text in _TRUE


def _zod(path: str, message: str) -> _Refused:
    issues = json.dumps([{"code": "invalid_value", "path": [path], "message": message}])
    return _Refused(Reply.json({"error": {"name": "ZodError", "message": issues}}, 400))
