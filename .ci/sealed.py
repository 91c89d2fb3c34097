"""
Run a command that can reach this machine's loopback and nothing else.

    python .ci/sealed.py COMMAND [ARGUMENT ...]

On Linux the command gets a network namespace of its own: whatever it does, in whatever
library or child process, there is no route out. Where the kernel does not let us (other
systems, containers without the right), pytest-socket alone guards the test process. Which of
both it was is said on stderr and told to the tests in ``TIDEGATE_SEALED``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x1 | 0x40


def leave_the_network() -> None:
    """Move this process into an empty network namespace with loopback up, or raise OSError."""
    if not sys.platform.startswith("linux"):
        raise OSError(0, f"no network namespaces on {sys.platform}")
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if uid == 0 else CLONE_NEWUSER | CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if flags & CLONE_NEWUSER:
        # The same user as before, so that files belong to whom they should.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))


def main() -> None:
    """Seal if possible, say so, and become the command."""
    if len(sys.argv) == 1:
        sys.exit("usage: sealed.py COMMAND [ARGUMENT ...]")
    try:
        leave_the_network()
    except OSError as refused:
        os.environ["TIDEGATE_SEALED"] = "pytest-socket"
        print(f"sealed: by pytest-socket alone ({refused.strerror})", file=sys.stderr)
    else:
        os.environ["TIDEGATE_SEALED"] = "namespace"
        print("sealed: in a network namespace with nothing but loopback", file=sys.stderr)
    sys.stderr.flush()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
