"""The library as another program uses it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standins.shelf import Files, Shelf, node, serve_files, write_workflow

import comfywatchman_core as cw
from comfywatchman_core import events
from comfywatchman_core.errors import Cancelled, ErrorCode, Failure, ModelsMissing, UsageError
from comfywatchman_core.events import BytesReceived, DownloadStarted, FileSettled
from comfywatchman_core.report import Status
from comfywatchman_core.testing import Asked, Reply, safetensors
from comfywatchman_core.wording import advice

INK = safetensors("ink")


@pytest.fixture
def source() -> Iterator[tuple[Files, Shelf]]:
    with serve_files() as (files, origin):
        shelf = Shelf(origin.url)
        files.by_path["ink.safetensors"] = INK
        shelf.put("ink.safetensors", INK)
        yield files, shelf


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    return write_workflow(tmp_path / "workflow.json", node("ink.safetensors"))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


class TestThreeLines:
    def test_with_a_source_the_models_are_there_afterwards(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        report = cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]})
        report.raise_if_failed()

        assert (models / "loras" / "ink.safetensors").read_bytes() == INK

    def test_an_error_says_what_to_do_also_where_its_back_end_did_not(self, workflow: Path, models: Path) -> None:
        class Silent(Shelf):
            @cw.hookimpl
            def resolve_model(self, request: cw.ModelRequest, context: cw.Context) -> None:
                raise cw.BackendError("nothing to be had", code="gated")

        report = cw.ensure_models(workflow, models_dir=models, backends={"silent": Silent("")})

        (error,) = [entry.error for entry in report.entries]
        assert error is not None
        assert error.code is ErrorCode.GATED
        assert error.hint == advice(Failure(code=ErrorCode.GATED, message=""))

    def test_without_any_source_the_report_says_what_is_missing_and_what_to_install(
        self, workflow: Path, models: Path
    ) -> None:
        report = cw.ensure_models(str(workflow), models_dir=str(models), backends={})

        with pytest.raises(ModelsMissing, match=r"loras/ink\.safetensors") as caught:
            report.raise_if_failed()
        assert caught.value.report is report
        assert "pip install" in str(report.entries[0].error and report.entries[0].error.hint)

    def test_the_core_alone_gets_a_file_whose_address_is_known(self, source: tuple[Files, Shelf], models: Path) -> None:
        url = f"{source[1].url}/ink.safetensors"

        cw.ensure_models(url, models_dir=models, folder="loras", backends={}).raise_if_failed()

        assert (models / "loras" / "ink.safetensors").read_bytes() == INK

    def test_a_back_end_may_be_given_without_a_name(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        report = cw.ensure_models(workflow, models_dir=models, backends=[source[1]])

        assert report.entries[0].backend == "shelf"

    def test_two_back_ends_of_one_name_do_not_push_each_other_out(self, workflow: Path, models: Path) -> None:
        with pytest.raises(UsageError, match="shelf"):
            cw.ensure_models(workflow, models_dir=models, backends=[Shelf("http://h"), Shelf("http://i")])

    def test_scan_and_plan_are_the_steps_before(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        scanned = cw.scan(workflow, models_dir=models)
        planned = cw.plan(workflow, models_dir=models, backends={"shelf": source[1]})

        assert scanned.entries[0].status is Status.MISSING
        assert planned.entries[0].status is Status.PLANNED
        assert not (models / "loras").exists()

    def test_rules_are_keywords(self, source: tuple[Files, Shelf], workflow: Path, models: Path) -> None:
        report = cw.ensure_models(
            workflow, models_dir=models, backends={"shelf": source[1]}, min_match="digest", skip="vae/*"
        )

        assert report.entries[0].error is not None
        assert report.entries[0].error.code is ErrorCode.NOT_FOUND

    @pytest.mark.parametrize(
        ("what", "options"),
        [
            ("nowhere.json", {"models_dir": "m"}),
            ("w", {"models_dir": "m", "min_mach": "digest"}),
            ("w", {"models_dir": "m", "min_match": "certain"}),
            ("w", {"models_dir": "m", "accept_digests": ["zzz"]}),
            ("w", {"models_dir": "m", "folder": "../x"}),
            ("w", {}),
            ("w", {"comfyui": "/nowhere/ComfyUI"}),
        ],
    )
    def test_a_mistake_of_the_caller_is_one_kind_of_error(
        self, workflow: Path, what: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(workflow.parent)

        with pytest.raises(UsageError):
            cw.ensure_models(str(workflow) if what == "w" else what, backends={}, **options)


class TestSideBySide:
    def test_two_watchmen_with_different_settings_do_not_meet(
        self, source: tuple[Files, Shelf], workflow: Path, tmp_path: Path
    ) -> None:
        one = cw.Watchman(cw.Config(models_dir=tmp_path / "one"), backends={"shelf": source[1]})
        other = cw.Watchman(cw.Config(models_dir=tmp_path / "other", offline=True), backends={"shelf": source[1]})
        reports: dict[str, cw.Report] = {}

        def run(name: str, watchman: cw.Watchman) -> None:
            reports[name] = watchman.ensure_models(workflow)

        threads = [threading.Thread(target=run, args=pair) for pair in (("one", one), ("other", other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        one.close()
        other.close()

        assert reports["one"].ok
        assert reports["other"].exit_code == 5
        assert (tmp_path / "one/loras/ink.safetensors").exists()
        assert not (tmp_path / "other/loras/ink.safetensors").exists()

    def test_several_runs_of_one_watchman_at_once_write_each_file_once(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        with cw.Watchman(cw.Config(models_dir=models), backends={"shelf": source[1]}) as watchman:
            reports: list[cw.Report] = []
            threads = [
                threading.Thread(target=lambda: reports.append(watchman.ensure_models(workflow))) for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)

        statuses = sorted(report.entries[0].status.value for report in reports)
        assert statuses == ["downloaded", "present", "present"]

    def test_a_run_leaves_no_thread_behind(self, source: tuple[Files, Shelf], workflow: Path, models: Path) -> None:
        before = set(threading.enumerate())

        cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]})

        left = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("Thread-")]
        for thread in left:
            thread.join(5)
        assert [thread.name for thread in left if thread.is_alive()] == []


class TestListening:
    def test_events_tell_the_story_of_a_file_in_order(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        told: list[cw.events.Event] = []

        cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]}, on_event=told.append)

        kinds = [type(event).__name__ for event in told]
        story = ["WorkflowRead", "BackendAsked", "DownloadStarted", "DownloadFinished", "FileSettled"]
        assert [kind for kind in story if kind in kinds] == story
        places = [kinds.index(kind) for kind in story]
        assert places == sorted(places)
        labels = {event.label for event in told if isinstance(event, (DownloadStarted, BytesReceived, FileSettled))}
        assert labels == {"loras/ink.safetensors"}

    def test_a_listener_is_called_by_one_thread_at_a_time(
        self, source: tuple[Files, Shelf], tmp_path: Path, models: Path
    ) -> None:
        files, shelf = source
        names = [f"{number}.safetensors" for number in range(6)]
        for name in names:
            files.by_path[name] = safetensors(name)
            shelf.put(name, safetensors(name))
        busy, overlaps = threading.Lock(), []

        def listen(event: cw.events.Event) -> None:
            if not busy.acquire(blocking=False):
                overlaps.append(event)
                return
            busy.release()

        workflow = write_workflow(tmp_path / "many.json", *map(node, names))
        cw.ensure_models(workflow, models_dir=models, backends={"shelf": shelf}, on_event=listen).raise_if_failed()

        assert overlaps == []

    def test_a_listener_that_raises_is_told_nothing_more_and_stops_no_transfer(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        calls: list[object] = []

        def listen(event: object) -> None:
            calls.append(event)
            raise RuntimeError("the display is gone")

        report = cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]}, on_event=listen)

        assert report.ok
        assert len(calls) == 1
        assert "the display is gone" in caplog.text

    def test_every_event_is_a_value_that_can_be_printed_and_compared(self) -> None:
        one = events.Warned(message="m")

        assert one == events.Warned(message="m")
        assert "m" in repr(one)


class TestCancelling:
    @pytest.mark.parametrize("kind", ["function", "event"])
    def test_what_is_cancelled_during_a_transfer_ends_soon_and_is_not_ok(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path, kind: str
    ) -> None:
        files, shelf = source
        stop, over = threading.Event(), threading.Event()

        def hang(asked: Asked) -> Reply:
            stop.set()
            over.wait(20)
            return Reply(body=INK)

        files.by_path["ink.safetensors"] = hang
        cancel = stop.is_set if kind == "function" else stop
        try:
            report = cw.ensure_models(workflow, models_dir=models, backends={"shelf": shelf}, cancel=cancel)
        finally:
            over.set()

        assert not report.ok
        assert report.entries[0].error is not None
        assert report.entries[0].error.code is ErrorCode.CANCELLED
        assert not (models / "loras" / "ink.safetensors").exists()

    def test_what_is_cancelled_before_it_begins_asks_nobody(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        with pytest.raises(Cancelled):
            cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]}, cancel=lambda: True)

        assert source[1].asked == []

    @pytest.mark.skipif(os.name != "posix", reason="sends a signal to one thread")
    def test_ctrl_c_in_a_program_without_handlers_ends_the_transfers(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        import signal

        main = threading.main_thread().ident
        assert main is not None
        files, shelf = source
        over = threading.Event()

        def hang(asked: Asked) -> Reply:
            signal.pthread_kill(main, signal.SIGINT)
            over.wait(20)
            return Reply(body=INK)

        files.by_path["ink.safetensors"] = hang
        # What Python begins with, unless a shell has started it in the background, where Ctrl-C is ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                cw.ensure_models(workflow, models_dir=models, backends={"shelf": shelf})
        finally:
            over.set()
            signal.signal(signal.SIGINT, before)

        assert not (models / "loras" / "ink.safetensors").exists()


class TestTheApi:
    def test_it_has_fewer_than_twenty_five_names_sorted_and_documented(self) -> None:
        assert cw.__all__ == sorted(cw.__all__)
        assert len(cw.__all__) < 25
        for name in cw.__all__:
            found = getattr(cw, name)
            assert name in ("API_VERSION", "hookimpl") or found.__doc__, name

    def test_a_name_that_does_not_exist_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = cw.no_such_name  # type: ignore[attr-defined]
        assert set(cw.__all__) <= set(dir(cw))

    def test_a_name_is_the_same_thing_whatever_was_used_before(self) -> None:
        """Importing a module sets its name on the package: none may be called as a function of the library."""
        import pkgutil

        modules = {module.name for module in pkgutil.iter_modules(cw.__path__)}

        assert modules & set(cw.__all__) == {"errors", "events"}

    def test_what_checkers_see_is_what_there_is(self) -> None:
        """The names under TYPE_CHECKING are written by hand."""
        import ast

        tree = ast.parse(Path(cw.__file__).read_text("utf-8"))
        (block,) = [one for one in tree.body if isinstance(one, ast.If)]
        shown = {alias.asname or alias.name for line in block.body for alias in getattr(line, "names", ())}

        assert shown == set(cw.__all__)

    def test_the_library_sets_up_no_logging(self) -> None:
        import logging

        logger = logging.getLogger("comfywatchman_core")
        assert (logger.handlers, logger.level) == ([], logging.NOTSET)

    def test_no_state_is_kept_between_calls_but_what_is_on_disk(
        self, source: tuple[Files, Shelf], workflow: Path, models: Path
    ) -> None:
        cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]})
        (models / "loras" / "ink.safetensors").unlink()

        report = cw.ensure_models(workflow, models_dir=models, backends={"shelf": source[1]})

        assert report.entries[0].status is Status.DOWNLOADED
        assert "comfywatchman_core" in sys.modules
