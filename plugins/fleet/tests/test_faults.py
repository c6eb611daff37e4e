"""What dies, sleeps or is wrong in a fleet, and what it costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standins.dask_cluster import cluster
from standins.warehouse import TOKEN_VARIABLE, open_warehouse, write_distribution

from comfywatchman_core.testing import safetensors

from .conftest import TOKEN, Studio

INK = {"ink.safetensors": safetensors("ink", 3_000_000)}
SLOWLY = ("--limit-rate", "1M", "--connections", "1")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def follow(run: subprocess.Popen[str], until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Read what the command tells until something is told."""
    assert run.stdout is not None
    for text in run.stdout:
        line: dict[str, Any] = json.loads(text)
        if until(line):
            return line
    raise AssertionError(run.communicate())


def is_halfway(line: dict[str, Any]) -> bool:
    return line["event"] == "progress" and line["received"] >= len(INK["ink.safetensors"]) / 2


def check(studio: Studio) -> None:
    """What holds whatever happened: the right bytes under the right name, and nothing beside them."""
    folder = studio.models / "loras"
    assert [path.name for path in folder.iterdir()] == ["ink.safetensors"]
    assert (folder / "ink.safetensors").read_bytes() == INK["ink.safetensors"]


def ranges(studio: Studio) -> list[int]:
    """Where each transfer of the file began."""
    asked = [one.headers.get("range", "bytes=0-") for one in studio.warehouse.origin.asked if "/files/" in one.path]
    return [int(one.removeprefix("bytes=").partition("-")[0]) for one in asked]


def test_a_worker_killed_halfway_costs_the_other_one_only_the_rest(own_studio: Studio) -> None:
    run = own_studio.start(own_studio.plan(INK), *SLOWLY)
    killed = follow(run, is_halfway)["worker"]
    own_studio.cluster.workers[killed].kill()

    ended = own_studio.end(run)

    assert ended.code == 0, ended.stderr
    (file,) = ended.files
    assert {killed, file["worker"]} == {"anna", "bert"}
    assert ranges(own_studio)[-1] > len(INK["ink.safetensors"]) / 4
    check(own_studio)


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_run_and_the_next_one_goes_on(own_studio: Studio) -> None:
    plan = own_studio.plan(INK)
    run = own_studio.start(plan, *SLOWLY)
    follow(run, is_halfway)
    own_studio.cluster.scheduler.kill()

    ended = own_studio.end(run)
    own_studio.cluster.close()
    site = own_studio.place / "site"
    with cluster(own_studio.place / "next", site, {"cora": "127.0.0.1"}, {TOKEN_VARIABLE: TOKEN}) as running:
        again = Studio(own_studio.place, running, own_studio.warehouse).get(plan)

    assert ended.code == 5
    assert ended.files[0]["error"]["code"] == "network"
    assert "scheduler was lost" in ended.files[0]["error"]["message"]
    assert "Traceback" not in ended.stderr
    assert again.code == 0, again.stderr
    check(own_studio)


@pytest.mark.slow
def test_without_workers_files_are_given_up_when_patience_ends(own_studio: Studio) -> None:
    run = own_studio.start(own_studio.plan(INK), *SLOWLY, "--patience", "1")
    follow(run, is_halfway)
    for worker in own_studio.cluster.workers.values():
        worker.kill()

    ended = own_studio.end(run)

    assert ended.code == 5
    assert ended.files[0]["error"]["code"] == "unavailable"
    assert "no worker" in ended.files[0]["error"]["message"]


@pytest.fixture
def hosts(tmp_path: Path) -> Any:
    """A cluster without workers that thinks them dead soon."""
    site = write_distribution(tmp_path / "site")
    settings = {TOKEN_VARIABLE: TOKEN, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}
    with cluster(tmp_path / "cluster", site, {}, settings) as running, open_warehouse() as source:
        studio = Studio(tmp_path, running, source)
        yield studio
        studio.close()


def add_host(studio: Studio, name: str, address: str, **settings: object) -> None:
    environ = {"OTHER_HOST": name, **{key: str(value) for key, value in settings.items()}}
    studio.cluster.add(name, "--preload", "standins.other_host", host=address, environ=environ)


@pytest.mark.slow
def test_a_worker_that_only_slept_harms_nothing_when_it_wakes_up(hosts: Studio) -> None:
    add_host(hosts, "anna", "127.0.0.1", SILENCE=2)
    run = hosts.start(hosts.plan(INK), *SLOWLY)
    follow(run, lambda line: line["event"] == "started")
    add_host(hosts, "bert", "127.0.0.2", SILENCE=2)
    follow(run, is_halfway)
    asleep = hosts.cluster.workers["anna"]
    asleep.send_signal(signal.SIGSTOP)

    follow(run, lambda line: line["event"] == "progress" and line["worker"] == "bert")
    asleep.send_signal(signal.SIGCONT)
    ended = hosts.end(run)
    time.sleep(1)  # what the sleeper may still do

    assert ended.code == 0, ended.stderr
    assert ended.files[0]["worker"] == "bert"
    check(hosts)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_hosts_whose_clocks_differ_by_an_hour_fetch_a_file_of_their_common_tree_once(hosts: Studio, ahead: int) -> None:
    add_host(hosts, "anna", "127.0.0.1", SILENCE=8)
    add_host(hosts, "bert", "127.0.0.2", SILENCE=8, CLOCK_AHEAD=ahead)

    ended = hosts.get(hosts.plan(INK), *SLOWLY, "--mode", "each", "--machines", "2")

    assert ended.code == 0, ended.stderr
    assert ranges(hosts) == [0]
    check(hosts)
