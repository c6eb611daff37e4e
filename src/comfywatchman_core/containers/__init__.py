"""What a file of any kind carries of the graph that made it: found by content, not by suffix.

Each kind has a reader of its own, none longer than the format needs. They read
headers and metadata, never pictures or sound: a film of gigabytes costs a few
small reads.
"""

from __future__ import annotations

from .carried import Carried as Carried
from .parsing import parse_json as parse_json
from .sniffing import read_container as read_container
from .source import Damaged as Damaged
from .source import Source as Source
from .source import open_source as open_source

SUFFIXES = frozenset(
    {".json", ".png", ".webp", ".avif", ".svg", ".glb", ".exr", ".latent"}
    | {".flac", ".mp3", ".opus", ".ogg", ".oga", ".webm", ".mkv", ".mp4", ".mov", ".m4v"}
)
"""Suffixes, lower case, of files in a directory that may carry a workflow."""
