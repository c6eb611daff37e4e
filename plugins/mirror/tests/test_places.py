"""The whole way, over every kind of place: pushed, listed, got and verified, checked, pruned."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest
from comfywatchman_mirror import lookup, pushing
from comfywatchman_mirror.gathering import LocalFile
from comfywatchman_mirror.layout import LARGEST_DOCUMENT, bytes_path
from comfywatchman_mirror.streaming import stream
from standins import servers

from comfywatchman_core import Candidate, Context, Match, errors
from comfywatchman_core.testing import safetensors, sha256

from .conftest import INK, INK_SHA256, Get, Place, Run, Upstream


def test_a_name_leads_to_its_verified_bytes(place: Place, models: Path, run: Run, get: Get, tmp_path: Path) -> None:
    assert run("push", "--models-dir", str(models), "--verify", at=place)[0] == 0

    report, warnings = get("loras/ink.safetensors", place)

    (entry,) = report.entries
    assert (entry.status, entry.backend, entry.sha256) == ("downloaded", "mirror", INK_SHA256)
    assert (tmp_path / "models" / "loras" / "ink.safetensors").read_bytes() == INK
    assert warnings == []


def test_a_digest_leads_there_without_the_internet_being_asked(
    place: Place, models: Path, run: Run, get: Get, upstream: Upstream
) -> None:
    run("push", "--models-dir", str(models), at=place)

    report, _ = get(upstream.url, place, digest=INK_SHA256)

    assert report.ok
    assert report.entries[0].backend == "mirror"
    assert upstream.asked == []


def test_what_it_does_not_have_comes_from_upstream(place: Place, run: Run, get: Get, upstream: Upstream) -> None:
    store = place.store()
    pushing.found(store)

    report, warnings = get(upstream.url, place, digest=INK_SHA256)

    assert report.ok
    assert report.entries[0].backend == "core"
    assert warnings == []


def test_to_push_again_does_nothing_and_nothing_is_left_behind(place: Place, models: Path, run: Run) -> None:
    run("push", "--models-dir", str(models), at=place)
    before = sorted(one.path for folder in ("sha256", "facts", "names") for one in place.store().walk(folder))

    code, lines = run("push", "--models-dir", str(models), at=place)

    assert code == 0
    assert [line["event"] for line in lines] == ["present", "result"]  # and nothing of a new mirror
    assert sorted(one.path for folder in ("sha256", "facts", "names") for one in place.store().walk(folder)) == before
    assert list(place.store().walk("incoming")) == []


def test_a_name_that_is_taken_is_never_written_to(place: Place) -> None:
    store = place.store()

    assert store.create("sha256/ab/one", b"first")
    assert not store.create("sha256/ab/one", b"second")
    assert store.read("sha256/ab/one", 100) == b"first"


def test_those_who_push_at_once_lose_no_name_and_no_bytes(place: Place, tmp_path: Path) -> None:
    """Six files of one name, and one of them twice."""
    files = []
    for number in (0, 1, 2, 3, 4, 5, 5):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(safetensors(f"namesake {number}"))
        files.append(LocalFile(path=path, folder="loras", name="ink.safetensors"))
    pushing.found(place.store())
    failures: list[Exception] = []
    gate = threading.Barrier(len(files))

    def push(file: LocalFile) -> None:
        gate.wait()
        try:
            pushing.push(place.store(), file, verify=False, cancelled=lambda: False)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=push, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    store = place.store()
    found = lookup.by_name(lambda path: store.read(path, LARGEST_DOCUMENT), "loras", "ink.safetensors")
    assert failures == []
    assert {facts.sha256 for facts in found} == {sha256(file.path.read_bytes()) for file in files}
    assert all(pushing.sha256_in(store, facts.sha256, lambda: False) == facts.sha256 for facts in found)


def test_check_finds_what_changed_and_removes_it_only_when_told(place: Place, models: Path, run: Run) -> None:
    run("push", "--models-dir", str(models), at=place)
    store = place.store()
    wrong = INK[:-1] + bytes([INK[-1] ^ 1])
    store.remove(f"sha256/{INK_SHA256[:2]}/{INK_SHA256}")
    store.create(f"sha256/{INK_SHA256[:2]}/{INK_SHA256}", wrong)

    code, lines = run("check", at=place)
    removing, _ = run("check", "--remove", at=place)
    again, _ = run("check", at=place)

    assert (code, removing, again) == (7, 7, 0)
    assert [(line["status"], line["actual"]) for line in lines if line["event"] == "checked"] == [
        ("corrupt", sha256(wrong))
    ]
    assert run("push", "--models-dir", str(models), "--verify", at=place)[0] == 0


def test_prune_removes_what_no_plan_names_and_nothing_without_being_told(
    place: Place, models: Path, run: Run, tmp_path: Path
) -> None:
    (models / "loras" / "wash.safetensors").write_bytes(safetensors("wash"))
    run("push", "--models-dir", str(models), at=place)
    plan = tmp_path / "plan.json"
    plan.write_text(
        '{"schema": "comfywatchman-plan/1", "models": [{"folder": "loras", "name": "ink.safetensors", "sha256": "'
        + INK_SHA256
        + '"}]}'
    )

    _, dry = run("prune", "--plan", str(plan), at=place)
    _, still_there = run("list", at=place)
    _, done = run("prune", "--plan", str(plan), "--yes", at=place)
    _, left = run("list", at=place)

    def names(lines: list[dict[str, str]]) -> list[str]:
        return [line["name"] for line in lines if line["event"] == "listed"]

    assert [line["removed"] for line in dry if line["event"] == "pruned"] == [False]
    assert [line["removed"] for line in done if line["event"] == "pruned"] == [True]
    assert names(still_there) == ["ink.safetensors", "wash.safetensors"]
    assert names(left) == ["ink.safetensors"]
    assert len(list(place.store().walk("names"))) == 1


def test_a_web_server_over_the_tree_is_a_mirror(filled: Place, get: Get, tmp_path: Path, upstream: Upstream) -> None:
    with servers.web(Path(filled.url), tmp_path / "nginx") as url:
        report, warnings = get("loras/ink.safetensors", {"url": url})

    assert report.entries[0].status == "downloaded"
    assert report.entries[0].backend == "mirror"
    assert warnings == []


def test_a_slow_web_server_is_waited_for_as_long_as_bytes_come(filled: Place, get: Get, tmp_path: Path) -> None:
    with servers.web(Path(filled.url), tmp_path / "nginx", more="limit_rate 400k; limit_rate_after 20k;") as url:
        report, _ = get("loras/ink.safetensors", {"url": f"{url}/"}, connections=1)

    assert report.ok


def test_a_web_server_is_only_read(run: Run) -> None:
    for command in ("push", "list", "check", "prune"):
        code, lines = run(command, at=Place(settings={"url": "http://127.0.0.1:9/mirror"}))
        assert code == 2
        assert "web server" in lines[-1]["problems"][0]["message"]


def test_a_host_that_nobody_vouched_for_is_not_talked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path, run: Run
) -> None:
    pytest.importorskip("paramiko")
    monkeypatch.setenv("HOME", str(tmp_path))
    with servers.sftp(tmp_path / "sshd", tmp_path) as url:
        (tmp_path / ".ssh" / "known_hosts").unlink()
        code, lines = run("push", "--models-dir", str(models), at=Place(settings={"url": f"{url}{tmp_path}/nas"}))

    assert code == 5
    assert "known" in lines[-1]["problems"][0]["message"]
    assert "fingerprint" in lines[-1]["problems"][0]["hint"]
    assert not (tmp_path / "nas").exists()


def test_an_sftp_server_that_only_reads_is_said_to_be_so(
    filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path, run: Run, get: Get
) -> None:
    pytest.importorskip("paramiko")
    monkeypatch.setenv("HOME", str(tmp_path))
    (models / "loras" / "wash.safetensors").write_bytes(safetensors("wash"))
    with servers.sftp(tmp_path / "sshd", tmp_path, read_only=True) as url:
        place = Place(settings={"url": f"{url}{filled.url}"})
        code, lines = run("push", "--models-dir", str(models), at=place)
        report, _ = get("loras/ink.safetensors", place)

    assert code == 9
    assert report.ok
    assert lines[-1]["problems"]


def test_a_part_of_an_sftp_file_can_be_asked_for(
    filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paramiko")
    monkeypatch.setenv("HOME", str(tmp_path))
    with servers.sftp(tmp_path / "sshd", tmp_path) as url:
        store = Place(settings={"url": f"{url}{filled.url}"}).store()
        rest = b"".join(store.pieces(f"sha256/{INK_SHA256[:2]}/{INK_SHA256}", 150_000))
        with pytest.raises(errors.BackendError) as caught:
            list(store.pieces("sha256/00/none", 0))
        store.close()

    assert rest == INK[150_000:]
    assert caught.value.code is errors.ErrorCode.NOT_FOUND


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the sessions of a server are found in /proc")
def test_a_connection_that_is_cut_in_the_middle_is_made_anew_and_the_file_gone_on_with(
    filled: Place, models: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paramiko")
    monkeypatch.setenv("HOME", str(tmp_path))
    data = safetensors("large", 14 << 20)
    (models / "loras" / "ink.safetensors").write_bytes(data)
    run("push", "--models-dir", str(models), at=filled)
    asked: list[int] = []
    with servers.sftp(tmp_path / "sshd", tmp_path) as url:
        store = Place(settings={"url": f"{url}{filled.url}"}).store()

        def pieces(start: int) -> Generator[bytes]:
            asked.append(start)
            for piece in store.pieces(bytes_path(sha256(data)), start):
                yield piece
                if len(asked) == 1:
                    server = int((tmp_path / "sshd" / "pid").read_text())
                    for session in Path(f"/proc/{server}/task/{server}/children").read_text().split():
                        with suppress(ProcessLookupError):  # it ended by itself
                            os.kill(int(session), signal.SIGKILL)

        context = Context(name="mirror", settings={}, emit=lambda event: None, fetch=lambda *of, **options: None)  # type: ignore[arg-type, return-value]
        offer = Candidate(match=Match.DIGEST, url="mirror:")
        artifact = stream(pieces, tmp_path / "part", sha256(data), len(data), offer, context)
        store.close()

    assert artifact.digests[0].value == sha256(data)
    assert len(asked) > 1
    assert asked[1] > 0


def test_a_bucket_that_is_not_there_is_said_to_be_missing(place: Place, models: Path, run: Run) -> None:
    if not place.url.startswith("s3:"):
        pytest.skip("directories are made")

    code, lines = run("push", "--models-dir", str(models), at=Place(settings={"url": "s3://nobody-made-this"}))

    assert code == 5
    assert "bucket" in lines[-1]["problems"][0]["hint"]
