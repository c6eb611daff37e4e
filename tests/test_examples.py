"""The examples, run as they are against a Hub on this machine."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from attrs import define
from standins.hub import HubStandIn
from standins.shelf import node, write_workflow

import comfywatchman_core as cw
from comfywatchman_core.testing import safetensors

EXAMPLES = Path(__file__).parents[1] / "examples"
INK = safetensors("ink", 60_000)
WIDE = safetensors("wide", 3_000_000)


@define
class World:
    """An empty models folder, a workflow, and a Hub that has what it names."""

    place: Path
    hub: HubStandIn
    workflow: Path

    @property
    def models(self) -> Path:
        return self.place / "ComfyUI" / "models"

    @property
    def ink(self) -> Path:
        return self.models / "loras" / "kit_ink.safetensors"

    def start(self, *command: str | Path, **environ: str) -> subprocess.Popen[str]:
        scripts = sysconfig.get_path("scripts")
        return subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"], **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *command: str | Path, **environ: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        process = self.start(*command, **environ)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with HubStandIn() as hub:
        hub.add_repo("Comfy-Org/kit", {"loras/kit_ink.safetensors": INK, "loras/kit_wide.safetensors": WIDE})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("COMFYWATCHMAN_DISABLE", "civitai")
        (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
        workflow = write_workflow(tmp_path / "workflow.json", node("kit_ink.safetensors"))
        yield World(tmp_path, hub, workflow)


def load(name: str, path: Path) -> ModuleType:
    """Import an example that is no installed module."""
    places = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example() -> Iterator[Callable[[str], ModuleType]]:
    before = set(sys.modules)
    yield lambda path: load(f"example_{Path(path).stem}", EXAMPLES / path)
    for name in [name for name in sys.modules if name.startswith("example_") and name not in before]:
        del sys.modules[name]


class TestProgress:
    @pytest.mark.parametrize("program", ["progress_tqdm.py", "progress_rich.py"])
    def test_a_program_with_a_bar_of_its_own_gets_the_model_and_shows_its_name(
        self, world: World, program: str
    ) -> None:
        code, _, err = world.run(sys.executable, EXAMPLES / program, world.workflow, world.models)

        assert code == 0, err
        assert world.ink.read_bytes() == INK
        assert "downloaded: loras/kit_ink.safetensors" in err

    @pytest.mark.parametrize("program", ["progress_tqdm.py", "progress_rich.py"])
    def test_what_nobody_has_ends_with_the_exit_code_of_the_command(self, world: World, program: str) -> None:
        workflow = write_workflow(world.place / "other.json", node("kit_nowhere.safetensors"))

        code, _, _ = world.run(sys.executable, EXAMPLES / program, workflow, world.models)

        assert code == 4

    @pytest.mark.skipif(os.name != "posix", reason="sends a signal")
    def test_ctrl_c_ends_the_program_soon_and_keeps_what_has_arrived(self, world: World) -> None:
        workflow = write_workflow(world.place / "wide.json", node("kit_wide.safetensors"))
        process = world.start(
            sys.executable,
            EXAMPLES / "progress_tqdm.py",
            workflow,
            world.models,
            COMFYWATCHMAN_LIMIT_RATE="100k",
        )
        try:
            parts = world.models / "loras"
            while process.poll() is None and not any(part.stat().st_size for part in parts.rglob("part")):
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()

        assert process.returncode == 130, err
        assert not (parts / "kit_wide.safetensors").exists()
        assert [part.stat().st_size > 0 for part in parts.rglob("part")] == [True]

    def test_a_bar_ends_where_the_file_ends_whatever_was_resumed_or_begun_again(
        self, example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = example("progress_tqdm.py")
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        bars = module.TqdmBars()
        offer = cw.Candidate(match=cw.Match.FILENAME, url="https://example.org/a.safetensors")

        bars(cw.events.DownloadStarted(label="a", candidate=offer, resumed_at=40, size=100))
        bars(cw.events.BytesReceived(label="a", received=70, size=100))
        bars(cw.events.BytesReceived(label="a", received=10, size=100))
        bars(cw.events.BytesReceived(label="a", received=100, size=100))
        bar = bars._bars["a"]

        assert (bar.n, bar.total) == (100, 100)

    def test_a_table_of_rich_shows_names_as_they_are(self, example: Callable[[str], ModuleType]) -> None:
        from rich.console import Console

        shown = io.StringIO()
        module = example("progress_rich.py")
        label = "loras/[red]x[/nonsense].safetensors"
        entry = SimpleNamespace(status="downloaded")
        offer = cw.Candidate(match=cw.Match.FILENAME, url="https://example.org/a.safetensors")

        with module.RichProgress(Console(file=shown, width=120)) as progress:
            progress(cw.events.DownloadStarted(label=label, candidate=offer, resumed_at=0, size=None))
            progress(cw.events.FileSettled(label=label, entry=entry))  # type: ignore[arg-type]

        assert f"downloaded: {label}" in shown.getvalue()


class TestAsyncio:
    def test_the_program_runs_several_workflows(self, world: World) -> None:
        other = write_workflow(world.place / "wide.json", node("kit_wide.safetensors"))

        code, out, err = world.run(sys.executable, EXAMPLES / "in_asyncio.py", world.models, world.workflow, other)

        assert code == 0, err
        assert out.count("1 downloaded, 0 missing") == 2

    def test_events_arrive_in_the_loop(self, world: World, example: Callable[[str], ModuleType]) -> None:
        module = example("in_asyncio.py")
        threads = set()

        async def run() -> cw.Report:
            config = cw.Config.load(arguments={"models_dir": world.models}, use_file=False)
            with cw.Watchman(config) as watchman:
                report: cw.Report = await module.ensure(
                    watchman, str(world.workflow), lambda event: threads.add(threading.current_thread())
                )
                return report

        assert asyncio.run(run()).ok
        assert threads == {threading.current_thread()}

    def test_a_cancelled_task_ends_with_its_run_and_not_before(
        self, world: World, example: Callable[[str], ModuleType]
    ) -> None:
        module = example("in_asyncio.py")
        workflow = write_workflow(world.place / "wide.json", node("kit_wide.safetensors"))
        ended: list[cw.Report] = []

        async def run() -> None:
            arguments = {"models_dir": world.models, "download.limit_rate": "100k"}
            with cw.Watchman(cw.Config.load(arguments=arguments, use_file=False)) as watchman:
                begun = asyncio.Event()

                def listen(event: cw.events.Event) -> None:
                    if isinstance(event, cw.events.DownloadStarted):
                        begun.set()

                def noted(*what: Any, **options: Any) -> None:
                    ended.append(watchman.ensure_models(*what, **options))

                noting = SimpleNamespace(ensure_models=noted)
                task = asyncio.ensure_future(module.ensure(noting, str(workflow), listen))
                await asyncio.wait_for(begun.wait(), 30)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert len(ended) == 1, "the task ended before its run"

        asyncio.run(run())

        assert [entry.error.code for entry in ended[0].entries if entry.error] == ["cancelled"]
        assert not (world.models / "loras" / "kit_wide.safetensors").exists()


class TestCustomNode:
    @pytest.fixture
    def node_pack(self, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The pack, imported where ComfyUI's modules are played; its route and what it sent."""
        routes: dict[str, Any] = {}
        sent: list[tuple[str, Any]] = []

        class PromptServer:
            instance = SimpleNamespace(
                routes=SimpleNamespace(post=lambda path: lambda handler: routes.setdefault(path, handler)),
                send_sync=lambda event, data: sent.append((event, data)),
            )

        for name, content in {
            "server": {"PromptServer": PromptServer},
            "folder_paths": {"base_path": str(world.place / "ComfyUI")},
            "aiohttp": {"web": SimpleNamespace(json_response=lambda value, status=200: (status, value))},
        }.items():
            module = ModuleType(name)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)
        pack = load("example_pack", EXAMPLES / "custom_node" / "__init__.py")
        yield SimpleNamespace(pack=pack, post=routes["/comfywatchman/ensure"], sent=sent)
        for name in [name for name in sys.modules if name.partition(".")[0] == "example_pack"]:
            del sys.modules[name]

    def post(self, node_pack: Any, text: str) -> tuple[int, Any]:
        async def parsed() -> Any:
            return json.loads(text)

        answered: tuple[int, Any] = asyncio.run(node_pack.post(SimpleNamespace(json=parsed)))
        json.dumps(answered)  # goes over the wire
        return answered

    def test_comfyui_finds_what_it_asks_of_a_pack(self, node_pack: Any) -> None:
        assert node_pack.pack.NODE_CLASS_MAPPINGS == {}

    def test_a_workflow_that_is_posted_has_its_models_afterwards(self, node_pack: Any, world: World) -> None:
        status, answer = self.post(node_pack, world.workflow.read_text())

        assert (status, answer["ok"]) == (200, True)
        assert answer["files"] == [{"label": "loras/kit_ink.safetensors", "status": "downloaded", "error": None}]
        assert world.ink.read_bytes() == INK

    def test_the_editor_is_told_how_far_a_file_is(self, node_pack: Any, world: World) -> None:
        self.post(node_pack, json.dumps({"nodes": [{"id": 1, **node("kit_wide.safetensors")}], "links": []}))

        assert {kind for kind, _ in node_pack.sent} == {"comfywatchman"}
        assert all(data["received"] <= len(WIDE) for _, data in node_pack.sent)
        assert (world.models / "loras" / "kit_wide.safetensors").read_bytes() == WIDE

    def test_what_nobody_has_is_named_with_the_reason(self, node_pack: Any) -> None:
        graph = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "kit_nowhere.safetensors"}}}

        status, answer = self.post(node_pack, json.dumps(graph))

        (file,) = answer["files"]
        assert (status, answer["ok"], file["label"]) == (200, False, "vae/kit_nowhere.safetensors")
        assert file["error"]

    @pytest.mark.parametrize("text", ["{broken", "[1, 2]", '"../../x"', "null"])
    def test_a_body_that_is_no_workflow_is_an_answer_and_no_crash(self, node_pack: Any, text: str) -> None:
        _, answer = self.post(node_pack, text)

        assert answer["ok"] is False
        assert answer["problems"]


