"""The deprecated download script: it does what it says when it is run, and nothing that a stranger's name says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.shelf import Files, serve_files

from comfywatchman_core.cli.export import script
from comfywatchman_core.models import Candidate, Match, ModelRequest
from comfywatchman_core.report import Entry, Report, Status
from comfywatchman_core.testing import Origin, safetensors, sha256

INK = safetensors("ink")
HOSTILE = "a'$(touch pwned)`touch pwned`;touch pwned #\"&|%s .safetensors"


def report(path: Path, url: str, digest: str | None = None) -> Report:
    entry = Entry(
        request=ModelRequest(name=path.name, folder="loras"),
        status=Status.PLANNED,
        path=path,
        candidate=Candidate(match=Match.FILENAME, url=url),
        sha256=digest,
    )
    return Report(entries=(entry,))


@pytest.fixture
def server() -> Iterator[tuple[Files, Origin]]:
    with serve_files() as served:
        served[0].by_path["ink"] = INK
        yield served


def run(text: str, place: Path) -> int:
    if shutil.which("curl") is None or shutil.which("sha256sum") is None:
        pytest.skip("the script needs curl and sha256sum")
    done = subprocess.run(["sh", "-c", text], cwd=place, capture_output=True, timeout=60)
    return done.returncode


@pytest.mark.parametrize("digest", [None, sha256(INK)], ids=["without a digest", "with its digest"])
def test_the_script_brings_the_file_under_its_name(
    server: tuple[Files, Origin], tmp_path: Path, digest: str | None
) -> None:
    path = tmp_path / "models" / "loras" / HOSTILE

    assert run(script(report(path, f"{server[1].url}/ink", digest), "sh"), tmp_path) == 0

    assert path.read_bytes() == INK
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == [HOSTILE], "no name was carried out"


@pytest.mark.parametrize("trouble", ["other bytes", "no file"])
def test_what_is_not_right_leaves_no_file_and_no_part_of_one(
    server: tuple[Files, Origin], tmp_path: Path, trouble: str
) -> None:
    path = tmp_path / "models" / "ink.safetensors"
    url = f"{server[1].url}/{'ink' if trouble == 'other bytes' else 'none'}"

    assert run(script(report(path, url, "0" * 64), "sh"), tmp_path) == 1

    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_a_file_that_is_there_is_left_alone(server: tuple[Files, Origin], tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    path.write_bytes(b"mine")

    assert run(script(report(path, f"{server[1].url}/ink", sha256(INK)), "sh"), tmp_path) == 0
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("form", ["sh", "aria2", "json"])
@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cr3t@example.org/x",
        "https://example.org/x?token=s3cr3t",
        "https://example.org/x?X-Amz-Credential=s3cr3t&a=1",
        "https://example.org/x?api_key=s3cr3t",
        "https://example.org/x?Expires=1&Signature=s3cr3t",
        "https://example.org/x#s3cr3t",
    ],
)
def test_no_form_holds_a_secret(tmp_path: Path, url: str, form: str) -> None:
    text = script(report(tmp_path / "ink.safetensors", url), form)

    assert "s3cr3t" not in text
    assert "https://example.org/x" in text


def test_what_an_address_says_of_the_file_is_kept(tmp_path: Path) -> None:
    url = "https://example.org/api/download/models/5?type=Model&format=SafeTensor"

    assert url in script(report(tmp_path / "ink.safetensors", url), "aria2")
