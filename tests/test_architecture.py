"""The shape of the house: which way imports point, and what must not be in the core."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import comfywatchman_core

ROOT = Path(comfywatchman_core.__file__).parent
TREE = Path(__file__).parents[1]
PACKAGE = "comfywatchman_core"


def sources(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sources(ROOT)}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path, *, lazy: bool = True, typing: bool = False) -> Iterator[str]:
    """The modules that *path* imports, by their full names.

    :param lazy: Those inside functions, too.
    :param typing: Those for checkers only, too.
    """

    def walk(node: ast.AST) -> Iterator[ast.stmt]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                yield child
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                if typing:
                    yield from walk(child)
            elif lazy or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from walk(child)

    own = module_of(path) if path.is_relative_to(ROOT) else ""
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    for statement in walk(parsed(path)):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            if statement.level:
                parts = package.split(".")
                base = ".".join((*parts[: len(parts) - statement.level + 1], *filter(None, [base])))
            for alias in statement.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def own_imports(module: str, *, lazy: bool) -> set[str]:
    found = set(imports(MODULES[module], lazy=lazy)) & set(MODULES)
    # A package stands for its parts: what is inside of it may use one another freely.
    return found - {module, PACKAGE}


class TestDirection:
    def test_no_module_is_needed_by_what_it_needs_itself(self) -> None:
        """Imports at module level form no circle."""
        graph = {module: own_imports(module, lazy=False) for module in MODULES}
        done: set[str] = set()

        def visit(module: str, path: tuple[str, ...]) -> None:
            assert module not in path, " → ".join((*path[path.index(module) :], module))
            if module in done:
                return
            for needed in sorted(graph[module]):
                visit(needed, (*path, module))
            done.add(module)

        for module in sorted(graph):
            visit(module, ())

    @pytest.mark.parametrize(
        ("module", "may_use"),
        [
            ("errors", set()),
            ("pacing", {"errors"}),
            ("names", {"errors"}),
            ("addresses", {"errors"}),
            ("models", {"errors", "names", "addresses"}),
            ("report", {"errors", "names", "addresses", "models"}),
            ("events", {"errors", "names", "addresses", "models", "report"}),
            ("hooks", set()),
            ("formats", set()),
            ("timebox", {"errors"}),
        ],
    )
    def test_the_foundation_uses_only_what_lies_below_it(self, module: str, may_use: set[str]) -> None:
        used = {name.removeprefix(f"{PACKAGE}.") for name in own_imports(f"{PACKAGE}.{module}", lazy=False)}

        assert used <= may_use

    def test_only_the_command_uses_the_command(self) -> None:
        users = [
            module
            for module in MODULES
            if any(name.startswith(f"{PACKAGE}.cli") for name in imports(MODULES[module]))
            and not module.startswith(f"{PACKAGE}.cli")
        ]

        assert users == [f"{PACKAGE}.__main__"]

    @pytest.mark.parametrize("part", ["workflow", "containers", "folders", "transfer", "state"])
    def test_a_part_knows_nothing_of_the_runs_it_is_used_in(self, part: str) -> None:
        above = {"watchman", "run", "delivery", "search", "conversation", "backends", "intake", "cli", "jsonlines"}
        if part == "state":
            above -= {"jsonlines"}  # it stores attempts as they are printed
        for module in MODULES:
            if module.startswith(f"{PACKAGE}.{part}"):
                used = {name.removeprefix(f"{PACKAGE}.").partition(".")[0] for name in imports(MODULES[module])}
                assert used & above == set(), module

    def test_nothing_of_the_core_uses_a_back_end(self) -> None:
        for module, path in MODULES.items():
            assert not {name for name in imports(path, typing=True) if re.match(r"comfywatchman_(?!core)", name)}, (
                module
            )


class TestTheCore:
    def test_it_names_no_model_site_and_no_tokens_variable(self) -> None:
        """Hosts, paths, formats and variables of sources belong to their back ends."""
        forbidden = re.compile(
            r"civitai\.(?:com|red|green)|huggingface\.co|hf\.co\b|hf-mirror|\bCIVITAI_[A-Z]|\bHF_[A-Z]|"
            r"HUGGING_FACE|api/v1/|/resolve/main|b2\.civitai|r2\.cloudflarestorage|cas-bridge",
        )
        found = []
        for path in sources(ROOT):
            if path.is_relative_to(ROOT / "testing"):
                continue
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if forbidden.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")

        assert found == []

    def test_only_the_command_prints(self) -> None:
        for module, path in MODULES.items():
            if module.startswith(f"{PACKAGE}.cli"):
                continue
            calls = [
                node.func.id
                for node in ast.walk(parsed(path))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            assert "print" not in calls, module
            assert "input" not in calls, module

    def test_no_command_ever_asks_a_question(self) -> None:
        for path in sources(ROOT / "cli"):
            assert not re.search(r"\binput\(|getpass|\bconfirm\(|Prompt\b", path.read_text("utf-8")), path

    def test_nothing_is_loaded_from_a_pickle_and_nothing_is_unpacked_or_run(self) -> None:
        forbidden = {"pickle", "shelve", "marshal", "dill", "torch", "tarfile", "zipfile", "safetensors"}
        for module, path in MODULES.items():
            assert {name.partition(".")[0] for name in imports(path)} & forbidden == set(), module
            calls = [
                node.func.id
                for node in ast.walk(parsed(path))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            assert not {"eval", "exec"} & set(calls), module

    def test_nothing_is_asynchronous_and_no_certificate_check_is_switched_off(self) -> None:
        for module, path in MODULES.items():
            text = path.read_text("utf-8")
            assert "asyncio" not in set(imports(path)), module
            assert not re.search(r"CERT_NONE|check_hostname\s*=\s*False|verify\s*=\s*False|_unverified_", text), module

    def test_heavy_libraries_are_imported_where_they_are_used(self) -> None:
        heavy = {"urllib3", "requests", "rich", "yaml", "certifi", "platformdirs", "cattrs"}
        at_once = {module: set(imports(path, lazy=False)) for module, path in MODULES.items()}
        loads = {module for module, names in at_once.items() if {name.partition(".")[0] for name in names} & heavy}

        # The live display is drawn with a library; its parts are loaded together, by whoever has a terminal.
        assert all(module.startswith(f"{PACKAGE}.cli.") for module in loads), loads
        assert {module for module, names in at_once.items() if names & loads} <= loads

    def test_nothing_is_remembered_in_a_module(self) -> None:
        """No registry and no manager at module level: two runs never meet."""
        for module, path in MODULES.items():
            for statement in parsed(path).body:
                value = getattr(statement, "value", None)
                empty = isinstance(value, (ast.Dict, ast.List, ast.Set)) and not (
                    getattr(value, "elts", None) or getattr(value, "keys", None)
                )
                made = isinstance(value, ast.Call) and ast.unparse(value) in ("dict()", "list()", "set()")
                if empty or made:
                    pytest.fail(f"{module}: {ast.unparse(statement)}")


class TestModules:
    def test_each_says_in_one_sentence_why_it_exists(self) -> None:
        for module, path in MODULES.items():
            first = (ast.get_docstring(parsed(path)) or "").partition("\n")[0]
            assert first, module
            assert first.endswith("."), f"{module}: {first}"
            assert "and also" not in first, module

    def test_none_has_a_name_that_says_nothing(self) -> None:
        empty = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "tools"}

        assert {module.rpartition(".")[2] for module in MODULES} & empty == set()

    def test_none_is_unfinished(self) -> None:
        for module, path in MODULES.items():
            assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text("utf-8")), module


class TestBackEnds:
    @pytest.mark.parametrize("plugin", ["civitai", "huggingface", "directid", "mirror"])
    def test_a_back_end_uses_the_public_names_and_nothing_deeper(self, plugin: str) -> None:
        """The same that third parties have."""
        place = TREE / "plugins" / plugin
        if not place.is_dir():
            pytest.skip("the tree of the back ends is not here")
        public = set(comfywatchman_core.__all__)
        for path in [*sources(place / "src"), *sources(place / "tests")]:
            for node in ast.walk(parsed(path)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                    names = {alias.name for alias in node.names}
                    if node.module == PACKAGE:
                        assert names <= public | {"__version__"}, f"{path}: {names - public}"
                    elif path.is_relative_to(place / "src"):
                        pytest.fail(f"{path} imports from {node.module}")
                elif isinstance(node, ast.Import):
                    for alias in node.names:
                        deeper = alias.name.startswith(f"{PACKAGE}.") and alias.name != f"{PACKAGE}.testing"
                        assert not deeper, f"{path} imports {alias.name}"

    @pytest.mark.parametrize("plugin", ["civitai", "huggingface", "directid", "mirror"])
    def test_a_back_end_imports_nothing_heavy_before_it_is_used(self, plugin: str) -> None:
        place = TREE / "plugins" / plugin / "src"
        if not place.is_dir():
            pytest.skip("the tree of the back ends is not here")
        heavy = {
            "requests",
            "urllib3",
            "httpx",
            "httpx2",
            "huggingface_hub",
            "hf_xet",
            "aiohttp",
            "tqdm",
            "fsspec",
            "paramiko",
        }
        for path in sources(place):
            if path.name == "chunk_child.py":
                continue  # the program of a process of its own
            assert {name.partition(".")[0] for name in imports(path, lazy=False)} & heavy == set(), path


class TestTheTree:
    def test_nothing_committed_names_a_place_of_one_machine(self) -> None:
        place = re.compile(r"/(?:work|root|home/[a-z]+)/(?:main|shared|\.)")
        git = shutil.which("git")
        if git is None or not (TREE / ".git").exists():
            pytest.skip("this is no checkout")
        listed = subprocess.run([git, "-C", str(TREE), "ls-files", "-z"], check=True, capture_output=True).stdout
        found = []
        for path in (TREE / name.decode() for name in listed.split(b"\0") if name):
            if path.is_file() and path != Path(__file__):
                found += [f"{path}: {one.group()}" for one in place.finditer(path.read_text("utf-8", "replace"))]

        assert found == []
