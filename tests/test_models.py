"""The values that travel from a workflow to a verified file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import attrs
import pytest

from comfywatchman_core.errors import AuthRequired, BackendError, ErrorCode, ModelsMissing
from comfywatchman_core.models import (
    Attempt,
    Candidate,
    Check,
    Digest,
    Match,
    ModelRequest,
    Outcome,
    Verdict,
    VerificationReport,
    sha256_of,
)
from comfywatchman_core.report import EXIT_CODE_OF, PRECEDENCE, Entry, ExitCode, Problem, Report, Status

SHA = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"


def request(name: str = "a.safetensors", **more: object) -> ModelRequest:
    return ModelRequest(name=name, folder="loras", **more)  # type: ignore[arg-type]


def entry(status: Status, code: ErrorCode | None = None, **more: object) -> Entry:
    error = BackendError("no", code=code).failure if code else None
    return Entry(request=request(), status=status, error=error, **more)  # type: ignore[arg-type]


class TestDigest:
    def test_equal_digests_compare_equal_however_they_are_spelled(self) -> None:
        assert Digest("SHA256", f" {SHA} ") == Digest("sha256", SHA.lower())
        assert Digest.parse(f"sha256:{SHA}") == Digest("sha256", SHA)
        assert Digest("sha256", f"SHA256:{SHA}") == Digest("sha256", SHA)
        assert str(Digest("sha256", SHA)) == f"sha256:{SHA.lower()}"

    @pytest.mark.parametrize(
        ("algorithm", "value"),
        [
            ("sha256", "zzz"),
            ("sha256", SHA[:-1]),
            ("sha256", SHA + "0"),
            ("sha256", "g" * 64),
            ("sha256", ""),
            ("md5", SHA),
            ("sha256", f"md5:{SHA}"),
            ("sha256", f"sha256:sha256:{SHA}"),
            ("crc64", "0" * 16),
            ("", SHA),
        ],
    )
    def test_a_digest_of_the_wrong_shape_cannot_be_built(self, algorithm: str, value: str) -> None:
        with pytest.raises(ValueError, match="digest"):
            Digest(algorithm, value)

    def test_the_sha256_is_picked_out_of_many(self) -> None:
        assert sha256_of((Digest("md5", "0" * 32), Digest("sha256", SHA))) == SHA.lower()
        assert sha256_of((Digest("md5", "0" * 32),)) is None


class TestMatch:
    def test_certainty_is_ordered(self) -> None:
        assert Match.FUZZY < Match.FILENAME < Match.SOURCE_ID < Match.DIGEST

    def test_every_match_has_the_label_of_the_command_line(self) -> None:
        assert [match.label for match in Match] == ["fuzzy", "filename", "source-id", "digest"]
        assert [Match.from_label(match.label) for match in Match] == list(Match)
        with pytest.raises(ValueError, match="no such match"):
            Match.from_label("certain")


class TestModelRequest:
    def test_a_request_cannot_be_changed(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            request().folder = "vae"  # type: ignore[misc]

    def test_the_name_is_a_path_below_the_folder_whichever_slash_the_workflow_uses(self) -> None:
        assert request("SDXL\\a.safetensors").name == PurePosixPath("SDXL/a.safetensors")
        assert request("SDXL\\a.safetensors").label == "loras/SDXL/a.safetensors"

    def test_a_request_without_a_name_is_labelled_by_its_reference_without_secrets(self) -> None:
        asked = ModelRequest(reference="https://me:pw@example.org/a?token=s3cret#x")

        assert asked.label == "https://example.org/a"

    def test_what_is_printed_of_a_request_or_a_candidate_holds_no_query_and_no_user(self) -> None:
        url = "https://me:pw@example.org/a.safetensors?token=s3cret"
        values = (
            request(url=url, reference=url, hints=(url,)),
            Candidate(match=Match.FILENAME, url=url, reference=url, endpoint="https://me:pw@example.org"),
        )

        for value in values:
            assert "https://example.org/a.safetensors" in repr(value)
            assert "s3cret" not in repr(value)
            assert "pw" not in repr(value)


class TestVerdict:
    good = Check("size", True)
    proof = Check("sha256", True, cryptographic=True)
    bad = Check("format", False)

    def test_without_a_checksum_a_file_is_unverified_and_not_verified(self) -> None:
        assert VerificationReport(()).verdict is Verdict.UNVERIFIED
        assert VerificationReport((self.good,)).verdict is Verdict.UNVERIFIED

    def test_a_checksum_that_agrees_makes_it_verified(self) -> None:
        assert VerificationReport((self.good, self.proof)).verdict is Verdict.VERIFIED

    def test_one_failed_check_refuses_whatever_speaks_for_the_file(self) -> None:
        assert VerificationReport((self.proof, self.bad)).verdict is Verdict.REFUSED


class TestErrors:
    def test_an_error_becomes_a_value_for_the_report_without_its_answer(self) -> None:
        error = AuthRequired("the source wants a token", hint="Set it.", http_status=401, retry_after=2.0)

        assert error.failure.code is ErrorCode.AUTH_REQUIRED
        assert (error.failure.message, error.failure.hint) == ("the source wants a token", "Set it.")
        assert (error.failure.http_status, error.failure.retry_after) == (401, 2.0)

    def test_a_code_that_the_report_does_not_know_cannot_be_used(self) -> None:
        with pytest.raises(ValueError, match="bogus"):
            BackendError("x", code="bogus")

    def test_the_codes_are_those_of_the_interface(self) -> None:
        assert {code.value for code in ErrorCode} == {
            *("auth_required", "early_access", "gated", "downloads_disabled", "not_found", "ambiguous", "unavailable"),
            *("rate_limited", "network", "stalled", "checksum_mismatch", "size_mismatch", "not_a_model"),
            *("unsafe_name", "pickle_refused", "no_checksum", "conflict", "busy", "disk_full", "read_only"),
            *("cancelled", "backend_failed"),
        }


class TestReport:
    @pytest.mark.parametrize(
        ("code", "exit_code"),
        [
            (ErrorCode.AUTH_REQUIRED, 3),
            (ErrorCode.EARLY_ACCESS, 3),
            (ErrorCode.GATED, 3),
            (ErrorCode.DOWNLOADS_DISABLED, 3),
            (ErrorCode.NOT_FOUND, 4),
            (ErrorCode.AMBIGUOUS, 4),
            (ErrorCode.UNAVAILABLE, 5),
            (ErrorCode.NETWORK, 5),
            (ErrorCode.STALLED, 5),
            (ErrorCode.RATE_LIMITED, 6),
            (ErrorCode.CHECKSUM_MISMATCH, 7),
            (ErrorCode.SIZE_MISMATCH, 7),
            (ErrorCode.NOT_A_MODEL, 7),
            (ErrorCode.NO_CHECKSUM, 7),
            (ErrorCode.CONFLICT, 8),
            (ErrorCode.BUSY, 8),
            (ErrorCode.DISK_FULL, 9),
            (ErrorCode.READ_ONLY, 9),
            (ErrorCode.CANCELLED, 130),
        ],
    )
    def test_each_failure_has_its_exit_code(self, code: ErrorCode, exit_code: int) -> None:
        assert Report(entries=(entry(Status.FAILED, code),)).exit_code == exit_code

    def test_every_code_has_an_exit_code_and_a_rank(self) -> None:
        assert set(EXIT_CODE_OF) == set(ErrorCode)
        assert set(EXIT_CODE_OF.values()) <= set(PRECEDENCE)

    def test_where_several_exit_codes_apply_the_most_serious_wins(self) -> None:
        order = [
            *(ErrorCode.CHECKSUM_MISMATCH, ErrorCode.DISK_FULL, ErrorCode.CONFLICT, ErrorCode.AUTH_REQUIRED),
            *(ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED, ErrorCode.NETWORK),
        ]
        for place, code in enumerate(order):
            entries = tuple(entry(Status.FAILED, later) for later in reversed(order[place:]))
            assert Report(entries=entries).exit_code == EXIT_CODE_OF[code]

    def test_a_run_that_was_cancelled_is_not_ok(self) -> None:
        report = Report(entries=(entry(Status.PRESENT), entry(Status.FAILED, ErrorCode.CANCELLED)))

        assert not report.ok
        with pytest.raises(ModelsMissing):
            report.raise_if_failed()

    def test_the_signal_that_ended_a_run_is_its_exit_code(self) -> None:
        report = Report(entries=(entry(Status.FAILED, ErrorCode.CHECKSUM_MISMATCH),), interrupted=ExitCode.SIGTERM)

        assert report.exit_code == 143

    @pytest.mark.parametrize("status", [Status.MISSING, Status.CORRUPT])
    def test_a_scan_with_missing_models_ends_with_4(self, status: Status) -> None:
        assert Report(entries=(entry(Status.PRESENT), entry(status))).exit_code == 4

    def test_a_failed_file_is_never_ok_even_when_nobody_said_why(self) -> None:
        assert Report(entries=(entry(Status.FAILED),)).exit_code == 1

    @pytest.mark.parametrize("status", [Status.PRESENT, Status.ELSEWHERE, Status.INACTIVE, Status.SKIPPED])
    def test_a_run_in_which_nothing_is_missing_ends_with_0(self, status: Status) -> None:
        report = Report(entries=(entry(status),))

        assert (report.exit_code, report.ok) == (0, True)
        report.raise_if_failed()

    def test_one_unreadable_workflow_among_readable_ones_does_not_decide_the_exit_code(self) -> None:
        unreadable = Problem(about="b.json", message="b.json: not JSON", code="unreadable")

        assert Report(entries=(entry(Status.PRESENT),), problems=(unreadable,), workflows=1).exit_code == 0
        assert Report(entries=(), problems=(unreadable,), workflows=0).exit_code == 2

    def test_a_refused_name_in_a_workflow_ends_with_7(self) -> None:
        refused = Problem(about="a.json", message="no", code="unsafe_name")

        assert Report(entries=(entry(Status.PRESENT),), problems=(refused,), workflows=1).exit_code == 7

    def test_the_summary_counts_every_status_once_and_leaves_inactive_out_of_what_is_needed(self) -> None:
        summary = Report(entries=tuple(entry(status) for status in Status), workflows=2, transferred=7).summary

        assert attrs.asdict(summary) == {
            "workflows": 2,
            "needed": len(Status) - 1,
            "present": 2,  # present, elsewhere
            "downloaded": 2,  # downloaded, linked
            "skipped": 1,
            "inactive": 1,
            "failed": 3,  # failed, missing, corrupt
            "bytes": 7,
        }

    def test_the_error_of_a_failed_run_names_each_missing_file_and_carries_the_report(self) -> None:
        report = Report(entries=(entry(Status.FAILED, ErrorCode.NOT_FOUND),))

        with pytest.raises(ModelsMissing, match=r"loras/a\.safetensors") as caught:
            report.raise_if_failed()

        assert caught.value.report is report

    def test_attempts_are_kept_in_order(self) -> None:
        attempts = tuple(
            Attempt(hook="resolve_model", backend=name, outcome=Outcome.DECLINED, seconds=0.1) for name in ("b", "a")
        )

        assert [one.backend for one in entry(Status.MISSING, attempts=attempts).attempts] == ["b", "a"]

    def test_a_path_may_be_unknown(self) -> None:
        assert entry(Status.MISSING).path is None
        assert entry(Status.PRESENT, path=Path("x")).path == Path("x")
