"""A process that has imported all of Lineside, and forks a ``lineside`` command for whoever connects.

Half a thousand gateways are started in the crash tests, and most of a start is Python importing modules. What is
forked has run nothing yet: no reactor, no thread, no database, no random number.

Whoever connects to the Unix socket sends one line of JSON, an `Order`. It gets what the command prints, and
lines that begin with NUL: ``pid N`` at once, ``ended CODE`` at the end. When it hangs up, the command is killed.
With the order it may pass three descriptors: the standard streams of the command. It then gets those lines alone.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress

import msgspec
from msgspec import Struct

from lineside.cli import COMMANDS

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal to get when the parent dies."""

PRELOADED = (
    *(f"lineside.cli.{name}_" if name == "try" else f"lineside.cli.{name}" for name in COMMANDS),
    "lineside.assemble.build",
    "lineside.assemble.config",
    "lineside.assemble.frappesites",
    "lineside.assemble.listening",
    "lineside.assemble.live",
    "lineside.assemble.posts",
    "lineside.assemble.reactor",
    "lineside.assemble.web",
    "lineside.edges.http.login",
    "lineside.edges.http.part",
    "lineside.edges.lines.framed",
    "lineside.edges.websocket.part",
    "lineside.operations.history",
    "lineside.operations.reactorlag",
    "lineside.operations.tasks",
    "lineside.standin.server",
    "lineside.standin.tls",
    "encodings.idna",
    "twisted.internet.epollreactor",
    "tests.rig.drop_box_server",
    "tests.rig.gateway_that_dies",
    "tests.rig.tasks_that_die",
)


class Order(Struct):
    """A command to run."""

    arguments: list[str]
    environ: dict[str, str]
    log: str
    """The file to which standard error is appended."""
    dies_at: tuple[str, int] | None = None
    """The named point, and at which passage; see `tests.rig.gateway_that_dies`."""
    directory: str | None = None
    """In which it works; then ``environ`` is all of its environment."""
    module: str = "lineside.cli"
    """Whose function ``main`` it runs: a rig's, in the place of ``lineside``."""


def serve(path: str) -> Order:
    """Fork for each connection, for as long as the parent lives. Returns in a forked command, to run it."""
    die_with_parent()
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        os.write(1, b"ready\n")
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                return attend(connection)
            connection.close()


def attend(connection: socket.socket) -> Order:
    """Fork the command and watch over it to its end. Returns in the command alone."""
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, streams, _, _ = socket.recv_fds(connection, 65_536, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(65_536)
    order = msgspec.json.decode(text, type=Order)
    pid = os.fork()
    if pid == 0:
        become(order, connection, streams)
        return order
    for stream in streams:
        os.close(stream)
    with suppress(OSError):
        connection.sendall(b"\0pid %d\n" % pid)
        ended = os.pidfd_open(pid)
        readable, _, _ = select.select([ended, connection.fileno()], [], [])
        if ended not in readable:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        connection.sendall(b"\n\0ended %d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(order: Order, connection: socket.socket, streams: list[int]) -> None:
    """Make this process the command."""
    die_with_parent()
    os.setsid()
    if streams:
        connection.close()
    else:
        log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        streams = [os.open(os.devnull, os.O_RDONLY), connection.detach(), log]
    for ours, theirs in zip(streams, range(3), strict=True):
        os.dup2(ours, theirs)
        os.close(ours)
    if order.directory is not None:
        os.chdir(order.directory)
        os.environ.clear()
    os.environ.update(order.environ)
    if os.environ.get("PYTHONUNBUFFERED"):
        # Python asks for it at its start only.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = [order.module.partition(".")[0], *order.arguments]
    if order.dies_at is not None:
        from tests.rig.gateway_that_dies import arm  # noqa: PLC0415

        arm(*order.dies_at)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    for module in PRELOADED:
        importlib.import_module(module)
    assert "twisted.internet.reactor" not in sys.modules
    ordered = serve(sys.argv[1])
    importlib.import_module(ordered.module).main()
