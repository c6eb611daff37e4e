"""Rebuild the table of node classes that load models, from source trees or from a running ComfyUI.

    python maintenance/loader_table.py ~/ComfyUI ~/ComfyUI/custom_nodes/*
    python maintenance/loader_table.py --server http://127.0.0.1:8188

A tree that holds ``folder_paths.py`` is ComfyUI itself; any other is a pack,
called as its directory. What is found replaces what the table says of the same
class, what is not found stays. Nothing of a tree is imported or run: the
sources are parsed. Only facts are kept: class ids, input names, folder keys.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from comfywatchman_core.folders import canonical_key

TABLE = Path(__file__).resolve().parent.parent / "src" / "comfywatchman_core" / "data" / "loaders.json"

_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_V3_WIDGETS = frozenset({"Int", "Float", "String", "Boolean", "Combo", "MultiCombo", "DynamicCombo"})
_LISTERS = frozenset({"get_filename_list", "get_filename_list_"})
_DEEPEST = 4

Packs = dict[str, dict[str, list[str]]]


def main(arguments: list[str] | None = None) -> int:
    """Rebuild the table and say what changed."""
    parser = argparse.ArgumentParser(description="Rebuild the table of node classes that load models.")
    parser.add_argument("tree", nargs="*", type=Path, help="a source tree of ComfyUI or of a pack")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI whose packs are installed")
    parser.add_argument("--table", type=Path, default=TABLE, help="the table to rewrite")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")
    options = parser.parse_args(arguments)
    packs: Packs = json.loads(options.table.read_text(encoding="utf-8"))["packs"]
    before = {name: widgets for classes in packs.values() for name, widgets in classes.items()}
    for tree in options.tree:
        merge(packs, _pack_name(tree), dict(read_tree(tree)))
    if options.server:
        merge(packs, "", read_server(options.server))
    after = {name: widgets for classes in packs.values() for name, widgets in classes.items()}
    for name in sorted(after, key=str.casefold):
        if before.get(name) != after[name]:
            sys.stdout.write(f"{'changed' if name in before else 'new'}: {name}: {', '.join(after[name])}\n")
    if before != after and not options.check:
        options.table.write_text(spell(packs), encoding="utf-8")
    return 1 if options.check and before != after else 0


def _pack_name(tree: Path) -> str:
    return "core" if (tree / "folder_paths.py").is_file() else tree.resolve().name


def merge(packs: Packs, pack: str, found: Mapping[str, list[str]]) -> None:
    """Put *found* into *packs*: a class stays where it is known, a new one goes to *pack*.

    Inputs without a place among the widgets were added by hand, for nodes that build their inputs while they
    run; they are kept.
    """
    homes = {name: classes for classes in packs.values() for name in classes}
    for name, widgets in found.items():
        home = homes.get(name)
        if home is None:
            packs.setdefault(pack or "other", {})[name] = list(widgets)
            continue
        named = {widget.lstrip("*").partition("=")[0] for widget in widgets if "=" in widget}
        kept = [
            widget
            for widget in home[name]
            if widget.startswith("*") and widget.lstrip("*").partition("=")[0] not in named
        ]
        home[name] = [*widgets, *kept]


def spell(packs: Packs) -> str:
    """Write the table with one class a line, core first, so that a change of one class is a change of one line."""
    lines = ["{", '  "schema": "comfywatchman-loaders/1",', '  "packs": {']
    names = sorted((name for name in packs if packs[name]), key=lambda name: (name != "core", name.casefold()))
    for pack in names:
        lines.append(f"    {json.dumps(pack)}: {{")
        for name in sorted(packs[pack]):
            comma = "" if name == max(packs[pack]) else ","
            lines.append(f"      {json.dumps(name)}: {json.dumps(packs[pack][name], ensure_ascii=False)}{comma}")
        lines.append("    }" if pack == names[-1] else "    },")
    return "\n".join([*lines, "  }", "}"]) + "\n"


def read_server(url: str) -> dict[str, list[str]]:
    """Ask a running ComfyUI for its loaders."""
    from comfywatchman_core.http import ApiClient
    from comfywatchman_core.server import ask_server

    told = ask_server(url, ApiClient()).classes
    return {
        name: [
            f"{widget}={'|'.join(described.inputs[widget])}" if widget in described.inputs else widget
            for widget in described.widgets
        ]
        for name, described in told.items()
    }


def read_tree(tree: Path) -> Iterator[tuple[str, list[str]]]:
    """Read every class of a source tree that lists model files in one of its inputs."""
    for path in sorted(tree.rglob("*.py")):
        relative = path.relative_to(tree).parts
        if any(part in ("custom_nodes", "tests", ".git", "venv", ".venv") for part in relative[:-1]):
            continue
        try:
            module = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError, RecursionError):
            continue
        yield from _Module(module).loaders()


class _Module:
    """One source file, and what its names stand for."""

    def __init__(self, module: ast.Module) -> None:
        self._classes = {node.name: node for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
        self._values = _assignments(module.body)
        self._ids: dict[str, list[str]] = {}
        for node in ast.walk(module):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Name):
                        self._ids.setdefault(value.id, []).append(key.value)

    def loaders(self) -> Iterator[tuple[str, list[str]]]:
        for name, node in self._classes.items():
            function = self._method(node, "INPUT_TYPES")
            if function is not None:
                widgets = self._v1(node, function)
                if any("=" in widget for widget in widgets):
                    for identity in self._ids.get(name, []):
                        yield identity, widgets
            schema = self._method(node, "define_schema")
            if schema is not None:
                yield from self._v3(node, schema)

    def _method(self, node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == name:
                return item
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in self._classes and base.id != node.name:
                return self._method(self._classes[base.id], name)
        return None

    def _v1(self, owner: ast.ClassDef, function: ast.FunctionDef) -> list[str]:
        """Read ``INPUT_TYPES``: names map to tuples of a type, or of the choices, and options."""
        values = {**self._values, **_assignments(owner.body), **_assignments(function.body)}
        widgets: list[str] = []
        for group in _groups(function):
            for key, value in zip(group.keys, group.values, strict=True):
                spelled = None if key is None else _name(key)
                if spelled is not None:
                    widgets += self._v1_widget(spelled, value, owner, values)
        for target, value in _item_assignments(function):
            widgets += [f"*{widget}" for widget in self._v1_widget(target, value, owner, values) if "=" in widget]
        return list(dict.fromkeys(widgets))

    def _v1_widget(
        self, name: str, value: ast.expr, owner: ast.ClassDef, values: Mapping[str, ast.expr]
    ) -> Iterator[str]:
        if not isinstance(value, ast.Tuple) or not value.elts or _is_forced(value):
            return
        kind = value.elts[0]
        keys = self._keys(value, owner, values, _DEEPEST)
        if keys:
            yield f"{name}={'|'.join(keys)}"
        elif not isinstance(kind, ast.Constant) or kind.value in _WIDGET_TYPES:
            yield name

    def _v3(self, owner: ast.ClassDef, function: ast.FunctionDef) -> Iterator[tuple[str, list[str]]]:
        """Read ``define_schema``: ``io.Schema(node_id=…, inputs=[io.Combo.Input("name", options=…), …])``."""
        values = {**self._values, **_assignments(function.body)}
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or _called(call) != "Schema":
                continue
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            identity, inputs = given.get("node_id"), given.get("inputs")
            if not isinstance(identity, ast.Constant) or not isinstance(inputs, ast.List):
                continue
            widgets: list[str] = []
            for entry in inputs.elts:
                if isinstance(entry, ast.Call) and _called(entry) == "Input":
                    widgets += self._v3_widget(entry, owner, values)
            if any("=" in widget for widget in widgets):
                yield str(identity.value), widgets

    def _v3_widget(self, call: ast.Call, owner: ast.ClassDef, values: Mapping[str, ast.expr]) -> Iterator[str]:
        named = call.args[0] if call.args else next((word.value for word in call.keywords if word.arg == "id"), None)
        name = None if named is None else _name(named)
        kind = (
            call.func.value.attr
            if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Attribute)
            else ""
        )
        if name is None or kind not in _V3_WIDGETS:
            return
        keys = self._keys(call, owner, values, _DEEPEST)
        yield f"{name}={'|'.join(keys)}" if keys else name

    def _keys(
        self, value: ast.expr, owner: ast.ClassDef, values: Mapping[str, ast.expr], depth: int
    ) -> tuple[str, ...]:
        """Folder keys of every list of file names that *value* is made of, names and methods looked up."""
        found: list[str] = []
        for node in ast.walk(value):
            if isinstance(node, ast.Call) and _called(node) in _LISTERS and node.args:
                key = node.args[0]
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    found.append(canonical_key(key.value))
            elif isinstance(node, ast.Call) and depth and isinstance(node.func, ast.Attribute):
                method = self._method(owner, node.func.attr)
                for inner in ast.walk(method) if method is not None else ():
                    if isinstance(inner, ast.Call) and inner is not node and _called(inner) in _LISTERS:
                        found += self._keys(inner, owner, values, depth - 1)
            elif isinstance(node, ast.Name) and depth and node.id in values and values[node.id] is not value:
                found += self._keys(values[node.id], owner, values, depth - 1)
            elif isinstance(node, ast.Attribute) and depth and node.attr in values and values[node.attr] is not value:
                found += self._keys(values[node.attr], owner, values, depth - 1)
        return tuple(dict.fromkeys(found))


def _assignments(body: Iterable[ast.stmt]) -> dict[str, ast.expr]:
    return {
        target.id: statement.value
        for statement in body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _groups(function: ast.FunctionDef) -> Iterator[ast.Dict]:
    """The dictionaries behind ``required`` and ``optional``, in this order."""
    for name in ("required", "optional"):
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == name and isinstance(value, ast.Dict):
                        yield value


def _item_assignments(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """``inputs["required"][f"lora_name_{i}"] = (…)``: inputs that a loop adds."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
            name = _name(node.targets[0].slice)
            if name is not None:
                yield name, node.value


def _name(key: ast.expr) -> str | None:
    """An input's name; ``<n>`` where a formatted string puts a number."""
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return key.value
    if isinstance(key, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else "<n>" for part in key.values]
        return "".join(parts)
    return None


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_forced(value: ast.Tuple) -> bool:
    """Say whether the options make a socket of the input."""
    options = value.elts[1] if len(value.elts) > 1 else None
    return isinstance(options, ast.Dict) and any(
        isinstance(key, ast.Constant) and key.value == "forceInput" and isinstance(entry, ast.Constant) and entry.value
        for key, entry in zip(options.keys, options.values, strict=True)
    )


if __name__ == "__main__":
    sys.exit(main())
