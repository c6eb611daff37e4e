"""The engine in this process: resuming, several connections, credentials, limits, stopping."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from standins.faulty import GOOD, Ending, Faulty, Scene, faulty
from transfer.engines import OpenAtOnce, Run

from comfywatchman_core.errors import BackendError, Cancelled
from comfywatchman_core.events import BytesReceived, DownloadFinished, StateChanged, TransferState
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.reservation import Reservations
from comfywatchman_core.testing import safetensors, sha256
from comfywatchman_core.transfer import download, ramp, spans, supply
from comfywatchman_core.transfer.part import Part
from comfywatchman_core.transport import Transport

PATH = "/model.safetensors"
SIZE = 4 << 20
CHUNK = 1 << 20
"""Bytes that a connection may lose when it breaks."""
CONTENT = safetensors("model", SIZE)
CUT = Scene(sends=SIZE // 2, then=Ending.FIN)
DEAD = Scene(instead=b"\n", then=Ending.RST)


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as server:
        server.files[PATH] = CONTENT
        yield server


@pytest.fixture
def run(server: Faulty, tmp_path: Path) -> Run:
    return Run(server, tmp_path, settings={"max_retries": 0})


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several connections even for small files and short moments."""
    monkeypatch.setattr(ramp, "_WORTH_IT", 0.0)
    monkeypatch.setattr(ramp, "_SETTLE", 0.0)
    monkeypatch.setattr(ramp, "_GAIN", -1.0)
    monkeypatch.setattr(download, "_TICK", 0.01)


def half(run: Run, *, digest: bool = True) -> None:
    """Let a run break off in the middle."""
    run.server.play(PATH, CUT, DEAD)
    with pytest.raises(BackendError):
        run.fetch(run.candidate(PATH, digest=digest))
    run.server.play(PATH, GOOD)
    run.events.clear()


def place(run: Run) -> Path:
    return run.folder / ".model.safetensors.cw"


def test_bytes_arrive_with_their_digest(run: Run) -> None:
    artifact = run.fetch(PATH)

    assert run.final.read_bytes() == CONTENT
    assert (artifact.size, artifact.digests[0].value) == (len(CONTENT), sha256(CONTENT))


def test_what_happens_is_told_in_order(run: Run) -> None:
    run.fetch(PATH)

    kinds = [type(event).__name__ for event in run.events]
    assert kinds == sorted(kinds, key=["StateChanged", "DownloadStarted", "BytesReceived", "DownloadFinished"].index)
    assert run.started.size == len(CONTENT)
    assert isinstance(run.events[-1], DownloadFinished)
    assert [event.received for event in run.events if isinstance(event, BytesReceived)][-1] == len(CONTENT)


def test_an_address_that_is_not_http_is_declined(run: Run) -> None:
    assert run.engine.download_artifact(run.candidate(PATH, url="s3://bucket/x"), run.final, {}, None) is None  # type: ignore[arg-type]


class TestOffers:
    def test_a_requests_own_address_is_offered_as_it_is(self, run: Run) -> None:
        request = ModelRequest(url="https://example.test/a/b%20c.safetensors?x=1", folder="loras", explicit=True)

        (offer,) = run.engine.resolve_model(request, None) or ()  # type: ignore[arg-type]

        assert (offer.url, offer.name, offer.endpoint) == (request.url, "b c.safetensors", "https://example.test:443")

    def test_an_address_that_a_workflow_gives_is_not_trusted_like_the_users_own(self, run: Run) -> None:
        (offer,) = run.engine.resolve_model(ModelRequest(url="http://127.0.0.1/x", folder="loras"), None) or ()  # type: ignore[arg-type]

        assert offer.endpoint == ""

    def test_nothing_is_said_of_requests_without_address(self, run: Run) -> None:
        assert run.engine.resolve_model(ModelRequest(name="a.safetensors", folder="loras"), None) is None  # type: ignore[arg-type]


