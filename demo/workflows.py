"""Workflows of the demonstration's own: what official templates do not have, a file that only its name is known of."""

from __future__ import annotations

from typing import Any

from comfywatchman_core.testing import sha256

from .sources import GATED, INK_WASH, LANTERN, TIDE_POOL


def by_name() -> dict[str, Any]:
    """A prompt as ComfyUI's API takes it: two names and nothing else, one of them Civitai's and one the Hub's."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": LANTERN.name}},
        "2": {"class_type": "VAELoader", "inputs": {"vae_name": TIDE_POOL.name}},
        "3": {
            "class_type": "KSampler",
            "inputs": {"model": ["1", 0], "seed": 7, "steps": 20, "cfg": 7.0, "sampler_name": "euler"},
        },
    }


def by_digest_and_address() -> dict[str, Any]:
    """A graph as the editor saves it: one LoRA with its SHA256, under a name of the user's own, one with an address."""
    return {
        "version": 0.4,
        "last_node_id": 2,
        "last_link_id": 0,
        "links": [],
        "nodes": [
            {
                "id": 1,
                "type": "LoraLoader",
                "mode": 0,
                "widgets_values": ["styles/wash.safetensors", 0.8, 0.8],
                "properties": {
                    "models": [
                        {
                            "name": "wash.safetensors",
                            "directory": "loras",
                            "hash": sha256(INK_WASH.data),
                            "hash_type": "SHA256",
                        }
                    ]
                },
            },
            {
                "id": 2,
                "type": "LoraLoaderModelOnly",
                "mode": 0,
                "widgets_values": [GATED.name, 1.0],
                "properties": {
                    "models": [
                        {
                            "name": GATED.name,
                            "directory": "loras",
                            "url": f"https://huggingface.co/{GATED.repository}/resolve/main/{GATED.name}",
                        }
                    ]
                },
            },
        ],
    }
