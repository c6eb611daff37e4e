"""Saved graphs: which value belongs to which widget, and which nodes count."""

from __future__ import annotations

import pytest
from standins.graphs import BYPASSED, MUTED, declared, graph, inactive, labels, node, read, widget_input


def test_a_loader_is_read_by_its_class_and_its_widget() -> None:
    assert labels(graph(node("UNETLoader", ["flux.safetensors", "default"]))) == ["diffusion_models/flux.safetensors"]


@pytest.mark.parametrize("mode", [MUTED, BYPASSED])
def test_what_only_a_muted_or_bypassed_node_names_is_inactive_and_not_dropped(mode: int) -> None:
    document = graph(node("VAELoader", ["ae.safetensors"], mode=mode))

    assert labels(document) == []
    assert inactive(document) == ["vae/ae.safetensors"]


@pytest.mark.parametrize("mode", [0, 1, 3])
def test_nodes_that_run_always_or_on_events_are_active(mode: int) -> None:
    assert labels(graph(node("VAELoader", ["ae.safetensors"], mode=mode))) == ["vae/ae.safetensors"]


def test_one_active_node_makes_the_file_active() -> None:
    document = graph(node("VAELoader", ["ae.safetensors"], mode=MUTED), node("VAELoader", ["ae.safetensors"]))

    assert labels(document) == ["vae/ae.safetensors"]
    assert len(read(document).requests[0].wanted_by) == 2


def test_the_list_of_values_wins_over_the_object_of_names() -> None:
    loader = node("UNETLoader", ["listed.safetensors", "default"])
    loader["widgets_values_named"] = {"unet_name": "named.safetensors", "weight_dtype": "default"}

    assert labels(graph(loader)) == ["diffusion_models/listed.safetensors"]


def test_the_object_of_names_serves_where_there_is_no_list() -> None:
    loader = node("UNETLoader", None, widgets_values_named={"unet_name": "named.safetensors"})

    assert labels(graph(loader)) == ["diffusion_models/named.safetensors"]


def test_the_object_of_names_tells_the_names_for_an_unknown_class() -> None:
    loader = node("SomebodysLoader", ["a.safetensors", 1.0])
    loader["widgets_values_named"] = {"control_net_name": "a.safetensors", "strength": 1.0}

    assert labels(graph(loader)) == ["controlnet/a.safetensors"]


def test_values_may_be_an_object() -> None:
    assert labels(graph(node("LoraLoaderModelOnly", {"lora_name": "ink.safetensors", "strength_model": 1}))) == [
        "loras/ink.safetensors"
    ]


def test_the_inputs_of_the_node_tell_the_names_for_an_unknown_class() -> None:
    loader = node("SomebodysLoader", ["a.safetensors", 3], inputs=[widget_input("clip_name"), widget_input("steps")])

    assert labels(graph(loader)) == ["text_encoders/a.safetensors"]


def test_a_seed_is_followed_by_a_value_without_a_widget() -> None:
    sampler = node(
        "SomebodysSampler",
        [7, "randomize", "a.safetensors"],
        inputs=[widget_input("seed"), widget_input("upscale_model")],
    )

    assert labels(graph(sampler)) == ["upscale_models/a.safetensors"]


def test_a_combo_may_be_followed_by_how_it_changes() -> None:
    loader = node("Unet Loader (LoraManager)", ["a.safetensors", "fixed", "default"])

    assert labels(graph(loader)) == ["diffusion_models/a.safetensors"]


def test_an_older_node_with_fewer_widgets_begins_like_the_newer_one() -> None:
    assert labels(graph(node("CLIPLoader", ["t5.safetensors", "sd3"]))) == ["text_encoders/t5.safetensors"]


def test_a_newer_node_with_more_widgets_begins_like_the_older_one() -> None:
    loader = node("DualCLIPLoader", ["a.safetensors", "b.safetensors", "flux", "default", "something new"])

    assert labels(graph(loader)) == ["text_encoders/a.safetensors", "text_encoders/b.safetensors"]


