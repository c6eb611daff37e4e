"""The checksums that only this service uses, computed on the file that arrived."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfywatchman_civitai.checksums import checks
from standins.civitai_catalogue import hash_kinds
from standins.civitai_desk import Desk

from comfywatchman_core import Artifact, Candidate, Digest, Match, errors
from comfywatchman_core.testing import safetensors

DATA = safetensors("sum", 3 << 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ink.safetensors"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("kind", ["AutoV1", "AutoV3", "CRC32"])
def test_each_kind_agrees_with_the_file_it_is_of_and_with_no_other(path: Path, kind: str) -> None:
    value = hash_kinds(DATA, path.name)[kind]

    (right,) = checks(path, (Digest(kind.lower(), value),), lambda: False)
    (wrong,) = checks(path, (Digest(kind.lower(), "0" * len(value)),), lambda: False)

    assert (right.passed, wrong.passed) == (True, False)
    assert wrong.code == errors.ErrorCode.CHECKSUM_MISMATCH
    assert not right.cryptographic


def test_the_checksum_of_hello_world_is_the_one_the_service_prints(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello world")

    assert [check.passed for check in checks(path, (Digest("crc32", "85114A0D"),), lambda: False)] == [True]


def test_what_cannot_be_computed_is_not_claimed(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"\xff" * 20)

    assert checks(path, (Digest("autov1", "0" * 8), Digest("autov3", "0" * 12), Digest("blake3", "0" * 64)),
                  lambda: False) == []  # fmt: skip


def test_a_stop_is_heard_while_a_file_is_read(path: Path) -> None:
    with pytest.raises(errors.Cancelled):
        checks(path, (Digest("crc32", "0" * 8),), lambda: True)


def test_only_files_of_this_source_without_a_sha256_are_looked_at(desk: Desk, path: Path) -> None:
    crc32 = Digest("crc32", hash_kinds(DATA, path.name)["CRC32"])
    artifact = Artifact(path=path, size=len(DATA))

    def verify(*digests: Digest, backend: str = "civitai") -> object:
        candidate = Candidate(match=Match.DIGEST, url="https://civitai.com/x", digests=digests, backend=backend)
        return desk.backend.verify_artifact(artifact, candidate, desk.context)

    assert verify(crc32)
    assert verify(crc32, Digest("sha256", "0" * 64)) is None
    assert verify(crc32, backend="someone-else") is None
    assert verify() is None
