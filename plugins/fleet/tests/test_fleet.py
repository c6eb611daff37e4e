"""A plan on several machines: who fetches what, what is told, and what never passes through the scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from standins.dask_cluster import Cluster, cluster, with_disk
from standins.warehouse import TOKEN_VARIABLE, open_warehouse, write_distribution

from comfywatchman_core.jsonlines import line_schema
from comfywatchman_core.testing import Asked, Reply, safetensors

from .conftest import TOKEN, Studio

FILES = {f"{name}.safetensors": safetensors(name, 1000 * size) for size, name in enumerate("abcdef", 1)}
INK = {"ink.safetensors": safetensors("ink")}


class TestSharedTree:
    def test_each_file_is_fetched_once_by_one_of_the_machines(self, studio: Studio) -> None:
        ended = studio.get(studio.plan(FILES))

        assert (ended.code, ended.result["ok"]) == (0, True), ended.stderr
        for name, data in FILES.items():
            assert (studio.models / "loras" / name).read_bytes() == data
        assert sorted(studio.warehouse.transfers()) == sorted(FILES)
        assert sorted(path.name for path in (studio.models / "loras").iterdir()) == sorted(FILES)

    def test_the_report_is_that_of_one_machine_and_says_who_did_it(self, studio: Studio) -> None:
        ended = studio.get(studio.plan(FILES))

        schema = jsonschema.Draft202012Validator(line_schema())
        for line in ended.lines:
            schema.validate(line)
        assert ended.result["summary"]["downloaded"] == len(FILES)
        assert ended.result["summary"]["bytes"] == sum(map(len, FILES.values()))
        assert [one["name"] for one in ended.files] == sorted(FILES)
        assert {one["worker"] for one in ended.files} <= {"anna", "bert"}
        assert {one["verdict"] for one in ended.files} == {"verified"}
        for name in FILES:
            story = [line["event"] for line in ended.lines if line.get("file") == f"loras/{name}"]
            assert [one for one in story if one in ("queued", "started", "received", "file")] == [
                *("queued", "started", "received", "file")
            ]
        started = [line for line in ended.lines if line["event"] == "started"]
        assert {line["worker"] for line in started} <= {"anna", "bert"}

    def test_every_worker_begins_with_the_largest_files(self, studio: Studio) -> None:
        ended = studio.get(studio.plan(FILES))

        for worker in ("anna", "bert"):
            done = [one["file"] for one in ended.lines if one["event"] == "file" and one["worker"] == worker]
            assert done == sorted(done, reverse=True)

    def test_what_is_there_is_left_alone(self, studio: Studio) -> None:
        plan = studio.plan(FILES)
        studio.get(plan)
        studio.warehouse.origin.asked.clear()

        ended = studio.get(plan)

        assert ended.result["summary"]["present"] == len(FILES)
        assert studio.warehouse.origin.asked == []

    def test_two_fleets_on_one_tree_fetch_each_file_once(self, studio: Studio) -> None:
        plan = studio.plan(FILES)

        runs = [studio.start(plan) for _ in range(2)]
        ended = [studio.end(run) for run in runs]

        assert [one.code for one in ended] == [0, 0], [one.stderr for one in ended]
        assert sorted(studio.warehouse.transfers()) == sorted(FILES)

    def test_a_file_that_fails_is_reported_with_its_reason_and_the_others_are_there(self, studio: Studio) -> None:
        plan = studio.plan({**FILES, **INK})
        del studio.warehouse.files["ink.safetensors"]

        ended = studio.get(plan)

        assert ended.code == 4
        failed = [one for one in ended.files if one["status"] == "failed"]
        assert [(one["name"], one["error"]["code"]) for one in failed] == [("ink.safetensors", "not_found")]
        assert ended.result["summary"]["downloaded"] == len(FILES)

    def test_what_may_pass_is_tried_again_by_dask(self, studio: Studio) -> None:
        tries: list[str] = []

        def lose_the_first(asked: Asked) -> None:
            tries.append(asked.path)
            if len(tries) == 1:
                raise ConnectionResetError

        studio.warehouse.before = lose_the_first

        ended = studio.get(studio.plan(INK), "--retries", "0")

        assert ended.code == 0, ended.result
        assert len(tries) == 2

    def test_the_first_failure_is_the_last_if_the_user_says_so(self, studio: Studio) -> None:
        plan = studio.plan({"z.safetensors": safetensors("z", 10_000), **FILES})
        del studio.warehouse.files["z.safetensors"]
        over = threading.Event()
        studio.warehouse.before = lambda asked: over.wait(20) and None

        ended = studio.get(plan, "--fail-fast")
        over.set()

        assert ended.code == 4
        assert ended.result["summary"]["failed"] == 1
        assert ended.result["summary"]["skipped"] == len(FILES)


class TestSources:
    def test_no_source_sees_more_files_at_a_time_than_it_may(self, studio: Studio) -> None:
        lock, now, most = threading.Lock(), [0], [0]

        def count(asked: Asked) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.03)
            with lock:
                now[0] -= 1

        studio.warehouse.before = count
        studio.get(studio.plan(FILES), "-j", "1", "--connections", "1")

        assert most == [1]

    def test_transfers_from_a_source_begin_apart_whoever_makes_them(self, studio: Studio) -> None:
        times: list[float] = []
        studio.warehouse.before = lambda asked: times.append(time.monotonic())

        studio.get(studio.plan(FILES), "--delay", "0.2", "--connections", "1")

        # What lies between the beginning and the request is a little more for one than for the other.
        assert len(times) == len(FILES)
        assert times[-1] - times[0] >= 0.2 * (len(FILES) - 1) - 0.1
        assert min(later - earlier for earlier, later in pairwise(times)) > 0.1

    def test_what_a_source_asks_one_worker_for_all_of_them_heed(self, studio: Studio) -> None:
        times: list[float] = []

        def note(asked: Asked) -> None:
            times.append(time.monotonic())
            if len(times) == 1:
                studio.warehouse.refusals.append(Reply(status=429, headers={"Retry-After": "3"}))

        studio.warehouse.before = note
        files = {f"{number}.safetensors": safetensors(str(number)) for number in range(30)}

        ended = studio.get(studio.plan(files), "-j", "64", "--connections", "1")

        assert ended.code == 0, ended.result
        # The other worker may have begun a file or two before it heard of it.
        soon = [one for one in times[1:] if one - times[0] < 2.5]
        assert len(soon) <= 6
        assert len(times) == len(files) + 1

    def test_a_source_of_the_studios_own_is_not_held_back(self, studio: Studio) -> None:
        both = threading.Barrier(2, timeout=20)
        studio.warehouse.before = lambda asked: both.wait() and None

        ended = studio.get(
            studio.plan(dict(list(FILES.items())[:2])),
            *("-j", "1", "--delay", "100", "--unbounded", "warehouse", "--connections", "1"),
        )

        assert ended.code == 0, ended.result


class TestSecrets:
    def test_tokens_of_the_workers_open_the_source_and_are_nowhere_else(self, studio: Studio) -> None:
        studio.warehouse.token = TOKEN
        begun, over = threading.Event(), threading.Event()

        def hold(asked: Asked) -> None:
            begun.set()
            over.wait(20)

        studio.warehouse.before = hold
        run = studio.start(studio.plan(FILES), "-v")
        assert begun.wait(30)
        state = dump(studio.cluster)
        over.set()
        ended = studio.end(run)

        assert ended.code == 0, ended.stderr
        assert b"comfywatchman" in state
        everything = state + studio.cluster.logs() + ended.stderr.encode() + repr(ended.lines).encode()
        assert TOKEN.encode() not in everything

    def test_a_token_of_whoever_starts_the_run_stays_with_him(self, studio: Studio) -> None:
        secret = "t0ken-of-the-driver-1f0c"
        settings = studio.place / "config.toml"
        settings.write_text(f'[backends.warehouse]\nurl = "{studio.warehouse.origin.url}"\ntoken = "{secret}"\n')
        begun, over = threading.Event(), threading.Event()

        def hold(asked: Asked) -> None:
            begun.set()
            over.wait(20)

        studio.warehouse.before = hold
        run = studio.start(studio.plan(INK), "--config", str(settings))
        assert begun.wait(30)
        state = dump(studio.cluster)
        over.set()
        ended = studio.end(run)

        assert ended.code == 0
        assert secret.encode() not in state + studio.cluster.logs() + repr(ended.lines).encode()
        shown = [asked.headers.get("authorization", "") for asked in studio.warehouse.origin.asked]
        assert set(shown) == {f"Bearer {TOKEN}"}


def dump(running: Cluster) -> bytes:
    """All that the scheduler and the workers hold: tasks, their arguments, events, logs."""
    program = """
