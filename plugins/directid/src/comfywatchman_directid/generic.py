"""Names that every other repository uses, and that therefore name nothing.

Counted over public tables of known models: 32 addresses for
``diffusion_pytorch_model.safetensors`` alone, each with other bytes.
"""

from __future__ import annotations

import re

_GENERIC = re.compile(
    r"""(?:
        (?:diffusion_|flax_|open_clip_)?(?:pytorch_)?model
      | diffusion_pytorch_model | pytorch_(?:lora_)?weights | adapter_model | consolidated
      | ip[-_]adapter | image_encoder | controlnet | config | (?:text_)?encoder | vae | unet | lora | checkpoint
      | .*-\d{5}-of-\d{5}                                     # one part of a file that was cut in pieces
    )
    (?:[._-](?:fp32|fp16|bf16|fp8|ema|non_ema|pruned))*
    \.[a-z0-9]+""",
    re.VERBOSE,
)


def is_generic(name: str) -> bool:
    """Say whether the lower-case file name *name* says nothing about which model it is."""
    return bool(_GENERIC.fullmatch(name))


def ends_with_path(whole: str, wanted: str) -> bool:
    """Say whether the path *whole* ends in the path *wanted*, part by part, and *wanted* has a folder of its own."""
    wanted = wanted.replace("\\", "/").lower()
    return "/" in wanted and f"/{whole.lower()}".endswith(f"/{wanted}")
