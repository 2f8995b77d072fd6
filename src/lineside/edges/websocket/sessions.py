"""One client's conversation: commands in, replies and pushes out, one command after the other.

Calls that wait for a device or for the ERP are carried out beside the others, a few at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.websocket import codes, messages
from lineside.edges.websocket.access import Access, well_formed
from lineside.edges.websocket.channels import Hub, Publication
from lineside.edges.websocket.codes import Disconnect, Ended, ErrorCode, Refused, Unsubscribe
from lineside.edges.websocket.messages import Command, text_frame
from lineside.edges.websocket.recognition import Known, Recognition
from lineside.edges.websocket.rpc import BESIDE, Rpc
from lineside.edges.websocket.streams import Stream
from lineside.model.errors import LinesideError
from lineside.operations.web import Call
from lineside.security.identity import NotPermitted

log = Logger()

ERP = "frappe:"
"""The namespace in which the ERP says who may read."""
GRACE = 25.0
"""Seconds that a client has for a new token once the old one expired."""


class Limits(Struct, frozen=True):
    """What one connection may ask for."""

    channels: int = 128
    commands: int = 500
    """A second, and at a time."""
    queued: int = 1024 * 1024
    """Bytes of commands that wait, before the connection is read no further."""
    beside: int = 16
    """Calls under way beside the other commands; a further one waits for its turn, and the others for it."""
    history: int = 300
    """Publications of one reply, and of one recovery."""
    reply: int = 4 * 1024 * 1024
    """Bytes of their data."""
    ping: int = 25
    """Seconds between two pings."""
    pong: float = 8.0
    """Seconds that a client has for its answer."""
    connect: float = 15.0
    """Seconds that it has for its first command."""
    asked_again: float = 300.0
    """Seconds after which the ERP is asked again who a client is, and what it may still read."""


class Services(Struct, frozen=True):
    """What all sessions share."""

    hub: Hub
    access: Access
    stream_of: Callable[[str], Stream | None]
    rpc: Rpc
    recognition: Recognition
    clock: IReactorTime
    limits: Limits
    working: Background


class Wire(Protocol):
    """The connection below."""

    def put(self, frame: bytes) -> None:
        """Send a whole WebSocket frame."""
        ...

    def read(self, on: bool) -> None:
        """Read on, or read no more for now."""
        ...

    def end(self, disconnect: Disconnect) -> None:
        """Close the connection."""
        ...


class Session:
    """One client's conversation; a `Member` of the hub.

    Args:
        identifier: of this connection, unique.
        wire: the connection.
        call: the request by which it was opened; who sent it is who the client is, unless it brings a token.
        services: what it needs.

    """

    def __init__(self, identifier: str, wire: Wire, call: Call, services: Services) -> None:
        self.id = identifier
        self.user = ""
        self._wire = wire
        self.deliver = wire.put
        """See `Member`: it is called for each message."""
        self._call = call
        self._services = services
        self._known: Known | None = None
        """Who it is, once it said so."""
        self._info: dict[str, Any] = {}
        self._channels: set[str] = set()
        self._by_tokens: set[str] = set()
        """Channels into which a token of their own let it."""
        self._by_erp: set[str] = set()
        """Those of them that the ERP lets it read."""
        self._vouched = float("inf")
        """When the ERP knew it last."""
        self._expiring: dict[str, IDelayedCall] = {}
        self._queue: deque[tuple[Command, int]] = deque()
        """With the bytes that each holds."""
        self._queued = 0
        self._full = False
        """It is read no further."""
        self._works = False
        self._beside = 0
        self._held = False
        self._after_reply: Callable[[], None] | None = None
        self._ceased = False
        self._over = False
        self._second = float("-inf")
        self._asked = 0
        self.pinged: float | None = None
        """When a ping was sent that is not answered yet."""
        self._expire_later("", services.limits.connect, lambda: self.end(codes.STALE))

    @property
    def is_known(self) -> bool:
        """It has said who it is."""
        return self._known is not None

    def frame_came(self, payload: bytes) -> None:
        """Take the commands of a frame."""
        if self._over or self._ceased:
            return
        try:
            commands = messages.commands(payload)
            self._count(len(commands))
        except Ended as ended:
            self.end(ended.disconnect)
            return
        size = len(payload) // len(commands)
        for command in commands:
            if command.id:
                self._queue.append((command, size))
                self._queued += size
            elif not self._unasked(command):
                return
        self._go_on()
        if self._queued > self._services.limits.queued and not self._full:
            self._full = True
            # What it may have answered stands behind its commands.
            self.pinged = None
            self._wire.read(False)

    def hold(self) -> None:
        """Carry out no more commands for now: the client does not take the answers."""
        self._held = True

    def resume(self) -> None:
        """Go on with what waits."""
        self._held = False
        self._go_on()

    def cease(self) -> None:
        """Begin no further command; the one that is carried out is answered."""
        self._ceased = True
        self._queue.clear()

    def review(self) -> bool:
        """End where the client is no longer who it was; return whether it still is."""
        if self._known is None or self._services.recognition.still(self._known):
            return True
        self.end(codes.INVALID_TOKEN)
        return False

    def ping(self) -> None:
        """Ask for a sign of life, and end where the client is no longer who it was."""
        if self._known is not None:
            if not self.review():
                return
            if self._full and not self._held:
                # We are the slow one.
                return
            now = self._services.clock.seconds()
            if now - self._vouched >= self._services.limits.asked_again:
                self._vouched = float("inf")
                self._services.working.run("live", self._ask_again(self._known))
            self.pinged = now
            self.deliver(text_frame(messages.PING))

    async def _ask_again(self, known: Known) -> None:
        """End what the ERP lets a client have no longer; while it gives no answer all stays as it is."""
        try:
            lost = await self._services.recognition.lost_at_erp(known, sorted(self._by_erp))
        except Ended as ended:
            self.end(ended.disconnect)
            return
        except LinesideError:
            lost = []
        self._vouched = self._services.clock.seconds()
        for channel in self._by_erp.intersection(lost):
            self._end_subscription(channel, codes.SHUT_OUT)

    def end(self, disconnect: Disconnect) -> None:
        """Close the connection with a code."""
        if not self._over:
            self.closed()
            self._wire.end(disconnect)

    def closed(self) -> None:
        """Forget all: the connection is gone."""
        self._over = True
        self._queue.clear()
        if self._full:
            # The client's answer to the close frame is still to be read.
            self._full = False
            self._wire.read(True)
        for channel in sorted(self._channels):
            self._services.hub.unsubscribe(channel, self)
        self._channels.clear()
        self._by_tokens.clear()
        self._by_erp.clear()
        for expiring in self._expiring.values():
            expiring.cancel()
        self._expiring.clear()

    def _count(self, commands: int) -> None:
        now = self._services.clock.seconds()
        if now - self._second >= 1:
            self._second, self._asked = now, 0
        self._asked += commands
        if self._asked > self._services.limits.commands or len(self._queue) > self._services.limits.commands:
            raise Ended(codes.TOO_FAST)

    def _go_on(self) -> None:
        if self._queue and not self._works and not self._held:
            self._services.working.run("live", self._work())

    async def _work(self) -> None:
        self._works = True
        try:
            while self._queue and not self._held:
                command, size = self._queue.popleft()
                if self._may_go_beside(command):
                    self._beside += 1
                    self._services.working.run("live call", self._go_beside(command, size))
                else:
                    await self._carry_out(command)
                    self._let_in(size)
        except Ended as ended:
            self.end(ended.disconnect)
        finally:
            self._works = False

    def _may_go_beside(self, command: Command) -> bool:
        return (
            command.rpc is not None
            and command.rpc.method in BESIDE
            and self._known is not None
            and self._beside < self._services.limits.beside
        )

    async def _go_beside(self, command: Command, size: int) -> None:
        try:
            answer = await self._answer(command, *messages.method_of(command))
        except Ended as ended:
            self.end(ended.disconnect)
            return
        finally:
            self._beside -= 1
            self._let_in(size)
        if not self._over:
            self.deliver(text_frame(answer))

    async def _carry_out(self, command: Command) -> None:
        method, request = messages.method_of(command)
        if (method == "connect") == (self._known is not None) or method == "send":
            raise Ended(codes.BAD_COMMAND)
        self._after_reply = None
        answer = await self._answer(command, method, request)
        if self._over:
            return
        self.deliver(text_frame(answer))
        if self._after_reply is not None:
            self._after_reply()
        if method == "connect" and self._known is None:
            # What came along with it was meant for a connection that stands.
            self._let_in(sum(size for _, size in self._queue))
            self._queue.clear()

    def _let_in(self, size: int) -> None:
        """Note that so many bytes wait no longer."""
        self._queued -= size
        if self._full and self._queued <= self._services.limits.queued:
            self._full = False
            self._wire.read(True)

    async def _answer(self, command: Command, method: str, request: Any) -> bytes:
        try:
            return messages.reply(command.id, method, await getattr(self, f"_{method}")(request))
        except Ended:
            raise
        except CancelledError:
            raise
        except Refused as refused:
            return messages.error_reply(command.id, refused.error)
        except NotPermitted:
            return messages.error_reply(command.id, codes.PERMISSION_DENIED)
        except LinesideError as refused:
            return messages.error_reply(command.id, ErrorCode(codes.FAILED, str(refused)))
        except Exception:  # noqa: BLE001 (the client is told, and the log)
            log.failure("live.failed", method=method)
            return messages.error_reply(command.id, codes.INTERNAL)

    def _unasked(self, command: Command) -> bool:
        """Take a sign of life, which waits for no command before it; false where it is none, and the end."""
        if command.send is not None:
            self.end(codes.SEND_NOT_AVAILABLE)
        elif any(getattr(command, name) is not None for name in messages.METHODS):
            self.end(codes.BAD_COMMAND)
        else:
            self.pinged = None
        return not self._over

    async def _connect(self, request: messages.ConnectRequest) -> dict[str, Any]:
        known = await self._services.recognition.who(request.token, self._call)
        self._is_there()
        self._known = known
        if known.credential is not None:
            self._vouched = self._services.clock.seconds()
        self.user = known.identity.name
        self._info = {"user": self.user, "client": self.id}
        if known.info is not None:
            self._info["conn_info"] = known.info
        self._expiring.pop("").cancel()
        limits = self._services.limits
        result: dict[str, Any] = {
            "client": self.id,
            "version": "lineside",
            "ping": limits.ping,
            "pong": True,
        }
        if known.expires_in is not None:
            result |= {"expires": True, "ttl": known.expires_in}
            self._expire_later("", known.expires_in + GRACE, lambda: self.end(codes.EXPIRED))
        if known.channels:
            result["subs"] = await self._join_all(known.channels, request.subs)
        return result

    async def _join_all(
        self, channels: tuple[str, ...], positions: Mapping[str, messages.WasAt]
    ) -> dict[str, dict[str, Any]]:
        """Subscribe to all channels that a token names."""
        joined: dict[str, dict[str, Any]] = {}
        flushes: list[Callable[[], None] | None] = []
        for channel in channels:
            was = positions.get(channel, messages.WasAt())
            ask = messages.SubscribeRequest(
                channel, recover=bool(was.recover), offset=was.offset or 0, epoch=was.epoch
            )
            try:
                joined[channel] = await self._join(ask)
            except (CancelledError, Ended):
                raise
            except Exception as failed:
                # What is held for it in the channels before would be held for ever.
                log.failure("live.failed", method="connect")
                raise Ended(codes.SERVER_ERROR) from failed
            flushes.append(self._after_reply)

        def flush_all() -> None:
            for flush in flushes:
                if flush is not None:
                    flush()

        self._after_reply = flush_all
        return joined

    async def _refresh(self, request: messages.RefreshRequest) -> dict[str, Any]:
        known = self._services.recognition.again(request.token, self.user, peer=self._call.peer)
        self._known = known
        await self._leave_what_is_not_permitted()
        self._is_there()
        self._cancel("")
        result: dict[str, Any] = {"client": self.id, "version": "lineside"}
        if known.expires_in is not None:
            result |= {"expires": True, "ttl": known.expires_in}
            self._expire_later("", known.expires_in + GRACE, lambda: self.end(codes.EXPIRED))
        return result

    async def _leave_what_is_not_permitted(self) -> None:
        """End the subscriptions into which the client would not be let as who it is now."""
        assert self._known is not None
        for channel in sorted(self._channels - self._by_tokens - {*self._known.channels}):
            try:
                await self._services.access.subscribe(self._known.identity, channel, self._known.credential)
            except Refused as refused:
                # A site that gives no answer takes nothing away.
                if not refused.error.temporary and channel in self._channels:
                    self._end_subscription(channel, codes.SHUT_OUT)

    async def _subscribe(self, request: messages.SubscribeRequest) -> dict[str, Any]:
        channel = request.channel
        if request.type or not well_formed(channel) or request.offset < 0:
            raise Refused(codes.BAD_REQUEST)
        if channel in self._channels:
            raise Refused(codes.ALREADY_SUBSCRIBED)
        if len(self._channels) >= self._services.limits.channels:
            raise Refused(codes.LIMIT_EXCEEDED)
        assert self._known is not None
        expires: int | None = None
        if request.token:
            expires = self._by_token(channel, request.token)
        else:
            await self._services.access.subscribe(self._known.identity, channel, self._known.credential)
            self._is_there()
        result = await self._join(request)
        if request.token:
            self._by_tokens.add(channel)
        if not request.token and self._known.credential is not None and channel.startswith(ERP):
            self._by_erp.add(channel)
        if expires is not None:
            result |= {"expires": True, "ttl": expires}
            self._expire_subscription(channel, expires)
        return result

    def _by_token(self, channel: str, token: str) -> int | None:
        peer = self._call.peer
        return self._services.recognition.lets_in(token, user=self.user, client=self.id, channel=channel, peer=peer)

    async def _join(self, request: messages.SubscribeRequest) -> dict[str, Any]:
        """Subscribe; what is published meanwhile is held until the reply is out."""
        channel, hub = request.channel, self._services.hub
        silent = not self._shows_presence(channel)
        stream = self._services.stream_of(channel)
        subscription = hub.subscribe(channel, self, self._info, silent=silent, hold=True)
        self._channels.add(channel)
        result: dict[str, Any] = {}
        after = 0
        try:
            if stream is not None:
                after = stream.top
                result |= {"recoverable": True, "positioned": True, "epoch": stream.epoch, "offset": after}
                if request.recover:
                    result["was_recovering"] = True
                    missed = await self._missed(stream, request)
                    if missed is None:
                        if request.rather_fails:
                            raise Refused(codes.UNRECOVERABLE_POSITION)
                    else:
                        result["recovered"] = True
                        if missed:
                            result["offset"] = request.offset
                            result["publications"] = [each.told() for each in missed]
                            after = max(after, missed[-1].offset)
        except BaseException:
            self._channels.discard(channel)
            hub.unsubscribe(channel, self)
            raise
        self._is_there()
        self._after_reply = lambda: hub.flush(subscription, after)
        return result

    async def _missed(self, stream: Stream, request: messages.SubscribeRequest) -> list[Publication] | None:
        if request.epoch and request.epoch != stream.epoch:
            return None
        missed = await stream.since(request.offset, self._services.limits.history)
        return None if missed is None or len(self._fitting(missed)) < len(missed) else missed

    def _fitting(self, found: list[Publication]) -> list[Publication]:
        """Return the first of them that a reply may hold; one in any case."""
        size = 0
        for at, publication in enumerate(found):
            size += len(bytes(publication.data))
            if at and size > self._services.limits.reply:
                return found[:at]
        return found

    def _is_there(self) -> None:
        """Raise if the client went while something was waited for: nothing of it may be left behind."""
        if self._over:
            raise Ended(codes.STALE)

    async def _sub_refresh(self, request: messages.SubRefreshRequest) -> dict[str, Any]:
        if request.channel not in self._channels:
            raise Refused(codes.BAD_REQUEST)
        expires = self._by_token(request.channel, request.token)
        self._cancel(request.channel)
        if expires is None:
            return {}
        self._expire_subscription(request.channel, expires)
        return {"expires": True, "ttl": expires}

    async def _unsubscribe(self, request: messages.ChannelRequest) -> dict[str, Any]:
        self._leave(request.channel)
        return {}

    async def _publish(self, request: messages.PublishRequest) -> dict[str, Any]:
        assert self._known is not None
        if not well_formed(request.channel):
            raise Refused(codes.BAD_REQUEST)
        self._services.access.publish(self._known.identity, request.channel)
        data = Raw(messages.one_line(bytes(request.data)))
        self._services.hub.publish(request.channel, Publication(data, info=self._info))
        return {}

    async def _presence_of(self, channel: str) -> dict[str, dict[str, Any]]:
        assert self._known is not None
        if channel not in self._channels:
            await self._services.access.subscribe(self._known.identity, channel, self._known.credential)
        if not self._shows_presence(channel):
            raise Refused(codes.NOT_AVAILABLE)
        return self._services.hub.presence(channel)

    async def _presence(self, request: messages.ChannelRequest) -> dict[str, Any]:
        return {"presence": await self._presence_of(request.channel)}

    async def _presence_stats(self, request: messages.ChannelRequest) -> dict[str, Any]:
        present = await self._presence_of(request.channel)
        return {"num_clients": len(present), "num_users": len({each["user"] for each in present.values()})}

    async def _history(self, request: messages.HistoryRequest) -> dict[str, Any]:
        assert self._known is not None
        channel, since, most = request.channel, request.since, self._services.limits.history
        if channel not in self._channels:
            await self._services.access.subscribe(self._known.identity, channel, self._known.credential)
        stream = self._services.stream_of(channel)
        if stream is None:
            raise Refused(codes.NOT_AVAILABLE)
        if since is not None and (since.offset < 0 or (request.reverse and not since.offset)):
            raise Refused(codes.BAD_REQUEST)
        if since is not None and since.epoch and since.epoch != stream.epoch:
            raise Refused(codes.UNRECOVERABLE_POSITION)
        limit = most if request.limit < 0 else min(request.limit, most)
        found: list[Publication] = []
        if limit:
            offset = None if since is None else since.offset
            found = self._fitting(await stream.history(limit, since=offset, reverse=request.reverse))
        return {"publications": [each.told() for each in found], "epoch": stream.epoch, "offset": stream.top}

    async def _rpc(self, request: messages.RpcRequest) -> dict[str, Any]:
        assert self._known is not None
        identity, where = self._known.identity, f"live {self._call.peer}"
        return {"data": await self._services.rpc.call(request.method, bytes(request.data), identity, where)}

    def _shows_presence(self, channel: str) -> bool:
        try:
            return self._services.access.rule(channel).presence
        except Refused:
            return False

    def _leave(self, channel: str) -> None:
        if channel in self._channels:
            self._channels.discard(channel)
            self._by_tokens.discard(channel)
            self._by_erp.discard(channel)
            self._services.hub.unsubscribe(channel, self)
            self._cancel(channel)

    def _end_subscription(self, channel: str, why: Unsubscribe) -> None:
        self._leave(channel)
        told = {"code": why.code, "reason": why.reason}
        self.deliver(text_frame(messages.push(channel, "unsubscribe", told)))

    def _expire_subscription(self, channel: str, seconds: float) -> None:
        self._expire_later(
            channel, seconds + GRACE, lambda: self._end_subscription(channel, codes.SUBSCRIPTION_EXPIRED)
        )

    def _expire_later(self, what: str, seconds: float, expire: Callable[[], None]) -> None:
        def due() -> None:
            del self._expiring[what]
            expire()

        self._expiring[what] = self._services.clock.callLater(seconds, due)

    def _cancel(self, what: str) -> None:
        expiring = self._expiring.pop(what, None)
        if expiring is not None:
            expiring.cancel()
