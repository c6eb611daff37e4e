"""Downloads through the core's own engine: every refusal of the service has its own name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from comfywatchman_civitai import transfer
from standins.civitai import CivitaiStandIn, DownloadAnswer, File, Model, StorageFault, Version
from standins.civitai_desk import Desk

from comfywatchman_core import Artifact, BackendError, Candidate, Match, ModelRequest, errors
from comfywatchman_core.report import Entry, Status
from comfywatchman_core.testing import Reply, safetensors

CODE = errors.ErrorCode
ANSWER = DownloadAnswer
DOWNLOADS = "/api/download/models/"
DATA = safetensors("ink", 300_000)


@pytest.fixture(autouse=True)
def _storage_heals_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SECONDS_TO_HEAL", 0.0)


def ink(civitai: CivitaiStandIn, **of_file: Any) -> Model:
    return civitai.add_model(name="Ink", versions=[Version("v1", [File("ink_painting.safetensors", DATA, **of_file)])])


def get(desk: Desk, model: Model, **options: Any) -> Entry:
    return desk.get(f"civitai:{model.id}@{model.versions[0].id}", **options)


def downloads(civitai: CivitaiStandIn) -> list[str]:
    return [asked.target for asked in civitai.requests if asked.path.startswith(DOWNLOADS)]


def placed(desk: Desk) -> list[Path]:
    return [path for path in (desk.folder / "models").rglob("*") if path.is_file()]


@pytest.mark.parametrize("style", ["r2", "b2"])
def test_a_file_arrives_whole_and_verified(tmp_path: Path, style: Any) -> None:
    with CivitaiStandIn(style=style) as civitai:
        desk = Desk(civitai.url, tmp_path)

        entry = get(desk, ink(civitai))

        assert entry.status is Status.DOWNLOADED
        assert entry.path is not None
        assert entry.path.read_bytes() == DATA
        assert entry.verification is not None
        assert entry.verification.verdict == "verified"


def test_the_file_is_asked_for_by_its_id(civitai: CivitaiStandIn, desk: Desk) -> None:
    model = ink(civitai)

    get(desk, model)

    version = model.versions[0]
    assert downloads(civitai)[0] == f"{DOWNLOADS}{version.id}?fileId={version.files[0].id}"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (ANSWER.BLOCKED, CODE.UNAVAILABLE, "Forbidden"),
        (ANSWER.QUOTA, CODE.RATE_LIMITED, "no more for now"),
        (ANSWER.BAD_PARAMETER, CODE.UNAVAILABLE, "did not take the address"),
        (ANSWER.MISSING, CODE.NOT_FOUND, "has no file for"),
        (ANSWER.ARCHIVED, CODE.NOT_FOUND, "archived"),
        (ANSWER.DISABLED, CODE.DOWNLOADS_DISABLED, "disabled"),
        (ANSWER.LOGIN, CODE.AUTH_REQUIRED, "only with a key"),
        (ANSWER.EARLY_ACCESS, CODE.EARLY_ACCESS, "early access"),
        (ANSWER.PAYWALL, CODE.EARLY_ACCESS, "has to be bought"),
        (ANSWER.NO_ACCESS, CODE.GATED, "no access"),
        (ANSWER.FILE_MISSING, CODE.NOT_FOUND, "has no file for"),
        (ANSWER.SERVER_ERROR, CODE.UNAVAILABLE, "failed over"),
    ],
)
def test_every_row_of_the_status_table_has_a_name_and_a_way_out(
    civitai: CivitaiStandIn, desk: Desk, answer: DownloadAnswer, code: errors.ErrorCode, words: str
) -> None:
    model = ink(civitai, answer=answer)

    entry = get(desk, model)

    assert entry.error is not None
    assert entry.error.code is code
    assert words in entry.error.message
    assert entry.error.hint
    assert civitai.storage_requests == []
    assert placed(desk) == []


def test_the_end_of_early_access_is_told_as_the_service_states_it(civitai: CivitaiStandIn, desk: Desk) -> None:
    body = {
        "error": "Early Access",
        "deadline": "2126-08-23T20:55:59.248Z",
        "message": "This asset is in Early Access.",
    }
    model = ink(civitai)
    civitai.answer_next(DOWNLOADS, Reply.json(body, 403))

    entry = get(desk, model)

    assert entry.error is not None
    assert "2126-08-23" in entry.error.message


class TestTheTwoMeaningsOf401:
    def test_disabled_downloads_ask_for_no_key(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        entry = get(desk, ink(civitai, answer=ANSWER.DISABLED))

        assert entry.error is not None
        assert "does not help" in (entry.error.hint or "")

    def test_a_key_that_the_service_does_not_know_is_named(
        self, civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CIVITAI_TOKEN", "old-key")

        entry = get(desk, ink(civitai, answer=ANSWER.LOGIN))

        assert entry.error is not None
        assert entry.error.code is CODE.AUTH_REQUIRED
        assert "CIVITAI_TOKEN" in entry.error.message
        assert "old-key" not in f"{entry}"

    def test_with_a_key_the_file_arrives(
        self, civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CIVITAI_API_KEY", " good-key\n")

        assert get(desk, ink(civitai, answer=ANSWER.LOGIN)).status is Status.DOWNLOADED

    def test_who_bought_access_gets_the_file(
        self, civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CIVITAI_API_KEY", "good-key")
        version = Version("v1", [File("i.safetensors", DATA)], paid_access={"permanent": True}, bought=True)
        model = civitai.add_model(name="Ink", versions=[version])

        assert get(desk, model).status is Status.DOWNLOADED


class TestAnAddressThatAnswers404:
    def test_the_printed_address_is_tried_at_the_configured_host(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        vae = File("p.vae.safetensors", DATA, type="VAE", spliced=True)
        model = civitai.add_model(
            name="Painter", type="Checkpoint", versions=[Version("v1", [File("p.safetensors", DATA[::-1]), vae])]
        )

        entry = desk.get(f"civitai:{model.id}@{model.versions[0].id}+{vae.id}", folder="vae")

        assert entry.status is Status.DOWNLOADED
        assert ["?fileId=" in target for target in downloads(civitai)] == [True, False]

    def test_a_moment_later_the_storage_may_be_there_again(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        entry = get(desk, ink(civitai, misses=2))

        assert entry.status is Status.DOWNLOADED
        assert len(downloads(civitai)) == 3

    def test_what_stays_missing_is_told_after_one_more_look(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        entry = get(desk, ink(civitai, misses=99))

        assert entry.error is not None
        assert entry.error.code is CODE.NOT_FOUND
        assert len(downloads(civitai)) == 3


class TestPagesInThePlaceOfFiles:
    @pytest.mark.parametrize(
        ("location", "code"),
        [
            ("/login?returnUrl=%2Fmodels%2F1&reason=download-auth", CODE.AUTH_REQUIRED),
            ("/models/1", CODE.EARLY_ACCESS),
            ("/model-versions/2", CODE.EARLY_ACCESS),
        ],
    )
    def test_what_browsers_are_shown_is_told_by_its_address(
        self, civitai: CivitaiStandIn, desk: Desk, location: str, code: errors.ErrorCode
    ) -> None:
        model = ink(civitai)
        civitai.answer_next(DOWNLOADS, Reply(status=307, headers={"Location": civitai.url + location}))

        entry = get(desk, model)

        assert entry.error is not None
        assert entry.error.code is code
        assert placed(desk) == []

    @pytest.mark.parametrize("fault", [StorageFault.LOGIN_PAGE, StorageFault.JSON_ERROR])
    def test_a_page_with_status_200_is_no_file(self, civitai: CivitaiStandIn, desk: Desk, fault: StorageFault) -> None:
        entry = get(desk, ink(civitai, fault=fault))

        assert entry.error is not None
        assert entry.error.code is CODE.NOT_A_MODEL
        assert placed(desk) == []

    def test_a_page_of_its_protection_is_told_as_such(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        model = ink(civitai)
        civitai.answer_next(DOWNLOADS, Reply.html("<!DOCTYPE html><title>Just a moment...</title>", 403))

        entry = get(desk, model)

        assert entry.error is not None
        assert entry.error.code is CODE.UNAVAILABLE
        assert "protection" in entry.error.message

    def test_no_word_of_a_browser_is_in_the_user_agent(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        get(desk, ink(civitai))

        agents = {asked.headers["user-agent"] for asked in (*civitai.requests, *civitai.storage_requests)}
        assert all(agent.startswith("comfywatchman/") for agent in agents)
        words = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
        assert not [word for word in words for agent in agents if word in agent.lower()]


class TestTheStorage:
    def test_bytes_that_are_not_those_published_are_refused(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        entry = get(desk, ink(civitai, fault=StorageFault.OTHER_BYTES))

        assert entry.error is not None
        assert entry.error.code is CODE.CHECKSUM_MISMATCH

    def test_a_connection_that_ends_early_is_taken_up_again(
        self, civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("comfywatchman_core.transfer.patience.backoff", lambda *_, **__: 0.0)

        entry = get(desk, ink(civitai, fault=StorageFault.CUT, faults=1), retries=3)

        assert entry.status is Status.DOWNLOADED
        assert entry.path is not None
        assert entry.path.read_bytes() == DATA

    def test_a_run_that_goes_on_where_another_stopped_asks_for_a_fresh_link(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        model = ink(civitai, fault=StorageFault.CUT, faults=1)

        assert get(desk, model).error is not None
        civitai.downloads.revoke()
        entry = get(desk, model)

        assert entry.status is Status.DOWNLOADED
        assert any("range" in asked.headers for asked in civitai.storage_requests)
        assert len({asked.target for asked in civitai.storage_requests}) == 2

    def test_a_length_that_is_not_the_published_one_is_told(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        entry = get(desk, ink(civitai, fault=StorageFault.WRONG_LENGTH))

        assert entry.error is not None
        assert entry.error.code is CODE.SIZE_MISMATCH

    def test_a_link_that_ran_out_is_replaced_by_a_fresh_one(
        self, civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = ink(civitai)
        serve, turned_away = civitai.downloads.serve_file, []

        def run_out_once(asked: Any) -> Reply:
            if not turned_away:
                turned_away.append(asked.target)
                civitai.downloads.revoke()
            return serve(asked)

        civitai.storage_answer = run_out_once

        entry = get(desk, model, retries=3)

        assert entry.status is Status.DOWNLOADED
        assert turned_away
        assert len(downloads(civitai)) >= 2

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_storage_that_refuses_fresh_links_is_told_as_out_of_order(
        self, civitai: CivitaiStandIn, desk: Desk, status: int
    ) -> None:
        civitai.storage_answer = lambda asked: Reply(status=status, body=b"<Error/>")

        entry = get(desk, ink(civitai))

        assert entry.error is not None
        assert entry.error.code is CODE.UNAVAILABLE
        assert "storage" in entry.error.message


class TestTheQuota:
    def test_it_stops_the_source_for_the_run_and_not_the_run(
        self, civitai: CivitaiStandIn, desk: Desk, tmp_path: Path
    ) -> None:
        model = ink(civitai, answer=ANSWER.QUOTA)
        candidate = evolve(desk.offer(reference=f"civitai:{model.id}@{model.versions[0].id}"), backend="civitai")

        def fetch(candidate: Candidate, target: Path, *, headers: Mapping[str, str] = {}) -> Artifact:
            raise desk.http.request("GET", candidate.url, follow=False, final={429}).error()

        context = evolve(desk.context, fetch=fetch)
        codes = []
        for _ in range(3):
            with pytest.raises(BackendError) as refused:
                desk.backend.download_artifact(candidate, tmp_path / "target", {}, context)
            codes.append(refused.value.code)
        with pytest.raises(BackendError) as unasked:
            desk.backend.resolve_model(ModelRequest(name="other_painting.safetensors", folder="loras"), context)

        assert codes == [CODE.RATE_LIMITED] * 3
        assert unasked.value.code is CODE.RATE_LIMITED
        assert len(downloads(civitai)) == 1

    def test_the_next_run_asks_again(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        model = ink(civitai)
        civitai.answer_next(DOWNLOADS, Reply.json({"error": "unusual amount of downloading"}, 429))

        assert get(desk, model).error is not None
        assert get(desk, model).status is Status.DOWNLOADED


def test_a_candidate_of_another_back_end_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    foreign = Candidate(match=Match.FILENAME, url="https://example.org/a", backend="someone-else")

    assert desk.backend.download_artifact(foreign, tmp_path / "target", {}, desk.context) is None
