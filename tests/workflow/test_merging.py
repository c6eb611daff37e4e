"""One request for one file, however many workflows and nodes ask for it."""

from __future__ import annotations

from comfywatchman_core.merging import digest_conflicts, merge_requests
from comfywatchman_core.models import Digest, ModelRequest, NodeRef


def ask(name: str = "a.safetensors", folder: str = "loras", workflow: str = "w", **fields: object) -> ModelRequest:
    where = NodeRef(workflow=workflow, node="1", node_class="X", input="y")
    return ModelRequest(name=name, folder=folder, wanted_by=(where,), **fields)  # type: ignore[arg-type]


def test_the_same_name_and_folder_is_one_request_with_all_that_want_it() -> None:
    (merged,) = merge_requests([ask(workflow="1.json"), ask(workflow="2.json"), ask(workflow="1.json")])

    assert [ref.workflow for ref in merged.wanted_by] == ["1.json", "2.json"]


def test_another_folder_or_another_spelling_is_another_file() -> None:
    merged = merge_requests([ask(), ask(folder="vae"), ask("sub/a.safetensors"), ask("A.safetensors")])

    assert len(merged) == 4


def test_one_that_is_active_makes_it_active() -> None:
    assert merge_requests([ask(active=False), ask(active=True)])[0].active
    assert not merge_requests([ask(active=False), ask(active=False)])[0].active


def test_the_first_address_counts_and_the_others_are_hints() -> None:
    (merged,) = merge_requests(
        [ask(), ask(url="https://x/1", hints=("https://x/3",)), ask(url="https://x/2"), ask(url="https://x/1")]
    )

    assert merged.url == "https://x/1"
    assert merged.hints == ("https://x/2", "https://x/3")


def test_checksums_are_united() -> None:
    (merged,) = merge_requests([ask(digests=(Digest("autov2", "0" * 10),)), ask(digests=(Digest("sha256", "0" * 64),))])

    assert len(merged.digests) == 2
    assert digest_conflicts([merged]) == ()


def test_checksums_that_contradict_each_other_are_both_kept_and_told() -> None:
    one, other = (ask(workflow=f"{digit}.json", digests=(Digest("sha256", digit * 64),)) for digit in "ab")

    (merged,) = merge_requests([one, other])
    (problem,) = digest_conflicts([merged])

    assert [digest.value[0] for digest in merged.digests] == ["a", "b"]
    assert problem.code == "digest_conflict"
    assert problem.about == "a.json, b.json"
    assert "loras/a.safetensors" in problem.message


def test_references_without_a_name_are_told_apart() -> None:
    requests = [
        ModelRequest(reference="hf:a/b/c"),
        ModelRequest(reference="hf:a/b/d"),
        ModelRequest(reference="hf:a/b/c"),
    ]

    assert [request.reference for request in merge_requests(requests)] == ["hf:a/b/c", "hf:a/b/d"]


def test_the_order_is_that_of_the_first_appearance() -> None:
    merged = merge_requests([ask("b.pt"), ask("a.pt"), ask("b.pt")])

    assert [str(request.name) for request in merged] == ["b.pt", "a.pt"]
