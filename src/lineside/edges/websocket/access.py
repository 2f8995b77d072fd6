"""Who may do what in which channel. Pure but for the ERP's own documents, whose permission the ERP is asked for."""

from __future__ import annotations

from collections.abc import Container, Mapping

from msgspec import Struct

from lineside.edges.websocket.codes import INTERNAL, PERMISSION_DENIED, UNKNOWN_CHANNEL, Refused
from lineside.model.errors import LinesideError
from lineside.model.ports import Credential, PermissionOracle
from lineside.security.identity import Identity, Role

LONGEST = 255
"""Characters of a channel's name."""


class Rule(Struct, frozen=True):
    """What the channels of one namespace, that before the first colon, allow."""

    subscribe: frozenset[Role] = frozenset()
    publish: frozenset[Role] = frozenset()
    presence: bool = False
    """Members see who else is there, and are told who comes and goes."""


READERS: frozenset[Role] = frozenset({"viewer", "operator", "admin"})
WRITERS: frozenset[Role] = frozenset({"operator", "admin"})

OWN: dict[str, Rule] = {
    "events": Rule(READERS),
    "deliveries": Rule(READERS),
    "deadletters": Rule(READERS),
    "device": Rule(READERS),
    "tasks": Rule(READERS),
}
"""The gateway's own namespaces; nobody but the gateway publishes in them."""


class Access:
    """Decides by namespace.

    Args:
        rules: the configuration's namespaces.
        oracle: decides on ``frappe:*``; None where there are no such channels.
        sources: that have a channel ``events:SOURCE``; None for all that anybody may name.
        tasks: that have a channel ``tasks:NAME``.

    """

    def __init__(
        self,
        rules: Mapping[str, Rule],
        oracle: PermissionOracle | None = None,
        *,
        sources: Container[str] | None = None,
        tasks: Container[str] = (),
    ) -> None:
        self._rules = {**rules, **OWN}
        self._oracle = oracle
        self._sources = sources
        self._tasks = tasks

    async def subscribe(self, identity: Identity, channel: str, credential: Credential | None = None) -> None:
        """Raise unless somebody may subscribe.

        Raises:
            Refused: 102, there is no such namespace; 103, they may not.

        """
        namespace, _, name = channel.partition(":")
        if namespace == "frappe" and self._oracle is not None:
            if credential is None or not await self._readable(self._oracle, credential, channel):
                raise Refused(PERMISSION_DENIED)
            return
        rule = self.rule(channel)
        if namespace == "device" and identity.role == "device" and identity.name == name:
            return
        if identity.role not in rule.subscribe:
            raise Refused(PERMISSION_DENIED)

    async def _readable(self, oracle: PermissionOracle, credential: Credential, channel: str) -> bool:
        try:
            return await oracle.may_read(credential, channel)
        except LinesideError as away:
            # Temporary: the client tries again by itself.
            raise Refused(INTERNAL) from away

    def publish(self, identity: Identity, channel: str) -> None:
        """Raise unless somebody may publish.

        Raises:
            Refused: 102 or 103.

        """
        if identity.role not in self.rule(channel).publish:
            raise Refused(PERMISSION_DENIED)

    def rule(self, channel: str) -> Rule:
        """Return the rule of a channel's namespace.

        Raises:
            Refused: 102, there is none.

        """
        namespace, colon, name = channel.partition(":")
        rule = self._rules.get(namespace)
        alone = namespace in {"deliveries", "deadletters"}
        named = (namespace != "events" or self._sources is None or name in self._sources) and (
            namespace != "tasks" or name in self._tasks
        )
        if rule is None or (alone and colon) or not (alone or name) or not named:
            raise Refused(UNKNOWN_CHANNEL)
        return rule


def well_formed(channel: str) -> bool:
    """Tell whether a channel may have this name."""
    return 0 < len(channel) <= LONGEST and channel.isprintable()
