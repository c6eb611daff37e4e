"""The checks that every file passes before it gets its name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from comfywatchman_core.errors import Cancelled, ErrorCode
from comfywatchman_core.models import (
    Artifact,
    Candidate,
    Check,
    Digest,
    Match,
    ModelRequest,
    Verdict,
    VerificationReport,
)
from comfywatchman_core.testing import safetensors, sha256
from comfywatchman_core.verify import built_in_checks, digests_of_file, sha256_of_file

DATA = safetensors("a")
RIGHT, WRONG = sha256(DATA), "0" * 64


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    path = tmp_path / "part"
    path.write_bytes(DATA)
    return Artifact(path=path, size=len(DATA), digests=(Digest("sha256", RIGHT),))


def checks(
    artifact: Artifact,
    *,
    published: tuple[Digest, ...] = (),
    asked: tuple[Digest, ...] = (),
    size: int | None = None,
    asked_size: int | None = None,
    name: str = "a.safetensors",
    **more: Any,
) -> list[Check]:
    candidate = Candidate(match=Match.FILENAME, url="https://models.example/a", digests=published, size=size)
    request = ModelRequest(name="a.safetensors", folder="loras", digests=asked, size=asked_size)
    return built_in_checks(artifact, candidate, request, name=name, **more)


def verdict(found: list[Check]) -> Verdict:
    return VerificationReport(tuple(found)).verdict


def codes(found: list[Check]) -> set[str]:
    return {check.code for check in found if not check.passed}


def test_bytes_that_a_published_sha256_agrees_with_are_verified(artifact: Artifact) -> None:
    assert verdict(checks(artifact, published=(Digest("sha256", RIGHT.upper()),))) is Verdict.VERIFIED


def test_a_checksum_of_the_workflow_or_plan_counts_as_well(artifact: Artifact) -> None:
    assert verdict(checks(artifact, asked=(Digest("sha256", RIGHT),))) is Verdict.VERIFIED


def test_other_bytes_are_refused_and_both_digests_are_told(artifact: Artifact) -> None:
    found = checks(artifact, published=(Digest("sha256", WRONG),))

    assert verdict(found) is Verdict.REFUSED
    assert codes(found) == {ErrorCode.CHECKSUM_MISMATCH}
    (failed,) = [check for check in found if not check.passed]
    assert RIGHT in failed.note
    assert WRONG in failed.note


def test_one_that_agrees_does_not_outweigh_one_that_does_not(artifact: Artifact) -> None:
    found = checks(artifact, published=(Digest("sha256", RIGHT),), asked=(Digest("sha256", WRONG),))

    assert verdict(found) is Verdict.REFUSED


def test_without_a_checksum_a_sound_file_is_unverified(artifact: Artifact) -> None:
    assert verdict(checks(artifact, size=len(DATA))) is Verdict.UNVERIFIED


@pytest.mark.parametrize("algorithm", ["sha512", "sha1", "md5"])
def test_other_plain_algorithms_are_computed_and_compared(artifact: Artifact, algorithm: str) -> None:
    right = hashlib.new(algorithm, DATA, usedforsecurity=False).hexdigest()

    assert verdict(checks(artifact, published=(Digest(algorithm, right),))) is not Verdict.REFUSED
    assert verdict(checks(artifact, published=(Digest(algorithm, "0" * len(right)),))) is Verdict.REFUSED


@pytest.mark.parametrize("algorithm", ["sha1", "md5", "autov2"])
def test_an_algorithm_that_can_be_forged_proves_nothing(artifact: Artifact, algorithm: str) -> None:
    values = {"autov2": RIGHT[:10]} | {
        name: hashlib.new(name, DATA, usedforsecurity=False).hexdigest() for name in ("sha1", "md5")
    }

    assert verdict(checks(artifact, published=(Digest(algorithm, values[algorithm]),))) is Verdict.UNVERIFIED


def test_a_short_digest_that_does_not_agree_still_refuses(artifact: Artifact) -> None:
    assert verdict(checks(artifact, published=(Digest("autov2", "0" * 10),))) is Verdict.REFUSED


@pytest.mark.parametrize(("algorithm", "digits"), [("blake3", 64), ("crc32", 8), ("autov1", 8), ("git-sha1", 40)])
def test_an_algorithm_of_one_source_is_left_to_the_back_end_that_knows_it(
    artifact: Artifact, algorithm: str, digits: int
) -> None:
    found = checks(artifact, published=(Digest(algorithm, "0" * digits),))

    assert verdict(found) is Verdict.UNVERIFIED
    assert algorithm not in {check.name for check in found}


@pytest.mark.parametrize("where", ["size", "asked_size"])
def test_another_size_than_stated_is_refused(artifact: Artifact, where: str) -> None:
    found = checks(artifact, **{where: len(DATA) + 1})  # type: ignore[arg-type]

    assert codes(found) == {ErrorCode.SIZE_MISMATCH}
    assert str(len(DATA) + 1) in found[0].note


def test_a_stated_size_may_be_stale_where_the_digest_agrees(artifact: Artifact) -> None:
    found = checks(artifact, size=len(DATA) + 1, published=(Digest("sha256", RIGHT),))

    assert verdict(found) is Verdict.VERIFIED


def test_a_file_that_nothing_can_load_is_refused_though_its_checksum_agrees(tmp_path: Path) -> None:
    page = b"<!doctype html><title>Sign in</title>"
    (tmp_path / "part").write_bytes(page)
    artifact = Artifact(path=tmp_path / "part", size=len(page), digests=(Digest("sha256", sha256(page)),))

    found = checks(artifact, published=artifact.digests)

    assert codes(found) == {ErrorCode.NOT_A_MODEL}
    assert verdict(found) is Verdict.REFUSED


def test_the_format_is_that_of_the_final_name(artifact: Artifact) -> None:
    assert codes(checks(artifact, name="a.gguf")) == {ErrorCode.NOT_A_MODEL}


class TestTheUsersWord:
    def test_a_digest_that_the_user_accepts_stands_above_the_publishers(self, artifact: Artifact) -> None:
        found = checks(artifact, published=(Digest("sha256", WRONG),), accepted=(RIGHT,))

        assert verdict(found) is Verdict.VERIFIED

    def test_but_not_above_the_format(self, artifact: Artifact) -> None:
        assert verdict(checks(artifact, name="a.gguf", accepted=(RIGHT,))) is Verdict.REFUSED

    def test_accepting_other_bytes_changes_nothing(self, artifact: Artifact) -> None:
        found = checks(artifact, published=(Digest("sha256", WRONG),), accepted=("1" * 64,))

        assert verdict(found) is Verdict.REFUSED

    def test_digests_are_not_compared_where_the_settings_say_so_and_the_rest_is(self, artifact: Artifact) -> None:
        published = (Digest("sha256", WRONG), Digest("md5", "0" * 32))

        assert verdict(checks(artifact, published=published, compare=False)) is Verdict.UNVERIFIED
        assert codes(checks(artifact, published=published, compare=False, size=1)) == {ErrorCode.SIZE_MISMATCH}


class TestHashing:
    def test_a_file_is_read_once_for_all_algorithms(self, artifact: Artifact) -> None:
        assert digests_of_file(artifact.path, {"sha256", "md5"}) == {
            "sha256": RIGHT,
            "md5": hashlib.md5(DATA, usedforsecurity=False).hexdigest(),
        }

    def test_an_empty_file_has_a_digest_too(self, tmp_path: Path) -> None:
        (tmp_path / "x").touch()

        assert sha256_of_file(tmp_path / "x") == sha256(b"")

    def test_whoever_stops_does_not_wait_for_the_end_of_the_file(self, artifact: Artifact) -> None:
        with pytest.raises(Cancelled):
            sha256_of_file(artifact.path, lambda: True)
