"""Disk space over the whole queue: what fits beside each other is begun, and nothing else is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from attrs import evolve
from standins.faulty import GOOD, Ending, Faulty, Scene, faulty
from standins.shelf import Shelf, node, write_workflow

from comfywatchman_core import (
    Artifact,
    BackendError,
    Candidate,
    Config,
    Context,
    Match,
    ModelRequest,
    Report,
    Watchman,
    events,
    hookimpl,
)
from comfywatchman_core.config import Download
from comfywatchman_core.reservation import MARGIN, NoRoom, Reservations
from comfywatchman_core.staging import staging_place
from comfywatchman_core.testing import safetensors

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

    def test_a_size_below_nothing_is_given_back_like_any_other(self, tmp_path: Path) -> None:
        reservations = Reservations(free=lambda path: MARGIN + 150)
        reservations.reserve(tmp_path / "first", -1000)

        reservations.release(tmp_path / "first")

        with pytest.raises(NoRoom):
            reservations.reserve(tmp_path / "second", 151)

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

    def test_a_link_that_was_planted_as_a_staging_directory_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "film").write_bytes(os.urandom(2 * MIB))
        (tmp_path / "first").symlink_to(tmp_path / "elsewhere")
        reservations = Reservations(free=lambda path: MARGIN + 1000)

        with pytest.raises(NoRoom):
            reservations.reserve(tmp_path / "first", MIB)

    def test_a_drive_that_is_not_there_is_a_place_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os.path, "exists", lambda path: False)  # as of Z: on Windows; elsewhere, / always is

        with pytest.raises(BackendError) as caught:
            Reservations().reserve(tmp_path / "models" / "first", 1)

        assert caught.value.code == "read_only"

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
        there = [one.stat() for one in disk.place.rglob("*") if one.is_file()]
        used = 512 * sum({one.st_ino: one.st_blocks for one in there}.values())
        return usage._replace(total=disk.size, used=used, free=disk.size - used)

    monkeypatch.setattr(shutil, "disk_usage", told)
    yield disk


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as server:
        yield server


class Shop(Shelf):
    """A shelf that does something before it answers, and before it lends a file."""

    before: Callable[[Candidate], object] = staticmethod(lambda candidate: None)
    before_search: Callable[[str], object] = staticmethod(lambda name: None)

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        self.before_search(request.label)
        return super().resolve_model(request, context)

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

    def run(
        self,
        method: str = "ensure_models",
        *,
        jobs: int = 3,
        cancel: Callable[[], bool] = lambda: False,
        **download: Any,
    ) -> Report:
        base = self.disk.place.parent
        config = Config(
            models_dir=self.models,
            state_dir=base / "state",
            plugins=False,
            download=Download(jobs=jobs, max_retries=0, **download),
        )
        workflow = write_workflow(base / "w.json", *self.nodes)
        with Watchman(config, backends={"shelf": self.shelf, **self.others}) as watchman:
            report: Report = getattr(watchman, method)(workflow, on_event=self.hear, cancel=cancel)
            self.left_over = dict(watchman._reservations._files)
        return report

    def hear(self, event: events.Event) -> None:
        self.told.append(event)
        if isinstance(event, events.FileSettled):
            self.settled.set()

    def has_found(self, label: str) -> None:
        """Wait until *label* waits for its turn, or came to its end."""
        for _ in range(2000):
            if any(isinstance(one, (events.Queued, events.FileSettled)) and one.label == label for one in self.told):
                return
            time.sleep(0.01)
        raise AssertionError(f"{label} was never found")

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

    def test_an_offer_that_replaces_another_takes_its_room_whatever_its_size(self, queue: Queue) -> None:
        queue.disk.keep_free(9 * MIB)
        queue.server.files["/gone.safetensors"] = b""
        queue.server.play("/gone.safetensors", Scene(status=404, body=b""))
        queue.shelf.put("one.safetensors", url=f"{queue.server.url}/gone.safetensors", size=8 * MIB)
        queue.add("one", 0, data=safetensors("one", 6 * MIB))
        queue.add("two", 2 * MIB)
        is_replaced = threading.Event()

        def replaced(candidate: Candidate) -> None:
            if candidate.sha256 and "one" in candidate.url:
                is_replaced.set()
                queue.has_found("loras/two.safetensors")

        # The second is found while the first is on its way from its second source.
        queue.shelf.before = replaced
        queue.shelf.before_search = lambda label: "two" in label and is_replaced.wait(20)

        report = queue.run(jobs=2)

        assert queue.came_to(report) == {"one": "downloaded", "two": "downloaded"}
        assert queue.left_over == {}

    def test_an_offer_that_replaces_another_and_is_too_large_is_refused_in_its_turn(self, queue: Queue) -> None:
        queue.disk.keep_free(5 * MIB)
        queue.server.files["/gone.safetensors"] = b""
        queue.server.play("/gone.safetensors", Scene(status=404, body=b""))
        queue.shelf.put("one.safetensors", url=f"{queue.server.url}/gone.safetensors", size=2 * MIB)
        queue.add("one", 6 * MIB)

        report = queue.run()

        assert queue.came_to(report) == {"one": "disk_full"}
        assert queue.sent("one") == 0

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_a_source_that_states_more_than_there_is_room_for_keeps_nobody_from_the_next(
        self, queue: Queue, jobs: int
    ) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.shelf.put("one.safetensors", safetensors("one", 6 * MIB), size=1 << 62)
        queue.add("one", 6 * MIB)

        report = queue.run(jobs=jobs)

        assert queue.came_to(report) == {"one": "downloaded"}
        assert queue.left_over == {}

    def test_a_back_end_that_states_too_much_keeps_nobody_from_the_next(self, queue: Queue) -> None:
        liar = Shelf(queue.server.url)
        liar.priority = 90
        liar.put("one.safetensors", size=1 << 62)
        queue.others["liar"] = liar
        queue.disk.keep_free(7 * MIB)
        queue.add("one", 2 * MIB)

        report = queue.run()

        assert queue.came_to(report) == {"one": "downloaded"}
        assert len(liar.asked) == 1

    def test_a_server_that_announces_too_much_keeps_nobody_from_the_next_source(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.server.files["/large.safetensors"] = safetensors("large", 12 * MIB)
        queue.shelf.put("one.safetensors", url=f"{queue.server.url}/large.safetensors")
        queue.add("one", 2 * MIB)

        report = queue.run()

        assert queue.came_to(report) == {"one": "downloaded"}

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_a_file_that_no_source_has_small_enough_ends_as_a_full_disk_and_costs_no_byte(
        self, queue: Queue, jobs: int
    ) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.shelf.put("one.safetensors", safetensors("one", 9 * MIB))
        queue.add("one", 9 * MIB)

        report = queue.run(jobs=jobs)

        assert queue.came_to(report) == {"one": "disk_full"}
        assert report.exit_code == 9
        assert queue.sent("one") == 0
        assert queue.left_over == {}

    @pytest.mark.parametrize("match", [Match.FILENAME, Match.SOURCE_ID])
    def test_a_file_that_is_too_large_is_not_replaced_by_a_smaller_one_of_the_same_name(
        self, queue: Queue, match: Match
    ) -> None:
        namesakes = Shelf(queue.server.url)
        namesakes.priority = 10
        namesakes.put("one.safetensors", safetensors("namesake", 2 * MIB))
        queue.others["namesakes"] = namesakes
        queue.disk.keep_free(7 * MIB)
        queue.shelf.put("one.safetensors", queue.add("one", 9 * MIB, offered=False), match=match)

        report = queue.run()

        assert queue.came_to(report) == {"one": "disk_full"}
        assert [offer.backend for offer in report.entries[0].candidates] == ["namesakes"]

    def test_room_is_set_aside_for_the_offer_behind_one_that_is_too_large(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.shelf.put("one.safetensors", safetensors("one", 6 * MIB), size=1 << 62)
        queue.add("one", 6 * MIB)
        queue.add("two", 6 * MIB)
        queue.shelf.before = lambda candidate: queue.settled.wait(20)

        report = queue.run(jobs=1)

        assert queue.came_to(report) == {"one": "downloaded", "two": "disk_full"}
        assert [event.label for event in queue.told if isinstance(event, events.Queued)] == ["loras/one.safetensors"]

    def test_a_disk_that_fills_up_on_the_way_is_no_reason_to_ask_the_next_source(self, queue: Queue) -> None:
        second = Shelf(queue.server.url)
        second.priority = 10
        second.put("one.safetensors")
        queue.others["second"] = second
        queue.add("one", 2 * MIB)

        def fill(candidate: Candidate) -> None:
            raise BackendError("it takes no more", code="disk_full")

        queue.shelf.before = fill

        report = queue.run()

        assert queue.came_to(report) == {"one": "disk_full"}
        assert second.asked == []

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_a_part_that_is_there_needs_only_the_rest(self, queue: Queue, jobs: int) -> None:
        queue.add("one", 8 * MIB)
        queue.server.play("/one.safetensors", Scene(sends=6 * MIB, then=Ending.FIN))
        queue.run()
        queue.server.play("/one.safetensors", GOOD)
        # the part has room for the whole file already, where the file system can promise that
        part = staging_place(queue.path("one")) / "part"
        rest = 8 * MIB - part.stat().st_blocks * 512
        queue.disk.keep_free(max(rest, 0) + 4 * MIB)
        queue.add("two", 3 * MIB)

        report = queue.run(jobs=jobs)

        assert queue.came_to(report) == {"one": "downloaded", "two": "downloaded"}
        assert queue.sent("one") < 4 * MIB

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_room_of_a_file_that_fails_is_there_for_the_next_run(self, queue: Queue, jobs: int) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.add("one", 6 * MIB)
        queue.server.play("/one.safetensors", Scene(status=404, body=b""))
        queue.run(jobs=jobs)
        queue.nodes.clear()
        queue.add("two", 6 * MIB)

        report = queue.run(jobs=jobs)

        assert queue.came_to(report) == {"two": "downloaded"}

    def test_room_of_a_file_that_failed_is_there_for_a_file_of_the_same_run(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.add("one", 6 * MIB)
        queue.server.play("/one.safetensors", Scene(status=404, body=b""))
        queue.add("two", 6 * MIB)
        # Without a size, nothing is set aside for the second before its turn.
        queue.shelf.offers["two.safetensors"][0] = evolve(queue.shelf.offers["two.safetensors"][0], size=None)

        report = queue.run(jobs=1)

        assert queue.came_to(report) == {"one": "not_found", "two": "downloaded"}

    def test_a_size_that_only_the_server_tells_counts_beside_the_queue(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        queue.add("one", 4 * MIB)
        queue.add("two", 4 * MIB, offered=False)
        queue.shelf.put("two.safetensors")
        queue.shelf.before = lambda candidate: candidate.size and queue.settled.wait(20)

        report = queue.run(jobs=2)

        assert queue.came_to(report) == {"one": "downloaded", "two": "disk_full"}
        assert not staging_place(queue.path("two")).exists()

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_the_same_bytes_under_two_names_need_room_once(self, queue: Queue, jobs: int) -> None:
        queue.disk.keep_free(7 * MIB)
        data = queue.add("one", 6 * MIB)
        queue.add("two", 0, data=data)

        report = queue.run(jobs=jobs)

        assert sorted(queue.came_to(report).values()) == ["downloaded", "linked"]
        assert queue.left_over == {}

    def test_the_same_bytes_need_room_for_each_name_where_links_are_not_wanted(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        data = queue.add("one", 6 * MIB)
        queue.add("two", 0, data=data)

        report = queue.run(link="never")

        assert sorted(queue.came_to(report).values()) == ["disk_full", "downloaded"]

    def test_a_file_whose_bytes_are_there_under_another_name_is_linked_on_a_full_disk(self, queue: Queue) -> None:
        data = queue.add("one", 6 * MIB)
        queue.run()
        queue.add("two", 0, data=data)
        queue.disk.keep_free(MIB)

        assert queue.came_to(queue.run())["two"] == "linked"

    def test_a_file_that_has_no_room_beside_one_that_is_linked_is_refused_and_only_that(self, queue: Queue) -> None:
        data = queue.add("one", 6 * MIB)
        queue.run()
        queue.disk.keep_free(3 * MIB)
        queue.add("two", 0, data=data)
        queue.add("three", 4 * MIB)
        queue.add("four", 2 * MIB)

        came_to = queue.came_to(queue.run())

        assert came_to == {"one": "present", "two": "linked", "three": "disk_full", "four": "downloaded"}

    def test_nothing_is_refused_on_another_file_system(self, queue: Queue, tmp_path: Path) -> None:
        if queue.disk.place.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("needs the right to mount")
        queue.disk.keep_free(MIB)
        queue.add("one", 6 * MIB)
        queue.nodes.append(node("two.safetensors", "VAELoader"))
        queue.server.files["/two.safetensors"] = data = safetensors("two", 6 * MIB)
        queue.shelf.put("two.safetensors", data)
        (tmp_path / "vae").mkdir()
        queue.models.mkdir()
        (queue.models / "vae").symlink_to(tmp_path / "vae")

        report = queue.run()

        assert queue.came_to(report) == {"one": "disk_full", "two": "downloaded"}
        assert (tmp_path / "vae" / "two.safetensors").read_bytes() == data

    def test_a_back_end_that_transfers_by_itself_is_not_asked_for_what_does_not_fit(self, queue: Queue) -> None:
        fetched: list[str] = []

        class Carrier(Shelf):
            @hookimpl
            def download_artifact(self, candidate: Candidate, target: Path) -> Artifact:
                fetched.append(candidate.name)
                target.write_bytes(queue.server.files[f"/{candidate.name}"])
                return Artifact(path=target, size=target.stat().st_size)

        carrier = Carrier(queue.server.url)
        queue.others["carrier"] = carrier
        queue.disk.keep_free(7 * MIB)
        for name, size in (("one", 2), ("two", 12), ("three", 3)):
            carrier.put(f"{name}.safetensors", queue.add(name, size * MIB, offered=False))

        report = queue.run()

        assert queue.came_to(report) == {"one": "downloaded", "two": "disk_full", "three": "downloaded"}
        assert sorted(fetched) == ["one.safetensors", "three.safetensors"]

    def test_a_run_that_is_stopped_gives_all_room_back(self, queue: Queue) -> None:
        for name in ("one", "two", "three"):
            queue.add(name, MIB)
        queue.server.otherwise = Scene(sends=MIB // 2, then=Ending.SILENCE)

        report = queue.run(jobs=1, cancel=lambda: any(isinstance(one, events.DownloadStarted) for one in queue.told))

        assert set(queue.came_to(report).values()) == {"cancelled"}
        assert queue.left_over == {}


class TestAPlan:
    def test_it_warns_of_what_would_find_no_room_and_fails_nothing(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        for name, size in (("one", 4), ("two", 6), ("three", 2)):
            queue.add(name, size * MIB)

        report = queue.run("plan")

        warned = [event for event in queue.told if isinstance(event, events.Warned)]
        assert [event.label for event in warned] == ["loras/two.safetensors"]
        assert "it would find no room" in warned[0].message
        assert set(queue.came_to(report).values()) == {"planned"}
        assert queue.left_over == {}

    def test_bytes_that_would_be_linked_are_no_reason_to_warn(self, queue: Queue) -> None:
        queue.disk.keep_free(7 * MIB)
        data = queue.add("one", 6 * MIB)
        queue.add("two", 0, data=data)

        queue.run("plan")

        assert [event for event in queue.told if isinstance(event, events.Warned)] == []
