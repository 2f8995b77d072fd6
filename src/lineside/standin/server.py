"""The stand-in as a process serves it: its file, its faults and its port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.ssl import CertificateOptions
from twisted.web.client import Agent, BrowserLikeRedirectAgent

from lineside.model.errors import JournalLocked, LinesideError
from lineside.standin import tables
from lineside.standin.authentication import ADMINISTRATOR, Credentials
from lineside.standin.doctypes import Library
from lineside.standin.documents import Documents
from lineside.standin.doors import Doors
from lineside.standin.employees import seed_employees
from lineside.standin.faults import FaultKnobs
from lineside.standin.passwords import set_password
from lineside.standin.postman import Postman
from lineside.standin.settings import Settings, SiteSettings
from lineside.standin.site import make_site
from lineside.standin.users import seed_user
from lineside.store.database import Database


class Service(Struct, frozen=True):
    """What a stand-in serves, and where."""

    data: Path
    """The SQLite file; made when missing."""
    credentials: Credentials
    port: int = 0
    """0 for any free one."""
    interface: str = "127.0.0.1"
    tls: CertificateOptions | None = None
    """Makes it serve https, and nothing else."""
    time_zone: str = "Europe/Berlin"
    """IANA name; the naive times of all documents are in it."""
    employees: int = 0
    """At least so many Employee documents are there from the start."""
    down: float = 0.0
    """Seconds after the start during which the port is shut."""
    roles: tuple[str, ...] = ()
    """Of the API key's user, but for Administrator."""
    password: str | None = None
    """Administrator's, to log in with; nobody can without."""
    library: Library | None = None
    """The DocTypes; the stand-in's own without."""
    settings: Settings = Settings()
    """Of the site, at the start."""


class StandinServer:
    """One stand-in; `start`, then `stop`. Both run on the reactor's thread.

    Args:
        reactor: listens, counts latencies, and brings results back from the database's threads.
        service: what to serve.
        faults: in force; also turned by requests.

    """

    name = "standin"

    def __init__(self, reactor: Any, service: Service, faults: FaultKnobs) -> None:
        self._service = service
        self._database = Database(service.data, (tables.COMPONENT,), reactor.callFromThread)
        self._documents = Documents(self._database, service.library, time_zone=service.time_zone)
        settings = SiteSettings(service.settings)
        site = make_site(
            reactor, self._documents, faults, service.credentials, settings=settings, go_down=self._go_down
        )
        agent = BrowserLikeRedirectAgent(Agent(reactor))
        self._postman = Postman(reactor, agent, self._documents)
        self._documents.on_webhooks = self._postman.post

        def endpoint(port: int) -> IStreamServerEndpoint:
            if service.tls is None:
                return TCP4ServerEndpoint(reactor, port, interface=service.interface)
            return SSL4ServerEndpoint(reactor, port, service.tls, interface=service.interface)

        self._doors = Doors(reactor, endpoint, site)

    @property
    def url(self) -> str:
        """Where it listens, such as ``http://127.0.0.1:8000``."""
        scheme = "http" if self._service.tls is None else "https"
        return f"{scheme}://{self._service.interface}:{self._doors.port}"

    async def start(self) -> None:
        """Open the file, then the port.

        Raises:
            LinesideError: the file cannot be used, or the port is taken; nothing is left open.

        """
        service = self._service
        try:
            await self._database.open()
        except JournalLocked as locked:
            raise LinesideError(f"{service.data} is in use: another stand-in serves it") from locked
        try:
            await self._documents.open()
            user = service.credentials.user
            await self._documents.write(lambda records: seed_user(records, user, service.roles))
            if service.employees:
                await self._documents.write(lambda records: seed_employees(records, service.employees, user))
            password = service.password
            if password:
                await self._documents.write(
                    lambda records: set_password(records.connection, ADMINISTRATOR, password)
                )
            await self._doors.open(service.port)
        except BaseException as failed:
            await self._database.close()
            if isinstance(failed, CannotListenError):
                where = f"{service.interface}:{service.port}"
                raise LinesideError(f"cannot listen on {where}: {failed.socketError}") from failed
            raise
        if service.down:
            self._go_down(service.down)

    async def stop(self) -> None:
        """Shut the port, finish what is being written, close the file."""
        await self._doors.close()
        await self._postman.stop()
        await self._database.close()

    def _go_down(self, seconds: float) -> None:
        self._doors.shut_for(seconds)


async def serve_until_stopped(reactor: Any, server: StandinServer, announce: Callable[[str], None]) -> None:
    """Start a stand-in, announce the line ``listening on URL``, and stop it when the reactor stops.

    Raises:
        LinesideError: it could not start.

    """
    await server.start()
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(server.stop()))
    announce(f"listening on {server.url}")
    await Deferred()
