"""Load for `tls_lines`: makes connections, one after the other in several threads, and counts them.

``python handshakes.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a `Result`. A connection
counts when TLS was agreed and its end was told by both sides, so that the server is done with it too.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """What to do."""

    port: int
    authority: str
    """The file with the CA of the server's certificate."""
    at_a_time: int
    warm_up: float
    seconds: float


class Result(msgspec.Struct, frozen=True):
    """What was done."""

    counted: int
    """Connections that ended within the measured time."""
    made: int
    """In all."""
    busy: float
    """Share of the measured time in which this process ran on a processor, all threads."""


def drive(plan: Plan) -> Result:
    """Connect again and again."""
    trust = ssl.create_default_context(cafile=plan.authority)
    began = time.perf_counter()
    counted_from = began + plan.warm_up
    counted_to = counted_from + plan.seconds
    counts: list[tuple[int, int]] = []
    failures: list[BaseException] = []

    def connect_again() -> None:
        counted = made = 0
        try:
            while (now := time.perf_counter()) < counted_to:
                with (
                    socket.create_connection(("127.0.0.1", plan.port), timeout=10) as plain,
                    trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
                    # Who is told of the end may close without a word of its own.
                    contextlib.suppress(ssl.SSLEOFError, ssl.SSLSyscallError, ConnectionError),
                ):
                    connection.unwrap()
                made += 1
                now = time.perf_counter()
                counted += counted_from <= now < counted_to
        except (OSError, ValueError) as failed:
            failures.append(failed)
        counts.append((counted, made))

    threads = [threading.Thread(target=connect_again) for _ in range(plan.at_a_time)]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, counted_from - time.perf_counter()))
    used = time.process_time()
    time.sleep(max(0.0, counted_to - time.perf_counter()))
    used = time.process_time() - used
    for thread in threads:
        thread.join(30)
    if failures:
        raise SystemExit(f"a connection failed: {failures[0]}")
    counted, made = map(sum, zip(*counts, strict=True))
    return Result(counted=counted, made=made, busy=round(used / plan.seconds, 2))


if __name__ == "__main__":
    print(msgspec.json.encode(drive(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
