"""The story: an empty ComfyUI, workflows that name models, one command; then the same command again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from comfywatchman_core.testing import sha256

from . import ROOT, official, workflows
from .sources import CIVITAI_KEY, Sources, running

_FOREIGN = (
    *("COMFYWATCHMAN_", "COMFYUI_", "CIVITAI_", "HF_", "HUGGING", "TRANSFORMERS_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "XDG_"),
)
"""How variables begin that would change what the command does."""


class Failed(Exception):
    """Something did not come out as it must."""


def main() -> int:
    """Tell the story; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another encoding shows what it can
    started = time.monotonic()
    templates = official.templates()
    models = {one for workflow in templates.values() for one in official.declared(workflow)}
    with tempfile.TemporaryDirectory(prefix="comfywatchman-demo-") as directory:
        place = Path(directory).resolve()
        with running(models, place) as sources:
            try:
                _story(sources, templates, place)
            except Failed as failure:
                print(f"\nThe demonstration failed: {failure}", file=sys.stderr)
                return 1
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Nothing left this machine; nothing is left on it.")
    return 0


def _story(sources: Sources, templates: Mapping[str, object], place: Path) -> None:
    _say("Two model sites, played by stand-ins on this machine")
    print(f"the Hub   {sources.hub.url}, its storage {sources.hub.cdn_url}")
    print(f"Civitai   {sources.civitai.url}, its storage {sources.civitai.storage_url}")

    _say("An empty ComfyUI, and workflows: official templates, and two of this demonstration's own")
    comfyui = _comfyui(place, templates)
    for workflow in sorted((comfyui / "user/default/workflows").iterdir()):
        print(workflow.relative_to(place))

    run = _Command(sources, place)
    _say("What is missing? A scan opens no connection")
    run("scan", "--comfyui", "ComfyUI", expect=4)
    _check(sources.questions + sources.transfers == 0, "the scan asked somebody")

    _say("The command, held back a little so that there is something to see")
    run("get", "--comfyui", "ComfyUI", "--limit-rate", "15M", expect=0)
    fetched, asked = sources.transfers, sources.questions
    _check(_tree(comfyui) == _digests(sources.published), "the models folder does not hold what was published")
    _check(sources.tokens_told_to_storage() == 0, "a token reached a storage host")

    _say("The same again: nothing is fetched twice")
    run("get", "--comfyui", "ComfyUI", expect=0)
    _check((sources.transfers, sources.questions) == (fetched, asked), "the second run asked somebody")
    print(f"asked in the first run: the sites {asked} times, their storage {fetched} times; in the second: nobody")

    _say("What lies where, with the first digits of its SHA256")
    for name, digest in _tree(comfyui).items():
        size = (comfyui / "models" / name).stat().st_size
        print(f"{digest[:16]}  {size:>9,}  {name}")


def _comfyui(place: Path, templates: Mapping[str, object]) -> Path:
    """Lay out a ComfyUI without a single model, and with the workflows in its user's folder."""
    comfyui = place / "ComfyUI"
    own = {
        "lantern, by name (API).json": workflows.by_name(),
        "fog, by digest and address.json": workflows.by_digest_and_address(),
    }
    (comfyui / "models").mkdir(parents=True)
    folder = comfyui / "user" / "default" / "workflows"
    folder.mkdir(parents=True)
    for name, workflow in {**templates, **own}.items():
        (folder / name).write_text(json.dumps(workflow), "utf-8")
    return comfyui


class _Command:
    """Runs ``comfywatchman`` as a user would, with the stand-ins in the place of the sites."""

    def __init__(self, sources: Sources, place: Path) -> None:
        self._place = place
        self._script = Path(sysconfig.get_path("scripts")) / "comfywatchman"
        settings = place / "config.toml"
        settings.write_text(f"[backends.directid]\ntables = [{json.dumps(str(sources.table))}]\n", "utf-8")
        self._environ = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        self._environ |= {
            "COMFYWATCHMAN_CONFIG": str(settings),
            "COMFYWATCHMAN_STATE_DIR": str(place / "state"),
            "COMFYWATCHMAN_CIVITAI_BASE_URL": sources.civitai.url,
            "CIVITAI_API_KEY": CIVITAI_KEY,
            "HF_ENDPOINT": sources.hub.url,
            "HF_HOME": str(place / "hf-home"),
            "HF_TOKEN": sources.hub.token,
            # the tests' guard: what tries to leave the machine fails
            "PYTHONPATH": str(ROOT / "tests" / "guard"),
        }

    def __call__(self, *arguments: str, expect: int) -> None:
        """Run it, its output and its progress shown. :raises Failed: It ends with another code."""
        print("$ comfywatchman", *arguments, flush=True)
        command = [str(self._script), *arguments]
        done = subprocess.run(command, cwd=self._place, env=self._environ, timeout=50, check=False)
        _check(done.returncode == expect, f"exit code {done.returncode}, where {expect} was expected")


def _tree(comfyui: Path) -> dict[str, str]:
    """``FOLDER/NAME`` of every file below ``models`` → its SHA256."""
    models = comfyui / "models"
    return _digests(
        {path.relative_to(models).as_posix(): path.read_bytes() for path in models.rglob("*") if path.is_file()}
    )


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(files[name]) for name in sorted(files)}


def _say(what: str) -> None:
    print(f"\n── {what}", flush=True)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


if __name__ == "__main__":
    sys.exit(main())