@pytest.mark.skipif(os.name != "posix", reason="a script for cron")
class TestNightly:
    @pytest.fixture
    def comfyui(self, world: World) -> Path:
        place = world.place / "ComfyUI"
        (place / "user" / "default" / "workflows").mkdir(parents=True)
        (place / "user" / "default" / "workflows" / "mine.json").write_text(world.workflow.read_text())
        return place

    def test_a_good_night_is_silent(self, world: World, comfyui: Path) -> None:
        assert world.run("sh", EXAMPLES / "nightly.sh", comfyui) == (0, "", "")
        assert world.ink.read_bytes() == INK

    def test_a_night_without_a_network_is_silent_too(self, world: World, comfyui: Path) -> None:
        assert world.run("sh", EXAMPLES / "nightly.sh", comfyui, HF_ENDPOINT="http://127.0.0.1:9") == (0, "", "")
        assert not world.ink.exists()

    def test_what_somebody_has_to_look_at_is_told(self, world: World, comfyui: Path) -> None:
        write_workflow(comfyui / "user/default/workflows/other.json", node("kit_nowhere.safetensors"))

        code, out, err = world.run("sh", EXAMPLES / "nightly.sh", comfyui)

        assert (code, err) == (4, "")
        assert "loras/kit_nowhere.safetensors" in out
