"""The command on a clock that is set back by years: nothing is lost, believed too long, or asked less."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from standins.civitai import CivitaiStandIn, File, Version
from standins.shelf import node, write_workflow

from comfywatchman_core.testing import Reply, safetensors, sha256

pytest.importorskip("comfywatchman_civitai.backend")

INK, PEN = safetensors("ink"), safetensors("pen")
TEN_YEARS = 10 * 365 * 86_400

_COMMAND = """
import sys, time
ahead, now = float(sys.argv.pop(1)), time.time
time.time, time.time_ns = lambda: now() + ahead, lambda: int((now() + ahead) * 1e9)
from comfywatchman_core.cli import main
sys.exit(main())
"""


@define
class Machine:
    """A machine whose clock can be wrong."""

    root: Path
    civitai: Any

    def run(self, *arguments: str, ahead: float = 0.0) -> tuple[int, list[dict[str, Any]]]:
        """Run the command.

        :param ahead: Seconds by which the clock is.
        """
        environment = {
            **os.environ,
            "COMFYWATCHMAN_STATE_DIR": str(self.root / "state"),
            "COMFYWATCHMAN_MODELS_DIR": str(self.root / "models"),
            "COMFYWATCHMAN_CIVITAI_BASE_URL": self.civitai.url,
            "COMFYWATCHMAN_DISABLE": "huggingface",
        }
        line = [sys.executable, "-c", _COMMAND, str(ahead), *arguments, "--json", "--no-config"]
        done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def verified(self, *arguments: str) -> dict[str, tuple[str, bool]]:
        """What ``verify`` says of each file, and whether it read the file for that."""
        _, lines = self.run("verify", "--offline", *arguments)
        return {one["name"]: (one["status"], one["read"]) for one in lines if one["event"] == "verified"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with CivitaiStandIn() as civitai:
        civitai.add_model(name="Ink", type="LORA", versions=[Version("v1", [File("ink.safetensors", INK)])])
        civitai.add_model(name="Pen", type="LORA", versions=[Version("v1", [File("pen.safetensors", PEN)])])
        yield Machine(tmp_path, civitai)


def wanting(machine: Machine, *names: str) -> str:
    return str(write_workflow(machine.root / "w.json", *map(node, names)))


def test_what_the_future_wrote_down_is_known_and_the_present_goes_on(machine: Machine) -> None:
    assert machine.run("get", wanting(machine, "ink.safetensors"), ahead=TEN_YEARS)[0] == 0
    assert machine.run("verify", ahead=TEN_YEARS)[0] == 0

    assert machine.verified() == {"ink.safetensors": ("ok", False)}
    assert machine.run("get", wanting(machine, "ink.safetensors", "pen.safetensors"))[0] == 0

    _, lines = machine.run("history")
    assert [line["name"] for line in lines[:-1]] == ["ink.safetensors", "pen.safetensors"], "in the order of writing"
    assert lines[0]["at"] > lines[1]["at"], "by the clock of each moment"
    assert machine.verified("--full") == {"ink.safetensors": ("ok", True), "pen.safetensors": ("ok", True)}


def test_what_was_changed_since_the_future_is_noticed(machine: Machine) -> None:
    machine.run("get", wanting(machine, "ink.safetensors"), ahead=TEN_YEARS)
    path = machine.root / "models/loras/ink.safetensors"
    path.write_bytes(PEN)

    code, lines = machine.run("verify", "--offline")

    assert (code, lines[0]["status"], lines[0]["expected"]) == (7, "changed", sha256(INK))
    path.unlink()
    code, lines = machine.run("scan", str(machine.root / "w.json"))
    assert (code, lines[-1]["files"][0]["status"]) == (4, "missing")


@pytest.mark.parametrize("year", [1970, 2100], ids=["the past", "the future"])
def test_files_whose_times_are_absurd_are_remembered_and_their_changes_noticed(machine: Machine, year: int) -> None:
    machine.run("get", wanting(machine, "ink.safetensors"))
    path = machine.root / "models/loras/ink.safetensors"
    when = int((year - 1970) * 365.25 * 86_400) * 10**9 + 123_456_789
    os.utime(path, ns=(when, when))

    assert machine.verified() == {"ink.safetensors": ("ok", True)}
    assert machine.verified() == {"ink.safetensors": ("ok", False)}
    path.write_bytes(PEN)
    os.utime(path, ns=(when, when))
    assert machine.verified() == {"ink.safetensors": ("corrupt", True)}, (
        "it changed, and by its time nobody wrote to it"
    )


def test_a_rest_that_the_future_noted_keeps_nobody_from_being_asked(machine: Machine) -> None:
    workflow = wanting(machine, "ink.safetensors")
    machine.civitai.answer_next("/api", Reply.json({"error": "slow down"}, 429, Retry_After="7200"))
    code, lines = machine.run("get", workflow, ahead=TEN_YEARS)
    assert (code, lines[-1]["files"][0]["error"]["code"]) == (6, "rate_limited")
    asked = len(machine.civitai.requests)
    assert machine.run("get", workflow, ahead=TEN_YEARS + 60)[0] == 6
    assert len(machine.civitai.requests) == asked, "it is left alone while the clock goes on"

    assert machine.run("get", workflow)[0] == 0
