"""The faulty host that the core lends to everybody, under the name by which the tests of this tree know it."""

from __future__ import annotations

from comfywatchman_core.testing.faulty import GOOD as GOOD
from comfywatchman_core.testing.faulty import Ending as Ending
from comfywatchman_core.testing.faulty import Faulty as Faulty
from comfywatchman_core.testing.faulty import Heard as Heard
from comfywatchman_core.testing.faulty import Scene as Scene
from comfywatchman_core.testing.faulty import faulty as faulty
