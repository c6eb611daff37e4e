"""The command's arguments, and the page that describes them."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest
from comfywatchman_fleet.command import main, make_parser

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "fleet.md"


def options() -> set[str]:
    (commands,) = (one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    return {
        option for action in commands.choices["get"]._actions for option in action.option_strings if option[:2] == "--"
    }


def test_every_option_is_described_and_no_other() -> None:
    table = PAGE.read_text("utf-8").partition("## What travels")[0]
    described = set(re.findall(r"`(--[a-z-]+)", "\n".join(line for line in table.splitlines() if line[:1] == "|")))

    assert described == options() - {"--help", "--quiet", "--verbose"}


def test_help_imports_no_dask() -> None:
    program = "import sys; from comfywatchman_fleet.command import make_parser; make_parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"dask", "distributed", "tornado"} & set(loaded)


@pytest.mark.parametrize("arguments", [[], ["get"], ["get", "--scheduler", "tcp://127.0.0.1:9"], ["fetch"]])
def test_arguments_that_make_no_sense_are_a_mistake_of_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: comfywatchman-fleet" in capsys.readouterr().err


def test_nobody_is_asked_before_it_is_known_where_models_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('{"schema": "comfywatchman-plan/1", "models": []}')

    code = main(["get", "--scheduler", "tcp://127.0.0.1:9", "--plan", str(plan), "--no-config"])

    assert code == 2
    assert "--models-dir" in capsys.readouterr().err
