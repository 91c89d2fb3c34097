"""``python -m tidegate`` is the same as ``tidegate``."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run one command and return its exit code; Ctrl-C before it has begun is no traceback."""
    try:
        from tidegate.cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
