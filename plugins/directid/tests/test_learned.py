"""The learned table: what goes in, and that it survives everybody."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from attrs import evolve
from comfywatchman_directid import learned
from comfywatchman_directid.documents import parse_document
from comfywatchman_directid.learned import remember, row_for
from comfywatchman_directid.rows import KnownModel
from comfywatchman_directid.sources import CivitaiFile, HubFile

from comfywatchman_core import BackendError, Candidate, Match, ModelRequest

TODAY = datetime.date(2026, 11, 22)
COMMIT = "c" * 40


def row(number: int, sha256: str = "1" * 64, match: Match = Match.FILENAME) -> KnownModel:
    source = HubFile(repository="o/r", path=f"{number}.safetensors", revision=COMMIT)
    return KnownModel(name=f"{number}.safetensors", folders=("loras",), source=source, sha256=sha256, match=match)


def rows(path: Path) -> tuple[KnownModel, ...]:
    return parse_document(path.read_bytes(), str(path))[1]


def ignored(message: str) -> None:
    raise AssertionError(message)


def learned_from(reference: str, url: str = "https://example.org/x", **request: object) -> KnownModel | None:
    asked = ModelRequest(**{"name": "a.safetensors", "folder": "loras", **request})  # type: ignore[arg-type]
    candidate = Candidate(match=Match.FILENAME, url=url, reference=reference, name="a.safetensors", folder="vae")
    return row_for(asked, candidate, "1" * 64, 5, TODAY)


class TestWhatIsWorthRemembering:
    def test_name_folder_source_digest_and_size(self) -> None:
        learned_row = learned_from(f"hf:o/r/a.safetensors@{COMMIT}", name="sub/a.safetensors")

        assert learned_row == KnownModel(
            name="a.safetensors",
            folders=("loras",),
            source=HubFile(repository="o/r", path="a.safetensors", revision=COMMIT),
            sha256="1" * 64,
            size=5,
            seen_in=("downloaded",),
            checked="2026-11-22",
            match=Match.FILENAME,
        )

    def test_a_version_of_the_catalogue(self) -> None:
        learned_row = learned_from("civitai:4@5+6")

        assert learned_row is not None
        assert learned_row.source == CivitaiFile(model=4, version=5, file=6)

    def test_not_a_branch_whose_bytes_may_change(self) -> None:
        assert learned_from("hf:o/r/a.safetensors") is None

    def test_the_suffix_that_its_source_added(self) -> None:
        learned_row = learned_from(f"hf:o/r/a.safetensors@{COMMIT}", name="a")

        assert learned_row is not None
        assert learned_row.name == "a.safetensors"

    def test_the_folder_that_its_source_proposed(self) -> None:
        learned_row = learned_from("civitai:4@5+6", name=None, folder="")

        assert learned_row is not None
        assert learned_row.folders == ("vae",)

    @pytest.mark.parametrize(
        "url",
        [
            # a query may be a signature or a token
            "https://example.org/a.safetensors?X-Amz-Signature=abc",
            "https://example.org/a.safetensors?token=abc",
            # somebody's own network
            "https://nas/a.safetensors",
            "https://192.168.1.5/a.safetensors",
            "https://[::1]/a.safetensors",
            "https://127.1/a.safetensors",
            "",
        ],
    )
    def test_no_address_that_is_secret_or_private(self, url: str) -> None:
        assert learned_from("", url) is None

    def test_no_user_and_password(self) -> None:
        learned_row = learned_from("", "https://me:secret@example.org/a.safetensors")

        assert learned_row is not None
        assert "secret" not in repr(learned_row)


class TestTheFile:
    def test_is_private_to_the_user(self, tmp_path: Path) -> None:
        path = tmp_path / "state" / "learned.json"

        remember(path, row(1), ignored)

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_keeps_what_it_had(self, tmp_path: Path) -> None:
        path = tmp_path / "learned.json"

        for number in range(3):
            remember(path, row(number), ignored)

        assert [one.name for one in rows(path)] == ["0.safetensors", "1.safetensors", "2.safetensors"]

    def test_is_not_written_for_what_it_has(self, tmp_path: Path) -> None:
        path = tmp_path / "learned.json"

        assert remember(path, row(1), ignored)
        assert not remember(path, row(1), ignored)
        assert remember(path, row(1, match=Match.SOURCE_ID), ignored)
        assert [one.match for one in rows(path)] == [Match.SOURCE_ID]

    def test_is_bounded_and_forgets_the_oldest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(learned, "MOST_LEARNED", 3)
        path = tmp_path / "learned.json"

        for number in range(5):
            remember(path, row(number), ignored)

        assert [one.name for one in rows(path)] == ["2.safetensors", "3.safetensors", "4.safetensors"]

    def test_damaged_is_set_aside_and_begun_again(self, tmp_path: Path) -> None:
        path = tmp_path / "learned.json"
        path.write_bytes(b'{"schema": "comfywatchman-known/1", "models": [{"na')
        told: list[str] = []

        remember(path, row(1), told.append)

        assert len(rows(path)) == 1
        assert (tmp_path / "learned.json.bad").read_bytes().startswith(b'{"schema"')
        assert "set aside as learned.json.bad" in told[0]

    def test_from_a_newer_version_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "learned.json"
        newer = b'{"schema": "comfywatchman-known/2", "rows": 7}'
        path.write_bytes(newer)

        with pytest.raises(BackendError, match="newer version"):
            remember(path, row(1), ignored)

        assert path.read_bytes() == newer

    def test_takes_no_row_that_would_make_it_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match="not a safe file name"):
            remember(tmp_path / "learned.json", evolve(row(1), name="con.safetensors"), ignored)

        assert list(tmp_path.iterdir()) == []

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        real = tmp_path / "real.json"
        remember(real, row(1), ignored)
        real.chmod(0o640)
        link = tmp_path / "learned.json"
        link.symlink_to(real)

        remember(link, row(2), ignored)

        assert link.is_symlink()
        assert len(rows(real)) == 2
        assert stat.S_IMODE(real.stat().st_mode) == 0o640

    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "learned.json"
        remember(path, row(1), ignored)
        before = path.read_bytes()

        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            remember(path, row(2), ignored)

        assert path.read_bytes() == before
        assert sorted(one.name for one in tmp_path.iterdir()) == [".learned.json.lock", "learned.json"]

    def test_what_a_killed_writer_left_is_cleared_away(self, tmp_path: Path) -> None:
        left = tmp_path / ".learned.json.new"
        left.symlink_to(tmp_path / "elsewhere")

        remember(tmp_path / "learned.json", row(1), ignored)

        assert sorted(one.name for one in tmp_path.iterdir()) == [".learned.json.lock", "learned.json"]

    def test_nothing_is_lost_when_several_processes_write(self, tmp_path: Path) -> None:
        path = tmp_path / "learned.json"
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=_write, args=(path, start)) for start in range(4)]

        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(30)

        assert [writer.exitcode for writer in writers] == [0] * 4
        assert len({one.name for one in rows(path)}) == 4 * 10


def _write(path: Path, start: int) -> None:
    for number in range(10):
        remember(path, row(start * 10 + number), ignored)
