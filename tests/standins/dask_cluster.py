"""A Dask scheduler and its workers on loopback, each a process of its own that a test may stop or kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

_TESTS = Path(__file__).parents[1]


@define
class Cluster:
    """The processes, and how to start more of them."""

    place: Path
    environ: Mapping[str, str]
    scheduler: subprocess.Popen[bytes]
    workers: dict[str, subprocess.Popen[bytes]] = field(factory=dict)

    @property
    def scheduler_file(self) -> Path:
        return self.place / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.scheduler_file.read_text())["address"])

    def add(
        self,
        name: str,
        *options: str,
        host: str = "127.0.0.1",
        environ: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a worker that is called *name*.

        :param before: Words that stand before the command.
        """
        self.workers[name] = start(
            self.place,
            name,
            [
                *("distributed.cli.dask_worker", "--scheduler-file", str(self.scheduler_file), "--name", name),
                *("--no-nanny", "--nthreads", "1", "--host", host, "--dashboard-address", f"{host}:0"),
                *("--local-directory", str(self.place / f"{name}-scratch"), *options),
            ],
            {**self.environ, "XDG_STATE_HOME": str(self.place / f"{name}-state"), **(environ or {})},
            before=before,
        )
        return self.workers[name]

    def logs(self) -> bytes:
        """What scheduler and workers wrote so far."""
        return b"".join(path.read_bytes() for path in self.place.glob("*.log"))

    def close(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)


def with_disk(disk: Path, place: Path) -> tuple[str, ...]:
    """Words before a command that let it alone see *disk* at *place*; only root can do that."""
    return ("unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', str(disk), str(place))


def start(
    place: Path, name: str, module: Sequence[str], environ: Mapping[str, str], *, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Run a module in a process whose output goes to ``NAME.log`` in *place*.

    :param before: Words that stand before the command.
    """
    with (place / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*before, sys.executable, "-m", *module],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place,
        )


def environment(place: Path, site: Path) -> dict[str, str]:
    """What the processes of a cluster see: no settings of the user, no way off the machine.

    :param site: Where back ends for tests are installed.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    paths = (_TESTS / "guard", site, _TESTS)
    return {
        **kept,
        "HOME": str(place),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "COMFYWATCHMAN_DISABLE": "civitai,directid,huggingface",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    }


@contextmanager
def cluster(
    place: Path, site: Path, workers: Mapping[str, str], settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Run a cluster until the block ends.

    :param workers: Name → address that it listens at; those of one address are one machine.
    :param settings: More of the environment of all of them.
    """
    place.mkdir(parents=True, exist_ok=True)
    environ = {**environment(place, site), **(settings or {})}
    command = [
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--dashboard-address",
        "127.0.0.1:0",
    ]
    scheduler = start(place, "scheduler", [*command, "--scheduler-file", str(place / "scheduler.json")], environ)
    made = Cluster(place, environ, scheduler)
    try:
        until = time.monotonic() + 30
        while not made.scheduler_file.exists():
            assert scheduler.poll() is None, made.logs().decode()
            assert time.monotonic() < until, made.logs().decode()
            time.sleep(0.05)
        for name, host in workers.items():
            made.add(name, host=host)
        yield made
    finally:
        made.close()
