"""Python imports this at start-up: child processes of tests reach no further than loopback either."""

from comfywatchman_core.testing.network import loopback_only

_guard = loopback_only()
_guard.__enter__()
