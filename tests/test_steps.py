"""The work for one file as a value: what travels, what stays, and that it comes to the same wherever it is done."""

from __future__ import annotations

import ast
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from standins.shelf import Shelf, node, write_workflow
from standins.warehouse import TOKEN_VARIABLE, Warehouse, install, open_warehouse

import comfywatchman_core as cw
from comfywatchman_core import steps
from comfywatchman_core.config import Config
from comfywatchman_core.errors import ErrorCode, UsageError
from comfywatchman_core.events import DownloadFinished, FileSettled
from comfywatchman_core.models import Candidate, Match, ModelRequest
from comfywatchman_core.planfile import Plan, make_plan
from comfywatchman_core.report import Status
from comfywatchman_core.steps import Orders, Step, carry_out
from comfywatchman_core.testing import Asked, safetensors

INK, PEN = safetensors("ink"), safetensors("pen", 9000)
SECRET = "s3cr3t-5e6f7a8b"


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    install(tmp_path / "site", monkeypatch)
    with open_warehouse() as warehouse:
        warehouse.files = {"ink.safetensors": INK, "pen.safetensors": PEN}
        yield warehouse


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    return write_workflow(tmp_path / "workflow.json", node("ink.safetensors"), node("pen.safetensors"))


def plan_of(warehouse: Warehouse, workflow: Path, place: Path) -> Plan:
    with cw.Watchman(warehouse.config(place)) as watchman:
        return make_plan(watchman.plan(workflow).entries)


def processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


class Recording(ThreadPoolExecutor):
    """Keeps what is handed to it, as it would be sent."""

    def __init__(self) -> None:
        super().__init__(2)
        self.sent: list[bytes] = []

    def submit(self, function: Any, /, *values: Any, **named: Any) -> Future[Any]:
        self.sent.append(pickle.dumps((function, values, named)))
        function, values, named = pickle.loads(self.sent[-1])
        return super().submit(function, *values, **named)


