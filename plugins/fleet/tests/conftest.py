"""A fleet of two machines on loopback, a source, and plans of what it has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen
from standins.dask_cluster import Cluster, cluster
from standins.warehouse import TOKEN_VARIABLE, Warehouse, open_warehouse, write_distribution

from comfywatchman_core.planfile import Plan, PlannedFile, write_plan
from comfywatchman_core.testing import sha256

TOKEN = "t0ken-of-the-workers-77b1"


@frozen
class Ended:
    """What a run of the command printed."""

    code: int
    lines: list[dict[str, Any]]
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def files(self) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = self.result["files"]
        return files


@define
class Studio:
    """Starts the command against a cluster."""

    place: Path
    cluster: Cluster
    warehouse: Warehouse
    _runs: list[subprocess.Popen[str]] = field(factory=list)

    @property
    def models(self) -> Path:
        return self.place / "models"

    def plan(self, files: Mapping[str, bytes]) -> Path:
        """Put *files* into the warehouse, and write a plan of them."""
        self.warehouse.files |= files
        planned = (
            PlannedFile(
                folder="loras",
                name=name,
                sha256=sha256(data),
                size=len(data),
                reference=f"warehouse:{name}",
                url=f"{self.warehouse.origin.url}/files/{name}",
                backend="warehouse",
            )
            for name, data in files.items()
        )
        write_plan(Plan(tuple(planned)), self.place / "plan.json")
        return self.place / "plan.json"

    def start(
        self, plan: Path, *options: str, models: Path | None = None, url: str | None = None
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "comfywatchman_fleet", "get", "--scheduler", str(self.cluster.scheduler_file)]
        command += ["--plan", str(plan), "--models-dir", str(models or self.models), "--json", "--no-config", *options]
        process = subprocess.Popen(
            command,
            env={**self.cluster.environ, "COMFYWATCHMAN_WAREHOUSE_URL": url or self.warehouse.origin.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._runs.append(process)
        return process

    def end(self, process: subprocess.Popen[str], seconds: float = 60) -> Ended:
        stdout, stderr = process.communicate(timeout=seconds)
        assert stdout, stderr + self.cluster.logs().decode()[-3000:]
        return Ended(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr)

    def get(self, plan: Path, *options: str, models: Path | None = None) -> Ended:
        return self.end(self.start(plan, *options, models=models))

    def close(self) -> None:
        for process in self._runs:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def two_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that tests share, and leave as it is."""
    place = tmp_path_factory.mktemp("cluster")
    site = write_distribution(place / "site")
    with cluster(place, site, {"anna": "127.0.0.1", "bert": "127.0.0.2"}, {TOKEN_VARIABLE: TOKEN}) as running:
        yield running


@pytest.fixture
def studio(tmp_path: Path, two_machines: Cluster) -> Iterator[Studio]:
    with open_warehouse() as warehouse:
        studio = Studio(tmp_path, two_machines, warehouse)
        yield studio
        studio.close()


@pytest.fixture
def own_studio(tmp_path: Path) -> Iterator[Studio]:
    """A cluster of the test's own, for what it kills."""
    site = write_distribution(tmp_path / "site")
    machines = {"anna": "127.0.0.1", "bert": "127.0.0.2"}
    with cluster(tmp_path / "cluster", site, machines, {TOKEN_VARIABLE: TOKEN}) as running, open_warehouse() as source:
        studio = Studio(tmp_path, running, source)
        yield studio
        studio.close()
