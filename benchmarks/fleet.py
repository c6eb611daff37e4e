"""What a fleet is worth: several workers over capped lines, what a tiny file costs, and what a source sees of it.

Run it as `python benchmarks/fleet.py`; it needs nginx and openssl, and takes some minutes.
`python benchmarks/fleet.py tiny` runs one of its parts: lines, tiny, source.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from _loopback import Site, site
from attrs import frozen
from distributed import LocalCluster

from comfywatchman_core.planfile import Plan, PlannedFile, read_plan, write_plan
from comfywatchman_core.testing import safetensors, sha256

_LARGE, _TINY, _TIMED = 32, 10_000, 60
_ENOUGH = 2000
"""Tiny files that say what one costs without a fleet."""
_DELAY = 0.1
_CAP = 8 << 20
"""Bytes a second of each worker's line: little enough that the cores of one machine do the work of several."""


@frozen
class Run:
    """One run of the command."""

    seconds: float
    """From the plan to the report, without the start of the command."""
    files: int


def plan_of(place: Path, served: Path, site: Site, prefix: str, files: int, size: int) -> Path:
    """Put files on the server and write a plan of them."""
    planned = []
    for number in range(files):
        name = f"{prefix}-{number:05}.safetensors"
        data = safetensors(name, size)
        (served / name).write_bytes(data)
        url = f"{site.https}/{'capped/' if size > 1 << 20 else ''}{name}"
        planned.append(
            PlannedFile(
                folder="loras", name=name, sha256=sha256(data), size=len(data), url=url, backend="core", match="digest"
            )
        )
    write_plan(Plan(tuple(planned)), place / f"{prefix}.json")
    return place / f"{prefix}.json"


def fetched(plan: Path, cluster: LocalCluster, place: Path, *options: str) -> Run:
    """Have *plan* carried out by *cluster*, into an empty folder."""
    with tempfile.TemporaryDirectory(dir=place) as models:
        command = [sys.executable, "-m", "comfywatchman_fleet", "get", "--scheduler", cluster.scheduler_address]
        command += ["--plan", str(plan), "--models-dir", models, "--json", "--config", str(place / "config.toml")]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        last = process.stdout.readline()  # the plan is read, and the scheduler has answered
        begun = time.monotonic()
        for line in process.stdout:
            last = line
        seconds = time.monotonic() - begun
        result: dict[str, Any] = json.loads(last)
        assert process.wait() == 0, result
        return Run(seconds, result["summary"]["downloaded"])


def alone(plan: Path, place: Path) -> float:
    """Seconds that one process takes for each of the same steps, one after the other, with nothing between them."""
    from comfywatchman_core import Config
    from comfywatchman_core.steps import Orders, Step, carry_out

    with tempfile.TemporaryDirectory(dir=place) as models:
        orders = Orders.of(Config.load(arguments={"models_dir": models}, file=place / "config.toml"))
        steps = [Step.of_plan(orders, one) for one in read_plan(plan).files[:_ENOUGH]]
        carry_out(steps[0])  # loads what the worker of a fleet has loaded as well
        begun = time.monotonic()
        for step in steps[1:]:
            assert carry_out(step).entry.error is None
        return (time.monotonic() - begun) / (len(steps) - 1)


def workers(count: int) -> LocalCluster:
    return LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None)


def lines(place: Path, served: Path, at: Site) -> None:
    """Each worker's line gives so much; more workers have more lines."""
    size = 2 * _CAP
    plan = plan_of(place, served, at, "large", _LARGE, size)
    print(f"{_LARGE} files of {size >> 20} MiB, each worker's line capped at {_CAP >> 20} MiB/s:")
    one = 0.0
    for count in (1, 2, 4):
        with workers(count) as cluster:
            seconds = fetched(plan, cluster, place, "--connections", "1", "--jobs", "64").seconds
        one = one or seconds
        rate = _LARGE * size / seconds / (1 << 20)
        print(f"  {count} workers  {seconds:6.1f} s  {rate:6.1f} MiB/s  {one / seconds / count:5.2f} x linear")


def tiny(place: Path, served: Path, at: Site) -> None:
    """What a file costs in a fleet beyond what it costs without one."""
    plan = plan_of(place, served, at, "tiny", _TINY, 1000)
    apart = alone(plan, place)
    print(f"{_TINY} files of 1 kB: {apart * 1000:.2f} ms each in one process, one after the other")
    with workers(1) as cluster:
        run = fetched(plan, cluster, place, "--connections", "1")
    each = run.seconds / run.files
    print(f"  1 worker  {each * 1000:6.2f} ms each  {(each - apart) * 1000:6.2f} ms beyond")


def source(place: Path, served: Path, at: Site) -> None:
    """What the source sees each second, whatever the number of workers."""
    plan = plan_of(place, served, at, "timed", _TIMED, 1000)
    print(f"{_TIMED} files, {_DELAY} s apart: at most {1 / _DELAY:.0f} requests a second are allowed")
    log = place / "access.log"
    for count in (1, 2, 4):
        log.write_bytes(b"")
        with workers(count) as cluster:
            fetched(plan, cluster, place, "--connections", "1", "--jobs", "64", "--delay", str(_DELAY))
        times = sorted(float(line) for line in log.read_text().split())
        most = max(sum(begin <= one < begin + 1 for one in times) for begin in times)
        rate = (len(times) - 1) / (times[-1] - times[0])
        print(f"  {count} workers  {len(times)} requests, {rate:4.1f} a second, {most} in the busiest second")


def main(parts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        served = place / "served"
        served.mkdir()
        os.environ |= {"HOME": directory, "XDG_STATE_HOME": directory, "COMFYWATCHMAN_NO_PLUGINS": "1"}
        (place / "config.toml").write_text("[download]\nallow_private_urls = true\nlink = 'never'\n")
        with site(served, place, logged=True, cap=_CAP) as at:
            if not at.https:
                raise SystemExit("this needs nginx and openssl")
            os.environ["SSL_CERT_FILE"] = str(at.certificate)
            for part in (lines, tiny, source):
                if not parts or part.__name__ in parts:
                    part(place, served, at)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1:])
