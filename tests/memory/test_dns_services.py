"""A service is looked up, remembered, and found at whichever of its servers is there."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, cast

from tests.memory.test_dns_server import told
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from lineside.edges.dns.endpoint import PATIENCE, SHUNNED, ServiceEndpoint
from lineside.edges.dns.lookups import AGAIN, STALE, ServiceLookups, Unresolved
from lineside.edges.dns.lookups import PATIENCE as WAIT
from lineside.edges.dns.resolver import system_servers
from lineside.edges.dns.services import Answer, Service, in_order

NAME = "_erp._tcp.plant.example"
FIRST = Service(0, 10, "erp1.plant.example", 8000, ("10.0.0.1",))
SECOND = Service(10, 10, "erp2.plant.example", 8000, ("10.0.0.2", "fd00::2"))


class Order(SynchronousTestCase):
    """Whom to try first."""

    def test_priority_then_weight(self) -> None:
        """A lower number goes first always; within one, by weight."""
        heavy, light = (Service(5, weight, f"w{weight}", 1, ("10.0.0.9",)) for weight in (30, 10))
        random = Random(1)
        tries = [in_order([SECOND, light, heavy, FIRST], random) for _ in range(4_000)]
        self.assertTrue(all((order[0], order[3]) == (FIRST, SECOND) for order in tries))
        counted = Counter(order[1].host for order in tries)
        # The RFC draws from 0 to 40: eleven of 41 numbers are the light one's.
        self.assertLess(abs(counted["w30"] / 4_000 - 30 / 41), 0.03)

    def test_weight_zero_has_a_small_chance(self) -> None:
        """It is neither never nor always first, and nobody is left out."""
        zero, some = Service(0, 0, "zero", 1, ("10.0.0.9",)), Service(0, 9, "some", 1, ("10.0.0.8",))
        tries = [in_order([zero, some], Random(number)) for number in range(1_000)]
        first = Counter(order[0].host for order in tries)
        self.assertGreater(first["some"], first["zero"])
        self.assertGreater(first["zero"], 0)
        self.assertTrue(all(len(order) == 2 for order in tries))


class FakeResolver:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: list[Answer | Unresolved | Deferred[Answer]] = []

    async def services(self, name: str) -> Answer:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Unresolved):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer


class Lookups(TestCase):
    """What is remembered."""

    def setUp(self) -> None:
        self.clock, self.resolver = Clock(), FakeResolver()
        self.lookups = ServiceLookups(NAME, self.resolver, self.clock)
        self.events = told(self)

    def said(self) -> list[str]:
        return [e["log_format"] for e in self.events if str(e.get("log_format")).startswith("dns.")]

    async def test_as_long_as_it_holds(self) -> None:
        """Nobody is asked again before the ttl is over, which is a second at least."""
        self.resolver.answers = [Answer((FIRST,), 60), Answer((SECOND,), 0), Answer((FIRST,), 60)]
        self.assertEqual(await self.lookups.find(), (FIRST,))
        self.clock.advance(59)
        self.assertEqual(await self.lookups.find(), (FIRST,))
        self.clock.advance(1)
        self.assertEqual(await self.lookups.find(), (SECOND,))
        self.clock.advance(0.9)
        self.assertEqual(await self.lookups.find(), (SECOND,))
        self.assertEqual(self.resolver.asked, 2)

    async def test_the_last_answer_is_used_while_nobody_answers(self) -> None:
        """It is said once; name servers have 30 s of rest; a new answer is taken; a week is the end."""
        away = Unresolved("10.0.0.9:53: silent")
        self.resolver.answers = [Answer((FIRST,), 60), away, away, Answer((SECOND,), 60), away]
        await self.lookups.find()
        self.clock.advance(61)
        self.assertEqual(await self.lookups.find(), (FIRST,))
        self.assertEqual(await self.lookups.find(), (FIRST,))
        self.assertEqual(self.resolver.asked, 2)
        self.clock.advance(AGAIN)
        self.assertEqual(await self.lookups.find(), (FIRST,))
        self.assertEqual(self.said(), ["dns.unresolved"])
        self.clock.advance(AGAIN)
        self.assertEqual(await self.lookups.find(), (SECOND,))
        self.assertEqual(self.said(), ["dns.unresolved", "dns.resolved"])
        self.clock.advance(STALE + 61)
        with self.assertRaisesRegex(DNSLookupError, "no name server says where .*silent"):
            await self.lookups.find()

    async def test_a_server_that_hangs_blocks_nobody_who_knows(self) -> None:
        """Who has an old answer waits 1.8 s for a new one, which is there for the next."""
        late: Deferred[Answer] = Deferred()
        self.resolver.answers = [Answer((FIRST,), 1), late]
        await self.lookups.find()
        self.clock.advance(2)
        finding = Deferred.fromCoroutine(self.lookups.find())
        another = Deferred.fromCoroutine(self.lookups.find())
        self.assertNoResult(finding)
        self.clock.advance(WAIT)
        self.assertEqual((self.successResultOf(finding), self.successResultOf(another)), ((FIRST,), (FIRST,)))
        late.callback(Answer((SECOND,), 60))
        self.assertEqual(await self.lookups.find(), (SECOND,))
        self.assertEqual(self.resolver.asked, 2)

    async def test_there_is_none(self) -> None:
        """What a name server denies is no more used, however well it was known."""
        self.resolver.answers = [Answer((FIRST,), 1), Answer((), 30)]
        await self.lookups.find()
        self.clock.advance(2)
        with self.assertRaisesRegex(DNSLookupError, "there is no service"):
            await self.lookups.find()

    async def test_giving_up_is_not_contagious(self) -> None:
        """Of two that wait one is cancelled; the other has the answer."""
        late: Deferred[Answer] = Deferred()
        self.resolver.answers = [late]
        given_up = Deferred.fromCoroutine(self.lookups.find())
        patient = Deferred.fromCoroutine(self.lookups.find())
        given_up.cancel()
        self.failureResultOf(given_up)
        late.callback(Answer((FIRST,), 60))
        self.assertEqual(self.successResultOf(patient), (FIRST,))

    async def test_a_question_that_nobody_wants_answered_is_dropped(self) -> None:
        """The last one who gives up takes it back, and nothing is left to run."""
        taken_back: list[object] = []
        late: Deferred[Answer] = Deferred(taken_back.append)
        self.resolver.answers = [late, Answer((FIRST,), 60)]
        only = Deferred.fromCoroutine(self.lookups.find())
        only.cancel()
        self.failureResultOf(only)
        self.assertEqual(taken_back, [late])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(await self.lookups.find(), (FIRST,))


class Places:
    """Endpoints that take connections, refuse them, or hang."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.refusing: set[str] = set()
        self.hanging: set[str] = set()

    def __call__(self, address: str, port: int) -> IStreamClientEndpoint:
        return Place(self, address)


