"""Who is subscribed to what, and what they are sent. Pure: no Twisted, no sockets.

A publication is encoded once, into the very bytes of its WebSocket frame, however many get it. Where the hub may
gather, those of a moment are one piece of bytes, that each member is handed once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from msgspec import Raw, Struct

from lineside.edges.websocket.messages import one_line, push, text_frame

GATHERED = 262_144
"""Bytes of one channel that wait to be spread at most."""

Spread = Callable[[], None]


class Member(Protocol):
    """One client's connection."""

    id: str
    """Of this connection, unique."""
    user: str

    def deliver(self, frame: bytes) -> None:
        """Send whole WebSocket frames, after all that was delivered before."""
        ...


class Publication(Struct, frozen=True):
    """One message of a channel."""

    data: Raw
    offset: int = 0
    """Its place in the channel's stream; 0 where that has none."""
    info: dict[str, Any] | None = None
    """Who published it, where a client did."""

    def told(self) -> dict[str, Any]:
        """Return it as the protocol has it."""
        content: dict[str, Any] = {"data": self.data}
        if self.offset:
            content["offset"] = self.offset
        if self.info is not None:
            content["info"] = self.info
        return content


class Subscription:
    """One member's subscription to one channel.

    While ``held`` is a list, publications are kept there for the member instead of being sent.
    """

    __slots__ = ("channel", "held", "info", "member", "silent")

    def __init__(self, channel: Channel, member: Member, info: dict[str, Any], *, silent: bool) -> None:
        self.channel = channel
        self.member = member
        self.info = info
        self.silent = silent
        """Its coming and going is told to nobody."""
        self.held: list[tuple[int, bytes]] | None = None


class Ring:
    """The newest publications of a channel, bounded in number and bytes.

    Args:
        after: everything above this offset is in the ring.
        most: publications.
        room: bytes of their data.

    """

    def __init__(self, after: int, *, most: int, room: int = 4 * 1024 * 1024) -> None:
        self.after = after
        self._most = most
        self._room = room
        self._size = 0
        self._kept: deque[Publication] = deque()

    def add(self, publication: Publication) -> None:
        """Keep the newest publication; one that is kept already is let pass."""
        if self._kept and publication.offset <= self._kept[-1].offset:
            return
        self._kept.append(publication)
        self._size += len(bytes(publication.data))
        while len(self._kept) > self._most or self._size > self._room:
            oldest = self._kept.popleft()
            self._size -= len(bytes(oldest.data))
            self.after = oldest.offset

    def since(self, offset: int) -> list[Publication]:
        """Return what is above ``offset``, oldest first."""
        newer: list[Publication] = []
        for publication in reversed(self._kept):
            if publication.offset <= offset:
                break
            newer.append(publication)
        return newer[::-1]

    def __iter__(self) -> Iterator[Publication]:
        return iter(self._kept)


class Channel:
    """What is known of one channel that has subscribers."""

    __slots__ = ("_gathered", "_size", "name", "subscriptions")

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: dict[str, Subscription] = {}
        self._gathered: list[tuple[int, bytes]] = []
        self._size = 0

    def gather(self, offset: int, frame: bytes) -> None:
        """Keep a frame for all who are subscribed now, until it is spread."""
        self._gathered.append((offset, frame))
        self._size += len(frame)
        if self._size > GATHERED:
            self.spread()

    def spread(self) -> None:
        """Hand out what was gathered; must come before anybody is subscribed, or no longer."""
        if not self._gathered:
            return
        gathered, self._gathered, self._size = self._gathered, [], 0
        together = gathered[0][1] if len(gathered) == 1 else b"".join([frame for _, frame in gathered])
        for subscription in list(self.subscriptions.values()):
            if subscription.held is None:
                subscription.member.deliver(together)
            else:
                subscription.held += gathered


class Hub:
    """All channels that somebody is subscribed to."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._soon: Callable[[Spread], None] = lambda spread: spread()

    def gather(self, soon: Callable[[Spread], None]) -> None:
        """From now on let publications wait for each other.

        Args:
            soon: is told at each publication what will send it out, and calls that once for all it was told.

        """
        self._soon = soon

    def __contains__(self, channel: object) -> bool:
        return channel in self._channels

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def subscribe(
        self, channel: str, member: Member, info: dict[str, Any], *, silent: bool = False, hold: bool = False
    ) -> Subscription:
        """Subscribe a member, and tell the others unless ``silent``; ``hold`` sends it nothing before `flush`."""
        known = self._channels.setdefault(channel, Channel(channel))
        subscription = Subscription(known, member, info, silent=silent)
        known.spread()
        if not silent:
            self._tell(known, "join", info)
        known.subscriptions[member.id] = subscription
        if hold:
            subscription.held = []
        return subscription

    def unsubscribe(self, channel: str, member: Member) -> None:
        """End a member's subscription, if there is one, and tell the others."""
        known = self._channels.get(channel)
        if known is None:
            return
        known.spread()
        subscription = known.subscriptions.pop(member.id, None)
        if subscription is None:
            return
        if not known.subscriptions:
            del self._channels[channel]
        elif not subscription.silent:
            self._tell(known, "leave", subscription.info)

    def publish(self, channel: str, publication: Publication) -> None:
        """Send to all who are subscribed."""
        known = self._channels.get(channel)
        if known is None:
            return
        known.gather(publication.offset, text_frame(push(channel, "pub", publication.told())))
        self._soon(known.spread)

    def flush(self, subscription: Subscription, after: int) -> None:
        """Send what was held, but for what is at or below the offset ``after``."""
        subscription.channel.spread()
        held, subscription.held = subscription.held or [], None
        for offset, frame in held:
            if not offset or offset > after:
                subscription.member.deliver(frame)

    def presence(self, channel: str) -> dict[str, dict[str, Any]]:
        """Return who is subscribed, by connection."""
        known = self._channels.get(channel)
        return {} if known is None else {name: each.info for name, each in known.subscriptions.items()}

    def _tell(self, channel: Channel, kind: str, info: dict[str, Any]) -> None:
        channel.gather(0, text_frame(push(channel.name, kind, {"info": info})))
        channel.spread()


def publication(data: bytes, offset: int = 0, info: dict[str, Any] | None = None) -> Publication:
    """Return JSON as a publication."""
    return Publication(Raw(one_line(data)), offset, info)
