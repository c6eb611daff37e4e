"""What the README and the tutorial say to do, done to the letter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="the commands are those of a POSIX shell"),
]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(block: str, place: Path, home: Path, first: Path) -> str:
    """Type *block* into a shell. :param first: What goes before the rest of ``PATH``."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environ = {**kept, "HOME": str(home), "PATH": f"{first}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", block], cwd=place, env=environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_installs_the_command(tmp_path: Path) -> None:
    (install,) = (one for one in BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if "./meta" in one)

    told = follow(install, ROOT, tmp_path, Path(sys.executable).parent)

    assert told.splitlines()[-1].startswith("comfywatchman ")


def test_the_tutorial_ends_with_a_back_end_in_use_and_a_wheel(tmp_path: Path, wheels: Mapping[str, Path]) -> None:
    page = (ROOT / "docs" / "tutorial-backend.md").read_text("utf-8")
    for path, text in re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / "shelf" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shelf" / path).write_text(text)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    scripts = tmp_path / "venv" / "bin"
    blocks = [f"pip install --quiet {wheels['comfywatchman-core']}", *BLOCK.findall(page)]

    _, test, use, publish = (follow(one, tmp_path / "shelf", tmp_path, scripts) for one in blocks)

    assert "10 passed, 9 skipped" in test
    assert re.search(r"^shelf +80 +ready", use, re.MULTILINE)
    assert "comfywatchman_shelf-1.0.0-py3-none-any.whl" in publish
