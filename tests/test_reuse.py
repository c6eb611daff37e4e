"""The same bytes once: files of this machine are used again, as the settings allow."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.shelf import Files, Shelf, node, serve_files, write_workflow

from comfywatchman_core import (
    Artifact,
    Candidate,
    Config,
    Context,
    Match,
    ModelRequest,
    Report,
    Watchman,
    hookimpl,
    share_blocks,
)
from comfywatchman_core.config import Download
from comfywatchman_core.report import Status
from comfywatchman_core.reuse import lend
from comfywatchman_core.testing import Origin, safetensors

INK = safetensors("ink", 50_000)


@pytest.fixture
def source() -> Iterator[tuple[Files, Origin, Shelf]]:
    with serve_files() as (files, origin):
        shelf = Shelf(origin.url)
        files.by_path["ink.safetensors"] = INK
        shelf.put("ink.safetensors", INK)
        yield files, origin, shelf


def get(shelf: Shelf, place: Path, *names: str, link: str = "auto") -> Report:
    config = Config(models_dir=place / "models", state_dir=place / "state", download=Download(link=link, max_retries=0))
    with Watchman(config, backends={"shelf": shelf}) as watchman:
        return watchman.ensure_models(write_workflow(place / "workflow.json", *map(node, names)))


def has_elsewhere(place: Path, data: bytes) -> Path:
    """Put a file of another name into another folder."""
    there = place / "models/checkpoints/renamed.safetensors"
    there.parent.mkdir(parents=True)
    there.write_bytes(data)
    return there


@pytest.mark.parametrize("link", ["auto", "hard", "copy"])
def test_bytes_that_lie_under_another_name_are_not_transferred(
    source: tuple[Files, Origin, Shelf], tmp_path: Path, link: str
) -> None:
    _, origin, shelf = source
    there = has_elsewhere(tmp_path, INK)

    (entry,) = get(shelf, tmp_path, "ink.safetensors", link=link).entries

    assert entry.status is Status.LINKED
    assert entry.path is not None
    assert entry.path.read_bytes() == INK
    assert origin.asked == []
    assert there.read_bytes() == INK
    if link != "auto":  # what auto does is the file system's choice
        assert os.path.samefile(there, entry.path) is (link == "hard")


def test_never_means_that_they_are_transferred(source: tuple[Files, Origin, Shelf], tmp_path: Path) -> None:
    _, origin, shelf = source
    has_elsewhere(tmp_path, INK)

    (entry,) = get(shelf, tmp_path, "ink.safetensors", link="never").entries

    assert entry.status is Status.DOWNLOADED
    assert len(origin.asked) == 1


def test_a_file_of_the_same_size_and_other_bytes_is_not_used(
    source: tuple[Files, Origin, Shelf], tmp_path: Path
) -> None:
    _, origin, shelf = source
    has_elsewhere(tmp_path, safetensors("pen", 50_000)[: len(INK)])

    (entry,) = get(shelf, tmp_path, "ink.safetensors").entries

    assert entry.status is Status.DOWNLOADED
    assert len(origin.asked) == 1


def test_a_model_that_is_wanted_under_two_names_is_transferred_once(
    source: tuple[Files, Origin, Shelf], tmp_path: Path
) -> None:
    files, origin, shelf = source
    files.by_path["twin.safetensors"] = INK
    shelf.put("twin.safetensors", INK)

    report = get(shelf, tmp_path, "ink.safetensors", "twin.safetensors")

    assert sorted(entry.status for entry in report.entries) == [Status.DOWNLOADED, Status.LINKED]
    assert len(origin.asked) == 1
    assert (tmp_path / "models/loras/twin.safetensors").read_bytes() == INK


def test_a_link_leaves_the_permissions_of_the_file_that_was_there(
    source: tuple[Files, Origin, Shelf], tmp_path: Path
) -> None:
    there = has_elsewhere(tmp_path, INK)
    there.chmod(0o440)

    get(source[2], tmp_path, "ink.safetensors", link="hard")

    assert there.stat().st_mode & 0o777 == 0o440


def test_hard_gives_up_where_no_link_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()  # directories cannot be linked

    with pytest.raises((PermissionError, IsADirectoryError)):
        lend(tmp_path / "source", tmp_path / "target", "hard")


class Linker:
    """A back end whose download is another name of a file in use."""

    api_version = 1
    priority = 50

    def __init__(self, file: Path) -> None:
        self.file = file

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> list[Candidate]:
        return [Candidate(match=Match.FILENAME, url=self.file.as_uri())]

    @hookimpl
    def download_artifact(self, candidate: Candidate, target: Path, context: Context) -> Artifact:
        os.link(self.file, target)
        return Artifact(path=target, size=target.stat().st_size)


def test_blocks_are_shared_with_all_bytes_or_nothing_is_left(tmp_path: Path) -> None:
    """Which of the two is the file system's choice."""
    source, target = tmp_path / "ink", tmp_path / "part"
    source.write_bytes(INK)

    is_shared = share_blocks(source, target)

    assert target.exists() is is_shared
    assert not is_shared or (target.read_bytes() == INK and not target.samefile(source))


@pytest.mark.skipif(os.name != "posix", reason="there is no ioctl")
def test_a_file_system_that_cannot_share_blocks_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*arguments: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    source, target = tmp_path / "ink", tmp_path / "part"
    source.write_bytes(INK)

    assert not share_blocks(source, target)
    assert not target.exists()


def test_a_place_that_is_taken_keeps_what_it_holds(tmp_path: Path) -> None:
    source, target = tmp_path / "ink", tmp_path / "part"
    source.write_bytes(INK)
    target.write_bytes(b"something else")

    assert not share_blocks(source, target)
    assert target.read_bytes() == b"something else"


def test_a_file_that_a_back_end_links_keeps_its_permissions(tmp_path: Path) -> None:
    shared = tmp_path / "shared.safetensors"
    shared.write_bytes(INK)
    shared.chmod(0o440)
    config = Config(models_dir=tmp_path / "models", state_dir=tmp_path / "state")

    with Watchman(config, backends={"linker": Linker(shared)}) as watchman:
        report = watchman.ensure_models(write_workflow(tmp_path / "workflow.json", node("ink.safetensors")))

    assert report.ok
    assert os.path.samefile(shared, tmp_path / "models/loras/ink.safetensors")
    assert shared.stat().st_mode & 0o777 == 0o440