def test_a_pairing_that_would_put_a_number_in_the_place_of_a_file_is_not_believed() -> None:
    # an old Efficient Loader: another order than today's, but only files where files belong
    loader = node("LTXAVTextEncoderLoader", [1.0, "gemma.safetensors", "ltx.safetensors"])

    assert sorted(request.label for request in read(graph(loader)).requests) == [
        "gemma.safetensors",
        "ltx.safetensors",
    ]


def test_a_class_with_one_folder_has_it_for_every_file_in_it() -> None:
    loader = node("SomethingDisordered", [])
    loader.update(type="CR LoRA Stack", widgets_values=["On", "unplaced", 1, "ink.safetensors"])

    assert labels(graph(loader)) == ["loras/ink.safetensors"]


class TestLinkedWidgets:
    def test_the_value_of_a_primitive_takes_the_place_of_the_stored_one(self) -> None:
        document = graph(
            node("PrimitiveNode", ["chosen.safetensors", "fixed"]),
            node("VAELoader", ["stale.safetensors"], inputs=[widget_input("vae_name", 5)]),
            links=[[5, 1, 0, 2, 0, "COMBO"]],
        )

        assert labels(document) == ["vae/chosen.safetensors"]

    def test_a_value_that_is_computed_is_not_guessed_from_the_stored_one(self) -> None:
        document = graph(
            node("StringConcatenate", ["stale", ".safetensors", ""]),
            node("VAELoader", ["stale.safetensors"], inputs=[widget_input("vae_name", 5)]),
            links=[[5, 1, 0, 2, 0, "COMBO"]],
        )

        assert labels(document) == []

    def test_a_text_node_hands_a_file_name_on(self) -> None:
        document = graph(
            node("PrimitiveString", ["chosen.safetensors"]),
            node("VAELoader", ["stale.safetensors"], inputs=[widget_input("vae_name", 5)]),
            links=[[5, 1, 0, 2, 0, "STRING"]],
        )

        assert labels(document) == ["vae/chosen.safetensors"]

    def test_reroutes_are_followed(self) -> None:
        document = graph(
            node("PrimitiveNode", ["chosen.safetensors"]),
            node("Reroute", None, inputs=[{"name": "", "type": "*", "link": 5}]),
            node("VAELoader", ["stale.safetensors"], inputs=[widget_input("vae_name", 6)]),
            links=[[5, 1, 0, 2, 0, "*"], [6, 2, 0, 3, 0, "*"]],
        )

        assert labels(document) == ["vae/chosen.safetensors"]

    def test_reroutes_in_a_circle_end(self) -> None:
        document = graph(
            node("Reroute", None, inputs=[{"name": "", "type": "*", "link": 5}]),
            node("VAELoader", ["stale.safetensors"], inputs=[widget_input("vae_name", 5)]),
            links=[[5, 1, 0, 1, 0, "*"]],
        )

        assert labels(document) in ([], ["vae/stale.safetensors"])

    def test_a_link_that_is_not_there_leaves_the_stored_value(self) -> None:
        document = graph(node("VAELoader", ["ae.safetensors"], inputs=[widget_input("vae_name", 99)]))

        assert labels(document) == ["vae/ae.safetensors"]

    def test_links_of_both_spellings_are_read(self) -> None:
        link = {"id": 5, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "COMBO"}
        document = graph(
            node("PrimitiveNode", ["chosen.safetensors"]),
            node("VAELoader", ["stale.safetensors"], inputs=[widget_input("vae_name", 5)]),
            links=[link],
        )

        assert labels(document) == ["vae/chosen.safetensors"]

    def test_a_primitive_alone_names_nothing(self) -> None:
        assert labels(graph(node("PrimitiveNode", ["loose.safetensors", "fixed"]))) == []


