"""The packages in use, each installed alone from its wheel, with nothing of this tree beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Environment

pytestmark = pytest.mark.slow

PRIORITIES = {"mirror": 95, "directid": 90, "shelf": 80, "huggingface": 60, "civitai": 50, "core": -1000}
PLUGINS = ("directid", "huggingface", "civitai", "mirror", "shelf")
EVERYTHING = ("comfywatchman", "comfywatchman-mirror", "comfywatchman-shelf", "comfywatchman-core[testing]")

Making = Callable[..., Environment]


def back_ends(environment: Environment) -> list[tuple[str, str, int, str]]:
    """Name, state, priority and distribution, as the command lists them."""
    lines = [json.loads(line) for line in environment.run("comfywatchman", "backends", "--json").splitlines()]
    assert lines[-1]["event"] == "result"
    return [(one["name"], one["state"], one["priority"], one["distribution"]) for one in lines[:-1]]


def expected(*names: str) -> list[tuple[str, str, int, str]]:
    return [(name, "ready", PRIORITIES[name], f"comfywatchman-{name}") for name in names]


def a_scan(environment: Environment) -> str:
    """What a scan prints where one file is there and another is not."""
    models = environment.place / "models"
    (models / "vae").mkdir(parents=True, exist_ok=True)
    # the smallest file that a loader reads: a header of two bytes, and no tensor
    (models / "vae" / "there.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    named = ("vae/there.safetensors", "loras/missing.safetensors")
    return environment.run("comfywatchman", "scan", *named, "--models-dir", "models", exit_code=4)


def test_the_core_alone_is_a_command_that_scans_and_reports(environment_with: Making) -> None:
    alone = environment_with("comfywatchman-core")

    told = a_scan(alone)

    assert "vae/there.safetensors" in told
    assert "loras/missing.safetensors" in told
    assert back_ends(alone) == expected("core")


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugins_wheel_adds_its_back_end_and_nothing_else_changes(environment_with: Making, name: str) -> None:
    alone, with_plugin = environment_with("comfywatchman-core"), environment_with(f"comfywatchman-{name}")

    assert back_ends(with_plugin) == expected(name, "core")
    assert a_scan(with_plugin) == a_scan(alone)
    for command in ("get", "scan", "plan", "backends"):
        assert with_plugin.run("comfywatchman", command, "--help") == alone.run("comfywatchman", command, "--help")


def test_the_package_without_code_brings_the_three_sources_in_their_order(environment_with: Making) -> None:
    assert back_ends(environment_with("comfywatchman")) == expected("directid", "huggingface", "civitai", "core")


def test_three_lines_of_python_work_with_the_core_alone(environment_with: Making) -> None:
    alone = environment_with("comfywatchman-core")
    program = """
import comfywatchman_core as cw
report = cw.ensure_models("loras/missing.safetensors", models_dir="models")
print(report.exit_code, [entry.request.label for entry in report.entries])
"""

    assert alone.run("python", "-c", program) == "4 ['loras/missing.safetensors']\n"


def test_a_fleet_adds_a_command_and_no_back_end(environment_with: Making) -> None:
    studio = environment_with("comfywatchman-fleet")

    assert studio.run("comfywatchman-fleet", "--version").startswith("comfywatchman-fleet ")
    assert "--scheduler" in studio.run("comfywatchman-fleet", "get", "--help")
    assert back_ends(studio) == expected("core")


def test_the_module_is_the_command(environment_with: Making) -> None:
    alone = environment_with("comfywatchman-core")

    assert alone.run("python", "-m", "comfywatchman_core", "--version") == alone.run("comfywatchman", "--version")


@pytest.mark.parametrize("name", PLUGINS)
def test_every_back_end_keeps_the_contract_as_it_is_installed(environment_with: Making, name: str) -> None:
    everything = environment_with(*EVERYTHING)
    tests = Path("examples" if name == "shelf" else "plugins", name, "tests", "test_contract.py")

    told = everything.run_in_tree("python", "-m", "pytest", "-q", tests)

    assert " passed" in told
    assert "failed" not in told


def test_the_tests_above_are_about_the_installed_packages(environment_with: Making) -> None:
    everything = environment_with(*EVERYTHING)
    modules = ["comfywatchman_core", "comfywatchman_shelf", *(f"comfywatchman_{name}" for name in PLUGINS)]

    places = everything.run_in_tree(
        "python", "-c", f"import importlib; [print(importlib.import_module(m).__file__) for m in {modules!r}]"
    )

    assert [place for place in places.splitlines() if not Path(place).is_relative_to(everything.place)] == []
