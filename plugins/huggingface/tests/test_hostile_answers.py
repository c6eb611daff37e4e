"""An endpoint that answers anything at all: it is told, or finds nothing, and never makes the back end stumble."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from standins.hub_desk import Desk

from comfywatchman_core import BackendError, Digest
from comfywatchman_core.testing import Asked, Reply, serve

KEYS = ("id", "sha", "siblings", "rfilename", "path", "lfs", "oid", "size", "type", "gated", "downloads", "hits")
TEXTS = (
    "",
    "x",
    "../x",
    "a" * 40,
    "c" * 64,
    "ae.safetensors",
    "vae/ae.safetensors",
    "Comfy-Org/x",
    "\x1b[31m",
    "\ud800",
)
HEADERS = {
    "ETag": ('"' + "c" * 64 + '"', "W/", "x"),
    "Link": ('<http://127.0.0.1/api/models?cursor=2>; rel="next"', "<", '<>; rel="next"'),
    "Location": ("/x", "http://[", "//", "file:///etc/passwd", "/Comfy-Org/y/resolve/main/vae/ae.safetensors"),
    "RateLimit": ('"api";r=0;t=0', '"api";r=0;t=1e9', "?"),
    "Retry-After": ("0", "-1", "never"),
    "X-Error-Code": ("GatedRepo", "RepoNotFound", "EntryNotFound", "Whatever"),
    "X-Error-Message": ("Invalid credentials in Authorization header", "Access to this resource is disabled."),
    "X-Linked-Etag": ('"' + "c" * 64 + '"', '"' + "a" * 40 + '"', "c"),
    "X-Linked-Size": ("12", "-1", "9" * 40, "much"),
    "X-Repo-Commit": ("a" * 40, "main", "../.."),
    "X-Xet-Hash": ("c" * 64, "?"),
}
QUESTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"digests": (Digest("sha256", "c" * 64),)},
    {"url": "https://huggingface.co/a/b/resolve/main/vae/ae.safetensors"},
    {"url": "https://huggingface.co/a/b"},
    {"hints": ("https://huggingface.co/a/b/blob/main/ae.safetensors",)},
    {"name": "", "reference": "hf:a/b"},
    {"name": "", "reference": "hf:a/b/c.safetensors"},
)


def anything(dice: random.Random, depth: int = 0) -> Any:
    """A value of JSON, as deep as a few levels, with the words in it that the Hub uses."""
    match dice.randrange(9 if depth < 3 else 5):
        case 0:
            return None
        case 1:
            return dice.random() < 0.5
        case 2:
            return dice.randrange(-5, 10**12)
        case 3:
            return dice.random() * 1e9
        case 4:
            return dice.choice(TEXTS)
        case 5:
            return [anything(dice, depth + 1) for _ in range(dice.randrange(4))]
        case 6:
            return {dice.choice(KEYS): anything(dice, depth + 1) for _ in range(dice.randrange(7))}
    likely = {"id": "Comfy-Org/x", "sha": "a" * 40, "type": "file", "path": "vae/ae.safetensors"}
    return {
        **likely,
        "siblings": [{"rfilename": "vae/ae.safetensors"}, anything(dice, depth + 1)],
        "lfs": anything(dice, depth + 1),
        "size": anything(dice, depth + 1),
    }


@pytest.mark.parametrize("seed", range(12))
def test_no_answer_whatever_makes_it_stumble(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)

    def answer(asked: Asked) -> Reply:
        status = dice.choice([200] * 8 + [302, 307, 401, 403, 404, 429, 451])
        headers = {name: dice.choice(values) for name, values in HEADERS.items() if dice.random() < 0.3}
        body = [anything(dice) for _ in range(dice.randrange(4))] if dice.random() < 0.6 else anything(dice)
        return Reply(status=status, headers=headers, body=b"" if asked.method == "HEAD" else json.dumps(body).encode())

    with serve(answer) as server:
        for number, question in enumerate(QUESTIONS):
            token = dice.choice(["hf_" + "x" * 30, False])
            settings = {"publishers": ["Comfy-Org"], "longest_wait": 0, "card_search": True, "token": token}
            desk = Desk(server.url, tmp_path / str(number), settings)
            try:
                offers = desk.resolve(**question)
            except BackendError as error:
                assert str(error)  # noqa: PT017  (whether it is told or nothing is found is the dice's choice)
            else:
                assert all(offer.url.startswith(f"{server.url}/") and ".." not in offer.url for offer in offers or [])
            assert "hf_xxx" not in repr(desk.told)
