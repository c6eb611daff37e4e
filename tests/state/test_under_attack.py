"""One tree and one database, many processes, and no mercy: nothing is lost and no file is wrong."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman_core.testing import Asked, Origin, Reply, safetensors, serve, sha256

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

NAMES = [f"{letter}.safetensors" for letter in "abcdef"]
FILES = {name: safetensors(name, 200_000) for name in NAMES}

# Imports everything once, then forks: a kill must be able to meet every moment of a run, not only its imports.
_NURSERY = """
import json, os, random, signal, sys, time
from pathlib import Path
from comfywatchman_core import Config, Watchman
from comfywatchman_core.config import Download, Rules
from comfywatchman_core.events import Warned
import comfywatchman_core.watchman, comfywatchman_core.audit, urllib3, sqlite3

order = json.loads(sys.stdin.read())
config = Config(
    models_dir=order["models"], state_dir=order["state"], rules=Rules(folder="loras"), download=Download(max_retries=1)
)

def run(number):
    told = []
    with Watchman(config, backends={}) as watchman:
        what = order["what"][number % len(order["what"]):] + order["what"][:number % len(order["what"])]
        report = watchman.ensure_models(what, on_event=told.append)
    warnings = [event.message for event in told if isinstance(event, Warned)]
    return {"ok": report.ok, "statuses": [entry.status.value for entry in report.entries], "warnings": warnings,
            "errors": [entry.error.message for entry in report.entries if entry.error]}

def child(number, out):
    code = 1
    try:
        os.write(out, (json.dumps(run(number)) + "\\n").encode())
        code = 0
    finally:
        os._exit(code)

def together(count):
    reader, writer = os.pipe()
    children = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            child(number, writer)
        children.append(pid)
    os.close(writer)
    with open(reader) as answers:
        said = [json.loads(line) for line in answers]
    for pid in children:
        os.waitpid(pid, 0)
    return said

def killed(times, seed):
    chance = random.Random(seed)
    survived = 0
    for number in range(times):
        pid = os.fork()
        if pid == 0:
            child(number, os.open(os.devnull, os.O_WRONLY))
        time.sleep(chance.random() * order["longest"])
        os.kill(pid, signal.SIGKILL)
        survived += os.waitpid(pid, 0)[1] == 0
        # Something to do for the next one.
        (Path(order["models"]) / "loras" / chance.choice(order["names"])).unlink(missing_ok=True)
    return survived

answers = {}
if order["kills"]:
    started = time.monotonic()
    together(1)
    order["longest"] = 1.2 * (time.monotonic() - started)
    answers["survived"] = killed(order["kills"], order["seed"])
answers["together"] = together(order["together"])
print(json.dumps(answers))
"""


@pytest.fixture
def origin() -> Iterator[Origin]:
    def answer(asked: Asked) -> Reply:
        return Reply.of_bytes(FILES[asked.path.rpartition("/")[2]], asked, ETag='"one"')

    with serve(answer) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models" / "loras").mkdir(parents=True)
    return tmp_path / "models"


def order(models: Path, origin: Origin, *, together: int, kills: int = 0) -> Any:
    what = [f"{origin.url}/{name}#sha256={sha256(data)}" for name, data in FILES.items()]
    words = {
        "models": str(models),
        "state": str(models.parent / "state"),
        "what": what,
        "names": NAMES,
        "together": together,
        "kills": kills,
        "seed": 7,
        "longest": 0,
    }
    line = [sys.executable, "-c", _NURSERY]
    done = subprocess.run(line, input=json.dumps(words), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def of_the_state(said: dict[str, Any]) -> list[str]:
    """The warnings that are about the state."""
    return [warning for warning in said["warnings"] if "state.sqlite" in warning]


def state_of(models: Path) -> sqlite3.Connection:
    return sqlite3.connect(models.parent / "state" / "state.sqlite")


def assert_all_is_well(models: Path, origin: Origin) -> None:
    """Nothing is wrong, and after an undisturbed run no trace of the others is left."""
    (last,) = order(models, origin, together=1)["together"]
    assert last["ok"], last
    assert of_the_state(last) == []
    present = {path.name: path.read_bytes() for path in (models / "loras").iterdir() if path.is_file()}
    assert present == FILES
    assert [str(path) for path in models.rglob("*") if ".cw" in str(path)] == []
    connection = state_of(models)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()
    assert not list((models.parent / "state").glob("*.damaged*"))


def verified(models: Path) -> dict[str, str]:
    code = "import sys; from comfywatchman_core.cli import main; sys.exit(main())"
    line = [sys.executable, "-c", code, "verify", "--models-dir", str(models), "--offline", "--no-plugins", "--json"]
    environment = {**os.environ, "COMFYWATCHMAN_STATE_DIR": str(models.parent / "state")}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["exit_code"] == done.returncode == 0, done.stdout + done.stderr
    return {line["name"]: line["status"] for line in lines if line["event"] == "verified"}


def test_eight_processes_at_once_transfer_each_file_once_and_write_all_of_it_down(models: Path, origin: Origin) -> None:
    said = order(models, origin, together=8)["together"]

    assert len(said) == 8
    assert [one for one in said if not one["ok"] or of_the_state(one)] == []
    assert_all_is_well(models, origin)
    transferred = [status for one in said for status in one["statuses"] if status == "downloaded"]
    assert len(transferred) == len(FILES)
    connection = state_of(models)
    rows = connection.execute("SELECT name, sha256 FROM history WHERE status = 'downloaded'").fetchall()
    connection.close()
    assert sorted(rows) == sorted((name, sha256(data)) for name, data in FILES.items())
    assert verified(models) == dict.fromkeys(NAMES, "ok")


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_eight_processes_at_once_mend_a_damaged_database_once(models: Path, origin: Origin, damage: str) -> None:
    order(models, origin, together=1)
    path = models.parent / "state" / "state.sqlite"
    data = path.read_bytes()
    path.write_bytes(os.urandom(len(data)) if damage == "garbage" else data[: len(data) // 2])
    for name in NAMES[:3]:
        (models / "loras" / name).unlink()

    said = order(models, origin, together=8)["together"]

    assert [one for one in said if not one["ok"]] == []
    warnings = [warning for one in said for warning in of_the_state(one)]
    assert 1 <= len(warnings) <= 8
    assert all("set aside" in warning for warning in warnings)
    path.with_name("state.sqlite.damaged").unlink()
    assert_all_is_well(models, origin)
    connection = state_of(models)
    names = {row[0] for row in connection.execute("SELECT name FROM history WHERE status = 'downloaded'")}
    connection.close()
    assert names >= set(NAMES[:3])
    assert set(verified(models).values()) <= {"ok", "unknown"}


@pytest.mark.parametrize("kills", [15, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments_harm_no_file_and_no_database(models: Path, origin: Origin, kills: int) -> None:
    said = order(models, origin, together=1, kills=kills)

    assert said["survived"] < 0.9 * kills, "most runs have to be killed for this to show anything"
    (last,) = said["together"]
    assert last["ok"], last
    assert of_the_state(last) == []
    assert_all_is_well(models, origin)
    assert verified(models) == dict.fromkeys(NAMES, "ok")
