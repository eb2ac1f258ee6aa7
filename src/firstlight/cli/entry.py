"""The command ``firstlight``: whatever it does, Ctrl-C ends it with one line."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended: 128 plus the number of the signal."""


def main() -> None:
    """Run the command. What it needs is imported here, so that Ctrl-C is caught meanwhile."""
    try:
        from .main import app

        app()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
