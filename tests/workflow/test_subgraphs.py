"""Subgraphs: every instance for itself, its own values before those inside, whatever way they are stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from standins.graphs import BYPASSED, MUTED, declared, graph, inactive, labels, node, read, subgraph, widget_input

from comfywatchman_core.errors import WorkflowError
from comfywatchman_core.workflow import read_workflow_bytes

DEFINITION = "0f8d1c4e-0000-4000-8000-000000000001"


def with_definition(*instances: dict[str, Any], definitions: Any = (), links: Any = ()) -> dict[str, Any]:
    """A graph of *instances* and one definition with a UNET loader inside, its name promoted."""
    loader = node("UNETLoader", ["inside.safetensors", "default"], id=3, inputs=[widget_input("unet_name", 9)])
    inner = subgraph(DEFINITION, loader, inputs=["image", "unet_name"], links=[(9, 1, 3, 0)])
    return graph(*instances, definitions={"subgraphs": [inner, *definitions]}, links=links)


def instance(values: Any = None, **fields: Any) -> dict[str, Any]:
    return node(DEFINITION, values, **fields)


def test_nodes_inside_are_found() -> None:
    assert labels(with_definition(instance())) == ["diffusion_models/inside.safetensors"]


def test_a_definition_without_an_instance_names_nothing() -> None:
    assert labels(with_definition()) == []


def test_the_id_of_an_inner_node_tells_the_way_to_it() -> None:
    request = read(with_definition(instance(id=11))).requests[0]

    assert request.wanted_by[0].node == "11:3"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"widgets_values_named": {"unet_name": "outside.safetensors"}}, "the object of names pairs with the list"),
        ({"inputs": [widget_input("unet_name")]}, "the instance's own inputs pair with the list"),
        ({"properties": {"proxyWidgets": [["-1", "unet_name"]]}}, "the promoted widgets pair with the list"),
        ({"properties": {"proxyWidgets": [["3", "unet_name"]]}}, "a promoted widget names the inner node itself"),
        ({"properties": {"proxyWidgets": [["3", "3: unet_name"]]}}, "in an older spelling"),
        ({}, "the definition's inputs that lead to widgets pair with the list"),
    ],
)
def test_the_value_of_the_instance_wins(fields: dict[str, Any], why: str) -> None:
    document = with_definition(instance(["outside.safetensors"], **fields))

    assert labels(document) == ["diffusion_models/outside.safetensors"], why


def test_values_that_pair_with_nothing_are_passed_over() -> None:
    document = with_definition(instance(["outside.safetensors", 1, 2, 3]))

    assert labels(document) == ["diffusion_models/inside.safetensors"]


@pytest.mark.parametrize("values", [None, [], [None]])
def test_an_instance_without_values_leaves_those_inside(values: Any) -> None:
    document = with_definition(instance(values, properties={"proxyWidgets": [["-1", "unet_name"]]}))

    assert labels(document) == ["diffusion_models/inside.safetensors"]


def test_two_instances_may_choose_different_files() -> None:
    document = with_definition(instance(["first.safetensors"]), instance(["second.safetensors"]))

    assert labels(document) == ["diffusion_models/first.safetensors", "diffusion_models/second.safetensors"]


@pytest.mark.parametrize("mode", [MUTED, BYPASSED])
def test_everything_inside_a_switched_off_instance_is_inactive(mode: int) -> None:
    document = with_definition(instance(mode=mode))

    assert labels(document) == []
    assert inactive(document) == ["diffusion_models/inside.safetensors"]


def test_a_link_into_the_instance_brings_the_value_of_its_origin() -> None:
    document = with_definition(
        instance(["stored.safetensors"], inputs=[widget_input("unet_name", 20)]),
        node("PrimitiveNode", ["linked.safetensors"]),
        links=[[20, 2, 0, 1, 0, "COMBO"]],
    )

    assert labels(document) == ["diffusion_models/linked.safetensors"]


class TestNested:
    OUTER = "0f8d1c4e-0000-4000-8000-000000000002"

    def document(self, outer_values: Any, inner_values: Any, **fields: Any) -> dict[str, Any]:
        inner = node(DEFINITION, inner_values, id=7, inputs=[widget_input("unet_name", 4)])
        outer = subgraph(self.OUTER, inner, inputs=["model"], links=[(4, 0, 7, 0)])
        return with_definition(node(self.OUTER, outer_values, id=2, **fields), definitions=[outer])

    def test_a_nested_instance_points_at_its_sibling_in_the_list(self) -> None:
        request = read(self.document(None, None)).requests[0]

        assert request.label == "diffusion_models/inside.safetensors"
        assert request.wanted_by[0].node == "2:7:3"

    def test_the_outermost_value_wins(self) -> None:
        assert labels(self.document(["outermost.safetensors"], ["middle.safetensors"])) == [
            "diffusion_models/outermost.safetensors"
        ]

    def test_without_it_the_middle_one_does(self) -> None:
        assert labels(self.document(None, ["middle.safetensors"])) == ["diffusion_models/middle.safetensors"]

    def test_a_promoted_widget_may_be_that_of_an_inner_instance(self) -> None:
        document = self.document(["outermost.safetensors"], None, properties={"proxyWidgets": [["7", "unet_name"]]})

        assert labels(document) == ["diffusion_models/outermost.safetensors"]

    def test_muting_the_outermost_switches_everything_off(self) -> None:
        assert labels(self.document(None, None, mode=MUTED)) == []

    def test_definitions_may_lie_inside_definitions(self) -> None:
        document = self.document(None, None)
        inner, outer = document["definitions"]["subgraphs"]
        outer["definitions"] = {"subgraphs": [inner]}
        document["definitions"]["subgraphs"] = [outer]

        assert labels(document) == ["diffusion_models/inside.safetensors"]


def test_subgraphs_that_contain_each_other_end() -> None:
    a = subgraph("a", node("b", None), node("VAELoader", ["ae.safetensors"]))
    b = subgraph("b", node("a", None))

    assert labels(graph(node("a", None), definitions={"subgraphs": [a, b]})) == ["vae/ae.safetensors"]


def test_subgraphs_that_stand_for_billions_of_nodes_are_refused() -> None:
    definitions = [subgraph(f"d{depth}", *[node(f"d{depth + 1}", None)] * 10) for depth in range(12)]
    document = graph(node("d0", None), definitions={"subgraphs": definitions})

    with pytest.raises(WorkflowError, match="expands to more than"):
        read_workflow_bytes(json.dumps(document).encode(), label="w.json")


def test_what_the_instance_declares_counts_for_the_file_it_chooses() -> None:
    document = with_definition(instance(["outside.safetensors"], **declared("outside.safetensors", "loras")))

    request = read(document).requests[0]

    assert request.url == "https://example.com/outside.safetensors"
    assert request.folder == "diffusion_models"


def test_a_subgraph_hands_text_in_as_well() -> None:
    encoder = node("CLIPTextEncode", ["embedding:stale"], id=3, inputs=[widget_input("text", 9)])
    inner = subgraph("t", encoder, inputs=["text"], links=[(9, 0, 3, 0)])

    document = graph(node("t", ["embedding:fresh"]), definitions={"subgraphs": [inner]})

    assert labels(document) == ["embeddings/fresh"]


def test_a_file_handed_to_a_node_of_an_unknown_class_is_found() -> None:
    loader = node("SomebodysLoader", [""], id=3, inputs=[widget_input("vae_name", 9)])
    inner = subgraph("t", loader, inputs=["vae"], links=[(9, 0, 3, 0)])

    document = graph(node("t", ["handed-in.safetensors"]), definitions={"subgraphs": [inner]})

    assert labels(document) == ["vae/handed-in.safetensors"]
