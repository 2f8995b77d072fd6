"""Tables that may name a service instead of a machine."""

from __future__ import annotations

from pydantic import PrivateAttr

from lineside.assemble.table import Table


class AskingTable(Table):
    """What may name a service, and so has to know whom to ask where it is."""

    _name_servers: tuple[str, ...] = PrivateAttr(default=())

    @property
    def name_servers(self) -> tuple[str, ...]:
        """The servers of ``[dns]``; none for the machine's own."""
        return self._name_servers

    def ask(self, servers: tuple[str, ...]) -> None:
        """Learn whom to ask, once the whole file is read."""
        self._name_servers = servers
