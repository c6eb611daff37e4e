"""What is in the packages, and what they say of themselves."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from comfywatchman_core.hooks import GROUP

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
IMPORTED = {
    "comfywatchman-core": "src",
    "comfywatchman-directid": "plugins/directid/src",
    "comfywatchman-huggingface": "plugins/huggingface/src",
    "comfywatchman-civitai": "plugins/civitai/src",
    "comfywatchman-fleet": "plugins/fleet/src",
    "comfywatchman-mirror": "plugins/mirror/src",
    "comfywatchman-shelf": "examples/shelf/src",
}
PLUGINS = ("comfywatchman-directid", "comfywatchman-huggingface", "comfywatchman-civitai")
OURS = ("comfywatchman-core", *PLUGINS, "comfywatchman")
APART = ("comfywatchman-fleet", "comfywatchman-mirror")
"""Not brought by ``comfywatchman``: who has one machine pays for none of it."""


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not re.match(r"[^/]+\.(dist-info|data)/", name)}


def read_from(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (one for one in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/" + re.escape(name), one))
        return archive.read(found).decode()


def metadata_of(wheel: Path) -> Message:
    return Parser().parsestr(read_from(wheel, "METADATA"))


@pytest.mark.parametrize(("distribution", "source"), IMPORTED.items())
def test_a_wheel_holds_every_file_of_its_package_and_no_other(
    wheels: Mapping[str, Path], distribution: str, source: str
) -> None:
    there = (path for path in (ROOT / source).rglob("*") if path.is_file() and path.suffix != ".pyc")

    assert names_in(wheels[distribution]) == {path.relative_to(ROOT / source).as_posix() for path in there}


@pytest.mark.parametrize("distribution", IMPORTED)
def test_a_wheel_says_that_its_types_can_be_checked(wheels: Mapping[str, Path], distribution: str) -> None:
    assert f"{distribution.replace('-', '_')}/py.typed" in names_in(wheels[distribution])


def test_the_core_brings_the_man_page_of_its_command(wheels: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(wheels["comfywatchman-core"]) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".data/data/share/man/man1/comfywatchman.1"))
        assert archive.read(name) == (ROOT / "man" / "comfywatchman.1").read_bytes()


@pytest.mark.parametrize("distribution", IMPORTED)
def test_no_test_is_shipped(wheels: Mapping[str, Path], distribution: str) -> None:
    told = [name for name in names_in(wheels[distribution]) if re.search(r"(^|/)(test_|tests/|conftest)", name)]

    assert told == []


def test_the_package_that_brings_all_of_them_holds_no_code(wheels: Mapping[str, Path]) -> None:
    assert names_in(wheels["comfywatchman"]) == set()


@pytest.mark.parametrize("distribution", [*OURS, *APART])
def test_a_package_states_its_licence_its_python_and_its_readme(wheels: Mapping[str, Path], distribution: str) -> None:
    metadata = metadata_of(wheels[distribution])

    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith("# comfywatchman")


@pytest.mark.parametrize("distribution", [*OURS, *APART])
def test_every_package_carries_the_licence_that_it_names(wheels: Mapping[str, Path], distribution: str) -> None:
    assert read_from(wheels[distribution], "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("distribution", IMPORTED)
def test_the_version_of_the_package_is_the_one_that_its_module_states(
    wheels: Mapping[str, Path], distribution: str
) -> None:
    package = distribution.replace("-", "_")
    with zipfile.ZipFile(wheels[distribution]) as archive:
        if f"{package}/_version.py" not in archive.namelist():
            pytest.skip("its pyproject.toml states the version")
        stated = re.search(r'__version__ = "(.+)"', archive.read(f"{package}/_version.py").decode())

    assert stated is not None
    assert metadata_of(wheels[distribution])["Version"] == stated[1]


@pytest.mark.parametrize("distribution", [*PLUGINS, "comfywatchman-mirror"])
def test_a_plugin_names_one_back_end_and_a_range_of_the_core(wheels: Mapping[str, Path], distribution: str) -> None:
    name, package = distribution.removeprefix("comfywatchman-"), distribution.replace("-", "_")
    needed = {one.name: one for one in map(Requirement, metadata_of(wheels[distribution]).get_all("Requires-Dist", []))}

    sections = read_from(wheels[distribution], "entry_points.txt").strip().split("\n\n")

    assert [one.splitlines() for one in sections if GROUP in one] == [[f"[{GROUP}]", f"{name} = {package}:backend"]]
    assert {one.operator for one in needed["comfywatchman-core"].specifier} == {">=", "<"}
    assert not set(needed) & set(OURS) - {"comfywatchman-core"}


def test_the_core_depends_on_no_plugin(wheels: Mapping[str, Path]) -> None:
    needed = {Requirement(one).name for one in metadata_of(wheels["comfywatchman-core"]).get_all("Requires-Dist", [])}

    assert not {name for name in needed if name.startswith("comfywatchman")}


def test_a_source_distribution_brings_its_licence_and_its_changelog(dist: Path) -> None:
    for name in (*OURS, *APART):
        with tarfile.open(next(dist.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz"))) as archive:
            inside = {member.partition("/")[2] for member in archive.getnames()}
        assert {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"} <= inside, name


def test_the_package_that_brings_all_of_them_accepts_what_this_tree_builds(wheels: Mapping[str, Path]) -> None:
    meta = tomllib.loads((ROOT / "meta" / "pyproject.toml").read_text())
    needed = {one.name: one for one in map(Requirement, meta["project"]["dependencies"])}

    assert set(needed) == set(OURS) - {"comfywatchman"}
    for name, requirement in needed.items():
        assert requirement.specifier.contains(metadata_of(wheels[name])["Version"], prereleases=True), name
