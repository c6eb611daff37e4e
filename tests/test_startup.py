"""What is imported before anything is asked for. Modules are counted and not milliseconds: clocks are flaky."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HEAVY = {
    "attr",
    "attrs",
    "cattr",
    "cattrs",
    "pluggy",
    "requests",
    "urllib3",
    "rich",
    "yaml",
    "importlib.metadata",
    "shutil",
    "typing",
}
"""Each costs more than the answer to ``--help`` itself, ``typing`` included."""


def modules_after(code: str) -> set[str]:
    """The modules that *code* loads in a process of its own, without what a bare interpreter loads."""
    environment = {
        name: text for name, text in os.environ.items() if name != "PYTHONPATH"
    }  # no guard, no imports of it
    output = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; bare = set(sys.modules)\n{code}\nprint('MODULES', *(set(sys.modules) - bare))",
        ],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return set(output.rpartition("MODULES")[2].split())


def foreign(modules: set[str]) -> set[str]:
    """Those that are neither Python's nor the project's."""
    known = sys.stdlib_module_names | {"comfywatchman_core"}
    return {module for module in modules if module.partition(".")[0] not in known}


def command(*arguments: str) -> str:
    return (
        "from comfywatchman_core.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as stop: assert not stop.code"
    )


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("get", "--help"), ("scan", "--help"), ("backends", "--help")]
)
def test_help_and_version_import_no_third_party_module_and_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = modules_after(command(*arguments))

    assert foreign(modules) == set()
    assert modules & HEAVY == set()
    assert not any(module.startswith("comfywatchman_") and "core" not in module for module in modules)


def test_importing_the_library_imports_nothing_but_its_version() -> None:
    modules = modules_after("import comfywatchman_core")

    assert {module for module in modules if module.startswith("comfywatchman")} == {
        "comfywatchman_core",
        "comfywatchman_core._version",
    }
    assert foreign(modules) == set()
    assert modules & HEAVY == set()


def test_importing_the_api_brings_neither_a_back_end_nor_a_transfer_library() -> None:
    modules = modules_after("from comfywatchman_core import *")

    assert modules & {"urllib3", "requests", "rich", "huggingface_hub"} == set()
    assert not any(module.startswith(("comfywatchman_civitai", "comfywatchman_hugging")) for module in modules)


def test_a_scan_loads_no_back_end_and_no_network_library(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text('{"1": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}}}')
    run = f"main(['scan', {str(tmp_path / 'w.json')!r}, '--models-dir', {str(tmp_path)!r}, '--no-config', '-q'])"

    modules = modules_after(f"from comfywatchman_core.cli import main\nassert {run} == 4")

    assert modules & {"urllib3", "requests", "certifi", "rich", "pluggy", "importlib.metadata"} <= {"pluggy"}
    assert not any(module.startswith("comfywatchman_") and "core" not in module for module in modules)


def test_an_address_reads_no_graph_and_writes_no_page_plan_or_copy(tmp_path: Path) -> None:
    line = ["scan", "https://example.org/ink.safetensors", "--models-dir", str(tmp_path)]

    modules = modules_after(f"from comfywatchman_core.cli import main\nmain({[*line, '--no-config', '-q']!r})")

    parts = {module.removeprefix("comfywatchman_core.") for module in modules}
    assert "intake" in parts
    assert parts & {"workflow", "containers", "declaring", "htmlreport", "planfile", "doctor", "audited"} == set()
    assert modules & {"subprocess", "tomllib", "difflib"} == set()


def test_garbage_is_collected_again_when_the_command_is_imported() -> None:
    modules_after(f"import gc\n{command('config', '--no-config')}\nassert gc.isenabled()")


def test_the_command_is_installed_under_its_name() -> None:
    script = Path(sysconfig.get_path("scripts")) / "comfywatchman"
    if not script.exists():
        pytest.skip("the core is not installed in this environment")

    output = subprocess.run([script, "--version"], check=True, capture_output=True, text=True).stdout

    from comfywatchman_core import __version__

    assert output == f"comfywatchman {__version__}\n"


def test_the_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "comfywatchman_core", "--version"], check=True, capture_output=True, text=True
    )

    assert done.stdout.startswith("comfywatchman ")
