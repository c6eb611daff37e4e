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
    remains: bool = False
    """What arrived waits in its staging place for the next run; otherwise nothing is left there."""
    rests: float = 0.0
    """Seconds that the server is left alone after its first answer."""
    says: str = ""
    """What the message, or its hint, tells the user."""
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
    "8 two lengths in one line": Case(
        scenes=(Scene(headers={"Content-Length": "7, 8"}, then=Ending.FIN),), code=5, error="network", asked=(1, 1)
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
    "14 a weak etag and a digest": Case(
        scenes=(Scene(sends=HALF, then=Ending.FIN, headers={"ETag": 'W/"x"'}), GOOD), asked=(2, 2)
    ),
    "16 a range that cannot be satisfied, without a length": Case(
        scenes=(CUT, Scene(status=416, headers={"Content-Range": None}, body=b""), GOOD), asked=(3, 3)
    ),
    "20 silence after a tenth": Case(scenes=(Scene(sends=SIZE // 10, then=Ending.SILENCE), GOOD), asked=(2, 9)),
    "20 silence instead of an answer": Case(
        scenes=(Scene(instead=b"HTTP/1.1 200 OK\r\n", then=Ending.SILENCE), GOOD), asked=(2, 2)
    ),
    "21 a byte now and then": Case(
        scenes=(Scene(sends=99, drip=0.3),),
        code=5,
        error="stalled",
        asked=(2, 2),
        remains=True,
        says="next to nothing",
        options=("--retries", "1", "--timeout", "1"),
    ),
    "22 429 with seconds": Case(scenes=(status(429, Retry_After="2"), GOOD), asked=(2, 2), rests=2.0),
    "23 429 with a date": Case(scenes=(status(429, Retry_After="{soon}"), GOOD), asked=(2, 2)),
    "23 429 with a date that is past": Case(
        scenes=(status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), GOOD), asked=(2, 2)
    ),
    "23 429 for longer than anybody waits": Case(
        scenes=(status(429, Retry_After="99999"),), code=6, error="rate_limited", asked=(1, 1), says="99,999"
    ),
    "24 503 three times": Case(scenes=(*[status(503)] * 3, GOOD), asked=(4, 4), options=("--retries", "3")),
    "25 401 at the start": Case(scenes=(status(401),), code=3, error="auth_required", asked=(1, 1), says="token"),
    "25 403 at the start": Case(scenes=(status(403),), code=3, error="auth_required", asked=(1, 1), says="token"),
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
        says="login",
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
        scenes=(Scene(body=safetensors("other", SIZE)),),
        code=7,
        error="checksum_mismatch",
        asked=(1, 1),
        kept=True,
        says="--accept-digest",
    ),
    "33 more than the disk has": Case(
        scenes=(Scene(headers={"Content-Length": str((1 << 44) - 1)}, then=Ending.FIN),),
        code=9,
        error="disk_full",
        asked=(1, 1),
        says="are needed",
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
    asked: list[float]
    """When the first run asked, on the monotonic clock."""
    secrets: list[str]
    """Files of the first run that hold the token of the address."""
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
    seen, asked = tree(models), [heard.at for heard in server.heard_of(path)]
    secrets = [name for name, content in tree(place).items() if TOKEN.encode() in content]
    server.play(path, GOOD)
    second = again(models, what)
    return Seen(
        name=name,
        content=content,
        first=first,
        after_first=seen,
        asked=asked,
        secrets=secrets,
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
    with faulty() as server, ThreadPoolExecutor(6) as pool:
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
    assert case.says in seen.first.error.get("message", "") + seen.first.error.get("hint", "")
    assert case.asked[0] <= len(seen.asked) <= case.asked[1]
    assert seen.asked[-1] - seen.asked[0] >= case.rests
    assert TOKEN not in seen.first.out + seen.first.err
    assert seen.secrets == []
    assert "Traceback" not in seen.first.err
    assert any(".bad-" in path for path in seen.after_first) == case.kept
    assert any(".cw/" in path for path in seen.after_first) == case.remains

    assert seen.second.exit_code == 0
    assert TOKEN not in repr(seen.second.entries[0].error)
    assert {path: seen.after_second[path] for path in seen.after_second if ".bad-" not in path} == {
        final: seen.content,
        "loras/other.safetensors": b"somebody else's",
    }
    assert seen.sent_again <= (len(seen.content) if case.code else 0)
    assert len(seen.leftovers) == case.kept


def test_5_a_cut_that_nothing_tells_is_published_as_unverified_and_only_without_require_checksum(
    tmp_path: Path,
) -> None:
    models, pickle = tmp_path / "models", b"\x80\x02" + bytes(1000)
    with faulty() as server:
        server.files["/old.pt"] = pickle
        server.play("/old.pt", Scene(headers=NO_LENGTH, sends=500, then=Ending.FIN))

        refused = run(models, f"{server.url}/old.pt", "--require-checksum")
        before = (models / "loras" / "old.pt").exists()
        taken = run(models, f"{server.url}/old.pt")

    assert (refused.code, refused.error["code"], before) == (7, "no_checksum", False)
    assert (taken.code, taken.files[0]["verdict"]) == (0, "unverified")
    assert (models / "loras" / "old.pt").read_bytes() == pickle[:500]
    assert leftovers(models) == []


def test_25_a_file_that_is_refused_keeps_no_other_from_arriving(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with faulty() as server:
        server.files["/open.safetensors"] = safetensors("open")
        server.play("/closed.safetensors", status(401))

        done = run(models, *(f"{server.url}/{name}.safetensors" for name in ("closed", "open")))

    assert done.code == 3
    assert tree(models) == {"loras/open.safetensors": safetensors("open")}


def test_26_a_signed_address_that_ran_out_on_the_way_is_asked_for_anew(tmp_path: Path) -> None:
    models, content = tmp_path / "models", safetensors("model", SIZE)
    with faulty() as storage, faulty(host="localhost") as source:
        old, new = "/x?Signature=old", "/x?Signature=new"
        storage.files |= {old: content, new: content}
        storage.play(old, CUT, status(403, b"expired"))
        source.play("/m.safetensors", *(status(307, b"", Location=storage.url + signed) for signed in (old, new)))

        done = run(models, f"{source.url}/m.safetensors", "--connections", "1")

        assert storage.sent[new] <= len(content) - HALF + (1 << 20)
    assert done.code == 0
    assert tree(models) == {"loras/m.safetensors": content}
    assert "Signature" not in done.out + done.err


def test_29_the_host_that_a_source_redirects_to_learns_no_secret(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with faulty() as storage, faulty(host="localhost") as source:
        storage.files["/x"] = safetensors("model")
        path = f"/m.safetensors?token={TOKEN}"
        source.play(path, status(302, b"", Location=f"{storage.url}/x", Set_Cookie=f"id={TOKEN}"))

        done = run(models, source.url.replace("://", f"://me:{TOKEN}@") + path)

        asked, heard = source.heard[0], storage.heard
    assert asked.headers["authorization"].startswith("Basic ")
    assert done.code == 0
    assert not {"authorization", "cookie", "referer"} & set(heard[0].headers)
    assert TOKEN not in repr(heard) + done.out + done.err
