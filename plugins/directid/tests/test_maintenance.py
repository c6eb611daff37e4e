"""The maintainer's commands: the table is seeded from declarations, and filled from the services themselves."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve
from comfywatchman_directid.documents import parse_document, render_document
from comfywatchman_directid.rows import KnownModel
from comfywatchman_directid.sources import CivitaiFile, HubFile

from comfywatchman_core.testing import safetensors, sha256

MAINTENANCE = Path(__file__).parents[3] / "maintenance"
HUB = "https://huggingface.co"

pytestmark = pytest.mark.skipif(not MAINTENANCE.is_dir(), reason="the maintainer's commands are not part of a package")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"maintenance_{name}", MAINTENANCE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks its module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seed() -> ModuleType:
    return _load("seed_known_models")


@pytest.fixture(scope="module")
def known() -> ModuleType:
    return _load("known_models")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.json"


def rows(table: Path) -> tuple[KnownModel, ...]:
    return parse_document(table.read_bytes(), table.name)[1]


def write(table: Path, *models: dict[str, Any]) -> None:
    table.write_text(json.dumps({"schema": "comfywatchman-known/1", "version": "1", "models": list(models)}))


def hub_model(name: str, repository: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "folders": ["vae"], "source": f"hf:{repository}/{name}", **more}


def unproven(table: Path) -> tuple[KnownModel, ...]:
    """The rows without digests and fixed commits, as they were before anybody looked; the table is written so."""
    bare = [
        evolve(row, sha256=None, source=evolve(row.source, revision="main", commit=""))
        if isinstance(row.source, HubFile)
        else evolve(row, sha256=None)
        for row in rows(table)
    ]
    table.write_bytes(render_document(bare))
    return tuple(bare)


class TestSeeding:
    def workflow(self, tmp_path: Path, *models: dict[str, str], name: str = "a") -> Path:
        root = tmp_path / "workflows"
        root.mkdir(exist_ok=True)
        inner = {"nodes": [{"properties": {"models": list(models)}}]}
        (root / f"{name}.json").write_text(json.dumps({"definitions": {"subgraphs": [inner]}}))
        return root

    def declared(self, name: str, at: str, directory: str = "vae", **more: str) -> dict[str, str]:
        return {"name": name, "url": f"{HUB}/{at}", "directory": directory, **more}

    def run(self, seed: ModuleType, table: Path, *words: str) -> tuple[KnownModel, ...]:
        assert seed.main([str(table), *words]) == 0
        return rows(table)

    def test_takes_what_workflows_declare(self, seed: ModuleType, table: Path, tmp_path: Path) -> None:
        root = self.workflow(
            tmp_path,
            self.declared(
                "a.safetensors", "o/r/blob/main/d/a.safetensors?download=true", hash="A" * 64, hash_type="SHA256"
            ),
            {"name": "x.safetensors", "url": "not an address", "directory": "vae"},
        )

        assert self.run(seed, table, "--declared", f"here={root}") == (
            KnownModel(
                name="a.safetensors",
                folders=("vae",),
                source=HubFile(repository="o/r", path="d/a.safetensors"),
                sha256="a" * 64,
                seen_in=("here",),
            ),
        )

    def test_reads_a_wheel_as_it_reads_a_directory(self, seed: ModuleType, table: Path, tmp_path: Path) -> None:
        root = self.workflow(tmp_path, self.declared("a.safetensors", "o/r/resolve/main/a.safetensors"))
        with zipfile.ZipFile(tmp_path / "templates.whl", "w") as wheel:
            wheel.write(root / "a.json", "templates/a.json")

        from_wheel = self.run(seed, table, "--declared", f"here={tmp_path / 'templates.whl'}")

        table.unlink()
        assert from_wheel == self.run(seed, table, "--declared", f"here={root}")

    def test_joins_what_several_say_of_one_file(self, seed: ModuleType, table: Path, tmp_path: Path) -> None:
        root = self.workflow(
            tmp_path,
            self.declared("a.safetensors", "o/r/resolve/main/a.safetensors", "checkpoints"),
            self.declared("a.safetensors", "o/r/resolve/main/a.safetensors", "unet"),
        )
        facts = tmp_path / "facts.json"
        fact = {"name": "a.safetensors", "folder": None, "sha256": "b" * 64, "source": "somebody"}
        facts.write_text(json.dumps([{**fact, "url": f"{HUB}/o/r/resolve/main/a.safetensors"}]))

        (row,) = self.run(seed, table, "--declared", f"here={root}", "--facts", str(facts))

        assert row.folders == ("checkpoints", "diffusion_models")
        assert (row.sha256, row.seen_in) == ("b" * 64, ("here", "somebody"))

    def test_the_most_declared_place_comes_first(self, seed: ModuleType, table: Path, tmp_path: Path) -> None:
        rare = self.declared("a.safetensors", "o/aaa/resolve/main/a.safetensors")
        often = self.declared("a.safetensors", "o/zzz/resolve/main/a.safetensors")
        self.workflow(tmp_path, rare, often, name="one")
        root = self.workflow(tmp_path, often, name="two")

        found = self.run(seed, table, "--declared", f"here={root}")

        assert [row.source.key[1] for row in found] == ["o/zzz", "o/aaa"]

    def test_a_file_under_another_files_name_is_left_out(self, seed: ModuleType, table: Path, tmp_path: Path) -> None:
        root = self.workflow(
            tmp_path,
            self.declared("a_sft.safetensors", "o/r/resolve/main/a_sft.safetensors"),
            self.declared("a_sft.safetensors", "o/r/resolve/main/a_base.safetensors"),
        )

        found = self.run(seed, table, "--declared", f"here={root}")

        assert [(row.name, row.source.name) for row in found] == [
            ("a_base.safetensors", "a_base.safetensors"),
            ("a_sft.safetensors", "a_sft.safetensors"),
        ]

    def test_a_name_that_leaves_the_precision_out_is_left_out(
        self, seed: ModuleType, table: Path, tmp_path: Path
    ) -> None:
        root = self.workflow(tmp_path, self.declared("a.safetensors", "o/r/resolve/main/a_fp8_scaled.safetensors"))

        assert [row.name for row in self.run(seed, table, "--declared", f"here={root}")] == ["a_fp8_scaled.safetensors"]

    def test_what_is_in_the_table_stays(self, seed: ModuleType, table: Path, tmp_path: Path) -> None:
        write(table, hub_model("a.safetensors", "o/r", sha256="c" * 64, size=5, checked="2026-11-22"))
        root = self.workflow(
            tmp_path,
            self.declared("a.safetensors", "o/r/resolve/main/a.safetensors", hash="d" * 64, hash_type="SHA256"),
        )

        (row,) = self.run(seed, table, "--declared", f"here={root}")

        assert (row.sha256, row.size, row.checked) == ("c" * 64, 5, "2026-11-22")

    def test_a_file_whose_folder_nobody_knows_is_an_error(
        self, seed: ModuleType, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        facts = tmp_path / "facts.json"
        fact = {"name": "zz.safetensors", "folder": None, "sha256": None, "source": "somebody"}
        facts.write_text(json.dumps([{**fact, "url": f"{HUB}/o/r/resolve/main/zz.safetensors"}]))

        assert seed.main([str(table), "--facts", str(facts)]) == 1
        assert "zz.safetensors" in capsys.readouterr().err
        assert not table.exists()


class TestFilling:
    """Against the stand-ins of both services, through the back ends themselves."""

    @pytest.fixture
    def hub(self) -> Iterator[Any]:
        pytest.importorskip("comfywatchman_huggingface.backend")
        from standins.hub import HubStandIn

        with HubStandIn() as hub:
            yield hub

    @pytest.fixture
    def civitai(self) -> Iterator[Any]:
        pytest.importorskip("comfywatchman_civitai.backend")
        from standins.civitai import CivitaiStandIn

        with CivitaiStandIn() as civitai:
            yield civitai

    def run(self, known: ModuleType, hub: Any, civitai: Any, table: Path, *words: str) -> int:
        code: int = known.main([*words, "--table", str(table), "--hub", hub.url, "--civitai", civitai.url])
        return code

    def test_writes_digest_size_and_commit_of_a_file_on_the_hub(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path
    ) -> None:
        data = safetensors("a")
        commits = hub.add_repo("o/r", {"a.safetensors": data}).commits
        write(table, hub_model("a.safetensors", "o/r"))

        assert self.run(known, hub, civitai, table, "fill") == 0

        (row,) = rows(table)
        assert (row.sha256, row.size) == (sha256(data), len(data))
        assert isinstance(row.source, HubFile)
        assert row.source.revision == "main"
        assert row.source.commit in commits
        assert row.checked

    def test_writes_digest_size_and_ids_of_a_file_in_the_catalogue(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path
    ) -> None:
        from standins.civitai import File, Version

        full, pruned = safetensors("full"), safetensors("pruned", 2048)
        version = Version(
            "v1",
            [
                File("a.safetensors", full, metadata={"format": "SafeTensor", "size": "full", "fp": "fp32"}),
                File("a.safetensors", pruned, metadata={"format": "SafeTensor", "size": "pruned", "fp": "fp16"}),
            ],
        )
        model = civitai.add_model(name="A", type="Checkpoint", versions=[version])
        wish = {"type": "Model", "format": "SafeTensor", "size": "pruned", "fp": "fp16"}
        source = {"kind": "civitai", "version": version.id, "wish": wish}
        write(table, {"name": "a.safetensors", "folders": ["checkpoints"], "source": source})

        assert self.run(known, hub, civitai, table, "fill") == 0

        (row,) = rows(table)
        assert row.sha256 == sha256(pruned)
        assert isinstance(row.source, CivitaiFile)
        assert (row.source.model, row.source.file) == (model.id, version.files[1].id)

    def test_the_whole_packaged_table_is_filled_with_one_request_a_file(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path
    ) -> None:
        from standins.civitai import File, Version

        table.write_bytes(known.TABLE.read_bytes())
        repositories: dict[str, dict[str, bytes]] = {}
        for row in unproven(table):
            data = safetensors(row.source.reference, 64)
            if isinstance(row.source, HubFile):
                repositories.setdefault(row.source.repository, {})[row.source.path] = data
            elif isinstance(row.source, CivitaiFile):
                metadata = {key: value for key, value in row.source.wish if key != "type"}
                version = Version("v1", [File(row.name, data, metadata=metadata)], id=row.source.version)
                civitai.add_model(name=row.name, type="Checkpoint", versions=[version])
        for name, files in repositories.items():
            hub.add_repo(name, files)

        assert self.run(known, hub, civitai, table, "fill") == 0

        assert all(row.sha256 and row.size and row.checked for row in rows(table))
        assert hub.counted("api") == 0
        assert len(hub.requests) == sum(map(len, repositories.values()))

    def test_tells_what_changed_and_leaves_it_as_it_was(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub.add_repo("o/r", {"a.safetensors": safetensors("new")})
        write(table, hub_model("a.safetensors", "o/r", sha256="1" * 64))

        assert self.run(known, hub, civitai, table, "fill") == 7

        assert rows(table)[0].sha256 == "1" * 64
        assert "changed  a.safetensors  hf:o/r/a.safetensors" in capsys.readouterr().out

    def test_takes_what_changed_once_a_person_accepts_it(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path
    ) -> None:
        data = safetensors("new")
        hub.add_repo("o/r", {"a.safetensors": data})
        write(table, hub_model("a.safetensors", "o/r", sha256="1" * 64))

        self.run(known, hub, civitai, table, "fill", "--accept", "a.safetensors")

        assert rows(table)[0].sha256 == sha256(data)

    def test_follows_a_repository_to_its_new_name(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = safetensors("a")
        hub.add_repo("old/r", {"a.safetensors": data})
        hub.rename("old/r", "new/r")
        write(table, hub_model("a.safetensors", "old/r", sha256=sha256(data)))

        assert self.run(known, hub, civitai, table, "fill") == 0

        assert rows(table)[0].source.key == ("huggingface", "new/r", "a.safetensors")
        assert "moved" in capsys.readouterr().out

    def test_tells_what_is_gone(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub.add_repo("o/r", {"b.safetensors": safetensors("b")})
        write(table, hub_model("a.safetensors", "o/r", sha256="1" * 64))
        before = rows(table)

        assert self.run(known, hub, civitai, table, "fill") == 4

        assert rows(table) == before
        assert "gone" in capsys.readouterr().out

    def test_a_check_writes_nothing(self, known: ModuleType, hub: Any, civitai: Any, table: Path) -> None:
        hub.add_repo("o/r", {"a.safetensors": safetensors("a")})
        write(table, hub_model("a.safetensors", "o/r"))
        before = table.read_bytes()

        assert self.run(known, hub, civitai, table, "check") == 0

        assert table.read_bytes() == before

    def test_only_what_is_named_is_asked(self, known: ModuleType, hub: Any, civitai: Any, table: Path) -> None:
        hub.add_repo("o/r", {"a.safetensors": safetensors("a"), "b.safetensors": safetensors("b")})
        write(table, hub_model("a.safetensors", "o/r"), hub_model("b.safetensors", "o/r"))

        self.run(known, hub, civitai, table, "fill", "vae/b.*")

        assert [bool(row.sha256) for row in rows(table)] == [False, True]

    def test_one_file_under_two_names_is_asked_once(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path
    ) -> None:
        hub.add_repo("o/r", {"a.safetensors": safetensors("a")})
        other = {**hub_model("a.safetensors", "o/r"), "name": "b.safetensors"}
        write(table, hub_model("a.safetensors", "o/r"), other)

        self.run(known, hub, civitai, table, "check")
        once = len(hub.requests)
        write(table, hub_model("a.safetensors", "o/r"))
        self.run(known, hub, civitai, table, "check")

        assert len(hub.requests) == 2 * once

    def test_a_service_that_cannot_be_asked_loses_nothing(
        self, known: ModuleType, hub: Any, civitai: Any, table: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub.add_repo("o/r", {"a.safetensors": safetensors("a")}, private=True)
        write(table, hub_model("a.safetensors", "o/r", sha256="1" * 64))
        before = rows(table)

        assert self.run(known, hub, civitai, table, "fill") in (4, 5)

        assert rows(table) == before
        assert "a.safetensors" in capsys.readouterr().out
