"""``python -m comfywatchman_core`` is the command ``comfywatchman``."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
