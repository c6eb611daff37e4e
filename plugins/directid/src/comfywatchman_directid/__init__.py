"""Back end `directid`."""
