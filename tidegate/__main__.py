"""``python -m tidegate`` is the same as ``tidegate``."""

import os
import sys

INTERRUPTED = 130


def open_streams() -> None:
    """
    Let there be standard streams, of nobody where they were closed (``2>&-``).

    Without one nothing could be said, and its number would be that of the next file: what somebody
    says to it would be in the journal.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nobody = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, open(nobody, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays


def main() -> int:
    """Run one command and return its exit code; Ctrl-C before it has begun is no traceback."""
    try:
        open_streams()
        from tidegate.cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
