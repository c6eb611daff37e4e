"""The pages on events and JSON lines: what exists is described, and what is described exists."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import comfywatchman_core as cw
from comfywatchman_core import models, report
from comfywatchman_core.cli import main
from comfywatchman_core.cli.parser import COMMANDS
from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.jsonlines import event_line, result_line
from comfywatchman_core.testing import safetensors

from .pages import fields, first_words, page, rows, section

REQUEST = models.ModelRequest(name="ink.safetensors", folder="loras")
CANDIDATE = models.Candidate(match=models.Match.FILENAME, url="https://example.org/ink.safetensors")
FAILURE = Failure(code=ErrorCode.NOT_FOUND, message="m")
ATTEMPT = models.Attempt(hook="h", backend="b", outcome=models.Outcome.FAILED, seconds=1.0, failure=FAILURE)
ENTRY = report.Entry(
    request=REQUEST, status=report.Status.FAILED, candidates=(CANDIDATE,), attempts=(ATTEMPT,), error=FAILURE
)
EVENTS = (
    cw.events.WorkflowRead(workflow="w", models=1),
    cw.events.Surveyed(needed=2, missing=1),
    cw.events.BackendAsked(label="l", attempt=ATTEMPT),
    cw.events.Queued(label="l", candidate=CANDIDATE),
    cw.events.DownloadStarted(label="l", candidate=CANDIDATE, resumed_at=0, size=None),
    cw.events.BytesReceived(label="l", received=1, size=None),
    cw.events.StateChanged(label="l", state=cw.events.TransferState.WAITING),
    cw.events.DownloadFinished(
        label="l", candidate=CANDIDATE, artifact=models.Artifact(path=Path("ink.safetensors"), size=1)
    ),
    cw.events.FileSettled(label="l", entry=ENTRY),
    cw.events.Warned(message="m"),
)
RESULT: Mapping[str, Any] = result_line(
    report.Report(entries=(ENTRY,), problems=(report.Problem(about="", message="m"),))
)


def test_every_event_is_described_with_its_line_and_no_other() -> None:
    described = re.findall(r"^### `(\w+)` · `(\w+)`$", page("events.md"), re.MULTILINE)

    assert {type(event) for event in EVENTS} == set(cw.events.Event.__args__)
    assert described == [(type(event).__name__, event_line(event)["event"]) for event in EVENTS]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_has_the_fields_and_its_line_the_members_that_are_described(event: cw.events.Event) -> None:
    line = event_line(event)
    described = {row[0].strip("`"): row[1] for row in rows(section("json.md", "Lines before the result"))}

    heading = f"`{type(event).__name__}` · `{line['event']}`"
    assert set(first_words(section("events.md", heading))) == fields(type(event))
    members = set(line) - {"schema", "event"}
    if isinstance(event, cw.events.FileSettled):
        members -= set(RESULT["files"][0])
    assert set(re.findall(r"`(\w+)`", described[line["event"]])) - {"files"} == members


def test_every_state_of_a_transfer_is_described() -> None:
    (told,) = (row[1] for row in rows(section("events.md", "`StateChanged` · `state`")) if row[0] == "`state`")

    assert re.findall(r"`(\w+)`", told) == [str(state) for state in cw.events.TransferState]


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        ("`summary`", RESULT["summary"]),
        ("`candidates`", RESULT["files"][0]["candidates"][0]),
        ("`attempts`", RESULT["files"][0]["attempts"][0]),
        ("`error`", RESULT["files"][0]["error"]),
        ("`problems`", RESULT["problems"][0]),
    ],
)
def test_a_part_of_the_result_has_the_members_that_are_described(heading: str, line: Mapping[str, object]) -> None:
    assert first_words(section("json.md", heading)) == list(line)


def test_the_result_and_its_files_have_the_members_that_are_described() -> None:
    whole, files = section("json.md", "`result`"), section("json.md", "`files`")
    tables = re.split(r"\n(?=\| status )", files)

    assert first_words(whole.partition("### ")[0]) == list(RESULT)
    assert first_words(tables[0]) == list(RESULT["files"][0])
    assert first_words(tables[1]) == [str(status) for status in report.Status]


def test_the_words_that_stand_in_lines_are_described() -> None:
    text = page("json.md")
    words = [*map(str, models.Verdict), *(one.label for one in models.Match), *map(str, models.Outcome)]
    hooks = ["resolve_model", "download_artifact", "verify_artifact"]

    assert [word for word in (*words, *hooks) if f"`{word}`" not in text] == []


@pytest.fixture
def models_dir(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A models folder with one model, a file and a download that were refused, and a table of one row."""
    place = tmp_path / "models"
    (place / "vae").mkdir(parents=True)
    (place / "vae" / "ae.safetensors").write_bytes(safetensors("ae"))
    (place / "vae" / f"ae.safetensors.bad-{'0' * 8}").write_bytes(b"refused")
    row = {"name": "ink.safetensors", "folders": ["loras"], "source": "hf:owner/repository/ink.safetensors"}
    (place / "known.json").write_text(json.dumps({"schema": "comfywatchman-known/1", "models": [row]}))
    main(["get", "vae/no-such-model.safetensors", "--models-dir", str(place), "--no-plugins", "--no-config"])
    capsys.readouterr()
    return place


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("verify", ["--models-dir", "DIR", "--no-plugins"]),
        ("history", []),
        ("backends", ["--no-plugins"]),
        ("config", []),
        ("doctor", ["--models-dir", "DIR", "--no-plugins"]),
        ("clean", ["--models-dir", "DIR", "--dry-run"]),
        ("known list", ["--all", "vae/ae.safetensors"]),
        ("known check", ["--table", "DIR/known.json", "--disable", "huggingface", "--disable", "civitai"]),
    ],
)
def test_a_line_of_another_command_has_the_members_that_are_described(
    command: str, arguments: list[str], models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described = {row[0].strip("`"): row[1:] for row in rows(section("json.md", "Lines of other commands"))}
    event, members = (re.findall(r"`(\w+)`", cell) for cell in described[command])

    main([*command.split(), "--json", "--no-config", *(one.replace("DIR", str(models_dir)) for one in arguments)])

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = next(line for line in lines if line["event"] not in ("asked", "result"))
    assert [told["event"]] == event
    assert list(told) == ["schema", "event", *members]


def test_every_command_with_lines_of_its_own_is_described() -> None:
    described = {row[0].strip("`") for row in rows(section("json.md", "Lines of other commands"))}

    tables = {f"known {word}" for word in ("list", "add", "remove", "check")}
    assert described == set(COMMANDS) - {"get", "scan", "plan", "export", "known", "completion"} | tables
