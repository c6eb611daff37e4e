"""A small source for tests of the core: a server with files, and a back end that knows what is on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfywatchman_core import Artifact, Candidate, Context, Digest, Match, ModelRequest, hookimpl
from comfywatchman_core.testing import Asked, Origin, Reply, serve, sha256

TOKEN = "s3cr3t-token-9d41"

Answer = Callable[[Asked], Reply]


class Shelf:
    """A back end that offers the files of one server by their exact names, and sends a token along."""

    api_version = 1
    priority = 50

    def __init__(self, url: str, *, token: str = TOKEN) -> None:
        self.url = url
        self.token = token
        self.offers: dict[str, list[Candidate]] = {}
        self.asked: list[ModelRequest] = []

    def put(self, key: str, data: bytes | None = None, *, match: Match = Match.FILENAME, **more: Any) -> Candidate:
        """Offer a file for requests of the name *key*; its digest and size are published where *data* is given."""
        known: dict[str, Any] = (
            {} if data is None else {"digests": (Digest("sha256", sha256(data)),), "size": len(data)}
        )
        offer = Candidate(
            **{
                "match": match,
                "url": f"{self.url}/{key}",
                "endpoint": self.url,
                "name": key,
                "reference": f"shelf:{key}",
                **known,
                **more,
            }
        )
        self.offers.setdefault(key, []).append(offer)
        return offer

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        self.asked.append(request)
        if request.reference is not None:
            scheme, _, name = request.reference.partition(":")
            return tuple(self.offers.get(name, ())) if scheme == "shelf" else None
        return tuple(self.offers.get(request.name.name if request.name else "", ()))

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        if candidate.backend != context.name:
            return None
        return context.fetch(candidate, target, headers={"Authorization": f"Bearer {self.token}"})


class Files:
    """What a server has, by path; a function answers by itself."""

    def __init__(self) -> None:
        self.by_path: dict[str, bytes | Answer] = {}

    def answer(self, asked: Asked) -> Reply:
        found = self.by_path.get(asked.path.lstrip("/"))
        if found is None:
            return Reply.json({"error": "not found"}, 404)
        return found(asked) if callable(found) else Reply.of_bytes(found, asked, ETag='"1"')


@contextmanager
def serve_files(host: str = "127.0.0.1", **options: Any) -> Iterator[tuple[Files, Origin]]:
    """Run a server with files until the block ends."""
    files = Files()
    with serve(files.answer, host=host, **options) as origin:
        yield files, origin


def write_workflow(path: Path, *nodes: Mapping[str, Any]) -> Path:
    """Write a workflow of the user interface with *nodes*; see :func:`node`."""
    numbered = [{"id": number, "inputs": [], "outputs": [], **one} for number, one in enumerate(nodes, 1)]
    path.write_text(json.dumps({"nodes": numbered, "links": [], "version": 0.4}))
    return path


def node(name: str, node_class: str = "LoraLoaderModelOnly", **declared: str) -> dict[str, Any]:
    """A loader node that has *name* selected, and declares what is given of it: ``url``, ``hash``, ``directory``."""
    made: dict[str, Any] = {"type": node_class, "mode": 0, "widgets_values": [name], "properties": {}}
    if node_class == "LoraLoaderModelOnly":
        made["widgets_values"] = [name, 1.0]
        declared.setdefault("directory", "loras")
    if len(declared) > 1 or "url" in declared:
        if "hash" in declared:
            declared["hash_type"] = "SHA256"
        made["properties"] = {"models": [{"name": name.rpartition("/")[2], **declared}]}
    return made
