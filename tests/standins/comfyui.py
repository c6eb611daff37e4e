"""A running ComfyUI, as far as it says which nodes, folders and files it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from comfywatchman_core.testing import Asked, Origin, Reply, serve

OBJECT_INFO: dict[str, Any] = {
    # an older spelling of choices, and a newer one
    "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [["ink.safetensors", "sub\\photo.ckpt"], {}]}}},
    "SomebodysLoraStack": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "count": ["INT", {"default": 1}],
                "first": ["COMBO", {"options": ["None", "a.safetensors", "b.safetensors"]}],
                "seed": ["INT", {"forceInput": True}],
            },
            "optional": {"second": ["COMBO", {"options": ["None", "a.safetensors", "b.safetensors"]}]},
        }
    },
    # a table that is newer than the package's
    "UNETLoader": {"input": {"required": {"unet_name": [["q4.gguf"], {}], "weight_dtype": [["default"], {}]}}},
    "LoadImage": {"input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}}},
    "DWPreprocessor": {"input": {"optional": {"bbox_detector": [["yolox_l.onnx", "other.onnx"]]}}},
    "VAELoader": {"input": {"required": {"vae_name": [["ae.safetensors", "taesd", "pixel_space"], {}]}}},
    "Odd": {"input": "nothing"},
    "Odder": None,
}

FILES = {
    "checkpoints": ["ink.safetensors", "sub\\photo.ckpt"],
    "loras": ["a.safetensors", "b.safetensors"],
    "vae": ["ae.safetensors"],
    "unet_gguf": ["q4.gguf"],
    "their_pack": ["x.safetensors"],
    "embeddings": [],
}


@contextmanager
def comfyui(
    folders: Mapping[str, list[str]] | None = None, *, files: Mapping[str, list[str]] = FILES, age: str = "new"
) -> Iterator[Origin]:
    """Serve the answers of a ComfyUI.

    :param folders: Directories by key; none by default.
    :param age: ``new`` has ``/experiment/models``, ``middle`` only ``/internal/folder_paths``, ``old`` neither.
    """
    directories = folders if folders is not None else {key: [f"/nowhere/models/{key}"] for key in files}

    def answer(asked: Asked) -> Reply:
        if asked.path == "/object_info":
            return Reply.json(OBJECT_INFO)
        if asked.path == "/models":
            return Reply.json([*files, "custom_nodes"])
        if asked.path.startswith("/models/") and asked.path[8:] in files:
            return Reply.json(files[asked.path[8:]])
        if asked.path == "/experiment/models" and age == "new":
            told = {**directories, "custom_nodes": ["/nowhere/custom_nodes"]}
            listed = [{"name": key, "folders": told[key], "extensions": [".SAFETENSORS"]} for key in told]
            return Reply.json([*listed, 3])
        if asked.path == "/internal/folder_paths" and age == "middle":
            return Reply.json({**directories, "custom_nodes": ["/nowhere/custom_nodes"]})
        return Reply.json({"error": "not found"}, status=404)

    with serve(answer) as origin:
        yield origin
