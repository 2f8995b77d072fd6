"""The SSH services of a gateway: who comes in, and to what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.threads import deferToThreadPool

from lineside.assemble.listening import listener
from lineside.assemble.settings import Settings
from lineside.assemble.sshsettings import SshSettings
from lineside.background import Background
from lineside.edges.ssh.channels import Programs
from lineside.edges.ssh.door import Limits, SshDoor, SshPart
from lineside.edges.ssh.hostkeys import HostKeys, host_keys
from lineside.edges.ssh.logins import Logins, User, Visitor
from lineside.edges.ssh.shell.session import Conversation, OneCommand
from lineside.operations.registry import Operations
from lineside.operations.results import SshCounts
from lineside.security.audit import Act
from lineside.security.identity import Identity

SFTP = b"sftp"
Boxes = Mapping[str, Callable[[Visitor], IProtocol]]
"""By source, what gives the protocol of a session of SFTP."""


class SshServices:
    """What serves SSH.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: with a table ``[ssh]``.
        operations: what operators may ask.
        record: puts on record who came and what they asked for.
        failed_login: is told from where somebody came who could not log in.
        boxes: the drop boxes.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        operations: Operations,
        *,
        record: Callable[[Act], None],
        failed_login: Callable[[str], None],
        boxes: Boxes | None = None,
    ) -> None:
        table = settings.ssh
        assert table is not None
        self._reactor = reactor
        self._settings = table
        self._operations = operations
        self._boxes = boxes or {}
        self._background = Background("ssh")
        self._record = record
        self._failed_login = failed_login
        self.limits = Limits(connections=table.max_connections, patience=table.login_timeout)
        self._names = {
            "source": [*settings.sources],
            "route": [*settings.routes],
            "target": [*settings.targets],
            "task": [*settings.tasks],
        }
        endpoint = listener(reactor, table.listen, "ssh", None)
        self.part = SshPart(endpoint, table.listen, self._door, self._background)

    @property
    def counts(self) -> SshCounts:
        """Tell how many are there, and how many came."""
        door = self.part.door
        return SshCounts() if door is None else door.counts

    async def _door(self) -> SshDoor:
        keys: HostKeys = await self._aside(partial(host_keys, self._settings.host_keys))
        return SshDoor(
            self._reactor,
            keys,
            Logins(users(self._settings), self._aside),
            self._programs,
            self.limits,
            record=self._record,
            failed_login=self._failed_login,
        )

    def _aside(self, work: Callable[[], Any]) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    def _programs(self, visitor: Visitor) -> Programs:
        source = visitor.user.source
        if source is not None:
            box = self._boxes.get(source)
            return Programs(subsystems={} if box is None else {SFTP: box})
        greeting = f"This is Lineside; you are {visitor.user.name}, {visitor.user.identity.role}. Type help."
        shared = (self._operations, self._background, self._reactor)
        return Programs(  # noqa: S604 (no shell of the system)
            shell=lambda session: Conversation(session, *shared, self._known_names, greeting),
            command=lambda session, line: OneCommand(session, *shared, line),
        )

    def _known_names(self) -> Mapping[str, Sequence[str]]:
        return self._names


def users(settings: SshSettings) -> dict[str, User]:
    """Return who may log in."""
    return {
        name: User(
            name,
            Identity(name, each.role or "nobody"),
            frozenset(each.keys),
            None if each.password is None else each.password.reveal(),
            each.source,
            each.networks,
        )
        for name, each in settings.users.items()
    }
