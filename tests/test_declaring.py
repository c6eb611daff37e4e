"""Copies of workflows that declare their models: what they say, and that nothing else in them changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from standins.graphs import declared as declares
from standins.graphs import graph, subgraph, widget_input
from standins.graphs import node as saved
from standins.shelf import serve_files

from comfywatchman_core.cli import main
from comfywatchman_core.declaring import Declaration, declared, write_copies
from comfywatchman_core.errors import BackendError, ErrorCode, UsageError
from comfywatchman_core.jsontext import Place
from comfywatchman_core.models import Candidate, Match, ModelRequest
from comfywatchman_core.report import Entry, Status
from comfywatchman_core.testing import safetensors, sha256
from comfywatchman_core.workflow import read_workflow

INK, PEN = sha256(b"ink"), sha256(b"pen")


def loader(name: str, **fields: Any) -> dict[str, Any]:
    return saved("LoraLoaderModelOnly", [name, 1.0], **fields)


def ink(**more: str) -> Declaration:
    return Declaration(
        **{"name": "ink.safetensors", "directory": "loras", "sha256": INK, "url": "https://example.org/ink", **more}
    )


def entry_of(request: ModelRequest) -> Entry:
    """As a plan knows the file: with a digest and an address of its own."""
    name = str(request.name)
    offer = Candidate(match=Match.FILENAME, url=f"https://example.org/{sha256(name.encode())[:8]}")
    return Entry(request=request, status=Status.PLANNED, candidate=offer, sha256=sha256(name.encode()))


def copy_of(workflow: Path, directory: Path, **options: Any) -> Path:
    requests = read_workflow(workflow).requests
    (copy,) = write_copies(map(entry_of, requests), directory, **{"replace": False, **options})
    return copy


def without_declarations(value: Any) -> Any:
    if isinstance(value, list):
        return [without_declarations(one) for one in value]
    if not isinstance(value, dict):
        return value
    cleaned = {key: without_declarations(one) for key, one in value.items()}
    if isinstance(value.get("properties"), dict):
        cleaned["properties"].pop("models", None)
    return {key: one for key, one in cleaned.items() if key != "properties" or one}


def spelled_numbers(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=list)


class TestACopy:
    def test_says_digest_and_address_of_a_model_in_the_node_that_names_it(self, tmp_path: Path) -> None:
        workflow = tmp_path / "team.json"
        workflow.write_text(json.dumps(graph(loader("ink.safetensors"), saved("Note", ["hello"]))))

        copy = copy_of(workflow, tmp_path / "copies")

        first, second = json.loads(copy.read_text())["nodes"]
        assert first["properties"]["models"] == [
            {
                "name": "ink.safetensors",
                "url": f"https://example.org/{sha256(b'ink.safetensors')[:8]}",
                "directory": "loras",
                "hash": sha256(b"ink.safetensors"),
                "hash_type": "SHA256",
            }
        ]
        assert "properties" not in second
        assert copy == tmp_path / "copies" / "team.json"

    @pytest.mark.parametrize(
        "text",
        [
            '{"nodes": [{"id": 1, "type": "T", "properties": {}}], "version": 0.40}',
            '{"nodes": [{"id": 1, "type": "T", "properties": {"a": 1.0e5, "b": -0.0}, "x": 12345678901234567890.10}]}',
            '{\n  "nodes": [\n    {"id": 1, "type": "T",\n     "flags": {}\n    }\n  ],\n\t"zoom": 1E+2, "a": NaN}\n\n',
            '\ufeff{"nodes":[{"id":1,"id":1,"type":"T","z":0,"a":0,"z":1}]}',
            '{"nodes": [{"id": "1", "type": "\\u0054", "title": "é\\u00e9\\ud83d"}]}',
            f'{{"nodes": [{{"id": 1, "type": "T", "seed": {"7" * 5000}}}]}}',
        ],
        ids=["empty properties", "spelling of numbers", "white space", "mark and repeated keys", "escapes", "long"],
    )
    def test_is_the_workflow_letter_for_letter_but_for_what_is_declared(self, text: str) -> None:
        new = declared(text, {"1": [ink()]})

        models = [ink().members]
        for addition in (
            f', "properties": {json.dumps({"models": models})}',
            f'"models": {json.dumps(models)}',
            f', "models": {json.dumps(models)}',
        ):
            if new.replace(addition, "", 1) == text:
                return
        raise AssertionError(new)

    def test_keeps_what_is_declared_and_adds_what_is_missing(self) -> None:
        entry = {"name": "ink.safetensors", "url": "https://theirs.example/ink", "note": 1.50}
        text = json.dumps(graph(loader("ink.safetensors", properties={"models": [{"name": "old.pt"}, entry]})))

        new = json.loads(declared(text, {"1": [ink(), ink(name="pen.safetensors", sha256=PEN)]}))

        assert new["nodes"][0]["properties"]["models"] == [
            {"name": "old.pt"},
            {**entry, "directory": "loras", "hash": INK, "hash_type": "SHA256"},
            ink(name="pen.safetensors", sha256=PEN).members,
        ]

    def test_corrects_a_digest_that_is_another_one(self) -> None:
        text = json.dumps(graph(loader("ink.safetensors", **declares("ink.safetensors", hash=PEN, hash_type="SHA256"))))

        (model,) = json.loads(declared(text, {"1": [ink()]}))["nodes"][0]["properties"]["models"]

        assert (model["hash"], model["hash_type"]) == (INK, "SHA256")

    def test_of_a_copy_is_the_same_copy(self) -> None:
        once = declared(json.dumps(graph(loader("ink.safetensors"))), {"1": [ink()]})

        assert declared(once, {"1": [ink()]}) == once

    def test_reaches_into_subgraphs_and_what_they_hold(self, tmp_path: Path) -> None:
        inner = subgraph("inner-id", loader("deep.safetensors"))
        outer = {**subgraph("outer-id", saved("inner-id")), "definitions": {"subgraphs": [inner]}}
        promoted = subgraph("promoted-id", loader("unused.safetensors", inputs=[widget_input("lora_name", 1)]),
                            inputs=["lora_name"], links=[(1, 0, 1, 0)])  # fmt: skip
        hosts = [saved("promoted-id", [name], inputs=[widget_input("lora_name")]) for name in ("a.pt", "b.pt")]
        workflow = tmp_path / "w.json"
        workflow.write_text(json.dumps(graph(saved("outer-id"), *hosts, definitions={"subgraphs": [outer, promoted]})))
        before = read_workflow(workflow).requests

        copy = copy_of(workflow, tmp_path / "copies")

        after = read_workflow(copy).requests
        assert [request.label for request in after] == [request.label for request in before]
        assert "loras/deep.safetensors" in {request.label for request in after}
        assert [request.sha256 for request in after] == [sha256(str(one.name).encode()) for one in after]

    def test_declares_in_old_group_nodes_as_well(self, tmp_path: Path) -> None:
        group = {"nodes": [{"type": "LoraLoaderModelOnly", "widgets_values": ["ink.safetensors", 1.0], "inputs": []}]}
        workflow = tmp_path / "w.json"
        workflow.write_text(json.dumps(graph(saved("workflow/g", []), extra={"groupNodes": {"g": group}})))

        copy = copy_of(workflow, tmp_path / "copies")

        assert [request.sha256 for request in read_workflow(copy).requests] == [sha256(b"ink.safetensors")]

    @pytest.mark.parametrize(
        ("url", "digest", "told"),
        [
            ("https://example.org/x?signature=s3cr3t", INK, "https://example.org/x"),
            ("https://example.org/x?signature=s3cr3t", None, None),
            ("https://user:s3cr3t@example.org/x", INK, "https://example.org/x"),
            ("http://nas.local/x", INK, None),
        ],
    )
    def test_holds_no_secret_and_no_address_that_nobody_may_follow(
        self, tmp_path: Path, url: str, digest: str | None, told: str | None
    ) -> None:
        workflow = tmp_path / "w.json"
        workflow.write_text(json.dumps(graph(loader("ink.safetensors"))))
        (request,) = read_workflow(workflow).requests
        offer = Candidate(match=Match.FILENAME, url=url)

        copies = write_copies(
            [Entry(request=request, status=Status.PLANNED, candidate=offer, sha256=digest)],
            tmp_path / "copies",
            replace=False,
        )

        text = "".join(copy.read_text() for copy in copies)
        assert "s3cr3t" not in text
        assert bool(copies) is bool(told or digest)
        if copies:
            assert json.loads(text)["nodes"][0]["properties"]["models"][0].get("url") == told

    def test_takes_the_place_of_no_other_file_unasked(self, tmp_path: Path) -> None:
        workflow = tmp_path / "w.json"
        workflow.write_text(json.dumps(graph(loader("ink.safetensors"))))
        before = workflow.read_bytes()

        with pytest.raises(BackendError) as caught:
            copy_of(workflow, tmp_path)
        assert caught.value.code is ErrorCode.CONFLICT
        assert workflow.read_bytes() == before

        copy_of(workflow, tmp_path, replace=True)
        assert [request.sha256 for request in read_workflow(workflow).requests] == [sha256(b"ink.safetensors")]

    def test_keeps_its_place_among_the_others(self, tmp_path: Path) -> None:
        for place in ("one", "two/deep"):
            (tmp_path / place).mkdir(parents=True)
            (tmp_path / place / "w.json").write_text(json.dumps(graph(loader("ink.safetensors"))))
        requests = [read_workflow(tmp_path / place / "w.json").requests[0] for place in ("one", "two/deep")]

        copies = write_copies(map(entry_of, requests), tmp_path / "copies", replace=False)

        assert copies == (tmp_path / "copies/one/w.json", tmp_path / "copies/two/deep/w.json")

    @pytest.mark.parametrize("properties", [[], "text", {"models": {}}, {"models": "text"}])
    def test_is_not_made_of_properties_that_no_comfyui_wrote(self, properties: Any) -> None:
        with pytest.raises(UsageError, match="node 1 has properties"):
            declared(json.dumps(graph(loader("ink.safetensors", properties=properties))), {"1": [ink()]})

    @pytest.mark.parametrize(
        "path", ["2", "1:1", "?", "", "1:", "9:9:9"], ids=["absent", "no subgraph", "?", "empty", "open", "deep"]
    )
    def test_leaves_out_a_node_that_is_not_there(self, path: str) -> None:
        text = json.dumps(graph(loader("ink.safetensors")))

        assert declared(text, {path: [ink()]}) == text


def _templates() -> Iterable[Path]:
    templates = pytest.importorskip("comfyui_workflow_templates_json")
    with resources.as_file(resources.files(templates)) as root:
        return [path for path in sorted(root.rglob("*.json")) if b'"nodes"' in path.read_bytes()]


def test_a_copy_of_every_official_template_says_all_and_changes_nothing_else(tmp_path: Path) -> None:
    models = 0
    for number, workflow in enumerate(_templates()):
        before = read_workflow(workflow).requests
        if not before:
            continue

        copy = copy_of(workflow, tmp_path / str(number))

        after = read_workflow(copy).requests
        assert [(one.label, one.wanted_by[0].node) for one in after] == [
            (one.label, one.wanted_by[0].node) for one in before
        ]
        for old, new in zip(before, after, strict=True):
            assert new.sha256 == sha256(str(new.name).encode()), new
            assert new.url == (old.url or entry_of(old).candidate.url), new  # type: ignore[union-attr]
            models += 1
        assert without_declarations(json.loads(copy.read_bytes())) == without_declarations(
            json.loads(workflow.read_bytes())
        )
    assert models > 900


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A workflow with two models: one lies there, the other is known by its address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "models/loras").mkdir(parents=True)
    (tmp_path / "models/loras/ink.safetensors").write_bytes(safetensors("ink"))
    text = json.dumps(
        graph(
            loader("ink.safetensors", **declares("ink.safetensors", url="https://example.org/ink.safetensors")),
            loader("pen.safetensors", **declares("pen.safetensors", url="https://example.org/pen.safetensors",
                                                 hash=PEN, hash_type="SHA256")),
        )
    )  # fmt: skip
    (tmp_path / "team.json").write_text(text)
    return lambda name: tmp_path / name


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments, "--no-config", "--no-plugins"])
    told = capsys.readouterr()
    return code, told.out, told.err


class TestTheCommand:
    def test_alone_on_another_machine_a_copy_says_digest_and_address_of_each_model(
        self, team: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = ["--models-dir", "models", "--offline"]

        assert run(capsys, "plan", "team.json", "--embed", "copies", *place)[0] == 0
        team("team.json").unlink()
        code, out, _ = run(capsys, "plan", "copies", "--json", "--offline", "--models-dir", "elsewhere")

        assert code == 0
        files = json.loads(out.splitlines()[-1])["files"]
        assert [(file["name"], file["sha256"], file["url"]) for file in files] == [
            ("ink.safetensors", sha256(safetensors("ink")), "https://example.org/ink.safetensors"),
            ("pen.safetensors", PEN, "https://example.org/pen.safetensors"),
        ]

    def test_leaves_the_workflow_alone_and_says_what_was_written(
        self, team: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = team("team.json").read_bytes()

        _, _, err = run(capsys, "plan", "team.json", "--embed", "copies", "--models-dir", "models", "--offline")

        assert team("team.json").read_bytes() == before
        assert "1 workflow with digests written below copies" in err
        hint = re.search(r"to download it: (.*)", err)
        assert hint is not None
        assert hint[1].startswith("comfywatchman get copies ")

    @pytest.mark.parametrize(
        ("name", "data", "told"),
        [
            ("prompt.json", b'{"1": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.pt"}}}', "editor saves it"),
            ("picture.png", b"\x89PNG\r\n\x1a\n", "no JSON file"),
            ("wrapped.json", b'{"workflow": {"nodes": []}}', "editor saves it"),
        ],
    )
    def test_refuses_what_has_no_place_for_it_before_anything_is_asked(
        self,
        team: Callable[..., Path],
        capsys: pytest.CaptureFixture[str],
        name: str,
        data: bytes,
        told: str,
    ) -> None:
        team(name).write_bytes(data)
        with serve_files() as (_, origin):
            code, _, err = run(
                capsys, "plan", name, f"{origin.url}/x.safetensors", "--embed", "copies", "--models-dir", "models"
            )

        assert code == 2
        assert told in err
        assert not team("copies").exists()
        assert origin.asked == []

    def test_refuses_standard_input_and_a_file_in_the_place_of_the_directory(
        self, team: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(capsys, "plan", "-", "--embed", "copies", "--models-dir", "models")[0] == 2
        assert run(capsys, "plan", "team.json", "--embed", "team.json", "--models-dir", "models")[0] == 2

    def test_in_place_is_for_those_who_say_so(
        self, team: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = ["--models-dir", "models", "--offline"]

        assert run(capsys, "plan", "team.json", "--embed", ".", *place)[0] == 8
        assert run(capsys, "plan", "team.json", "--embed", ".", *place, "--force")[0] == 0
        assert Place.whole(team("team.json").read_text()).value["nodes"][0]["properties"]["models"][0]["hash"]
