"""Hosts of their own, in network namespaces on one bridge: one of them is cut off, and killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from standins.dask_cluster import Cluster, environment, start
from standins.warehouse import TOKEN_VARIABLE, open_warehouse, write_distribution

from .conftest import TOKEN, Studio
from .test_faults import INK, SLOWLY, check, follow, is_halfway

_IP = shutil.which("ip")


def ip(*words: str, check: bool = True) -> None:
    subprocess.run([str(_IP), *words], check=check, capture_output=True)


def may_make_hosts() -> bool:
    if _IP is None or sys.platform != "linux" or os.geteuid() != 0:
        return False
    name = f"cw-{os.getpid()}"
    made = subprocess.run([_IP, "netns", "add", name], capture_output=True).returncode == 0
    ip("netns", "delete", name, check=False)
    return made


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may_make_hosts(), reason="makes network namespaces: needs ip, and root's rights"),
]


@contextmanager
def bridge(names: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Make a host for each of *names*; yields this machine's address on their network, and theirs."""
    number = os.getpid() % 250
    net = f"10.213.{number}"
    br = f"cwbr{number}"
    spaces = {name: f"cw{number}{name}" for name in names}
    try:
        ip("link", "add", br, "type", "bridge")
        ip("address", "add", f"{net}.1/24", "dev", br)
        ip("link", "set", br, "up")
        for place, space in enumerate(spaces.values(), 2):
            ip("netns", "add", space)
            ip("link", "add", f"cwv{number}{place}", "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", f"cwv{number}{place}", "master", br, "up")
            for words in (f"address add {net}.{place}/24 dev eth0", "link set eth0 up", "link set lo up"):
                ip("-n", space, *words.split())
        yield f"{net}.1", {name: f"{net}.{place}" for place, name in enumerate(names, 2)}
    finally:
        for space in spaces.values():
            ip("netns", "delete", space, check=False)
        for place, _ in enumerate(names, 2):
            ip("link", "delete", f"cwv{number}{place}", check=False)
        ip("link", "delete", br, check=False)


@contextmanager
def relay(address: str, port: int) -> Iterator[int]:
    """Let the hosts reach a server that listens on this machine's loopback only."""
    listener = socket.create_server((address, 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_the_file_of_a_host_that_is_cut_off_and_dies_is_completed_by_another(tmp_path: Path) -> None:
    site = write_distribution(tmp_path / "site")
    place = tmp_path / "cluster"
    place.mkdir()
    with (
        bridge(("anna", "bert")) as (here, addresses),
        open_warehouse() as source,
        relay(here, int(source.origin.url.rpartition(":")[2])) as port,
    ):
        environ = {
            **environment(place, site),
            "PYTHONPATH": os.pathsep.join((str(site), str(Path(__file__).parents[3] / "tests"))),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s",
            TOKEN_VARIABLE: TOKEN,
            "SILENCE": "3",
        }
        command = ["distributed.cli.dask_scheduler", "--host", here, "--port", "0", "--dashboard-address", f"{here}:0"]
        scheduler = start(place, "scheduler", [*command, "--scheduler-file", str(place / "scheduler.json")], environ)
        running = Cluster(place, environ, scheduler)
        studio = Studio(tmp_path, running, source)
        try:
            while not running.scheduler_file.exists():
                assert scheduler.poll() is None, running.logs().decode()
            number = addresses["anna"].split(".")[2]

            def add(name: str) -> None:
                running.add(
                    name,
                    *("--preload", "standins.other_host"),
                    host=addresses[name],
                    environ={"OTHER_HOST": name},
                    before=("ip", "netns", "exec", f"cw{number}{name}"),
                )

            add("anna")
            url = source.origin.url
            plan = studio.plan(INK)
            plan.write_text(plan.read_text().replace(url, f"http://{here}:{port}"))
            run = studio.start(plan, *SLOWLY, url=f"http://{here}:{port}")
            follow(run, lambda line: line["event"] == "started")
            add("bert")
            follow(run, is_halfway)
            ip("link", "set", f"cwv{number}2", "down")
            running.workers["anna"].kill()
            ended = studio.end(run)
        finally:
            studio.close()
            running.close()

    assert ended.code == 0, ended.stderr
    assert ended.files[0]["worker"] == "bert"
    check(studio)
