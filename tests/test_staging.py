"""A file gets its name in one step, from a place that one process works in."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from attrs import evolve

from comfywatchman_core import claims, staging
from comfywatchman_core.errors import BackendError, Cancelled
from comfywatchman_core.leftovers import LeftoverKind, leftovers, remove, tidy
from comfywatchman_core.owners import Owner
from comfywatchman_core.staging import Staging, staging_place

COMING_AND_GOING = """
import os, random, sys, time
from pathlib import Path
from comfywatchman_core.claims import claim
place = Path(sys.argv[1])
alone = place.with_name("alone")
turns = clashes = 0
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    if (owned := claim(place)) is None:
        continue
    turns += 1
    try:
        os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        clashes += 1
    else:
        clashes += not owned.holds()
        alone.unlink()
    owned.give_up(keep=random.random() < 0.3)
if (owned := claim(place)) is not None:
    owned.give_up(keep=False)
print(turns, clashes)
"""


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "loras" / "ink.safetensors"


def publish(final: Path, content: bytes, *, replace: bool = False) -> None:
    with Staging().claim(final) as stage:
        stage.target.write_bytes(content)
        stage.publish(replace)


def abandoned(final: Path, owner: Owner | str, content: bytes = b"half") -> Path:
    """What a process left that ended without a word."""
    place = staging_place(final)
    place.mkdir(parents=True)
    (place / "owner-1.json").write_text(owner if isinstance(owner, str) else owner.write())
    (place / "part").write_bytes(content)
    return place


def dead() -> Owner:
    """A process that lived on this host and has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return evolve(Owner.current(), pid=process.pid, started="1")


