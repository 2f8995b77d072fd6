"""The same two services by uvicorn and Starlette: ``python peer.py PORT DATABASE``.

Events go into a SQLite file as into the gateway's journal: a write-ahead log that is synced with every commit, and
the answer after it. As Starlette has it for what blocks, that happens on threads of its pool. They share one
connection and take turns; with one for each thread they would wait for SQLite's lock asleep.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from threading import Lock

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

JSON = "application/json"
ALIVE = b'{"status":"ok"}'
NO_STORE = {"Cache-Control": "no-store"}


class Log:
    """Events in a table."""

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE event (sequence INTEGER PRIMARY KEY, source TEXT, received REAL, body BLOB)"
        )

    def append(self, source: str, body: bytes) -> int:
        """Commit one event, and return its sequence; blocks."""
        insert = "INSERT INTO event (source, received, body) VALUES (?, ?, ?)"
        with self._lock:
            # Without BEGIN each statement is a transaction: it is synced when this returns.
            sequence = self._database.execute(insert, (source, time.time(), body)).lastrowid
        assert sequence is not None
        return sequence


def application(log: Log) -> Starlette:
    """Return what is served."""
    decode, encode = msgspec.json.decode, msgspec.json.encode

    async def healthz(_: Request) -> Response:
        return Response(ALIVE, media_type=JSON, headers=NO_STORE)

    async def take(request: Request) -> Response:
        body = await request.body()
        decode(body)
        sequence = await run_in_threadpool(log.append, request.path_params["source"], body)
        return Response(encode({"sequences": [sequence]}), 202, media_type=JSON)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/api/v1/events/{source}", take, methods=["POST"])],
    )


if __name__ == "__main__":
    # As pip's uvicorn[standard] has it: httptools reads HTTP, uvloop is the loop. No line of a log for a request.
    uvicorn.run(
        application(Log(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="warning",
    )
