"""``lineside`` without the start of Python: what runs is forked by the nursery, in the place of who asks for it.

As a program (``python quick.py SOCKET ARGUMENT...``) it stands for ``lineside`` in a shell: the command has the
same directory, environment and standard streams, signals reach it, and its exit code is ours. It imports only what
every Python has.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class Quick:
    """One command at work. It is killed when this is let go.

    Args:
        nursery: the nursery's socket.
        arguments: of ``lineside``.
        directory: in which it works.
        environ: all of its environment.
        streams: its standard input, output and error.
        module: whose ``main`` it is, in the place of ``lineside``.

    """

    def __init__(
        self,
        nursery: str,
        arguments: Sequence[str],
        directory: Path | str,
        environ: Mapping[str, str],
        streams: Sequence[int] = (0, 1, 2),
        module: str = "lineside.cli",
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(nursery)
        order = {
            "arguments": list(arguments),
            "environ": dict(environ),
            "log": "",
            "directory": str(directory),
            "module": module,
        }
        socket.send_fds(self._connection, [json.dumps(order).encode() + b"\n"], list(streams))
        told = b""
        while b"\n" not in told:
            if not (more := self._connection.recv(4096)):
                raise ConnectionError("the nursery went away")
            told += more
        first, _, self._told = told.partition(b"\n")
        self.pid = int(first.removeprefix(b"\0pid "))
        self.code: int | None = None
        """The exit code, negative for a signal; None while nobody saw it end."""

    def send_signal(self, number: int) -> None:
        """Send a signal unless it was seen to end."""
        if self.code is None:
            os.kill(self.pid, number)

    def wait(self, within: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises:
            TimeoutError: it did not end ``within`` so many seconds.

        """
        if self.code is None:
            self._connection.settimeout(within)
            while more := self._connection.recv(4096):
                self._told += more
            self.code = int(self._told.removeprefix(b"\n\0ended "))
            self._connection.close()
        return self.code

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self.send_signal(signal.SIGKILL)
        self.wait()


def main() -> None:
    """Run a command as if it were this process."""
    passed_on = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT)
    # None may come before it is known to whom it goes.
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    quick = Quick(sys.argv[1], sys.argv[2:], Path.cwd(), os.environ)
    for number in passed_on:
        signal.signal(number, lambda number, _: quick.send_signal(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
    code = quick.wait()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
