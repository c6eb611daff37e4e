"""The pages of every option, for the web and for man, are those that the parser makes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from .pages import ROOT


def test_the_pages_of_options_are_what_the_parser_has() -> None:
    command = [sys.executable, str(ROOT / "maintenance" / "command_options.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
def test_the_man_page_is_read_without_a_complaint_and_shows_every_option() -> None:
    command = ["groff", "-man", "-Tascii", "-ww", "-P-cbou", "-rLL=100n", str(ROOT / "man" / "comfywatchman.1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stderr) == (0, "")
    for words in ("--accept-digest SHA256", "-j N, --jobs N", "comfywatchman - get the model files"):
        assert words in done.stdout
