"""What a public forge is told: the same that `.ci/run` does, one package a release, and no secret to lose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
DOCUMENTS = [*GITHUB.rglob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "mkdocs.yml"]
PACKAGES = [ROOT, ROOT / "meta", *sorted((ROOT / "plugins").iterdir())]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


CI = read(GITHUB / "workflows" / "ci.yml")
RELEASE = read(GITHUB / "workflows" / "release.yml")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_document_can_be_read_and_says_something(path: Path) -> None:
    assert isinstance(read(path), dict)


@pytest.mark.parametrize("workflow", [CI, RELEASE], ids=["ci", "release"])
def test_a_workflow_may_read_and_nothing_else_and_ends_in_time(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 30, name
        allowed = {"id-token": "write"} if name == "publish" else None
        assert job.get("permissions") == allowed, name


@pytest.mark.parametrize("workflow", [CI, RELEASE], ids=["ci", "release"])
def test_no_script_of_a_workflow_has_something_of_an_event_pasted_into_it(workflow: dict[Any, Any]) -> None:
    """A branch or a tag may be called anything; `${{ }}` in a script would run it."""
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert not re.search(r"\$\{\{(?!\s*matrix\.)", step.get("run", "")), step


def test_no_workflow_needs_a_secret() -> None:
    for path in GITHUB.rglob("*.yml"):
        assert "secrets." not in path.read_text("utf-8")


def test_what_must_hold_before_a_merge_is_run_on_the_forge_too() -> None:
    words = set(re.findall(r"(?m)^ *(?:step .*|env .*)\bmake (\w+)", (ROOT / ".ci" / "run").read_text("utf-8"))) - {
        "setup",
        "version",
    }
    scripts = "\n".join(step.get("run", "") for job in CI["jobs"].values() for step in job["steps"])
    done = {*CI["jobs"]["check"]["strategy"]["matrix"]["word"], *re.findall(r"make (\w+)", scripts)}
    done |= {"demo"} if "-m demo" in scripts else set()

    assert "docs" in words
    assert words - done == set()


def test_the_forge_tests_every_system_and_every_python_that_is_supported() -> None:
    matrix = CI["jobs"]["test"]["strategy"]["matrix"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]

    assert set(matrix["os"]) == {"ubuntu", "macos", "windows"}
    assert matrix["python"][0] == oldest.removeprefix(">=")
    assert matrix["python"][-1] == "3.x"
    assert set(re.findall(r"\b3\.\d+\b", re.search(r"for version in (.+);", (ROOT / ".ci/run").read_text())[1])) <= {  # type: ignore[index]
        *matrix["python"]
    }


@pytest.fixture
def tagged(tmp_path: Path) -> Any:
    """Run the step that reads a tag."""
    (script,) = (step["run"] for step in RELEASE["jobs"]["build"]["steps"] if step.get("id") == "package")

    def tagged(tag: str) -> dict[str, str] | None:
        told = tmp_path / "told"
        told.write_text("")
        environ = {**os.environ, "GITHUB_REF_NAME": tag, "GITHUB_OUTPUT": str(told)}
        done = subprocess.run(["bash", "-euc", script], env=environ, capture_output=True, check=False)
        lines = (line.partition("=") for line in told.read_text().splitlines())
        return {name: text for name, _, text in lines} if done.returncode == 0 else None

    return tagged


@pytest.mark.skipif(os.name != "posix", reason="runs on the forge's Linux")
class TestRelease:
    @pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
    def test_every_package_has_a_tag_that_releases_it_and_no_other(self, tagged: Any, package: Path) -> None:
        place = package.relative_to(ROOT)
        name = {".": "core"}.get(str(place), place.name)

        assert tagged(f"{name}-v1.2.3") == {"place": str(place), "version": "1.2.3"}

    @pytest.mark.parametrize("tag", ["shelf-v1.0", "../meta-v1.0", "core", "core-vx", "-v1.0", "$(id)-v1"])
    def test_any_other_tag_releases_nothing(self, tagged: Any, tag: str) -> None:
        assert tagged(tag) is None

    def test_it_is_published_by_the_index_trusting_the_workflow(self) -> None:
        publish = RELEASE["jobs"]["publish"]

        assert publish["environment"] == "release"
        assert publish["needs"] == "build"
        assert not any("password" in step.get("with", {}) for step in publish["steps"])


def test_a_hook_before_a_commit_has_the_versions_of_the_requirements() -> None:
    required = set(re.findall(r"^\S+==\S+", (ROOT / "requirements-dev.txt").read_text("utf-8"), re.MULTILINE))
    (repo,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    pinned = {one for hook in repo["hooks"] for one in hook.get("additional_dependencies", [])}

    assert pinned
    assert pinned <= required


class TestFragments:
    @pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
    def test_every_changelog_has_the_line_below_which_a_release_is_written(self, package: Path) -> None:
        start = tomllib.loads((ROOT / "towncrier.toml").read_text("utf-8"))["tool"]["towncrier"]["start_string"]

        assert (package / "CHANGELOG.md").read_text("utf-8").count(start) == 1

    @pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
    def test_every_fragment_has_a_name_that_is_understood(self, package: Path) -> None:
        fragments = [path.name for path in package.glob("changes/*") if not path.name.startswith(".")]

        assert [name for name in fragments if not re.fullmatch(r"\+[\w-]+\.(added|changed|fixed)\.md", name)] == []

    def test_fragments_become_a_section_above_those_before_it(self, tmp_path: Path) -> None:
        shutil.copy(ROOT / "plugins" / "civitai" / "CHANGELOG.md", tmp_path)
        (tmp_path / "changes").mkdir()
        (tmp_path / "changes" / "+twice.fixed.md").write_text("Look twice.\n")

        options = ["--version", "9.9.9", "--date", "2026-01-02", "--keep"]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "towncrier",
                "build",
                "--config",
                ROOT / "towncrier.toml",
                "--dir",
                tmp_path,
                *options,
            ],
            capture_output=True,
            text=True,
            check=False,
        )

        text = (tmp_path / "CHANGELOG.md").read_text("utf-8")
        assert "## 9.9.9, 2026-01-02" in text, done.stderr
        assert text.index("### Fixed\n\n- Look twice.") < text.index("First version")
