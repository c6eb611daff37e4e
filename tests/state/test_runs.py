"""What runs remember of each other, and that no run depends on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from comfywatchman_core import BackendError, Candidate, Config, Context, Digest, Match, ModelRequest, Watchman, hookimpl
from comfywatchman_core.config import Download, Rules
from comfywatchman_core.errors import ErrorCode
from comfywatchman_core.events import Event, Warned
from comfywatchman_core.models import Outcome
from comfywatchman_core.report import Report, Status
from comfywatchman_core.state import Memory, Record
from comfywatchman_core.testing import Asked, Origin, Reply, safetensors, serve, sha256

INK = safetensors("ink")


class Shelf:
    """A back end for one server; it counts how often it is asked."""

    api_version = 1
    priority = 60

    def __init__(self, url: str, digest: str = "") -> None:
        self.url = url
        self.digest = digest
        self.asked = 0
        self.limited: float | None = None

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        self.asked += 1
        if self.limited is not None:
            raise BackendError("the quota is used up", code=ErrorCode.RATE_LIMITED, retry_after=self.limited)
        return [
            Candidate(
                match=Match.SOURCE_ID,
                url=f"{self.url}/{request.name}?token=s3cr3t",
                digests=(Digest("sha256", self.digest),) if self.digest else (),
                size=len(INK),
                endpoint=self.url,
            )
        ]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serve(_answer) as running:
        yield running


def _answer(asked: Asked) -> Reply:
    if "limited" in asked.path:
        return Reply(status=429, headers={"Retry-After": "5000"})
    if "gone" in asked.path:
        return Reply(status=404)
    return Reply.of_bytes(INK, asked)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "models").mkdir()
    return Config(
        models_dir=tmp_path / "models", state_dir=tmp_path / "state", download=Download(max_retries=0, link="never")
    )


def get(config: Config, *what: str, backend: Any = None, told: list[Event] | None = None, **rules: Any) -> Report:
    config = evolve(config, rules=Rules(**rules))
    with Watchman(config, backends={"shelf": backend} if backend else {}) as watchman:
        return watchman.ensure_models(what, on_event=None if told is None else told.append)


def records(config: Config) -> list[Record]:
    memory = Memory(config.state)
    try:
        return list(memory.history.records())
    finally:
        memory.close()


def warnings(told: list[Event]) -> list[str]:
    return [event.message for event in told if isinstance(event, Warned)]


class TestHistory:
    def test_a_download_is_written_down(self, config: Config, origin: Origin) -> None:
        report = get(config, "loras/ink.safetensors", backend=Shelf(origin.url, sha256(INK)))

        assert report.ok
        (record,) = records(config)
        assert (record.status, record.label, record.backend) == ("downloaded", "loras/ink.safetensors", "shelf")
        assert (record.sha256, record.verdict, record.size) == (sha256(INK), "verified", len(INK))
        assert record.path == config.models_dir / "loras" / "ink.safetensors"  # type: ignore[operator]
        assert record.url == f"{origin.url}/ink.safetensors"
        assert {said["hook"] for said in record.attempts} == {"resolve_model", "download_artifact"}

    def test_a_refused_download_is_written_down_with_its_reason(self, config: Config, origin: Origin) -> None:
        get(config, "loras/ink.safetensors", backend=Shelf(origin.url, "b" * 64))

        (record,) = records(config)
        assert record.status == "failed"
        assert record.error is not None
        assert record.error["code"] == "checksum_mismatch"

    def test_a_file_that_nobody_offers_is_written_down_once(self, config: Config, origin: Origin) -> None:
        get(config, "loras/ink.safetensors")

        (record,) = records(config)
        assert record.error is not None
        assert (record.status, record.error["code"], record.url) == ("failed", "not_found", "")

    def test_what_was_there_already_is_no_download(self, config: Config, origin: Origin) -> None:
        for _ in range(2):
            assert get(config, "loras/ink.safetensors", backend=Shelf(origin.url)).ok

        assert len(records(config)) == 1

    def test_a_plan_writes_nothing_down(self, config: Config, origin: Origin) -> None:
        with Watchman(config, backends={"shelf": Shelf(origin.url)}) as watchman:
            watchman.plan("loras/ink.safetensors")

        assert records(config) == []

    def test_no_secret_gets_into_the_state(self, config: Config, origin: Origin) -> None:
        get(config, "loras/ink.safetensors", "loras/gone.safetensors", backend=Shelf(origin.url))

        assert len(records(config)) == 2
        assert b"s3cr3t" not in b"".join(one.read_bytes() for one in config.state.iterdir())


class TestDigests:
    def test_what_was_downloaded_is_not_hashed_again(
        self, config: Config, origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        what = f"{origin.url}/ink.safetensors#sha256={sha256(INK)}"
        assert get(config, what, folder="loras").ok
        monkeypatch.setattr("comfywatchman_core.state.digests.sha256_of_file", lambda *_: pytest.fail("hashed again"))

        with Watchman(evolve(config, rules=Rules(folder="loras")), backends={}) as watchman:
            report = watchman.scan(what)

        assert [entry.status for entry in report.entries] == [Status.PRESENT]
        assert report.entries[0].sha256 == sha256(INK)

    def test_a_file_that_was_changed_by_hand_is_a_conflict_whatever_is_remembered(
        self, config: Config, origin: Origin
    ) -> None:
        what = f"{origin.url}/ink.safetensors#sha256={sha256(INK)}"
        get(config, what, folder="loras")
        (path,) = (one.path for one in get(config, what, folder="loras").entries)
        assert path is not None
        path.write_bytes(safetensors("another"))

        (entry,) = get(config, what, folder="loras").entries
        assert entry.error is not None
        assert entry.error.code is ErrorCode.CONFLICT

    def test_a_file_that_was_deleted_by_hand_is_missing_whatever_is_remembered(
        self, config: Config, origin: Origin
    ) -> None:
        what = f"{origin.url}/ink.safetensors#sha256={sha256(INK)}"
        get(config, what, folder="loras")
        path = config.models_dir / "loras" / "ink.safetensors"  # type: ignore[operator]
        path.unlink()

        (entry,) = get(config, what, folder="loras").entries
        assert entry.status is Status.DOWNLOADED
        assert path.read_bytes() == INK

    def test_both_names_of_bytes_that_were_linked_stay_known(
        self, config: Config, origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = evolve(config, download=evolve(config.download, link="hard"))
        shelf = Shelf(origin.url, sha256(INK))
        get(config, "loras/ink.safetensors", backend=shelf)
        (entry,) = get(config, "vae/ink.safetensors", backend=shelf).entries
        assert entry.status is Status.LINKED
        monkeypatch.setattr("comfywatchman_core.hashing.sha256_of_file", lambda *_: pytest.fail("hashed again"))

        with Watchman(evolve(config, offline=True), backends={}) as watchman:
            report = watchman.verify()

        assert [one.condition for one in report.files] == ["ok", "ok"]
        assert [record.status for record in records(config)] == ["downloaded", "linked"]


class TestRests:
    def test_a_source_that_asked_for_rest_is_not_asked_by_the_next_run(self, config: Config, origin: Origin) -> None:
        shelf = Shelf(origin.url)
        shelf.limited = 5000.0
        get(config, "loras/ink.safetensors", backend=shelf)

        (entry,) = get(config, "loras/oil.safetensors", backend=shelf).entries

        assert shelf.asked == 1
        assert entry.error is not None
        assert entry.error.code is ErrorCode.RATE_LIMITED
        assert "not asked again yet" in entry.error.message
        assert entry.error.retry_after is not None
        assert 4000 < entry.error.retry_after <= 5000
        (attempt,) = (one for one in entry.attempts if one.backend == "shelf")
        assert attempt.outcome is Outcome.FAILED
        assert attempt.failure is not None

    def test_it_is_asked_when_the_user_insists(self, config: Config, origin: Origin) -> None:
        shelf = Shelf(origin.url)
        shelf.limited = 5000.0
        get(config, "loras/ink.safetensors", backend=shelf)
        shelf.limited = None

        assert get(config, "loras/ink.safetensors", backend=shelf, force=True).ok
        assert get(config, "loras/oil.safetensors", backend=shelf).ok, "it answered, and so is forgiven"

    def test_a_host_that_limits_downloads_is_left_alone_for_all_files(self, config: Config, origin: Origin) -> None:
        shelf = Shelf(origin.url)
        get(config, "loras/limited.safetensors", backend=shelf)
        before = len(origin.asked)

        (entry,) = get(config, "loras/ink.safetensors", backend=shelf).entries

        assert entry.error is not None
        assert entry.error.code is ErrorCode.RATE_LIMITED
        assert len(origin.asked) == before

    def test_a_file_named_by_its_own_address_is_asked_for_at_once(self, config: Config, origin: Origin) -> None:
        get(config, "loras/limited.safetensors", backend=Shelf(origin.url))

        assert get(config, f"{origin.url}/ink.safetensors", folder="loras").ok


class TestRefusedBytes:
    """A source that sends other bytes than it publishes must not be asked for gigabytes by every run of a timer."""

    def test_are_not_fetched_a_third_time_at_once_and_that_is_told(self, config: Config, origin: Origin) -> None:
        wrong = Shelf(origin.url, "0" * 64)
        for _ in range(2):
            get(config, "loras/ink.safetensors", backend=wrong)
        before = len(origin.asked)

        (entry,) = get(config, "loras/ink.safetensors", backend=wrong).entries

        assert len(origin.asked) == before == 2
        assert entry.error is not None
        assert entry.error.code is ErrorCode.CHECKSUM_MISMATCH
        assert "not fetched again yet, because it was refused 2 times" in entry.error.message
        assert entry.error.retry_after is not None
        assert 500 < entry.error.retry_after <= 600
        assert [one.outcome for one in entry.attempts if one.hook == "download_artifact"] == [Outcome.FAILED]
        assert "s3cr3t" not in str(entry.error)

    def test_are_fetched_when_the_user_insists(self, config: Config, origin: Origin) -> None:
        for _ in range(2):
            get(config, "loras/ink.safetensors", backend=Shelf(origin.url, "0" * 64))

        get(config, "loras/ink.safetensors", backend=Shelf(origin.url, "0" * 64), force=True)
        assert len(origin.asked) == 3
        accepted = {"accept_digests": (sha256(INK),)}
        assert get(config, "loras/ink.safetensors", backend=Shelf(origin.url, "0" * 64), **accepted).ok

    def test_are_no_matter_where_another_digest_is_published_by_now(self, config: Config, origin: Origin) -> None:
        for _ in range(2):
            get(config, "loras/ink.safetensors", backend=Shelf(origin.url, "0" * 64))

        assert get(config, "loras/ink.safetensors", backend=Shelf(origin.url, sha256(INK))).ok

    def test_of_one_file_keep_no_other_from_being_fetched(self, config: Config, origin: Origin) -> None:
        for _ in range(2):
            get(config, "loras/ink.safetensors", backend=Shelf(origin.url, "0" * 64))

        assert get(config, "loras/oil.safetensors", backend=Shelf(origin.url, sha256(INK))).ok


class TestNothingDependsOnIt:
    def spoil(self, config: Config, how: str) -> sqlite3.Connection | None:
        """Do something bad to the state that a first run left."""
        path = config.state / "state.sqlite"
        if how == "deleted":
            for one in config.state.iterdir():
                one.unlink()
        elif how == "garbage":
            path.write_bytes(os.urandom(20_000))
        elif how == "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif how == "a directory":
            path.unlink()
            path.mkdir()
        elif how in ("locked", "from the future"):
            holder = sqlite3.connect(path, isolation_level=None)
            if how == "from the future":
                holder.execute("PRAGMA user_version = 1000")
                holder.close()
            else:
                holder.execute("PRAGMA locking_mode = EXCLUSIVE")
                holder.execute("BEGIN EXCLUSIVE")
                return holder
        return None

    @pytest.mark.parametrize("how", ["deleted", "garbage", "truncated", "a directory", "locked", "from the future"])
    def test_the_next_run_succeeds_and_says_so_once(
        self, config: Config, origin: Origin, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("comfywatchman_core.state.database._PATIENCE", 0.05)
        monkeypatch.setattr("comfywatchman_core.state.database._IMPATIENT", 0.02)
        shelf = Shelf(origin.url, sha256(INK))
        get(config, "loras/ink.safetensors", backend=shelf)
        holder = self.spoil(config, how)
        told: list[Event] = []

        report = get(config, "loras/ink.safetensors", "loras/oil.safetensors", backend=shelf, told=told)

        if holder is not None:
            holder.close()
        assert report.ok
        assert [entry.status for entry in report.entries] == [Status.PRESENT, Status.DOWNLOADED]
        assert len(warnings(told)) == (0 if how == "deleted" else 1)

    def test_a_scan_opens_no_database_where_nothing_is_to_be_hashed(self, config: Config) -> None:
        with Watchman(config, backends={}) as watchman:
            watchman.scan("loras/ink.safetensors")

        assert not config.state.exists()
