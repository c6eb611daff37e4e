"""Installed sources that fail, lie, hang and contradict themselves, against the command in a child process.

The first source has a fault. The second one has the file: it arrives from there, and the report shows both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from attrs import field, frozen
from standins.faulty import GOOD, Ending, Faulty, Scene, faulty
from transfer.commands import Ended, ended, environment, get, tree

from comfywatchman_core.testing import safetensors, sha256

NAME = "model.safetensors"
SIZE = 1 << 20
CONTENT = safetensors("model", SIZE)
STRANGER = b"somebody else's"

SOURCE = """
import time
from pathlib import Path
from comfywatchman_core import Artifact, Candidate, Check, Digest, Match, hookimpl

class Source:
    api_version, priority = 1, {priority}

    @hookimpl
    def resolve_model(self, request, context):
        offer = dict({offer!r})
        digests = tuple(Digest("sha256", text) for text in offer.pop("sha256"))
        return [Candidate(match=Match.FILENAME, name={name!r}, digests=digests, **offer)]

{more}

source = Source()
"""


def install(site: Path, name: str, priority: int, offer: dict[str, Any], more: str = "") -> None:
    """Put a source into *site*, as ``pip install`` would leave it."""
    code = SOURCE.format(priority=priority, offer=offer, name=NAME, more=indent(more, "    "))
    site.mkdir(exist_ok=True)
    (site / f"{name}_source.py").write_text(code)
    about = site / f"{name}_source-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-source\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[comfywatchman.backends]\n{name} = {name}_source:source\n")


@frozen(kw_only=True)
class Case:
    """What is wrong with the first source."""

    scenes: tuple[Scene, ...] = (GOOD,)
    offer: dict[str, Any] = field(factory=dict)
    """What it says of the file, where that is not the truth."""
    hooks: str = ""
    """What it does instead."""
    asked: int = 1
    """Requests that its server hears."""
    code: str = ""
    """The error under which the report shows it."""
    kept: bool = False
    """The refused bytes are put aside."""


def hook(name: str, arguments: str, *lines: str) -> str:
    return "\n".join(["@hookimpl", f"def {name}(self, {arguments}):", *(f"    {line}" for line in lines)])


def resolving(*lines: str) -> str:
    return hook("resolve_model", "request, context", *lines)


def downloading(*lines: str) -> str:
    only_its_own = "if candidate.backend != context.name: return None"
    return hook("download_artifact", "candidate, target, context", only_its_own, *lines)


PAGE = {"Content-Type": "text/html"}

CASES = {
    "3 it breaks off, always": Case(scenes=(Scene(instead=b"\n", then=Ending.RST),), asked=2, code="network"),
    "7 more bytes than it states": Case(offer={"size": len(CONTENT) - 1}, code="size_mismatch"),
    "7 more bytes than it states, and no length": Case(
        offer={"size": len(CONTENT) - 1, "sha256": []}, scenes=(Scene(chunked=True),), code="size_mismatch"
    ),
    "9 it sends the file encoded": Case(scenes=(Scene(headers={"Content-Encoding": "gzip"}),), code="not_a_model"),
    "23 it wants to be left alone for a day": Case(
        scenes=(Scene(status=429, headers={"Retry-After": "99999"}, body=b""),), code="rate_limited"
    ),
    "24 it is down": Case(scenes=(Scene(status=503, body=b""),), asked=2, code="unavailable"),
    "25 it wants a token": Case(scenes=(Scene(status=401, body=b"no"),), code="auth_required"),
    "27 it has it no more": Case(scenes=(Scene(status=404, body=b"no"),), code="not_found"),
    "27 it was taken down": Case(scenes=(Scene(status=410, body=b"no"),), code="not_found"),
    "30 a page": Case(scenes=(Scene(body=b"<html>please log in", headers=PAGE),), code="not_a_model"),
    "30 100 KB instead of 60 MB": Case(
        offer={"size": 60 * 10**6}, scenes=(Scene(body=b"x" * 100_000),), code="size_mismatch"
    ),
    "31 other bytes of the same length": Case(
        scenes=(Scene(body=safetensors("other", SIZE)),), code="checksum_mismatch", kept=True
    ),
    "32 a checksum that is none": Case(offer={"sha256": ["f" * 63]}, asked=0, code="backend_failed"),
    "40 it raises": Case(hooks=resolving("raise RuntimeError('boom')"), asked=0, code="backend_failed"),
    "40 it ends the process": Case(hooks=resolving("raise SystemExit(3)"), asked=0, code="backend_failed"),
    "40 it hangs": Case(hooks=resolving("time.sleep(50)"), asked=0, code="unavailable"),
    "40 it answers a number": Case(hooks=resolving("return 42"), asked=0, code="backend_failed"),
    "40 its transfer raises": Case(hooks=downloading("raise RuntimeError('boom')"), asked=0, code="backend_failed"),
    "40 its transfer hangs": Case(hooks=downloading("time.sleep(50)"), asked=0, code="unavailable"),
    "40 it brings nothing and says that it is done": Case(
        hooks=downloading("target.write_bytes(b'')", f"return Artifact(path=target, size={SIZE})"),
        asked=0,
        code="not_a_model",
    ),
    "40 it brings other bytes and says that they are right": Case(
        hooks=downloading(
            "from comfywatchman_core.testing import safetensors",
            "target.write_bytes(safetensors('other'))",
            f"return Artifact(path=target, size={len(CONTENT)}, digests=candidate.digests)",
        ),
        asked=0,
        code="checksum_mismatch",
        kept=True,
    ),
    "40 it hands out another file": Case(
        hooks=downloading("return Artifact(path=Path(__file__), size=1)"), asked=0, code="backend_failed"
    ),
}


def command(site: Path, place: Path, what: str) -> Ended:
    """Run the command with the sources of *site* and no others."""
    env = environment(place / "home")
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), env.get("PYTHONPATH", ""))))
    others = [part for point in entry_points(group="comfywatchman.backends") for part in ("--disable", point.name)]
    options = ["--connections", "1", "--retries", "1", "--timeout", "1", *others]
    return ended(get(place / "models", what, *options, env=env, plugins=True))


@frozen(kw_only=True)
class Seen:
    """What a case left to be looked at."""

    ended: Ended
    asked: int
    models: dict[str, bytes] = field(repr=False)


def offer_of(server: Faulty, path: str, **stated: Any) -> dict[str, Any]:
    """What a source says of the file at *path*; the truth, but for *stated*."""
    return {"sha256": [sha256(CONTENT)], "url": server.url + path, "endpoint": server.url, **stated}


def play(server: Faulty, mirror: Faulty, number: int, case: Case, place: Path) -> Seen:
    path = f"/{number}"
    server.files[path] = mirror.files[path] = CONTENT
    server.play(path, *case.scenes)
    install(place / "site", "first", 90, offer_of(server, path, **case.offer), case.hooks)
    install(place / "site", "second", 50, offer_of(mirror, path))
    models = place / "models"
    (models / "loras").mkdir(parents=True)
    (models / "loras" / "other.safetensors").write_bytes(STRANGER)
    done = command(place / "site", place, f"loras/{NAME}")
    return Seen(ended=done, asked=len(server.heard_of(path)), models=tree(models))


@pytest.fixture(scope="module")
def server() -> Iterator[Faulty]:
    with faulty() as server:
        yield server


@pytest.fixture(scope="module")
def played(server: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Seen]]]:
    with faulty(host="localhost") as mirror, ThreadPoolExecutor(4) as pool:
        yield {
            name: pool.submit(play, server, mirror, number, case, tmp_path_factory.mktemp("case"))
            for number, (name, case) in enumerate(CASES.items())
        }


@pytest.mark.parametrize("name", CASES)
def test_the_next_source_has_it_and_the_report_shows_both(name: str, played: dict[str, Future[Seen]]) -> None:
    case, seen = CASES[name], played[name].result()
    aside = [path for path in seen.models if ".bad-" in path]

    (file,) = seen.ended.files
    assert (seen.ended.code, file["status"], file["backend"], file["error"]) == (0, "downloaded", "second", None)
    assert {path: seen.models[path] for path in seen.models if path not in aside} == {
        f"loras/{NAME}": CONTENT,
        "loras/other.safetensors": STRANGER,
    }
    assert len(aside) == case.kept
    assert seen.asked == case.asked
    errors = [attempt["error"] for attempt in file["attempts"] if attempt["error"] is not None]
    assert [error["code"] for error in errors] == [case.code]
    refused = case.code in ("checksum_mismatch", "size_mismatch", "not_a_model")
    assert ("the next source is asked" in seen.ended.warnings) == refused
    assert "Traceback" not in seen.ended.err


def test_27_what_the_first_source_sent_is_not_transferred_again_from_the_next(server: Faulty, tmp_path: Path) -> None:
    with faulty(host="localhost") as mirror:
        server.files["/half"] = mirror.files["/half"] = CONTENT
        server.play("/half", Scene(sends=SIZE // 2, then=Ending.FIN), Scene(status=404, body=b"gone"))
        for name, priority, of in (("first", 90, server), ("second", 50, mirror)):
            install(tmp_path / "site", name, priority, offer_of(of, "/half"))

        done = command(tmp_path / "site", tmp_path, f"loras/{NAME}")

        assert mirror.sent["/half"] == len(CONTENT) - SIZE // 2
    assert done.code == 0
    assert tree(tmp_path / "models") == {f"loras/{NAME}": CONTENT}


@pytest.mark.parametrize(
    ("hooks", "code"),
    [("raise RuntimeError('boom')", 5), ("return 42", 5), ("return [Check('scan', False)]", 7)],
)
def test_40_what_a_verifier_does_not_pass_is_not_published(
    server: Faulty, tmp_path: Path, hooks: str, code: int
) -> None:
    server.files["/x"] = CONTENT
    install(
        tmp_path / "site",
        "only",
        50,
        offer_of(server, "/x"),
        hook("verify_artifact", "artifact, candidate, context", hooks),
    )

    done = command(tmp_path / "site", tmp_path, f"loras/{NAME}")

    assert (done.code, done.files[0]["status"]) == (code, "failed")
    assert tree(tmp_path / "models") == {}
    assert "Traceback" not in done.err


def test_4_a_source_that_knows_the_size_notices_a_cut_that_looks_like_an_end(server: Faulty, tmp_path: Path) -> None:
    server.files["/cut"] = CONTENT
    server.play("/cut", Scene(headers={"Content-Length": None}, sends=SIZE // 2, then=Ending.FIN), GOOD)
    install(tmp_path / "site", "only", 50, offer_of(server, "/cut", sha256=[], size=len(CONTENT)))

    done = command(tmp_path / "site", tmp_path, f"loras/{NAME}")

    assert (done.code, done.files[0]["verdict"]) == (0, "unverified")
    assert tree(tmp_path / "models") == {f"loras/{NAME}": CONTENT}
    assert len(server.heard_of("/cut")) == 2


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [
        pytest.param(sha256(CONTENT).upper(), "verified", id="in capitals"),
        pytest.param(f"sha256:{sha256(CONTENT)}", "verified", id="with its name before it"),
        pytest.param(sha256(CONTENT)[:-1], "unverified", id="too short to be one"),
    ],
)
def test_32_a_checksum_counts_however_it_is_spelled_and_one_of_the_wrong_length_counts_as_none(
    server: Faulty, tmp_path: Path, stated: str, verdict: str
) -> None:
    server.files["/x"] = CONTENT
    install(tmp_path / "site", "only", 50, offer_of(server, "/x", sha256=[]))
    declared = {"name": NAME, "url": "", "directory": "loras", "hash": stated, "hash_type": "SHA256"}
    node = {"id": 1, "type": "LoraLoader", "widgets_values": [NAME, 1, 1], "properties": {"models": [declared]}}
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps({"nodes": [node], "links": [], "version": 0.4}))

    done = command(tmp_path / "site", tmp_path, str(workflow))

    assert (done.code, done.files[0]["verdict"]) == (0, verdict)
    assert ("not a sha256 digest" in str(done.lines[-1]["problems"])) == (verdict == "unverified")
    assert tree(tmp_path / "models") == {f"loras/{NAME}": CONTENT}