import pickle, sys
from distributed import Client

def of_scheduler(dask_scheduler):
    tasks = [(key, pickle.dumps(one.run_spec), repr(one)) for key, one in dask_scheduler.tasks.items()]
    events = {topic: dask_scheduler.get_events(topic) for topic in dask_scheduler.get_events()}
    return repr((tasks, events, list(dask_scheduler.transition_log), repr(dask_scheduler.extensions)))

def of_worker(dask_worker):
    tasks = [(key, pickle.dumps(one.run_spec), repr(one)) for key, one in dask_worker.state.tasks.items()]
    return repr((tasks, list(dask_worker.state.log), list(dask_worker.state.stimulus_log)))

with Client(scheduler_file=sys.argv[1]) as client:
    print(client.run_on_scheduler(of_scheduler))
    print(client.run(of_worker))
    print(client.get_scheduler_logs(), client.get_worker_logs())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(running.scheduler_file)], env=dict(running.environ), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class TestBeforeTheRun:
    def test_without_a_scheduler_it_says_so(self, studio: Studio, tmp_path: Path) -> None:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "comfywatchman_fleet", "get", "--scheduler", "tcp://127.0.0.1:9"),
                *("--plan", str(studio.plan(INK)), "--models-dir", str(tmp_path), "--no-config"),
            ],
            env={**studio.cluster.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"},
            capture_output=True,
            text=True,
        )

        assert run.returncode == 5
        assert "no scheduler answers at tcp://127.0.0.1:9" in run.stderr
        assert "Traceback" not in run.stderr

    def test_without_workers_it_says_so_when_patience_ends(self, studio: Studio) -> None:
        with cluster(studio.place / "empty", studio.cluster.place / "site", {}) as empty:
            ended = Studio(studio.place, empty, studio.warehouse).get(studio.plan(INK), "--patience", "0.5")

        assert ended.code == 5
        assert "workers on 0 machines" in ended.stderr

    @pytest.mark.parametrize("content", ["", "{}", '{"schema": "comfywatchman-plan/9"}'])
    def test_what_is_no_plan_is_refused_before_anybody_is_asked(self, studio: Studio, content: str) -> None:
        plan = studio.place / "broken.json"
        plan.write_text(content)

        assert studio.get(plan).code == 2


