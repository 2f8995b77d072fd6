"""A port that is shut for a while, on a reactor without a network."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lineside.standin.doors import REOPEN_SECONDS, Doors


class Connection(StringTransport):
    """A transport that knows how it was closed."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


@implementer(IStreamServerEndpoint)
class Taken:
    """An endpoint whose port somebody else has, so many times."""

    def __init__(self, endpoint: IStreamServerEndpoint, times: int) -> None:
        self._endpoint = endpoint
        self.times = times

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        if self.times == 0:
            return self._endpoint.listen(factory)
        self.times -= 1
        return fail(CannotListenError("127.0.0.1", 8000, OSError("in use")))


class DoorsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.busy = 0
        self.endpoints: list[Taken] = []
        factory = Factory.forProtocol(Protocol)
        self.doors = Doors(self.reactor, self.endpoint, factory)
        self.opened = self.run_now(self.doors.open(8000))

    def run_now(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def endpoint(self, port: int) -> IStreamServerEndpoint:
        self.endpoints.append(Taken(TCP4ServerEndpoint(self.reactor, port, interface="127.0.0.1"), self.busy))
        self.busy = max(self.busy - 1, 0)
        return self.endpoints[-1]

    def listening(self) -> list[int]:
        return [server[0] for server in self.reactor.tcpServers]

    def connect(self) -> Connection:
        factory = self.reactor.tcpServers[-1][1]
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
        assert protocol is not None
        connection = Connection()
        protocol.makeConnection(connection)
        return connection

    def test_a_shut_port_aborts_connections_and_opens_again(self) -> None:
        """On the same number, when the time has passed."""
        connection = self.connect()
        stopped = self.stops()
        self.doors.shut_for(5)
        self.assertTrue(connection.aborted)
        self.assertEqual(stopped, ["stopped"])
        self.reactor.advance(4.9)
        self.assertEqual(len(self.listening()), 1)
        self.reactor.advance(0.1)
        self.assertEqual(self.listening(), [8000, 8000])

    def test_a_connection_that_is_closing_may_say_its_last_words(self) -> None:
        """The answer to who asked for the fault is not cut."""
        connection = self.connect()
        connection.loseConnection()
        self.doors.shut_for(5)
        self.assertFalse(connection.aborted)

    def test_a_second_fault_counts_anew(self) -> None:
        """The port opens once, after the last."""
        self.doors.shut_for(5)
        self.reactor.advance(4)
        self.doors.shut_for(5)
        self.reactor.advance(4)
        self.assertEqual(len(self.listening()), 1)
        self.reactor.advance(1)
        self.assertEqual(len(self.listening()), 2)

    def test_a_port_taken_meanwhile_is_tried_again(self) -> None:
        """With a warning each time, until it is free."""
        self.busy = 1
        self.doors.shut_for(5)
        with capturedLogs() as events:
            self.reactor.advance(5)
        self.assertEqual([event["log_format"] for event in events], ["standin.port.taken"])
        self.assertEqual(len(self.listening()), 1)
        self.reactor.advance(REOPEN_SECONDS)
        self.assertEqual(len(self.listening()), 2)

    def test_a_closed_port_stays_closed(self) -> None:
        """Also when it was about to open again, or is asked to go down."""
        self.doors.shut_for(5)
        self.run_now(self.doors.close())
        self.doors.shut_for(1)
        self.reactor.advance(60)
        self.assertEqual(len(self.listening()), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def stops(self) -> list[str]:
        """Watch the port that is open: a memory reactor forgets nothing by itself."""
        stopped: list[str] = []
        listening: Any = self.doors._listening
        before = listening.stopListening

        def stop() -> Any:
            stopped.append("stopped")
            return before()

        listening.stopListening = stop
        return stopped
