"""A gateway process with tasks, and commands on it. Needs no reactor."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.rig.forked import Finished, Nursery
from tests.rig.quick import Quick

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for anything that a busy machine may delay."""
LOOK_AGAIN = 0.05
CONFIGURATION = """
[journal]
path = "journal.db"
control = "control.sock"

[http]
listen = "tcp:0:interface=127.0.0.1"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[tasks.count]
run = "floor:count"
description = "Counts the bolts"
params = { upto = 3, pause = 0.02 }

[tasks.broken]
run = "floor:broken"

[tasks.hang]
run = "floor:hang"

[tasks.careful]
run = "floor:careful"

[tasks.block]
run = "floor:block"
thread = true

[tasks.night]
run = "floor:count"
cron = "0 2 * * 1-5"
time_zone = "Europe/Berlin"
params = { upto = 1, pause = 0 }

[tasks.scan]
run = "floor:scan"
on = "sources.gate"
when = "{{ item < 'part' }}"
"""
CODE = """
import time
from pathlib import Path

from lineside.tasks.context import Context
from msgspec import Struct

HERE = Path(__file__).parent


class Counting(Struct):
    upto: int
    pause: float


def mark(word):
    with (HERE / "marks").open("a") as marks:
        marks.write(f"{word}\\n")


def may_go():
    return (HERE / "go").exists()


async def count(context: Context[Counting]):
    for number in range(1, context.params.upto + 1):
        await context.sleep(context.params.pause)
        context.progress(number, context.params.upto, f"bin {number}")
        context.log(f"counted bin {number}")
    return {"counted": context.params.upto}


def broken(context):
    raise OSError("the printer is out of paper")


async def hang(context):
    mark("hangs")
    await context.sleep(3600)


def fetch():
    mark("fetch")
    return 3


def store(rows):
    mark("store")
    return rows


async def careful(context):
    rows = await context.step("fetch", fetch)
    mark("between")
    if not may_go():
        await context.sleep(3600)
    return await context.step("store", store, rows)


def block(context):
    mark("block")
    while not may_go():
        time.sleep(0.02)
    return "went"


def scan(context):
    mark(context.params["event"]["item"])
"""


class TaskGateway:
    """One directory, in which a gateway is started, killed and started again. Call `end` in any case."""

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        self.directory = directory
        self.configuration = directory / "lineside.toml"
        self.configuration.write_text(CONFIGURATION)
        (directory / "tasks").mkdir()
        (directory / "tasks/floor.py").write_text(CODE)
        self._nursery = nursery
        self.program = nursery.program(directory / "bin")
        self._process: Quick | None = None
        self._told: TextIO | None = None
        self.log: list[dict[str, Any]] = []
        """What the gateway logged since its start, and a test did not wait for."""

    def __call__(self, *arguments: str) -> Finished:
        """Run a command to its end."""
        return self._nursery.run([*arguments, "-c", str(self.configuration)], {}, PATIENCE)

    def start(self) -> None:
        """Start the gateway; returns when it is ready."""
        ours, theirs = os.pipe()
        self._told = os.fdopen(ours)
        command = ("run", "--log-format", "json", "-c", str(self.configuration))
        with open(theirs, "wb"), Path(os.devnull).open("r+b") as nothing:  # noqa: PTH123 (it is no path)
            streams = (nothing.fileno(), nothing.fileno(), theirs)
            self._process = Quick(self._nursery.socket, command, self.directory, os.environ, streams)
        self.log = []
        addresses = {}
        for event in ("source.listening", "http.listening", "gateway.ready"):
            addresses[event] = self.logged(event).get("address", "")
        self._gate = int(addresses["source.listening"].rpartition(":")[2])
        self.url = f"http://{addresses['http.listening']}"

    def logged(self, event: str) -> dict[str, Any]:
        """Read the log up to an event of this name; a gateway that does not come to it is killed."""
        assert self._process is not None
        assert self._told is not None
        with self._killed_when_late():
            for line in self._told:
                entry: dict[str, Any] = json.loads(line)
                self.log.append(entry)
                if entry["event"] == event:
                    return entry
        raise AssertionError(f"the gateway did not come to {event}: {self.log}")

    @contextmanager
    def _killed_when_late(self) -> Iterator[None]:
        assert self._process is not None
        late = threading.Timer(PATIENCE, os.kill, (self._process.pid, signal.SIGKILL))
        late.start()
        try:
            yield
        finally:
            late.cancel()

    def kill(self) -> None:
        """End the gateway as a power cut would."""
        self.stop("KILL")

    def stop(self, name: str = "TERM") -> int:
        """End the gateway with a signal; returns its exit code."""
        assert self._process is not None
        assert self._told is not None
        self._process.send_signal(signal.Signals[f"SIG{name}"])
        with self._killed_when_late():
            self.log += [json.loads(line) for line in self._told]
        self._told.close()
        code, self._process = self._process.wait(PATIENCE), None
        return code

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process is not None and self._told is not None:
            self._process.kill()
            self._told.close()

    def send(self, line: bytes) -> str:
        """Send a line as a device does; returns the answer."""
        with socket.create_connection(("127.0.0.1", self._gate), timeout=PATIENCE) as device:
            device.sendall(line + b"\n")
            return device.makefile().readline().rstrip()

    def ask(self, method: str, path: str, token: str = "", body: object = None) -> tuple[int, Any]:
        """Ask over HTTP; returns the status and the JSON."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(self.url + path, data, headers, method=method), timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def marks(self) -> list[str]:
        """Return what the functions noted."""
        path = self.directory / "tasks/marks"
        return path.read_text().split() if path.exists() else []

    def let_go(self) -> None:
        """Let the functions end that wait for it."""
        (self.directory / "tasks/go").touch()

    def run_of(self, number: int) -> dict[str, Any]:
        """Return one run as `tasks show` has it."""
        story: dict[str, Any] = json.loads(self("tasks", "show", str(number), "--json").out)
        return story

    def until(self, what: str, holds: Callable[[], T | None]) -> T:
        """Wait until ``holds`` returns something true, and return it."""
        late = time.monotonic() + PATIENCE
        while not (found := holds()):
            assert time.monotonic() < late, f"waited {PATIENCE:g} s for {what}: {self.log}"
            time.sleep(LOOK_AGAIN)
        return found

    def until_state(self, number: int, state: str) -> dict[str, Any]:
        """Wait until a run is in a state; returns its story."""

        def look() -> dict[str, Any] | None:
            story = self.run_of(number)
            return story if story["summary"]["state"] == state else None

        return self.until(f"run {number} to be {state}", look)
