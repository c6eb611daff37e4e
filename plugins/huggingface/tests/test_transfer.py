"""What is handed to the core's engine, and what is checked of what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from standins.hub import HubStandIn
from standins.hub_desk import Desk

from comfywatchman_core import Artifact, BackendError, Candidate, Digest, Match, errors
from comfywatchman_core.testing import Asked, Reply, git_blob_sha1, safetensors, serve, sha256

MODEL = safetensors("ae", 3000)
URL = "https://huggingface.co/maker/model/resolve/main/vae/ae.safetensors"


def offer(desk: Desk) -> Candidate:
    (found,) = desk.resolve(url=URL) or []
    return found


@pytest.mark.parametrize("scenario", ["plain", "direct", "same-host", "relative", "no-commit", "ignores-range"])
def test_a_file_arrives_however_the_endpoint_hands_it_out(desk: Desk, hub: HubStandIn, scenario: str) -> None:
    hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL}, scenario=scenario)

    found = offer(desk)

    assert found.sha256 == sha256(MODEL)
    assert desk.download(found) == MODEL


def test_a_commit_that_is_not_told_with_the_file_is_asked_for(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL}, scenario="no-commit")

    assert repo.head in offer(desk).url


def test_the_pinned_commit_is_fetched_although_the_branch_has_moved(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = offer(desk)
    repo.commit({"vae/ae.safetensors": safetensors("newer")})

    assert desk.download(found) == MODEL


def test_a_commit_that_was_squashed_away_gives_way_to_the_same_bytes(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = offer(desk)
    repo.commit({"vae/ae.safetensors": MODEL, "README.md": b"squashed"})
    del repo.commits[found.details["commit"]]

    assert desk.download(found) == MODEL


def test_a_commit_that_was_squashed_away_does_not_give_way_to_other_bytes(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = offer(desk)
    repo.commit({"vae/ae.safetensors": safetensors("newer")})
    del repo.commits[found.details["commit"]]

    with pytest.raises(BackendError) as refused:
        desk.download(found)

    assert refused.value.code is errors.ErrorCode.NOT_FOUND
    assert "has no revision" in str(refused.value)


def test_a_gate_that_closes_after_the_search_is_told_as_such(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = offer(desk)
    repo.gated = "manual"

    with pytest.raises(errors.AuthRequired) as refused:
        desk.download(found)

    assert refused.value.code is errors.ErrorCode.GATED


def test_a_refusal_by_the_storage_host_is_not_taken_for_the_hubs(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = offer(desk)
    hub.signed = lambda asked: (None, "", None)  # type: ignore[method-assign]

    with pytest.raises(BackendError) as refused:
        desk.download(found)

    assert refused.value.http_status == 403
    assert "may not be read" not in str(refused.value)


def test_another_back_ends_offer_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    foreign = Candidate(match=Match.FILENAME, url="https://huggingface.co/a/b/resolve/main/c.pt", backend="else")

    assert desk.backend.download_artifact(foreign, tmp_path / "x", {}, desk.context) is None
    artifact = Artifact(path=tmp_path / "x", size=0)
    assert desk.backend.verify_artifact(artifact, foreign, desk.context) is None


def test_an_offer_that_names_this_back_end_as_its_deliverer_is_delivered(
    desk: Desk, hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL}, gated="auto")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    named = evolve(offer(desk), backend="directid", delegate="huggingface")

    artifact = desk.backend.download_artifact(named, tmp_path / "x", {}, desk.context)

    assert artifact is not None
    assert artifact.path.read_bytes() == MODEL


@pytest.mark.parametrize("scenario", ["plain", "resolve-cache"])
def test_a_small_file_is_held_to_its_git_hash(desk: Desk, hub: HubStandIn, tmp_path: Path, scenario: str) -> None:
    small = b'{"not": "in LFS"}'
    hub.add_repo("maker/model", {"vae/tiny.patch": small}, scenario=scenario)
    (found,) = desk.resolve("", "", reference="hf:maker/model/vae/tiny.patch") or []
    found = evolve(found, backend="huggingface")
    path = tmp_path / "x"

    assert desk.download(found) == small
    path.write_bytes(small)
    (right,) = desk.backend.verify_artifact(Artifact(path=path, size=len(small)), found, desk.context) or []
    path.write_bytes(small + b" ")
    (wrong,) = desk.backend.verify_artifact(Artifact(path=path, size=len(small) + 1), found, desk.context) or []

    assert found.digests == (Digest("git-sha1", git_blob_sha1(small)),)
    assert (right.passed, right.cryptographic) == (True, True)
    assert (wrong.passed, wrong.code) == (False, errors.ErrorCode.CHECKSUM_MISMATCH)


def test_an_endpoint_that_tells_no_digest_with_the_file_is_asked_for_it(desk: Desk) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/paths-info/main"):
            return Reply.json([{"type": "file", "path": "vae/ae.safetensors", "size": 9, "lfs": {"oid": "c" * 64}}])
        return Reply(headers={"Content-Type": "application/octet-stream"}, body=b"123456789")

    with serve(answer) as server:
        desk.endpoint = server.url
        found = offer(desk)

    assert (found.sha256, found.size) == ("c" * 64, 9)
    assert any("does not tell which commit" in note for note in found.notes)


def test_a_redirect_to_no_address_is_said(desk: Desk) -> None:
    with serve(lambda asked: Reply(status=302, headers={"Location": "http://[oops"})) as server:
        desk.endpoint = server.url
        with pytest.raises(BackendError, match="no address"):
            offer(desk)


def test_redirects_in_a_circle_end(desk: Desk) -> None:
    with serve(lambda asked: Reply(status=302, headers={"Location": asked.target})) as server:
        desk.endpoint = server.url
        with pytest.raises(BackendError, match="in a circle"):
            offer(desk)

        assert len(server.asked) < 10


def test_offline_hands_nothing_on(desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = offer(desk)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(BackendError, match="HF_HUB_OFFLINE"):
        desk.download(found)

    assert not hub.requests


def test_a_pointer_is_no_model(desk: Desk, hub: HubStandIn, tmp_path: Path) -> None:
    repo = hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = evolve(offer(desk), backend="huggingface")
    path = tmp_path / "x"
    path.write_bytes(repo.commits[repo.head]["vae/ae.safetensors"].pointer)

    (check,) = desk.backend.verify_artifact(Artifact(path=path, size=130), found, desk.context) or []

    assert (check.passed, check.code) == (False, errors.ErrorCode.NOT_A_MODEL)
    assert "pointer" in check.note


def test_there_is_nothing_to_add_about_a_file_with_a_sha256(desk: Desk, hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("maker/model", {"vae/ae.safetensors": MODEL})
    found = evolve(offer(desk), backend="huggingface")
    (tmp_path / "x").write_bytes(MODEL)

    artifact = Artifact(path=tmp_path / "x", size=len(MODEL))

    assert desk.backend.verify_artifact(artifact, found, desk.context) is None
