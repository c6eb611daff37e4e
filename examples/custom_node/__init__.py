"""A sketch of a custom node: the editor posts its workflow, and ComfyUI gets the models that it needs.

Copy this directory to `ComfyUI/custom_nodes/`, and install `comfywatchman` into
ComfyUI's Python. It adds no node but one route, because ComfyUI refuses a
prompt that names missing files before any node of it runs.
"""

from .route import add_route

NODE_CLASS_MAPPINGS: dict[str, type] = {}

add_route()
