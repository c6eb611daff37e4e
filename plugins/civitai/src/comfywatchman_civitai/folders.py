"""How the service's types and ComfyUI's folders belong together."""

from __future__ import annotations

from .records import FileRecord, ModelRecord
from .words import split_suffix

_ALIASES = {
    "unet": "diffusion_models",
    "unet_gguf": "diffusion_models",
    "clip": "text_encoders",
    "clip_gguf": "text_encoders",
    "animatediff_motion_lora": "loras",
    "ultralytics_bbox": "ultralytics",
    "ultralytics_segm": "ultralytics",
}

_SEARCHED_TYPES = {
    "checkpoints": ("Checkpoint", "UNet"),
    "diffusion_models": ("Checkpoint", "UNet"),
    "loras": ("LORA", "LoCon", "DoRA"),
    "vae": ("VAE", "Checkpoint"),
    "controlnet": ("Controlnet",),
    "upscale_models": ("Upscaler",),
    "embeddings": ("TextualInversion",),
    "text_encoders": ("TextEncoder", "CLIP", "Checkpoint"),
    "clip_vision": ("CLIPVision", "Checkpoint"),
    "hypernetworks": ("Hypernetwork",),
    "animatediff_models": ("MotionModule",),
    "ultralytics": ("Detection",),
}

_FOLDER_OF_FILE_TYPE = {
    "Diffusion Model": "diffusion_models",
    "UNet": "diffusion_models",
    "VAE": "vae",
    "Text Encoder": "text_encoders",
    "CLIPVision": "clip_vision",
    "Vision Encoder": "clip_vision",
    "ControlNet": "controlnet",
    "Upscaler": "upscale_models",
    "Negative": "embeddings",
    "Enhancement LoRA": "loras",
}

_FOLDER_OF_MODEL_TYPE = {
    "Checkpoint": "checkpoints",
    "LORA": "loras",
    "LoCon": "loras",
    "DoRA": "loras",
    "TextualInversion": "embeddings",
    "Hypernetwork": "hypernetworks",
    "AestheticGradient": "embeddings",
    "Controlnet": "controlnet",
    "Upscaler": "upscale_models",
    "MotionModule": "animatediff_models",
    "VAE": "vae",
    "TextEncoder": "text_encoders",
    "CLIP": "text_encoders",
    "UNet": "diffusion_models",
    "CLIPVision": "clip_vision",
}

_NO_MODEL = frozenset({"Archive", "Training Data", "Workflow", "Config"})
_NO_MODELS = frozenset({"Poses", "Wildcards", "Workflows", "ComfyWorkflows"})

_WHOLE_PIPELINES = ("SD 1", "SD 2", "SDXL", "Pony", "Illustrious", "NoobAI")
"""Base models whose checkpoints hold text encoder and VAE, nearly all. "Pony V7" is another family."""


def searched_types(folder: str) -> tuple[str, ...]:
    """The model types among which a file for the folder key *folder* is searched; empty: among all."""
    return _SEARCHED_TYPES.get(_ALIASES.get(folder, folder), ())


def folder_of(model: ModelRecord, file: FileRecord) -> str:
    """Propose a folder key by what the service says; empty where that says nothing.

    A checkpoint of a family that is often published as a bare denoiser stays a
    checkpoint here: only the file's header can tell, see :mod:`header`.
    """
    if file.type in _NO_MODEL:
        return ""
    if file.type in _FOLDER_OF_FILE_TYPE:
        return _FOLDER_OF_FILE_TYPE[file.type]
    folder = _FOLDER_OF_MODEL_TYPE.get(model.type, "")
    if folder == "checkpoints" and split_suffix(file.name.lower())[1] == ".gguf":
        return "diffusion_models"  # no loader of whole pipelines reads this format
    return folder


def fits(model: ModelRecord, file: FileRecord, folder: str) -> bool:
    """Say whether *file* can be what a loader of *folder* asks for.

    A folder that the service has no type for fits everything, and so does a
    file of an unknown type. Checkpoints and bare denoisers stand for each
    other: makers mix them up, and the loader knows better.
    """
    folder = _ALIASES.get(folder, folder)
    if folder not in _SEARCHED_TYPES:
        return True
    own = folder_of(model, file)
    if not own:
        return file.type not in _NO_MODEL and model.type not in _NO_MODELS
    denoisers = {"checkpoints", "diffusion_models"}
    return own == folder or {own, folder} <= denoisers


def may_be_bare(base_model: str) -> bool:
    """Say whether checkpoints of *base_model* are often the denoiser alone, without text encoder and VAE."""
    return (
        bool(base_model)
        and base_model != "Other"
        and (base_model == "Pony V7" or not base_model.startswith(_WHOLE_PIPELINES))
    )


def folder_warning(model: ModelRecord, file: FileRecord, base_model: str, folder: str) -> str:
    """Say why *file* may not load from *folder*; empty when nothing speaks against it."""
    folder = _ALIASES.get(folder, folder)
    own = folder_of(model, file)
    if folder == "checkpoints" and own == "diffusion_models":
        return "Civitai calls it a bare diffusion model; a checkpoint loader may not read it."
    if folder == "checkpoints" and own == folder and may_be_bare(base_model):
        return f"Checkpoints for {base_model} are often bare diffusion models, which a checkpoint loader cannot read."
    if folder == "diffusion_models" and own == "checkpoints" and base_model and not may_be_bare(base_model):
        return f"Checkpoints for {base_model} usually hold text encoder and VAE as well, and belong into checkpoints."
    return ""
