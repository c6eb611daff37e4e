"""The command finds what an earlier one left, and something is wrong with it or with what the server has by now.

Whatever it is: the right bytes get the final name, no more is transferred than must be, the user is told where bytes
cannot be gone on with, and nothing is left beside the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from standins.faulty import GOOD, Ending, Faulty, Heard, Scene, faulty
from transfer.commands import Ended, run, tree

from comfywatchman_core import Config, ensure_models
from comfywatchman_core.testing import safetensors, sha256
from comfywatchman_core.transfer.spans import NO_END

SIZE = 3 << 20
HALF = SIZE // 2
CONTENT = safetensors("model", SIZE - 200)
NEWER = safetensors("newer", SIZE - 200)
CHUNK = 1 << 20
CUT = Scene(sends=HALF, then=Ending.FIN)
DEAD = Scene(instead=b"\n", then=Ending.RST)
WEAK = {"ETag": 'W/"weak"'}

NOTHING_NEW = "cannot be gone on with"
ANEW = "begins anew"


def rewrite(**changes: object) -> Callable[[Path], None]:
    """Put other words into the first line of the journal."""

    def damage(place: Path) -> None:
        journal = place / "journal.json"
        header, *notes = journal.read_text().split("\n")
        journal.write_text("\n".join([json.dumps({**json.loads(header), **changes}), *notes]))

    return damage


def flip(place: Path) -> None:
    """Change one bit."""
    with (place / "part").open("r+b") as part:
        part.seek(100_000)
        byte = part.read(1)[0]
        part.seek(100_000)
        part.write(bytes([byte ^ 1]))


def complete(*, total: int | None = None) -> Callable[[Path], None]:
    """Let all bytes be there."""

    def damage(place: Path) -> None:
        (place / "part").write_bytes(CONTENT)
        rewrite(ranges=[[0, len(CONTENT)]], **({} if total is None else {"total": total}))(place)

    return damage


def grow(place: Path) -> None:
    os.truncate(place / "part", 2 * SIZE)


def shrink(place: Path) -> None:
    os.truncate(place / "part", 1000)


def garble(content: bytes | None) -> Callable[[Path], None]:
    """Put *content* in the place of the journal; nothing: cut it, ``None``: remove it."""

    def damage(place: Path) -> None:
        journal = place / "journal.json"
        if content is None:
            journal.unlink()
        else:
            journal.write_bytes(content or journal.read_bytes()[:40])

    return damage


@frozen(kw_only=True)
class Case:
    """What is wrong, and what is to come of it."""

    damage: Callable[[Path], None] = lambda place: None
    scenes: tuple[Scene, ...] = (GOOD,)
    first: Scene = CUT
    digest: bool = True
    """The user states the SHA256."""
    replaced: bool = False
    """The server has another file by now."""
    sent: tuple[int, int] = (len(CONTENT), len(CONTENT))
    """The least and the most bytes that come: the whole file where nothing can be used."""
    asked: int = 1
    conditional: bool = True
    """The range is asked for under a validator."""
    told: str = ""


REST = (len(CONTENT) - HALF, len(CONTENT) - HALF + CHUNK)
NONE = (0, 0)

CASES = {
    "13 the file was replaced": Case(digest=False, replaced=True),
    "13 the file was replaced, and the server heeds no condition": Case(
        digest=False,
        replaced=True,
        scenes=(Scene(honours_if_range=False, sends=1), GOOD),
        asked=2,
        told=ANEW,
        sent=(len(CONTENT), len(CONTENT) + 1),
    ),
    "14 a weak etag, and a digest": Case(
        first=evolve(CUT, headers=WEAK), scenes=(Scene(headers=WEAK),), conditional=False, sent=REST
    ),
    "14 a weak etag, and no digest": Case(
        first=evolve(CUT, headers=WEAK),
        scenes=(Scene(headers=WEAK),),
        conditional=False,
        digest=False,
        told=NOTHING_NEW,
    ),
    "15 all is there, and only the server knows": Case(damage=complete(total=NO_END), sent=NONE),
    "16 no such range, of a part that is complete by its journal": Case(
        damage=complete(), scenes=(Scene(status=416, headers={"Content-Range": None}, body=b""),), asked=0, sent=NONE
    ),
    "16 no such range, of a part that is too short": Case(
        scenes=(Scene(status=416, headers={"Content-Range": None}, body=b""), GOOD), asked=2, told=ANEW
    ),
    "16 the part is shorter than its journal says": Case(damage=shrink, told=NOTHING_NEW, conditional=False),
    "17 the part is longer than the file": Case(damage=grow, told=NOTHING_NEW, conditional=False),
    "18 the part is of another file": Case(damage=rewrite(sha256="0" * 64), told=NOTHING_NEW, conditional=False),
    "18 the part is from another address": Case(
        damage=rewrite(source="http://127.0.0.1/other", sha256=""), digest=False, told=NOTHING_NEW, conditional=False
    ),
    "19 a bit of the part flipped": Case(damage=flip, asked=2, told=ANEW, sent=(len(CONTENT), len(CONTENT) + REST[1])),
    "- the journal is cut": Case(damage=garble(b""), told=NOTHING_NEW, conditional=False),
    "- the journal is garbage": Case(damage=garble(b"\x00" * 3000), told=NOTHING_NEW, conditional=False),
    "- the journal is gone": Case(damage=garble(None), told=NOTHING_NEW, conditional=False),
}


@frozen(kw_only=True)
class Seen:
    """What a case left to be looked at."""

    ended: Ended
    heard: list[Heard]
    sent: int
    models: dict[str, bytes] = field(repr=False)
    name: str


def play(server: Faulty, number: int, case: Case, place: Path) -> Seen:
    """Break off in the middle, do the damage, and run the command."""
    name = f"case-{number}.safetensors"
    path, models = f"/{name}", place / "models"
    server.files[path] = CONTENT
    server.play(path, case.first, DEAD)
    what = server.url + path + (f"#sha256={sha256(CONTENT)}" if case.digest else "")
    impatient = evolve(Config().download, max_retries=0)
    ensure_models(what, models_dir=models, folder="loras", config=Config(plugins=False, download=impatient))
    case.damage(models / "loras" / f".{name}.cw")
    if case.replaced:
        server.files[path] = NEWER
    server.play(path, *case.scenes)
    before = len(server.heard_of(path))
    ended = run(models, what, "--connections", "1", "--timeout", "5")
    return Seen(
        ended=ended, heard=server.heard_of(path)[before:], sent=server.sent[path], models=tree(models), name=name
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Seen]]]:
    with faulty() as server, ThreadPoolExecutor(4) as pool:
        yield {
            name: pool.submit(play, server, number, case, tmp_path_factory.mktemp("case"))
            for number, (name, case) in enumerate(CASES.items())
        }


@pytest.mark.parametrize("name", CASES)
def test_what_lies_there_is_used_only_if_it_is_of_the_file(name: str, played: dict[str, Future[Seen]]) -> None:
    case, seen = CASES[name], played[name].result()

    assert (seen.ended.code, seen.ended.error) == (0, {})
    assert seen.models == {f"loras/{seen.name}": NEWER if case.replaced else CONTENT}  # and nothing is left beside it
    assert len(seen.heard) == case.asked
    assert case.sent[0] <= seen.sent <= case.sent[1]
    if case.asked:
        assert ("if-range" in seen.heard[0].headers) == case.conditional
    assert bool(seen.ended.warnings) == bool(case.told)
    assert case.told in seen.ended.warnings
    assert "Traceback" not in seen.ended.err
