"""The lines of ``--json``: what is printed is what the schema in the package describes, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from standins.shelf import Shelf, node, serve_files, write_workflow

from comfywatchman_core import Candidate, Config, Digest, Match, ModelRequest, Watchman, events
from comfywatchman_core.cli import main
from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.jsonlines import SCHEMA, closing_line, event_line, line_schema, result_line
from comfywatchman_core.models import Artifact, Attempt, Check, Outcome, Verdict, VerificationReport
from comfywatchman_core.report import Entry, ExitCode, Problem, Report, Status
from comfywatchman_core.testing import safetensors

SHA = "a" * 64
FAILURE = Failure(code=ErrorCode.NOT_FOUND, message="m", hint="h", http_status=404, retry_after=1.5)
CANDIDATE = Candidate(
    match=Match.FUZZY,
    url="https://me:pw@h.example/a?token=s3cr3t#x",
    size=5,
    digests=(Digest("sha256", SHA),),
    name="a",
    reference="https://h.example/a?token=s3cr3t",
    notes=("n",),
    obstacle=FAILURE,
    backend="shelf",
)
ATTEMPT = Attempt(hook="resolve_model", backend="shelf", outcome=Outcome.FAILED, seconds=1.23456, failure=FAILURE)
ENTRY = Entry(
    request=ModelRequest(name="a.safetensors", folder="loras", url=CANDIDATE.url),
    status=Status.FAILED,
    path=Path("/models/loras/a.safetensors"),
    backend="shelf",
    candidate=CANDIDATE,
    size=5,
    sha256=SHA,
    verification=VerificationReport((Check("size", False),)),
    seconds=1.23456,
    candidates=(CANDIDATE,),
    attempts=(ATTEMPT,),
    error=FAILURE,
)


def strict(part: Any) -> Any:
    """The schema, made to refuse every member that it does not describe."""
    if isinstance(part, list):
        return [strict(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: strict(value) for key, value in part.items()}
    if "properties" in made and made.get("type") == "object":
        made["additionalProperties"] = False
    return made


@pytest.fixture(scope="module")
def check() -> Callable[[Any], None]:
    validator = jsonschema.Draft202012Validator(strict(copy.deepcopy(line_schema())))

    def check(line: Any) -> None:
        errors = [f"{error.json_path}: {error.message}" for error in _deepest(validator, line)]
        assert errors == [], json.dumps(line)[:500]

    return check


def _deepest(validator: Any, line: Any) -> Iterator[Any]:
    """The errors of the alternative whose event it is: those of the others say nothing."""
    for error in validator.iter_errors(line):
        meant = f"line_{line.get('event')}" if isinstance(line, dict) else ""
        names = [one["$ref"].rpartition("/")[2] for one in error.validator_value]
        yield from (one for one in error.context if names[one.schema_path[0]] == meant) if meant in names else [error]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestTheSchema:
    def test_it_is_a_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(line_schema())

    def test_it_describes_every_event_code_and_status(self) -> None:
        definitions = line_schema()["$defs"]

        assert definitions["code"]["enum"] == [code.value for code in ErrorCode]
        assert definitions["status"]["enum"] == [status.value for status in Status]
        assert definitions["match"]["enum"] == [match.label for match in Match]
        assert definitions["verdict"]["enum"] == [verdict.value for verdict in Verdict]
        assert definitions["exit_code"]["enum"] == [code.value for code in ExitCode]
        states = definitions["line_state"]["properties"]["state"]["enum"]
        assert states == [state.value for state in events.TransferState]

    def test_it_allows_what_later_versions_add(self) -> None:
        line = {**closing_line(0), "added": 1}

        jsonschema.Draft202012Validator(line_schema()).validate(line)

    @pytest.mark.parametrize(
        "line",
        [
            {},
            {"schema": SCHEMA},
            {"schema": SCHEMA, "event": "unheard-of"},
            {"schema": "comfywatchman/2", **{key: value for key, value in closing_line(0).items() if key != "schema"}},
            {**closing_line(0), "exit_code": 42},
            {**closing_line(0), "files": [{"name": "a"}]},
        ],
    )
    def test_it_refuses_what_is_no_line(self, line: dict[str, Any]) -> None:
        assert not jsonschema.Draft202012Validator(line_schema()).is_valid(line)


class TestEvents:
    @pytest.mark.parametrize(
        "event",
        [
            events.WorkflowRead(workflow="w", models=3),
            events.Surveyed(needed=2, missing=1),
            events.BackendAsked(label="l", attempt=ATTEMPT),
            events.Queued(label="l", candidate=CANDIDATE),
            events.DownloadStarted(label="l", candidate=CANDIDATE, resumed_at=5, size=None),
            events.BytesReceived(label="l", received=5, size=10, rate=1.5),
            events.BytesReceived(label="l", received=5, size=None, rate=float("inf")),
            events.StateChanged(label="l", state=events.TransferState.WAITING, seconds=float("nan")),
            events.StateChanged(label="l", state=events.TransferState.STALLED, seconds=2.5, reason="r"),
            events.DownloadFinished(label="l", candidate=CANDIDATE, artifact=Artifact(path=Path("p"), size=5)),
            events.FileSettled(label="l", entry=ENTRY),
            events.Warned(message="m"),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_every_event_is_a_line_of_the_schema_without_secrets(
        self, event: events.Event, check: Callable[[Any], None]
    ) -> None:
        line = event_line(event)

        check(json.loads(json.dumps(line, allow_nan=False)))
        assert "s3cr3t" not in json.dumps(line)
        assert "pw@" not in json.dumps(line)

    def test_the_result_is_a_line_of_the_schema_without_secrets(self, check: Callable[[Any], None]) -> None:
        problem = Problem(about="w.json", message="m", code="unreadable")
        empty = Entry(request=ModelRequest(reference="civitai:1"), status=Status.MISSING)

        line = result_line(Report(entries=(ENTRY, empty), problems=(problem,), workflows=1, transferred=7))

        check(line)
        assert "s3cr3t" not in json.dumps(line)

    def test_a_line_has_the_members_that_the_interface_fixes(self) -> None:
        line = result_line(Report(entries=(ENTRY,)))

        assert list(line) == ["schema", "event", "ok", "exit_code", "summary", "files", "problems"]
        assert list(line["summary"]) == [
            *("workflows", "needed", "present", "downloaded", "skipped", "inactive", "failed", "bytes")
        ]
        assert list(line["files"][0]) == [
            *("name", "folder", "path", "workflows", "status", "backend", "match", "url", "size", "sha256"),
            *("verdict", "seconds", "candidates", "attempts", "error"),
        ]
        assert list(line["files"][0]["error"]) == ["code", "message", "hint", "http_status", "retry_after"]


class TestRealOutput:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        (tmp_path / "models" / "vae").mkdir(parents=True)
        (tmp_path / "models" / "vae" / "ae.safetensors").write_bytes(safetensors("ae"))
        (tmp_path / "models" / "loras").mkdir(parents=True)
        (tmp_path / "models" / "loras" / "broken.safetensors").write_bytes(b"<html>")
        write_workflow(
            tmp_path / "workflow.json",
            node("ink.safetensors"),
            node("broken.safetensors"),
            node("ae.safetensors", "VAELoader"),
            {**node("muted.safetensors"), "mode": 2},
            node("../evil.safetensors"),
        )
        (tmp_path / "unreadable.json").write_text("{")
        return tmp_path

    def test_a_whole_run_is_lines_of_the_schema(self, place: Path, check: Callable[[Any], None]) -> None:
        told: list[dict[str, Any]] = []
        with serve_files() as (files, origin):
            shelf = Shelf(origin.url)
            for name in ("ink.safetensors", "broken.safetensors"):
                files.by_path[name] = safetensors(name)
                shelf.put(name, safetensors(name))
            config = Config(models_dir=place / "models", state_dir=place / "state")
            with Watchman(config, backends={"shelf": shelf}) as watchman:
                report = watchman.ensure_models(place, on_event=lambda event: told.append(event_line(event)))
        told.append(result_line(report))

        for line in told:
            check(json.loads(json.dumps(line, allow_nan=False)))
        assert {line["event"] for line in told} >= {"workflow", "asked", "started", "received", "file", "result"}
        statuses = {line["name"]: line["status"] for line in told[-1]["files"]}
        assert statuses == {
            "ink.safetensors": "downloaded",
            "broken.safetensors": "downloaded",
            "ae.safetensors": "present",
            "muted.safetensors": "inactive",
        }
        assert {problem["code"] for problem in told[-1]["problems"]} == {"unsafe_name", "unreadable"}

    @pytest.mark.parametrize(
        "arguments",
        [
            ["scan", "workflow.json"],
            ["scan", "unreadable.json"],
            ["plan", "workflow.json"],
            ["get", "workflow.json"],
            ["get", "--dry-run", "workflow.json"],
            ["get", "nothing.json"],
            ["get", "workflow.json", "--bogus"],
            ["get", "workflow.json", "--jobs", "0"],
            ["get", "workflow.json", "--backend", "nobody"],
            ["backends"],
            ["config"],
            ["doctor", "--offline"],
            ["clean", "--dry-run"],
            ["verify"],
            ["history"],
            ["plan", "-o", "plan.json", "workflow.json"],
        ],
        ids=" ".join,
    )
    def test_every_line_of_every_command_is_of_the_schema_and_the_last_is_the_result(
        self,
        place: Path,
        arguments: list[str],
        check: Callable[[Any], None],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(place)
        monkeypatch.setenv("COMFYWATCHMAN_NO_PLUGINS", "1")
        monkeypatch.setenv("COMFYWATCHMAN_MODELS_DIR", str(place / "models"))
        monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(place / "state"))

        try:
            code = main([*arguments, "--json", "--no-config"])
        except SystemExit as stop:
            code = int(stop.code or 0)

        told = lines(capsys)
        for line in told:
            check(line)
        assert [line["event"] for line in told].count("result") == 1
        assert told[-1]["event"] == "result"
        assert told[-1]["exit_code"] == code
        assert told[-1]["ok"] is (code == 0)
