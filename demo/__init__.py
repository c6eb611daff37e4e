"""The whole job, shown: real workflows, the real command, and stand-ins for the model sites. ``python -m demo``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The tree that the demonstration is part of."""

sys.path.insert(0, str(ROOT / "tests"))  # the stand-ins live where the tests are
