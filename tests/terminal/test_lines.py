"""Progress in a log: few lines, each of them whole, and none twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from comfywatchman_core.cli.lines import Lines
from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.events import (
    BackendAsked,
    BytesReceived,
    DownloadStarted,
    FileSettled,
    StateChanged,
    Surveyed,
    TransferState,
    Warned,
)
from comfywatchman_core.models import Attempt, Candidate, Match, ModelRequest, Outcome
from comfywatchman_core.report import Entry, Status

LABEL = "loras/ink.safetensors"
OFFER = Candidate(match=Match.DIGEST, url="https://storage.example/ink", backend="huggingface")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock) -> Lines:
    return Lines(verbose=False, clock=clock)


def settled(status: Status, error: Failure | None = None) -> FileSettled:
    request = ModelRequest(name="ink.safetensors", folder="loras")
    return FileSettled(label=LABEL, entry=Entry(request=request, status=status, error=error))


def test_a_file_that_goes_on_says_where(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    lines(DownloadStarted(label=LABEL, candidate=OFFER, resumed_at=1_200_000_000, size=2_800_000_000))

    assert capsys.readouterr().err == f"downloading {LABEL} from huggingface, 2.8 GB, going on at 1.2 GB\n"


def test_a_second_attempt_at_a_file_is_not_told_again(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        lines(DownloadStarted(label=LABEL, candidate=OFFER, resumed_at=0, size=1))

    assert capsys.readouterr().err.count("downloading") == 1


def test_a_long_transfer_says_once_a_minute_that_it_lives(
    lines: Lines, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    lines(Surveyed(needed=2, missing=2))
    lines(DownloadStarted(label=LABEL, candidate=OFFER, resumed_at=0, size=40_000_000_000))
    for second in range(150):
        clock.now += 1
        lines(BytesReceived(label=LABEL, received=100_000_000 * (second + 1), size=40_000_000_000))

    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("under way")]
    assert len(told) == 2
    assert told[0].startswith("under way: 0 of 2 files, 6.0 GB of 40.0 GB, ")
    assert told[1].startswith("under way: 0 of 2 files, 12.0 GB of 40.0 GB, ")
    assert all(line.endswith("MB/s") for line in told)


def test_one_wait_is_told_once_although_every_file_meets_it(
    lines: Lines, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("a", "b", ""):
        wait = StateChanged(
            label=label, state=TransferState.WAITING, seconds=12.0, reason="before asking https://civitai.com again"
        )
        lines(wait)
    assert capsys.readouterr().err == "a: waiting 12 s before asking https://civitai.com again\n"

    clock.now += 13
    lines(wait)
    assert capsys.readouterr().err == "waiting 12 s before asking https://civitai.com again\n"


def test_a_failure_is_told_with_its_file_even_where_an_address_holds_the_name(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    message = f"https://storage.example/{LABEL} answered 404"
    lines(settled(Status.FAILED, Failure(code=ErrorCode.NOT_FOUND, message=message)))

    assert capsys.readouterr().err == f"failed: {LABEL}: {message}\n"


def test_what_was_there_is_not_progress(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    lines(settled(Status.PRESENT))

    assert capsys.readouterr().err == ""


def test_a_warning_names_its_file(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    lines(Warned(message="the transfer begins anew", label=LABEL))
    lines(Warned(message="the history cannot be opened"))

    assert capsys.readouterr().err.splitlines() == [
        f"warning: {LABEL}: the transfer begins anew",
        "warning: the history cannot be opened",
    ]


def test_verbose_says_who_answered_what(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(verbose=True, clock=clock)
    for outcome, offers in ((Outcome.ANSWERED, 2), (Outcome.ANSWERED, 0), (Outcome.DECLINED, 0)):
        attempt = Attempt(hook="resolve_model", backend="civitai", outcome=outcome, seconds=0.5, offers=offers)
        lines(BackendAsked(label=LABEL, attempt=attempt))

    assert capsys.readouterr().err.splitlines() == [
        f"civitai, {LABEL}: offers 2 files (0.50 s)",
        f"civitai, {LABEL}: looked, and does not have it (0.50 s)",
    ]


def test_a_name_cannot_reach_the_terminal(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    lines(DownloadStarted(label="loras/\x1b[31m\n.safetensors", candidate=OFFER, resumed_at=0, size=None))

    assert capsys.readouterr().err == "downloading loras/\\u001b[31m .safetensors from huggingface\n"


def test_in_a_pipe_the_display_library_is_not_even_imported(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"3": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}}}')
    command = [sys.executable, "-X", "importtime", "-m", "comfywatchman_core", "scan", "a.json", "--models-dir", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)

    assert done.returncode == 4
    assert "comfywatchman_core.cli.lines" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.rpartition("|")[2].strip().startswith("rich")]
