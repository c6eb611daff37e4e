"""What goes wrong with mirrors: nothing wrong is taken, it is said once, and the source follows."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_mirror import MirrorBackend, access, pushing
from comfywatchman_mirror.command import main
from comfywatchman_mirror.layout import SCHEMA, bytes_path, facts_path, name_path
from comfywatchman_mirror.publishing import ChangedFile

from comfywatchman_core import Candidate, Context, Digest, Match, ModelRequest, hookimpl
from comfywatchman_core.testing import Asked, Reply, safetensors, serve, sha256

from .conftest import INK, INK_SHA256, Get, Place, Run, Upstream

WRONG = INK[:-1] + bytes([INK[-1] ^ 1])


@pytest.fixture(params=["disk", "copy", "web"])
def reader(request: pytest.FixtureRequest, filled: Place) -> Iterator[Callable[[], dict[str, Any]]]:
    """Settings of a mirror over the filled tree: as a disk, always copied from, and as a web server."""
    root = Path(filled.url)

    def answer(asked: Asked) -> Reply:
        file = root / asked.path.lstrip("/")
        return Reply.of_bytes(file.read_bytes(), asked) if file.is_file() else Reply(status=404)

    if request.param == "web":
        with serve(answer) as origin:
            yield lambda: {"url": origin.url}
    else:
        yield lambda: {"url": str(root), "link": "auto" if request.param == "disk" else "copy"}


def stored(place: Place, path: str) -> Path:
    return Path(place.url) / path


class TestAMirrorThatIsWrong:
    def test_corrupt_bytes_are_refused_and_reported_and_the_source_follows(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, upstream: Upstream, tmp_path: Path
    ) -> None:
        stored(filled, bytes_path(INK_SHA256)).write_bytes(WRONG)

        report, warnings = get(upstream.url, reader(), digest=INK_SHA256)

        assert report.ok
        assert report.entries[0].backend == "core"
        assert (tmp_path / "models" / "loras" / "ink.safetensors").read_bytes() == INK
        assert [text for text in warnings if "other bytes" in text and sha256(WRONG) in text]

    @pytest.mark.parametrize("held", [INK[:1000], b"", INK + b"more", b"<html>not here</html>"], ids=len)
    def test_bytes_of_another_length_are_no_better(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, upstream: Upstream, held: bytes
    ) -> None:
        stored(filled, bytes_path(INK_SHA256)).write_bytes(held)

        report, _ = get(upstream.url, reader(), digest=INK_SHA256, max_retries=0)

        assert report.ok
        assert report.entries[0].sha256 == INK_SHA256

    def test_facts_without_bytes_lead_to_the_source(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, upstream: Upstream
    ) -> None:
        stored(filled, bytes_path(INK_SHA256)).unlink()

        report, _ = get(upstream.url, reader(), digest=INK_SHA256)

        assert report.ok

    @pytest.mark.parametrize("size", [1, len(INK) + 1, 1 << 41], ids=["less", "more", "terabytes"])
    def test_a_size_that_is_a_lie_keeps_nobody_from_the_source(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, upstream: Upstream, size: int
    ) -> None:
        lie(filled, facts_path(INK_SHA256), size=size)

        report, _ = get(upstream.url, reader(), digest=INK_SHA256, max_retries=0)

        assert report.ok
        assert report.entries[0].sha256 == INK_SHA256

    @pytest.mark.parametrize("document", [b"", b"{", b"<html>", b"x" * 3_000_000, b'{"schema": "other/1"}'], ids=len)
    def test_facts_that_cannot_be_read_are_no_facts(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, upstream: Upstream, document: bytes
    ) -> None:
        stored(filled, facts_path(INK_SHA256)).write_bytes(document)

        report, _ = get(upstream.url, reader(), digest=INK_SHA256)

        assert report.ok
        assert report.entries[0].backend == "core"

    @pytest.mark.parametrize(
        "changed",
        [{"name": "../../x.safetensors"}, {"name": "other.safetensors"}, {"folder": "vae"}, {"folder": "../x"}],
        ids=str,
    )
    def test_an_entry_of_a_name_that_speaks_of_another_name_is_nothing(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, tmp_path: Path, changed: dict[str, str]
    ) -> None:
        lie(filled, name_path("loras", "ink.safetensors", 0), **changed)

        report, _ = get("loras/ink.safetensors", reader())

        assert report.exit_code == 4
        assert [path for path in (tmp_path / "models").rglob("*") if path.is_file()] == []

    def test_an_entry_that_leads_to_facts_of_other_bytes_is_nothing(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get
    ) -> None:
        lie(filled, name_path("loras", "ink.safetensors", 0), sha256=sha256(b"elsewhere"))

        report, _ = get("loras/ink.safetensors", reader())

        assert report.exit_code == 4

    def test_one_name_for_two_files_is_ambiguous_and_each_can_be_asked_for(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, run: Run, tmp_path: Path
    ) -> None:
        other = tmp_path / "other" / "loras" / "ink.safetensors"
        other.parent.mkdir(parents=True)
        other.write_bytes(safetensors("another ink"))
        _, lines = run("push", "--models-dir", str(tmp_path / "other"), at=filled)

        unsaid, _ = get("loras/ink.safetensors", reader())
        said, _ = get(f"mirror:{INK_SHA256}", reader())

        assert "ambiguous" in next(line["message"] for line in lines if line["event"] == "note")
        assert unsaid.entries[0].error is not None
        assert unsaid.entries[0].error.code == "ambiguous"
        assert f"mirror:{INK_SHA256}" in str(unsaid.entries[0].error.hint)
        assert said.entries[0].sha256 == INK_SHA256

    def test_a_mirror_that_is_not_whole_is_not_written_into_the_models_by_a_link(
        self, filled: Place, get: Get, tmp_path: Path
    ) -> None:
        """The mirror's file may change; what was taken from it does not."""
        get("loras/ink.safetensors", filled)

        with open(stored(filled, bytes_path(INK_SHA256)), "r+b") as file:
            file.write(b"changed")

        assert (tmp_path / "models" / "loras" / "ink.safetensors").read_bytes() == INK

    @pytest.mark.skipif(os.name != "posix", reason="hard links are told by their inode")
    def test_a_hard_link_is_made_where_the_user_wants_one(self, filled: Place, get: Get, tmp_path: Path) -> None:
        get("loras/ink.safetensors", {**filled.settings, "link": "hard"})

        assert (tmp_path / "models" / "loras" / "ink.safetensors").samefile(stored(filled, bytes_path(INK_SHA256)))


