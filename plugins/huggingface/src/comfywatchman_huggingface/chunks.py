"""Fetch a file from the Hub's chunk store (Xet) in a child process that is watched, and ended if it hangs."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from comfywatchman_core import Artifact, Candidate, Context, errors, events

from .settings import Settings, is_true

WORTH_IT = 16 << 20
"""Bytes below which starting a process costs more than it saves."""

_LOOK_UP = 0.2
_TELL_EVERY = 1 << 20
_REPO_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}

# Its buffers may take 8 GB otherwise, on machines whose memory is needed for models.
_BOUNDS = {
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_SIZE": "256mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_PERFILE_SIZE": "256mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "1gb",
}


class _Gone(Exception):
    """The chunk store did not deliver; the message says why in a few words."""


def is_worth_it(candidate: Candidate, settings: Settings) -> bool:
    """Say whether *candidate* is in the chunk store, and the user wants it from there."""
    return (
        settings.engine == "xet"
        and candidate.details.get("xet") == "1"
        and bool(candidate.details.get("commit") and candidate.sha256)
        and (candidate.size or 0) >= WORTH_IT
        and bool(sys.executable)
        and not is_true(os.environ.get("HF_HUB_DISABLE_XET"))
    )


def fetch(
    candidate: Candidate, target: Path, *, token: str | None, settings: Settings, context: Context
) -> Artifact | None:
    """Bring *candidate* to *target* from the chunk store.

    :returns: ``None`` when that did not work, with a warning told; the file can be fetched by HTTP all the same.
    :raises Cancelled: The caller asked to stop.
    """
    # Beside the target: on its file system, in a place that is cleaned up when this process dies in the middle.
    folder = Path(tempfile.mkdtemp(prefix="chunks-", dir=target.parent))
    context.emit(events.DownloadStarted(label="", candidate=candidate, resumed_at=0, size=candidate.size))
    try:
        fetched = _run(_task(candidate, folder, token, settings), folder, candidate, settings, context)
        os.replace(fetched, target)
    except (_Gone, OSError) as error:
        context.emit(
            events.Warned(message=f"The Hub's chunk store did not deliver ({error}); the file is fetched by HTTP.")
        )
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    artifact = Artifact(path=target, size=target.stat().st_size)
    context.emit(events.DownloadFinished(label="", candidate=candidate, artifact=artifact))
    return artifact


def _task(candidate: Candidate, folder: Path, token: str | None, settings: Settings) -> str:
    details = candidate.details
    return json.dumps(
        {
            "repo": details.get("repo"),
            "path": details.get("path"),
            "repo_type": _REPO_TYPES.get(details.get("kind", "models"), "model"),
            "revision": details.get("commit"),
            "endpoint": settings.endpoint,
            "token": token,
            "folder": str(folder / "file"),
            "environment": {
                "HF_ENDPOINT": settings.endpoint,
                "HF_HOME": str(folder / "home"),
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                **{name: os.environ.get(name, value) for name, value in _BOUNDS.items()},
            },
        }
    )


def _run(task: str, folder: Path, candidate: Candidate, settings: Settings, context: Context) -> Path:
    """Start the child, pass on what it tells, and end it when it is silent for too long."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", f"{__package__}.chunk_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(task + "\n")
            child.stdin.flush()
        return _follow(child.stdout, candidate, settings, context, folder)
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):
                pipe.close()


def _follow(lines: IO[str], candidate: Candidate, settings: Settings, context: Context, folder: Path) -> Path:
    told = 0
    for word, value in _steps(lines, settings.xet_silence, context):
        if word == "received" and value.isdigit():
            # Two meters may run, one for what arrives and one for what is put together.
            received = min(int(value), candidate.size or int(value))
            if received >= told + _TELL_EVERY:
                told = received
                context.emit(events.BytesReceived(label="", received=received, size=candidate.size))
        elif word == "failed":
            raise _Gone(value[:80])
        elif word == "done":
            fetched = Path(value)
            if not fetched.resolve().is_relative_to(folder.resolve()) or fetched.is_symlink():
                raise _Gone("it put the file elsewhere")
            if candidate.size is not None and fetched.stat().st_size != candidate.size:
                raise _Gone(f"{fetched.stat().st_size} bytes instead of {candidate.size}")
            return fetched
    raise _Gone("its process ended")


def _steps(lines: IO[str], silence: float, context: Context) -> Iterator[tuple[str, str]]:
    """What the child says, word by word. :raises _Gone: It says nothing for *silence* seconds."""
    arrived: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with suppress(OSError, ValueError):  # the pipe is closed under it when the child is given up
            for line in lines:
                arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, name="chunk store", daemon=True).start()
    waited = 0.0
    while True:
        if context.cancelled():
            raise errors.Cancelled("stopped while a file was fetched from the chunk store")
        try:
            line = arrived.get(timeout=_LOOK_UP)
        except queue.Empty:
            waited += _LOOK_UP
            if waited >= silence:
                raise _Gone(f"nothing for {silence:.0f} seconds") from None
            continue
        if line is None:
            return
        waited = 0.0
        word, _, value = line.rstrip("\n").partition(" ")
        yield word, value