class TestPublishing:
    def test_nothing_has_the_final_name_before_it_is_published(self, final: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"model")
            assert not final.exists()
            stage.publish()

        assert final.read_bytes() == b"model"

    def test_nothing_is_left_beside_a_published_file(self, final: Path) -> None:
        publish(final, b"model")

        assert os.listdir(final.parent) == [final.name]

    def test_folders_are_made_where_they_are_missing(self, tmp_path: Path) -> None:
        publish(tmp_path / "a" / "b" / "c.safetensors", b"model")

        assert (tmp_path / "a" / "b" / "c.safetensors").read_bytes() == b"model"

    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_permissions_follow_the_umask_whatever_the_transfer_made_of_them(self, final: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            with Staging().claim(final) as stage:
                stage.target.write_bytes(b"model")
                stage.target.chmod(0o600)
                stage.publish()
        finally:
            os.umask(before)

        assert final.stat().st_mode & 0o7777 == 0o666 & ~umask

    def test_a_replaced_file_hands_its_permissions_down_but_no_special_ones(self, final: Path) -> None:
        publish(final, b"old")
        final.chmod(0o4640)

        publish(final, b"new", replace=True)

        assert (final.read_bytes(), final.stat().st_mode & 0o7777) == (b"new", 0o640)

    def test_a_different_file_that_appeared_is_kept_and_so_are_the_new_bytes(self, final: Path) -> None:
        def appear_and_publish() -> None:
            with Staging().claim(final) as stage:
                stage.target.write_bytes(b"new")
                final.write_bytes(b"old")
                stage.publish()

        with pytest.raises(BackendError) as caught:
            appear_and_publish()

        assert caught.value.code == "conflict"
        assert final.read_bytes() == b"old"
        assert (staging_place(final) / "part").read_bytes() == b"new"

    def test_an_equal_file_that_appeared_is_as_good(self, final: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"model")
            final.write_bytes(b"model")
            stage.publish()

        assert os.listdir(final.parent) == [final.name]

    def test_a_link_under_the_final_name_is_not_followed(self, final: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        final.parent.mkdir()
        final.symlink_to(victim)

        with pytest.raises(BackendError):
            publish(final, b"model")
        with Staging().claim(final) as stage:
            stage.publish(replace=True)

        assert victim.read_bytes() == b"precious"
        assert not final.is_symlink()

    def test_a_dangling_link_under_the_final_name_is_in_the_way(self, final: Path, tmp_path: Path) -> None:
        final.parent.mkdir()
        final.symlink_to(tmp_path / "nowhere")

        with pytest.raises(BackendError) as caught:
            publish(final, b"model")

        assert caught.value.code == "conflict"
        assert not (tmp_path / "nowhere").exists()

    def test_a_file_system_without_links_is_published_to_as_well(
        self, final: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)

        publish(final, b"model")

        assert final.read_bytes() == b"model"
        with pytest.raises(BackendError):
            publish(final, b"other")
        assert final.read_bytes() == b"model"

    def test_a_file_that_a_virus_scanner_holds_is_published_a_moment_later(
        self, final: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusals = iter([True, True, True, False])
        replace = os.replace

        def sometimes(source: Path, target: Path) -> None:
            if next(refusals):
                raise PermissionError(errno.EACCES, "used by another process")
            replace(source, target)

        monkeypatch.setattr(os, "replace", sometimes)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)

        publish(final, b"model", replace=True)

        assert final.read_bytes() == b"model"

    def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(
        self, final: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[str] = []
        sync, link = os.fsync, os.link

        def note_sync(descriptor: int) -> None:
            steps.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
            sync(descriptor)

        def note_link(*names: Path) -> None:
            steps.append("name")
            link(*names)

        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "link", note_link)

        publish(final, b"model")

        assert steps == ["file", "name", "directory"]

    def test_the_longest_names_there_are_can_be_staged_published_and_put_aside(self, tmp_path: Path) -> None:
        name = "ü" * 121 + ".safetensors"
        longest = tmp_path / (name + "x" * (255 - len(name.encode())))

        publish(longest, b"model")
        with Staging().claim(longest) as stage:
            stage.target.write_bytes(b"bad")
            put_aside = stage.quarantine()

        assert sorted(os.listdir(tmp_path)) == sorted([longest.name, put_aside.name])

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_names_are_written_as_they_are_spelled(self, tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
        name = unicodedata.normalize(form, "Übermalung é 模型.safetensors")

        publish(tmp_path / name, b"model")

        assert os.listdir(tmp_path) == [name]

    def test_two_long_names_that_differ_at_the_end_have_two_places(self, tmp_path: Path) -> None:
        one, other = (tmp_path / ("x" * 250 + end) for end in ("abcde", "fghij"))

        assert staging_place(one) != staging_place(other)


class TestQuarantine:
    def test_refused_bytes_are_put_aside_under_a_name_that_no_loader_lists(self, final: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"bad")
            put_aside = stage.quarantine("ABCDEF0123456789".lower())

        assert put_aside.name == "ink.safetensors.bad-abcdef01"
        assert os.listdir(final.parent) == [put_aside.name]

    def test_only_the_last_of_a_name_is_kept(self, final: Path) -> None:
        neighbour = final.with_name("other.safetensors.bad-00000000")
        neighbour.parent.mkdir()
        neighbour.write_bytes(b"of another file")
        for content in (b"bad", b"worse"):
            with Staging().claim(final) as stage:
                stage.target.write_bytes(content)
                put_aside = stage.quarantine()

        assert sorted(final.parent.iterdir()) == [put_aside, neighbour]
        assert put_aside.read_bytes() == b"worse"


class TestWhatIsLeft:
    def test_bytes_that_arrived_stay_for_the_next_claim(self, final: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"half")

        with Staging().claim(final) as stage:
            assert stage.target.read_bytes() == b"half"

    def test_a_claim_that_came_to_nothing_leaves_no_trace(self, final: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.touch()

        assert os.listdir(final.parent) == []

    def test_discarded_bytes_leave_no_trace(self, final: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"half")
            (stage.target.parent / "deeper").mkdir()
            stage.discard()

        assert os.listdir(final.parent) == []

    def test_a_planted_link_is_neither_written_to_nor_kept(self, final: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        staging_place(final).mkdir(parents=True)
        (staging_place(final) / "part").symlink_to(victim)

        with Staging().claim(final) as stage:
            assert not os.path.lexists(stage.target)
        assert victim.read_bytes() == b"precious"

    def test_a_planted_link_in_the_place_of_the_directory_is_refused(self, final: Path, tmp_path: Path) -> None:
        final.parent.mkdir()
        staging_place(final).symlink_to(tmp_path)

        with pytest.raises(BackendError) as caught, Staging().claim(final):
            pass

        assert caught.value.code == "conflict"

    def test_bytes_that_have_their_name_already_are_not_written_to(self, final: Path) -> None:
        """A process was killed after it named the bytes and before it removed their old name."""
        place = abandoned(final, dead(), b"model")
        os.link(place / "part", final)

        with Staging().claim(final) as stage:
            assert not stage.target.exists()

        assert final.read_bytes() == b"model"

    def test_what_a_process_left_that_was_killed_after_publishing_is_tidied_up(self, final: Path) -> None:
        place = abandoned(final, dead(), b"model")
        os.link(place / "part", final)

        tidy(final)

        assert os.listdir(final.parent) == [final.name]

    def test_bytes_of_their_own_are_not_tidied_up(self, final: Path) -> None:
        place = abandoned(final, dead(), b"half of another version")
        final.write_bytes(b"model")

        tidy(final)

        assert (place / "part").exists()

    def test_leftovers_are_listed_with_what_they_occupy(self, final: Path, tmp_path: Path) -> None:
        abandoned(final, dead(), b"x" * 100_000)
        final.with_name("a.safetensors.bad-01234567").write_bytes(b"refused")
        final.with_name("b.safetensors").write_bytes(b"a model")

        found = {leftover.kind: leftover for leftover in leftovers(tmp_path)}

        assert set(found) == {LeftoverKind.STAGING, LeftoverKind.QUARANTINE}
        assert found[LeftoverKind.STAGING].size >= 100_000
        assert found[LeftoverKind.QUARANTINE].size == 7
        for leftover in found.values():
            remove(leftover)
        assert os.listdir(final.parent) == ["b.safetensors"]

    def test_a_place_somebody_works_in_is_listed_as_busy_and_not_removed(self, final: Path, tmp_path: Path) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"half")
            (leftover,) = leftovers(tmp_path)
            assert leftover.busy
            remove(leftover)
            assert stage.target.exists()

    def test_what_another_run_removes_meanwhile_is_passed_over(self, final: Path, tmp_path: Path) -> None:
        folders = [tmp_path / "loras" / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir(parents=True)
            abandoned(folder / "a.safetensors", dead())
        listing = leftovers(tmp_path)
        first = next(listing)

        (other,) = (folder for folder in folders if not first.path.is_relative_to(folder))
        shutil.rmtree(other)

        assert list(listing) == []

    def test_folders_that_lead_in_a_circle_are_listed_once(self, final: Path, tmp_path: Path) -> None:
        abandoned(final, dead())
        (tmp_path / "loras" / "again").symlink_to(tmp_path)

        assert len(list(leftovers(tmp_path))) == 1


class TestOwners:
    def test_one_of_two_claims_waits_for_the_other(self, final: Path) -> None:
        told: list[str] = []
        waits, over = threading.Event(), threading.Event()

        def second() -> None:
            with Staging().claim(final, on_wait=lambda reason: (told.append(reason), waits.set())) as stage:
                assert stage.waited
                assert final.read_bytes() == b"model"
            over.set()

        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"model")
            threading.Thread(target=second, daemon=True).start()
            assert waits.wait(10)
            assert not over.is_set()
            stage.publish()
        assert over.wait(10)
        assert len(told) == 1

    def test_who_does_not_want_to_wait_is_told_that_the_place_is_busy(self, final: Path) -> None:
        with (
            Staging().claim(final),
            pytest.raises(BackendError) as caught,
            Staging().claim(final, wait=False),
        ):
            pass

        assert caught.value.code == "busy"

    def test_waiting_can_be_stopped(self, final: Path) -> None:
        with Staging().claim(final), pytest.raises(Cancelled), Staging().claim(final, cancelled=lambda: True):
            pass

    @pytest.mark.parametrize(
        "owner",
        [
            pytest.param(lambda: dead(), id="its process ended"),
            pytest.param(lambda: evolve(Owner.current(), started="1"), id="another process has its number"),
            pytest.param(lambda: "", id="it was killed while it wrote its note"),
            pytest.param(lambda: '{"pid": "x"}', id="its note is damaged"),
        ],
    )
    def test_a_dead_owner_is_succeeded_and_its_bytes_are_gone_on_with(
        self, final: Path, owner: Callable[[], Owner | str]
    ) -> None:
        place = abandoned(final, owner())
        os.utime(place / "owner-1.json", (0, time.time() - 60))

        with Staging().claim(final, wait=False) as stage:
            assert stage.target.read_bytes() == b"half"
            stage.publish()

        assert os.listdir(final.parent) == [final.name]

    def test_a_dead_process_that_nobody_buried_is_dead(self, final: Path) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        started = Path(f"/proc/{child.pid}/stat")
        if not started.exists():
            pytest.skip("needs /proc")
        owner = evolve(Owner.current(), pid=child.pid, started=started.read_text().rpartition(")")[2].split()[19])
        assert owner.lives(time.time())

        assert child.stdin is not None
        child.stdin.close()
        while started.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)

        assert not owner.lives(time.time())
        child.wait()

    @pytest.mark.parametrize(
        ("changes", "silent", "lives"),
        [
            pytest.param({"host": "elsewhere"}, 60, True, id="another host, a minute ago"),
            pytest.param({"host": "elsewhere"}, 3600, False, id="another host, an hour ago"),
            pytest.param({"space": "pid:[1]"}, 60, True, id="another container, a minute ago"),
            pytest.param({"space": "pid:[1]"}, 200, False, id="another container, minutes ago"),
            pytest.param({"boot": "before"}, 10**9, False, id="this host, before it was started again"),
            pytest.param({"boot": "other"}, 0, True, id="another host of the same name"),
        ],
    )
    def test_an_owner_that_cannot_be_looked_at_is_judged_by_its_heartbeat(
        self, changes: dict[str, str], silent: float, lives: bool
    ) -> None:
        owner = Owner.read(evolve(Owner.current(), **changes).write())

        assert owner is not None
        assert owner.lives(time.time() - silent) is lives

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_a_wrong_clock_of_this_host_takes_no_place_from_an_owner_elsewhere(
        self, final: Path, monkeypatch: pytest.MonkeyPatch, hours: int
    ) -> None:
        """The file system writes the times of heartbeats, and is asked for its own."""
        abandoned(final, evolve(Owner.current(), host="elsewhere"))
        clock = time.time
        monkeypatch.setattr(claims.time, "time", lambda: clock() + hours * 3600)

        with pytest.raises(BackendError, match="another process"), Staging().claim(final, wait=False):
            pass

    def test_where_owners_write_the_time_themselves_heartbeats_that_go_on_are_believed_and_not_their_time(
        self, final: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "HEARTBEAT", 0.1)
        place = abandoned(final, evolve(Owner.current(), host="elsewhere"))
        watch, behind = claims.Watch(), time.time() - 3600

        for beat in range(40):
            os.utime(place / "owner-1.json", (0, behind + beat))
            assert claims.claim(place, watch) is None
            time.sleep(0.01)
        until = time.monotonic() + 10
        while (owned := claims.claim(place, watch)) is None and time.monotonic() < until:
            time.sleep(0.01)

        assert owned is not None

    def test_an_owner_elsewhere_that_is_silent_for_hours_is_waited_for_no_more(self, final: Path) -> None:
        place = abandoned(final, evolve(Owner.current(), host="elsewhere"))
        os.utime(place / "owner-1.json", (0, time.time() - 8000))

        with Staging().claim(final, wait=False) as stage:
            assert stage.target.read_bytes() == b"half"

    def test_who_was_only_asleep_writes_to_no_file_that_another_one_published(self, final: Path) -> None:
        place = abandoned(final, evolve(Owner.current(), host="elsewhere"))
        os.utime(place / "owner-1.json", (0, time.time() - 8000))
        with (place / "part").open("r+b") as asleep:
            with Staging().claim(final) as stage:
                stage.publish()
            asleep.write(b"LATE")

        assert final.read_bytes() == b"half"

    def test_bytes_that_are_taken_over_go_through_no_planted_link(self, final: Path) -> None:
        place = abandoned(final, evolve(Owner.current(), host="elsewhere"))
        os.utime(place / "owner-1.json", (0, time.time() - 8000))
        precious = final.with_name("precious.txt")
        precious.write_text("somebody's")
        (place / "copy").symlink_to(precious)

        with Staging().claim(final) as stage:
            assert stage.target.read_bytes() == b"half"

        assert precious.read_text() == "somebody's"

    def test_who_lost_its_place_learns_it_at_its_next_heartbeat_and_drops_nothing_of_the_others(
        self, final: Path
    ) -> None:
        with Staging().claim(final) as stage:
            stage.target.write_bytes(b"half")
            (stage.target.parent / "owner-2.json").write_text(Owner.current().write())

            stage.beat()
            stage.discard()

            assert stage.lost
            assert stage.target.read_bytes() == b"half"

    def test_owners_show_that_they_live(self, final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(staging, "HEARTBEAT", 0.01)
        keeper = Staging()
        with keeper.claim(final) as stage:
            note = stage.target.parent / "owner-1.json"
            os.utime(note, (0, 0))
            until = time.monotonic() + 10
            while note.stat().st_mtime < 1 and time.monotonic() < until:
                time.sleep(0.01)
            assert note.stat().st_mtime > 1
        keeper.close()

    def test_who_lost_its_place_while_it_was_stopped_publishes_nothing(self, final: Path) -> None:
        def publish_late() -> None:
            with Staging().claim(final) as stage:
                stage.target.write_bytes(b"late")
                (stage.target.parent / "owner-2.json").write_text(Owner.current().write())
                stage.publish()

        with pytest.raises(BackendError) as caught:
            publish_late()

        assert caught.value.code == "busy"
        assert not final.exists()
        assert (staging_place(final) / "owner-2.json").exists()

    def test_an_owner_that_somebody_looked_in_on_leaves_no_trace(self, final: Path) -> None:
        place = staging_place(final)
        with Staging().claim(final):
            passing = place / "owner-2.json"
            passing.write_text(Owner.current().write())

        claims.Claim(place, passing.name, passing.stat()).withdraw()

        assert not place.exists()

    def test_a_note_of_somebody_alive_is_left_when_the_place_is_given_up(self, final: Path) -> None:
        """It was made by one who had looked before the owner was there, and may find itself alone in a moment."""
        place = abandoned(final, dead())
        owned = claims.claim(place)
        assert owned is not None
        (place / "owner-1.json").write_text(Owner.current().write())

        owned.give_up(keep=False)

        assert claims.notes_in(place) == ["owner-1.json"]

    def test_an_owner_waits_until_those_behind_it_have_stepped_back(
        self, final: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "_STEPPING_BACK", (0.01,) * 1000)
        place = staging_place(final)
        place.parent.mkdir(parents=True, exist_ok=True)
        owned = claims.claim(place)
        assert owned is not None
        behind = place / "owner-2.json"
        behind.write_text(Owner.current().write())

        threading.Timer(0.03, behind.unlink).start()

        assert owned.holds()

    @pytest.mark.slow
    def test_of_processes_that_come_and_go_no_two_own_a_place_at_once(self, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", COMING_AND_GOING, str(staging_place(final)), "30"]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

        ends = [process.communicate(timeout=120)[0] for process in processes]

        turns, clashes = (sum(int(end.split()[place]) for end in ends) for place in (0, 1))
        assert turns > 1000
        assert clashes == 0
        assert not staging_place(final).exists()

    def test_of_many_who_succeed_a_dead_owner_one_wins(self, final: Path) -> None:
        place = abandoned(final, dead())
        start = threading.Barrier(8)
        winners: list[object] = []

        def take() -> None:
            start.wait()
            if (won := claims.claim(place)) is not None:
                winners.append(won)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(winners) == 1

    def test_a_claim_that_fails_halfway_is_given_back(self, final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        abandoned(final, dead())
        (staging_place(final) / "part").unlink()
        (staging_place(final) / "part").mkdir()
        with pytest.raises(BackendError), Staging().claim(final):
            pass

        with Staging().claim(final, wait=False) as stage:
            assert not stage.target.exists()

    def test_who_finds_a_living_owner_after_all_steps_back(self, final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The dead owner's place was given up and claimed anew between the look and the note."""
        place = abandoned(final, dead())
        look = claims.notes_in
        looks = iter([["owner-1.json"]])

        def outdated(where: Path) -> list[str]:
            return next(looks, None) or look(where)

        (place / "owner-1.json").write_text(dead().write())
        (place / "owner-3.json").write_text(Owner.current().write())
        monkeypatch.setattr(claims, "notes_in", outdated)

        assert claims.claim(place) is None
        assert look(place) == ["owner-1.json", "owner-3.json"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (errno.ENOSPC, "disk_full"),
            (errno.EDQUOT, "disk_full"),
            (errno.EFBIG, "disk_full"),
            (errno.EROFS, "read_only"),
            (errno.EACCES, "read_only"),
            (errno.EIO, "read_only"),
        ],
    )
    def test_a_disk_that_refuses_is_told_apart_by_what_the_user_can_do(
        self, final: Path, code: int, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "mkdir", refuse)

        with pytest.raises(BackendError) as caught, Staging().claim(final):
            pass

        assert caught.value.code == expected
        assert caught.value.hint

    def test_a_file_in_the_place_of_the_folder_is_a_conflict(self, final: Path) -> None:
        final.parent.write_bytes(b"not a folder")

        with pytest.raises(BackendError) as caught, Staging().claim(final):
            pass

        assert caught.value.code == "conflict"
        assert final.parent.read_bytes() == b"not a folder"
