"""Completion of the command line: what is offered where, and what it must not cost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comfywatchman_core.cli.completion import name_command
from comfywatchman_core.cli.parser import COMMANDS, SHELLS

COMMAND = Path(sys.executable).with_name("comfywatchman.exe" if os.name == "nt" else "comfywatchman")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A current directory with something of everything."""
    for name in ("flux.json", "notes.txt", "picture.png", ".hidden.json"):
        (tmp_path / name).write_text("{}")
    for name in ("workflows", "flux models"):
        (tmp_path / name).mkdir()
    return tmp_path


def offered(line: str, place: Path) -> set[str]:
    """What may follow *line*, as a shell would learn it."""
    told = place / "told"
    environ = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(told),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([COMMAND], env=environ, cwd=place, check=True, timeout=30, capture_output=True)
    found = {one for one in told.read_text("utf-8").split("\n") if one}
    told.unlink()
    return found


def test_every_command_is_offered_at_the_beginning(place: Path) -> None:
    assert set(COMMANDS) <= offered("comfywatchman ", place)


def test_a_workflow_is_completed_among_workflows_and_directories(place: Path) -> None:
    found = {one for one in offered("comfywatchman get ", place) if not one.startswith("-")}

    assert found == {"flux.json", "picture.png", "workflows/", "flux\\ models/"}


def test_a_line_that_names_no_command_is_completed_as_get(place: Path) -> None:
    assert offered("comfywatchman flux.json --dry", place) == {"--dry-run"}
    assert offered("comfywatchman ./fl", place) == {"./flux.json", "./flux\\ models/"}


def test_a_directory_is_completed_among_directories_alone(place: Path) -> None:
    assert offered("comfywatchman get --comfyui w", place) == {"workflows/"}
    assert offered("comfywatchman get --comfyui fl", place) == {"flux\\ models/"}


def test_a_settings_file_is_completed_among_all_files(place: Path) -> None:
    assert offered("comfywatchman get --config no", place) == {"notes.txt"}


def test_folder_keys_are_known(place: Path) -> None:
    assert offered("comfywatchman get --folder lor", place) == {"loras"}


def test_the_choices_of_an_option_are_offered(place: Path) -> None:
    assert offered("comfywatchman get --color ", place) == {"auto", "always", "never"}


def test_a_number_is_completed_with_nothing(place: Path) -> None:
    assert offered("comfywatchman get --jobs ", place) == set()


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        # a command stays what it is, and so does what may become one
        ("comfywatchman scan a.json ", "comfywatchman scan a.json "),
        ("comfywatchman sc", "comfywatchman sc"),
        ("comfywatchman ", "comfywatchman "),
        # an option, a path or an address begins the arguments of get
        ("comfywatchman --js", "comfywatchman get --js"),
        ("comfywatchman a.json", "comfywatchman get a.json"),
        ("  comfywatchman ~/x", "  comfywatchman get ~/x"),
        ("comfywatchman wf ", "comfywatchman get wf "),
        ("comfywatchman --version", "comfywatchman --version"),
    ],
)
def test_get_is_written_in_where_no_command_stands(line: str, completed: str) -> None:
    environ = {"COMP_LINE": line, "COMP_POINT": str(len(line))}

    name_command(environ)

    assert environ == {"COMP_LINE": completed, "COMP_POINT": str(len(completed))}


def imported(*arguments: str, **environ: str) -> set[str]:
    """Every module that the command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "comfywatchman_core", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))


def test_the_names_of_back_ends_are_offered_and_none_is_imported(place: Path) -> None:
    line = "comfywatchman get --backend "

    assert {"civitai", "directid", "huggingface"} <= offered(line, place)
    modules = imported(
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_STDOUT_FILENAME=str(place / "told"),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )
    assert "argcomplete" in modules
    assert {one for one in modules if one.startswith("comfywatchman_") and "core" not in one} == set()


def test_the_completion_library_is_imported_only_when_a_shell_asks() -> None:
    assert not any("argcomplete" in one for one in imported("--help"))
    assert not any("argcomplete" in one for one in imported("backends", "--no-plugins", "--no-config"))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_for_each_shell(shell: str) -> None:
    done = subprocess.run([COMMAND, "completion", shell], capture_output=True, text=True, timeout=30, check=True)

    assert "comfywatchman" in done.stdout
    assert "_ARGCOMPLETE" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash")
def test_bash_completes_after_it_evaluated_the_script(place: Path) -> None:
    code = (
        'eval "$(comfywatchman completion bash)"\n'
        'COMP_LINE="comfywatchman flux.json --off" COMP_POINT=29 COMP_TYPE=9\n'
        "_python_argcomplete comfywatchman\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert in_shell("bash", code, place) == "--offline"


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_after_it_evaluated_the_script(place: Path) -> None:
    code = 'comfywatchman completion fish | source; complete -C "comfywatchman scan flux.j"'

    assert in_shell("fish", code, place) == "flux.json"


def in_shell(shell: str, code: str, place: Path) -> str:
    environ = {**os.environ, "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([shell, "-c", code], env=environ, cwd=place, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()