class TestResuming:
    def test_the_next_run_transfers_what_is_missing(self, run: Run) -> None:
        half(run)

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at >= SIZE // 2 - CHUNK
        assert run.server.sent[PATH] <= len(CONTENT) - SIZE // 2 + CHUNK
        assert run.server.heard_of(PATH)[-1].headers["range"].startswith("bytes=")

    def test_a_file_that_may_have_changed_is_asked_for_under_its_validator(self, run: Run) -> None:
        half(run)

        run.fetch(PATH)

        assert run.server.heard_of(PATH)[-1].headers["if-range"] == f'"{sha256(CONTENT)[:20]}"'

    @pytest.mark.parametrize("honours", [True, False])
    @pytest.mark.parametrize("digest", [True, False])
    def test_bytes_of_a_file_that_was_replaced_since_are_not_used(self, run: Run, honours: bool, digest: bool) -> None:
        half(run, digest=digest)
        run.server.files[PATH] = newer = safetensors("newer", SIZE)
        run.server.play(PATH, Scene(honours_if_range=honours))

        run.fetch(run.candidate(PATH, digest=digest))

        assert run.final.read_bytes() == newer

    def test_a_weak_validator_is_never_sent(self, run: Run) -> None:
        run.server.etags[PATH] = 'W/"weak"'
        half(run)

        run.fetch(PATH)

        assert "if-range" not in run.server.heard_of(PATH)[-1].headers
        assert run.started.resumed_at > 0

    def test_without_digest_and_validator_everything_is_transferred_again(self, run: Run) -> None:
        run.server.etags[PATH] = 'W/"weak"'
        half(run, digest=False)

        run.fetch(run.candidate(PATH, digest=False))

        assert run.started.resumed_at == 0
        assert run.server.sent[PATH] == len(CONTENT)

    def test_an_old_date_is_as_good_as_a_validator(self, run: Run) -> None:
        dated = {"ETag": None, "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
        run.server.play(PATH, Scene(sends=SIZE // 2, then=Ending.FIN, headers=dated), DEAD)
        with pytest.raises(BackendError):
            run.fetch(run.candidate(PATH, digest=False))
        run.server.play(PATH, Scene(headers=dated, honours_if_range=False))
        run.events.clear()

        run.fetch(run.candidate(PATH, digest=False))

        assert run.server.heard_of(PATH)[-1].headers["if-range"] == dated["Last-Modified"]
        assert run.started.resumed_at > 0

    def test_a_date_of_this_very_moment_is_none(self, run: Run) -> None:
        now = "Wed, 21 Oct 2015 07:28:00 GMT"
        young = {"ETag": None, "Last-Modified": now, "Date": now}
        run.server.play(PATH, Scene(sends=SIZE // 2, then=Ending.FIN, headers=young), DEAD)
        with pytest.raises(BackendError):
            run.fetch(run.candidate(PATH, digest=False))
        run.server.play(PATH, Scene(headers=young))
        run.events.clear()

        run.fetch(run.candidate(PATH, digest=False))

        assert run.started.resumed_at == 0

    def test_bytes_of_another_file_under_this_name_are_told_of_and_not_used(self, run: Run) -> None:
        half(run)
        run.server.files["/other"] = other = safetensors("other", SIZE)

        run.fetch("/other")

        assert run.final.read_bytes() == other
        assert "cannot be gone on with" in run.warnings[0]

    def test_bytes_that_a_mirror_has_as_well_are_gone_on_with_from_there(self, run: Run) -> None:
        half(run)
        run.server.files["/mirror"] = CONTENT
        run.server.etags["/mirror"] = '"of its own"'

        run.fetch("/mirror")

        assert run.started.resumed_at > 0
        assert "if-range" not in run.server.heard_of("/mirror")[0].headers

    def test_a_flipped_bit_in_what_was_kept_costs_one_transfer_and_no_wrong_byte(self, run: Run) -> None:
        half(run)
        with (place(run) / "part").open("r+b") as part:
            part.seek(100_000)
            byte = part.read(1)[0]
            part.seek(100_000)
            part.write(bytes([byte ^ 1]))

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert "begins anew" in run.warnings[0]

    def test_a_file_that_is_complete_is_not_asked_for_again(self, run: Run) -> None:
        run.fetch(PATH, publish=False)
        asked = len(run.server.heard)

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert len(run.server.heard) == asked

    def test_a_file_of_unknown_size_that_is_complete_is_recognised_by_the_refusal(self, run: Run) -> None:
        run.fetch(PATH, publish=False)
        self.rewrite_header(run, total=spans.NO_END)
        run.server.play(PATH, GOOD)

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert run.server.sent[PATH] == 0

    def test_a_refusal_does_not_make_a_whole_file_of_one_whose_size_is_known(self, run: Run) -> None:
        half(run, digest=False)
        lie = {"Content-Range": f"bytes */{SIZE // 2}"}
        run.server.play(PATH, Scene(status=416, headers=lie, body=b""), GOOD)

        run.fetch(run.candidate(PATH, digest=False))

        assert run.final.read_bytes() == CONTENT

    def test_a_part_that_is_longer_than_the_file_is_not_used(self, run: Run) -> None:
        half(run)
        with (place(run) / "part").open("ab") as part:
            part.write(b"x" * SIZE)

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at == 0

    def test_a_part_that_is_shorter_than_its_journal_says_is_not_used(self, run: Run) -> None:
        half(run)
        os.truncate(place(run) / "part", 1000)

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at == 0

    def test_a_damaged_journal_costs_the_bytes_and_nothing_else(self, run: Run) -> None:
        half(run)
        (place(run) / "journal.json").write_bytes(b'{"schema": "comfywat')

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at == 0

    def test_what_a_refusal_leaves_is_what_was_there_before(self, run: Run) -> None:
        half(run)
        before = (place(run) / "part").read_bytes()
        run.server.play(PATH, Scene(status=403, body=b"no"))
        with pytest.raises(BackendError):
            run.fetch(PATH)
        run.server.play(PATH, GOOD)

        assert (place(run) / "part").read_bytes() == before
        run.fetch(PATH)
        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at > 0

    def test_a_link_in_the_place_of_the_part_is_not_followed(self, run: Run, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        target = tmp_path / "place" / "part"
        target.parent.mkdir()
        target.symlink_to(victim)

        run.transfer(run.candidate(PATH), target)

        assert victim.read_bytes() == b"precious"
        assert target.read_bytes() == CONTENT

    @staticmethod
    def rewrite_header(run: Run, **changes: object) -> None:
        journal = place(run) / "journal.json"
        header, *notes = journal.read_text().split("\n")
        journal.write_text("\n".join([json.dumps({**json.loads(header), **changes}), *notes]))


class TestSizes:
    def test_a_source_that_knows_the_size_notices_a_cut_that_looks_like_an_end(self, run: Run) -> None:
        run = Run(run.server, run.folder, settings={"max_retries": 2})
        cut = Scene(headers={"Content-Length": None}, sends=SIZE // 2, then=Ending.FIN)
        run.server.play(PATH, cut, GOOD)

        run.fetch(run.candidate(PATH, digest=False, size=len(CONTENT)))

        assert run.final.read_bytes() == CONTENT

    def test_another_size_than_announced_is_refused_before_the_transfer(self, run: Run) -> None:
        with pytest.raises(BackendError) as caught:
            run.fetch(run.candidate(PATH, size=len(CONTENT) + 1))

        assert caught.value.code == "size_mismatch"
        assert run.server.sent[PATH] < len(CONTENT)
        assert not place(run).exists()

    @pytest.mark.parametrize("scene", [Scene(chunked=True), Scene(headers={"Content-Length": None}, then=Ending.FIN)])
    def test_more_bytes_than_announced_are_refused_where_no_header_tells(self, run: Run, scene: Scene) -> None:
        run.server.play(PATH, scene)

        with pytest.raises(BackendError) as caught:
            run.fetch(run.candidate(PATH, digest=False, size=len(CONTENT) - 1))

        assert caught.value.code == "size_mismatch"
        assert not place(run).exists()

    def test_a_size_that_no_model_has_is_no_reason_to_call_the_disk_full(self, run: Run) -> None:
        run.server.play(PATH, Scene(headers={"Content-Length": str(10**17)}, then=Ending.FIN))

        with pytest.raises(BackendError) as caught:
            run.fetch(run.candidate(PATH, digest=False))

        assert caught.value.code == "size_mismatch"

    def test_a_server_that_always_closes_early_is_given_up(self, run: Run) -> None:
        run = Run(run.server, run.folder, settings={"max_retries": 1})
        run.server.play(PATH, Scene(sends=SIZE // 2, then=Ending.FIN, ranges=False))

        with pytest.raises(BackendError) as caught:
            run.fetch(PATH)

        assert caught.value.code == "network"
        assert len(run.server.heard) <= 4


@pytest.mark.usefixtures("eager")
class TestSeveralConnections:
    def test_a_limited_server_is_asked_over_several_and_the_bytes_are_right(
        self, server: Faulty, tmp_path: Path
    ) -> None:
        run = Run(server, tmp_path, settings={"connections": 4})
        server.play(PATH, Scene(pace=4 * MIB))

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert 2 <= server.most_open <= 4
        assert server.sent[PATH] <= len(CONTENT) + 4 * CHUNK

    def test_never_more_than_asked_for_over_all_files(self, server: Faulty, tmp_path: Path) -> None:
        server.files |= {f"/{number}": safetensors(f"{number}", SIZE) for number in range(3)}
        for path in server.files:
            server.play(path, Scene(pace=4 * MIB))
        open_at_once = OpenAtOnce()
        run = Run(server, tmp_path, settings={"connections": 5, "jobs": 3}, transport=open_at_once)

        def one(number: int) -> None:
            target = tmp_path / f"{number}" / "part"
            target.parent.mkdir()
            run.transfer(run.candidate(f"/{number}"), target)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        for number in range(3):
            assert (tmp_path / f"{number}" / "part").read_bytes() == server.files[f"/{number}"]
        assert 3 <= open_at_once.most <= 5

    @pytest.mark.parametrize("status", [403, 429, 503])
    def test_connections_that_the_server_refuses_are_done_without(
        self, server: Faulty, tmp_path: Path, status: int
    ) -> None:
        run = Run(server, tmp_path, settings={"connections": 4})
        server.play(PATH, Scene(pace=8 * MIB), Scene(status=status, body=b"no"))

        run.fetch(run.candidate(PATH, digest=False))  # nothing but the bytes themselves can tell here

        assert run.final.read_bytes() == CONTENT
        assert run.warnings == []

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param(Scene(ranges=False), id="it sends the whole file"),
            pytest.param(Scene(shift=5), id="it sends another range"),
            pytest.param(Scene(headers={"ETag": '"new"'}, honours_if_range=False), id="it has another file"),
            pytest.param(Scene(status=416, body=b""), id="it has no such range"),
            pytest.param(Scene(sends=1000, then=Ending.RST), id="it breaks off"),
            pytest.param(Scene(instead=b"\n", then=Ending.FIN), id="it answers nothing"),
            pytest.param(Scene(body=b"<html>", headers={"Content-Type": "text/html"}), id="it sends a page"),
        ],
    )
    def test_a_second_connection_that_misbehaves_spoils_nothing(
        self, server: Faulty, tmp_path: Path, bad: Scene
    ) -> None:
        run = Run(server, tmp_path, settings={"connections": 3})
        server.play(PATH, Scene(pace=8 * MIB), bad, bad, GOOD)

        run.fetch(run.candidate(PATH, digest=False))

        assert run.final.read_bytes() == CONTENT

    def test_a_file_that_nothing_identifies_is_asked_for_over_one(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path)
        server.play(PATH, Scene(pace=8 * MIB, headers={"ETag": None}))

        run.fetch(run.candidate(PATH, digest=False))

        assert server.most_open == 1

    def test_a_connection_that_stalls_while_others_flow_is_given_up(
        self, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "_SLOW_AMONG_OTHERS", 0.3)
        run = Run(server, tmp_path, settings={"connections": 2, "timeout": 30})
        server.play(PATH, Scene(pace=4 * MIB), Scene(sends=10, then=Ending.SILENCE), GOOD)
        began = time.monotonic()

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert time.monotonic() - began < 20

    @pytest.mark.parametrize(("brought", "refused"), [(CHUNK + CHUNK // 4, []), (10, [1])])
    def test_only_one_that_never_flowed_shows_how_many_connections_the_server_wants(
        self, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: int, refused: list[int]
    ) -> None:
        monkeypatch.setattr(download, "_SLOW_AMONG_OTHERS", 0.3)
        seen: list[int] = []
        monkeypatch.setattr(ramp.Ramp, "refuse", lambda _, alive: seen.append(alive))
        server.files[PATH] = safetensors("large", 4 * SIZE)
        server.play(PATH, Scene(pace=8 * MIB), Scene(sends=brought, then=Ending.SILENCE), GOOD)
        run = Run(server, tmp_path, settings={"connections": 2, "timeout": 30})

        run.fetch(run.candidate(PATH, digest=False))

        assert seen == refused
        assert run.final.read_bytes() == server.files[PATH]

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param(Scene(pace=20_000), id="it sends far less than the others"),
            pytest.param(Scene(instead=b"HTTP/1.1 206 OK\r\n", then=Ending.SILENCE), id="it never answers"),
        ],
    )
    def test_one_connection_that_lags_behind_does_not_keep_the_file_waiting(
        self, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Scene
    ) -> None:
        monkeypatch.setattr(download, "_SLOW_AMONG_OTHERS", 0.5)
        server.files[PATH] = safetensors("large", 4 * SIZE)
        server.play(PATH, Scene(pace=8 * MIB), Scene(pace=8 * MIB), bad, Scene(pace=8 * MIB))
        run = Run(server, tmp_path, settings={"connections": 3, "max_retries": 0, "timeout": 60})
        began = time.monotonic()

        run.fetch(PATH)

        assert run.final.read_bytes() == server.files[PATH]
        assert time.monotonic() - began < 15
        assert server.sent[PATH] <= 4 * SIZE + 3 * CHUNK

    def test_parts_that_several_connections_left_are_gone_on_with(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path, settings={"connections": 4})
        server.play(PATH, Scene(pace=2 * MIB))
        run.cancelled = lambda: server.sent[PATH] > SIZE // 2
        with pytest.raises(Cancelled):
            run.fetch(PATH)
        kept = run.cancelled = lambda: False
        server.play(PATH, GOOD)
        run.events.clear()

        run.fetch(PATH)

        assert kept() is False
        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at > 0
        assert server.sent[PATH] <= len(CONTENT) - run.started.resumed_at + 4 * CHUNK


MIB = 1 << 20


class TestStorage:
    """A source that redirects to a storage host of another origin."""

    @pytest.fixture
    def source(self, server: Faulty) -> Iterator[Faulty]:
        with faulty(host="localhost") as source:
            yield source

    def redirect(self, source: Faulty, *addresses: str) -> None:
        source.play(PATH, *(Scene(status=307, body=b"", headers={"Location": address}) for address in addresses))

    def test_no_secret_reaches_the_storage_host(self, run: Run, source: Faulty) -> None:
        self.redirect(source, run.server.url + PATH)
        candidate = run.candidate(PATH, url=source.url + PATH, endpoint=source.url)

        run.fetch(candidate, headers={"Authorization": "Bearer secret", "X-Key": "secret"})

        assert source.heard[0].headers["authorization"] == "Bearer secret"
        assert "secret" not in repr(run.server.heard)

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_signed_address_that_ran_out_is_renewed_and_gone_on_with(
        self, server: Faulty, source: Faulty, tmp_path: Path, status: int
    ) -> None:
        run = Run(server, tmp_path, settings={"max_retries": 2})
        old, new = f"{PATH}?signature=old", f"{PATH}?signature=new"
        server.files |= {old: CONTENT, new: CONTENT}
        self.redirect(source, server.url + old, server.url + new)
        server.play(old, CUT, Scene(status=status, body=b"<Error>expired</Error>"))
        candidate = run.candidate(PATH, url=source.url + PATH, endpoint=source.url)

        run.fetch(candidate)

        assert run.final.read_bytes() == CONTENT
        assert [heard.path for heard in server.heard] == [old, old, new]
        assert server.sent[new] <= len(CONTENT) - SIZE // 2 + CHUNK

    @pytest.mark.parametrize(("refusals", "arrives"), [(1, True), (2, False)])
    def test_an_address_that_is_refused_from_the_start_is_renewed_once(
        self, run: Run, source: Faulty, refusals: int, *, arrives: bool
    ) -> None:
        self.redirect(source, run.server.url + PATH)
        run.server.play(PATH, *[Scene(status=403, body=b"not yet")] * refusals, GOOD)

        with nullcontext() if arrives else pytest.raises(BackendError):
            run.fetch(run.candidate(PATH, url=source.url + PATH, endpoint=source.url))

        assert len(source.heard) == 2
        assert run.final.exists() == arrives

    @pytest.mark.usefixtures("eager")
    def test_several_connections_go_on_as_several_when_their_address_ran_out(
        self, server: Faulty, source: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supply, "_SMALLEST_PART", 64 << 10)
        monkeypatch.setattr(supply, "_PART_SECONDS", (0.05, 0.05))
        refused: list[int] = []
        monkeypatch.setattr(ramp.Ramp, "refuse", lambda _, alive: refused.append(alive))
        run = Run(server, tmp_path, settings={"connections": 3})
        old, new = f"{PATH}?signature=old", f"{PATH}?signature=new"
        server.files |= {old: CONTENT, new: CONTENT}
        self.redirect(source, server.url + old, server.url + new)
        slow = Scene(pace=2 << 20)
        server.play(old, *[slow] * 3, Scene(status=403, body=b"expired"))
        server.play(new, slow)

        run.fetch(run.candidate(PATH, url=source.url + PATH, endpoint=source.url))

        assert run.final.read_bytes() == CONTENT
        assert len(server.heard_of(new)) > 1
        assert refused == []
        assert len(source.heard) <= 1 + 3

    def test_a_fresh_address_may_be_at_another_host_that_has_validators_of_its_own(
        self, run: Run, server: Faulty, source: Faulty
    ) -> None:
        with faulty() as elsewhere:
            elsewhere.files[PATH], elsewhere.etags[PATH] = CONTENT, '"of its own"'
            self.redirect(source, server.url + PATH, elsewhere.url + PATH)
            server.play(PATH, CUT, Scene(status=403, body=b"expired"))
            run = Run(server, run.folder, settings={"max_retries": 1})

            run.fetch(run.candidate(PATH, url=source.url + PATH, endpoint=source.url))

            assert elsewhere.sent[PATH] <= len(CONTENT) - SIZE // 2 + CHUNK
        assert run.final.read_bytes() == CONTENT
        assert run.warnings == []

    def test_a_source_is_not_asked_again_while_its_storage_answers(
        self, server: Faulty, source: Faulty, tmp_path: Path
    ) -> None:
        run = Run(server, tmp_path, settings={"max_retries": 3})
        self.redirect(source, server.url + PATH)
        server.play(PATH, CUT, CUT, GOOD)

        run.fetch(run.candidate(PATH, url=source.url + PATH, endpoint=source.url))

        assert (len(source.heard), len(server.heard)) == (1, 3)

    def test_the_next_run_asks_the_source_and_never_a_stored_address(
        self, server: Faulty, source: Faulty, tmp_path: Path
    ) -> None:
        run = Run(server, tmp_path, settings={"max_retries": 0})
        self.redirect(source, server.url + PATH)
        server.play(PATH, CUT, DEAD)
        candidate = run.candidate(PATH, url=source.url + PATH, endpoint=source.url)
        with pytest.raises(BackendError):
            run.fetch(candidate)
        server.play(PATH, GOOD)

        run.fetch(candidate)

        assert len(source.heard) == 2
        assert len(server.heard[-1].headers["range"]) > len("bytes=0-")

    def test_the_refusing_answer_is_handed_back_for_the_source_to_read(self, run: Run) -> None:
        run.server.play(PATH, Scene(status=403, body=b'{"error": "Early Access"}'))

        with pytest.raises(BackendError) as caught:
            run.fetch(PATH)

        assert caught.value.response is not None
        assert caught.value.response.json() == {"error": "Early Access"}


class TestManners:
    def test_all_files_wait_for_a_source_that_wants_to_be_left_alone(self, server: Faulty, tmp_path: Path) -> None:
        server.files["/other"] = b"x" * 100
        run = Run(server, tmp_path, settings={"max_retries": 1})
        server.play(PATH, Scene(status=429, body=b"", headers={"Retry-After": "1"}), GOOD)
        told_off = threading.Event()

        def other() -> None:
            assert told_off.wait(10)
            run.transfer(run.candidate("/other"), tmp_path / "other")

        thread = threading.Thread(target=other)
        thread.start()
        run.cancelled = lambda: bool(server.heard) and told_off.set() is not None
        run.fetch(PATH)
        thread.join()

        refused = server.heard[0].at
        assert all(heard.at - refused >= 0.95 for heard in server.heard[1:])
        waits = [event for event in run.events if isinstance(event, StateChanged)]
        assert any(wait.state is TransferState.WAITING and wait.seconds and wait.seconds > 0.5 for wait in waits)

    @pytest.mark.usefixtures("eager")
    def test_what_one_connection_is_told_holds_for_the_others_of_the_file(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path, settings={"connections": 3, "max_retries": 1})
        told = Scene(status=429, body=b"", headers={"Retry-After": "1"})
        server.play(PATH, Scene(pace=4 * MIB), told, Scene(pace=4 * MIB))

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        _, refused, *later = [heard.at for heard in server.heard]
        # What was asked for in the same breath cannot be taken back.
        assert all(at - refused < 0.1 or at - refused > 0.9 for at in later)

    def test_all_transfers_together_keep_to_the_limit(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path, settings={"limit_rate": 4 << 20})
        began = time.monotonic()

        run.fetch(PATH)

        assert time.monotonic() - began > 0.7
        assert server.most_open == 1

    @pytest.mark.usefixtures("eager")
    def test_a_limit_that_is_not_reached_does_not_keep_a_second_connection_away(
        self, server: Faulty, tmp_path: Path
    ) -> None:
        run = Run(server, tmp_path, settings={"limit_rate": 100 << 20})
        server.play(PATH, Scene(pace=4 << 20))

        run.fetch(PATH)

        assert server.most_open > 1

    def test_small_files_share_a_connection(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path)
        server.files |= {f"/{number}": b"%d" % number * 1000 for number in range(5)}

        for number in range(5):
            run.transfer(run.candidate(f"/{number}"), tmp_path / f"{number}")

        assert server.most_open == 1


class TestPatience:
    def test_a_head_that_comes_letter_by_letter_is_not_waited_for(
        self, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "CONNECT_TIMEOUT", 0.0)
        run = Run(server, tmp_path, settings={"timeout": 0.5, "max_retries": 1})
        server.play(PATH, Scene(letters=0.1), GOOD)
        began = time.monotonic()

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT
        assert time.monotonic() - began < 10

    def test_an_answer_that_comes_after_it_was_given_up_changes_nothing(
        self, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "CONNECT_TIMEOUT", 0.0)
        run = Run(server, tmp_path, settings={"timeout": 0.4, "max_retries": 1})
        late = Scene(letters=0.02, body=safetensors("other", SIZE))
        server.play(PATH, late, Scene(pace=2 << 20))

        run.fetch(run.candidate(PATH, digest=False))

        assert run.final.read_bytes() == CONTENT


class TestStopping:
    @pytest.mark.parametrize(
        "scene",
        [
            pytest.param(Scene(sends=SIZE // 2, then=Ending.SILENCE), id="in the middle of the body"),
            pytest.param(Scene(instead=b"HTTP/1.1 200 OK\r\n", then=Ending.SILENCE), id="before the answer"),
            pytest.param(Scene(status=429, headers={"Retry-After": "600"}, body=b""), id="while it waits"),
        ],
    )
    def test_it_ends_at_once_whatever_it_waits_for(self, server: Faulty, tmp_path: Path, scene: Scene) -> None:
        run = Run(server, tmp_path, settings={"timeout": 300})
        server.play(PATH, scene)
        asked_at = [0.0]

        def stop() -> bool:
            if server.heard and time.monotonic() - server.heard[0].at > 0.3:
                asked_at[0] = asked_at[0] or time.monotonic()
            return bool(asked_at[0])

        run.cancelled = stop
        with pytest.raises(Cancelled):
            run.fetch(PATH)

        assert time.monotonic() - asked_at[0] < 2

    def test_what_has_arrived_is_kept(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path, settings={"timeout": 300})
        server.play(PATH, Scene(sends=SIZE // 2, then=Ending.SILENCE))
        run.cancelled = lambda: any(isinstance(event, BytesReceived) and event.received for event in run.events)
        with pytest.raises(Cancelled):
            run.fetch(PATH)
        run.cancelled = lambda: False
        server.play(PATH, GOOD)
        run.events.clear()

        run.fetch(PATH)

        assert run.started.resumed_at > 0
        assert run.final.read_bytes() == CONTENT


class TestDisks:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (errno.ENOSPC, "disk_full"),
            (errno.EDQUOT, "disk_full"),
            (errno.EIO, "read_only"),
            (errno.EROFS, "read_only"),
        ],
    )
    def test_a_disk_that_refuses_ends_the_file_and_keeps_the_part(
        self, run: Run, code: int, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = Part.write

        def refuse(part: Part, chunk: bytes, offset: int) -> None:
            if offset > SIZE // 2:
                raise OSError(code, os.strerror(code))
            write(part, chunk, offset)

        monkeypatch.setattr(Part, "write", refuse)
        with pytest.raises(BackendError) as caught:
            run.fetch(PATH)
        monkeypatch.undo()

        assert caught.value.code == expected
        assert len(run.server.heard) == 1
        run.events.clear()
        run.fetch(PATH)
        assert run.final.read_bytes() == CONTENT
        assert run.started.resumed_at > 0

    @pytest.mark.parametrize("size", [2 << 20, 8 << 20])  # room is set aside for large files only
    @pytest.mark.parametrize("connections", [1, 3])
    def test_a_staging_file_that_somebody_cuts_off_never_becomes_the_file(
        self, server: Faulty, tmp_path: Path, size: int, connections: int
    ) -> None:
        run = Run(server, tmp_path, settings={"connections": connections})
        server.files[PATH] = safetensors("cut off", size)
        server.play(PATH, Scene(pace=16 * MIB))

        def cut_off() -> bool:
            if server.sent[PATH] > size // 2:
                os.truncate(place(run) / "part", size // 4)
                run.cancelled = lambda: False
            return False

        run.cancelled = cut_off
        with pytest.raises(BackendError, match="somebody else"):
            run.fetch(run.candidate(PATH, digest=False))

        run.fetch(run.candidate(PATH, digest=False))
        assert run.final.read_bytes() == server.files[PATH]

    def test_a_staging_file_that_somebody_removes_is_told_as_a_matter_of_the_disk(self, run: Run) -> None:
        run.server.play(PATH, Scene(pace=16 * MIB))
        run.cancelled = lambda: (
            bool(run.server.sent[PATH]) and (place(run) / "part").unlink(missing_ok=True) is not None
        )

        with pytest.raises(BackendError) as caught:
            run.fetch(PATH)

        assert caught.value.code == "read_only"
        assert not run.final.exists()

    def test_a_disk_without_room_is_not_written_to(self, server: Faulty, tmp_path: Path) -> None:
        run = Run(server, tmp_path, reservations=Reservations(free=lambda path: 1000))

        with pytest.raises(BackendError) as caught:
            run.fetch(PATH)

        assert caught.value.code == "disk_full"
        assert str(tmp_path) in str(caught.value)
        assert os.listdir(tmp_path) == []


def test_names_that_no_host_has_are_told_as_a_matter_of_the_network(run: Run) -> None:
    with pytest.raises(BackendError) as caught:
        run.fetch(run.candidate(PATH, url="https://no-such-host.invalid/x", endpoint="https://no-such-host.invalid"))

    assert caught.value.code == "network"


def test_without_network_nothing_is_asked(server: Faulty, tmp_path: Path) -> None:
    run = Run(server, tmp_path, transport=Transport(offline=True))

    with pytest.raises(BackendError) as caught:
        run.fetch(PATH)

    assert caught.value.code == "unavailable"
    assert server.heard == []


def test_connections_end_with_the_transfer(run: Run) -> None:
    run.fetch(PATH)

    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name in ("comfywatchman-digest", "comfywatchman-journal")]
