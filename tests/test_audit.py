"""``verify``: what is read, what it is compared with, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from comfywatchman_core import BackendError, Candidate, Config, Context, Digest, Match, ModelRequest, Watchman, hookimpl
from comfywatchman_core import hashing as hashing_module
from comfywatchman_core.audited import AuditReport, Condition, Verified
from comfywatchman_core.config import BackendTable, Rules
from comfywatchman_core.errors import ErrorCode, UsageError
from comfywatchman_core.hashing import has_moving_heads
from comfywatchman_core.models import Check, VerificationReport
from comfywatchman_core.planfile import Plan, PlannedFile
from comfywatchman_core.report import Entry, ExitCode, Status
from comfywatchman_core.state import Memory
from comfywatchman_core.testing import safetensors, sha256

LONG_AGO = 1_600_000_000_123_456_789


class Source:
    """A back end that knows digests by name, and remembers what it was asked."""

    api_version = 1

    def __init__(self, known: dict[str, str], *, priority: int = 50, trusted: bool = False) -> None:
        self.known = known
        self.priority = priority
        self.trusted = trusted
        self.asked: list[ModelRequest] = []
        self.refusal: BackendError | None = None

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        digest = self.known.get(str(request.name))
        if digest is None or (request.sha256 and request.sha256 != digest):
            return ()
        return [
            Candidate(
                match=Match.SOURCE_ID,
                url="https://files.example/x",
                digests=(Digest("sha256", digest),),
                trusted=self.trusted,
            )
        ]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    return tmp_path / "ComfyUI"


@pytest.fixture
def config(base: Path, tmp_path: Path) -> Config:
    return Config(comfyui=base, state_dir=tmp_path / "state", offline=True)


def put(base: Path, name: str, data: bytes | None = None, *, folder: str = "loras", at: int = LONG_AGO) -> Path:
    path = base / "models" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors(name) if data is None else data)
    os.utime(path, ns=(at, at))
    return path


def verify(config: Config, *paths: Path, backends: dict[str, Any] | None = None, **options: Any) -> AuditReport:
    with Watchman(config, backends=backends or {}) as watchman:
        return watchman.verify(paths, **options)


def only(report: AuditReport) -> Verified:
    (verified,) = report.files
    return verified


def downloaded(config: Config, path: Path, digest: str, *, is_verified: bool = True) -> None:
    """Make the history say that *path* was downloaded."""
    memory = Memory(config.state)
    memory.history.note(
        Entry(
            request=ModelRequest(name=path.name, folder="loras"),  # type: ignore[arg-type]
            status=Status.DOWNLOADED,
            path=path,
            sha256=digest,
            verification=VerificationReport((Check("sha256", True, cryptographic=is_verified),)),
        )
    )
    memory.close()


def nothing_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing_module, "sha256_of_file", lambda *_: pytest.fail("a file was read"))
    monkeypatch.setattr(hashing_module, "defect", lambda *_: pytest.fail("a file was opened"))


class TestWhatItSays:
    def test_a_file_that_nobody_knows_is_unknown_and_no_failure(self, config: Config, base: Path) -> None:
        path = put(base, "mine.safetensors")

        report = verify(config)

        found = only(report)
        assert found.condition is Condition.UNKNOWN
        assert found.sha256 == sha256(path.read_bytes())
        assert (found.folder, found.name) == ("loras", "mine.safetensors")
        assert report.exit_code == ExitCode.OK

    def test_a_file_that_still_is_what_was_downloaded_is_ok(self, config: Config, base: Path) -> None:
        path = put(base, "ink.safetensors")
        downloaded(config, path, sha256(path.read_bytes()), is_verified=False)

        found = only(verify(config))

        assert (found.condition, found.against) == (Condition.OK, "history")

    def test_bytes_that_were_verified_once_are_ok_under_any_name(self, config: Config, base: Path) -> None:
        path = put(base, "renamed.safetensors")
        downloaded(config, base / "models" / "loras" / "ink.safetensors", sha256(path.read_bytes()))

        assert only(verify(config)).condition is Condition.OK

    def test_bytes_that_arrived_unverified_say_nothing_about_another_file(self, config: Config, base: Path) -> None:
        path = put(base, "renamed.safetensors")
        other = base / "models" / "loras" / "ink.safetensors"
        downloaded(config, other, sha256(path.read_bytes()), is_verified=False)

        assert only(verify(config)).condition is Condition.UNKNOWN

    def test_another_file_in_the_place_of_a_download_is_changed(self, config: Config, base: Path) -> None:
        path = put(base, "ink.safetensors")
        downloaded(config, path, "a" * 64)

        report = verify(config)

        found = only(report)
        assert found.condition is Condition.CHANGED
        assert found.expected == "a" * 64
        assert "history says " + "a" * 64 in found.note
        assert report.exit_code == ExitCode.INTEGRITY
        assert path.is_file()

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"", "is empty"),
            (b"<!doctype html><title>Sign in</title>", "is a web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
            (safetensors("x")[:-1], "shorter than its header says"),
            (safetensors("x") + b"!", "longer than its header says"),
        ],
    )
    def test_a_file_that_nothing_can_load_is_corrupt(self, config: Config, base: Path, data: bytes, what: str) -> None:
        put(base, "ink.safetensors", data)

        first, second = verify(config), verify(config)

        for report in (first, second):
            assert only(report).condition is Condition.CORRUPT
            assert what in only(report).note
            assert report.exit_code == ExitCode.INTEGRITY

    def test_a_bit_that_flips_by_itself_is_corrupt_and_stays_so(self, config: Config, base: Path) -> None:
        path = put(base, "mine.safetensors")
        verify(config)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        time.sleep(0.02)
        put(base, "mine.safetensors", bytes(data))  # the same size, the same time of writing

        for report in (verify(config), verify(config), verify(config, full=True)):
            found = only(report)
            assert found.condition is Condition.CORRUPT
            assert "nothing wrote to it" in found.note
            assert found.expected == sha256(safetensors("mine.safetensors"))
            assert report.exit_code == ExitCode.INTEGRITY

    def test_only_a_full_reading_finds_a_bit_that_the_file_system_knows_nothing_of(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(base, "mine.safetensors")
        verify(config)
        monkeypatch.setattr(hashing_module, "sha256_of_file", lambda *_: "f" * 64)

        assert only(verify(config)).condition is Condition.UNKNOWN
        assert only(verify(config, full=True)).condition is Condition.CORRUPT
        assert only(verify(config)).condition is Condition.CORRUPT

    def test_a_file_that_its_owner_wrote_to_is_not_called_corrupt(self, config: Config, base: Path) -> None:
        put(base, "mine.safetensors")
        verify(config)
        put(base, "mine.safetensors", safetensors("trained further"), at=LONG_AGO + 10**9)

        assert only(verify(config)).condition is Condition.UNKNOWN

    def test_a_file_that_changes_while_it_is_read_is_not_judged(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put(base, "mine.safetensors")

        def read_slowly(path: Path, *_: object) -> str:
            put(base, path.name, b"half a", at=LONG_AGO + 5)
            return "f" * 64

        monkeypatch.setattr(hashing_module, "sha256_of_file", read_slowly)
        found = only(verify(config, path, quarantine=True))

        assert found.condition is Condition.UNKNOWN
        assert "while it was read" in found.note
        assert found.sha256 is None
        assert path.is_file()

    def test_a_file_that_may_not_be_read_is_no_corrupt_one(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(base, "mine.safetensors")
        monkeypatch.setattr(hashing_module, "defect", _raise(PermissionError(13, "Permission denied")))

        report = verify(config)

        assert only(report).condition is Condition.UNKNOWN
        assert "cannot be read: Permission denied" in only(report).note

    def test_a_file_that_the_disk_cannot_give_back_is_corrupt(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put(base, "mine.safetensors")
        monkeypatch.setattr(hashing_module, "sha256_of_file", _raise(OSError(5, "Input/output error")))

        report = verify(config, quarantine=True)

        assert only(report).condition is Condition.CORRUPT
        assert report.exit_code == ExitCode.INTEGRITY
        assert path.is_file(), "nothing is known of its bytes: it is left where it is"


def _raise(error: Exception) -> Callable[..., str]:
    def step(*_: object) -> str:
        raise error

    return step


class TestWhatItReads:
    def test_what_did_not_change_is_not_read_again(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(base, "a.safetensors")
        put(base, "b.safetensors", b"")
        first = verify(config)
        nothing_may_be_read(monkeypatch)

        second = verify(config)

        assert first.read == (2, len(safetensors("a.safetensors")))
        assert second.read == (0, 0)
        assert [one.condition for one in second.files] == [one.condition for one in first.files]
        assert [one.sha256 for one in second.files] == [one.sha256 for one in first.files]

    def test_a_full_verification_reads_everything_again(self, config: Config, base: Path) -> None:
        put(base, "a.safetensors")
        verify(config)

        assert verify(config, full=True).read[0] == 1

    def test_one_file_under_two_names_is_read_once(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors")
        (base / "models" / "vae").mkdir()
        os.link(path, base / "models" / "vae" / "b.safetensors")

        report = verify(config)

        assert len(report.files) == 2
        assert len({one.sha256 for one in report.files}) == 1
        assert report.read[0] == 1
        assert verify(config).read[0] == 0

    def test_files_that_are_no_models_are_left_alone(self, config: Config, base: Path) -> None:
        for name in ("notes.txt", "a.safetensors.bad-0123abcd", "put_loras_here"):
            put(base, name, b"x")
        put(base, "part", b"half", folder="loras/.b.safetensors.cw")

        assert verify(config).files == ()

    def test_a_directory_is_looked_through_and_a_file_is_taken_as_it_is(self, config: Config, base: Path) -> None:
        inside = put(base, "deep/a.safetensors")
        put(base, "b.safetensors")
        odd = put(base, "notes.txt", b"text")

        report = verify(config, base / "models" / "loras" / "deep", odd, inside)

        assert [one.label for one in report.files] == ["loras/deep/a.safetensors", "loras/notes.txt"]

    def test_a_path_needs_no_comfyui_around_it(self, tmp_path: Path) -> None:
        path = put(tmp_path, "a.safetensors")

        found = only(verify(Config(state_dir=tmp_path / "state", offline=True), path))

        assert (found.folder, found.name) == ("", "a.safetensors")

    def test_a_path_that_is_not_there_is_a_mistake_of_the_user(self, config: Config, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no file at"):
            verify(config, tmp_path / "nothing")

    def test_without_a_path_something_must_say_where_models_are(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="nothing says where models are"):
            verify(Config(state_dir=tmp_path / "state"))

    def test_a_name_that_no_request_may_have_is_verified_like_any_other(self, config: Config, base: Path) -> None:
        put(base, "con.safetensors", b"")

        report = verify(config)

        assert only(report).condition is Condition.CORRUPT
        assert report.report.entries[0].error is not None

    def test_it_can_be_stopped_and_goes_on_where_it_was(self, config: Config, base: Path) -> None:
        for number in range(20):
            put(base, f"{number:02}.safetensors")
        stop = threading.Event()

        first = verify(config, cancel=stop, on_verified=lambda one: None, on_reading=lambda files, size: stop.set())
        second = verify(config)

        assert not first.is_complete
        assert first.exit_code == ExitCode.INTERRUPTED
        assert len(second.files) == 20
        assert second.read[0] == 20 - first.read[0]

    def test_without_a_state_directory_it_works_and_reads_everything_each_time(
        self, base: Path, tmp_path: Path
    ) -> None:
        put(base, "a.safetensors")
        (tmp_path / "taken").write_text("no directory")
        config = Config(comfyui=base, state_dir=tmp_path / "taken", offline=True)
        told: list[object] = []

        reports = [verify(config, on_event=told.append) for _ in range(2)]

        assert [report.read[0] for report in reports] == [1, 1]
        assert [report.exit_code for report in reports] == [0, 0]
        assert len(told) == 2


class TestPlans:
    def plan(self, base: Path, digest: str, name: str = "a.safetensors") -> Plan:
        return Plan((PlannedFile(folder="loras", name=name, sha256=digest),))

    def test_a_file_is_held_to_its_plan(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors")
        put(base, "not-in-the-plan.safetensors", b"")

        good = only(verify(config, plan=self.plan(base, sha256(path.read_bytes()))))
        bad = verify(config, plan=self.plan(base, "b" * 64))

        assert (good.condition, good.against) == (Condition.OK, "plan")
        assert only(bad).condition is Condition.CHANGED
        assert bad.exit_code == ExitCode.INTEGRITY

    def test_the_plan_is_worth_more_than_the_history(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors")
        downloaded(config, path, sha256(path.read_bytes()))

        assert only(verify(config, plan=self.plan(base, "b" * 64))).condition is Condition.CHANGED

    def test_a_planned_file_that_is_not_there_is_missing(self, config: Config, base: Path) -> None:
        report = verify(config, plan=self.plan(base, "b" * 64))

        assert only(report).condition is Condition.MISSING
        assert report.exit_code == ExitCode.NOT_FOUND

    def test_a_path_is_held_to_the_plan_as_well(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors")

        found = only(verify(config, path, plan=self.plan(base, "b" * 64)))

        assert (found.condition, found.against) == (Condition.CHANGED, "plan")

    def test_a_plan_with_a_folder_that_holds_no_models_is_a_mistake(self, config: Config, base: Path) -> None:
        plan = Plan((PlannedFile(folder="custom_nodes", name="x.safetensors"),))

        with Watchman(config) as watchman, pytest.raises(UsageError, match="not a folder for models"):
            watchman.verify(plan=plan)

    def test_a_planned_file_in_a_second_root_is_found(self, config: Config, base: Path, tmp_path: Path) -> None:
        data = safetensors("a")
        (tmp_path / "more" / "loras").mkdir(parents=True)
        (tmp_path / "more" / "loras" / "a.safetensors").write_bytes(data)
        (base / "extra_model_paths.yaml").write_text(f"more:\n  base_path: {tmp_path}/more\n  loras: loras\n")

        assert only(verify(config, plan=self.plan(base, sha256(data)))).condition is Condition.OK


class TestSources:
    @pytest.fixture
    def online(self, config: Config, base: Path) -> Config:
        return Config(comfyui=base, state_dir=config.state_dir)

    def test_a_table_is_asked_even_offline_and_a_search_is_not(self, config: Config, base: Path) -> None:
        digest = sha256(put(base, "a.safetensors").read_bytes())
        table, search = Source({"a.safetensors": digest}, priority=90), Source({}, priority=50)

        found = only(verify(config, backends={"table": table, "search": search}))

        assert (found.condition, found.against) == (Condition.OK, "table")
        assert search.asked == []

    def test_a_publisher_is_asked_by_digest_name_and_folder(self, online: Config, base: Path) -> None:
        digest = sha256(put(base, "a.safetensors").read_bytes())
        search = Source({"a.safetensors": digest})

        found = only(verify(online, backends={"search": search}))

        assert (found.condition, found.against) == (Condition.OK, "search")
        (asked,) = search.asked
        assert (str(asked.name), asked.folder, asked.sha256) == ("a.safetensors", "loras", digest)

    def test_other_bytes_than_a_curated_table_has_are_changed(self, config: Config, base: Path) -> None:
        put(base, "a.safetensors")
        table = Source({"a.safetensors": "b" * 64}, priority=90, trusted=True)

        reports = [verify(config, backends={"table": table}) for _ in range(2)]

        for report in reports:
            assert only(report).condition is Condition.CHANGED
            assert (only(report).expected, only(report).against) == ("b" * 64, "table")
        assert len(table.asked) == 2, "asked by digest and by name in the first run, and not in the second"

    def test_other_bytes_under_the_same_name_at_a_publisher_say_nothing(self, online: Config, base: Path) -> None:
        put(base, "a.safetensors")

        found = only(verify(online, backends={"search": Source({"a.safetensors": "b" * 64})}))

        assert found.condition is Condition.UNKNOWN

    def test_nobody_is_asked_about_a_file_that_is_known_here(self, online: Config, base: Path) -> None:
        path = put(base, "a.safetensors")
        downloaded(online, path, sha256(path.read_bytes()))
        search = Source({})

        verify(online, backends={"search": search})

        assert search.asked == []

    def test_nobody_is_asked_twice_within_days(self, online: Config, base: Path) -> None:
        put(base, "a.safetensors")
        search = Source({})

        for _ in range(2):
            assert only(verify(online, backends={"search": search})).condition is Condition.UNKNOWN

        assert len(search.asked) == 1

    def test_a_source_that_cannot_be_asked_is_told_once_and_asked_again(self, online: Config, base: Path) -> None:
        put(base, "a.safetensors")
        put(base, "b.safetensors")
        search = Source({})
        search.refusal = BackendError("the service is down", code=ErrorCode.UNAVAILABLE)

        first = verify(online, backends={"search": search})
        search.refusal = None
        second = verify(online, backends={"search": search})

        assert [one.condition for one in first.files] == [Condition.UNKNOWN] * 2
        assert ["could not be asked" in one.message for one in first.problems] == [True]
        assert first.exit_code == ExitCode.OK
        assert len(search.asked) == 4
        assert second.problems == ()

    def test_only_the_chosen_back_ends_are_asked(self, base: Path, tmp_path: Path) -> None:
        put(base, "a.safetensors")
        one, other = Source({}), Source({})
        config = Config(comfyui=base, state_dir=tmp_path / "state", rules=Rules(backends=("one",)))

        verify(config, backends={"one": one, "other": other})

        assert (len(one.asked), len(other.asked)) == (1, 0)

    def test_a_run_that_asks_nobody_loads_no_back_end(
        self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put(base, "a.safetensors")
        config = Config(comfyui=base, state_dir=tmp_path / "state", backends=BackendTable(order=("x",)))
        downloaded(config, path, sha256(path.read_bytes()))
        monkeypatch.setattr(Watchman, "_load", lambda self: pytest.fail("back ends were loaded"))

        assert only(verify(config)).condition is Condition.OK


class TestAcceptance:
    def test_a_changed_file_is_held_to_what_it_is_from_then_on(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors")
        downloaded(config, path, "b" * 64)

        accepted = verify(config, accept=True)
        later = verify(config)
        put(base, "a.safetensors", safetensors("another"), at=LONG_AGO + 5)

        assert accepted.exit_code == ExitCode.OK
        assert "accepted as it is, where history says " + "b" * 64 in only(accepted).note
        assert (only(later).condition, only(later).against) == (Condition.OK, "history")
        assert only(verify(config)).condition is Condition.CHANGED

    def test_the_users_word_is_worth_more_than_a_table(self, config: Config, base: Path) -> None:
        put(base, "a.safetensors")
        table = Source({"a.safetensors": "b" * 64}, priority=90, trusted=True)

        assert only(verify(config, backends={"table": table}, accept=True)).condition is Condition.OK
        assert only(verify(config, backends={"table": table})).against == "history"

    def test_neither_a_corrupt_file_nor_one_that_a_plan_pins_is_accepted(self, config: Config, base: Path) -> None:
        put(base, "a.safetensors")
        put(base, "b.safetensors", b"")
        plan = Plan((PlannedFile(folder="loras", name="a.safetensors", sha256="b" * 64),))

        assert only(verify(config, plan=plan, accept=True)).condition is Condition.CHANGED
        assert only(verify(config, base / "models" / "loras" / "b.safetensors", accept=True)).condition == "corrupt"


class TestQuarantine:
    def test_without_being_asked_nothing_is_moved(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors", b"")

        verify(config)

        assert path.is_file()

    def test_what_is_corrupt_is_renamed_so_that_nothing_loads_it(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors", b"<html>")

        found = only(verify(config, quarantine=True))

        assert not path.exists()
        assert found.quarantined is not None
        assert found.quarantined.name == f"a.safetensors.bad-{sha256(b'<html>')[:8]}"
        assert found.quarantined.read_bytes() == b"<html>"
        assert verify(config).files == ()

    def test_what_is_only_another_file_stays_where_it_is(self, config: Config, base: Path) -> None:
        path = put(base, "a.safetensors")
        downloaded(config, path, "b" * 64)

        assert only(verify(config, quarantine=True)).condition is Condition.CHANGED
        assert path.is_file()

    def test_a_file_that_was_mended_meanwhile_is_not_moved(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put(base, "a.safetensors", b"<html>")
        verify(config)
        recall = Memory(None).digests.__class__.recall

        def mend_after(self: Any, path: Path, status: os.stat_result) -> Any:
            seen = recall(self, path, status)
            put(base, path.name, at=LONG_AGO + 7)
            return seen

        monkeypatch.setattr("comfywatchman_core.state.Digests.recall", mend_after)
        verify(config, quarantine=True)

        assert path.read_bytes() == safetensors("a.safetensors")

    def test_a_folder_that_cannot_be_written_is_told_and_the_verdict_stands(
        self, config: Config, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(base, "a.safetensors", b"")
        monkeypatch.setattr("comfywatchman_core.staging.os.replace", _raise(PermissionError(13, "Permission denied")))

        report = verify(config, quarantine=True)

        assert only(report).condition is Condition.CORRUPT
        assert "could not be put aside" in report.problems[0].message
        assert report.exit_code == ExitCode.INTEGRITY


class TestTheCommand:
    def run(self, config: Config, *arguments: str, command: str = "verify") -> subprocess.CompletedProcess[str]:
        code = "import sys; from comfywatchman_core.cli import main; sys.exit(main())"
        environment = {**os.environ, "COMFYWATCHMAN_STATE_DIR": str(config.state)}
        line = [sys.executable, "-c", code, command, *arguments]
        return subprocess.run(line, capture_output=True, text=True, env=environment)

    def test_every_line_is_json_and_the_last_is_the_result(self, config: Config, base: Path) -> None:
        put(base, "a.safetensors")
        put(base, "b.safetensors", b"")

        done = self.run(config, "--comfyui", str(base), "--offline", "--no-plugins", "--json")

        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert {line["schema"] for line in lines} == {"comfywatchman/1"}
        verified = {line["name"]: line for line in lines if line["event"] == "verified"}
        assert verified["a.safetensors"]["status"] == "unknown"
        assert verified["b.safetensors"]["status"] == "corrupt"
        assert verified["b.safetensors"]["error"]["code"] == "not_a_model"
        result = lines[-1]
        assert (result["event"], result["ok"], result["exit_code"]) == ("result", False, 7)
        assert result["summary"]["corrupt"] == result["summary"]["unknown"] == 1
        assert [file["status"] for file in result["files"]] == ["corrupt"]
        assert done.returncode == 7

    def test_it_names_what_is_wrong_and_what_to_do(self, config: Config, base: Path) -> None:
        path = put(base, "b.safetensors", b"")

        done = self.run(config, "--comfyui", str(base), "--offline", "--no-plugins", "--quarantine")

        assert f"{path}: it is empty" in done.stdout
        assert "It is kept as b.safetensors.bad-e3b0c442" in done.stdout
        assert done.stdout.splitlines()[-1] == "1 file: 0 ok, 0 changed, 1 corrupt, 0 unknown (1 read, 0 B)"

    def test_quiet_says_nothing_of_what_is_right(self, config: Config, base: Path) -> None:
        put(base, "a.safetensors")

        done = self.run(config, "--comfyui", str(base), "--offline", "--no-plugins", "-q")

        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)

    def test_a_plan_that_cannot_be_read_is_a_mistake_of_the_user(self, config: Config, base: Path) -> None:
        done = self.run(config, "--comfyui", str(base), "--offline", "--plan", "nothing.json", "--json")

        assert done.returncode == 2
        assert json.loads(done.stdout)["exit_code"] == 2

    def test_history_shows_what_was_downloaded(self, config: Config, base: Path) -> None:
        downloaded(config, base / "models" / "loras" / "ink.safetensors", "a" * 64)
        downloaded(config, base / "models" / "loras" / "oil.safetensors", "b" * 64)

        done = self.run(config, "--json", command="history")
        *records, result = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(one["event"], one["name"], one["sha256"][0]) for one in records] == [
            ("history", "ink.safetensors", "a"),
            ("history", "oil.safetensors", "b"),
        ]
        assert (result["event"], result["exit_code"]) == ("result", 0)

        newest = self.run(config, "--limit", "1", command="history").stdout
        assert "loras/oil.safetensors" in newest
        assert "ink" not in newest
        assert "ink" in self.run(config, "--only", "loras/ink*", command="history").stdout
        assert self.run(config, "--failed", "-q", command="history").stdout == ""

    def test_history_without_a_history_is_no_failure_and_makes_none(self, config: Config) -> None:
        done = self.run(config, command="history")

        assert done.returncode == 0
        assert "nothing was downloaded" in done.stderr
        assert not config.state.exists()

    def test_history_of_a_damaged_database_is_told(self, config: Config) -> None:
        config.state.mkdir()
        (config.state / "state.sqlite").write_bytes(b"garbage" * 1000)

        done = self.run(config, command="history")

        assert done.returncode == 0
        assert "is damaged" in done.stderr


@pytest.mark.parametrize(
    ("name", "rotational", "expected"),
    [
        ("sda/sda1", "1", True),
        ("sda", "1", True),
        ("sda/sda1", "0", False),
        ("vda/vda1", "1", False),  # disks of virtual machines all say so
        ("nvme0n1/nvme0n1p1", "0", False),
    ],
)
def test_only_a_real_rotating_disk_is_read_one_file_at_a_time(
    tmp_path: Path, name: str, rotational: str, expected: bool
) -> None:
    place = tmp_path / "devices" / name
    place.mkdir(parents=True)
    disk = tmp_path / "devices" / name.partition("/")[0]
    (disk / "queue").mkdir()
    (disk / "queue" / "rotational").write_text(rotational + "\n")
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "8:1").symlink_to(place)

    assert has_moving_heads(os.makedev(8, 1), tmp_path / "block") is expected
    assert not has_moving_heads(os.makedev(9, 9), tmp_path / "block")
