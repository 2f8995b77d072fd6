"""Load for `tls_lines`: makes connections, one after the other in several processes, and counts them.

``python handshakes.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a `Result`. A connection
counts when TLS was agreed and its end was told by both sides, so that the server is done with it too.

What is short of time is to be the server. So the processes leave the processor to it where both want one, and the
certificate is checked by Python's ``ssl`` once and no more: the other connections are made by the OpenSSL of
``cryptography``, with which a client costs less than half.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
from OpenSSL import SSL, _util

NICE = 10


class Plan(msgspec.Struct, frozen=True):
    """What to do."""

    port: int
    authority: str
    """The file with the CA of the server's certificate."""
    at_a_time: int
    """Processes, with one connection each at a time."""
    warm_up: float
    seconds: float
    server: int
    """Its process."""


class Result(msgspec.Struct, frozen=True):
    """What was done."""

    counted: int
    """Connections that ended within the measured time."""
    made: int
    """In all."""
    used: float
    """Seconds of a processor that each of them took on this side: how strong the load is."""
    server_busy: float
    """Share of the measured time in which the server's process ran on a processor: at 1.0 it was the limit."""


def processor_seconds(process: int) -> float:
    """Return how long a process was on a processor, in all threads (proc(5))."""
    figures = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")


def checked(plan: Plan) -> None:
    """Connect once, and have the server's certificate checked."""
    trust = ssl.create_default_context(cafile=plan.authority)
    with (
        socket.create_connection(("127.0.0.1", plan.port), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        # Who is told of the end may close without a word of its own.
        contextlib.suppress(ssl.SSLEOFError, ssl.SSLSyscallError, ConnectionError),
    ):
        connection.unwrap()


def connect(context: SSL.Context, port: int) -> None:
    """Make a connection, and end it."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        connection = SSL.Connection(context, plain)
        connection.set_connect_state()
        connection.do_handshake()
        connection.shutdown()
        with contextlib.suppress(SSL.ZeroReturnError, SSL.SysCallError):
            connection.recv(1)


def connect_again(plan: Plan, counted_from: float) -> tuple[int, int, float]:
    """Connect again and again; return how many connections were counted, how many made, and the time they took."""
    os.nice(NICE)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    # What most devices offer, and Python's ssl here; pyOpenSSL has no name for it.
    if not _util.lib.SSL_CTX_set1_curves_list(context._context, b"X25519"):
        raise SystemExit("OpenSSL knows no X25519")
    counted_to = counted_from + plan.seconds
    counted = made = 0
    began = time.process_time()
    while time.perf_counter() < counted_to:
        connect(context, plan.port)
        made += 1
        counted += counted_from <= time.perf_counter() < counted_to
    return counted, made, time.process_time() - began


def drive(plan: Plan) -> Result:
    """Have all processes connect, and watch the server meanwhile."""
    try:
        checked(plan)
    except (OSError, ValueError) as failed:
        raise SystemExit(f"a connection failed: {failed}") from failed
    with ProcessPoolExecutor(plan.at_a_time) as load:
        counted_from = time.perf_counter() + plan.warm_up
        parts = [load.submit(connect_again, plan, counted_from) for _ in range(plan.at_a_time)]
        time.sleep(max(0.0, counted_from - time.perf_counter()))
        busy = processor_seconds(plan.server)
        time.sleep(max(0.0, counted_from + plan.seconds - time.perf_counter()))
        busy = processor_seconds(plan.server) - busy
        try:
            counted, made, used = map(sum, zip(*(part.result() for part in parts), strict=True))
        except (OSError, SSL.Error) as failed:
            raise SystemExit(f"a connection failed: {failed}") from failed
    return Result(
        counted=counted, made=made + 1, used=used / max(1, made), server_busy=round(busy / plan.seconds, 2)
    )


if __name__ == "__main__":
    print(msgspec.json.encode(drive(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
