"""What was done, written down without a secret and read back."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.models import (
    Attempt,
    Candidate,
    Check,
    Match,
    ModelRequest,
    Outcome,
    VerificationReport,
)
from comfywatchman_core.report import Entry, Status
from comfywatchman_core.state import History
from comfywatchman_core.state.database import Database

SECRET = "s3cr3t-5f2b9c"
VERIFIED = VerificationReport((Check("sha256", True, cryptographic=True),))
UNVERIFIED = VerificationReport((Check("format", True),))


def entry(name: str = "ink.safetensors", status: Status = Status.DOWNLOADED, **changes: object) -> Entry:
    known: dict[str, object] = {
        "request": ModelRequest(name=name, folder="loras"),  # type: ignore[arg-type]
        "status": status,
        "path": Path("/models/loras") / name,
        "backend": "civitai",
        "candidate": Candidate(
            match=Match.DIGEST,
            url=f"https://user:{SECRET}@files.example/ink?token={SECRET}#x",
            reference=f"https://files.example/ink?token={SECRET}",
        ),
        "size": 4096,
        "sha256": "a" * 64,
        "verification": VERIFIED,
        "seconds": 2,
    }
    return Entry(**{**known, **changes})  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def history(path: Path) -> History:
    return History(Database(path), now=lambda: 1_700_000_000)


def test_a_download_is_written_down_whole(history: History) -> None:
    history.note(entry())

    (record,) = history.records()
    assert record.at == 1_700_000_000
    assert record.label == "loras/ink.safetensors"
    assert record.path == Path("/models/loras/ink.safetensors")
    assert (record.status, record.backend, record.match, record.verdict) == (
        "downloaded",
        "civitai",
        "digest",
        "verified",
    )
    assert (record.size, record.sha256, record.seconds) == (4096, "a" * 64, 2.0)
    assert record.url == "https://files.example/ink"
    assert record.error is None


def test_a_failure_is_written_down_with_who_was_asked(history: History) -> None:
    failure = Failure(code=ErrorCode.GATED, message="the licence is not accepted", hint="Accept it.", http_status=403)
    attempt = Attempt(hook="resolve_model", backend="hub", outcome=Outcome.FAILED, seconds=0.5, failure=failure)

    history.note(entry(status=Status.FAILED, error=failure, attempts=(attempt,), sha256=None, verification=None))

    (record,) = history.records()
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["code"] == "gated"
    assert [said["backend"] for said in record.attempts] == ["hub"]
    assert record.attempts[0]["error"]["http_status"] == 403


def test_no_secret_is_written_down(history: History, path: Path) -> None:
    failure = Failure(
        code=ErrorCode.NETWORK,
        message=f"https://files.example/ink?token={SECRET} failed",
        hint=f"Authorization: Bearer {SECRET} was refused",
    )
    attempt = Attempt(hook="resolve_model", backend="hub", outcome=Outcome.FAILED, seconds=0.5, failure=failure)

    history.note(entry(error=failure, attempts=(attempt,)))
    history.note(entry(request=ModelRequest(reference=f"https://x.example/a?key={SECRET}")))
    history._database.close()

    assert SECRET.encode() not in b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert len(list(history.records())) == 2


def test_escape_sequences_do_not_get_into_it(history: History) -> None:
    failure = Failure(code=ErrorCode.NETWORK, message="\x1b[31mred\x1b[0m\nforged line")

    history.note(entry(error=failure))

    (record,) = history.records()
    assert record.error is not None
    assert "\x1b" not in record.error["message"]
    assert "\n" not in record.error["message"]


def test_records_come_in_the_order_in_which_they_were_written_whatever_the_clock_says(path: Path) -> None:
    for number, now in enumerate((3000.0, 1000.0, 2000.0)):
        History(Database(path), now=lambda now=now: now).note(entry(f"{number}.safetensors"))  # type: ignore[misc]

    history = History(Database(path))
    assert [record.name for record in history.records()] == ["0.safetensors", "1.safetensors", "2.safetensors"]
    assert [record.name for record in history.records(limit=2)] == ["1.safetensors", "2.safetensors"]


def test_the_last_file_that_was_placed_is_what_belongs_there(history: History) -> None:
    history.note(entry())
    history.note(entry(sha256="b" * 64, status=Status.LINKED))
    history.note(entry(sha256="c" * 64, status=Status.FAILED))

    assert history.placed() == {Path("/models/loras/ink.safetensors"): "b" * 64}


def test_only_what_a_published_checksum_spoke_for_counts_as_verified(history: History) -> None:
    history.note(entry())
    history.note(entry(sha256="b" * 64, verification=UNVERIFIED))

    assert history.verified() == {"a" * 64}


def test_a_record_with_a_flipped_bit_is_left_out(history: History, path: Path) -> None:
    history.note(entry())
    history.note(entry("other.safetensors"))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE history SET sha256 = ? WHERE id = 1", ("f" * 64,))
    connection.commit()
    connection.close()

    assert [record.name for record in history.records()] == ["other.safetensors"]
    assert list(history.placed()) == [Path("/models/loras/other.safetensors")]


def test_a_place_whose_name_is_no_text_is_kept(history: History) -> None:
    place = Path(os.fsdecode(b"/models/caf\xe9/ink.safetensors"))

    history.note(entry(path=place))

    assert next(history.records()).path == place


def test_of_too_many_the_oldest_go_but_for_what_lies_somewhere_still(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfywatchman_core.state.history.MOST", 2)
    there, gone = tmp_path / "there.safetensors", tmp_path / "gone.safetensors"
    there.touch()
    told = History(Database(path))
    told.note(entry("there.safetensors", path=there, sha256="1" * 64))
    for name, place, digest in [
        ("there.safetensors", there, "2" * 64),
        ("gone.safetensors", gone, "3" * 64),
        ("failed.safetensors", there, "4" * 64),
    ]:
        status = Status.FAILED if name.startswith("failed") else Status.DOWNLOADED
        told.note(entry(name, status, path=place, sha256=digest))
    told.note(entry("new.safetensors", path=tmp_path / "new.safetensors"))

    History(Database(path)).note(entry("newest.safetensors", path=tmp_path / "newest.safetensors"))

    left = History(Database(path))
    assert [record.name for record in left.records()] == ["there.safetensors", "new.safetensors", "newest.safetensors"]
    assert left.placed()[there] == "2" * 64
