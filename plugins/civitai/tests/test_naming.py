"""The names that a file can have, and when a wanted name is one of them."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from comfywatchman_civitai.matching import Wanted, evidence
from comfywatchman_civitai.naming import (
    composed_before_2026,
    composed_today,
    keeps_uploaded_name,
    names_of,
    title_word,
)
from comfywatchman_civitai.reading import read_model, read_version
from comfywatchman_civitai.records import FileRecord, Listed, ModelRecord, VersionRecord, listed

SHARED = Path(__file__).resolve().parents[4] / "shared"


def a_file(name: str = "x.safetensors", **members: Any) -> FileRecord:
    return FileRecord(**{"id": 1, "name": name, **members})


def shelf(model: str, version: str, *files: FileRecord, type: str = "Checkpoint", words: tuple[str, ...] = ()) -> Any:
    record = VersionRecord(id=2, name=version, files=files, trained_words=words)
    return ModelRecord(id=3, name=model, type=type, versions=(record,)), record


@pytest.mark.parametrize(
    ("title", "word"),
    [
        ("CyberRealistic Z-Image Turbo", "cyberrealisticZImage"),
        ("It's a Style", "itsAStyle"),
        ("SDXL VAE", "sdxlVAE"),
        ("水墨 Ink", "Ink"),
        ("水墨", ""),
        ("a very long title that goes on and on", "aVeryLongTitleThatGoes"),
        ("averylongwordwithoutanyborderinit", "averylongwordwithout"),
    ],
)
def test_a_title_becomes_one_word(title: str, word: str) -> None:
    assert title_word(title) == word


@pytest.mark.parametrize(
    ("type", "model", "version", "file", "before", "today"),
    [
        ("Checkpoint", "CyberRealistic Z-Image Turbo", "v8.0", a_file(), "cyberrealisticZImage_v80.safetensors", None),
        ("LORA", "a", "b", a_file("mine.safetensors"), "mine.safetensors", None),
        ("DoRA", "Some style", "v1", a_file("mine.safetensors"), "someStyle_v1.safetensors", None),
        ("Checkpoint", "a", "b", a_file("mine.vae.pt", type="VAE"), "mine.vae.pt", None),
        ("Checkpoint", "Some", "v1", a_file("x-inpainting.ckpt"), "some_v1-inpainting.ckpt", None),
        ("Checkpoint", "Some", "v1", a_file("x.zip", type="Training Data"), "some_v1_trainingData.zip", None),
        ("Checkpoint", "Some", "v1", a_file("t5.gguf", type="Text Encoder"), "some_v1_txt.gguf", None),
        ("Checkpoint", "水墨", "v1", a_file("mine.ckpt"), "mine.ckpt", None),
        ("Checkpoint", "Some", "Some v1", a_file(), "some_V1.safetensors", "some_v1.safetensors"),
        ("Checkpoint", "Some", "Some", a_file(), "some_.safetensors", "some.safetensors"),
    ],
)
def test_names_follow_the_rule_of_their_time(
    type: str, model: str, version: str, file: FileRecord, before: str, today: str | None
) -> None:
    record, shown = shelf(model, version, file, type=type)

    assert composed_before_2026(record, shown, file, file.name) == before
    assert composed_today(record, shown, file, file.name) == (today or before)


def test_embeddings_are_named_after_their_trigger_word() -> None:
    file = a_file("x.pt", type="Negative")
    record, shown = shelf("a", "b", file, type="TextualInversion", words=("word", "other"))

    assert composed_today(record, shown, file, file.name) == "word-neg.pt"


def test_twins_are_told_apart_today_and_were_not_before() -> None:
    full = a_file(id=1, extent="full", precision="fp32")
    pruned = a_file("y.safetensors", id=2, extent="pruned", precision="fp16")
    record, shown = shelf("Some model", "v1", full, pruned)

    assert composed_today(record, shown, pruned, pruned.name) == "someModel_v1_pruned_fp16.safetensors"
    assert composed_before_2026(record, shown, pruned, pruned.name) == "someModel_v1.safetensors"


def test_twins_of_one_variant_are_told_apart_by_their_id() -> None:
    one, two = a_file(id=11, precision="fp16"), a_file(id=12, precision="fp16")
    record, shown = shelf("Some model", "v1", one, two)

    assert composed_today(record, shown, two, two.name) == "someModel_v1_12.safetensors"


def test_uploaded_twins_had_one_name_before_they_were_told_apart() -> None:
    one = a_file("ink_fp16.safetensors", id=1, precision="fp16")
    two = a_file("ink_fp32.safetensors", id=2, precision="fp32")
    record, shown = shelf("Ink", "v1", one, two, type="LORA")

    assert (95, "ink.safetensors") in names_of(Listed(record, shown, one))


def test_a_lone_file_is_not_said_to_have_had_a_shorter_name() -> None:
    one = a_file("ink_fp16.safetensors", precision="fp16")
    record, shown = shelf("Ink", "v1", one, type="LORA")

    assert {name for _, name in names_of(Listed(record, shown, one))} == {"ink_fp16.safetensors"}


@pytest.mark.parametrize(
    ("type", "file", "keeps"),
    [
        ("LORA", a_file(), True),
        ("LoCon", a_file(), True),
        ("DoRA", a_file(), False),
        ("Checkpoint", a_file(), False),
        ("Checkpoint", a_file(type="VAE"), True),
        ("LORA", a_file(override="chosen.safetensors"), False),
        ("TextualInversion", a_file(), True),  # without a trigger word it keeps its name
    ],
)
def test_mini_is_asked_only_where_it_can_tell_another_name(type: str, file: FileRecord, keeps: bool) -> None:
    record, shown = shelf("Some", "v1", file, type=type)

    assert keeps_uploaded_name(Listed(record, shown, file)) is keeps


@pytest.mark.parametrize(
    ("wanted", "name", "points"),
    [
        ("ink.safetensors", "ink.safetensors", 100),
        ("INK.Safetensors", "ink.safetensors", 100),
        ("sub\\dir/ink.safetensors", "ink.safetensors", 100),
        ("Cafe\u0301.pt", "Café.pt", 100),
        ("ink", "ink.safetensors", 100),  # embeddings are named without their suffix
        ("ink (1).safetensors", "ink.safetensors", 92),
        ("ink.AbCd.safetensors", "ink.safetensors", 92),
        ("ink.safetensors", "ink.AbCd.safetensors", 92),
        ("ink.ckpt", "ink.safetensors", 85),
        ("in_k.safetensors", "ink.safetensors", 80),
        # near, and another file each
        ("ink.fp16.safetensors", "ink.safetensors", 45),
        ("ink.Lite.safetensors", "ink.safetensors", 30),
        ("ink_v2.safetensors", "ink_v3.safetensors", 45),
        ("ink_fp8.safetensors", "ink_fp16.safetensors", 45),
        ("ink.safetensors", "wash.safetensors", 0),
        ("pink.safetensors", "ink.safetensors", 0),  # one inside the other is no equality
    ],
)
def test_only_equality_is_worth_much(wanted: str, name: str, points: int) -> None:
    assert evidence(Wanted.of(wanted), [(100, name)]) == points


def test_the_worth_of_a_name_is_where_it_comes_from() -> None:
    names = [(100, "ink_v1.safetensors"), (98, "mine.safetensors"), (95, "ink.safetensors")]

    assert evidence(Wanted.of("mine.safetensors"), names) == 98
    assert evidence(Wanted.of("ink.safetensors"), names) == 95


def reference() -> ModuleType:
    path = SHARED / "contracts" / "civitai_naming.py"
    if not path.is_file():
        pytest.skip("the reference is not beside this checkout")
    spec = importlib.util.spec_from_file_location("civitai_naming_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_are_those_of_the_reference_for_titles_of_every_kind() -> None:
    rule, dice = reference(), random.Random(5)
    words = ["Realistic", "Vision", "XL", "v1.0", "It's", "Anime-Mix", "3D", "(beta)", "ULTRA", "2.5D"]
    words += ["inpainting", "é", "日本", "_", "-", "final", "SDXL's"]
    for _ in range(2000):
        model, version = (" ".join(dice.choices(words, k=dice.randint(0, most))) for most in (5, 3))
        version = f"{model} {version}" if dice.random() < 0.3 else version
        kind = dice.choice(["Checkpoint", "LORA", "DoRA", "TextualInversion", "Upscaler", "VAE"])
        triggers = dice.choice([(), ("word", "other")])
        raw = [
            {
                "id": 100 + place,
                "name": dice.choice(["a.safetensors", "a-inpainting.ckpt", "x.instruct-pix2pix.ckpt", "b.c.pt"]),
                "type": dice.choice(rule.FILE_TYPES),
                "overrideName": dice.choice([None, None, None, "o.ckpt"]),
                "metadata": {"size": dice.choice(["full", None]), "fp": dice.choice(["fp16", "fp8_scaled"])},
            }
            for place in range(dice.randint(1, 4))
        ]
        files = [
            FileRecord(
                id=one["id"], name=one["name"], type=one["type"], override=one["overrideName"] or "",
                extent=one["metadata"]["size"] or "", precision=one["metadata"]["fp"],
            )
            for one in raw
        ]  # fmt: skip
        record, shown = shelf(model, version, *files, type=kind, words=triggers)
        for one, file in zip(raw, files, strict=True):
            before = rule.name_v1(model, kind, version, one["name"], one["type"], None, triggers)
            assert composed_before_2026(record, shown, file, file.name) == before
            assert composed_today(record, shown, file, file.name) == rule.name_v2(
                model, kind, version, one, raw, triggers
            )


def test_the_names_in_real_answers_are_among_the_names_of_their_files() -> None:
    samples = SHARED / "data" / "civitai"
    if not samples.is_dir():
        pytest.skip("the samples are not beside this checkout")
    for path in sorted(samples.glob("*.json")):
        if "synthetic" in path.name:
            continue
        document = json.loads(path.read_text("utf-8"))
        for item in document.get("items", [document]):
            model = read_model(item) if "modelVersions" in item else read_version(item)
            for found in listed([model] if model else []):
                assert composed_before_2026(found.model, found.version, found.file, found.file.name) == found.file.name
