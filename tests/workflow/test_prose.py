"""Names in texts: what ComfyUI's tokeniser takes for an embedding, tags of LoRAs, addresses in notes."""

from __future__ import annotations

import pytest
from standins.graphs import declared, graph, labels, node, problems, read

from comfywatchman_core.workflow.prose import embeddings, lora_tags


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("embedding:neg", ["neg"]),
        ("a, embedding:neg, b", ["neg"]),
        ("a\nembedding:neg\nb", ["neg"]),
        ("a\tembedding:neg", ["neg"]),
        ("embedding:sub/neg.pt", ["sub/neg.pt"]),
        ("embedding:one embedding:two", ["one", "two"]),
        # weights in parentheses are taken off first, however deep
        ("(embedding:neg)", ["neg"]),
        ("(embedding:neg:1.1)", ["neg"]),
        ("((embedding:neg:1.1), more:0.8)", ["neg"]),
        ("(embedding:neg, other:1.2)", ["neg"]),
        ("x(embedding:neg:1.1)", ["neg"]),
        # a name that looks like a weight is taken for one
        ("(embedding:768)", []),
        # an escaped parenthesis is a character
        (r"embedding:neg\(v2\)", ["neg(v2)"]),
        (r"\(embedding:neg\)", []),
        # only at the beginning of a segment or behind white space
        ("xembedding:neg", []),
        ("1embedding:neg", []),
        # parentheses that do not pair up are not taken apart
        ("(embedding:neg", []),
        ("a) (embedding:neg:1.1)", []),
        ("(a (embedding:neg:1.1)", []),
        # where a name ends
        ("embedding:neg<lora:x:1>", ["neg"]),
        ("embedding:neg[0]", ["neg"]),
        ("embedding:neg,", ["neg"]),
        ("embedding:neg,,, x", ["neg"]),
        ("embedding:", []),
        ("embedding:,", []),
        # the syntax of packs that choose at random
        ("embedding:{one|two}", []),
        ("embedding: neg", []),
    ],
)
def test_embeddings(text: str, names: list[str]) -> None:
    assert list(embeddings(text)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("<lora:ink:0.8>", ["ink"]),
        ("a <lora:sub/ink v2:0.8:1> b <lora:two>", ["sub/ink v2", "two"]),
        ("<lora:ink:0.8:LBW=1,0,0>", ["ink"]),
        ("<lora::1>", []),
        ("<lora:{a|b}:1>", []),
        ("<hypernet:x:1>", []),
        ("lora:ink:1", []),
    ],
)
def test_lora_tags(text: str, names: list[str]) -> None:
    assert list(lora_tags(text)) == names


def test_an_embedding_is_asked_for_under_the_name_in_the_text_without_a_suffix_of_our_own() -> None:
    assert labels(graph(node("CLIPTextEncode", ["bad (embedding:EasyNegative:1.2)"]))) == ["embeddings/EasyNegative"]


def test_an_embedding_may_stand_in_any_text_of_any_node() -> None:
    assert labels(graph(node("SomebodysEncoder", [1, {"positive": "embedding:neg"}]))) == ["embeddings/neg"]


def test_a_declaration_tells_the_suffix_of_an_embedding() -> None:
    encoder = node("CLIPTextEncode", ["embedding:neg"], **declared("neg.safetensors", "embeddings"))

    request = read(graph(encoder)).requests[0]

    assert request.label == "embeddings/neg.safetensors"
    assert request.url == "https://example.com/neg.safetensors"


def test_prose_that_looks_like_an_embedding_is_no_refusal() -> None:
    document = graph(node("CLIPTextEncode", ["embedding:../../evil embedding:name:1.2"]))

    assert labels(document) == []
    assert problems(document) == []


def test_lora_tags_count_only_where_a_node_reads_them() -> None:
    text = "a house <lora:ink:0.8>"

    assert labels(graph(node("CLIPTextEncode", [text]))) == []
    assert labels(graph(node("ImpactWildcardEncode", [text]))) == ["loras/ink"]
    assert labels(graph(node("Power Prompt (rgthree)", [text]))) == ["loras/ink"]


class TestNotes:
    def hints(self, note: str, name: str = "ink v2.safetensors", node_class: str = "MarkdownNote") -> tuple[str, ...]:
        document = graph(node("LoraLoader", [f"sub/{name}", 1, 1]), node(node_class, [note]))
        return read(document).requests[0].hints

    @pytest.mark.parametrize("node_class", ["Note", "MarkdownNote"])
    def test_an_address_with_the_same_last_part_is_a_hint(self, node_class: str) -> None:
        address = "https://example.com/a/resolve/main/ink%20v2.safetensors?download=true"

        assert self.hints(f"get it: {address}.", node_class=node_class) == (address,)

    def test_the_words_of_a_link_tell_the_name_as_well(self) -> None:
        assert self.hints("- **[ink v2.safetensors](https://example.com/models/123?type=Model)**") == (
            "https://example.com/models/123?type=Model",
        )

    def test_an_address_of_another_file_is_none(self) -> None:
        assert self.hints("https://example.com/other.safetensors https://example.com/ink") == ()

    def test_a_hint_is_no_address_of_the_request(self) -> None:
        document = graph(
            node("LoraLoader", ["ink.safetensors", 1, 1]), node("Note", ["https://example.com/ink.safetensors"])
        )

        assert read(document).requests[0].url is None

    def test_a_name_without_suffix_finds_the_addresses_of_its_files(self) -> None:
        document = graph(
            node("CLIPTextEncode", ["embedding:neg"]), node("Note", ["https://example.com/neg.safetensors"])
        )

        assert read(document).requests[0].hints == ("https://example.com/neg.safetensors",)

    def test_there_are_never_more_than_a_few(self) -> None:
        note = " ".join(f"https://example.com/{number}/ink%20v2.safetensors" for number in range(100))

        assert len(self.hints(note)) == 8