class TestAMirrorThatDoesNotAnswer:
    @pytest.fixture(params=["no directory", "not mounted", "web", "sftp", "s3"])
    def silent(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "kit")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "kit")
        (tmp_path / "mount").mkdir()
        return {
            "no directory": {"url": str(tmp_path / "nowhere")},
            "not mounted": {"url": str(tmp_path / "mount")},
            "web": {"url": f"http://127.0.0.1:{port}"},
            "sftp": {"url": f"sftp://127.0.0.1:{port}/srv"},
            "s3": {"url": "s3://studio", "options": {"endpoint_url": f"http://127.0.0.1:{port}"}},
        }[str(request.param)]

    def test_it_is_said_once_and_the_source_follows(self, silent: dict[str, Any], get: Get, upstream: Upstream) -> None:
        another = upstream.url.replace("ink", "wash")

        report, warnings = get(upstream.url, silent, digest=INK_SHA256, others=[f"{another}#sha256={INK_SHA256}"])

        assert report.ok
        assert len(report.entries) == 2
        assert len(warnings) == 1, warnings
        assert "goes on without it" in warnings[0]

    def test_a_file_that_only_it_may_have_is_not_called_missing(self, silent: dict[str, Any], get: Get) -> None:
        report, _ = get("loras/ink.safetensors", silent)

        assert report.exit_code == 5

    @pytest.mark.parametrize("scheme", ["http", "sftp"])
    def test_one_that_hangs_is_given_up_once_and_not_for_each_file(
        self, scheme: str, get: Get, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(access, "_PATIENCE", 0.3)
        others = [f"{upstream.url.replace('ink', str(number))}#sha256={INK_SHA256}" for number in range(20)]
        with closing(socket.create_server(("127.0.0.1", 0))) as hanging:
            began = time.monotonic()
            report, warnings = get(
                upstream.url,
                {"url": f"{scheme}://127.0.0.1:{hanging.getsockname()[1]}/mirror"},
                digest=INK_SHA256,
                others=others,
            )

        assert report.ok
        assert len(warnings) == 1
        assert time.monotonic() - began < 20 * 0.3

    def test_offline_nothing_but_a_disk_is_asked(self, filled: Place, get: Get) -> None:
        backend = MirrorBackend()
        request = ModelRequest(name="ink.safetensors", folder="loras")

        def context(url: str) -> Context:
            return Context(name="mirror", settings={"url": url}, emit=lambda event: None, fetch=no_engine, offline=True)

        assert backend.resolve_model(request, context(filled.url))
        for url in ("sftp://127.0.0.1:9/srv", "s3://studio", "http://127.0.0.1:9"):
            with pytest.raises(Exception, match="offline"):
                backend.resolve_model(request, context(url))


class TestSomebodyElsesOffer:
    def test_its_bytes_are_taken_from_the_mirror_and_its_headers_stay_at_home(
        self, reader: Callable[[], dict[str, Any]], get: Get, upstream: Upstream
    ) -> None:
        report, _ = get(
            "loras/renamed.safetensors", reader(), back_ends={"mirror": MirrorBackend(), "site": Site(upstream.url)}
        )

        assert report.entries[0].status == "downloaded"
        assert report.entries[0].backend == "site"
        assert upstream.asked == []

    def test_where_the_mirror_is_corrupt_the_site_is_asked_with_its_headers(
        self, reader: Callable[[], dict[str, Any]], filled: Place, get: Get, upstream: Upstream
    ) -> None:
        stored(filled, bytes_path(INK_SHA256)).write_bytes(WRONG)

        report, warnings = get(
            "loras/renamed.safetensors", reader(), back_ends={"mirror": MirrorBackend(), "site": Site(upstream.url)}
        )

        assert report.ok
        assert report.entries[0].sha256 == INK_SHA256
        assert {asked.headers.get("authorization") for asked in upstream.asked} == {f"Bearer {Site.token}"}
        assert len([text for text in warnings if "other bytes" in text]) == 1
        assert not any(Site.token in text for text in warnings)

    def test_where_the_mirror_is_away_that_is_said_once_for_all_files(
        self, get: Get, upstream: Upstream, tmp_path: Path
    ) -> None:
        report, warnings = get(
            "loras/one.safetensors",
            {"url": str(tmp_path / "nowhere")},
            others=["loras/two.safetensors", "loras/three.safetensors"],
            back_ends={"mirror": MirrorBackend(), "site": Site(upstream.url)},
            link="never",
        )

        assert report.ok
        assert len(warnings) == 1


class TestAPush:
    def test_one_that_is_killed_leaves_nothing_that_anybody_is_led_to(
        self, disk: Place, models: Path, run: Run
    ) -> None:
        with open(models / "loras" / "ink.safetensors", "r+b") as file:
            file.truncate(120 << 20)
        command = [sys.executable, "-c", "from comfywatchman_mirror.command import main; main()"]
        incoming = stored(disk, "incoming")
        pushing.found(disk.store())
        process = subprocess.Popen([*command, "push", "--mirror", disk.url, "--models-dir", str(models)])
        while process.poll() is None and not any(incoming.glob("*.*")):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()

        _, listed = run("list", at=disk)
        code, _ = run("check", at=disk)

        assert [line for line in listed if line["event"] == "listed"] == []
        assert code == 0
        assert run("push", "--models-dir", str(models), "--verify", at=disk)[0] == 0
        assert run("list", at=disk)[1][-1]["summary"]["listed"] == 1

    @pytest.mark.skipif(os.name != "posix", reason="Windows has no such signal")
    def test_one_that_is_told_to_stop_cleans_up(self, disk: Place, models: Path) -> None:
        with open(models / "loras" / "ink.safetensors", "r+b") as file:
            file.truncate(300 << 20)
        command = [sys.executable, "-c", "import sys; from comfywatchman_mirror.command import main; sys.exit(main())"]
        process = subprocess.Popen(
            [*command, "push", "--mirror", disk.url, "--models-dir", str(models), "--json"], stdout=subprocess.PIPE
        )
        while process.poll() is None and not stored(disk, "comfywatchman-mirror.json").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()

        assert process.returncode == 143
        assert json.loads(output.splitlines()[-1])["event"] == "result"
        assert [one.path for one in disk.store().walk("incoming")] == []

    def test_what_was_gathered_long_ago_is_pruned_and_what_is_new_is_somebodys(self, filled: Place, run: Run) -> None:
        for name, age in (("x.0123456789ab", 100_000), ("y.0123456789ab", 0), ("not-ours.txt", 100_000)):
            stored(filled, f"incoming/{name}").write_bytes(b"half")
            os.utime(stored(filled, f"incoming/{name}"), (time.time() - age,) * 2)

        run("prune", "--older-than", "9999", "--yes", at=filled)

        assert sorted(path.name for path in stored(filled, "incoming").iterdir()) == ["not-ours.txt", "y.0123456789ab"]

    @pytest.mark.parametrize("command", [("list",), ("check", "--remove"), ("prune", "--older-than", "0", "--yes")])
    def test_a_directory_that_is_no_mirror_is_not_looked_after(
        self, filled: Place, run: Run, command: tuple[str, ...]
    ) -> None:
        """The address may be mistaken, and somebody's files may lie in folders of the same names."""
        stored(filled, "comfywatchman-mirror.json").unlink()

        code, _ = run(*command, at=filled)

        assert code == 5
        assert stored(filled, bytes_path(INK_SHA256)).exists()

    def test_a_file_that_is_not_what_the_plan_states_is_not_pushed(
        self, disk: Place, models: Path, run: Run, tmp_path: Path
    ) -> None:
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(a_plan({"sha256": sha256(b"something else")})))

        code, lines = run("push", "--plan", str(plan), "--models-dir", str(models), at=disk)

        assert code == 7
        assert [one.path for one in disk.store().walk("sha256")] == []
        assert INK_SHA256 in lines[-1]["problems"][0]["message"]

    def test_a_plan_of_files_that_are_not_here_says_which_and_pushes_the_others(
        self, disk: Place, models: Path, run: Run, tmp_path: Path
    ) -> None:
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(a_plan({"sha256": INK_SHA256}, {"name": "wash.safetensors"})))

        code, lines = run("push", "--plan", str(plan), "--models-dir", str(models), at=disk)

        assert code == 4
        assert lines[-1]["summary"] == {"pushed": 1, "bytes": len(INK), "failed": 1}
        assert "wash.safetensors" in lines[-1]["problems"][0]["message"]

    def test_a_plan_finds_files_whose_directory_is_not_called_like_their_folder(
        self, disk: Place, models: Path, run: Run, tmp_path: Path
    ) -> None:
        (models / "ultralytics" / "bbox").mkdir(parents=True)
        (models / "ultralytics" / "bbox" / "ink.safetensors").write_bytes(safetensors("a namesake"))
        (models / "loras" / "ink.safetensors").rename(models / "ultralytics" / "ink.safetensors")
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(a_plan({"folder": "ultralytics_bbox", "sha256": INK_SHA256, "size": len(INK)})))

        code, lines = run("push", "--plan", str(plan), "--models-dir", str(models), at=disk)

        assert code == 0
        assert [(line["sha256"], line["folder"]) for line in lines if line["event"] == "pushed"] == [
            (INK_SHA256, "ultralytics_bbox")
        ]

    def test_the_older_names_of_folders_count_as_those_of_today(self, disk: Place, models: Path, run: Run) -> None:
        (models / "loras").rename(models / "unet")

        _, lines = run("push", "--models-dir", str(models), at=disk)

        assert [line["folder"] for line in lines if line["event"] == "pushed"] == ["diffusion_models"]

    def test_where_there_are_no_hard_links_no_name_is_lost_either(
        self, disk: Place, models: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*names: object, **options: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "link", no_links)
        store = disk.store()

        assert run("push", "--models-dir", str(models), "--verify", at=disk)[0] == 0
        assert run("push", "--models-dir", str(models), "--verify", at=disk)[0] == 0
        assert not store.create(name_path("loras", "ink.safetensors", 0), b"other")
        assert run("check", at=disk)[0] == 0
        assert [one.path for one in store.walk("incoming")] == []

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", json.dumps({"schema": "comfywatchman-plan/1", "models": [{"name": "../../x"}]})]
    )
    def test_a_plan_that_is_none_is_refused(
        self, filled: Place, models: Path, run: Run, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / "plan.json").write_text(text)

        assert run("push", "--plan", str(tmp_path / "plan.json"), "--models-dir", str(models), at=filled)[0] == 2
        assert run("prune", "--plan", str(tmp_path / "plan.json"), "--yes", at=filled)[0] == 2

    def test_facts_tell_where_a_file_is_from_and_hold_no_secret(
        self, disk: Place, models: Path, run: Run, tmp_path: Path
    ) -> None:
        plan = tmp_path / "plan.json"
        source = {"reference": "hf:Comfy-Org/kit/ink.safetensors@0123", "backend": "huggingface"}
        plan.write_text(json.dumps(a_plan({"sha256": INK_SHA256, **source})))

        run("push", "--plan", str(plan), "--models-dir", str(models), at=disk)

        facts = json.loads(stored(disk, facts_path(INK_SHA256)).read_text())
        assert facts.pop("pushed")
        assert facts == {
            "schema": SCHEMA,
            "sha256": INK_SHA256,
            "size": len(INK),
            "folder": "loras",
            "name": "ink.safetensors",
            **source,
        }

    def test_a_mirror_that_is_new_is_said_to_be_new(self, disk: Place, models: Path, run: Run) -> None:
        """A share that is not mounted is an empty directory: whoever fills it should hear of it."""
        _, first = run("push", "--models-dir", str(models), at=disk)
        _, second = run("push", "--models-dir", str(models), at=disk)

        assert [line["message"] for line in first if line["event"] == "note"] == [
            "there was no mirror at this place: it is a new one"
        ]
        assert [line for line in second if line["event"] == "note"] == []

    def test_a_place_of_another_layout_is_left_alone(self, disk: Place, models: Path, run: Run) -> None:
        stored(disk, "comfywatchman-mirror.json").write_text('{"schema": "comfywatchman-mirror/9"}')

        code, _ = run("push", "--models-dir", str(models), at=disk)

        assert code == 8
        assert not stored(disk, "sha256").exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ("push",),
            ("push", "nowhere.safetensors", "--folder", "loras"),
            ("push", "--plan", "nowhere.json"),
            ("push", "--models-dir", "nowhere"),
            ("push", "--models-dir", "nowhere", "--plan", "nowhere.json"),
            ("check", "--config", "nowhere.toml"),
            ("prune",),
        ],
        ids=" ".join,
    )
    def test_a_command_that_says_too_little_is_told_what_is_missing(
        self, filled: Place, run: Run, arguments: tuple[str, ...]
    ) -> None:
        code, lines = run(*arguments, at=filled)

        assert code == 2
        assert lines[-1]["problems"][0]["hint"]

    def test_with_json_the_last_line_is_a_result_whatever_happens(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["push", "--no-such-option", "--json"])

        line = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (line["event"], line["exit_code"], line["schema"]) == ("result", 2, SCHEMA)

    def test_a_file_that_changes_while_it_is_pushed_is_not_published(self, disk: Place, models: Path) -> None:
        store = disk.store()

        with pytest.raises(ChangedFile):
            store.create(bytes_path("0" * 64), models / "loras" / "ink.safetensors", "0" * 64)

        assert [path for path in Path(disk.url).rglob("*") if path.is_file()] == []

    def test_a_file_that_a_plan_names_without_a_digest_is_kept(self, filled: Place, run: Run, tmp_path: Path) -> None:
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(a_plan({})))

        _, lines = run("prune", "--plan", str(plan), "--yes", at=filled)

        assert [line["event"] for line in lines] == ["result"]
        assert run("check", at=filled)[1][-1]["summary"]["checked"] == 1

    def test_a_file_that_lies_anywhere_is_pushed_into_the_folder_that_is_said(
        self, disk: Place, run: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "downloads" / "SDXL").mkdir(parents=True)
        for name in ("wash.safetensors", "SDXL/ink.safetensors", "notes.txt", ".hidden.safetensors"):
            (tmp_path / "downloads" / name).write_bytes(safetensors(name))

        code, lines = run("push", str(tmp_path / "downloads"), "--folder", "loras", at=disk)

        assert code == 0
        assert {(line["folder"], line["name"]) for line in lines if line["event"] == "pushed"} == {
            ("loras", "wash.safetensors"),
            ("loras", "SDXL/ink.safetensors"),
        }

    def test_a_sample_is_as_large_as_it_is_asked_for(self, filled: Place, run: Run, models: Path) -> None:
        for number in range(4):
            (models / "loras" / f"{number}.safetensors").write_bytes(safetensors(str(number)))
        run("push", "--models-dir", str(models), at=filled)

        assert run("check", "--sample", "2", at=filled)[1][-1]["summary"]["checked"] == 2
        assert run("check", "--sample", "99", at=filled)[1][-1]["summary"]["checked"] == 5

    def test_without_a_mirror_nothing_is_done(self, run: Run) -> None:
        assert run("list")[0] == 2


class Site:
    """A back end that finds everything at one address, and sends a token there."""

    api_version = 1
    priority = 50
    token = "kit-token-93ab"

    def __init__(self, url: str) -> None:
        self.url = url

    @hookimpl
    def resolve_model(self, request: ModelRequest) -> list[Candidate]:
        return [
            Candidate(
                match=Match.FILENAME,
                url=self.url,
                endpoint=self.url,
                digests=(Digest("sha256", INK_SHA256),),
                size=len(INK),
            )
        ]

    @hookimpl
    def download_artifact(self, candidate: Candidate, target: Path, context: Context) -> Any:
        if candidate.backend != context.name:
            return None
        return context.fetch(candidate, target, headers={"Authorization": f"Bearer {self.token}"})


def no_engine(candidate: Candidate, target: Path, *, headers: Any = None) -> Any:
    raise AssertionError("nothing is transferred here")


def lie(place: Place, path: str, **changed: Any) -> None:
    """Change what a document of the mirror says."""
    file = stored(place, path)
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def a_plan(*models: dict[str, str]) -> dict[str, Any]:
    named = [{"folder": "loras", "name": "ink.safetensors", **model} for model in models]
    return {"schema": "comfywatchman-plan/1", "models": named}
