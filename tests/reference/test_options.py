"""The page of every option is the one that the parser makes."""

from __future__ import annotations

import subprocess
import sys

from .pages import ROOT


def test_the_page_of_options_is_what_the_parser_has() -> None:
    command = [sys.executable, str(ROOT / "maintenance" / "command_options.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr
