"""Which file an address or a reference names."""

from __future__ import annotations

import pytest
from comfywatchman_directid.sources import CivitaiFile, HubFile, WebFile, hub_file, identify
from hypothesis import given, settings
from hypothesis import strategies as st

AE = HubFile(repository="Comfy-Org/z_image_turbo", path="split_files/vae/ae.safetensors")
COMMIT = "38ebe9b227c30cf6b35f2b7871375e9a28c0ccce"


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/Comfy-Org/z_image_turbo/resolve/main/split_files/vae/ae.safetensors",
        # what the browser's address bar shows: a page about the file
        "https://huggingface.co/Comfy-Org/z_image_turbo/blob/main/split_files/vae/ae.safetensors",
        # raw gives the pointer of a large file, and means the file
        "https://huggingface.co/Comfy-Org/z_image_turbo/raw/main/split_files/vae/ae.safetensors",
        "https://huggingface.co/Comfy-Org/z_image_turbo/resolve/main/split_files/vae/ae.safetensors?download=true",
        "http://huggingface.co/Comfy-Org/z_image_turbo/resolve/main/split_files/vae/ae.safetensors#x",
        "https://HF.co/Comfy-Org/z_image_turbo/resolve/main/split_files%2Fvae/ae.safetensors",
        "https://hf-mirror.com/Comfy-Org/z_image_turbo/resolve/main/split_files/vae/ae.safetensors",
        "https://www.huggingface.co:443/Comfy-Org/z_image_turbo/resolve/main/split_files/vae/ae.safetensors",
        "hf:Comfy-Org/z_image_turbo/split_files/vae/ae.safetensors",
        "hf:Comfy-Org/z_image_turbo/split_files/vae/ae.safetensors@main",
        "hf://Comfy-Org/z_image_turbo@main/split_files/vae/ae.safetensors",
        "  hf:Comfy-Org/z_image_turbo/split_files/vae/ae.safetensors ",
    ],
)
def test_every_spelling_of_a_file_on_the_hub_is_the_same_file(text: str) -> None:
    assert identify(text) == AE


def test_a_blank_in_a_path_may_be_written_as_it_is() -> None:
    assert identify("https://huggingface.co/a/b/resolve/main/x y.pt") == HubFile(repository="a/b", path="x y.pt")


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        (f"https://huggingface.co/a/b/resolve/{COMMIT}/x.safetensors", COMMIT),
        ("https://huggingface.co/a/b/resolve/refs%2Fpr%2F3/x.safetensors", "refs/pr/3"),
        ("https://huggingface.co/a/b/resolve/refs/pr/3/x.safetensors", "refs/pr/3"),
        (f"hf:a/b/x.safetensors@{COMMIT}", COMMIT),
        ("hf:a/b/x.safetensors@refs/pr/3", "refs/pr/3"),
    ],
)
def test_a_revision_is_part_of_what_is_meant(text: str, revision: str) -> None:
    assert identify(text) == HubFile(repository="a/b", path="x.safetensors", revision=revision)


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/Comfy-Org/z_image_turbo",
        "https://huggingface.co/Comfy-Org/z_image_turbo/tree/main/split_files",
        "https://huggingface.co/datasets/a/b/resolve/main/x.safetensors",
        "https://huggingface.co/spaces/a/b/resolve/main/x.safetensors",
        "https://huggingface.co/a/b/resolve/main/../../c/x.safetensors",
        "https://huggingface.co/a/b/resolve/main/%2e%2e/x.safetensors",
        "https://huggingface.co/a/b/resolve/main/x%00.safetensors",
        "https://huggingface.co/a b/c/resolve/main/x.safetensors",
        "https://civitai.com/models/4384",
        "https://civitai.com/models/4384/a-slug?modelVersionId=abc",
        "https://civitai.com/user/somebody",
        # signed links of the storage behind a source: dead within a day
        "https://cdn-lfs-us-1.hf.co/repos/ab/cd/0123?X-Amz-Signature=x",
        "https://cas-bridge.xethub.hf.co/xet-bridge-us/0123/4567?X-Amz-Expires=3600",
        "https://b2.civitai.com/file/civitai-modelfiles/model/1/a.safetensors?Authorization=3_x",
        "https://civitai-delivery.0123.r2.cloudflarestorage.com/model/1/a.safetensors",
        "https://[huggingface.co/a/b/resolve/main/x",
        "https://",
        "ftp://huggingface.co/a/b/resolve/main/x.safetensors",
        "file:///etc/passwd",
        "ae.safetensors",
        "vae/ae.safetensors",
        "civitai:4384",
        "civitai:1@0",
        "civitai:1@2147483648",
        "civitai:1@2+99999999999999999999",
        "civitai:1@٣",
        "https://civitai.com/api/download/models/99999999999",
        "https://example.org/a b.safetensors",
        "https://example.org/\ud800.safetensors",
        "https://example.org/\u202etxt.safetensors",
        "hf:a/b",
        "hf:",
        "",
        None,
        "https://huggingface.co/" + "a" * 3000,
    ],
)
def test_what_names_no_single_file_is_no_source(text: str | None) -> None:
    assert identify(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co.evil.example/a/b/resolve/main/x.safetensors",
        "https://evil.example/huggingface.co/a/b/resolve/main/x.safetensors",
        "https://huggingface.co@evil.example/a/b/resolve/main/x.safetensors",
        "https://huggingface.co:8443/a/b/resolve/main/x.safetensors",
        "https://civitai.com.evil.example/api/download/models/1",
    ],
)
def test_a_host_that_looks_like_a_source_is_not_the_source(text: str) -> None:
    assert isinstance(identify(text), WebFile)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://civitai.com/api/download/models/128713", CivitaiFile(version=128713)),
        ("https://civitai.com/api/download/models/128713?fileId=7", CivitaiFile(version=128713, file=7)),
        ("https://civitai.red/models/4384/slug?modelVersionId=128713", CivitaiFile(version=128713, model=4384)),
        ("https://www.civitai.com/models/4384?version=128713", CivitaiFile(version=128713, model=4384)),
        ("https://civitai.green/model-versions/128713", CivitaiFile(version=128713)),
        ("https://civitai.com/api/v1/model-versions/128713", CivitaiFile(version=128713)),
        ("civitai:4384@128713", CivitaiFile(version=128713, model=4384)),
        ("civitai:4384@128713+7", CivitaiFile(version=128713, model=4384, file=7)),
        ("urn:air:sd1:checkpoint:civitai:4384@128713", CivitaiFile(version=128713, model=4384)),
        ("air:sd1:checkpoint:civitai:4384@128713+7.safetensors", CivitaiFile(version=128713, model=4384, file=7)),
    ],
)
def test_every_spelling_of_a_version_is_read(text: str, expected: CivitaiFile) -> None:
    assert identify(text) == expected


