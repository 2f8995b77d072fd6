"""A gateway that kills itself with SIGKILL when it passes a named point for the n-th time.

The points lie on public seams: what SQLite is told, what goes out on a socket, what the HTTP agent hands over,
what the parts' ports are asked. Nothing of it is in the gateway itself.
"""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NoReturn

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.web.client import Agent
from twisted.web.iweb import IResponse

from lineside import straight
from lineside.delivery.courier import Courier
from lineside.edges.frappe.target import FrappeTarget
from lineside.edges.lines.source import LinesSource
from lineside.journal.seen import Seen
from lineside.store.database import Database

TRANSACTIONS = {
    "append": "INSERT INTO segment",
    "settle": "INSERT OR REPLACE INTO delivered",
    "migrate": "CREATE TABLE segment",
    "keys": "INSERT INTO key_run",
    "consumer": "INSERT INTO consumer",
    "refuse": "INSERT INTO dead_letter",
    "readmit": "UPDATE dead_letter SET retrying",
    "redeem": "DELETE FROM dead_letter",
}
"""A transaction's name, by a statement that only it carries out."""

POINTS = (
    *(f"{name}.{place}" for name in TRANSACTIONS for place in ("inside", "before-commit", "after-commit")),
    "open.wal",
    "answers.half-written",
    "delivery.sent",
    "delivery.answered",
    "delivery.known",
    "stop.sources",
    "stop.routes",
    "stop.journal",
)

INSERTS = (b"/api/resource/", b"/api/method/frappe.client.insert_many")
"""Where documents are posted to, one or several at a time."""


class Death:
    """Counts the passages of one point, and kills at the last."""

    def __init__(self, point: str, passages: int) -> None:
        if point not in POINTS:
            raise ValueError(f"there is no point {point}")
        self.point = point
        self._left = passages

    def due(self, point: str) -> bool:
        """Count a passage; true when it is the one to die at."""
        if point == self.point:
            self._left -= 1
            return self._left == 0
        return False

    def passed(self, point: str) -> None:
        """Count a passage, and die if it is the one."""
        if self.due(point):
            self.die()

    def die(self) -> NoReturn:
        """Leave a mark in the log, and nothing else."""
        os.write(sys.stderr.fileno(), mark(self.point).encode() + b"\n")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("SIGKILL returned")


def mark(point: str) -> str:
    """Return the log's last line of a gateway that died at a point."""
    return f"killed at {point}"


def arm(point: str, passages: int) -> None:
    """Let this process die at the n-th passage of a point; call before the gateway is built."""
    death = Death(point, passages)
    # A proof sends so few lines that their keys would never become a run.
    Seen.run_keys = 8
    watch_database(death)
    watch_sockets(death)
    watch_deliveries(death)
    watch_stopping(death)


def watch_database(death: Death) -> None:
    """See every statement, on whichever thread, and name transactions by what they do."""

    class WatchedConnection(sqlite3.Connection):
        kinds: frozenset[str] = frozenset()

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if sql == "COMMIT":
                self._pass("before-commit")
            if not self.in_transaction and (kinds := kinds_of(sql)):
                # The statement is its own transaction: all of it happens inside.
                self.kinds = kinds
                self._pass("inside")
                self._pass("before-commit")
                cursor = super().execute(sql, parameters)
                self._pass("after-commit")
                return cursor
            cursor = super().execute(sql, parameters)
            self._watch(sql)
            return cursor

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
            cursor = super().executemany(sql, parameters)
            self._watch(sql)
            return cursor

        def _watch(self, sql: str) -> None:
            if sql.startswith("BEGIN"):
                self.kinds = frozenset()
            elif sql == "COMMIT":
                self._pass("after-commit")
            elif sql.startswith("PRAGMA journal_mode"):
                death.passed("open.wal")
            else:
                for kind in kinds_of(sql):
                    self.kinds |= {kind}
                    death.passed(f"{kind}.inside")

        def _pass(self, place: str) -> None:
            for kind in self.kinds:
                death.passed(f"{kind}.{place}")

    sqlite3.connect = functools.partial(sqlite3.connect, factory=WatchedConnection)  # type: ignore[assignment]


def kinds_of(sql: str) -> frozenset[str]:
    """Return the transactions that a statement is a part of, by their names."""
    return frozenset(kind for kind, statement in TRANSACTIONS.items() if sql.startswith(statement))


def watch_sockets(death: Death) -> None:
    """See what goes out: answers to devices, of which half goes out, and deliveries, which go out whole."""
    answer = straight.write
    write = tcp.Connection.writeSomeData

    def write_answers(transport: Any, data: bytes) -> None:
        if data.startswith(b"OK ") and death.due("answers.half-written"):
            transport.socket.send(data[: len(data) // 2])
            death.die()
        answer(transport, data)

    def write_some(connection: tcp.Connection, data: bytes) -> Any:
        start = bytes(data[:32])
        written = write(connection, data)
        if start.startswith(tuple(b"POST " + path for path in INSERTS)):
            death.passed("delivery.sent")
        return written

    straight.write = write_answers
    replace(tcp.Connection, "writeSomeData", write_some)


def watch_deliveries(death: Death) -> None:
    """See the ERP's answers to deliveries, before and after the gateway has understood them."""
    request = Agent.request
    deliver = FrappeTarget.deliver

    def watched_request(agent: Agent, method: bytes, uri: bytes, *arguments: Any) -> Deferred[IResponse]:
        def answered(response: IResponse) -> IResponse:
            if method == b"POST" and any(path in uri for path in INSERTS):
                death.passed("delivery.answered")
            return response

        return request(agent, method, uri, *arguments).addCallback(answered)

    async def watched_deliver(target: FrappeTarget, batch: Any) -> Any:
        outcomes = await deliver(target, batch)
        death.passed("delivery.known")
        return outcomes

    replace(Agent, "request", watched_request)
    replace(FrappeTarget, "deliver", watched_deliver)


def watch_stopping(death: Death) -> None:
    """See the parts being asked to stop: sources with lines on their way, then routes, then the journal."""
    for part, method, point in (
        (LinesSource, "stop", "stop.sources"),
        (Courier, "stop", "stop.routes"),
        (Database, "close", "stop.journal"),
    ):
        replace(part, method, passing(getattr(part, method), death, point))


def replace(owner: type, name: str, watched: Callable[..., Any]) -> None:
    """Put a watched method in the place of one."""
    setattr(owner, name, watched)


def passing(
    method: Callable[[Any], Coroutine[Any, Any, None]], death: Death, point: str
) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Return a method that passes a point, then does what it did."""

    async def passes(part: Any) -> None:
        death.passed(point)
        await method(part)

    return passes