@implementer(IStreamClientEndpoint)
class Place:
    """One of them."""

    def __init__(self, places: Places, address: str) -> None:
        self.places, self.address = places, address

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.places.tried.append(self.address)
        connecting: Deferred[IProtocol] = Deferred()
        if self.address in self.places.refusing:
            connecting.errback(Refused())
        elif self.address not in self.places.hanging:
            connecting.callback(cast(IProtocol, self.address))
        return connecting


class Endpoints(TestCase):
    """Connecting."""

    def setUp(self) -> None:
        self.clock, self.resolver, self.places = Clock(), FakeResolver(), Places()
        lookups = ServiceLookups(NAME, self.resolver, self.clock)
        self.endpoint = ServiceEndpoint(lookups, self.places, self.clock, Random(1))
        self.resolver.answers = [Answer((FIRST, SECOND), 60)]
        self.events = told(self)

    def connect(self) -> Deferred[Any]:
        return self.endpoint.connect(Factory.forProtocol(Protocol))

    def said(self) -> list[str]:
        return [e["log_format"] for e in self.events if str(e.get("log_format")).startswith("dns.")]

    def test_the_next_one_where_the_first_is_away(self) -> None:
        """It is tried after all others for 30 s, said once, and is first again when it is back."""
        self.places.refusing = {"10.0.0.1"}
        self.assertEqual(self.successResultOf(self.connect()), "10.0.0.2")
        self.assertEqual(self.successResultOf(self.connect()), "10.0.0.2")
        self.assertEqual(self.places.tried, ["10.0.0.1", "10.0.0.2", "10.0.0.2"])
        self.clock.advance(SHUNNED + 0.1)
        self.places.refusing = set()
        self.assertEqual(self.successResultOf(self.connect()), "10.0.0.1")
        self.assertEqual(self.said(), ["dns.server_away"])

    def test_one_that_hangs_is_left(self) -> None:
        """After four seconds, also the second address of a host is tried."""
        self.places.hanging = {"10.0.0.1", "10.0.0.2"}
        connecting = self.connect()
        self.clock.advance(PATIENCE)
        self.assertNoResult(connecting)
        self.clock.advance(PATIENCE)
        self.assertEqual(self.successResultOf(connecting), "fd00::2")

    def test_none_is_there(self) -> None:
        """The last error is told, and the name servers are asked again before the next attempt."""
        self.places.refusing = {"10.0.0.1", "10.0.0.2", "fd00::2"}
        self.failureResultOf(self.connect(), Refused)
        moved = Service(0, 0, "erp3.plant.example", 8000, ("10.0.0.3",))
        self.resolver.answers = [Answer((moved,), 60)]
        self.assertEqual(self.successResultOf(self.connect()), "10.0.0.3")

    def test_cancelling_ends_it(self) -> None:
        """No further server is tried for who gave up."""
        self.places.hanging = {"10.0.0.1"}
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting)
        self.assertEqual(self.places.tried, ["10.0.0.1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OwnServers(SynchronousTestCase):
    """resolv.conf."""

    def test_three_are_read(self) -> None:
        """What is no address is passed over; without any, this machine is asked."""
        from pathlib import Path  # noqa: PLC0415

        path = Path(self.mktemp())
        self.assertEqual(system_servers(path), [("127.0.0.1", 53)])
        path.write_text(
            "# by hand\nnameserver 10.0.0.1\nnameserver x\nsearch a.b\nnameserver fe80::1%eth0\noptions edns0\n"
            "nameserver 10.0.0.2\nnameserver 10.0.0.3\n"
        )
        self.assertEqual([server for server, _ in system_servers(path)], ["10.0.0.1", "fe80::1", "10.0.0.2"])