def test_a_token_in_a_download_link_is_left_behind() -> None:
    source = identify("https://civitai.com/api/download/models/128713?type=Model&token=0123456789abcdef")

    assert source == CivitaiFile(version=128713, wish=(("type", "Model"),))
    assert "0123" not in source.url + source.reference + repr(source)


def test_user_and_fragment_of_an_address_are_left_behind() -> None:
    source = identify("https://me:secret@Example.ORG/x.safetensors#part")

    assert source == WebFile(address="https://example.org/x.safetensors")


def test_one_file_of_a_version_is_not_the_other() -> None:
    one = CivitaiFile(version=1, file=7)

    assert not one.accepts(CivitaiFile(version=1, file=8))
    assert not CivitaiFile(version=1, wish=(("fp", "fp16"),)).accepts(CivitaiFile(version=1, wish=(("fp", "fp32"),)))


def test_a_version_alone_may_mean_each_of_its_files_and_surely_none() -> None:
    one = CivitaiFile(version=1, file=7)

    assert one.accepts(CivitaiFile(version=1))
    assert not one.is_surely(CivitaiFile(version=1))


def test_another_state_of_a_repository_is_not_the_known_file() -> None:
    seen = HubFile(repository="a/b", path="x.safetensors", commit=COMMIT)

    assert seen.accepts(HubFile(repository="A/B", path="x.safetensors"))
    assert seen.accepts(HubFile(repository="a/b", path="x.safetensors", revision=COMMIT))
    # anybody may open a pull request to a repository: its commits are not the owner's
    assert not seen.accepts(HubFile(repository="a/b", path="x.safetensors", revision="refs/pr/3"))
    assert not seen.accepts(HubFile(repository="a/b", path="x.safetensors", revision="0" * 40))


@pytest.mark.parametrize(
    "source",
    [
        AE,
        HubFile(repository="a/b", path="x y%20z@1.safetensors"),
        HubFile(repository="a/b", path="d/x.safetensors", revision="refs/pr/3"),
        HubFile(repository="a/b", path="ü/名.safetensors", revision=COMMIT),
        CivitaiFile(version=5),
        CivitaiFile(version=5, model=4),
        CivitaiFile(version=5, model=4, file=3),
        CivitaiFile(version=5, wish=(("type", "Model"), ("format", "SafeTensor"), ("fp", "fp16"))),
        WebFile(address="https://example.org/x.safetensors?a=b"),
    ],
)
def test_url_and_reference_lead_back_to_the_same_file(source: HubFile | CivitaiFile | WebFile) -> None:
    by_reference, by_url = identify(source.reference), identify(source.url)

    assert by_reference == source
    assert by_url is not None
    assert source.accepts(by_url)


@settings(deadline=None)
@given(
    st.text(min_size=1, max_size=40).filter(str.isprintable),
    st.sampled_from(["main", "v1.0", "refs/pr/7", COMMIT]),
)
def test_any_path_that_is_accepted_survives_being_written_as_address_and_reference(path: str, revision: str) -> None:
    source = hub_file("a/b", path, revision)

    if source is not None and path == path.strip():
        assert identify(source.reference) == source
        assert identify(source.url) == source
