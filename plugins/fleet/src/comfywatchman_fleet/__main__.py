"""``python -m comfywatchman_fleet`` is the command."""

import sys

from .command import main

sys.exit(main())
