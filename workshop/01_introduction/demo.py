"""Demonstration: ten clients at a server that waits, and at one that does not."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

from lineside.workshop.stage import Stage, perform

CLIENTS = 10
ERP_TAKES = 0.3
"""Seconds; a busy ERP needs so long for a question now and then."""


def play(stage: Stage) -> None:
    """Play the chapter "Introduction"."""
    erp = stage.erp()
    erp.faults(latency=ERP_TAKES)
    stage.say(f"The ERP takes {ERP_TAKES} s for each question today.")

    stage.step("A server that waits")
    blocking = waits(stage, erp, "blocking.py")
    stage.notice(
        "Each client waits for all that came before it: the server has one thread, and that thread stands still "
        "while the ERP thinks. The tenth waits ten times as long as the first."
    )

    stage.step("A server that does not wait")
    non_blocking = waits(stage, erp, "non_blocking.py")
    stage.notice(
        "One thread here too. But while the ERP thinks about the first question, the second has been sent already. "
        "Nobody waits for anybody else."
    )

    stage.step("How it is done: an event loop by hand")
    loop = stage.example(file="event_loop.py")
    port = int(loop.expect("listening on").rpartition(":")[2])
    one, other = stage.scanner("one", port), stage.scanner("other", port)
    one.send("hello")
    first = one.answer()
    other.send("hello")
    second = other.answer()
    one.send("again")
    third = one.answer()
    stage.notice(
        "Two connections are open in one thread, and both are heard, in any order. The loop waits for all of them "
        "together and calls a function for whichever has something to say. Twisted's reactor is such a loop."
    )

    stage.step("What was seen")
    answers = (first, second, third)
    stage.check("the loop heard two clients in turn", answers == ("line 1", "line 1", "line 2"))
    stage.check(
        f"blocking: the last client waited for all ten answers, {CLIENTS * ERP_TAKES:.0f} s and more",
        max(blocking) >= CLIENTS * ERP_TAKES,
    )
    stage.check(
        "non-blocking: the last client waited a third of that at most", max(non_blocking) < max(blocking) / 3
    )


def waits(stage: Stage, erp, file: str) -> list[float]:
    """Start a server, let ten clients ask at the same moment, and return the seconds that each one waited."""
    server = stage.example("--frappe", erp.url, file=file, environ=erp.environ)
    port = int(server.expect("listening on").rpartition(":")[2])
    began = time.monotonic()

    def ask(_number: int) -> float:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
            client.sendall(b"BOLT-M8\n")
            heard = client.makefile("rb").readline()
        waited = time.monotonic() - began
        assert heard == b"120\n", heard
        return waited

    with ThreadPoolExecutor(CLIENTS) as crowd:
        waited = sorted(crowd.map(ask, range(CLIENTS)))
    for place, seconds in enumerate(waited, start=1):
        stage.lines(f"{place:2d}. answer", f"{seconds:4.1f} s {'#' * round(seconds * 20)}")
    server.stop()
    return waited


if __name__ == "__main__":
    perform(play)
