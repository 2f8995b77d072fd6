"""The plant of the demonstration: an ERP and a gateway as processes of their own."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from lineside.demo.children import Child, Process, Start
from lineside.demo.reckoning import Row
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.prepare import prepare
from lineside.model.errors import LinesideError
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowStatus
from lineside.operations.results import Status
from lineside.testing.workload import employees

TIME_ZONE = "Europe/Berlin"
"""The ERP's own, so that the demonstration passes through a conversion of times."""
PATIENCE = 30.0
"""Seconds a process gets to start."""


class Plant:
    """An ERP stand-in and a gateway over one directory. Their logs are kept there.

    Args:
        reactor: runs the processes.
        directory: must exist.
        start: how a ``lineside`` command is started.
        scenario: the gateway's configuration, with ``${erp}``, ``${port}`` and ``${web}`` to fill in; the
            demonstration's without.

    """

    def __init__(
        self, reactor: Any, directory: Path, *, start: Start = Child.start, scenario: str | None = None
    ) -> None:
        self.directory = directory
        self.port, self.web = free_port(), free_port()
        while self.web == self.port:
            self.web = free_port()
        """Where the dashboard is."""
        self._reactor = reactor
        self._start = start
        self._scenario = scenario
        self._processes: list[Process] = []
        self._key, self._secret = secrets.token_hex(8), secrets.token_hex(16)
        self._environ = {"LINESIDE_DEMO_KEY": self._key, "LINESIDE_DEMO_SECRET": self._secret}
        self.operations = RemoteOperations(reactor, directory / "journal.db.sock")
        self.kills = 0

    async def start(self) -> None:
        """Start the ERP, then the gateway.

        Raises:
            LinesideError: a process did not come up; says where its log is.

        """
        await self.start_erp()
        self.start_gateway()
        await self.gateway_works()

    async def start_erp(self) -> None:
        """Start the ERP, give it the id field, and write the gateway's configuration.

        Raises:
            LinesideError: it did not come up; says where its log is.

        """
        url = await self._erp_listens()
        self.erp = FrappeClient(self._reactor, url, self._key, self._secret, timeout=60.0, pool_size=8)
        await prepare(self.erp, ["Employee Checkin", "ToDo"], "lineside_id")
        scenario = self._scenario or files("lineside.demo").joinpath("scenario.toml").read_text()
        configuration = Template(scenario).substitute(erp=url, port=self.port, web=self.web)
        (self.directory / "lineside.toml").write_text(configuration)

    def start_gateway(self) -> None:
        """Start the gateway, for the first time or after it was killed."""
        self.gateway = self._run(["run", "-c", str(self.directory / "lineside.toml")], "gateway.log")

    async def gateway_works(self) -> None:
        """Return when the gateway answers.

        Raises:
            LinesideError: it ended, or did not answer in time.

        """
        began = self._reactor.seconds()
        while await self.status() is None:
            if self.gateway.code is not None or self._reactor.seconds() - began > PATIENCE:
                raise LinesideError(f"the gateway did not start; see {self.directory / 'gateway.log'}")
            await deferLater(self._reactor, 0.1)

    async def kill_gateway(self) -> None:
        """Kill the gateway with SIGKILL and start it anew."""
        self.kills += 1
        self.gateway.signal("KILL")
        await self.gateway.ended()
        self.start_gateway()

    async def status(self) -> Status | None:
        """Return what the gateway says of itself; None while it is not there."""
        try:
            return await self.operations.call(ShowStatus())
        except LinesideError:
            return None

    async def set_faults(self, **faults: object) -> None:
        """Set fault knobs of the ERP."""
        await self._post("/_standin/faults", faults)

    async def count_documents(self) -> int:
        """Ask the ERP how many documents it holds."""
        counts = [
            int(await self._ask("frappe.client.get_count", {"doctype": doctype}))
            for doctype in ("Employee Checkin", "ToDo")
        ]
        return sum(counts)

    async def rows(self) -> list[Row]:
        """Read all documents out of the ERP, past the gateway."""
        rows = []
        for doctype, field in (("Employee Checkin", "device_id"), ("ToDo", "description")):
            question = {"doctype": doctype, "fields": [field, "creation"], "limit_page_length": 0}
            for row in await self._ask("frappe.client.get_list", question):
                created = datetime.fromisoformat(row["creation"]).replace(tzinfo=ZoneInfo(TIME_ZONE))
                rows.append(Row(row[field].rpartition(" ")[2], created.timestamp()))
        return rows

    async def stop(self) -> int:
        """Let the gateway finish, then end the ERP; returns the gateway's exit code."""
        gateway = await self.stop_gateway()
        await self.stop_erp()
        return gateway

    async def stop_gateway(self) -> int:
        """Let the gateway finish; returns its exit code."""
        return await self._end(self.gateway)

    async def stop_erp(self) -> None:
        """End the ERP."""
        await self.erp.close()
        await self._end(self._erp_process)

    def kill(self) -> None:
        """End everything at once."""
        for process in self._processes:
            process.signal("KILL")

    def _run(self, arguments: list[str], log: str, line: Callable[[str], None] = lambda line: None) -> Process:
        process = self._start(self._reactor, arguments, log=self.directory / log, environ=self._environ, line=line)
        self._processes = [other for other in self._processes if other.code is None] + [process]
        return process

    async def _end(self, process: Process) -> int:
        process.signal("TERM")
        late = self._reactor.callLater(PATIENCE, process.signal, "KILL")
        code = await process.ended()
        if late.active():
            late.cancel()
        return code

    async def _erp_listens(self) -> str:
        address: Deferred[str] = Deferred()
        log = self.directory / "erp.log"

        def heard(line: str) -> None:
            _, found, url = line.partition("listening on ")
            if found and not address.called:
                address.callback(url.strip())

        data = ["--port", "0", "--data", str(self.directory / "erp.db"), "--time-zone", TIME_ZONE]
        data += ["--employees", str(len(employees()))]
        keys = ["--api-key", self._key, "--api-secret", self._secret]
        self._erp_process = self._run(["standin", *data, *keys], "erp.log", heard)

        def ended(code: int) -> None:
            if not address.called:
                address.errback(LinesideError(f"the ERP stand-in did not start (exit {code}); see {log}"))

        Deferred.fromCoroutine(self._erp_process.ended()).addCallback(ended)

        def late(reason: object, seconds: float) -> NoReturn:
            raise LinesideError(f"the ERP stand-in did not start within {seconds:g} s; see {log}")

        return await address.addTimeout(PATIENCE, self._reactor, late)

    async def _ask(self, method: str, arguments: dict[str, object]) -> Any:
        return (await self._post(url_path("api", "method", method), arguments))["message"]

    async def _post(self, path: str, body: object) -> Any:
        reply = await self.erp.request("POST", path, body=msgspec.json.encode(body))
        if reply.status != 200:
            raise LinesideError(f"the ERP answered {reply.status} to {path}: {reply.body[:300].decode()}")
        return msgspec.json.decode(reply.body)


def free_port() -> int:
    """Return a port on which a process can listen again and again.

    It lies below those that the kernel gives to whoever dials (``ip_local_port_range``): while nothing listens,
    a device that dials could get the very port as its own, be connected with itself, and keep the process from
    coming back.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    lowest = 8_192
    highest = first if first > 2 * lowest else 32_768
    while True:
        port = lowest + secrets.randbelow(highest - lowest)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
