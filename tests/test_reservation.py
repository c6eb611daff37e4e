"""Disk space over the whole queue: what fits beside each other is begun, and nothing else is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standins.faulty import Faulty, Scene, faulty
from standins.shelf import Shelf, node, write_workflow

from comfywatchman_core import Artifact, BackendError, Candidate, Config, Context, Report, Watchman, events, hookimpl
from comfywatchman_core.config import Download
from comfywatchman_core.report import Status
from comfywatchman_core.reservation import MARGIN, Reservations
from comfywatchman_core.staging import staging_place
from comfywatchman_core.testing import safetensors, sha256

MIB = 1 << 20


class TestReservations:
    def test_two_files_that_fit_only_singly_do_not_both_get_room(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 150)
        reservations.reserve(tmp_path / "first", 100)

        with pytest.raises(BackendError) as caught:
            reservations.reserve(tmp_path / "second", 100)

        assert caught.value.code == "disk_full"
        assert str(caught.value) == f"{tmp_path} has room for 50 bytes beside 100 for other files, and 100 are needed"

    def test_room_that_is_given_back_is_there_for_the_next(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 150)
        reservations.reserve(tmp_path / "first", 100)

        reservations.release(tmp_path / "first")

        assert reservations.reserve(tmp_path / "second", 150)

    def test_what_was_never_set_aside_is_given_back_without_harm(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 150)

        reservations.release(tmp_path / "first")

        assert reservations.reserve(tmp_path / "second", 150)

    def test_another_size_for_the_same_file_replaces_the_first(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 150)
        reservations.reserve(tmp_path / "first", 140)

        assert not reservations.reserve(tmp_path / "first", 50)
        assert reservations.reserve(tmp_path / "second", 100)

    def test_a_file_that_gets_no_room_leaves_what_it_had_to_others(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 150)
        reservations.reserve(tmp_path / "first", 100)
        with pytest.raises(BackendError):
            reservations.reserve(tmp_path / "first", 200)

        assert reservations.reserve(tmp_path / "second", 150)

    def test_bytes_that_lie_in_the_staging_directory_need_no_room(self, tmp_path: Path) -> None:
        part = tmp_path / "first" / "part"
        part.parent.mkdir()
        part.write_bytes(os.urandom(3 * MIB))
        reservations = Reservations(free=lambda path: MARGIN + MIB)

        reservations.reserve(tmp_path / "first", 4 * MIB)

    def test_bytes_that_arrive_are_not_counted_twice(self, tmp_path: Path) -> None:
        free = [MARGIN + 4 * MIB]
        reservations = Reservations(free=lambda path: free[0])
        reservations.reserve(tmp_path / "first", 3 * MIB)
        piece = tmp_path / "first" / "chunks" / "piece"  # as a back end may arrange it
        piece.parent.mkdir(parents=True)
        piece.write_bytes(os.urandom(2 * MIB))
        free[0] -= 2 * MIB

        reservations.reserve(tmp_path / "second", MIB)
        with pytest.raises(BackendError, match="room for 0 bytes"):
            reservations.reserve(tmp_path / "third", 4096)

    def test_a_hole_in_a_file_is_no_byte_that_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "first").mkdir()
        with open(tmp_path / "first" / "part", "wb") as part:
            part.truncate(4 * MIB)
        reservations = Reservations(free=lambda path: MARGIN + MIB)

        with pytest.raises(BackendError):
            reservations.reserve(tmp_path / "first", 4 * MIB)

    def test_a_file_that_is_complete_in_its_place_is_never_refused(self, tmp_path: Path) -> None:
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "part").write_bytes(os.urandom(MIB))
        reservations = Reservations(free=lambda path: 0)

        assert reservations.reserve(tmp_path / "first", MIB)

    def test_a_directory_that_is_not_made_yet_lies_where_its_next_parent_does(self, tmp_path: Path) -> None:
        asked: list[Path] = []
        reservations = Reservations(free=lambda path: asked.append(path) or 1 << 40)

        reservations.reserve(tmp_path / "a" / "b" / "c", 1)

        assert set(asked) == {tmp_path}

    def test_of_many_threads_only_as_many_get_room_as_there_is(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 1000)

        def got(number: int) -> bool:
            try:
                return reservations.reserve(tmp_path / str(number), 100)
            except BackendError:
                return False

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(got, range(40))) == 10


class Disk(NamedTuple):
    """A folder on a disk of its own."""

    place: Path
    size: int

    def keep_free(self, space: int) -> None:
        """Fill it up, so that there is room for *space* bytes of models."""
        filler = self.place / "filler"
        filler.write_bytes(b"")
        wanted = shutil.disk_usage(self.place).free - MARGIN - space
        filler.write_bytes(bytes(wanted))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A real one of a few mebibytes where that can be had; elsewhere, one that only says so."""
    disk = Disk(tmp_path / "disk", 24 * MIB)
    disk.place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={disk.size}", "tmpfs", str(disk.place)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        yield disk
        subprocess.run(["umount", str(disk.place)], check=True)
        return
    usage = shutil.disk_usage(tmp_path)

    def told(path: Path) -> Any:
        if not Path(path).is_relative_to(disk.place):
            return usage
        used = sum(one.stat().st_blocks * 512 for one in disk.place.rglob("*") if one.is_file())
        return usage._replace(total=disk.size, used=used, free=disk.size - used)

    monkeypatch.setattr(shutil, "disk_usage", told)
    yield disk


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as server:
        yield server