class TestElsewhere:
    def test_processes_get_what_threads_get(self, warehouse: Warehouse, workflow: Path, tmp_path: Path) -> None:
        with cw.Watchman(warehouse.config(tmp_path / "threads")) as watchman:
            at_home = watchman.ensure_models(workflow)
        with cw.Watchman(warehouse.config(tmp_path / "processes")) as watchman, processes() as executor:
            elsewhere = watchman.ensure_models(workflow, executor=executor)

        assert (tmp_path / "processes/models/loras/ink.safetensors").read_bytes() == INK
        assert (tmp_path / "processes/models/loras/pen.safetensors").read_bytes() == PEN

        def told(report: cw.Report) -> list[tuple[object, ...]]:
            return [
                (one.request.label, one.status, one.backend, one.size, one.sha256, one.candidate, one.error)
                for one in report.entries
            ]

        assert told(elsewhere) == told(at_home)
        assert elsewhere.summary == at_home.summary

    def test_a_plan_is_carried_out_by_processes(self, warehouse: Warehouse, workflow: Path, tmp_path: Path) -> None:
        plan = plan_of(warehouse, workflow, tmp_path)

        with cw.Watchman(warehouse.config(tmp_path)) as watchman, processes() as executor:
            report = watchman.get_plan(plan, executor=executor)

        assert [entry.status for entry in report.entries] == [Status.DOWNLOADED, Status.DOWNLOADED]
        assert (tmp_path / "models/loras/pen.safetensors").read_bytes() == PEN

    def test_the_function_of_the_library_takes_an_executor_as_well(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        with Recording() as executor:
            cw.ensure_models(workflow, config=warehouse.config(tmp_path), executor=executor).raise_if_failed()

        assert len(executor.sent) == 2

    def test_what_is_there_is_handed_to_nobody(self, warehouse: Warehouse, workflow: Path, tmp_path: Path) -> None:
        config = warehouse.config(tmp_path)
        cw.ensure_models(workflow, config=config).raise_if_failed()

        with Recording() as executor:
            report = cw.ensure_models(workflow, config=config, executor=executor)

        assert executor.sent == []
        assert report.summary.present == 2

    def test_events_of_a_step_are_told_in_order_by_the_run_and_each_file_is_settled_once(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        told: list[cw.events.Event] = []

        with Recording() as executor:
            cw.ensure_models(workflow, config=warehouse.config(tmp_path), executor=executor, on_event=told.append)

        for label in ("loras/ink.safetensors", "loras/pen.safetensors"):
            kinds = [type(event).__name__ for event in told if getattr(event, "label", "") == label]
            story = ["Queued", "DownloadStarted", "DownloadFinished", "FileSettled"]
            assert [kind for kind in kinds if kind in story] == story

    def test_a_file_whose_first_offer_comes_to_nothing_is_searched_on_for(
        self, warehouse: Warehouse, tmp_path: Path
    ) -> None:
        share = tmp_path / "share" / "loras"
        share.mkdir(parents=True)
        (share / "ink.safetensors").write_bytes(INK)
        config = warehouse.config(
            tmp_path, **{"backends.share.root": str(tmp_path / "share"), "backends.order": ("warehouse",)}
        )
        workflow = write_workflow(tmp_path / "one.json", node("ink.safetensors"))

        def lose(asked: Asked) -> None:
            raise ConnectionResetError

        warehouse.before = lose
        with Recording() as executor:
            (entry,) = cw.ensure_models(workflow, config=config, executor=executor).entries

        assert (entry.status, entry.backend) == (Status.DOWNLOADED, "share")
        assert warehouse.transfers() == ["ink.safetensors"]

    @pytest.mark.skipif(os.name != "posix", reason="ends a process by a signal")
    def test_a_worker_that_dies_costs_its_file_and_the_next_run_gets_it(
        self, warehouse: Warehouse, tmp_path: Path
    ) -> None:
        workflow = write_workflow(tmp_path / "one.json", node("ink.safetensors"))
        executor = processes()

        def kill(asked: Asked) -> None:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGKILL)

        warehouse.before = kill
        with executor:
            (entry,) = cw.ensure_models(workflow, config=warehouse.config(tmp_path), executor=executor).entries
        warehouse.before = lambda asked: None
        again = cw.ensure_models(workflow, config=warehouse.config(tmp_path))

        assert entry.error is not None
        assert entry.error.code is ErrorCode.BACKEND_FAILED
        assert "lost" in entry.error.message
        assert again.ok

    def test_who_stops_does_not_wait_for_what_is_under_way_elsewhere(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        stop, over = threading.Event(), threading.Event()

        def hang(asked: Asked) -> None:
            stop.set()
            over.wait(20)

        warehouse.before = hang
        with ThreadPoolExecutor(1) as executor:
            report = cw.ensure_models(workflow, config=warehouse.config(tmp_path), executor=executor, cancel=stop)
            over.set()

        assert {entry.error and entry.error.code for entry in report.entries} == {ErrorCode.CANCELLED}

    def test_back_ends_that_are_objects_are_not_handed_to_an_executor(self, workflow: Path, tmp_path: Path) -> None:
        with Recording() as executor, pytest.raises(UsageError, match="executor"):
            cw.ensure_models(workflow, models_dir=tmp_path, backends={"s": Shelf("http://h")}, executor=executor)


class TestSecrets:
    def config(self, warehouse: Warehouse, place: Path) -> Config:
        return warehouse.config(
            place,
            **{
                "backends.warehouse.token": SECRET,
                "backends.warehouse.tables": ["https://tables.invalid/all.json"],
                "backends.other.endpoint": f"https://user:{SECRET}@mirror.invalid/",
                "backends.other.mirrors": [f"https://mirror.invalid/?sig={SECRET}"],
                "backends.other.headers": {"Authorization": SECRET},
                "backends.other.nas": "sftp://studio@nas.invalid/models",
            },
        )

    def test_no_secret_is_in_what_is_sent(self, warehouse: Warehouse, workflow: Path, tmp_path: Path) -> None:
        warehouse.token = SECRET

        with Recording() as executor:
            cw.ensure_models(workflow, config=self.config(warehouse, tmp_path), executor=executor)

        assert len(executor.sent) == 2
        assert [SECRET.encode() in sent for sent in executor.sent] == [False, False]

    def test_what_is_no_secret_is_sent(self, warehouse: Warehouse, tmp_path: Path) -> None:
        sent = Orders.of(self.config(warehouse, tmp_path)).config.backends.settings

        assert sent["warehouse"] == {"url": warehouse.origin.url, "tables": ["https://tables.invalid/all.json"]}
        assert sent["other"] == {"nas": "sftp://studio@nas.invalid/models"}

    @pytest.mark.parametrize("where", ["environment", "settings"])
    def test_a_worker_takes_its_token_from_its_own_environment_or_settings(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        plan = plan_of(warehouse, workflow, tmp_path)
        warehouse.token = SECRET
        config = warehouse.config(tmp_path)
        name = TOKEN_VARIABLE if where == "environment" else "COMFYWATCHMAN_WAREHOUSE_TOKEN"
        monkeypatch.setenv(name, SECRET)

        with cw.Watchman(config) as watchman, processes() as executor:
            report = watchman.get_plan(plan, executor=executor)

        assert report.ok, report.entries

    def test_an_address_that_may_hold_a_secret_is_fetched_at_home(self, tmp_path: Path) -> None:
        offer = Candidate(match=Match.SOURCE_ID, url=f"https://h.invalid/ink.safetensors?key={SECRET}")
        request = ModelRequest(name="ink.safetensors", folder="loras")

        assert Step.of_search(Orders.of(Config()), request, offer, planned=False) is None

    def test_the_addresses_of_a_workflow_are_not_sent_once_they_have_led_somewhere(self) -> None:
        offer = Candidate(match=Match.SOURCE_ID, url="https://h.invalid/ink.safetensors")
        address = f"https://h.invalid/ink?key={SECRET}"
        request = ModelRequest(reference=address, url=address, hints=(address,), folder="loras")

        step = Step.of_search(Orders.of(Config()), request, offer, planned=False)

        assert step is not None
        assert SECRET.encode() not in pickle.dumps(step)
        assert step.request.label == request.label

    def test_what_comes_back_shows_no_address_with_its_query(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        """A back end may learn a signed address where the step is carried out."""
        planned = plan_of(warehouse, workflow, tmp_path).files[0]
        step = Step.of_plan(Orders.of(warehouse.config(tmp_path)), planned)
        assert step.offer is not None
        step = evolve(step, offer=evolve(step.offer, delegate="", url=f"{warehouse.origin.url}/files/ink.safetensors"))
        signed = evolve(step.offer, url=f"{step.offer.url}?sig={SECRET}", endpoint=warehouse.origin.url)

        settled = carry_out(evolve(step, offer=signed))

        assert settled.entry.status is Status.DOWNLOADED
        assert any(isinstance(event, DownloadFinished) for event in settled.events)
        assert SECRET.encode() not in pickle.dumps(settled)


class TestAStep:
    def test_it_and_what_it_comes_to_survive_a_journey(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        step = Step.of_plan(Orders.of(warehouse.config(tmp_path)), plan_of(warehouse, workflow, tmp_path).files[0])

        travelled = pickle.loads(pickle.dumps(step))
        settled = carry_out(travelled)

        assert travelled == step
        assert pickle.loads(pickle.dumps(settled)) == settled
        assert settled.entry.status is Status.DOWNLOADED

    def test_what_is_there_by_now_is_found_where_it_is_carried_out(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        orders = Orders.of(warehouse.config(tmp_path))
        step = Step.of_plan(orders, plan_of(warehouse, workflow, tmp_path).files[0])

        first, second = carry_out(step), carry_out(step)

        assert [first.entry.status, second.entry.status] == [Status.DOWNLOADED, Status.PRESENT]
        assert warehouse.transfers() == ["ink.safetensors"]

    def test_another_run_looks_at_the_disk_anew(self, warehouse: Warehouse, workflow: Path, tmp_path: Path) -> None:
        config, planned = warehouse.config(tmp_path), plan_of(warehouse, workflow, tmp_path).files[0]
        carry_out(Step.of_plan(Orders.of(config), planned))
        (tmp_path / "models/loras/ink.safetensors").unlink()

        settled = carry_out(Step.of_plan(Orders.of(config), planned))

        assert settled.entry.status is Status.DOWNLOADED

    def test_back_ends_are_loaded_once_for_the_steps_of_a_run(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        benches: list[object] = []
        set_up = steps._Bench.set_up
        monkeypatch.setattr(steps._Bench, "set_up", lambda orders: benches.append(bench := set_up(orders)) or bench)
        orders = Orders.of(warehouse.config(tmp_path))
        planned = plan_of(warehouse, workflow, tmp_path).files

        with ThreadPoolExecutor(2) as executor:
            settled = list(executor.map(carry_out, [Step.of_plan(orders, one) for one in planned]))

        assert [one.entry.status for one in settled] == [Status.DOWNLOADED, Status.DOWNLOADED]
        assert len(benches) == 1

    def test_one_that_is_stopped_says_so_and_keeps_what_has_arrived(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        step = Step.of_plan(Orders.of(warehouse.config(tmp_path)), plan_of(warehouse, workflow, tmp_path).files[0])

        settled = carry_out(step, cancelled=lambda: True)

        assert settled.entry.error is not None
        assert settled.entry.error.code is ErrorCode.CANCELLED
        assert warehouse.transfers() == []

    def test_settings_of_the_worker_that_cannot_be_used_are_a_failure_of_the_file(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        step = Step.of_plan(Orders.of(warehouse.config(tmp_path)), plan_of(warehouse, workflow, tmp_path).files[0])
        monkeypatch.setenv("COMFYWATCHMAN_JOBS", "many")

        settled = carry_out(step)

        assert settled.entry.error is not None
        assert "settings of the worker" in settled.entry.error.message
        assert settled.entry.error.hint

    def test_turns_are_asked_for_by_the_name_of_the_source(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        from contextlib import nullcontext

        turns: list[str] = []
        step = Step.of_plan(Orders.of(warehouse.config(tmp_path)), plan_of(warehouse, workflow, tmp_path).files[0])

        carry_out(step, turns=lambda source, cancelled: nullcontext(turns.append(source)))

        assert turns == ["warehouse"]

    def test_a_listener_of_its_own_is_told_at_once_and_nothing_is_kept(
        self, warehouse: Warehouse, workflow: Path, tmp_path: Path
    ) -> None:
        told: list[cw.events.Event] = []
        step = Step.of_plan(Orders.of(warehouse.config(tmp_path)), plan_of(warehouse, workflow, tmp_path).files[0])

        settled = carry_out(step, emit=told.append)

        assert any(isinstance(event, DownloadFinished) for event in told)
        assert not any(isinstance(event, FileSettled) for event in told)
        assert settled.events == ()


def test_the_core_imports_no_engine_that_distributes_work() -> None:
    engines = {"dask", "distributed", "mpi4py", "ray", "multiprocessing", "cloudpickle", "pickle"}
    for path in Path(steps.__file__).parent.rglob("*.py"):
        for one in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in one.names] if isinstance(one, ast.Import) else []
            names += [one.module or ""] if isinstance(one, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & engines, path
