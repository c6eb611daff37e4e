"""From a workflow file to verified files: the whole core, with a small source and a real server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve
from standins.shelf import TOKEN, Files, Shelf, node, serve_files, write_workflow

from comfywatchman_core import (
    Artifact,
    Candidate,
    Check,
    Config,
    Context,
    Match,
    ModelRequest,
    Report,
    Watchman,
    hookimpl,
)
from comfywatchman_core.config import Download, Rules
from comfywatchman_core.errors import BackendError, ErrorCode
from comfywatchman_core.report import Entry, Status
from comfywatchman_core.testing import Asked, Origin, Reply, safetensors, sha256

INK, PEN = safetensors("ink"), safetensors("pen", 70_000)
PAGE = b"<!doctype html><html><title>Sign in</title></html>"


@define
class World:
    """A models folder, a workflow and a source."""

    models: Path
    place: Path
    files: Files
    origin: Origin
    shelf: Shelf

    @property
    def requests(self) -> list[Asked]:
        return self.origin.asked

    def put(self, key: str, data: bytes, **more: Any) -> Candidate:
        """Put a file on the shelf, its digest published."""
        self.files.by_path[key] = data
        return self.shelf.put(key, data, **more)

    def workflow(self, *nodes: dict[str, Any] | str) -> Path:
        made = [node(one) if isinstance(one, str) else one for one in nodes]
        return write_workflow(self.place / "workflow.json", *made)

    def get(
        self, what: object, *, run: str = "ensure_models", more: dict[str, Any] | None = None, **rules: Any
    ) -> Report:
        download = Download(**{"max_retries": 0, **rules.pop("download", {})})
        config = Config(models_dir=self.models, download=download, rules=Rules(**rules), state_dir=self.place / "state")
        with Watchman(config, backends={"shelf": self.shelf, **(more or {})}) as watchman:
            report: Report = getattr(watchman, run)(what if isinstance(what, list) else [what])
        return report

    def tree(self) -> dict[str, bytes]:
        """Every file below the models folder."""
        return {
            path.relative_to(self.models).as_posix(): path.read_bytes()
            for path in sorted(self.models.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    models = tmp_path / "models"
    models.mkdir()
    with serve_files() as (files, origin):
        yield World(models, tmp_path, files, origin, Shelf(origin.url))


def only(report: Report) -> Entry:
    (entry,) = report.entries
    return entry


def failed(report: Report, code: ErrorCode, exit_code: int) -> Entry:
    entry = only(report)
    assert entry.error is not None
    assert (entry.status, entry.error.code, int(report.exit_code)) == (Status.FAILED, code, exit_code), entry.error
    assert entry.error.message.isprintable()
    assert entry.error.hint
    return entry


class TestTheMainJob:
    def test_a_missing_model_is_downloaded_verified_and_placed_under_its_exact_name(self, world: World) -> None:
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("SDXL/ink.safetensors"))

        assert world.tree() == {"loras/SDXL/ink.safetensors": INK}
        entry = only(report)
        assert (entry.status, entry.backend, entry.sha256) == (Status.DOWNLOADED, "shelf", sha256(INK))
        assert entry.verification is not None
        assert entry.verification.verdict.value == "verified"
        assert entry.path == world.models / "loras/SDXL/ink.safetensors"
        assert (report.exit_code, report.ok, report.transferred) == (0, True, len(INK))

    def test_a_second_run_makes_no_request_and_says_that_everything_is_there(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        workflow = world.workflow("ink.safetensors")
        world.get(workflow)
        before = len(world.requests), len(world.shelf.asked)

        report = world.get(workflow)

        assert only(report).status is Status.PRESENT
        assert (len(world.requests), len(world.shelf.asked)) == before
        assert report.transferred == 0

    def test_several_files_arrive_and_the_report_keeps_the_order_of_the_workflow(self, world: World) -> None:
        names = [f"{number}.safetensors" for number in (3, 1, 2)]
        for name in names:
            world.put(name, safetensors(name))

        report = world.get(world.workflow(*names))

        assert [entry.request.label for entry in report.entries] == [f"loras/{name}" for name in names]
        assert {entry.status for entry in report.entries} == {Status.DOWNLOADED}

    def test_one_file_that_two_workflows_want_is_transferred_once(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        one = write_workflow(world.place / "one.json", node("ink.safetensors"))
        other = write_workflow(world.place / "other.json", node("ink.safetensors"))

        report = world.get([one, other])

        assert {ref.workflow for ref in only(report).request.wanted_by} == {str(one), str(other)}
        assert len(world.requests) == 1

    def test_two_workflows_that_want_different_bytes_under_one_name_are_told(self, world: World) -> None:
        url = "https://files.invalid/x"
        one = write_workflow(world.place / "one.json", node("ink.safetensors", hash=sha256(INK), url=url))
        other = write_workflow(world.place / "other.json", node("ink.safetensors", hash=sha256(PEN), url=url))
        world.put("ink.safetensors", INK)

        report = world.get([one, other], backends=("shelf",))

        (problem,) = report.problems
        assert problem.code == "digest_conflict"
        assert sha256(INK) in problem.message
        assert sha256(PEN) in problem.message
        assert not report.ok

    def test_a_failure_does_not_stop_the_others(self, world: World) -> None:
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("nobody-has-it.safetensors", "ink.safetensors"))

        assert [entry.status for entry in report.entries] == [Status.FAILED, Status.DOWNLOADED]
        assert report.exit_code == 4

    def test_two_references_to_one_file_are_both_served_by_one_transfer(self, world: World) -> None:
        world.put("ink.safetensors", INK, match=Match.SOURCE_ID, folder="loras")
        world.shelf.offers["again"] = world.shelf.offers["ink.safetensors"]

        report = world.get(["shelf:ink.safetensors", "shelf:again"])

        assert sorted(entry.status.value for entry in report.entries) == ["downloaded", "present"]
        assert len(world.requests) == 1

    def test_downloads_from_one_source_keep_their_distance(self, world: World) -> None:
        import time

        names = [f"{number}.safetensors" for number in range(3)]
        for name in names:
            world.put(name, safetensors(name))

        begun = time.monotonic()
        report = world.get(world.workflow(*names), download={"delay_between_downloads": 0.1})

        assert time.monotonic() - begun >= 0.2  # three turns have two pauses between them
        assert report.exit_code == 0

    def test_the_mode_of_a_file_honours_the_umask(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        before = os.umask(0o027)
        try:
            world.get(world.workflow("ink.safetensors"))
        finally:
            os.umask(before)

        assert (world.models / "loras/ink.safetensors").stat().st_mode & 0o777 == 0o640

    def test_a_model_whose_name_the_reference_does_not_say_gets_that_of_its_source(self, world: World) -> None:
        world.put("ink.safetensors", INK, match=Match.SOURCE_ID, folder="loras")

        report = world.get("shelf:ink.safetensors")

        assert world.tree() == {"loras/ink.safetensors": INK}
        assert only(report).request.label == "loras/ink.safetensors"

    def test_the_token_goes_to_the_source_and_into_no_output(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        from comfywatchman_core.jsonlines import event_line, result_line

        def answer(asked: Asked) -> Reply:
            assert asked.headers["authorization"] == f"Bearer {TOKEN}"
            return Reply.json({"error": f"refused {TOKEN}"}, 403)

        world.put("ink.safetensors", INK)
        world.files.by_path["ink.safetensors"] = answer
        events: list[Any] = []
        config = Config(models_dir=world.models, state_dir=world.place / "state")
        with Watchman(config, backends={"shelf": world.shelf}) as watchman:
            report = watchman.ensure_models(world.workflow("ink.safetensors"), on_event=events.append)

        failed(report, ErrorCode.AUTH_REQUIRED, 3)
        told = repr((events, report)) + json.dumps([*map(event_line, events), result_line(report)]) + caplog.text
        told += "".join(path.read_bytes().decode("latin-1") for path in world.place.rglob("*") if path.is_file())
        assert TOKEN not in told

    def test_the_token_does_not_follow_to_the_storage_host(self, world: World) -> None:
        with serve_files("localhost") as (stored, storage):
            stored.by_path["blob"] = INK
            world.put("ink.safetensors", INK)
            world.files.by_path["ink.safetensors"] = lambda asked: Reply(
                status=302, headers={"Location": f"{storage.url}/blob?signature=x"}
            )

            report = world.get(world.workflow("ink.safetensors"))

        assert only(report).status is Status.DOWNLOADED
        assert TOKEN not in str([asked.headers for asked in storage.asked])


class TestRefusal:
    def test_a_tampered_payload_leaves_no_file_under_the_name(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        world.files.by_path["ink.safetensors"] = INK[:-1] + bytes([INK[-1] ^ 1])

        entry = failed(world.get(world.workflow("ink.safetensors")), ErrorCode.CHECKSUM_MISMATCH, 7)

        assert not (world.models / "loras/ink.safetensors").exists()
        assert all(".bad-" in name for name in world.tree())
        assert entry.error is not None
        assert sha256(INK) in entry.error.message
        assert "--accept-digest" in str(entry.error.hint)

    def test_the_user_may_accept_the_bytes_after_all(self, world: World) -> None:
        other = safetensors("other", len(INK))
        world.shelf.put("ink.safetensors", INK, size=None)
        world.files.by_path["ink.safetensors"] = other

        report = world.get(world.workflow("ink.safetensors"), accept_digests=(sha256(other).upper(),))

        assert only(report).status is Status.DOWNLOADED
        assert world.tree() == {"loras/ink.safetensors": other}

    def test_the_next_source_is_tried(self, world: World) -> None:
        world.put("ink.safetensors", INK, url=f"{world.origin.url}/bad")
        world.files.by_path["bad"] = safetensors("other")
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"))

        assert only(report).status is Status.DOWNLOADED
        assert world.tree()["loras/ink.safetensors"] == INK

    @pytest.mark.parametrize(
        "reply",
        [
            Reply.html(PAGE.decode()),
            Reply(headers={"Content-Type": "application/octet-stream"}, body=PAGE),
            Reply.json({"error": "early access"}),
            Reply(headers={"Content-Type": "application/octet-stream"}, body=b'{"error": "login"}'),
            Reply(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b" + b"x" * 50),
            Reply(body=b""),
            Reply(body=INK[: len(INK) // 2]),
        ],
        ids=["html", "html-as-file", "json", "json-as-file", "gzip", "empty", "half"],
    )
    def test_what_is_no_model_never_gets_the_name(self, world: World, reply: Reply) -> None:
        world.shelf.put("ink.safetensors")
        world.files.by_path["ink.safetensors"] = lambda asked: reply

        report = world.get(world.workflow("ink.safetensors"))

        assert not (world.models / "loras/ink.safetensors").exists()
        assert only(report).status is Status.FAILED
        assert report.exit_code == 7

    @pytest.mark.parametrize(
        "offered", ["evil.py", "../../x.safetensors", "C:\\x.safetensors", "/etc/x", "other.safetensors", "a\0b"]
    )
    def test_a_name_that_the_server_proposes_changes_nothing(self, world: World, offered: str) -> None:
        def answer(asked: Asked) -> Reply:
            quoted = offered.replace("\0", "%00")
            return Reply(headers={"Content-Disposition": f'attachment; filename="{quoted}"'}, body=INK)

        world.put("ink.safetensors", INK)
        world.files.by_path["ink.safetensors"] = answer

        world.get(world.workflow("ink.safetensors"))

        assert world.tree() == {"loras/ink.safetensors": INK}
        assert sorted(path.name for path in world.place.iterdir()) == ["models", "state", "workflow.json"]

    @pytest.mark.parametrize("offered", ["evil.py", "../../evil.py", "..", ""])
    def test_a_reference_whose_source_proposes_such_a_name_writes_nothing(self, world: World, offered: str) -> None:
        world.files.by_path["x"] = INK
        world.shelf.put("x", INK, match=Match.SOURCE_ID, folder="loras", name=offered)

        for run in ("plan", "ensure_models"):
            entry = only(world.get("shelf:x", run=run))
            assert entry.status is Status.FAILED
            assert entry.error is not None
            assert "unexpected" not in entry.error.message
        assert world.tree() == {}

    @pytest.mark.parametrize("folder", ["custom_nodes", "../custom_nodes", "input", "user"])
    def test_a_folder_that_holds_no_models_is_never_written_to(self, world: World, folder: str) -> None:
        world.put("ink.safetensors", INK, match=Match.SOURCE_ID, folder=folder)

        report = world.get("shelf:ink.safetensors")

        assert only(report).status is Status.FAILED
        assert world.tree() == {}

    def test_a_name_in_a_workflow_that_leads_out_is_told_and_not_asked_for(self, world: World) -> None:
        report = world.get(world.workflow("../../../evil.safetensors"))

        assert report.entries == ()
        assert [problem.code for problem in report.problems] == ["unsafe_name"]
        assert report.exit_code == 7
        assert world.shelf.asked == []

    def test_require_checksum_refuses_what_no_published_checksum_speaks_for(self, world: World) -> None:
        world.shelf.put("ink.safetensors")
        world.files.by_path["ink.safetensors"] = INK

        failed(world.get(world.workflow("ink.safetensors"), require_checksum=True), ErrorCode.NO_CHECKSUM, 7)

        assert not (world.models / "loras/ink.safetensors").exists()
        entry = only(world.get(world.workflow("ink.safetensors")))
        assert entry.verification is not None
        assert (entry.status, entry.verification.verdict.value) == (Status.DOWNLOADED, "unverified")

    def test_a_checksum_of_the_workflow_is_held_to_though_the_source_publishes_none(self, world: World) -> None:
        world.shelf.put("ink.safetensors")
        world.files.by_path["ink.safetensors"] = INK
        url = "https://files.invalid/ink.safetensors"

        right = world.get(world.workflow(node("ink.safetensors", hash=sha256(INK), url=url)), backends=("shelf",))
        (world.models / "loras/ink.safetensors").unlink()
        wrong = world.get(world.workflow(node("ink.safetensors", hash="0" * 64, url=url)), backends=("shelf",))

        assert only(right).status is Status.DOWNLOADED
        failed(wrong, ErrorCode.CHECKSUM_MISMATCH, 7)

    def test_digests_are_not_compared_where_the_settings_say_so(self, world: World) -> None:
        world.shelf.put("ink.safetensors", PEN, size=None)
        world.files.by_path["ink.safetensors"] = INK

        report = world.get(world.workflow("ink.safetensors"), download={"verify_hashes": False})

        assert only(report).status is Status.DOWNLOADED
        assert only(report).sha256 == sha256(INK)

    def test_a_pickle_is_taken_only_when_the_user_says_so(self, world: World) -> None:
        world.put("ink.pt", b"\x80\x04}." * 30)
        workflow = world.workflow("ink.pt")

        failed(world.get(workflow), ErrorCode.PICKLE_REFUSED, 7)
        assert world.tree() == {}
        assert only(world.get(workflow, allow_pickle=True)).status is Status.DOWNLOADED

    def test_a_pre_planted_link_at_the_staging_place_or_the_name_is_not_followed(
        self, world: World, tmp_path: Path
    ) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        loras = world.models / "loras"
        (loras / ".ink.safetensors.cw").mkdir(parents=True)
        (loras / ".ink.safetensors.cw" / "part").symlink_to(victim)
        (loras / "ink.safetensors").symlink_to(tmp_path / "nowhere")
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"))

        assert only(report).status is Status.DOWNLOADED
        assert victim.read_bytes() == b"precious"
        assert not (tmp_path / "nowhere").exists()
        assert (loras / "ink.safetensors").read_bytes() == INK


class TestWhatIsThere:
    def present(self, world: World, name: str, data: bytes) -> Path:
        path = world.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def test_a_file_that_nothing_can_load_is_repaired(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        for broken in (b"", PAGE, INK[:-5], INK + b"x", b"version https://git-lfs.github.com/spec/v1\n"):
            path = self.present(world, "loras/ink.safetensors", broken)

            report = world.get(world.workflow("ink.safetensors"))

            assert path.read_bytes() == INK
            assert only(report).status is Status.DOWNLOADED
            assert (only(report).error, report.exit_code) == (None, 0)

    def test_it_stays_as_it_was_until_the_new_one_is_verified(self, world: World) -> None:
        path = self.present(world, "loras/ink.safetensors", PAGE)
        world.put("ink.safetensors", INK)
        world.files.by_path["ink.safetensors"] = INK[:-1] + b"!"

        failed(world.get(world.workflow("ink.safetensors")), ErrorCode.CHECKSUM_MISMATCH, 7)

        assert path.read_bytes() == PAGE

    def test_a_broken_file_is_replaced_where_it_lies_and_not_beside(self, world: World) -> None:
        """``diffusion_models`` has two folders; ComfyUI reads the broken one first."""
        broken = self.present(world, "unet/ink.safetensors", PAGE)
        world.put("ink.safetensors", INK)
        workflow = world.workflow(node("ink.safetensors", "UNETLoader"))

        first, second = world.get(workflow), world.get(workflow)

        assert broken.read_bytes() == INK
        assert (only(first).status, only(second).status) == (Status.DOWNLOADED, Status.PRESENT)

    def test_an_intact_file_with_other_bytes_is_a_conflict_and_is_not_touched(self, world: World) -> None:
        path = self.present(world, "loras/ink.safetensors", PEN)
        world.put("ink.safetensors", INK)
        workflow = world.workflow(node("ink.safetensors", url=f"{world.origin.url}/x", hash=sha256(INK)))

        entry = failed(world.get(workflow), ErrorCode.CONFLICT, 8)

        assert path.read_bytes() == PEN
        assert entry.error is not None
        assert "--force" in str(entry.error.hint)
        assert world.requests == []

    def test_a_file_whose_bytes_the_user_accepts_is_there_the_next_time_as_well(self, world: World) -> None:
        other = safetensors("other")
        world.shelf.put("ink.safetensors", INK, size=None)
        world.files.by_path["ink.safetensors"] = other
        workflow = world.workflow(node("ink.safetensors", hash=sha256(INK), url="https://files.invalid/x"))
        rules: dict[str, Any] = {"accept_digests": (sha256(other),), "backends": ("shelf",)}

        first, second = world.get(workflow, **rules), world.get(workflow, **rules)

        assert (only(first).status, only(second).status) == (Status.DOWNLOADED, Status.PRESENT)
        assert only(world.get(workflow, backends=("shelf",))).status is Status.FAILED

    def test_a_file_that_cannot_be_read_is_not_taken_for_a_broken_one(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import builtins

        path = self.present(world, "loras/ink.safetensors", PEN)
        world.put("ink.safetensors", INK)
        real = builtins.open

        def locked(file: Any, *options: Any, **more: Any) -> Any:
            if str(file) == str(path):
                raise PermissionError(13, "Permission denied", str(file))
            return real(file, *options, **more)

        with monkeypatch.context() as patched:
            patched.setattr(builtins, "open", locked)
            entry = failed(world.get(world.workflow("ink.safetensors")), ErrorCode.CONFLICT, 8)

        assert entry.error is not None
        assert "Permission denied" in entry.error.message
        assert path.read_bytes() == PEN

    def test_a_disk_that_fails_while_a_file_is_hashed_ends_that_file_and_not_the_run(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from comfywatchman_core.state import Digests

        self.present(world, "loras/ink.safetensors", PEN)
        world.put("pen.safetensors", PEN)

        def broken(*_: object, **__: object) -> str:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(Digests, "sha256", broken)
        report = world.get(
            world.workflow(node("ink.safetensors", hash=sha256(INK), url="https://h.invalid/x"), "pen.safetensors"),
            download={"link": "never"},
        )

        assert report.entries[0].error is not None
        assert "Input/output error" in report.entries[0].error.message
        assert report.entries[1].status is Status.DOWNLOADED

    def test_force_replaces_it_once_the_new_one_is_verified(self, world: World) -> None:
        path = self.present(world, "loras/ink.safetensors", PEN)
        world.put("ink.safetensors", INK)
        workflow = world.workflow(node("ink.safetensors", hash=sha256(INK), url="https://files.invalid/x"))

        world.files.by_path["ink.safetensors"] = PAGE
        refused = world.get(workflow, force=True, backends=("shelf",))
        assert path.read_bytes() == PEN
        assert refused.exit_code == 7

        world.files.by_path["ink.safetensors"] = INK
        report = world.get(workflow, force=True, backends=("shelf",))
        assert path.read_bytes() == INK
        assert (only(report).status, only(report).error, report.exit_code) == (Status.DOWNLOADED, None, 0)

    def test_force_replaces_the_file_that_is_in_the_way_and_not_another(self, world: World) -> None:
        in_the_way = self.present(world, "unet/ink.safetensors", PEN)
        world.put("ink.safetensors", INK)
        workflow = world.workflow(
            node("ink.safetensors", "UNETLoader", hash=sha256(INK), url="https://files.invalid/x")
        )

        report = world.get(workflow, force=True, backends=("shelf",))

        assert only(report).status is Status.DOWNLOADED
        assert in_the_way.read_bytes() == INK

    def test_a_broken_file_of_another_format_is_not_given_the_bytes_of_this_one(self, world: World) -> None:
        self.present(world, "embeddings/easy.pt", PAGE)
        world.put("easy", INK, name="easy.safetensors")
        (world.place / "prompt.json").write_text(
            json.dumps({"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "embedding:easy, a cat"}}})
        )

        world.get(world.place / "prompt.json")

        assert world.tree()["embeddings/easy.pt"] == PAGE
        assert world.tree()["embeddings/easy.safetensors"] == INK

    def test_a_broken_file_behind_a_link_that_leaves_the_model_folders_is_not_replaced(self, world: World) -> None:
        outside = world.place / "outside"
        outside.mkdir()
        (outside / "ink.safetensors").write_bytes(PAGE)
        (world.models / "loras").mkdir()
        (world.models / "loras" / "link").symlink_to(outside)
        world.put("ink.safetensors", INK)

        failed(world.get(world.workflow("link/ink.safetensors")), ErrorCode.UNSAFE_NAME, 7)

        assert (outside / "ink.safetensors").read_bytes() == PAGE

    def test_a_file_of_that_name_elsewhere_is_told_with_its_place_and_not_fetched_again(self, world: World) -> None:
        path = self.present(world, "loras/old/ink.safetensors", INK)
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"))

        assert (only(report).status, only(report).path) == (Status.ELSEWHERE, path)
        assert (report.exit_code, world.requests) == (0, [])

    def test_another_file_of_that_name_elsewhere_is_none(self, world: World) -> None:
        self.present(world, "loras/old/ink.safetensors", PEN)
        world.put("ink.safetensors", INK)
        workflow = world.workflow(node("ink.safetensors", hash=sha256(INK), url="https://files.invalid/x"))

        report = world.get(workflow, backends=("shelf",))

        assert only(report).status is Status.DOWNLOADED
        assert world.tree()["loras/ink.safetensors"] == INK

    @pytest.mark.parametrize("theirs", [INK, PEN], ids=["same", "other"])
    def test_a_file_that_appears_during_the_download_is_not_overwritten(self, world: World, theirs: bytes) -> None:
        path = world.models / "loras/ink.safetensors"

        def answer(asked: Asked) -> Reply:
            path.write_bytes(theirs)
            return Reply(body=INK)

        world.put("ink.safetensors", INK)
        world.files.by_path["ink.safetensors"] = answer

        report = world.get(world.workflow("ink.safetensors"))

        assert path.read_bytes() == theirs
        if theirs == INK:
            assert report.exit_code == 0
        else:
            failed(report, ErrorCode.CONFLICT, 8)

    def test_an_intact_file_that_takes_a_broken_ones_place_during_the_download_is_not_overwritten(
        self, world: World
    ) -> None:
        path = self.present(world, "loras/ink.safetensors", PAGE)

        def answer(asked: Asked) -> Reply:
            path.write_bytes(PEN)
            return Reply(body=INK)

        world.put("ink.safetensors", INK)
        world.files.by_path["ink.safetensors"] = answer

        failed(world.get(world.workflow("ink.safetensors")), ErrorCode.CONFLICT, 8)

        assert path.read_bytes() == PEN


class TestChoice:
    def test_what_only_muted_nodes_name_is_listed_and_left_alone(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        workflow = world.workflow(evolve_node(node("ink.safetensors"), mode=2))

        report = world.get(workflow)

        assert only(report).status is Status.INACTIVE
        assert (report.summary.needed, report.exit_code, world.requests) == (0, 0, [])
        assert only(world.get(workflow, include_inactive=True)).status is Status.DOWNLOADED

    @pytest.mark.parametrize(
        ("rules", "taken"),
        [
            ({"only": ("loras/i*",)}, ["ink"]),
            ({"only": ("vae/*", "loras/pen*")}, ["pen"]),
            ({"skip": ("*/ink*",)}, ["pen"]),
            ({"only": ("loras/*",), "skip": ("loras/pen.safetensors",)}, ["ink"]),
        ],
    )
    def test_only_and_skip_choose_by_folder_and_name(
        self, world: World, rules: dict[str, Any], taken: list[str]
    ) -> None:
        world.put("ink.safetensors", INK)
        world.put("pen.safetensors", PEN)

        report = world.get(world.workflow("ink.safetensors", "pen.safetensors"), **rules)

        assert sorted(world.tree()) == [f"loras/{name}.safetensors" for name in taken]
        assert sorted(entry.status.value for entry in report.entries) == ["downloaded", "skipped"]
        assert report.exit_code == 0

    def test_a_dry_run_and_a_switched_off_download_stop_at_the_plan(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        workflow = world.workflow("ink.safetensors")

        for report in (
            world.get(workflow, run="plan"),
            world.get(workflow, download={"auto_download": False}),
        ):
            entry = only(report)
            assert (entry.status, entry.backend, entry.sha256) == (Status.PLANNED, "shelf", sha256(INK))
            assert entry.path == world.models / "loras/ink.safetensors"
            assert report.exit_code == 0
        assert (world.tree(), world.requests) == ({}, [])

    def test_a_scan_asks_nobody(self, world: World) -> None:
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"), run="scan")

        assert (only(report).status, report.exit_code) == (Status.MISSING, 4)
        assert (world.shelf.asked, world.requests) == ([], [])

    def test_fail_fast_skips_what_was_not_begun(self, world: World) -> None:
        for number in range(5):
            world.put(f"{number}.safetensors", safetensors(f"{number}"))

        report = world.get(
            world.workflow("nobody-has-it.safetensors", *(f"{number}.safetensors" for number in range(5))),
            fail_fast=True,
            download={"jobs": 1},
        )

        assert report.entries[0].status is Status.FAILED
        assert {entry.status for entry in report.entries[1:]} <= {Status.SKIPPED, Status.DOWNLOADED}
        assert Status.SKIPPED in {entry.status for entry in report.entries}
        assert report.exit_code == 4

    def test_an_ambiguous_name_is_told_with_the_ways_to_choose(self, world: World) -> None:
        world.put("ink.safetensors", INK, reference="shelf:1")
        world.put("ink.safetensors", PEN, reference="shelf:2")

        entry = failed(world.get(world.workflow("ink.safetensors")), ErrorCode.AMBIGUOUS, 4)

        assert {one.reference for one in entry.candidates} == {"shelf:1", "shelf:2"}
        assert world.requests == []

    def test_a_guess_is_reported_and_taken_only_when_the_user_lowers_the_bar(self, world: World) -> None:
        world.put("ink.safetensors", INK, match=Match.FUZZY)
        workflow = world.workflow("ink.safetensors")

        assert len(failed(world.get(workflow), ErrorCode.NOT_FOUND, 4).candidates) == 1
        assert only(world.get(workflow, min_match="fuzzy")).status is Status.DOWNLOADED

    def test_a_back_end_that_is_named_and_not_there_is_a_mistake_of_the_user(self, world: World) -> None:
        from comfywatchman_core.errors import UsageError

        with pytest.raises(UsageError, match="shelv"):
            world.get(world.workflow("ink.safetensors"), backends=("shelv",))


class TestAddresses:
    def test_an_address_on_the_command_line_is_the_users_own_word(self, world: World) -> None:
        world.files.by_path["x.safetensors"] = INK

        report = world.get(f"{world.origin.url}/x.safetensors?a=1#sha256={sha256(INK)}", folder="loras")

        entry = only(report)
        assert world.tree() == {"loras/x.safetensors": INK}
        assert entry.verification is not None
        assert (entry.status, entry.verification.verdict.value) == (Status.DOWNLOADED, "verified")

    def test_it_is_held_to_the_digest_it_carries(self, world: World) -> None:
        world.files.by_path["x.safetensors"] = INK

        report = world.get(f"{world.origin.url}/x.safetensors#sha256={'0' * 64}", folder="loras")

        failed(report, ErrorCode.CHECKSUM_MISMATCH, 7)

    def test_without_a_folder_the_user_is_told_to_name_one(self, world: World) -> None:
        world.files.by_path["x.safetensors"] = INK

        entry = only(world.get(f"{world.origin.url}/x.safetensors"))

        assert entry.error is not None
        assert "--folder" in str(entry.error.hint)
        assert world.tree() == {}

    @pytest.mark.parametrize("path", ["..%2F..%2Fx.safetensors", "%2e%2e", "x%00.safetensors", "con.safetensors"])
    def test_an_address_whose_last_part_is_no_safe_name_writes_nothing(self, world: World, path: str) -> None:
        from comfywatchman_core.errors import UsageError

        try:
            report = world.get(f"{world.origin.url}/{path}", folder="loras")
        except UsageError:
            report = None

        assert report is None or only(report).status is Status.FAILED
        assert world.tree() == {}

    def test_a_private_address_in_a_workflow_is_not_asked(self, world: World) -> None:
        world.files.by_path["x"] = INK
        workflow = world.workflow(node("ink.safetensors", url=f"{world.origin.url}/x"))

        entry = failed(world.get(workflow), ErrorCode.UNAVAILABLE, 5)

        assert entry.error is not None
        assert "not https" in entry.error.message
        assert "fault of the back end" not in str(entry.error.hint)
        assert "comfywatchman get ADDRESS" in str(entry.error.hint)
        assert world.requests == []

    def test_a_workflows_own_address_is_used_where_its_last_part_is_another_name(
        self, world: World, certificate: Any
    ) -> None:
        with serve_files(tls=certificate.server) as (files, origin):
            for path in ("evil.py", "..%2F..%2Fx.safetensors", "download"):
                from urllib.parse import unquote

                files.by_path[unquote(path)] = INK
                workflow = world.workflow(node("ink.safetensors", url=f"{origin.url}/{path}"))

                report = world.get(workflow, download={"allow_private_urls": True})

                assert world.tree() == {"loras/ink.safetensors": INK}, only(report).error
                (world.models / "loras/ink.safetensors").unlink()

    def test_it_is_asked_where_the_user_allows_private_addresses(self, world: World, certificate: Any) -> None:
        with serve_files(tls=certificate.server) as (files, origin):
            files.by_path["x"] = INK
            workflow = world.workflow(node("ink.safetensors", url=f"{origin.url}/x"))

            refused = world.get(workflow)
            allowed = world.get(workflow, download={"allow_private_urls": True})

        entry = only(refused)
        assert entry.error is not None
        assert "private address" in entry.error.message
        assert only(allowed).status is Status.DOWNLOADED

    @pytest.fixture
    def certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        from standins.certificates import self_signed

        made = self_signed(tmp_path)
        if made is None:
            pytest.skip("there is no openssl to make a certificate with")
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
        return made

    def test_offline_nothing_is_asked_and_the_file_is_unavailable_and_not_missing(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        config = Config(models_dir=world.models, offline=True, state_dir=world.place / "state")
        with Watchman(config, backends={"shelf": world.shelf}) as watchman:
            report = watchman.ensure_models(world.workflow("ink.safetensors"))

        failed(report, ErrorCode.UNAVAILABLE, 5)
        assert world.requests == []


class TestOtherBackEnds:
    """One broken, slow or lying back end never stops a run, and none can publish what the core did not check."""

    def backend(self, **hooks: Any) -> Any:
        members = {name: hookimpl(hook) for name, hook in hooks.items()}
        return type("Odd", (), {"api_version": 1, "priority": 90, **members})()

    @pytest.mark.parametrize("hook", ["resolve_model", "download_artifact"])
    @pytest.mark.parametrize("trouble", ["raises", "exits", "lies"])
    def test_a_broken_one_costs_nothing_but_its_own_answer(self, world: World, hook: str, trouble: str) -> None:
        def broken(self: Any) -> Any:
            if trouble == "raises":
                raise RuntimeError("boom")
            if trouble == "exits":
                raise SystemExit(3)
            return 42

        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"), more={"odd": self.backend(**{hook: broken})})

        assert only(report).status is Status.DOWNLOADED

    def test_one_that_hangs_in_any_of_its_parts_is_given_up(self, world: World) -> None:
        import threading

        over = threading.Event()

        def hang(self: Any, *_: object) -> None:
            over.wait(20)

        def ask(self: Any) -> None:
            over.wait(20)

        odd = self.backend(resolve_model=ask)
        type(odd).prepare = hang
        type(odd).learn = hang
        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"), more={"odd": odd}, download={"timeout_seconds": 0.2})
        over.set()

        assert only(report).status is Status.DOWNLOADED

    def test_bytes_that_a_plugin_brings_are_checked_by_the_core(self, world: World) -> None:
        def lie(self: Any, candidate: Candidate, target: Path) -> Artifact:
            target.write_bytes(PEN)
            return Artifact(path=target, size=len(INK), digests=candidate.digests)

        def offer(self: Any, request: ModelRequest) -> Any:
            return (evolve(world.shelf.offers["ink.safetensors"][0], delegate=""),)

        world.put("ink.safetensors", INK)
        world.shelf.offers["ink.safetensors"].append(world.shelf.offers["ink.safetensors"][0])
        odd = self.backend(resolve_model=offer, download_artifact=lie)

        failed(
            world.get(world.workflow("ink.safetensors"), more={"odd": odd}, backends=("odd",)),
            ErrorCode.CHECKSUM_MISMATCH,
            7,
        )

        assert not (world.models / "loras/ink.safetensors").exists()

    @pytest.mark.parametrize("kind", ["nothing", "another-file", "a-link"])
    def test_a_plugin_that_says_it_is_done_and_is_not_publishes_nothing(self, world: World, kind: str) -> None:
        secret = world.place / "secret.safetensors"
        secret.write_bytes(INK)

        def lie(self: Any, candidate: Candidate, target: Path) -> Artifact:
            if kind == "a-link":
                target.symlink_to(secret)
            return Artifact(path=secret if kind == "another-file" else target, size=len(INK))

        def offer(self: Any, request: ModelRequest) -> Any:
            return tuple(world.shelf.offers["ink.safetensors"])

        world.put("ink.safetensors", INK)
        odd = self.backend(resolve_model=offer, download_artifact=lie)

        report = world.get(world.workflow("ink.safetensors"), more={"odd": odd}, backends=("odd",))

        assert only(report).status is Status.FAILED
        assert world.tree() == {}

    @pytest.mark.parametrize("answer", [Check("scan", False, note="it bites"), RuntimeError("boom"), 42])
    def test_a_verifier_can_veto_and_one_that_fails_does(self, world: World, answer: object) -> None:
        def verify(self: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return [answer] if isinstance(answer, Check) else answer

        world.put("ink.safetensors", INK)

        report = world.get(world.workflow("ink.safetensors"), more={"odd": self.backend(verify_artifact=verify)})

        assert only(report).status is Status.FAILED
        assert "loras/ink.safetensors" not in world.tree()

    def test_a_verifier_cannot_approve_what_the_core_refuses(self, world: World) -> None:
        def verify(self: Any) -> list[Check]:
            return [Check("sha256", True, cryptographic=True)]

        world.shelf.put("ink.safetensors", PEN, size=None)
        world.files.by_path["ink.safetensors"] = INK

        report = world.get(world.workflow("ink.safetensors"), more={"odd": self.backend(verify_artifact=verify)})

        failed(report, ErrorCode.CHECKSUM_MISMATCH, 7)

    def test_what_was_verified_is_taught_to_whoever_remembers(self, world: World) -> None:
        learned: list[tuple[Any, ...]] = []

        def learn(self: Any, *what: Any) -> None:
            learned.append(what)

        odd = self.backend(resolve_model=lambda self: None)
        type(odd).learn = learn
        world.put("ink.safetensors", INK)
        world.get(world.workflow("ink.safetensors"), more={"odd": odd})

        ((asked, offer, digest, size, context),) = learned
        assert (asked.label, offer.backend, digest, size) == ("loras/ink.safetensors", "shelf", sha256(INK), len(INK))
        assert isinstance(context, Context)

    def test_every_question_is_in_the_report(self, world: World) -> None:
        world.put("ink.safetensors", INK)
        odd = self.backend(resolve_model=lambda self: None)

        entry = only(world.get(world.workflow("ink.safetensors"), more={"odd": odd}))

        told = [(one.hook, one.backend, one.outcome.value) for one in entry.attempts]
        assert told[:2] == [("resolve_model", "odd", "declined"), ("resolve_model", "shelf", "answered")]
        assert ("download_artifact", "core", "answered") in told
        assert ("download_artifact", "shelf", "answered") in told

    def test_a_file_that_no_source_could_be_asked_for_is_unavailable(self, world: World) -> None:
        def refuse(self: Any) -> None:
            raise BackendError("no network", code=ErrorCode.NETWORK)

        report = world.get(world.workflow("ink.safetensors"), more={"odd": self.backend(resolve_model=refuse)})

        entry = failed(report, ErrorCode.UNAVAILABLE, 5)
        assert entry.error is not None
        assert "no network" in entry.error.message


def evolve_node(made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**made, **changes}
