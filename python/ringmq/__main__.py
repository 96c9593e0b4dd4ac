"""The `ringmq` program: `python -m ringmq serve`, `pub`, `sub`, `rr`, `bench`, `passwd` and so on."""

from __future__ import annotations

import signal
import sys

from ringmq import _ringmq


def main() -> int:
    """Runs the program with this process's arguments; its exit code, 0 to 255."""
    # The program has its own way with Ctrl-C; where it takes none over, it ends as programs do.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # It buffers nothing of Python's.
    sys.stdout.flush()
    return _ringmq.run(["ringmq", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
