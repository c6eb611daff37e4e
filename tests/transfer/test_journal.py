"""What a journal says survives its process, and nothing else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from comfywatchman_core.transfer import journal as module
from comfywatchman_core.transfer.journal import Identity, Journal, without_query
from comfywatchman_core.transfer.spans import NO_END

KNOWN = Identity(source="https://a/x", storage="https://b/x", sha256="f" * 64, etag='"e"', total=1000)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.json")


def read_anew(journal: Journal) -> object:
    return Journal(journal._path).read()


def test_notes_outlive_their_process(journal: Journal) -> None:
    journal.write(KNOWN, confirmed=[(0, 100)], written=[], sync=True)
    journal.note(100, 200)
    journal.note(500, 600)

    assert read_anew(journal) == (KNOWN, [(0, 200), (500, 600)])


def test_after_a_power_cut_only_what_the_disk_confirmed_counts(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.write(KNOWN, confirmed=[(0, 100)], written=[(100, 300)], sync=True)

    monkeypatch.setattr(module, "boot_id", lambda: "after the next start")

    assert read_anew(journal) == (KNOWN, [(0, 100)])


def test_where_the_system_does_not_name_its_starts_only_what_was_confirmed_counts(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "boot_id", lambda: "")
    journal.write(KNOWN, confirmed=[(0, 100)], written=[(100, 300)], sync=True)

    assert read_anew(journal) == (KNOWN, [(0, 100)])


def test_a_torn_last_line_costs_that_line(journal: Journal) -> None:
    journal.write(KNOWN, confirmed=[], written=[(0, 100)], sync=False)
    with journal._path.open("ab") as file:
        file.write(b"[100, 2")

    assert read_anew(journal) == (KNOWN, [(0, 100)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 5000,  # blocks that never reached the disk
        b"{",
        b"[]",
        b"null",
        b'{"schema": "comfywatchman/2"}',
        b'{"schema": "comfywatchman/1"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_journal_is_no_journal(journal: Journal, content: bytes) -> None:
    journal._path.write_bytes(content)

    assert journal.read() is None


@pytest.mark.parametrize(
    "ranges", [[[0, 1001]], [[-1, 5]], [[5, 5]], [[9, 5]], [[0, 1.5]], [["0", "5"]], [[0]], [True], [[False, True]]]
)
def test_ranges_that_cannot_be_are_not_believed(journal: Journal, ranges: object) -> None:
    journal.write(KNOWN, confirmed=[], written=[], sync=False)
    header = json.loads(journal._path.read_text())
    journal._path.write_text(json.dumps({**header, "ranges": ranges}))

    assert journal.read() is None


def test_no_journal_holds_a_signature_or_a_login(journal: Journal) -> None:
    assert without_query("https://me:secret@host:1/x?Signature=abc#f") == "https://host:1/x"


@pytest.mark.parametrize(
    ("earlier", "admitted"),
    [
        pytest.param(KNOWN, True, id="the same file"),
        pytest.param(evolve(KNOWN, source="https://mirror/x"), True, id="the same digest from another source"),
        pytest.param(evolve(KNOWN, sha256="0" * 64), False, id="another digest from the same source"),
        pytest.param(evolve(KNOWN, sha256=""), True, id="no digest then, and a validator of the same source"),
        pytest.param(evolve(KNOWN, sha256="", etag=""), False, id="no digest then, and no validator"),
        pytest.param(evolve(KNOWN, sha256="", source="https://c/x"), False, id="no digest then, and another source"),
    ],
)
def test_bytes_are_gone_on_with_only_if_they_are_of_the_same_file(earlier: Identity, admitted: bool) -> None:
    assert KNOWN.admits(earlier) is admitted


def test_a_digest_or_a_strong_validator_makes_bytes_of_two_answers_one_file() -> None:
    assert Identity(source="s", sha256="f" * 64).is_strong
    assert Identity(source="s", etag='"e"').is_strong
    assert not Identity(source="s", total=NO_END).is_strong
