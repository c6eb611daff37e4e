"""The folders of ComfyUI: which keys there are, where each looks, and where a new file belongs."""

from __future__ import annotations

from .keys import canonical_key as canonical_key
from .keys import is_folder_key as is_folder_key
from .roots import ModelFolders as ModelFolders
