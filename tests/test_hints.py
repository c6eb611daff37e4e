"""What is said when something went wrong: one sentence of what happened, one of what to do, commands to copy."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from attrs import evolve

from comfywatchman_core.cli import results
from comfywatchman_core.cli.advice import Advice
from comfywatchman_core.cli.closing import last_words
from comfywatchman_core.cli.explanation import explained
from comfywatchman_core.cli.parser import make_parser
from comfywatchman_core.cli.tally import Tally
from comfywatchman_core.cli.terminal import lines_of
from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.events import BytesReceived, DownloadStarted, FileSettled, Surveyed
from comfywatchman_core.models import Attempt, Candidate, Match, ModelRequest, Outcome
from comfywatchman_core.report import Entry, ExitCode, Report, Status
from comfywatchman_core.wording import advice, in_short

pytestmark = pytest.mark.skipif(os.name == "nt", reason="commands are quoted for another shell there")

SHA256 = "ab" * 32
LABEL = "loras/ink.safetensors"


def advise(*given: str) -> Advice:
    options = make_parser().parse_args(given)
    options.given = given
    return Advice(options)


def hint(text: str | None, *given: str, code: ErrorCode = ErrorCode.CONFLICT) -> str:
    return advise(*given).hint(Failure(code=code, message="m", hint=text))


class TestCommands:
    def test_a_command_in_a_hint_gets_the_places_that_were_typed(self) -> None:
        told = hint(
            "Choose one: `comfywatchman get civitai:1@2 --folder loras` or `comfywatchman get civitai:3@4`.",
            *("get", "a.json", "--comfyui", "/my comfy", "--extra-model-paths", "e.yaml", "--config", "c.toml"),
        )

        places = "--comfyui '/my comfy' --config c.toml --extra-model-paths e.yaml"
        assert told == (
            f"Choose one: `comfywatchman get civitai:1@2 --folder loras {places}` "
            f"or `comfywatchman get civitai:3@4 {places}`."
        )

    @pytest.mark.parametrize(
        ("text", "command"),
        [
            (
                "Move it aside, or run again with --force to replace it.",
                "comfywatchman get a.json --models-dir 'my models' --force",
            ),
            (
                "If you trust the source, run again with --allow-pickle.",
                "comfywatchman get a.json --models-dir 'my models' --allow-pickle",
            ),
            (
                f"If you want these bytes, run again with --accept-digest {SHA256}.",
                f"comfywatchman get a.json --models-dir 'my models' --accept-digest {SHA256}",
            ),
        ],
    )
    def test_an_option_that_is_missing_is_told_as_the_whole_command(self, text: str, command: str) -> None:
        told = hint(text, "get", "a.json", "--models-dir", "my models")

        assert told == f"{text.rstrip('.')}: `{command}`"

    def test_an_option_that_is_too_much_is_left_out_of_the_command(self) -> None:
        told = hint("Leave out --require-checksum to take it unverified.", "get", "a.json", "--require-checksum")

        assert told.endswith(": `comfywatchman get a.json`")

    def test_a_command_can_be_pasted_whatever_the_names_are(self) -> None:
        names = ("it's; rm -rf ~.json", "$(id).json")
        told = hint("Run again with --force.", "get", *names)

        command = told.partition("`")[2].rstrip("`")
        assert shlex.split(command) == ["comfywatchman", "get", *names, "--force"]

    def test_a_token_in_an_address_is_not_repeated_and_a_digest_is(self) -> None:
        address = f"https://user:pass@example.org/ink.safetensors?token=SECRET#sha256={SHA256}"
        told = hint("Run again with --force.", "get", address)

        assert "SECRET" not in told
        assert "pass" not in told
        assert f"https://example.org/ink.safetensors#sha256={SHA256}" in told


class TestWords:
    @pytest.mark.parametrize("code", ErrorCode)
    def test_every_code_says_in_a_few_words_what_happened_and_in_a_sentence_what_to_do(self, code: ErrorCode) -> None:
        assert 3 < len(in_short(code)) < 45
        told = advice(Failure(code=code, message="m"))
        assert told[0].isupper() or told[0] == "`"
        assert told.endswith(".")
        assert len(told) < 140

    @pytest.mark.parametrize("code", sorted(set(ErrorCode) - {ErrorCode.NOT_FOUND}))
    def test_only_what_nobody_has_is_called_not_found(self, code: ErrorCode) -> None:
        assert "not found" not in f"{in_short(code)} {advice(Failure(code=code, message='m'))}".lower()

    def test_a_hint_of_its_own_goes_before_the_general_one(self) -> None:
        assert advice(Failure(code=ErrorCode.GATED, message="m", hint="Do this.")) == "Do this."

    def test_prose_is_broken_between_words_and_commands_are_not_broken(self) -> None:
        command = "`comfywatchman get civitai:1@2 --folder loras --comfyui /somewhere`"

        lines = list(lines_of(f"Choose one of these: {command} or another.", 40, "  "))
        assert lines == ["  Choose one of these:", f"  {command}", "  or another."]

    def test_in_a_pipe_nothing_is_broken(self) -> None:
        assert list(lines_of("word " * 60, None, "  ")) == ["  " + "word " * 60]


def entry(status: Status, code: ErrorCode | None = None, **more: object) -> Entry:
    error = None if code is None else Failure(code=code, message=f"{LABEL}: something happened", hint="Do this.")
    request = ModelRequest(name="ink.safetensors", folder="loras")
    return Entry(request=request, status=status, error=error, **more)  # type: ignore[arg-type]


def printed(report: Report, capsys: pytest.CaptureFixture[str], **style: object) -> list[str]:
    results.write(report, results.Style(**style))  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


class TestResults:
    def test_what_failed_stands_last_where_the_eye_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        report = Report(entries=(entry(Status.FAILED, ErrorCode.GATED), entry(Status.PRESENT), entry(Status.PRESENT)))

        lines = printed(report, capsys)
        assert [line.split()[0] for line in lines if LABEL in line] == ["present", "present", "failed"]
        assert lines[-3:-1] == ["           something happened", "           Do this."]

    def test_the_label_is_not_said_twice(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = printed(Report(entries=(entry(Status.FAILED, ErrorCode.GATED),)), capsys)

        assert sum(LABEL in line for line in lines) == 1

    def test_offers_can_be_pasted_even_where_a_stranger_named_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        offer = Candidate(match=Match.FUZZY, url="https://e/x", reference="hf:a/b/$(id).safetensors")
        lines = printed(Report(entries=(entry(Status.FAILED, ErrorCode.NOT_FOUND, candidates=(offer,)),)), capsys)

        assert any("· 'hf:a/b/$(id).safetensors'" in line for line in lines)

    def test_a_plan_shows_where_a_file_would_be_put(self, capsys: pytest.CaptureFixture[str]) -> None:
        planned = entry(Status.PLANNED, path=Path("/models/loras/ink.safetensors"))

        assert "           /models/loras/ink.safetensors" in printed(Report(entries=(planned,)), capsys)

    @pytest.mark.parametrize(
        ("sizes", "told"),
        [
            ((2_000_000_000, 500_000_000), "2 to download (2.5 GB)"),
            ((2_000_000_000, None), "2 to download (2.0 GB and 1 of unknown size)"),
            ((None,), "1 to download (size unknown)"),
        ],
    )
    def test_what_would_be_downloaded_is_told_as_far_as_it_is_known(
        self, sizes: tuple[int | None, ...], told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = Report(entries=tuple(entry(Status.PLANNED, size=size) for size in sizes))

        assert printed(report, capsys)[-1].endswith(told)

    def test_a_narrow_terminal_indents_less_and_puts_details_below(self, capsys: pytest.CaptureFixture[str]) -> None:
        came = entry(Status.PLANNED, size=2_000_000_000, backend="huggingface")

        assert printed(Report(entries=(came,)), capsys, width=40)[:2] == [
            f"planned    {LABEL}",
            "  (2.0 GB, huggingface)",
        ]
        assert printed(Report(entries=(came,)), capsys, width=80)[0] == f"planned    {LABEL}  (2.0 GB, huggingface)"


def attempt(hook: str, backend: str, outcome: Outcome, offers: int = 0, failure: Failure | None = None) -> Attempt:
    return Attempt(hook=hook, backend=backend, outcome=outcome, seconds=0.5, offers=offers, failure=failure)


class TestExplanation:
    silent = Failure(code=ErrorCode.NETWORK, message="https://huggingface.co was silent for too long")
    taken = Candidate(match=Match.FILENAME, url="https://e/x", backend="civitai")
    weak = Candidate(match=Match.FUZZY, url="https://e/y", reference="civitai:9@9", notes=("its match is fuzzy",))
    came = entry(
        Status.DOWNLOADED,
        backend="civitai",
        candidate=taken,
        candidates=(weak,),
        attempts=(
            attempt("resolve_model", "directid", Outcome.ANSWERED),
            attempt("resolve_model", "shelf", Outcome.DECLINED),
            attempt("resolve_model", "huggingface", Outcome.FAILED, failure=silent),
            attempt("resolve_model", "civitai", Outcome.ANSWERED, 2),
            attempt("download_artifact", "core", Outcome.ANSWERED, 1),
        ),
    )

    def test_it_says_who_was_asked_in_order_what_each_said_and_how_long_it_took(self) -> None:
        lines = [" ".join(line.split()) for line in explained(self.came, ("directid", "civitai", "core"))]

        assert lines == [
            "searched 1. directid 0.50 s looked, and does not have it",
            "2. shelf 0.50 s did not look; this is nothing it knows about",
            "3. huggingface 0.50 s could not say: https://huggingface.co was silent for too long",
            "4. civitai 0.50 s offers 2 files",
            "taken: the offer of civitai, because its file has exactly this name",
            "not taken: civitai:9@9 (its match is fuzzy)",
            "not asked: core; the offer was sure enough",
            "fetched 1. core 0.50 s brought it",
        ]

    def test_a_source_that_was_asked_about_anothers_offer_confirms_it(self) -> None:
        came = evolve(
            self.came,
            backend="directid",
            attempts=(
                attempt("resolve_model", "directid", Outcome.ANSWERED, 1),
                attempt("resolve_model", "civitai", Outcome.ANSWERED, 1),
            ),
        )

        assert any(line.endswith("confirms that offer") and "civitai" in line for line in explained(came, ()))

    def test_of_a_file_that_is_there_nobody_was_asked(self) -> None:
        assert list(explained(entry(Status.PRESENT), ("directid",))) == ["nobody was asked: it is there"]

    def test_it_is_printed_when_it_is_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        report = Report(entries=(self.came,))

        assert not any("searched" in line for line in printed(report, capsys))
        assert any("searched" in line for line in printed(report, capsys, explain=True))


def closing(report: Report, tally: Tally, *given: str) -> list[str]:
    options = make_parser().parse_args(given)
    options.given = given
    return list(last_words(options, report, tally, Advice(options)))


class TestLastWords:
    @pytest.fixture
    def tally(self) -> Tally:
        """One of two files is stopped on its way."""
        tally = Tally()
        tally(Surveyed(needed=1, missing=1))
        tally(DownloadStarted(label=LABEL, candidate=TestExplanation.taken, resumed_at=0, size=2_800_000_000))
        tally(BytesReceived(label=LABEL, received=1_200_000_000, size=2_800_000_000))
        tally(FileSettled(label=LABEL, entry=entry(Status.FAILED, ErrorCode.CANCELLED)))
        return tally

    @pytest.mark.parametrize(
        ("code", "name"),
        [(ExitCode.INTERRUPTED, "Ctrl-C"), (ExitCode.SIGTERM, "SIGTERM"), (ExitCode.SIGHUP, "SIGHUP")],
    )
    def test_who_stopped_it_hears_what_is_kept_and_how_to_go_on(self, tally: Tally, code: ExitCode, name: str) -> None:
        report = Report(entries=(), interrupted=code)

        assert closing(report, tally, "get", "a.json", "-j", "2") == [
            "kept for the next run: 1.2 GB of 2.8 GB, in 1 file that is not complete",
            f"stopped by {name}; to go on: comfywatchman get a.json -j 2",
        ]

    def test_the_result_says_how_far_a_stopped_file_was(self, tally: Tally) -> None:
        report = Report(entries=(entry(Status.FAILED, ErrorCode.CANCELLED),))

        (told,) = advise("get", "a.json").completed(report, tally).entries
        assert told.error is not None
        assert told.error.message == f"{LABEL}: stopped at 1.2 GB of 2.8 GB, which are kept"

    def test_a_scan_says_how_to_get_what_is_missing(self) -> None:
        report = Report(entries=(entry(Status.MISSING),), workflows=1)

        told = closing(report, Tally(), "scan", "a.json", "--comfyui", "C")
        assert told == ["to get what is missing: comfywatchman get a.json --comfyui C"]

    def test_a_plan_says_how_to_carry_it_out(self) -> None:
        report = Report(entries=(entry(Status.PLANNED),))

        assert closing(report, Tally(), "plan", "a.json", "-o", "p.json", "--comfyui", "C") == [
            "to download it: comfywatchman get --plan p.json --comfyui C"
        ]
        assert closing(report, Tally(), "get", "a.json", "--dry-run") == ["to download it: comfywatchman get a.json"]

    def test_when_all_is_well_nothing_is_said(self) -> None:
        assert closing(Report(entries=(entry(Status.PRESENT),)), Tally(), "get", "a.json") == []
