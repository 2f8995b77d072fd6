"""Where clients of SSH come in: who is let in how often, and to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.ssh.authentication import Authentication
from lineside.edges.ssh.channels import Connection, Programs
from lineside.edges.ssh.hostkeys import HostKeys
from lineside.edges.ssh.logins import Failures, Logins, Visitor
from lineside.edges.ssh.transport import GuardedTransport
from lineside.listeningport import ListeningPort
from lineside.operations.results import SshCounts
from lineside.security.audit import Act

log = Logger()

SAY_EVERY = 10.0
"""Seconds between two lines of the log of one kind: each connection of a flood has a cause for one."""


class Limits(Struct, frozen=True):
    """How many may come."""

    connections: int = 64
    """At a time, in all."""
    unknown: int = 16
    """Of them those who have not logged in."""
    unknown_per_host: int = 8
    """Of these from one address."""
    patience: float = 30.0
    """Seconds to log in."""


class SshDoor(Factory):
    """Lets clients in.

    Args:
        clock: must follow a monotonic clock.
        keys: by which clients know the server.
        logins: who may log in.
        programs: what there is for a user.
        limits: how many may come.
        record: puts on record who came, and what they asked for.
        failed_login: counts a log-in that failed, with the door and the address.

    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        keys: HostKeys,
        logins: Logins,
        programs: Callable[[Visitor], Programs],
        limits: Limits,
        *,
        record: Callable[[Act], None] = lambda _: None,
        failed_login: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.limits = limits
        self.privateKeys = keys.private
        self.publicKeys = keys.public
        self.connections: set[GuardedTransport] = set()
        self.logged_in = self.turned_away = 0
        """Since the start: log-ins, and connections that were one too many."""
        self.failures = Failures(clock)
        self._clock = clock
        self._algorithms = keys.algorithms
        self._logins = logins
        self._programs = programs
        self._record = record
        self._failed_login = failed_login
        self._hosts: Counter[str] = Counter()
        """Of connections that have not logged in."""
        self._visitors: dict[GuardedTransport, Visitor] = {}
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> GuardedTransport | None:
        """Let a client begin; None, which cuts it, where there are too many."""
        host = str(getattr(addr, "host", "") or "unix")
        if (
            len(self.connections) >= self.limits.connections
            or self._hosts.total() >= self.limits.unknown
            or self._hosts[host] >= self.limits.unknown_per_host
        ):
            self.turned_away += 1
            self._say("ssh.busy", host, "too many connections")
            return None
        made = GuardedTransport(self._clock, self.limits.patience)
        made.factory = self
        made.supportedPublicKeys = list(self._algorithms)
        self.connections.add(made)
        self._hosts[host] += 1
        made.peer = host
        return made

    def authentication(self, _: GuardedTransport) -> Authentication:
        """Return the service by which a client logs in."""
        return Authentication(self._logins, self.failures, self)

    def welcome(self, transport: GuardedTransport, visitor: Visitor) -> None:
        """Open to a client what is there for its user."""
        self._leave(transport.peer)
        self.logged_in += 1
        self._visitors[transport] = visitor
        self._act(visitor, "ssh.login")
        log.info("ssh.login", user=visitor.user.name, peer=visitor.host)

        def tell(what: str, given: bool) -> None:
            self._act(visitor, "ssh.session", given=given, asked=what)

        transport.setService(Connection(visitor, self._programs(visitor), self._clock, tell))

    def failed(self, transport: GuardedTransport, name: str) -> None:
        """Count a log-in that failed."""
        self._failed_login(f"ssh, {transport.peer}")
        self._say("ssh.login_failed", transport.peer, "no user has this name, or not this key or password")

    def refused(self, transport: GuardedTransport, why: str) -> None:
        """Say why a client was turned away."""
        self._say("ssh.refused", transport.peer, why)

    def left(self, transport: GuardedTransport) -> None:
        """Count a client out."""
        self.connections.discard(transport)
        visitor = self._visitors.pop(transport, None)
        if visitor is None:
            self._leave(transport.peer)
        else:
            self._act(visitor, "ssh.logout")

    @property
    def counts(self) -> SshCounts:
        """Tell how many are there, and how many came."""
        return SshCounts(
            len(self.connections), len(self._visitors), self.logged_in, self.failures.total, self.turned_away
        )

    @property
    def visitors(self) -> list[Visitor]:
        """Who has logged in."""
        return list(self._visitors.values())

    def _leave(self, host: str) -> None:
        self._hosts[host] -= 1
        if self._hosts[host] <= 0:
            del self._hosts[host]

    def _act(self, visitor: Visitor, what: str, *, given: bool = True, **facts: Any) -> None:
        identity = visitor.user.identity
        role = "partner" if visitor.user.source is not None else identity.role
        self._record(Act(identity.name, role, visitor.where, what, "noted" if given else "failed", facts))

    def _say(self, what: str, peer: str, reason: str) -> None:
        now = self._clock.seconds()
        if now - self._said.get(what, float("-inf")) < SAY_EVERY:
            self._unsaid[what] += 1
            return
        self._said[what] = now
        more = self._unsaid.pop(what, 0)
        if what == "ssh.busy":
            log.warn(
                "ssh.busy",
                peer=peer,
                reason=reason,
                more=more,
                remedy="raise max_connections in [ssh], or find out who is there",
            )
        elif what == "ssh.refused":
            log.info("ssh.refused", peer=peer, reason=reason, more=more)
        else:
            log.warn(
                "ssh.login_failed",
                peer=peer,
                reason=reason,
                more=more,
                remedy="check the user's keys in [ssh.users], or find out who is there",
            )


class SshPart:
    """The `Part` that listens for SSH.

    Args:
        endpoint: where it listens.
        where: the same as the configuration has it, for messages.
        make: gives the door; called at the start, when keys are made that are missing.
        work: where sessions carry out commands; it is ended with them.

    """

    name = "ssh"

    def __init__(
        self, endpoint: IStreamServerEndpoint, where: str, make: Callable[[], Awaitable[SshDoor]], work: Background
    ) -> None:
        self._make = make
        self._work = work
        self._port = ListeningPort(self.name, endpoint, where)
        self.door: SshDoor | None = None

    @property
    def address(self) -> str:
        """Where it listens; see `ListeningPort.address`."""
        return self._port.address

    async def start(self) -> None:
        """Listen.

        Raises:
            LinesideError: there are no host keys and none can be made, or the address is in use or not ours.

        """
        self.door = await self._make()
        await self._port.listen(self.door)

    async def stop(self) -> None:
        """Take no more clients, and end those who are there."""
        await self._port.close()
        for connection in list(() if self.door is None else self.door.connections):
            connection.cut()
        self._work.cancel()
        await self._work.finish()
