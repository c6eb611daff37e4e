"""Python imports this at start-up: child processes of tests reach no further than loopback either."""

import importlib.util
from pathlib import Path

# By its path: importing the package would load what a test may want to see absent.
_place = Path(__file__).parents[2] / "src" / "comfywatchman_core" / "testing" / "network.py"
_specification = importlib.util.spec_from_file_location("_network_guard", _place)
assert _specification is not None
assert _specification.loader is not None
_network = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_network)
_guard = _network.loopback_only()
_guard.__enter__()
