"""What the stand-ins hold: every file that the demonstration's workflows name, small, and real in its format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen
from standins.civitai import CivitaiStandIn, File, Version
from standins.hub import HubStandIn

from comfywatchman_core.testing import safetensors, sha256

from .official import Declared, known_by_digest

_SIZES = (300_000, 900_000, 2_500_000, 6_000_000)
"""Bytes: enough to see a bar move, and not to wait for it."""

CIVITAI_KEY = "demo-key-of-nobody"


@frozen
class Own:
    """A file that only the demonstration has."""

    name: str
    repository: str = ""
    data: bytes = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "data", safetensors(self.name, 1_500_000))


LANTERN = Own("paperLantern_v20.safetensors")
"""A checkpoint at Civitai, found by the name that the site gives it."""
INK_WASH = Own("ink_wash_v3.safetensors")
"""A LoRA at Civitai, found by its SHA256 whatever the workflow calls it."""
TIDE_POOL = Own("tide_pool_vae_bf16.safetensors", "Comfy-Org/tide_pool")
"""A file of a publisher that is searched by exact name."""
GATED = Own("harbour_fog.safetensors", "atelier/harbour_fog")
"""A file whose licence somebody accepted: only the token opens it."""


@frozen(kw_only=True)
class Sources:
    """The two stand-ins, running."""

    hub: HubStandIn
    civitai: CivitaiStandIn
    table: Path
    """The user's table of known models; see :func:`_table`."""
    published: Mapping[str, bytes]
    """``FOLDER/NAME`` as it must lie in the models folder → bytes that the source published."""

    @property
    def transfers(self) -> int:
        """How often a storage host was asked for a file."""
        return len(self.hub.cdn_requests) + len(self.civitai.storage_requests)

    @property
    def questions(self) -> int:
        """How often an API was asked."""
        return len(self.hub.requests) + len(self.civitai.requests)

    def tokens_told_to_storage(self) -> int:
        """Requests to a storage host that carried somebody's token; there must be none."""
        asked = (*self.hub.cdn_requests, *self.civitai.storage_requests)
        secrets = (self.hub.token, CIVITAI_KEY)
        return sum(any(s in f"{one.target} {dict(one.headers)}" for s in secrets) for one in asked)


@contextmanager
def running(models: Iterable[Declared], place: Path) -> Iterator[Sources]:
    """Run both sites with everything that *models* and the demonstration's own workflows need.

    :param place: Where the table of known models is written.
    """
    made = {one: _made(one) for one in sorted(set(models))}
    with HubStandIn() as hub, CivitaiStandIn(keys=(CIVITAI_KEY,), needs_login=True) as civitai:
        repositories: dict[str, dict[str, bytes]] = {}
        for one, data in made.items():
            repositories.setdefault(one.repository, {})[one.path] = data
        for name, held in repositories.items():
            hub.add_repo(name, held)
        hub.add_repo(TIDE_POOL.repository, {f"split_files/vae/{TIDE_POOL.name}": TIDE_POOL.data})
        hub.add_repo(GATED.repository, {GATED.name: GATED.data}, gated="auto")
        _fill(civitai)
        yield Sources(
            hub=hub,
            civitai=civitai,
            table=_table(made, place),
            published={
                **{f"{one.folder}/{one.name}": data for one, data in made.items()},
                f"checkpoints/{LANTERN.name}": LANTERN.data,
                "loras/styles/wash.safetensors": INK_WASH.data,
                f"vae/{TIDE_POOL.name}": TIDE_POOL.data,
                f"loras/{GATED.name}": GATED.data,
            },
        )


def _made(one: Declared) -> bytes:
    """One name in one folder is one file, in however many repositories it lies; as it is with these templates."""
    return safetensors(f"{one.folder}/{one.name}", _SIZES[len(one.name) % len(_SIZES)])


def _fill(civitai: CivitaiStandIn) -> None:
    civitai.add_model(
        name="Paper Lantern",
        type="Checkpoint",
        versions=[
            Version("v2.0", [File(LANTERN.name, LANTERN.data)]),
            Version("v1.0", [File("paperLantern_v10.safetensors", safetensors("an older lantern"))]),
        ],
    )
    civitai.add_model(name="Ink Wash", versions=[Version("v3", [File(INK_WASH.name, INK_WASH.data)])])
    civitai.add_model(name="Lantern Paper", versions=[Version("v2", [File("lantern_paper_v2.safetensors", b"")])])


def _table(made: Mapping[Declared, bytes], place: Path) -> Path:
    """Write a table of known models for files whose real digest ships with the directid back end.

    The stand-ins cannot have those bytes, and would be refused for it. The
    user's own table goes before the packaged one, which answers for the rest.
    """
    known = known_by_digest()
    rows = [
        {"name": one.name, "folders": [one.folder], "source": one.reference, "sha256": sha256(data), "size": len(data)}
        for one, data in made.items()
        if one.name in known
    ]
    table = place / "known.json"
    table.write_text(json.dumps({"schema": "comfywatchman-known/1", "models": rows}, indent=1), "utf-8")
    return table
