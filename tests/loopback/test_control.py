"""The control socket on a real Unix socket: what a command of another process may ask, and how it is answered."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from lineside.model.errors import LinesideError, NotFound
from lineside.operations.control import LONGEST_PATH, ControlSocket, NoGateway, RemoteOperations
from lineside.operations.registry import Operations
from lineside.operations.requests import DiscardDeadLetters, ListEvents, ShowEvent, ShowStatus, TailEvents
from lineside.operations.results import Done, EventSummary, FollowedEvent, Status

STATUS = Status("epoch", 3, 0, [], [])


def event(number: int, body: str = "{}") -> FollowedEvent:
    return FollowedEvent(EventSummary(number, "gate", "2026-01-01T00:00:00.000Z", None, None, body, None), [])


class Played:
    """Operations that answer as the test wants, and tell how far a stream has come."""

    def __init__(self) -> None:
        self.operations = Operations()
        self.operations.answer(ShowStatus, self.status)
        self.operations.answer(ShowEvent, self.show)
        self.operations.answer(DiscardDeadLetters, self.discard)
        self.operations.answer(ListEvents, self.hang)
        self.operations.stream(TailEvents, self.tail)
        self.body = "{}"
        self.most: int | None = None
        self.yielded = 0
        self.ended: Deferred[None] = Deferred()
        self.hung: Deferred[None] = Deferred()

    async def status(self, request: ShowStatus) -> Status:
        return STATUS

    async def show(self, request: ShowEvent) -> Any:
        if request.seq == 0:
            raise ZeroDivisionError("a bug")
        raise NotFound(f"there is no event {request.seq}")

    async def discard(self, request: DiscardDeadLetters) -> Done:
        return Done(len(request.ids or []), [])

    async def hang(self, request: ListEvents) -> Any:
        self.hung.callback(None)
        await Deferred()

    async def tail(self, request: TailEvents) -> AsyncIterator[FollowedEvent]:
        try:
            while self.most is None or self.yielded < self.most:
                self.yielded += 1
                assert self.yielded < 10_000, "nothing stops the stream"
                yield event(self.yielded, self.body)
            await Deferred()
        finally:
            self.ended.callback(None)


class Raw(Protocol):
    """A client that speaks bytes, and reads only when it is let."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.closed: Deferred[None] = Deferred()
        self.got: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if not self.got.called:
            self.got.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(None)

    def hang_up(self) -> Deferred[None]:
        self.transport.loseConnection()
        return self.closed


