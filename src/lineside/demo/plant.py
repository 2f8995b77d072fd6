"""The plant of the demonstration: an ERP and a gateway as processes of their own."""

from __future__ import annotations

import secrets
import socket
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from lineside.demo.children import Child
from lineside.demo.reckoning import Row
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.prepare import prepare
from lineside.model.errors import LinesideError
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowStatus, Status
from lineside.testing.workload import employees

TIME_ZONE = "Europe/Berlin"
"""The ERP's own, so that the demonstration passes through a conversion of times."""
PATIENCE = 30.0
"""Seconds a process gets to start."""


class Plant:
    """An ERP stand-in and a gateway over one directory. Their logs are kept there."""

    def __init__(self, reactor: Any, directory: Path) -> None:
        self.directory = directory
        self.port = _free_port()
        self._reactor = reactor
        self._key, self._secret = secrets.token_hex(8), secrets.token_hex(16)
        self._environ = {"LINESIDE_DEMO_KEY": self._key, "LINESIDE_DEMO_SECRET": self._secret}
        self._control = RemoteOperations(reactor, directory / "journal.db.sock")
        self.kills = 0

    async def start(self) -> None:
        """Start the ERP, give it the id field, then start the gateway.

        Raises:
            LinesideError: a process did not come up; says where its log is.

        """
        url = await self._start_erp()
        self.erp = FrappeClient(self._reactor, url, self._key, self._secret, timeout=60.0, pool_size=8)
        await prepare(self.erp, ["Employee Checkin", "ToDo"], "lineside_id")
        scenario = files("lineside.demo").joinpath("scenario.toml").read_text()
        (self.directory / "lineside.toml").write_text(Template(scenario).substitute(erp=url, port=self.port))
        self.start_gateway()
        await self.gateway_works()

    def start_gateway(self) -> None:
        """Start the gateway, for the first time or after it was killed."""
        self.gateway = Child.start(
            self._reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ=self._environ,
        )

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
            return await self._control.call(ShowStatus())
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
        gateway = await self._end(self.gateway)
        await self.stop_erp()
        return gateway

    async def stop_erp(self) -> None:
        """End the ERP."""
        await self.erp.close()
        await self._end(self._erp_process)

    def kill(self) -> None:
        """End everything at once."""
        for child in (getattr(self, "gateway", None), getattr(self, "_erp_process", None)):
            if child is not None:
                child.signal("KILL")

    async def _end(self, child: Child) -> int:
        child.signal("TERM")
        late = self._reactor.callLater(PATIENCE, child.signal, "KILL")
        code = await child.ended()
        if late.active():
            late.cancel()
        return code

    async def _start_erp(self) -> str:
        address: Deferred[str] = Deferred()

        def heard(line: str) -> None:
            _, found, url = line.partition("listening on ")
            if found and not address.called:
                address.callback(url.strip())

        log = self.directory / "erp.log"
        data = ["--port", "0", "--data", str(self.directory / "erp.db"), "--time-zone", TIME_ZONE]
        data += ["--employees", str(len(employees()))]
        keys = ["--api-key", self._key, "--api-secret", self._secret]
        self._erp_process = Child.start(self._reactor, ["standin", *data, *keys], log=log, environ={}, line=heard)

        def ended(code: int) -> None:
            if not address.called:
                address.errback(LinesideError(f"the ERP stand-in did not start (exit {code}); see {log}"))

        Deferred.fromCoroutine(self._erp_process.ended()).addCallback(ended)
        return await address

    async def _ask(self, method: str, arguments: dict[str, object]) -> Any:
        return (await self._post(url_path("api", "method", method), arguments))["message"]

    async def _post(self, path: str, body: object) -> Any:
        reply = await self.erp.request("POST", path, body=msgspec.json.encode(body))
        if reply.status != 200:
            raise LinesideError(f"the ERP answered {reply.status} to {path}: {reply.body[:300].decode()}")
        return msgspec.json.decode(reply.body)


def _free_port() -> int:
    # The gateway must come back on the same port after it was killed.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
