"""A stand-in and a gateway with its HTTP services as processes, for who looks at them from outside. No reactor."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any, TypeVar
from urllib.request import Request, urlopen

from tests.rig.forked import Nursery
from tests.rig.quick import Quick

T = TypeVar("T")

DEADLINE = 60.0
"""Seconds that anything may take on a busy machine: a promise broken, not a promise of speed."""
LOOK_AGAIN = 0.05
EMPLOYEES = 20
CONFIGURATION = """
[journal]
path = "journal.db"

[http]
listen = "tcp:$web:interface=127.0.0.1"

[live]

[targets.erp]
type = "frappe"
url = "$erp"
api_key = "key"
api_secret = "secret"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
dedupe = "scan_id"
device = "reader"

[sources.shelf]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
dedupe = "scan_id"
device = "reader"

[routes.checkin]
sources = ["gate"]
doctype = "Employee Checkin"
order_by = "employee"
backoff = ["200ms", "500ms", "1s"]
[routes.checkin.document]
employee = "{{ employee }}"
time = "{{ at | site_time }}"
log_type = "{{ direction }}"
device_id = "{{ scan_id }}"

[routes.recount]
sources = ["shelf"]
doctype = "ToDo"
backoff = ["200ms", "500ms", "1s"]
[routes.recount.document]
description = "Recount {{ item }}: {{ qty }} on the shelf"
"""


class RunningPlant:
    """An ERP stand-in and a gateway over one directory, which must exist. Call `stop` in any case at the end.

    Args:
        directory: where all files are.
        nursery: where all commands start.

    """

    configuration = CONFIGURATION

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        self.directory = directory
        self._nursery = nursery
        self._config = directory / "lineside.toml"
        self._log = directory / "gateway.log"
        self._erp: Quick | None = None
        self._gateway: Quick | None = None
        self._sent = 0

    def start(self) -> None:
        """Start both; the gateway's configuration is written for the ports that they got."""
        options = ["--port", "0", "--data", str(self.directory / "erp.db"), "--employees", str(EMPLOYEES)]
        said = self.directory / "standin.log"
        self._erp = self._run("standin", *options, "--api-key", "key", "--api-secret", "secret", log=said)
        listening = re.compile(r"^listening on (\S+)\n", re.MULTILINE)
        self.erp_url = self.until("the stand-in to listen", lambda: listening.search(said.read_text()))[1]
        self._configure(0)
        self.lineside("erp", "prepare")
        self.start_gateway()
        # A gateway that comes back is to be found where it was.
        self._configure(int(self.url.rpartition(":")[2]))

    def start_gateway(self) -> None:
        """Start the gateway, and wait until it works."""
        self._log.unlink(missing_ok=True)
        self._gateway = self._run("run", "--log-format", "json", "-c", str(self._config), log=self._log)
        self.until("the gateway to work", lambda: "gateway.ready" in self._log.read_text())
        events = [json.loads(line) for line in self._log.read_text().splitlines()]
        self.url = next(f"http://{one['address']}" for one in events if one["event"] == "http.listening")
        self.sources = {one["source"]: one["address"] for one in events if one["event"] == "source.listening"}

    @property
    def gateway_pid(self) -> int:
        """The gateway's process."""
        assert self._gateway is not None
        return self._gateway.pid

    def stop_gateway(self) -> None:
        """End the gateway as its operator does."""
        self._end(self._gateway)

    def kill_gateway(self) -> None:
        """End the gateway as a power cut would."""
        assert self._gateway is not None
        self._gateway.kill()

    def stop(self) -> None:
        """End everything."""
        self._end(self._gateway)
        self._end(self._erp)

    def send(self, source: str, **event: Any) -> int:
        """Send one event as a device does, and return its sequence."""
        self._sent += 1
        return self.send_line(source, json.dumps({"scan_id": f"scan-{self._sent:05}", **event}))

    def send_line(self, source: str, line: str) -> int:
        """Send one line, and return the sequence of the event that it became; 0 if it was refused."""
        host, _, port = self.sources[source].rpartition(":")
        with socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), DEADLINE) as connection:
            connection.sendall(line.encode() + b"\n")
            answer = connection.makefile("rb").readline().decode()
        return int(answer.split()[1]) if answer.startswith("OK") else 0

    def check_in(self, employee: str, reader: str = "gate-1") -> int:
        """Send a badge held to a reader; returns the event's sequence."""
        # The ERP refuses a second one of the same employee at the same second.
        moment = datetime(2026, 3, 9, 6, tzinfo=UTC) + timedelta(seconds=self._sent)
        return self.send("gate", reader=reader, employee=employee, direction="IN", at=moment.isoformat())

    def add_employee(self) -> str:
        """Make an employee in the ERP, and return the name that it gives."""
        document = {
            "first_name": "New",
            "gender": "Prefer not to say",
            "date_of_birth": "1990-01-01",
            "date_of_joining": "2020-01-01",
            "company": "Stand-in Works",
        }
        return str(self.erp("POST", "/api/resource/Employee", document)["data"]["name"])

    def employees(self) -> int:
        """Count the ERP's employees, who are numbered from 1 on."""
        return int(self.erp("GET", "/api/method/frappe.client.get_count?doctype=Employee")["message"])

    def erp(self, method: str, path: str, document: object = None) -> Any:
        """Ask the ERP, past the gateway."""
        headers = {"Authorization": "token key:secret", "Content-Type": "application/json"}
        body = None if document is None else json.dumps(document).encode()
        with urlopen(Request(self.erp_url + path, body, headers, method=method), timeout=DEADLINE) as answer:
            return json.load(answer)

    def token(self, name: str, role: str) -> str:
        """Make an API token."""
        return str(json.loads(self.lineside("token", "create", name, "--role", role, "--json"))["text"])

    def lineside(self, *arguments: str) -> str:
        """Run a command to its end, and return what it printed."""
        done = self._nursery.run([*arguments, "-c", str(self._config)], {}, DEADLINE)
        assert done.code == 0, done.err
        return done.out

    def until(self, what: str, holds: Callable[[], T | None]) -> T:
        """Wait until ``holds`` returns something true, and return it."""
        late = time.monotonic() + DEADLINE
        while not (found := holds()):
            assert time.monotonic() < late, f"waited {DEADLINE:g} s for {what}:\n{self._last()}"
            time.sleep(LOOK_AGAIN)
        return found

    def _last(self) -> str:
        return self._log.read_text()[-3000:] if self._log.exists() else ""

    def _configure(self, web: int) -> None:
        self._config.write_text(Template(self.configuration).substitute(erp=self.erp_url, web=web))

    def _run(self, *arguments: str, log: Path) -> Quick:
        with log.open("a") as told, Path(os.devnull).open() as nothing:
            streams = (nothing.fileno(), told.fileno(), told.fileno())
            return Quick(self._nursery.socket, arguments, Path.cwd(), os.environ, streams)

    @staticmethod
    def _end(process: Quick | None) -> None:
        if process is None or process.code is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        except TimeoutError:
            process.kill()
