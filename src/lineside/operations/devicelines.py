"""Devices that can be sent commands: the seam between who orders and who holds their connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from lineside.model.errors import LinesideError
from lineside.operations.results import CommandState
from lineside.wire.commands import Reply


class LineLost(Exception):
    """The connection ended, or the device ended its side of it: no reply will come."""


class NoAnswer(LinesideError):
    """A command that was put on record has no good answer; the text begins with its state."""

    def __init__(self, identifier: str, state: CommandState, reason: str | None) -> None:
        super().__init__(f"{state}: {reason} (command {identifier})")
        self.id = identifier
        self.state = state
        """With ``unsent`` the device has not got it, and will not; ``failed`` is its own answer."""


class CommandRules(Struct, frozen=True):
    """How one source's devices are sent commands."""

    expires: float = 10.0
    """Seconds in which a command is to be answered, where the one who gives it does not say."""
    queue: int = 16
    """Commands to one device that may wait while another one is under way."""


class DeviceLine(Protocol):
    """One connection, for the commands to the devices behind it."""

    @property
    def peer(self) -> str:
        """Where it leads."""
        ...

    @property
    def lost(self) -> bool:
        """It has ended."""
        ...

    @property
    def reads(self) -> bool:
        """The other end takes what is sent to it, and has spoken since a command to it expired."""
        ...

    def changed(self) -> Deferred[None]:
        """Return what fires when it reads again, is lost, or is no longer a device's: look anew then."""
        ...

    def ask(self, identifier: str, payload: bytes) -> Deferred[Reply]:
        """Write one command. Whoever waits no longer cancels; a reply that comes after that is told as late.

        The Deferred fails with `LineLost`.

        Raises:
            ValueError: the connection's framing cannot carry it; nothing was written.

        """
        ...


class DeviceLines(Protocol):
    """The devices of one source that are connected."""

    rules: CommandRules
    on_late: Callable[[str], None]
    """Called with the id of a command whose reply came when nobody waited for it any more."""

    def find(self, device: str) -> DeviceLine | None:
        """Return the connection on which a device was heard last; None where it is not connected."""
        ...

    def connected(self) -> Iterator[tuple[str, DeviceLine]]:
        """Yield each device and its connection."""
        ...
