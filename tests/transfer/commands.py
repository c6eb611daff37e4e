"""The real command in a child process, and what must hold after it whatever happened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from comfywatchman_core import Config, Report, ensure_models

SECONDS = 60
"""No command of these tests may take longer, whatever the server does."""


@frozen(kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str = field(repr=False)
    err: str = field(repr=False)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[dict[str, Any]]:
        """``files`` of the result line."""
        files: list[dict[str, Any]] = self.lines[-1]["files"]
        return files

    @property
    def warnings(self) -> str:
        """What was said beside the result, a line each."""
        return "\n".join(line["message"] for line in self.lines if line["event"] == "warning")

    @property
    def error(self) -> dict[str, Any]:
        """Why the one file of the run failed; empty if it did not."""
        return self.files[0]["error"] or {}


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's settings but where Python is."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home), **more}


def get(
    models: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    home: Path | None = None,
    plugins: bool = False,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start ``comfywatchman get`` for files that belong to ``loras``."""
    command = [sys.executable, "-m", "comfywatchman_core", "get", *arguments, "--folder", "loras"]
    command += ["--models-dir", str(models), "--json", "--no-config", *([] if plugins else ["--no-plugins"])]
    place = home or models.parent / "home"
    return subprocess.Popen(
        command,
        env=dict(env or environment(place)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for its end. :raises TimeoutExpired: It hangs."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(code=process.returncode, out=out, err=err)


def run(models: Path, *arguments: str, **options: Any) -> Ended:
    return ended(get(models, *arguments, **options))


def again(models: Path, what: str) -> Report:
    """The same as :func:`run`, undisturbed and in this process, which is quicker."""
    return ensure_models(what, models_dir=models, folder="loras", config=Config(plugins=False))


def tree(root: Path) -> dict[str, bytes]:
    """Every file below *root*, by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def leftovers(root: Path) -> list[str]:
    """Staging places and quarantined files below *root*."""
    names = [path.name for path in root.rglob("*")]
    return [name for name in names if name.endswith(".cw") or re.search(r"\.bad-[0-9a-f]{8}$", name)]