class Control(TestCase):
    """A gateway's door, and clients in front of it."""

    timeout = 30

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        self.reactor = cast(Any, reactor)
        # A path of pytest's may be longer than a Unix socket's.
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "control.sock"
        self.played = Played()
        self.clock = Clock()
        self.control = ControlSocket(self.reactor, self.path, self.played.operations, self.clock)
        self.remote = RemoteOperations(self.reactor, self.path)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.control.stop()))
        return Deferred.fromCoroutine(self.control.start())

    async def raw(self, line: bytes = b"") -> Raw:
        client = Raw()
        await connectProtocol(UNIXClientEndpoint(self.reactor, str(self.path)), client)
        self.addCleanup(client.hang_up)
        client.transport.write(line)
        return client

    async def test_one_question_one_answer(self) -> None:
        """The result arrives as the type that was asked for, with the arguments that were given."""
        self.assertEqual(await self.remote.call(ShowStatus()), STATUS)
        self.assertEqual(await self.remote.call(DiscardDeadLetters(ids=[1, 2])), Done(2, []))

    async def test_the_gateways_own_words_reach_the_one_who_asked(self) -> None:
        """An error of an operation is the same line as without a gateway."""
        with self.assertRaises(LinesideError) as raised:
            await self.remote.call(ShowEvent(seq=7))
        self.assertEqual(str(raised.exception), "there is no event 7")

    async def test_a_bug_is_told_and_logged_and_hurts_nobody_else(self) -> None:
        """The one who asked hears of it, the log has the traceback, and the next question is answered."""
        with self.assertRaises(LinesideError) as raised:
            await self.remote.call(ShowEvent(seq=0))
        self.assertEqual(str(raised.exception), "the gateway failed: ZeroDivisionError: a bug")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(await self.remote.call(ShowStatus()), STATUS)

    async def test_what_is_no_request_is_told_why(self) -> None:
        """Unknown operations, unknown fields and bytes that are no JSON each get one line, then the end."""
        for line in (b'{"operation":"reboot"}\n', b'{"operation":"status","x":1}\n', b"\xff\n", b"hello\n"):
            client = await self.raw(line)
            await client.closed
            self.assertEqual(client.data.count(b"\n"), 1)
            self.assertTrue(
                json.loads(client.data)["error"].startswith("not a request this gateway knows: "), client.data
            )

    async def test_a_stream_goes_on_until_its_client_hangs_up(self) -> None:
        """Items come in order; when the client leaves, the operation's generator is closed."""
        seen = []
        following = self.remote.follow(TailEvents())
        async for item in following:
            seen.append(item.event.seq)
            if len(seen) == 3:
                break
        await following.aclose()  # type: ignore[attr-defined]
        await self.played.ended
        self.assertEqual(seen, [1, 2, 3])

    async def test_a_client_that_does_not_read_stops_the_stream(self) -> None:
        """Back-pressure: what a slow follower does not take is not produced, and nothing is left out later."""
        self.played.body = "x" * 100_000
        client = await self.raw()
        client.transport.pauseProducing()
        client.transport.write(b'{"operation":"events.tail"}\n')
        before = -1
        while not self.played.yielded or self.played.yielded > before:
            # The kernel's buffers fill within a few turns; then nothing moves any more.
            before = self.played.yielded
            for _ in range(20):
                await deferLater(self.reactor, 0)
        self.assertLess(before, 100)
        self.played.most = before + 50
        client.transport.resumeProducing()
        while client.data.count(b"\n") < self.played.most:
            await deferLater(self.reactor, 0)
        numbers = [json.loads(line)["item"]["event"]["seq"] for line in client.data.splitlines()]
        self.assertEqual(numbers, list(range(1, self.played.most + 1)))

    async def test_a_client_that_leaves_cancels_what_it_asked_for(self) -> None:
        """Nobody waits for an answer that nobody reads."""
        client = await self.raw(b'{"operation":"events.tail"}\n')
        await client.got
        client.hang_up()
        await self.played.ended

    async def test_stopping_ends_every_conversation(self) -> None:
        """Followers and those who wait are let go, and the socket's file is gone."""
        waiting = Deferred.fromCoroutine(self.remote.call(ListEvents()))
        await self.played.hung
        await self.control.stop()
        with self.assertRaises(LinesideError) as raised:
            await waiting
        self.assertEqual(str(raised.exception), "the gateway went away before it answered")
        self.assertFalse(self.path.exists())

    async def test_stopping_cuts_off_whoever_has_asked_nothing_yet(self) -> None:
        """A client that says nothing, or half a request, keeps no connection of a gateway that ends."""
        clients = [await self.raw(line) for line in (b"", b'{"operation":')]
        await self.remote.call(ShowStatus())
        await self.control.stop()
        for client in clients:
            await client.closed
            self.assertEqual(client.data, b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_a_silent_client_is_cut_off(self) -> None:
        """Ten seconds are enough for a request; who has sent one may wait for its answer as long as it takes."""
        silent = await self.raw(b'{"operation":')
        waiting = Deferred.fromCoroutine(self.remote.call(ListEvents()))
        await self.played.hung
        self.clock.advance(9.9)
        self.assertEqual(await self.remote.call(ShowStatus()), STATUS)
        self.assertFalse(silent.closed.called)
        self.clock.advance(0.2)
        await silent.closed
        self.assertEqual(json.loads(silent.data), {"error": "no request came within 10 s"})
        self.assertFalse(waiting.called)
        await self.control.stop()
        with self.assertRaises(LinesideError):
            await waiting

    async def test_no_gateway(self) -> None:
        """Neither a missing socket nor one that nobody serves is a gateway."""
        await self.control.stop()
        for prepare in (lambda: None, self.leave_a_stale_socket):
            prepare()
            with self.assertRaises(NoGateway):
                await self.remote.call(ShowStatus())

    async def test_the_socket_of_a_killed_gateway_is_replaced(self) -> None:
        """A file without a server behind it does not keep the next gateway from starting."""
        await self.control.stop()
        self.leave_a_stale_socket()
        await self.control.start()
        self.assertEqual(await self.remote.call(ShowStatus()), STATUS)

    async def test_a_file_that_is_no_socket_stays(self) -> None:
        """A wrong path in the configuration costs nobody a file: it is named instead."""
        precious = self.path.with_name("journal.db")
        precious.write_text("events")
        for there in (precious, self.path.parent):
            with self.assertRaises(LinesideError) as raised:
                await ControlSocket(self.reactor, there, self.played.operations, self.clock).start()
            self.assertIn(f"{there} is no socket", str(raised.exception))
        self.assertEqual(precious.read_text(), "events")

    async def test_only_its_owner_may_ask(self) -> None:
        """The socket's mode is 0600 whatever the umask."""
        await self.control.stop()
        before = os.umask(0)
        try:
            await self.control.start()
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    async def test_a_path_that_no_socket_can_have(self) -> None:
        """Both sides say so in words, with the setting to change."""
        long = self.path.with_name("x" * LONGEST_PATH)
        for attempt in (
            ControlSocket(self.reactor, long, self.played.operations, self.clock).start(),
            RemoteOperations(self.reactor, long).call(ShowStatus()),
        ):
            with self.assertRaises(LinesideError) as raised:
                await attempt
            self.assertIn("longer than 107 bytes; set a shorter one with journal.control", str(raised.exception))

    async def test_a_directory_that_is_not_there(self) -> None:
        """The path is named."""
        away = self.path.parent / "missing" / "control.sock"
        with self.assertRaises(LinesideError) as raised:
            await ControlSocket(self.reactor, away, self.played.operations, self.clock).start()
        self.assertEqual(
            str(raised.exception), f"cannot open the control socket {away}: there is no directory {away.parent}"
        )

    def leave_a_stale_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(self.path))