class TestGroupNodes:
    """The kind of groups before subgraphs: definitions under ``extra``."""

    def document(self, values: list[object], node_class: str = "workflow/duo", mode: int = 0) -> dict[str, object]:
        group = {
            "nodes": [
                node("CheckpointLoaderSimple", ["inside.safetensors"]),
                node("LoraLoader", ["inside-lora.safetensors", 1, 1]),
            ]
        }
        return graph(node(node_class, values, mode=mode), extra={"groupNodes": {"duo": group}})

    @pytest.mark.parametrize("node_class", ["workflow/duo", "workflow>duo"])
    def test_the_values_of_the_instance_win(self, node_class: str) -> None:
        document = self.document(["outside.safetensors", "outside-lora.safetensors", 1, 1], node_class)

        assert labels(document) == ["checkpoints/outside.safetensors", "loras/outside-lora.safetensors"]

    def test_without_values_of_its_own_the_definition_counts(self) -> None:
        assert labels(self.document([])) == ["checkpoints/inside.safetensors", "loras/inside-lora.safetensors"]

    def test_values_that_do_not_pair_by_number_pair_by_their_files(self) -> None:
        document = self.document(["outside.safetensors", "outside-lora.safetensors", 1])

        assert labels(document) == ["checkpoints/outside.safetensors", "loras/outside-lora.safetensors"]

    def test_a_muted_group_is_inactive_inside(self) -> None:
        document = self.document([], mode=MUTED)

        assert labels(document) == []
        assert len(inactive(document)) == 2

    def test_a_definition_that_nothing_uses_names_nothing(self) -> None:
        assert labels(self.document([], "KSampler")) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"nodes": [None, 3, "x", [], {}]},
        {"nodes": [{"type": None}, {"type": 3}, {"type": ["x"]}]},
        {"nodes": [{"type": "VAELoader", "widgets_values": "ae.safetensors"}]},
        {"nodes": [{"type": "VAELoader", "widgets_values": 3, "inputs": 3, "properties": 3, "mode": "x"}]},
        {"nodes": [{"type": "VAELoader", "inputs": [None, {"widget": 3, "link": []}], "properties": {"models": 3}}]},
        {"nodes": [], "links": [None, [1], {"id": None}, [[], 1, 2, 3, 4, 5]]},
        {"nodes": [], "definitions": {"subgraphs": [None, {"id": 3}, {"id": "x", "nodes": 3}]}},
        {"nodes": [], "definitions": [], "extra": [], "models": {}},
        {"nodes": [{"type": "workflow/x"}], "extra": {"groupNodes": {"x": 3}}},
        {"nodes": [{"type": "x", "properties": {"proxyWidgets": [3, [1], [{}, "y"]]}, "widgets_values": [1, 2, 3]}],
         "definitions": {"subgraphs": [{"id": "x", "nodes": [], "inputs": 3, "inputNode": 3}]}},
    ],
)  # fmt: skip
def test_parts_of_the_wrong_shape_are_passed_over(broken: dict[str, object]) -> None:
    assert read(broken).requests == ()


def test_nodes_may_have_names_for_ids() -> None:
    document = graph(node("VAELoader", ["ae.safetensors"], id="first"))

    assert read(document).requests[0].wanted_by[0].node == "first"


def test_a_request_says_where_it_is_named() -> None:
    where = read(graph(node("LoraLoader", ["ink.safetensors", 1, 1]))).requests[0].wanted_by[0]

    assert (where.workflow, where.node, where.node_class, where.input) == ("w.json", "1", "LoraLoader", "lora_name")


def test_notes_name_nothing() -> None:
    prose = "embedding:ghost <lora:ghost:1> https://example.com/ghost.safetensors ghost.safetensors"

    assert labels(graph(node("Note", [prose]), node("MarkdownNote", [prose]))) == []


def test_a_declaration_for_a_file_that_is_not_selected_does_not_count() -> None:
    loader = node("VAELoader", ["chosen.safetensors"], **declared("stale.safetensors", "vae"))

    requests = read(graph(loader)).requests

    assert [(request.label, request.url) for request in requests] == [("vae/chosen.safetensors", None)]
