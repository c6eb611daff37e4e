"""What a storage host may do to a download, case by case, against the command in a child process.

Each row is one fault. After each, whatever happened: under the final name is
nothing or exactly the right bytes, nobody else's file changed, no secret was
printed, the exit code is the documented one, an undisturbed second run ends
well and transfers no more than was missing, and it leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from standins.faulty import GOOD, Ending, Faulty, Scene, faulty
from transfer.commands import Ended, again, leftovers, run, tree

from comfywatchman_core import Report
from comfywatchman_core.testing import safetensors, sha256

SIZE = 3 << 20
HALF = SIZE // 2
TOKEN = "hf_SECRETSECRETSECRETSECRET"

CUT = Scene(sends=HALF, then=Ending.FIN)
NO_LENGTH = {"Content-Length": None}


def status(code: int, body: bytes = b"no", **headers: str) -> Scene:
    return Scene(status=code, body=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


@frozen(kw_only=True)
class Case:
    """One fault and what is to come of it."""

    scenes: tuple[Scene, ...]
    code: int = 0
    error: str = ""
    """``files[].error.code``; empty for a file that is had all the same."""
    digest: bool = True
    """The user states the SHA256."""
    asked: tuple[int, int] = (1, 99)
    """The least and the most requests."""
    kept: bool = False
    """The refused bytes are put aside."""
    options: tuple[str, ...] = ()


CASES = {
    "1 cut in order at half": Case(scenes=(CUT, GOOD), asked=(2, 2)),
    "1 cut in order at half, again and again, a little further each time": Case(
        scenes=(CUT, *[Scene(sends=SIZE // 10, then=Ending.FIN)] * 4, GOOD), asked=(6, 6)
    ),
    "2 reset at half, and five times after a few bytes more": Case(
        scenes=(Scene(sends=HALF, then=Ending.RST), *[Scene(sends=6000, then=Ending.RST)] * 5, GOOD), asked=(4, 9)
    ),
    "3 reset before any byte, always": Case(
        scenes=(Scene(instead=b"\n", then=Ending.RST),), code=5, error="network", asked=(3, 3)
    ),
    "4 no length, closed early, digest known": Case(
        scenes=(Scene(headers=NO_LENGTH, sends=HALF, then=Ending.FIN), GOOD), asked=(2, 2)
    ),
    "5 no length, closed early, nothing known: the header tells": Case(
        scenes=(Scene(headers=NO_LENGTH, sends=HALF, then=Ending.FIN),), digest=False, code=7, error="not_a_model"
    ),
    "6 chunked, cut": Case(scenes=(Scene(chunked=True, sends=HALF, then=Ending.FIN), GOOD), asked=(2, 2)),
    "6 chunked, whole": Case(scenes=(Scene(chunked=True),), asked=(1, 1)),
    "7 more bytes than announced": Case(scenes=(Scene(extra=b"and more", then=Ending.FIN),), asked=(1, 1)),
    "8 a length that is no number": Case(
        scenes=(Scene(headers={"Content-Length": "many"}, then=Ending.FIN),), asked=(1, 1)
    ),
    "8 a negative length": Case(scenes=(Scene(headers={"Content-Length": "-7"}, then=Ending.FIN),), asked=(1, 1)),
    "8 two lengths": Case(
        scenes=(Scene(headers={"Content-Length": "7", "content-length": "8"}, then=Ending.FIN),),
        code=5,
        error="network",
        asked=(1, 1),
    ),
    "9 encoded although asked not to": Case(
        scenes=(Scene(headers={"Content-Encoding": "gzip"}),), code=7, error="not_a_model", asked=(1, 1)
    ),
    "10 the whole file for a range": Case(scenes=(CUT, Scene(ranges=False)), asked=(2, 2)),
    "11 another range than asked for": Case(scenes=(CUT, Scene(shift=-7), GOOD), asked=(3, 3)),
    "11 always another range than asked for": Case(scenes=(CUT, Scene(shift=-7), CUT, Scene(shift=7), GOOD)),
    "12 another total for the range": Case(
        scenes=(CUT, Scene(headers={"Content-Range": f"bytes {HALF}-{SIZE}/{SIZE + 1}"}), GOOD), asked=(2, 3)
    ),
    "13 another etag for the range": Case(
        scenes=(CUT, Scene(headers={"ETag": '"other"'}, honours_if_range=False), GOOD), asked=(3, 3)
    ),
    "14 a weak etag and a digest": Case(scenes=(Scene(sends=HALF, then=Ending.FIN, headers={"ETag": 'W/"x"'}), GOOD)),
    "16 a range that cannot be satisfied, without a length": Case(
        scenes=(CUT, Scene(status=416, headers={"Content-Range": None}, body=b""), GOOD), asked=(3, 3)
    ),
    "20 silence after a tenth": Case(scenes=(Scene(sends=SIZE // 10, then=Ending.SILENCE), GOOD), asked=(2, 9)),
    "20 silence instead of an answer": Case(
        scenes=(Scene(instead=b"HTTP/1.1 200 OK\r\n", then=Ending.SILENCE), GOOD), asked=(2, 2)
    ),
    "21 a byte now and then": Case(
        scenes=(Scene(sends=99, drip=0.3),), code=5, error="stalled", options=("--retries", "0")
    ),
    "22 429 with seconds": Case(scenes=(status(429, Retry_After="1"), GOOD), asked=(2, 2)),
    "23 429 with a date": Case(scenes=(status(429, Retry_After="{soon}"), GOOD), asked=(2, 2)),
    "23 429 with a date that is past": Case(
        scenes=(status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), GOOD), asked=(2, 2)
    ),
    "23 429 for longer than anybody waits": Case(
        scenes=(status(429, Retry_After="99999"),), code=6, error="rate_limited", asked=(1, 1)
    ),
    "24 503 twice": Case(scenes=(status(503), status(503), GOOD), asked=(3, 3)),
    "25 401 at the start": Case(scenes=(status(401),), code=3, error="auth_required", asked=(1, 1)),
    "25 403 at the start": Case(scenes=(status(403),), code=3, error="auth_required", asked=(1, 1)),
    "27 404": Case(scenes=(status(404),), code=4, error="not_found", asked=(1, 1)),
    "27 410": Case(scenes=(status(410),), code=4, error="not_found", asked=(1, 1)),
    "28 a redirect to itself": Case(
        scenes=(status(302, Location="{path}"),), code=5, error="unavailable", asked=(11, 11)
    ),
    "28 a redirect to a file": Case(
        scenes=(status(302, Location="file:///etc/hostname"),), code=5, error="unavailable", asked=(1, 1)
    ),
    "28 a redirect without an address": Case(scenes=(status(302),), code=5, error="unavailable", asked=(1, 1)),
    "30 a page": Case(
        scenes=(Scene(body=b"<html>please log in", headers={"Content-Type": "text/html; charset=utf-8"}),),
        code=7,
        error="not_a_model",
        asked=(1, 1),
    ),
    "30 a page that says it is a file": Case(
        scenes=(Scene(body=b"<!doctype html><title>no"),), digest=False, code=7, error="not_a_model"
    ),
    "30 a JSON error": Case(
        scenes=(Scene(body=b'{"error": "no"}', headers={"Content-Type": "application/json"}),),
        code=7,
        error="not_a_model",
        asked=(1, 1),
    ),
    "30 nothing": Case(scenes=(Scene(body=b""),), code=7, error="not_a_model", asked=(1, 1)),
    "30 much less than a model": Case(scenes=(Scene(body=b"x" * 1000),), digest=False, code=7, error="not_a_model"),
    "31 other bytes of the same length": Case(
        scenes=(Scene(body=safetensors("other", SIZE)),), code=7, error="checksum_mismatch", asked=(1, 1), kept=True
    ),
    "- a connection that is closed before its answer": Case(scenes=(Scene(instead=b"\n", then=Ending.FIN), GOOD)),
    "- an answer that is no HTTP": Case(
        scenes=(Scene(instead=b"SSH-2.0-OpenSSH\r\n\r\n", then=Ending.FIN),), code=5, error="network"
    ),
    "- endless headers": Case(
        scenes=(Scene(instead=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, then=Ending.FIN),), code=5, error="network"
    ),
}


@frozen(kw_only=True)
class Seen:
    """What a case left to be looked at."""

    name: str
    """Of the file."""
    content: bytes = field(repr=False)
    first: Ended
    after_first: dict[str, bytes] = field(repr=False)
    asked: int
    """Requests of the first run."""
    second: Report
    sent_again: int
    """Bytes that the server sent to the second run."""
    after_second: dict[str, bytes] = field(repr=False)
    leftovers: list[str]


def play(server: Faulty, number: int, case: Case, place: Path) -> Seen:
    """Run the command against the fault, and then without it."""
    name = f"case-{number}.safetensors"
    path = f"/{name}?token={TOKEN}"
    content = server.files[path] = safetensors(name, SIZE - 200)
    models = place / "models"
    (models / "loras").mkdir(parents=True)
    (models / "loras" / "other.safetensors").write_bytes(b"somebody else's")
    server.play(path, *(_spelled_out(scene, path) for scene in case.scenes))
    what = server.url + path + (f"#sha256={sha256(content)}" if case.digest else "")
    # One connection: on a machine that is busy with something else a file of this size looks worth several, and each
    # of them plays a scene.
    first = run(models, what, "--timeout", "2", "--retries", "2", "--connections", "1", *case.options)
    seen, asked = tree(models), len(server.heard_of(path))
    server.play(path, GOOD)
    second = again(models, what)
    return Seen(
        name=name,
        content=content,
        first=first,
        after_first=seen,
        asked=asked,
        second=second,
        sent_again=server.sent[path],
        after_second=tree(models),
        leftovers=leftovers(models),
    )


def _spelled_out(scene: Scene, path: str) -> Scene:
    """Put addresses and dates into headers that can be known only now."""
    soon = formatdate(time.time() + 2, usegmt=True)
    return evolve(
        scene,
        headers={name: text and text.format(path=path, soon=soon) for name, text in scene.headers.items()},
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Seen]]]:
    """All cases, several at a time: most of them wait most of the time."""
    with faulty() as server, ThreadPoolExecutor(4) as pool:
        yield {
            name: pool.submit(play, server, number, case, tmp_path_factory.mktemp("case"))
            for number, (name, case) in enumerate(CASES.items())
        }


@pytest.mark.parametrize("name", CASES)
def test_a_fault_costs_no_more_than_it_must(name: str, played: dict[str, Future[Seen]]) -> None:
    case, seen = CASES[name], played[name].result()
    final = f"loras/{seen.name}"

    assert seen.after_first["loras/other.safetensors"] == b"somebody else's"
    assert seen.after_first.get(final) == (None if case.code else seen.content)
    assert (seen.first.code, seen.first.error.get("code", "")) == (case.code, case.error)
    assert case.asked[0] <= seen.asked <= case.asked[1]
    assert TOKEN not in seen.first.out + seen.first.err
    assert "Traceback" not in seen.first.err
    assert any(".bad-" in path for path in seen.after_first) == case.kept

    assert seen.second.exit_code == 0
    assert TOKEN not in repr(seen.second.entries[0].error)
    assert seen.after_second[final] == seen.content
    assert seen.after_second["loras/other.safetensors"] == b"somebody else's"
    assert seen.sent_again <= (len(seen.content) if case.code else 0)
    assert [name for name in seen.leftovers if name.endswith(".cw")] == []
