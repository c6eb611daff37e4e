"""The packages as a user gets them: built once, and installed into environments of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]

SOURCES = {
    "comfywatchman-core": ROOT,
    "comfywatchman-directid": ROOT / "plugins" / "directid",
    "comfywatchman-huggingface": ROOT / "plugins" / "huggingface",
    "comfywatchman-civitai": ROOT / "plugins" / "civitai",
    "comfywatchman": ROOT / "meta",
    "comfywatchman-fleet": ROOT / "plugins" / "fleet",
    "comfywatchman-mirror": ROOT / "plugins" / "mirror",
    "comfywatchman-shelf": ROOT / "examples" / "shelf",
}
"""Distribution → where it is built. The last one stands for everybody else's."""


def run(
    command: Sequence[str | Path], *, cwd: Path, environ: Mapping[str, str] | None = None, exit_code: int = 0
) -> str:
    """Run a command to its end and return what it prints; everything that it says is in the failure."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=dict(os.environ if environ is None else environ),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == exit_code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@frozen
class Environment:
    """A virtual environment with some of the packages and nothing of this tree."""

    place: Path

    @property
    def bin(self) -> Path:
        return self.place / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *command: str | Path, exit_code: int = 0) -> str:
        """Run *command* (``comfywatchman``, ``python``) of this environment, in its own directory."""
        return run([self.bin / command[0], *command[1:]], cwd=self.place, environ=self._environ(), exit_code=exit_code)

    def run_in_tree(self, *command: str | Path) -> str:
        """As :meth:`run`, in the root of the tree, for tests that lie there."""
        return run([self.bin / command[0], *command[1:]], cwd=ROOT, environ=self._environ())

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**kept, "HOME": str(self.place / "home"), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution of every package, and the wheel built from that."""
    place = tmp_path_factory.mktemp("dist")
    for source in SOURCES.values():
        run([sys.executable, "-m", "build", "--no-isolation", "--outdir", place, source], cwd=place)
    return place


@pytest.fixture(scope="session")
def wheels(dist: Path) -> Mapping[str, Path]:
    """Distribution → its wheel."""
    return {name: next(dist.glob(f"{name.replace('-', '_')}-[0-9]*.whl")) for name in SOURCES}


@pytest.fixture(scope="session")
def wheelhouse(dist: Path, wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the packages depend on, fetched once; from here on nothing but files is needed."""
    place = tmp_path_factory.mktemp("wheelhouse")
    wanted = [f"{wheels['comfywatchman-core']}[testing]", *(str(wheel) for wheel in wheels.values())]
    run([sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", place, *wanted], cwd=place)
    return place


@pytest.fixture(scope="session")
def environment_with(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Make an environment with the distributions named; the same names get the same one."""
    made: dict[tuple[str, ...], Environment] = {}

    def environment_with(*distributions: str) -> Environment:
        if distributions not in made:
            place = tmp_path_factory.mktemp("environment")
            run([sys.executable, "-m", "venv", "--without-pip", place], cwd=place)
            environment = Environment(place)
            pip = [sys.executable, "-m", "pip", "--isolated", "--python", environment.bin / "python", "install", "-q"]
            run([*pip, "--no-index", "--find-links", wheelhouse, *distributions], cwd=place)
            made[distributions] = environment
        return made[distributions]

    return environment_with
