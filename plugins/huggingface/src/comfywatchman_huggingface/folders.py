"""Which ComfyUI folder a file on the Hub belongs in, by its path there and by the tensors inside it."""

from __future__ import annotations

import enum
import json
import re
import struct

HEADER_BYTES = 1 << 20
"""How much of a file is looked at; the list of tensors of a 20 GB checkpoint has a few hundred thousand bytes."""

_ALIASES = {
    "unet": "diffusion_models",
    "clip": "text_encoders",
    "lora": "loras",
    "t2i_adapter": "controlnet",
}
"""ComfyUI's legacy names of folder keys."""

_SEGMENTS = {
    "all_in_one": "checkpoints",
    "audio_encoder": "audio_encoders",
    "audio_encoders": "audio_encoders",
    "background_removal": "background_removal",
    "checkpoint": "checkpoints",
    "checkpoints": "checkpoints",
    "clip": "text_encoders",
    "clip_vision": "clip_vision",
    "clip_visions": "clip_vision",
    "image_encoder": "clip_vision",
    "controlnet": "controlnet",
    "controlnets": "controlnet",
    "detection": "detection",
    "diffusion_model": "diffusion_models",
    "diffusion_models": "diffusion_models",
    "embeddings": "embeddings",
    "frame_interpolation": "frame_interpolation",
    "geometry_estimation": "geometry_estimation",
    "gligen": "gligen",
    "hypernetworks": "hypernetworks",
    "ipadapter": "ipadapter",
    "latent_upscale_models": "latent_upscale_models",
    "lora": "loras",
    "loras": "loras",
    "model_patches": "model_patches",
    "optical_flow": "optical_flow",
    "photomaker": "photomaker",
    "stable-diffusion": "checkpoints",
    "style_models": "style_models",
    "text_encoder": "text_encoders",
    "text_encoder_2": "text_encoders",
    "text_encoder_3": "text_encoders",
    "text_encoders": "text_encoders",
    "transformer": "diffusion_models",
    "unet": "diffusion_models",
    "upscale_models": "upscale_models",
    "vae": "vae",
    "vae_approx": "vae_approx",
    "vae_decoder": "vae",
    "vaes": "vae",
}
"""Directory names in repositories → folder keys, as the packagers of ComfyUI models and diffusers use them."""


class Fit(enum.IntEnum):
    """Whether a path agrees with the folder that a workflow loads the file from; the lower the better."""

    AGREES = 0
    SILENT = 1
    CONTRADICTS = 2


def folder_of(path: str) -> str:
    """The folder key that the directories of *path* name, the innermost first; empty where none does."""
    for segment in reversed(path.split("/")[:-1]):
        if key := _SEGMENTS.get(segment.lower().replace(" ", "_")):
            return key
    return ""


def fit_of(path: str, folder: str) -> Fit:
    """Compare *path* in a repository with the folder key of a request; an empty key fits everywhere."""
    said = folder_of(path)
    if not folder or not said:
        return Fit.SILENT
    return Fit.AGREES if said == canonical(folder) else Fit.CONTRADICTS


def canonical(folder: str) -> str:
    """The present name of a folder key; a key with a sub-folder counts as the key."""
    key = folder.partition("/")[0]
    return _ALIASES.get(key, key)


_DIFFUSION = re.compile(
    r"model\.diffusion_model\.|diffusion_model\.|double_blocks\.|single_blocks\.|transformer_blocks\.|joint_blocks\."
    r"|single_transformer_blocks\.|blocks\.\d+\.(?:self_attn|cross_attn|attn|adaln)|input_blocks\.|layers\.\d+\.adaLN"
    r"|down_blocks\.\d|net\.blocks\."
)
_VAE = re.compile(r"first_stage_model\.|vae\.|decoder\.(?:conv_in|up|up_blocks|middle|upsamples)|encoder\.conv_in")
_TEXT = re.compile(
    r"cond_stage_model\.|conditioner\.|text_encoders\.|text_model\.|encoder\.block\.|model\.layers\.\d+\.self_attn"
    r"|model\.embed_tokens|transformer\.text_model\.|model\.language_model\."
)
_LORA = re.compile(r"lora_(?:A|B|up|down|unet|te)\b|lora_unet_|lora_te\d?_|\.lora_|lora\.(?:up|down)|\.diff(?:_b)?$")
_CONTROL = re.compile(r"control_model\.|controlnet_|input_hint_block\.|control_img_in|control_blocks\.")
_VISION = re.compile(r"vision_model\.|visual\.(?:transformer|conv1|blocks)")


def folder_of_tensors(head: bytes) -> str:
    """The folder key that the tensor names in *head* speak for; empty where they do not decide.

    :param head: The first bytes of a ``.safetensors`` file. A list of tensors that is cut off is read as far as it
        goes; what it has not shown by then may still follow.
    """
    if len(head) < 9:
        return ""
    (length,) = struct.unpack("<Q", head[:8])
    text = head[8 : 8 + min(length, HEADER_BYTES)].decode("utf-8", "replace")
    try:
        found = json.loads(text)
        names = [name for name in found if name != "__metadata__"] if isinstance(found, dict) else []
    except (ValueError, RecursionError):
        # Only what opens an object is a tensor: the keys inside one are dtype, shape and offsets.
        names = re.findall(r'"([^"\\]{1,300})"\s*:\s*\{', text)
    if not names or not text.startswith("{"):
        return ""
    diffusion, vae, words = (sum(bool(kind.match(name)) for name in names) for kind in (_DIFFUSION, _VAE, _TEXT))
    if any(_LORA.search(name) for name in names):
        return "loras"
    if any(_CONTROL.match(name) for name in names):
        return "controlnet"
    if diffusion:
        if vae and words:
            return "checkpoints"
        return "" if length > len(head) - 8 else "diffusion_models"
    if any(_VISION.match(name) for name in names):
        return "clip_vision" if not words else "text_encoders"
    if vae:
        return "vae"
    return "text_encoders" if words else ""
