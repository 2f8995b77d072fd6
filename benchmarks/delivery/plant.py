"""The processes that `frappe_delivery` measures: a stand-in with its documents, and what inserts into it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from delivery.loader import Plan
from durable_lines import Unfit, free_port, running, wait_for

HERE = Path(__file__).resolve().parent
KEY, SECRET = "bench", "bench"
TICKS = os.sysconf("SC_CLK_TCK")
LINES_AT_ONCE = 2_000

CONFIGURATION = """\
[journal]
path = "journal.db"

[sources.bench]
type = "lines"
listen = "tcp:{port}:interface=127.0.0.1"
format = "json"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:{erp}"
api_key = "{key}"
api_secret = "{secret}"
concurrency = {concurrency}

[routes.count]
sources = ["bench"]
doctype = "ToDo"
batch = {batch}
[routes.count.document]
description = "item {{{{ item }}}}, {{{{ qty }}}} pieces at {{{{ station }}}}"
priority = "Low"
"""
AWAY = 9
"""Nothing listens on this port: an ERP that is away."""


class Load(msgspec.Struct, frozen=True):
    """What inserts, and how."""

    by: str
    """``gateway``; ``fixed`` for one that does not adapt; ``agent`` for the bare loop; ``target`` for the Frappe
    target without a gateway."""
    concurrency: int
    batch: int = 1


class Templates(msgspec.Struct, frozen=True):
    """What every run begins with a copy of."""

    erp: Path
    """A stand-in's file that has the id field, and no documents."""
    journal: Path
    """A journal with a backlog that a route owes to its ERP."""
    backlog: int


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a process has used, over all of its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def standin(directory: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a stand-in over ``erp.db``."""
    data = ["--port", str(port), "--data", str(directory / "erp.db"), "--time-zone", "UTC"]
    keys = ["--api-key", KEY, "--api-secret", SECRET]
    own = directory / "standin"
    own.mkdir(exist_ok=True)
    with running([sys.executable, "-m", "lineside", "standin", *data, *keys, *options], own) as process:
        wait_for(port, process, own / "output")
        yield process


@contextlib.contextmanager
def gateway(directory: Path, erp: int, load: Load) -> Iterator[subprocess.Popen[bytes]]:
    """Run a gateway over ``journal.db``; it works once the block is entered."""
    port = free_port()
    configure(directory, port, erp, load)
    program = [str(HERE / "fixed.py")] if load.by == "fixed" else ["-m", "lineside"]
    with running([sys.executable, *program, "run", "-c", str(directory / "lineside.toml")], directory) as process:
        wait_for(port, process, directory / "output")
        yield process


def configure(directory: Path, port: int, erp: int, load: Load) -> None:
    """Write the gateway's configuration."""
    facts = {"port": port, "erp": erp, "key": KEY, "secret": SECRET}
    text = CONFIGURATION.format(concurrency=load.concurrency, batch=load.batch, **facts)
    (directory / "lineside.toml").write_text(text)


@contextlib.contextmanager
def loader(directory: Path, erp: int, load: Load) -> Iterator[subprocess.Popen[bytes]]:
    """Run a load without a gateway."""
    plan = Plan(
        f"http://127.0.0.1:{erp}",
        KEY,
        SECRET,
        "agent" if load.by == "agent" else "target",
        load.concurrency,
        load.batch,
    )
    command = [sys.executable, str(HERE / "loader.py"), msgspec.json.encode(plan).decode()]
    with running(command, directory) as process:
        yield process


def make_templates(directory: Path, backlog: int) -> Templates:
    """Prepare a stand-in, and fill a gateway's journal during an outage of its ERP.

    Raises:
        Unfit: one of them did not do what it should.

    """
    erp = free_port()
    with standin(directory, erp):
        configure(directory, free_port(), erp, Load("gateway", 1))
        command = [sys.executable, "-m", "lineside", "erp", "prepare", "-c", str(directory / "lineside.toml")]
        prepared = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if prepared.returncode:
            raise Unfit(f"the stand-in could not be prepared: {prepared.stderr.strip()}")
    port = free_port()
    configure(directory, port, AWAY, Load("gateway", 1))
    with running(
        [sys.executable, "-m", "lineside", "run", "-c", str(directory / "lineside.toml")], directory
    ) as process:
        wait_for(port, process, directory / "output")
        _send(port, backlog)
        finish(process)
    return Templates(directory / "erp.db", directory / "journal.db", backlog)


def _send(port: int, number: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        answers: IO[bytes] = connection.makefile("rb")
        for first in range(0, number, LINES_AT_ONCE):
            lines = range(first, min(first + LINES_AT_ONCE, number))
            connection.sendall(
                b"".join(b'{"item":"%05d","qty":%d,"station":"press-07"}\n' % (n, n % 90 + 1) for n in lines)
            )
            for _ in lines:
                if not (answer := answers.readline()).startswith(b"OK "):
                    raise Unfit(f"the gateway answered {answer!r} to a line")


def copy(database: Path, directory: Path) -> None:
    """Copy an SQLite file that nobody has open, with what lies beside it."""
    for part in database.parent.glob(f"{database.name}*"):
        if part.suffix in {".db", ".db-wal"}:
            shutil.copy(part, directory)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Let a process end what it has begun.

    Raises:
        Unfit: it failed.

    """
    process.terminate()
    if process.wait(30) != 0:
        raise Unfit(f"{process.args!r} exited with {process.returncode}")


def created(directory: Path) -> list[float]:
    """Return when each document came into being, by the stand-in's own rows; in order, seconds since 1970.

    Raises:
        Unfit: a delivery's id occurs twice.

    """
    with contextlib.closing(sqlite3.connect(f"file:{directory / 'erp.db'}?mode=ro", uri=True)) as database:
        rows = database.execute('SELECT creation, lineside_id FROM "tabToDo"').fetchall()
    if len({delivery for _, delivery in rows}) != len(rows):
        raise Unfit("the stand-in holds a document twice")
    return sorted(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() for stamp, _ in rows)


def settled(directory: Path) -> int:
    """Return how many records the gateway's journal knows to be delivered."""
    with contextlib.closing(sqlite3.connect(f"file:{directory / 'journal.db'}?mode=ro", uri=True)) as database:
        number: int = database.execute("SELECT count(*) FROM delivered").fetchone()[0]
        return number


def wait_for_first(directory: Path, process: subprocess.Popen[bytes], output: Path, within: float = 20.0) -> None:
    """Return once the stand-in holds a document.

    Raises:
        Unfit: none came in time, or the load has ended.

    """
    deadline = time.monotonic() + within
    with contextlib.closing(sqlite3.connect(f"file:{directory / 'erp.db'}?mode=ro", uri=True)) as database:
        while database.execute('SELECT count(*) FROM (SELECT 1 FROM "tabToDo" LIMIT 1)').fetchone()[0] == 0:
            if process.poll() is not None or time.monotonic() > deadline:
                said = output.read_text(errors="replace").strip().splitlines()
                raise Unfit(f"no document came: {said[-1] if said else 'the load said nothing'}")
            time.sleep(0.02)