class Shop(Shelf):
    """A shelf that does something before it lends a file."""

    before: Callable[[Candidate], object] = staticmethod(lambda candidate: None)

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        self.before(candidate)
        return super().download_artifact(candidate, target, headers, context)


class Queue:
    """Files of one run that a shelf offers, into a folder of *disk*."""

    def __init__(self, server: Faulty, disk: Disk) -> None:
        self.server = server
        self.disk = disk
        self.shelf = Shop(server.url)
        self.told: list[events.Event] = []
        self.settled = threading.Event()
        """A file came to its end."""
        self.nodes: list[dict[str, Any]] = []
        self.others: dict[str, Any] = {}

    @property
    def models(self) -> Path:
        return self.disk.place / "models"

    def add(self, name: str, size: int, *, data: bytes | None = None, offered: bool = True) -> bytes:
        """Want *name*, and have it on the server; :returns: its bytes."""
        data = data or safetensors(name, size)
        self.server.files[f"/{name}.safetensors"] = data
        if offered:
            self.shelf.put(f"{name}.safetensors", data)
        self.nodes.append(node(f"{name}.safetensors"))
        return data

    def path(self, name: str) -> Path:
        return self.models / "loras" / f"{name}.safetensors"

    def sent(self, name: str) -> int:
        return self.server.sent[f"/{name}.safetensors"]

    def run(self, method: str = "ensure_models", *, jobs: int = 3, **download: Any) -> Report:
        base = self.disk.place.parent
        config = Config(
            models_dir=self.models,
            state_dir=base / "state",
            plugins=False,
            download=Download(jobs=jobs, max_retries=0, **download),
        )
        workflow = write_workflow(base / "w.json", *self.nodes)
        with Watchman(config, backends={"shelf": self.shelf, **self.others}) as watchman:
            report: Report = getattr(watchman, method)(workflow, on_event=self.hear)
            self.left_over = dict(watchman._reservations._files)
        return report

    def hear(self, event: events.Event) -> None:
        self.told.append(event)
        if isinstance(event, events.FileSettled):
            self.settled.set()

    @staticmethod
    def came_to(report: Report) -> dict[str, str]:
        """Name → the error code, or else the status."""
        return {
            entry.request.label.rpartition("/")[2].removesuffix(".safetensors"): str(
                entry.error.code if entry.error else entry.status
            )
            for entry in report.entries
        }


@pytest.fixture
def queue(server: Faulty, disk: Disk) -> Queue:
    return Queue(server, disk)


class TestAQueue:
    @pytest.mark.parametrize("jobs", [1, 3])
    def test_of_two_files_that_fit_only_singly_one_is_had_and_no_byte_of_the_other_comes(
        self, queue: Queue, jobs: int
    ) -> None:
        queue.disk.keep_free(9 * MIB)
        queue.add("one", 6 * MIB)
        queue.add("two", 6 * MIB)

        report = queue.run(jobs=jobs)

        assert sorted(queue.came_to(report).values()) == ["disk_full", "downloaded"]
        assert report.exit_code == 9
        assert sorted(queue.sent(name) > 0 for name in ("one", "two")) == [False, True]
        assert queue.left_over == {}

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_a_file_that_is_too_large_is_refused_and_those_around_it_are_had(self, queue: Queue, jobs: int) -> None:
        queue.disk.keep_free(7 * MIB)
        for name, size in (("one", 2), ("two", 12), ("three", 3)):
            queue.add(name, size * MIB)

        report = queue.run(jobs=jobs)

        assert queue.came_to(report) == {"one": "downloaded", "two": "disk_full", "three": "downloaded"}
        assert queue.sent("two") == 0
        assert queue.path("three").read_bytes() == queue.server.files["/three.safetensors"]

    def test_a_file_without_room_is_told_at_once_and_not_in_its_turn(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.add("one", 6 * MIB)
        queue.add("two", 6 * MIB)
        queue.shelf.before = lambda candidate: queue.settled.wait(20)

        report = queue.run(jobs=1)

        assert queue.came_to(report) == {"one": "downloaded", "two": "disk_full"}
        settled = [event.label for event in queue.told if isinstance(event, events.FileSettled)]
        assert settled == ["loras/two.safetensors", "loras/one.safetensors"]
        assert [event.label for event in queue.told if isinstance(event, events.Queued)] == ["loras/one.safetensors"]
