"""Programs that this project did not write, against the Hub stand-in and behind the back end.

Each is installed into an environment of its own, and left out where that does
not work. The older huggingface_hub runs the whole suite of this plugin.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken

from comfywatchman_core import BackendError, errors
from comfywatchman_core.testing import safetensors, sha256

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
OLDEST = "1.29.0"
"""The lowest release that the plugin declares."""

MODEL = safetensors("witness", 200_000)
PATH = "split_files/vae/ae.safetensors"

SCRIPT = Path(__file__).with_name("look.mjs")
"""What the JavaScript client is asked."""


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment without this run's guard: an installer has to reach its index."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def new_python(place: Path, *requirements: str | Path) -> Path:
    """An environment with *requirements*; skips the test where they cannot be installed."""
    venv.create(place, with_pip=True)
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = run(python, "-m", "pip", "install", "--quiet", *requirements)
    if done.returncode:
        pytest.skip(f"cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return python


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the Hub's own JavaScript client is installed."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("no npm here")
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text('{"name": "witness", "private": true}')
    done = run("npm", "install", "--no-audit", "--no-fund", "@huggingface/hub@2.17.5", cwd=folder)
    if done.returncode:
        pytest.skip(f"cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    shutil.copy(SCRIPT, folder)
    return folder


def look(folder: Path, hub: HubStandIn, repo: str, *, xet: str = "") -> dict[str, Any]:
    done = run("node", "look.mjs", hub.url, repo, PATH, xet, cwd=folder)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_the_javascript_client_sees_the_same_files(javascript: Path, hub: HubStandIn) -> None:
    hub.page_size = 2
    repo = hub.add_repo("maker/autoencoder", {PATH: MODEL, "config.json": b"{}", "README.md": b"#"})

    assert look(javascript, hub, "maker/autoencoder") == {
        "models": ["maker/autoencoder"],
        "commit": repo.head,
        "files": [
            ["README.md", None],
            ["config.json", None],
            ["split_files", None],
            ["split_files/vae", None],
            [PATH, sha256(MODEL)],
        ],
        "paths": [sha256(MODEL)],
        "exists": [True, False],
        "sha256": sha256(MODEL),
    }


def test_the_javascript_client_follows_a_rename_and_stops_at_a_gate(javascript: Path, hub: HubStandIn) -> None:
    hub.add_repo("maker/old", {PATH: MODEL})
    hub.rename("maker/old", "maker/new")
    hub.add_repo("maker/gated", {PATH: MODEL}, gated="auto")

    assert look(javascript, hub, "maker/old")["sha256"] == sha256(MODEL)
    behind_a_gate = look(javascript, hub, "maker/gated")
    assert (behind_a_gate["paths"], behind_a_gate["sha256"]) == ([sha256(MODEL)], {"status": 401})


def test_the_javascript_client_puts_a_file_together_from_the_chunk_store(javascript: Path, hub: HubStandIn) -> None:
    hub.add_repo("maker/chunks", {PATH: MODEL}, scenario="xet")

    assert look(javascript, hub, "maker/chunks", xet="xet")["sha256"] == sha256(MODEL)
    assert hub.cas_requests
    assert not hub.cdn_requests


@pytest.fixture(scope="module")
def olah(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a caching mirror of the Hub."""
    python = new_python(tmp_path_factory.mktemp("olah") / "venv", "olah==0.5.4")
    return python.with_name("olah-cli")


@pytest.fixture
def mirror(olah: Path, hub: HubStandIn, tmp_path: Path) -> Iterator[str]:
    """A running mirror in front of the stand-in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    upstream, storage = hub.url.removeprefix("http://"), hub.cdn_url.removeprefix("http://")
    (tmp_path / "olah.toml").write_text(
        f"""
[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{tmp_path / "repos"}"
hf-scheme = "http"
hf-netloc = "{upstream}"
hf-lfs-netloc = "{storage}"
mirror-scheme = "http"
mirror-netloc = "127.0.0.1:{port}"
mirror-lfs-netloc = "127.0.0.1:{port}"
mirrors-path = []
[accessibility]
offline = false
[[accessibility.proxy]]
repo = "*/*"
allow = true
[[accessibility.cache]]
repo = "*/*"
allow = true
"""
    )
    command = [str(olah), "--config", str(tmp_path / "olah.toml"), "--log-path", str(tmp_path / "logs")]
    log = (tmp_path / "olah.log").open("w")
    process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None:
                    pytest.fail((tmp_path / "olah.log").read_text()[-2000:])
                time.sleep(0.1)
            else:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_a_mirror_of_another_make_is_an_endpoint_like_any(desk: Desk, hub: HubStandIn, mirror: str) -> None:
    hub.add_repo("maker/autoencoder", {PATH: MODEL})
    hub.add_repo("maker/gated", {PATH: MODEL}, gated="auto")
    desk.endpoint = mirror

    offer = taken(desk.resolve(url=f"https://huggingface.co/maker/autoencoder/resolve/main/{PATH}"))
    (gated,) = desk.resolve("", "", reference=f"hf:maker/gated/{PATH}") or []
    (missing,) = desk.resolve("", "", reference="hf:maker/autoencoder/none.safetensors") or []

    assert offer is not None
    assert offer.sha256 == sha256(MODEL)
    assert desk.download(offer) == MODEL
    assert gated.obstacle is not None
    assert gated.obstacle.code is errors.ErrorCode.GATED
    assert missing.obstacle is not None
    assert missing.obstacle.code is errors.ErrorCode.NOT_FOUND


def test_a_mirror_of_another_make_cannot_be_searched_and_that_is_said(desk: Desk, mirror: str) -> None:
    desk.endpoint = mirror

    with pytest.raises(BackendError) as refused:
        desk.resolve("nobody_has_this.safetensors")

    assert refused.value.code is errors.ErrorCode.UNAVAILABLE


def test_the_oldest_client_that_is_declared_runs_this_suite(tmp_path: Path) -> None:
    python = new_python(
        tmp_path / "venv",
        "-e",
        ROOT,
        "-e",
        ROOT / "plugins" / "huggingface",
        f"huggingface_hub=={OLDEST}",
        "pytest",
        "hypothesis",
        "vcrpy",
        "comfyui-workflow-templates-json==0.1.123",
    )

    done = run(
        python,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "plugins/huggingface/tests",
        "tests/standins/test_hub.py",
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stdout[-4000:]