class TestAnyExecutor:
    def test_the_library_takes_the_clusters_executor(self, studio: Studio) -> None:
        plan = studio.plan(FILES)
        program = """
import sys
from distributed import Client
import comfywatchman_core as cw
from comfywatchman_core.planfile import read_plan
from pathlib import Path

config = cw.Config.load(arguments={"models_dir": sys.argv[3], "state_dir": sys.argv[4]}, use_file=False)
with Client(scheduler_file=sys.argv[1]) as client, cw.Watchman(config) as watchman:
    report = watchman.get_plan(read_plan(Path(sys.argv[2])), executor=client.get_executor(pure=False))
print(report.summary.downloaded, report.exit_code)
"""
        done = subprocess.run(
            [
                *(sys.executable, "-c", program, str(studio.cluster.scheduler_file), str(plan)),
                *(str(studio.models), str(studio.place / "state")),
            ],
            env={**studio.cluster.environ, "COMFYWATCHMAN_WAREHOUSE_URL": studio.warehouse.origin.url},
            capture_output=True,
            text=True,
        )

        assert done.stdout.split() == [str(len(FILES)), "0"], done.stderr
        assert sorted(studio.warehouse.transfers()) == sorted(FILES)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="gives each machine a disk of its own: root")
def test_machines_with_disks_of_their_own_get_every_file_each(tmp_path: Path) -> None:
    site = write_distribution(tmp_path / "site")
    (tmp_path / "disk").mkdir()
    with cluster(tmp_path / "cluster", site, {}, {TOKEN_VARIABLE: TOKEN}) as running, open_warehouse() as source:
        for name, host in (("anna", "127.0.0.1"), ("anna-2", "127.0.0.1"), ("bert", "127.0.0.2")):
            disk = tmp_path / f"disk-of-{host}"
            disk.mkdir(exist_ok=True)
            running.add(name, host=host, before=with_disk(disk, tmp_path / "disk"))
        studio = Studio(tmp_path, running, source)
        ended = studio.get(studio.plan(FILES), "--mode", "each", "--machines", "2", models=tmp_path / "disk" / "models")

    assert ended.code == 0, ended.stderr
    for host in ("127.0.0.1", "127.0.0.2"):
        for name, data in FILES.items():
            assert (tmp_path / f"disk-of-{host}" / "models" / "loras" / name).read_bytes() == data
    assert sorted(source.transfers()) == sorted([*FILES, *FILES])
    assert list((tmp_path / "disk").iterdir()) == []
    assert len(ended.files) == 2 * len(FILES)
    assert {one["worker"] for one in ended.files} >= {"bert"}


def test_ctrl_c_has_the_workers_keep_what_has_arrived_and_prints_the_report(studio: Studio) -> None:
    begun, over = threading.Event(), threading.Event()

    def hold(asked: Asked) -> None:
        begun.set()
        over.wait(20)

    studio.warehouse.before = hold
    run = studio.start(plan := studio.plan(FILES))
    assert begun.wait(30)
    run.send_signal(signal.SIGINT)
    ended = studio.end(run)
    over.set()
    studio.warehouse.before = lambda asked: None
    again = studio.get(plan)

    assert ended.code == 130
    assert len(ended.files) == len(FILES)
    assert {one["error"]["code"] for one in ended.files} == {"cancelled"}
    assert "Traceback" not in ended.stderr
    assert again.code == 0
    assert sorted(path.name for path in (studio.models / "loras").iterdir()) == sorted(FILES)
