"""Every way to write down a file of the Hub, and every address that only looks like one."""

from __future__ import annotations

import pytest
from comfywatchman_huggingface.references import HubFile, read_reference, read_storage_link
from comfywatchman_huggingface.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

HUB = Settings()
MIRROR = Settings(endpoint="http://127.0.0.1:8080/hf")
FILE = HubFile(repo="Comfy-Org/x", revision="main", path="a/b.safetensors")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # addresses as browsers and workflows have them
        ("https://huggingface.co/Comfy-Org/x/resolve/main/a/b.safetensors", FILE),
        ("https://huggingface.co/Comfy-Org/x/resolve/main/a/b.safetensors?download=true", FILE),
        ("https://huggingface.co/Comfy-Org/x/blob/main/a/b.safetensors#L1", FILE),
        ("https://huggingface.co/Comfy-Org/x/raw/main/a/b.safetensors", FILE),
        ("https://huggingface.co/models/Comfy-Org/x/blob/main/a/b.safetensors", FILE),
        ("https://www.huggingface.co/Comfy-Org/x/blame/main/a/b.safetensors", FILE),
        ("http://huggingface.co:80/Comfy-Org/x/resolve/main/a/b.safetensors", FILE),
        ("https://hf.co/Comfy-Org/x/resolve/main/a/b.safetensors", FILE),
        ("https://hf-mirror.com/Comfy-Org/x/resolve/main/a/b.safetensors", FILE),
        ("  https://huggingface.co/Comfy-Org/x/resolve/main/a/b.safetensors\n", FILE),
        # revisions: quoted, of a pull request, of a commit
        (
            "https://huggingface.co/o/r/resolve/refs%2Fpr%2F3/a.safetensors",
            HubFile(repo="o/r", revision="refs/pr/3", path="a.safetensors"),
        ),
        (
            "https://huggingface.co/o/r/resolve/refs/pr/3/a.safetensors",
            HubFile(repo="o/r", revision="refs/pr/3", path="a.safetensors"),
        ),
        (
            f"https://huggingface.co/o/r/resolve/{'a' * 40}/a.safetensors",
            HubFile(repo="o/r", revision="a" * 40, path="a.safetensors"),
        ),
        # folders, whole repositories, other kinds, repositories of one word, quoted characters
        ("https://huggingface.co/o/r/tree/main/split_files", HubFile(repo="o/r", revision="main", path="split_files")),
        ("https://huggingface.co/o/r", HubFile(repo="o/r")),
        (
            "https://huggingface.co/datasets/o/r/resolve/main/a.safetensors",
            HubFile(kind="datasets", repo="o/r", revision="main", path="a.safetensors"),
        ),
        (
            "https://huggingface.co/spaces/o/r/blob/main/a.safetensors",
            HubFile(kind="spaces", repo="o/r", revision="main", path="a.safetensors"),
        ),
        (
            "https://huggingface.co/gpt2/resolve/main/model.safetensors",
            HubFile(repo="gpt2", revision="main", path="model.safetensors"),
        ),
        (
            "https://huggingface.co/o/r/resolve/main/a%20b/c%23d.safetensors",
            HubFile(repo="o/r", revision="main", path="a b/c#d.safetensors"),
        ),
        # references as people type them
        ("hf:Comfy-Org/x/a/b.safetensors@main", FILE),
        ("hf:Comfy-Org/x/a/b.safetensors", HubFile(repo="Comfy-Org/x", path="a/b.safetensors")),
        ("hf:o/r/a@2x.safetensors", HubFile(repo="o/r", path="a@2x.safetensors")),
        ("hf:o/r/a.safetensors@refs/pr/3", HubFile(repo="o/r", revision="refs/pr/3", path="a.safetensors")),
        ("hf:o/r/a.safetensors@v1.0", HubFile(repo="o/r", revision="v1.0", path="a.safetensors")),
        ("hf:o/r", HubFile(repo="o/r")),
        ("hf://o/r@v1/a.safetensors", HubFile(repo="o/r", revision="v1", path="a.safetensors")),
        ("hf://datasets/o/r/a.pt", HubFile(kind="datasets", repo="o/r", path="a.pt")),
        ("hf://gpt2@main/model.safetensors", HubFile(repo="gpt2", revision="main", path="model.safetensors")),
        ("hf://gpt2/model.safetensors", HubFile(repo="gpt2", path="model.safetensors")),
    ],
)
def test_a_form_is_understood(text: str, found: HubFile) -> None:
    assert read_reference(text, HUB) == found


