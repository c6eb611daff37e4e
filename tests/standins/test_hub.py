"""The Hub stand-in, proved with a client that this project did not write."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, errors, hf_hub_url
from huggingface_hub.utils import build_hf_headers, get_session, parse_ratelimit_headers
from standins.hub import HubStandIn
from standins.hub_repos import lying

from comfywatchman_core.testing import git_blob_sha1, safetensors, sha256

MODEL = safetensors("hub", 3000)
FILES = {"split_files/vae/ae.safetensors": MODEL, "config.json": b'{"a": 1}', "README.md": b"# ae"}


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No telemetry request, no Xet, no token and no cache of the machine that runs the tests."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as running:
        yield running


def client(hub: HubStandIn, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def address(hub: HubStandIn, repo: str, path: str = "split_files/vae/ae.safetensors", revision: str = "main") -> str:
    return hf_hub_url(repo, path, revision=revision, endpoint=hub.url)


def test_the_metadata_of_an_lfs_file_is_its_commit_sha256_and_size(hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/ae", FILES)

    found = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae"))

    assert (found.commit_hash, found.etag, found.size) == (repo.head, sha256(MODEL), len(MODEL))
    assert found.location.startswith(hub.cdn_url)


@pytest.mark.parametrize("scenario", ["plain", "resolve-cache"])
def test_the_metadata_of_a_small_file_is_its_git_blob(hub: HubStandIn, scenario: str) -> None:
    hub.add_repo("maker/ae", FILES, scenario=scenario)

    found = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae", "config.json"))

    assert (found.etag, found.size) == (git_blob_sha1(FILES["config.json"]), len(FILES["config.json"]))


def test_paths_info_states_the_sha256_of_what_exists_and_leaves_out_the_rest(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", FILES)

    found = client(hub).get_paths_info("maker/ae", ["split_files/vae/ae.safetensors", "none.bin"])

    assert [(entry.path, entry.size, entry.lfs.sha256) for entry in found] == [
        ("split_files/vae/ae.safetensors", len(MODEL), sha256(MODEL))
    ]


def test_a_tree_is_paged_and_lists_folders(hub: HubStandIn) -> None:
    hub.page_size = 2
    hub.add_repo("maker/ae", FILES)

    found = list(client(hub).list_repo_tree("maker/ae", recursive=True))

    assert sorted(entry.path for entry in found) == sorted([*FILES, "split_files", "split_files/vae"])
    assert hub.counted("api") == 3


def test_model_info_with_blobs_agrees_with_the_files(hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/ae", FILES, gated="auto")

    found = client(hub).model_info("maker/ae", files_metadata=True)

    assert (found.id, found.sha, found.gated) == ("maker/ae", repo.head, "auto")
    assert {one.rfilename: one.lfs.sha256 for one in found.siblings if one.lfs} == {
        "split_files/vae/ae.safetensors": sha256(MODEL)
    }


def test_a_list_of_models_follows_every_page(hub: HubStandIn) -> None:
    hub.page_size = 2
    for number in range(5):
        hub.add_repo(f"maker/model-{number}", FILES)
    hub.add_repo("other/model-9", FILES)

    found = list(client(hub).list_models(author="maker", expand=["siblings", "sha", "gated"]))

    assert [one.id for one in found] == [f"maker/model-{number}" for number in range(5)]
    assert {sibling.rfilename for sibling in found[0].siblings} == set(FILES)


def test_a_search_looks_at_repository_names_and_never_at_file_names(hub: HubStandIn) -> None:
    hub.add_repo("maker/autoencoder", FILES)

    assert [one.id for one in client(hub).list_models(search="ENCODER")] == ["maker/autoencoder"]
    assert not list(client(hub).list_models(search="ae.safetensors"))


def test_a_download_arrives_whole_and_the_token_stays_at_the_endpoint(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("maker/ae", FILES, gated="auto")

    path = client(hub, hub.token).hf_hub_download(
        "maker/ae", "split_files/vae/ae.safetensors", local_dir=tmp_path / "staging"
    )

    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256(MODEL)
    assert any(asked.headers.get("authorization") == f"Bearer {hub.token}" for asked in hub.requests)
    assert hub.cdn_requests
    assert not any("authorization" in asked.headers for asked in hub.cdn_requests)


@pytest.mark.parametrize(
    ("token", "repo", "error"),
    [
        (False, "maker/gated", errors.GatedRepoError),
        ("strangers", "maker/gated", errors.GatedRepoError),
        ("hf_garbageXYZ", "maker/gated", errors.GatedRepoError),
        (False, "maker/private", errors.RepositoryNotFoundError),
        (False, "maker/none", errors.RepositoryNotFoundError),
        ("strangers", "maker/none", errors.RepositoryNotFoundError),
        (False, "maker/disabled", errors.DisabledRepoError),
        ("hf_garbageXYZ", "maker/open", errors.HfHubHTTPError),
    ],
)
def test_each_refusal_is_the_error_that_the_client_knows_it_by(
    hub: HubStandIn, token: str | bool, repo: str, error: type[Exception]
) -> None:
    hub.add_repo("maker/open", FILES)
    hub.add_repo("maker/gated", FILES, gated="manual")
    hub.add_repo("maker/private", FILES, private=True)
    hub.add_repo("maker/disabled", FILES, disabled=True)
    api = client(hub, hub.strangers_token if token == "strangers" else token)

    with pytest.raises(error):
        api.get_hf_file_metadata(url=address(hub, repo))


@pytest.mark.parametrize(
    ("path", "revision", "error"),
    [
        ("none.safetensors", "main", errors.RemoteEntryNotFoundError),
        ("config.json", "none", errors.RevisionNotFoundError),
    ],
)
def test_a_missing_file_and_a_missing_revision_are_told_apart(
    hub: HubStandIn, path: str, revision: str, error: type[Exception]
) -> None:
    hub.add_repo("maker/ae", FILES)

    with pytest.raises(error):
        client(hub).get_hf_file_metadata(url=address(hub, "maker/ae", path, revision))


def test_the_card_and_the_list_of_a_gated_repository_are_public(hub: HubStandIn) -> None:
    hub.add_repo("maker/gated", FILES, gated="auto")

    assert client(hub).model_info("maker/gated").gated == "auto"
    assert client(hub).get_paths_info("maker/gated", ["split_files/vae/ae.safetensors"])[0].lfs.sha256 == sha256(MODEL)
    with pytest.raises(errors.GatedRepoError):
        client(hub).auth_check("maker/gated")
    client(hub, hub.token).auth_check("maker/gated")


def test_a_renamed_repository_is_found_under_its_old_name(hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/old", FILES)
    hub.rename("maker/old", "newmaker/new")

    assert client(hub).model_info("maker/old").id == "newmaker/new"
    assert client(hub).get_hf_file_metadata(url=address(hub, "maker/old")).commit_hash == repo.head
    assert client(hub).get_paths_info("maker/old", ["config.json"])[0].path == "config.json"


def test_an_older_commit_and_a_pull_request_keep_their_bytes(hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/ae", FILES)
    first = repo.head
    repo.commit({"split_files/vae/ae.safetensors": safetensors("second")})
    repo.commit({"split_files/vae/ae.safetensors": safetensors("third")}, ref="refs/pr/3")

    assert client(hub).get_hf_file_metadata(url=address(hub, "maker/ae", revision=first)).etag == sha256(MODEL)
    by_review = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae", revision="refs/pr/3"))
    assert by_review.etag == sha256(safetensors("third"))


def test_a_used_up_limit_is_a_429_with_the_seconds_that_are_left(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", FILES)
    hub.limits.exhaust("api", seconds=55)

    with pytest.raises(errors.HfHubHTTPError) as refused:
        client(hub).model_info("maker/ae")

    told = parse_ratelimit_headers(refused.value.response.headers)
    assert refused.value.response.status_code == 429
    assert (told.resource_type, told.remaining, told.reset_in_seconds, told.limit) == ("api", 0, 55, 500)
    assert client(hub).get_hf_file_metadata(url=address(hub, "maker/ae")).etag == sha256(MODEL)


def test_storage_answers_ranges_and_states_a_hash_that_is_not_the_sha256(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", FILES)
    link = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae")).location

    answer = get_session().get(link, headers={"Range": "bytes=100-199"})

    assert (answer.status_code, answer.content) == (206, MODEL[100:200])
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(MODEL)}"
    assert sha256(MODEL) not in answer.headers["ETag"]


def test_storage_refuses_a_token_and_an_expired_link(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", FILES)
    link = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae")).location

    with_token = get_session().get(link, headers=build_hf_headers(token=hub.token))
    hub.expire_links()
    later = get_session().get(link)

    assert (with_token.status_code, later.status_code) == (400, 403)


def test_a_raw_address_serves_the_pointer_of_an_lfs_file(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", FILES)

    answer = get_session().get(f"{hub.url}/maker/ae/raw/main/split_files/vae/ae.safetensors")

    assert answer.text.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")


def test_a_file_can_be_stated_with_another_size_and_digest_than_it_has(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", {"ae.safetensors": lying(MODEL, size=60 << 30, digest="0" * 64)})

    found = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae", "ae.safetensors"))

    assert (found.size, found.etag) == (60 << 30, "0" * 64)


def test_xet_headers_are_there_when_a_repository_has_them(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("maker/ae", FILES, scenario="xet-broken")

    found = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae"))
    path = client(hub).hf_hub_download("maker/ae", "split_files/vae/ae.safetensors", local_dir=tmp_path / "staging")

    assert found.xet_file_data is not None
    assert Path(path).read_bytes() == MODEL  # by plain HTTP, because Xet is switched off


def test_the_clients_own_chunk_transfer_puts_a_file_together(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    large = safetensors("chunks", 200_000)
    hub.add_repo("maker/large", {"large.safetensors": large}, scenario="xet")

    path = client(hub).hf_hub_download("maker/large", "large.safetensors", local_dir=tmp_path / "staging")

    assert Path(path).read_bytes() == large
    assert hub.cas_requests
    assert not hub.cdn_requests


def test_a_mirror_that_serves_bytes_without_a_redirect_is_understood(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("maker/ae", FILES, scenario="direct")

    path = client(hub).hf_hub_download("maker/ae", "split_files/vae/ae.safetensors", local_dir=tmp_path / "staging")

    assert Path(path).read_bytes() == MODEL
    assert not hub.cdn_requests


def test_a_missing_commit_header_is_a_server_that_the_client_gives_up(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("maker/ae", FILES, scenario="no-commit")

    with pytest.raises(errors.LocalEntryNotFoundError):
        client(hub).hf_hub_download("maker/ae", "split_files/vae/ae.safetensors", local_dir=tmp_path / "staging")


def test_a_cut_transfer_ends_before_its_length(hub: HubStandIn) -> None:
    hub.add_repo("maker/ae", FILES, scenario="cut")
    link = client(hub).get_hf_file_metadata(url=address(hub, "maker/ae")).location

    for _ in range(2):
        with pytest.raises(errors.HTTPError):
            get_session().get(link)
    assert get_session().get(link).content == MODEL
