"""The command is killed, stopped, interrupted and started twice; its disk and its clock fail."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from standins.faulty import GOOD, Ending, Faulty, Scene, faulty
from transfer.commands import again, ended, environment, get, leftovers, run

from comfywatchman_core.owners import Owner
from comfywatchman_core.testing import safetensors, sha256

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

NAME = "model.safetensors"
PATH = f"/{NAME}"
SIZE = 8 << 20
CHUNK = 1 << 20
CONTENT = safetensors("model", SIZE)
SLOW = Scene(pace=4 << 20)
HANGS = Scene(sends=SIZE // 2, then=Ending.SILENCE)


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as server:
        server.files[PATH] = CONTENT
        yield server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def what(server: Faulty) -> str:
    return f"{server.url}{PATH}#sha256={sha256(CONTENT)}"


def final(models: Path) -> Path:
    return models / "loras" / NAME


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.01)


def written(models: Path) -> int:
    """Bytes that lie in the staging place."""
    part = models / "loras" / f".{NAME}.cw" / "part"
    with contextlib.suppress(OSError):
        return part.stat().st_blocks * 512 if part.stat().st_size else 0
    return 0


def has_journal(models: Path) -> bool:
    return (models / "loras" / f".{NAME}.cw" / "journal.json").exists()


class TestKilled:
    def test_what_arrived_before_the_kill_is_not_transferred_again(
        self, server: Faulty, models: Path, what: str
    ) -> None:
        server.play(PATH, HANGS)
        process = get(models, what)
        wait_until(lambda: server.sent[PATH] >= SIZE // 2 and has_journal(models))
        time.sleep(0.3)
        process.kill()
        ended(process)
        assert not final(models).exists()
        server.play(PATH, GOOD)

        report = again(models, what)

        assert report.ok
        assert final(models).read_bytes() == CONTENT
        assert server.sent[PATH] <= len(CONTENT) - SIZE // 2 + 2 * CHUNK
        assert leftovers(models) == []

    @pytest.mark.parametrize(
        ("name", "has_it"),
        [
            pytest.param("os.fsync", False, id="before the bytes are on the disk"),
            pytest.param("os.link", False, id="before they get their name"),
            pytest.param("pathlib.Path.unlink", True, id="after they got it, with the old one still there"),
            pytest.param("os.rmdir", True, id="in the middle of tidying up"),
        ],
    )
    def test_at_each_step_of_publishing_there_is_all_or_nothing(
        self, server: Faulty, models: Path, what: str, name: str, has_it: bool
    ) -> None:
        home, _, function = name.rpartition(".")
        script = f"""