@pytest.mark.parametrize(
    "text",
    [
        # other hosts that try to be taken for the Hub
        "https://huggingface.co.evil.example/o/r/resolve/main/a.safetensors",
        "https://huggingface.co@evil.example/o/r/resolve/main/a.safetensors",
        "https://evil.example/huggingface.co/o/r/resolve/main/a.safetensors",
        "https://user:password@huggingface.co/o/r/resolve/main/a.safetensors",
        "https://huggingface.co:8443/o/r/resolve/main/a.safetensors",
        "ftp://huggingface.co/o/r/resolve/main/a.safetensors",
        "file:///o/r/a.safetensors",
        # paths that could lead elsewhere
        "https://huggingface.co/o/r/resolve/main/../../../api/whoami-v2",
        "https://huggingface.co/o/r/resolve/main/%2e%2e/a.safetensors",
        "https://huggingface.co/o/r/resolve/main/a%00b.safetensors",
        "https://huggingface.co/o/r/resolve/main/a%5Cb.safetensors",
        "https://huggingface.co/../r/resolve/main/a.safetensors",
        "hf:o/r/../../a.safetensors",
        "hf:../r/a.safetensors",
        "hf:o/r/a\\b.safetensors",
        "hf:o/r/a\x1b[31m.safetensors",
        # pages that are no files
        "https://huggingface.co/o",
        "https://huggingface.co/",
        "https://huggingface.co/o/r/discussions/3",
        "https://huggingface.co/buckets/o/r/resolve/a.safetensors",
        # other sources, and nothing at all
        "civitai:123@456",
        "urn:air:sdxl:model:civitai:1@2",
        "loras/ink.safetensors",
        "hf:",
        "hf:o",
        "hf://",
        "https://[",
        "",
        "hf:o/r/" + "a" * 5000,
    ],
)
def test_what_is_no_file_of_the_hub_is_not_read_as_one(text: str) -> None:
    assert read_reference(text, HUB) is None


def test_an_endpoint_of_the_users_own_is_the_hub_and_its_path_is_not_the_repositorys() -> None:
    inside = read_reference("http://127.0.0.1:8080/hf/Comfy-Org/x/resolve/main/a/b.safetensors", MIRROR)

    assert inside == FILE
    assert read_reference("http://127.0.0.1:8080/Comfy-Org/x/resolve/main/a/b.safetensors", MIRROR) is None
    assert read_reference("http://127.0.0.1:9090/hf/Comfy-Org/x/resolve/main/a/b.safetensors", MIRROR) is None
    assert read_reference("https://huggingface.co/Comfy-Org/x/blob/main/a/b.safetensors", MIRROR) == FILE


def test_a_mirror_that_the_user_names_means_the_endpoint() -> None:
    settings = Settings(mirrors=["hub.example.org"])

    assert read_reference("https://hub.example.org/Comfy-Org/x/resolve/main/a/b.safetensors", settings) == FILE
    assert read_reference("https://hf-mirror.com/Comfy-Org/x/resolve/main/a/b.safetensors", settings) is None


@pytest.mark.parametrize(
    ("url", "sha256", "name"),
    [
        (f"https://cdn-lfs.huggingface.co/repos/6b/20/{'c' * 64}/{'d' * 64}?X-Amz-Expires=3600", "d" * 64, None),
        (
            "https://cdn-lfs-us-1.hf.co/repos/a/b/c/x?response-content-disposition=inline%3B+filename%3D%22ae.sft%22",
            None,
            "ae.sft",
        ),
        # the last part of these is a hash of another sort
        (f"https://cas-bridge.xethub.hf.co/xet-bridge-us/{'a' * 24}/{'d' * 64}?Expires=1", None, None),
    ],
)
def test_a_storage_link_is_recognised_with_what_it_says(url: str, sha256: str | None, name: str | None) -> None:
    link = read_storage_link(url)

    assert link is not None
    assert (link.sha256, link.name) == (sha256, name)
    assert read_reference(url, HUB) is None


@pytest.mark.parametrize("url", ["https://huggingface.co/o/r/resolve/main/a.pt", "https://cdn.example/x", "https://["])
def test_an_ordinary_address_is_no_storage_link(url: str) -> None:
    assert read_storage_link(url) is None


words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True).filter(
    lambda word: (
        word not in {"models", "datasets", "spaces", "model", "dataset", "space", "kernels", "buckets"}
        and word not in {"kernel", "bucket"}
        and "--" not in word
        and not word.endswith("-")
    )
)
parts = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='/\\?@"'), min_size=1, max_size=12
).filter(lambda part: part not in (".", "..") and "%2F" not in part.upper())


@given(
    owner=words,
    name=words,
    path=st.lists(parts, min_size=1, max_size=4),
    commit=st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
)
def test_what_is_written_down_is_read_back(owner: str, name: str, path: list[str], commit: str) -> None:
    file = HubFile(repo=f"{owner}/{name}", path="/".join([*path, "m.safetensors"]), revision=commit)

    assert read_reference(file.reference, HUB) == file
    assert read_reference(file.url("https://huggingface.co"), HUB) == file


@given(st.text(max_size=200))
def test_no_text_whatever_makes_it_stumble(text: str) -> None:
    for candidate in (text, f"hf:{text}", f"hf://{text}", f"https://huggingface.co/{text}"):
        found = read_reference(candidate, HUB)
        assert found is None or ".." not in found.path.split("/")