import os, pathlib, signal, sys
real = {name}
def die(path, *rest, **more):
    if {has_it} and not os.path.exists({str(final(models))!r}):
        return real(path, *rest, **more)
    os.kill(os.getpid(), signal.SIGKILL)
{home}.{function} = die
from comfywatchman_core.cli import main
sys.exit(main(sys.argv[1:]))
"""
        command = [sys.executable, "-c", script, "get", what, "--folder", "loras", "--models-dir", str(models)]
        killed = subprocess.run(
            [*command, "--no-plugins", "--no-config", "--json"],
            env=environment(models.parent / "home"),
            capture_output=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        assert final(models).exists() is has_it
        if has_it:
            assert final(models).read_bytes() == CONTENT
        server.play(PATH, GOOD)

        report = again(models, what)

        assert report.ok
        assert final(models).read_bytes() == CONTENT
        assert server.sent[PATH] == 0
        assert leftovers(models) == []


class TestStopped:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    )
    def test_a_signal_ends_it_at_once_and_keeps_what_arrived(
        self, server: Faulty, models: Path, what: str, sent: signal.Signals, code: int
    ) -> None:
        server.play(PATH, HANGS)
        process = get(models, what)
        wait_until(lambda: server.sent[PATH] >= SIZE // 2 and has_journal(models))
        time.sleep(0.3)
        process.send_signal(sent)
        began = time.monotonic()
        stopped = ended(process)
        took = time.monotonic() - began

        assert stopped.code == code
        assert took < 5
        assert "Traceback" not in stopped.err
        assert stopped.lines[-1]["event"] == "result"
        assert stopped.error["code"] == "cancelled"
        server.play(PATH, GOOD)
        assert again(models, what).ok
        assert server.sent[PATH] <= len(CONTENT) - SIZE // 2 + 2 * CHUNK
        assert leftovers(models) == []

    def test_a_second_signal_ends_it_where_it_stands_and_the_next_run_goes_on(
        self, server: Faulty, models: Path, what: str
    ) -> None:
        server.play(PATH, HANGS)
        process = get(models, what)
        wait_until(lambda: server.sent[PATH] >= SIZE // 2 and has_journal(models))
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        stopped = ended(process)

        assert stopped.code == 130
        assert "Traceback" not in stopped.err
        assert not final(models).exists()
        server.play(PATH, GOOD)
        assert again(models, what).ok
        assert server.sent[PATH] <= len(CONTENT) - SIZE // 2 + 2 * CHUNK
        assert leftovers(models) == []

    def test_a_process_that_was_stopped_for_a_while_goes_on(self, server: Faulty, models: Path, what: str) -> None:
        server.play(PATH, SLOW)
        process = get(models, what, "--timeout", "1")
        wait_until(lambda: server.sent[PATH] > SIZE // 4)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)

        assert ended(process).code == 0
        assert final(models).read_bytes() == CONTENT


class TestTwice:
    def test_two_commands_for_one_file_transfer_it_once(self, server: Faulty, models: Path, what: str) -> None:
        server.play(PATH, SLOW)
        both = [get(models, what), get(models, what)]
        results = [ended(process) for process in both]

        assert [result.code for result in results] == [0, 0]
        assert sorted(result.files[0]["status"] for result in results) == ["downloaded", "present"]
        assert server.sent[PATH] <= len(CONTENT) + CHUNK
        assert leftovers(models) == []

    def test_who_waits_for_a_process_that_is_killed_takes_over(self, server: Faulty, models: Path, what: str) -> None:
        server.play(PATH, HANGS, GOOD)
        first = get(models, what)
        wait_until(lambda: server.sent[PATH] >= SIZE // 2 and has_journal(models))
        second = get(models, what)
        time.sleep(1)
        first.kill()

        assert ended(second).code == 0
        assert ended(first).code == -signal.SIGKILL
        assert final(models).read_bytes() == CONTENT
        assert server.sent[PATH] <= len(CONTENT) + 2 * CHUNK

    @pytest.mark.parametrize(
        ("theirs", "code", "left"),
        [
            pytest.param(safetensors("theirs"), 8, [f".{NAME}.cw"], id="other bytes"),
            pytest.param(CONTENT, 0, [], id="the same bytes"),
        ],
    )
    def test_a_file_that_somebody_else_put_there_meanwhile_is_kept(
        self, server: Faulty, models: Path, what: str, theirs: bytes, code: int, left: list[str]
    ) -> None:
        server.play(PATH, SLOW)
        process = get(models, what)
        wait_until(lambda: server.sent[PATH] > SIZE // 4)
        final(models).write_bytes(theirs)
        result = ended(process)

        assert (result.code, result.error.get("code")) == (code, "conflict" if code else None)
        assert final(models).read_bytes() == theirs
        assert leftovers(models) == left

    @pytest.mark.parametrize(
        "owner",
        [
            pytest.param(lambda: evolve(Owner.current(), started="1"), id="its number is another program's by now"),
            pytest.param(lambda: evolve(Owner.current(), boot="before"), id="this machine was started again since"),
        ],
    )
    def test_the_place_of_a_dead_process_is_taken_over(
        self, server: Faulty, models: Path, what: str, owner: Callable[[], Owner]
    ) -> None:
        note = self.claimed(models, owner())
        os.utime(note, (0, time.time() - 10**9))

        result = run(models, what)

        assert (result.code, result.files[0]["status"]) == (0, "downloaded")
        assert final(models).read_bytes() == CONTENT
        assert leftovers(models) == []

    @pytest.mark.parametrize("host", ["", "another machine that shares the drive"])
    def test_a_living_owner_is_waited_for_and_nothing_is_asked_meanwhile(
        self, server: Faulty, models: Path, what: str, host: str
    ) -> None:
        note = self.claimed(models, evolve(Owner.current(), host=host or Owner.current().host))
        process = get(models, what)
        time.sleep(1)
        assert (process.poll(), server.heard) == (None, [])
        note.unlink()

        assert ended(process).code == 0
        assert final(models).read_bytes() == CONTENT

    @staticmethod
    def claimed(models: Path, owner: Owner) -> Path:
        """Let *owner* hold the place of the file; :returns: its note."""
        note = models / "loras" / f".{NAME}.cw" / "owner-1.json"
        note.parent.mkdir(parents=True)
        note.write_text(owner.write())
        return note


class TestDisks:
    def test_a_file_system_that_takes_no_such_large_file_says_so_and_the_part_is_kept(
        self, server: Faulty, models: Path, what: str
    ) -> None:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))

        result = ended(get(models, what, preexec_fn=limit))

        assert (result.code, result.error["code"]) == (9, "disk_full")
        assert "file system cannot hold a file of this size" in result.error["hint"]
        assert not final(models).exists()
        assert again(models, what).ok
        assert final(models).read_bytes() == CONTENT

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        place = tmp_path / "small"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount")
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)

    def test_a_disk_that_fills_up_in_the_middle_ends_the_run_with_its_own_code(
        self, server: Faulty, small_disk: Path
    ) -> None:
        path = "/big.safetensors"
        server.files[path] = content = safetensors("big", 12 << 20)
        # Without a length no room is set aside, so that the disk fills up on the way.
        server.play(path, Scene(headers={"Content-Length": None}, pace=6 << 20, then=Ending.FIN))
        models, what = small_disk / "models", f"{server.url}{path}#sha256={sha256(content)}"
        process = get(models, what, home=small_disk.parent / "home")
        wait_until(lambda: server.sent[path] > 2 << 20)
        (small_disk / "somebody else's").write_bytes(bytes(16 << 20))
        result = ended(process)

        assert (result.code, result.error["code"]) == (9, "disk_full")
        assert not (models / "loras" / "big.safetensors").exists()
        (small_disk / "somebody else's").unlink()
        server.play(path, GOOD)
        assert again(models, what).ok
        assert server.sent[path] < len(content)
        assert leftovers(models) == []

    def test_of_two_files_that_fit_only_singly_one_is_had(self, server: Faulty, small_disk: Path) -> None:
        paths = ["/one.safetensors", "/two.safetensors"]
        for path in paths:
            server.files[path] = safetensors(path, 11 << 20)
            server.play(path, SLOW)
        models = small_disk / "models"

        result = run(models, *(server.url + path for path in paths), home=small_disk.parent / "home")

        assert result.code == 9
        assert sorted(file["status"] for file in result.files) == ["downloaded", "failed"]

    def test_a_disk_that_cannot_be_written_is_told_before_the_transfer(
        self, server: Faulty, small_disk: Path, what: str
    ) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

        result = run(small_disk / "models", what, home=small_disk.parent / "home")

        assert (result.code, result.error["code"]) == (9, "read_only")
        assert server.sent[PATH] == 0


def test_a_file_in_the_place_of_the_folder_is_a_conflict(server: Faulty, models: Path, what: str) -> None:
    models.mkdir()
    (models / "loras").write_bytes(b"not a folder")

    result = run(models, what)

    assert (result.code, result.error["code"]) == (8, "conflict")
    assert server.sent[PATH] == 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ü" * ((255 - len(".safetensors")) // 2) + "x.safetensors", id="the longest there is"),
        pytest.param(unicodedata.normalize("NFD", "Übermalung.safetensors"), id="letters and accents apart"),
    ],
)
def test_a_file_gets_its_name_to_the_letter(server: Faulty, models: Path, name: str) -> None:
    path = "/" + "".join(f"%{byte:02X}" if byte > 127 else chr(byte) for byte in name.encode())
    server.files[path] = CONTENT

    assert run(models, server.url + path).code == 0
    assert os.listdir(models / "loras") == [name]
    assert (models / "loras" / name).read_bytes() == CONTENT


def test_the_signals_of_a_closed_pipe_end_it_quietly(server: Faulty, models: Path, what: str) -> None:
    server.play(PATH, Scene(pace=16 << 20))
    process = get(models, what)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()

    assert process.returncode == 141
    assert "Traceback" not in error
    server.play(PATH, GOOD)
    assert again(models, what).ok
    assert final(models).read_bytes() == CONTENT
    assert leftovers(models) == []
