"""Clients of live channels: what they ask, what they are told, and how they go on after they were away."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import jwt
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.background import Background
from lineside.edges.websocket.access import Access, Rule
from lineside.edges.websocket.channels import Hub, publication
from lineside.edges.websocket.codes import Disconnect
from lineside.edges.websocket.recognition import ASKED, Recognition
from lineside.edges.websocket.rpc import Rpc
from lineside.edges.websocket.sessions import GRACE, Limits, Services, Session
from lineside.edges.websocket.streams import KEPT, UNWATCHED, JournalStreams, MemoryStream, Stream
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Seq
from lineside.model.ports import Credential, PermissionOracle
from lineside.operations.registry import Operations
from lineside.operations.requests import ShowStatus
from lineside.operations.web import Call
from lineside.security.identity import NOBODY, Identity
from lineside.security.jwts import JwtTokens
from lineside.security.limits import FREE
from lineside.security.turnstile import Bounds as TurnstileBounds
from lineside.security.turnstile import Turnstile
from lineside.testing.journals import JournalOnFile

KEY = "a secret that is long enough for it"
VIEWER = Identity("ann", "viewer")


def payload_of(frame: bytes) -> bytes:
    """Return what a server's text frame holds (RFC 6455, section 5.2)."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class PlayedWire:
    """A connection that keeps what goes out."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.ended: Disconnect | None = None

    def read(self, on: bool) -> None:
        """There is no more to read."""

    def put(self, frame: bytes) -> None:
        self.told.append(json.loads(payload_of(frame)))

    def end(self, disconnect: Disconnect) -> None:
        self.ended = disconnect

    def take(self) -> list[dict[str, Any]]:
        told, self.told = self.told, []
        return told


class FewTokens:
    """API tokens by their texts."""

    def __init__(self) -> None:
        self.holders = {"operator's": Identity("olga", "operator")}

    def identify(self, text: str) -> Identity | None:
        return self.holders.get(text)


class LiveCase(SynchronousTestCase):
    """A journal on a file, and clients."""

    limits = Limits(channels=4, commands=20, history=5)

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000)
        self.on_file = JournalOnFile(Path(self.mktemp()), lambda: int(self.clock.seconds() * 1e9))
        self.addCleanup(self.on_file.close)
        self.clients = 0
        self.tokens = FewTokens()
        self.operations = Operations()
        self.serve()

    def serve(self) -> None:
        """Serve anew, as after a start."""
        self.hub = Hub()
        self.streams = JournalStreams(self.on_file.journal, self.on_file.database, self.hub, self.clock)
        self.deliveries = MemoryStream(self.hub, "deliveries", self.on_file.journal.run, most=3)
        rules = {"pub": Rule(frozenset({"viewer", "operator"}), frozenset({"operator"}), presence=True)}
        self.services = Services(
            self.hub,
            Access(rules),
            self.stream_of,
            Rpc(self.operations, {"greet": self.greet}),
            self.recognition(),
            self.clock,
            self.limits,
            Background("live"),
        )

    def recognition(self, oracle: PermissionOracle | None = None) -> Recognition:
        return Recognition(self.tokens, JwtTokens(KEY, self.clock.seconds), oracle)

    def stream_of(self, channel: str) -> Stream | None:
        if channel == "deliveries":
            return self.deliveries
        return self.streams.of(channel) if channel.startswith(("events:", "device:")) else None

    async def greet(self, data: Any, identity: Identity) -> Any:
        if data.get("whom") == "nobody":
            raise LinesideError("nobody is there")
        return f"hello, {identity.name}"

    def client(self, identity: Identity = VIEWER) -> tuple[Session, PlayedWire]:
        self.clients += 1
        wire = PlayedWire()
        return Session(f"c{self.clients}", wire, Call(identity, {}, {}, {}), self.services), wire

    def connected(self, identity: Identity = VIEWER, **connect: Any) -> tuple[Session, PlayedWire]:
        session, wire = self.client(identity)
        self.say(session, {"id": 1, "connect": connect})
        wire.take()
        return session, wire

    def say(self, session: Session, *commands: dict[str, Any]) -> None:
        session.frame_came(b"\n".join(json.dumps(command).encode() for command in commands))

    def ask(self, session: Session, wire: PlayedWire, **method: Any) -> dict[str, Any]:
        """Send one command; return its reply."""
        self.say(session, {"id": 9, **method})
        self.clock.advance(0)
        (reply,) = (each for each in wire.told if each.get("id") == 9)
        wire.told.remove(reply)
        return {name: each for name, each in reply.items() if name != "id"}

    def error(self, session: Session, wire: PlayedWire, **method: Any) -> int:
        code: int = self.ask(session, wire, **method)["error"]["code"]
        return code

    def append(self, *values: int, source: str = "gate", device: str | None = None) -> list[Seq]:
        events = [Event(b'{"n":%d}' % value, device=device) for value in values]
        return [receipt.seq for receipt in self.done(self.on_file.journal.append(source, events))]

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def numbers(self, told: list[dict[str, Any]]) -> list[int]:
        """Return the events that were told, in replies and in pushes."""
        found = []
        for each in told:
            if "push" in each:
                found.append(each["push"]["pub"]["data"]["event"]["n"])
            publications = each.get("subscribe", {}).get("publications", ())
            found += [publication["data"]["event"]["n"] for publication in publications]
        return found


class Connecting(LiveCase):
    """Who comes in."""

    def test_as_whoever_opened_the_connection(self) -> None:
        """Without a token the request's own identity counts."""
        session, wire = self.client()
        self.say(session, {"id": 1, "connect": {}})
        told = {"client": "c1", "version": "lineside", "ping": 25, "pong": True}
        self.assertEqual([{"id": 1, "connect": told}], wire.take())
        self.assertEqual("ann", session.user)

    def test_with_an_api_token(self) -> None:
        """Its holder is who the client is."""
        session, _ = self.connected(NOBODY, token="operator's")
        self.assertEqual("olga", session.user)

    def test_whose_token_is_none_is_told_of(self) -> None:
        """From where they came; who brings none at all has not tried."""
        failed: list[str] = []
        recognition = Recognition(self.tokens, JwtTokens(KEY, self.clock.seconds), failed=failed.append)
        self.services = replace(self.services, recognition=recognition)
        for token in ("nobody's", jwt.encode({"sub": "eve"}, "another secret, and long enough, too"), None):
            wire = PlayedWire()
            session = Session("c9", wire, Call(NOBODY, {}, {}, {}, peer="10.0.0.9"), self.services)
            self.say(session, {"id": 1, "connect": {} if token is None else {"token": token}})
            session.closed()
        self.assertEqual(failed, ["live 10.0.0.9"] * 2)

    def guarded(self, peer: str) -> tuple[Callable[[Identity], tuple[Session, PlayedWire]], list[str]]:
        """Return what makes clients from an address that is held to a wait, and what was told of failures."""
        failed: list[str] = []
        turnstile = Turnstile(TurnstileBounds(), self.clock)
        recognition = Recognition(
            self.tokens,
            JwtTokens(KEY, self.clock.seconds),
            failed=failed.append,
            wait=lambda peer: turnstile.failed("live", peer),
        )
        self.services = replace(self.services, recognition=recognition)

        def client(identity: Identity) -> tuple[Session, PlayedWire]:
            self.clients += 1
            wire = PlayedWire()
            return Session(f"c{self.clients}", wire, Call(identity, {}, {}, {}, peer=peer), self.services), wire

        return client, failed

    def test_who_guesses_a_connections_token_waits(self) -> None:
        """3500 at first; then the error 111, after which a client tries again, and a good one is served."""
        client, failed = self.guarded("10.0.0.9")
        codes = []
        for _ in range(FREE + 3):
            session, wire = client(NOBODY)
            self.say(session, {"id": 1, "connect": {"token": "nobody's"}})
            told = wire.take()
            codes.append(wire.ended.code if wire.ended is not None else told[0]["error"]["code"])
            session.closed()
        self.assertEqual([3500] * (FREE + 1) + [111, 111], codes)
        self.assertEqual(["live 10.0.0.9"] * (FREE + 3), failed)
        session, wire = client(NOBODY)
        self.say(session, {"id": 1, "connect": {"token": "operator's"}})
        self.assertEqual("olga", session.user)

    def test_who_guesses_a_subscriptions_token_waits(self) -> None:
        """103 at first, then 111; each is told of, and a good token of the same address lets in."""
        client, failed = self.guarded("10.0.0.9")
        session, wire = client(Identity("eve", "viewer"))
        self.say(session, {"id": 1, "connect": {}})
        wire.take()
        forged = jwt.encode({"sub": "eve", "channel": "pub:b"}, "another secret, and long enough, too")
        guess = {"channel": "pub:b", "token": forged}
        self.assertEqual(
            [103] * (FREE + 1) + [111], [self.error(session, wire, subscribe=guess) for _ in range(FREE + 2)]
        )
        self.assertEqual(["live 10.0.0.9"] * (FREE + 2), failed)
        good = jwt.encode({"sub": "eve", "channel": "pub:b"}, KEY)
        self.assertIn("subscribe", self.ask(session, wire, subscribe={"channel": "pub:b", "token": good}))

    def test_who_guesses_at_a_new_token_waits(self) -> None:
        """It ends the connection at first; then the client keeps it for as long as its last token is good."""
        client, failed = self.guarded("10.0.0.9")
        forged = jwt.encode({"sub": "eve"}, "another secret, and long enough, too")
        for _ in range(FREE + 1):
            session, wire = client(Identity("eve", "viewer"))
            self.say(session, {"id": 1, "connect": {}}, {"id": 2, "refresh": {"token": forged}})
            assert wire.ended is not None
            self.assertEqual(3500, wire.ended.code)
            session.closed()
        session, wire = client(Identity("eve", "viewer"))
        self.say(session, {"id": 1, "connect": {}})
        wire.take()
        self.assertEqual(111, self.error(session, wire, refresh={"token": forged}))
        self.assertIsNone(wire.ended)
        self.assertEqual(FREE + 2, len(failed))

    def test_an_api_token_that_is_revoked(self) -> None:
        """Ends the connection with the next ping: who was shut out hears nothing more."""
        session, wire = self.connected(NOBODY, token="operator's")
        self.ask(session, wire, subscribe={"channel": "events:gate"})
        session.ping()
        self.assertEqual([{}], wire.take())
        self.tokens.holders.clear()
        session.ping()
        self.append(1)
        assert wire.ended is not None
        self.assertEqual((3500, []), (wire.ended.code, wire.take()))

    def test_with_a_jwt(self) -> None:
        """The client is told when to bring the next one, and has some grace."""
        token = jwt.encode({"sub": "eve", "exp": self.clock.seconds() + 60, "meta": {"role": "viewer"}}, KEY)
        session, wire = self.client(NOBODY)
        self.say(session, {"id": 1, "connect": {"token": token}})
        (reply,) = wire.take()
        self.assertEqual((True, 60), (reply["connect"]["expires"], reply["connect"]["ttl"]))
        later = jwt.encode({"sub": "eve", "exp": self.clock.seconds() + 120}, KEY)
        self.assertEqual(120, self.ask(session, wire, refresh={"token": later})["refresh"]["ttl"])
        self.clock.advance(120 + GRACE)
        assert wire.ended is not None
        self.assertEqual(3005, wire.ended.code)

    def test_a_new_token_may_take_rights_away(self) -> None:
        """From then on it alone counts: what it no longer lets read ends, what other tokens let in stays."""
        token = jwt.encode({"sub": "eve", "meta": {"role": "operator"}}, KEY)
        session, wire = self.connected(NOBODY, token=token)
        for_channel = jwt.encode({"sub": "eve", "channel": "pub:b"}, KEY)
        self.ask(session, wire, subscribe={"channel": "pub:a"})
        self.ask(session, wire, subscribe={"channel": "pub:b", "token": for_channel})
        self.ask(session, wire, publish={"channel": "pub:a", "data": 1})
        wire.take()
        self.ask(session, wire, refresh={"token": jwt.encode({"sub": "eve"}, KEY)})
        self.assertEqual(103, self.error(session, wire, publish={"channel": "pub:a", "data": 2}))
        told = [each["push"] for each in wire.take()]
        self.assertEqual([("pub:a", 2000)], [(each["channel"], each["unsubscribe"]["code"]) for each in told])
        self.assertEqual(["pub:b"], list(self.hub))

    def test_a_token_of_somebody_else_prolongs_nothing(self) -> None:
        """The connection ends."""
        session, wire = self.connected()
        self.say(session, {"id": 2, "refresh": {"token": jwt.encode({"sub": "eve"}, KEY)}})
        assert wire.ended is not None
        self.assertEqual(3500, wire.ended.code)

    def test_tokens_that_are_no_good(self) -> None:
        """An expired one is to be renewed; any other ends the connection for good; none at all is refused."""
        session, wire = self.client(NOBODY)
        expired = jwt.encode({"sub": "eve", "exp": self.clock.seconds() - 1}, KEY)
        self.assertEqual(109, self.error(session, wire, connect={"token": expired}))
        self.assertEqual(101, self.error(session, wire, connect={}))
        for token in ("guessed", "a.b.c"):
            session, wire = self.client(NOBODY)
            self.say(session, {"id": 1, "connect": {"token": token}})
            assert wire.ended is not None
            self.assertEqual((3500, []), (wire.ended.code, wire.told))

    def test_what_comes_with_a_refused_connect_is_dropped(self) -> None:
        """Nothing of it is carried out."""
        session, wire = self.client(NOBODY)
        self.say(session, {"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "pub:a"}})
        self.assertEqual([1], [each["id"] for each in wire.told])
        self.assertIsNone(wire.ended)

    def test_connect_comes_first_and_once(self) -> None:
        """Anything else first, and a second one, end the connection."""
        early, wire = self.client()
        self.say(early, {"id": 1, "subscribe": {"channel": "pub:a"}})
        assert wire.ended is not None
        self.assertEqual(3501, wire.ended.code)
        twice, wire = self.connected()
        self.say(twice, {"id": 2, "connect": {}})
        assert wire.ended is not None
        self.assertEqual(3501, wire.ended.code)

    def test_who_says_nothing(self) -> None:
        """Is not kept."""
        _, wire = self.client()
        self.clock.advance(self.limits.connect)
        assert wire.ended is not None
        self.assertEqual(3502, wire.ended.code)

    def test_channels_that_a_token_names(self) -> None:
        """The connection is subscribed to them from its start, and goes on where it was."""
        self.append(1, 2, 3)
        token = jwt.encode({"sub": "eve", "channels": ["events:gate"]}, KEY)
        session, wire = self.client(NOBODY)
        position = {"recover": True, "offset": 1, "epoch": self.on_file.journal.epoch}
        self.say(session, {"id": 1, "connect": {"token": token, "subs": {"events:gate": position}}})
        subscribed = wire.take()[0]["connect"]["subs"]["events:gate"]
        self.assertEqual([2, 3], [each["offset"] for each in subscribed["publications"]])
        self.append(4)
        self.assertEqual([4], self.numbers(wire.take()))

    def test_a_channel_that_fails_leaves_none_of_the_others(self) -> None:
        """The client comes back; what is published meanwhile is kept for nobody."""
        token = jwt.encode({"sub": "eve", "channels": ["pub:a", "pub:b", "events:gate"]}, KEY)

        def failing(*_: object, **__: object) -> None:
            raise OSError("the disk is gone")

        self.patch(self.on_file.database, "read", failing)
        session, wire = self.client(NOBODY)
        position = {"recover": True, "offset": 0}
        self.say(session, {"id": 1, "connect": {"token": token, "subs": {"events:gate": position}}})
        self.assertEqual([], list(self.hub))
        assert wire.ended is not None
        self.assertEqual(3004, wire.ended.code)
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_position_that_is_none(self) -> None:
        """Is no command of the protocol."""
        token = jwt.encode({"sub": "eve", "channels": ["pub:a", "pub:b"]}, KEY)
        for wrong in ("b", 7, {"offset": "far"}, {"offset": 1.5}, [1]):
            session, wire = self.client(NOBODY)
            self.say(session, {"id": 1, "connect": {"token": token, "subs": {"pub:b": wrong}}})
            self.assertEqual([], list(self.hub))
            assert wire.ended is not None
            self.assertEqual(3501, wire.ended.code, wrong)

    def test_too_much_at_a_time(self) -> None:
        """A client that asks without end is sent away for a while."""
        session, wire = self.connected()
        self.say(session, *[{"id": 2, "unsubscribe": {"channel": "a"}}] * self.limits.commands)
        assert wire.ended is not None
        self.assertEqual(3013, wire.ended.code)

    def test_what_has_no_id(self) -> None:
        """An empty object is a pong; a message that nobody takes, or a command without an id, ends it."""
        session, wire = self.connected()
        session.ping()
        self.assertEqual([{}], wire.take())
        self.assertIsNotNone(session.pinged)
        self.say(session, {})
        self.assertIsNone(session.pinged)
        self.say(session, {"send": {"data": 1}})
        assert wire.ended is not None
        self.assertEqual(3508, wire.ended.code)


class Subscribing(LiveCase):
    """What comes, and from where on."""

    def test_from_now_on(self) -> None:
        """Each event the moment it is committed, with the journal's sequence as its offset."""
        self.append(1, 2)
        session, wire = self.connected()
        told = self.ask(session, wire, subscribe={"channel": "events:gate"})["subscribe"]
        epoch = self.on_file.journal.epoch
        self.assertEqual({"recoverable": True, "positioned": True, "epoch": epoch, "offset": 2}, told)
        (seq,) = self.append(3, device="scanner-1")
        pushed = {
            "seq": seq,
            "source": "gate",
            "received": "1970-01-01T00:16:40.000Z",
            "device": "scanner-1",
            "event": {"n": 3},
        }
        self.assertEqual(
            [{"push": {"channel": "events:gate", "pub": {"data": pushed, "offset": seq}}}], wire.take()
        )

    def test_nothing_before_it_is_on_disk(self) -> None:
        """What a crash could take back is not told."""
        session, wire = self.connected()
        self.ask(session, wire, subscribe={"channel": "events:gate"})
        self.on_file.writer.held = True
        appending = Deferred.fromCoroutine(self.on_file.journal.append("gate", [Event(b'{"n":1}')]))
        self.assertEqual([], wire.take())
        self.on_file.writer.release()
        self.successResultOf(appending)
        self.assertEqual([1], self.numbers(wire.take()))

    def test_what_could_not_be_decoded(self) -> None:
        """Is told with its reason and what was received."""
        session, wire = self.connected()
        self.ask(session, wire, subscribe={"channel": "events:gate"})
        self.done(self.on_file.journal.append("gate", [Event(b"", raw=b"tor\xff", error="json: torn")]))
        data = wire.take()[0]["push"]["pub"]["data"]
        self.assertEqual(("json: torn", "tor\\xff"), (data["error"], data["raw"]))

    def test_one_device(self) -> None:
        """Its events, whatever source they came by, and no other's."""
        session, wire = self.connected()
        self.ask(session, wire, subscribe={"channel": "device:scanner-1"})
        self.append(1, device="scanner-1")
        self.append(2, device="scanner-2")
        self.append(3, source="shelf", device="scanner-1")
        self.assertEqual([1, 3], self.numbers(wire.take()))

    def test_what_may_not_be(self) -> None:
        """Twice, too many, none such, no name, another kind, not permitted."""
        session, wire = self.connected()
        codes = [
            self.error(session, wire, subscribe={"channel": channel, **more})
            for channel, more in (("nowhere:a", {}), ("", {}), ("events:gate", {"type": 1}))
        ]
        self.assertEqual([102, 107, 107], codes)
        for channel in ("events:a", "events:b", "events:c", "events:d"):
            self.ask(session, wire, subscribe={"channel": channel})
        self.assertEqual(105, self.error(session, wire, subscribe={"channel": "events:a"}))
        self.assertEqual(106, self.error(session, wire, subscribe={"channel": "events:e"}))
        device, wire = self.connected(Identity("scanner-1", "device"))
        self.assertEqual(103, self.error(device, wire, subscribe={"channel": "events:gate"}))

    def test_no_more_after_unsubscribing(self) -> None:
        """It is confirmed even where there was nothing to end."""
        session, wire = self.connected()
        self.ask(session, wire, subscribe={"channel": "events:gate"})
        for _ in range(2):
            self.assertEqual({"unsubscribe": {}}, self.ask(session, wire, unsubscribe={"channel": "events:gate"}))
        self.append(1)
        self.assertEqual([], wire.take())

    def test_by_a_token(self) -> None:
        """Who may nothing by role may what a token names, for as long as it says."""
        session, wire = self.connected(Identity("eve", "nobody"))
        self.assertEqual(103, self.error(session, wire, subscribe={"channel": "events:gate"}))
        claims: dict[str, Any] = {"sub": "eve", "channel": "events:gate", "exp": self.clock.seconds() + 10}
        asked = {"channel": "events:gate", "token": jwt.encode(claims, KEY)}
        self.assertEqual(10, self.ask(session, wire, subscribe=asked)["subscribe"]["ttl"])
        claims["exp"] += 10
        asked["token"] = jwt.encode(claims, KEY)
        self.assertEqual(20, self.ask(session, wire, sub_refresh=asked)["sub_refresh"]["ttl"])
        self.clock.advance(20 + GRACE)
        self.assertEqual(2501, wire.take()[0]["push"]["unsubscribe"]["code"])
        self.assertEqual(109, self.error(session, wire, subscribe=asked))

    def test_whoever_is_gone_is_sent_nothing(self) -> None:
        """And takes part in nothing any more."""
        session, wire = self.connected()
        self.ask(session, wire, subscribe={"channel": "events:gate"})
        session.closed()
        self.append(1)
        self.assertEqual(([], []), (wire.take(), list(self.hub)))

    def test_a_reader_who_is_the_only_one_costs_nothing_once_gone(self) -> None:
        """After a while without subscribers no commit is looked through; a quiet subscriber keeps it going."""
        session, wire = self.connected()
        self.ask(session, wire, subscribe={"channel": "events:quiet"})
        for _ in range(2):
            self.clock.advance(UNWATCHED + 1)
            self.append(1)
        self.append(2, source="quiet")
        self.assertEqual([2], self.numbers(wire.take()))
        session.closed()
        self.clock.advance(UNWATCHED + 1)
        self.append(3)
        self.assertEqual([], self.on_file.journal._listeners)


class Recovering(LiveCase):
    """Coming back without a hole."""

    def recover(self, offset: int, channel: str = "events:gate", **more: Any) -> tuple[dict[str, Any], list[int]]:
        session, wire = self.connected()
        asked = {"channel": channel, "recover": True, "offset": offset, "epoch": self.on_file.journal.epoch}
        reply = self.ask(session, wire, subscribe={**asked, **more})["subscribe"]
        return reply, [each["offset"] for each in reply.get("publications", ())]

    def test_all_that_was_missed(self) -> None:
        """Oldest first, after the requested offset, which the reply repeats."""
        self.append(1, 2, 3)
        self.append(4, source="shelf")
        reply, offsets = self.recover(1)
        self.assertEqual(
            (True, True, 1, [2, 3]),
            (reply["recovered"], reply["was_recovering"], reply["offset"], offsets),
        )

    def test_nothing_was_missed(self) -> None:
        """The present position is told, so that a quiet channel's client does not fall behind what is kept."""
        self.append(1)
        self.append(2, source="shelf")
        reply, offsets = self.recover(1)
        self.assertEqual((True, 2, []), (reply["recovered"], reply["offset"], offsets))

    def test_after_a_restart_of_the_gateway(self) -> None:
        """The journal is what is read."""
        self.append(1, 2, 3)
        self.on_file.restart()
        self.serve()
        self.assertEqual([2, 3], self.recover(1)[1])

    def test_further_back_than_memory(self) -> None:
        """What is not in the ring any more is read from the journal."""
        self.append(1, device="scanner-1")
        self.recover(0)
        for _ in range(3):
            self.append(*range(KEPT // 2), source="gate")
        self.assertNotIn("recovered", self.recover(KEPT)[0])
        stream = self.streams.of("events:gate")
        coming = Deferred.fromCoroutine(stream.since(1, 10_000))
        self.clock.advance(0)
        reached = self.successResultOf(coming)
        assert reached is not None
        self.assertEqual(list(range(2, 3 * (KEPT // 2) + 2)), [each.offset for each in reached])

    def test_too_much_was_missed(self) -> None:
        """The client is told so, and where it stands now."""
        self.append(*range(self.limits.history + 1))
        reply, offsets = self.recover(0)
        self.assertEqual(
            (True, None, self.limits.history + 1, []),
            (reply["was_recovering"], reply.get("recovered"), reply["offset"], offsets),
        )

    def test_another_journal(self) -> None:
        """Another epoch, and an offset that is still to come, recover nothing; an empty epoch is any."""
        self.append(1)
        self.assertNotIn("recovered", self.recover(0, epoch="other")[0])
        self.assertNotIn("recovered", self.recover(7)[0])
        self.assertIn("recovered", self.recover(0, epoch="")[0])

    def test_who_would_rather_fail(self) -> None:
        """Gets an error instead, and is not subscribed."""
        session, wire = self.connected()
        asked = {"channel": "events:gate", "recover": True, "offset": 7, "flag": 2}
        self.assertEqual(112, self.error(session, wire, subscribe=asked))
        self.assertNotIn("events:gate", self.hub)

    def test_what_is_committed_while_the_journal_is_read(self) -> None:
        """Comes once: in the reply or after it, and never before it."""
        self.append(1, 2)
        self.on_file.restart()
        self.serve()
        reading: Deferred[None] = Deferred()
        search = self.streams.search

        async def slow(*args: Any, **kwargs: Any) -> Any:
            found = await search(*args, **kwargs)
            await reading
            return found

        self.patch(self.streams, "search", slow)
        session, wire = self.connected()
        asked = {"channel": "events:gate", "recover": True, "offset": 1}
        self.say(session, {"id": 2, "subscribe": asked})
        self.append(3)
        self.assertEqual([], wire.told)
        reading.callback(None)
        self.assertEqual([2, 3], self.numbers(wire.told))
        self.assertEqual(2, wire.told[0]["id"])

    def test_many_who_come_back_at_once(self) -> None:
        """Read the journal once among them."""
        self.append(1, 2, 3)
        self.on_file.restart()
        self.serve()
        reads = []
        search = self.streams.search

        async def counted(*args: Any, **kwargs: Any) -> Any:
            reads.append(args)
            return await search(*args, **kwargs)

        self.patch(self.streams, "search", counted)
        for _ in range(20):
            self.assertEqual([2, 3], self.recover(1)[1])
        self.assertEqual(1, len(reads))

    def test_one_device(self) -> None:
        """Its own events are read from the journal."""
        for number, device in enumerate(("a", "b", "a", "a")):
            self.append(number, device=device)
        self.assertEqual([3, 4], self.recover(1, "device:a")[1])

    def test_what_is_settled_in_no_order(self) -> None:
        """Deliveries are recovered within one start of the gateway, as far as they are kept."""
        for number in range(4):
            self.deliveries.publish({"n": number})
        epoch = self.on_file.journal.run
        self.assertEqual([2, 3, 4], self.recover(1, "deliveries", epoch=epoch)[1])
        self.assertNotIn("recovered", self.recover(0, "deliveries", epoch=epoch)[0])
        self.assertNotIn("recovered", self.recover(1, "deliveries")[0])


class Asking(LiveCase):
    """Publishing, presence, history and calls."""

    def test_publishing(self) -> None:
        """Everybody in the channel gets it, with who sent it."""
        olga, her = self.connected(Identity("olga", "operator"))
        ann = self.connected()
        wire = ann[1]
        for session, its in ((olga, her), ann):
            self.ask(session, its, subscribe={"channel": "pub:board"})
        wire.take()
        self.assertEqual({"publish": {}}, self.ask(olga, her, publish={"channel": "pub:board", "data": {"a": [1]}}))
        (pushed,) = wire.take()
        self.assertEqual({"a": [1]}, pushed["push"]["pub"]["data"])
        self.assertEqual("olga", pushed["push"]["pub"]["info"]["user"])
        self.assertEqual(103, self.error(*ann, publish={"channel": "pub:board", "data": 1}))
        self.assertEqual(103, self.error(olga, her, publish={"channel": "events:gate", "data": 1}))

    def test_who_is_there(self) -> None:
        """Connections and users are counted; where presence is nobody's business it is not told."""
        session, wire = self.connected()
        other, its = self.connected()
        for each, whose in ((session, wire), (other, its)):
            self.ask(each, whose, subscribe={"channel": "pub:board"})
        present = self.ask(session, wire, presence={"channel": "pub:board"})["presence"]["presence"]
        self.assertEqual({session.id, other.id}, set(present))
        counted = self.ask(session, wire, presence_stats={"channel": "pub:board"})
        self.assertEqual({"num_clients": 2, "num_users": 1}, counted["presence_stats"])
        self.assertEqual(108, self.error(session, wire, presence={"channel": "events:gate"}))

    def test_history(self) -> None:
        """Forward from a position, or back from the newest; without a limit only the position."""
        seqs = self.append(*range(8))
        session, wire = self.connected()

        def history(**asked: Any) -> list[int]:
            told = self.ask(session, wire, history={"channel": "events:gate", **asked})["history"]
            self.assertEqual((self.on_file.journal.epoch, seqs[-1]), (told["epoch"], told["offset"]))
            return [each["offset"] for each in told["publications"]]

        self.assertEqual([], history())
        self.assertEqual(seqs[:2], history(limit=2))
        self.assertEqual(seqs[3:5], history(limit=2, since={"offset": seqs[2]}))
        self.assertEqual([seqs[-1], seqs[-2]], history(limit=2, reverse=True))
        self.assertEqual([seqs[1], seqs[0]], history(limit=-1, reverse=True, since={"offset": seqs[2]}))
        self.assertEqual(self.limits.history, len(history(limit=-1)))
        wrong = {"channel": "events:gate", "limit": 1}
        self.assertEqual(112, self.error(session, wire, history={**wrong, "since": {"offset": 1, "epoch": "x"}}))
        self.assertEqual(107, self.error(session, wire, history={**wrong, "reverse": True, "since": {"offset": 0}}))
        self.assertEqual(108, self.error(session, wire, history={"channel": "pub:board", "limit": 1}))

    def test_calls(self) -> None:
        """Operations by their names and what other parts offer; errors are told as such."""

        async def status(_: ShowStatus) -> dict[str, str]:
            return {"state": "works"}

        self.operations.answer(ShowStatus, status)
        session, wire = self.connected()
        self.assertEqual({"data": "hello, ann"}, self.ask(session, wire, rpc={"method": "greet"})["rpc"])
        name = str(ShowStatus.__struct_config__.tag)
        self.assertEqual({"data": {"state": "works"}}, self.ask(session, wire, rpc={"method": name})["rpc"])
        self.assertEqual(107, self.error(session, wire, rpc={"method": name, "data": {"wrong": 1}}))
        self.assertEqual(104, self.error(session, wire, rpc={"method": "dance"}))
        failed = self.ask(session, wire, rpc={"method": "greet", "data": {"whom": "nobody"}})["error"]
        self.assertEqual({"code": 400, "message": "nobody is there"}, failed)
        device, its = self.connected(Identity("scanner-1", "device"))
        self.assertEqual(103, self.error(device, its, rpc={"method": name}))

    def test_a_call_that_waits_for_a_device_keeps_nobody_waiting(self) -> None:
        """Other commands are answered meanwhile; of such calls only so many are under way, and all get answers."""
        waiting: list[Deferred[str]] = []

        async def command(data: Any, identity: Identity) -> Any:
            waiting.append(Deferred())
            return await waiting[-1]

        self.patch(self.services.rpc, "_offered", {"devices.command": command, "greet": self.greet})
        session, wire = self.connected()
        most = self.limits.beside
        for number in range(most):
            session.frame_came(json.dumps({"id": 100 + number, "rpc": {"method": "devices.command"}}).encode())
        self.assertEqual((len(waiting), wire.take()), (most, []))
        self.assertEqual({"data": "hello, ann"}, self.ask(session, wire, rpc={"method": "greet"})["rpc"])
        waiting[1].callback("done")
        self.assertEqual([{"id": 101, "rpc": {"data": "done"}}], wire.take())
        waiting[0].errback(LinesideError("expired"))
        self.assertEqual([{"id": 100, "error": {"code": 400, "message": "expired"}}], wire.take())
        self.clock.advance(1)
        for number in range(3):
            session.frame_came(json.dumps({"id": 200 + number, "rpc": {"method": "devices.command"}}).encode())
        # The third waits for its turn, before all that comes after it.
        session.frame_came(json.dumps({"id": 300, "rpc": {"method": "greet"}}).encode())
        self.assertEqual((len(waiting), wire.take()), (most + 3, []))
        waiting[-1].callback("at last")
        self.assertEqual([202, 300], [each["id"] for each in wire.take()])
        session.closed()
        for each in waiting[2:-1]:
            each.callback("too late")
        self.assertEqual([], wire.take())

    def test_what_nobody_foresaw(self) -> None:
        """The client may try again, the log has the traceback, and the connection stays."""

        async def broken(data: Any, identity: Identity) -> Any:
            raise ZeroDivisionError

        self.patch(self.services.rpc, "_offered", {"broken": broken})
        session, wire = self.connected()
        self.assertEqual(100, self.error(session, wire, rpc={"method": "broken"}))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertIsNone(wire.ended)


class PlayedErp:
    """An ERP that knows a session and a key of ann's, and lets her read items."""

    away = False

    def __init__(self) -> None:
        self.sessions = {"hers"}
        self.readable = {"frappe:doctype:Item"}
        self.answering: Deferred[None] | None = None
        """What its answers wait for, if for anything."""
        self.asked = 0

    async def whose(self, credential: Credential) -> str | None:
        self.asked += 1
        if self.answering is not None:
            await self.answering
        if self.away:
            raise LinesideError("no answer")
        known = credential.session in self.sessions or credential == Credential(token="k:s")
        return "ann@erp" if known else None

    async def may_read(self, credential: Credential, channel: str) -> bool:
        if self.away:
            raise LinesideError("no answer")
        return channel in self.readable


class UsersOfTheErp(LiveCase):
    """Whom the gateway has no token for, and the ERP knows."""

    def setUp(self) -> None:
        super().setUp()
        self.erp = PlayedErp()
        self.services = replace(self.services, access=Access({}, self.erp), recognition=self.recognition(self.erp))

    def from_page(self, cookie: str, identity: Identity = NOBODY, **connect: Any) -> tuple[Session, PlayedWire]:
        """Connect as the script of a page does, whose browser sends the cookies along."""
        wire = PlayedWire()
        session = Session("c1", wire, Call(identity, {}, {}, {"cookie": cookie}), self.services)
        self.say(session, {"id": 1, "connect": connect})
        return session, wire

    def test_by_the_cookie_of_their_session(self) -> None:
        """They may read what the ERP lets them read, and nothing of the gateway's own."""
        session, wire = self.from_page("theme=dark; sid=hers")
        self.assertEqual("ann@erp", session.user)
        self.assertIn("subscribe", self.ask(session, wire, subscribe={"channel": "frappe:doctype:Item"}))
        self.assertEqual(103, self.error(session, wire, subscribe={"channel": "frappe:doctype:Salary Slip"}))
        self.assertEqual(103, self.error(session, wire, subscribe={"channel": "events:gate"}))
        self.hub.publish("frappe:doctype:Item", publication(b'{"event":"list_update"}'))
        self.assertEqual({"event": "list_update"}, wire.take()[-1]["push"]["pub"]["data"])

    def test_by_their_key(self) -> None:
        """As the ERP's own API takes it; a wrong one ends the connection."""
        self.assertEqual("ann@erp", self.from_page("", token="token k:s")[0].user)
        _, wire = self.from_page("", token="token k:wrong")
        assert wire.ended is not None
        self.assertEqual(3500, wire.ended.code)

    def test_a_session_that_has_ended(self) -> None:
        """Its holder is nobody known, as without a cookie."""
        for cookie in ("sid=gone", "sid=Guest", "sid=", "other=1"):
            self.assertEqual(101, self.from_page(cookie)[1].told[0]["error"]["code"], cookie)

    def test_while_the_erp_is_away(self) -> None:
        """Nobody can say who they are: they are to try again."""
        self.erp.away = True
        told = self.from_page("sid=hers")[1].told[0]["error"]
        self.assertEqual((100, True), (told["code"], told["temporary"]))

    def test_who_is_known_already_loses_nothing_by_the_cookie(self) -> None:
        """A browser at this machine sends it to every port: the dashboard works, also while the ERP is away."""
        session, wire = self.from_page("sid=hers", VIEWER)
        for channel in ("frappe:doctype:Item", "events:gate"):
            self.assertIn("subscribe", self.ask(session, wire, subscribe={"channel": channel}), channel)
        narrow = Identity("scale", "device", frozenset({"gate"}))
        session, _ = self.from_page("sid=hers", narrow)
        assert session._known is not None
        self.assertEqual(frozenset({"gate"}), session._known.identity.sources)
        self.erp.away = True
        session, wire = self.from_page("sid=hers", VIEWER)
        self.assertEqual("ann", session.user)
        self.assertIn("subscribe", self.ask(session, wire, subscribe={"channel": "events:gate"}))

    def test_a_token_of_the_gateways_goes_before_the_cookie(self) -> None:
        """Who brings one means it."""
        self.assertEqual("olga", self.from_page("sid=hers", token="operator's")[0].user)


class AskedAgain(UsersOfTheErp):
    """The ERP ends a session, or takes a permission back, while its user is connected."""

    def setUp(self) -> None:
        super().setUp()
        self.session, self.wire = self.from_page("sid=hers")
        self.ask(self.session, self.wire, subscribe={"channel": "frappe:doctype:Item"})
        self.wire.take()

    def later(self, session: Session | None = None) -> None:
        """Let the time pass after which the ERP is asked again with the next ping."""
        self.clock.advance(self.limits.asked_again)
        (session or self.session).ping()

    def test_a_session_that_ended_meanwhile(self) -> None:
        """Its connection ends: 3005, and whoever comes back is asked who it is."""
        self.erp.sessions.clear()
        self.later()
        assert self.wire.ended is not None
        self.assertEqual(3005, self.wire.ended.code)
        self.assertEqual([], list(self.hub))

    def test_a_permission_that_was_taken_back(self) -> None:
        """Ends the subscription, 2000, so that the client stays away from it; the connection stays."""
        self.erp.readable.clear()
        self.later()
        told = {"code": 2000, "reason": "permission denied"}
        self.assertIn({"push": {"channel": "frappe:doctype:Item", "unsubscribe": told}}, self.wire.take())
        self.hub.publish("frappe:doctype:Item", publication(b"1"))
        self.assertEqual(([], None), (self.wire.take(), self.wire.ended))
        self.assertEqual(103, self.error(self.session, self.wire, subscribe={"channel": "frappe:doctype:Item"}))

    def test_nothing_changed(self) -> None:
        """It is asked once in so many minutes, not with each ping, and all goes on."""
        for _ in range(3):
            asked = self.erp.asked
            self.later()
            self.session.ping()
            self.assertEqual(asked + 1, self.erp.asked)
        self.hub.publish("frappe:doctype:Item", publication(b"1"))
        self.assertEqual(1, self.wire.take()[-1]["push"]["pub"]["data"])

    def test_an_erp_that_is_away(self) -> None:
        """Shuts nobody out; it is asked again later."""
        self.erp.away = True
        self.later()
        self.assertIsNone(self.wire.ended)
        self.erp.away = False
        self.erp.sessions.clear()
        self.later()
        self.assertIsNotNone(self.wire.ended)

    def test_many_at_once(self) -> None:
        """The ERP is asked about two at a time, however many are connected."""
        others = [self.from_page("sid=hers")[0] for _ in range(50)]
        self.erp.answering = Deferred()
        asked = self.erp.asked
        self.clock.advance(self.limits.asked_again)
        for session in [self.session, *others]:
            session.ping()
            session.ping()
        self.assertEqual(asked + ASKED, self.erp.asked)
        self.erp.answering.callback(None)
        self.assertEqual(asked + 51, self.erp.asked)

    def test_who_goes_while_the_erp_thinks(self) -> None:
        """Leaves nothing behind."""
        self.erp.answering = Deferred()
        self.later()
        self.session.closed()
        self.erp.readable.clear()
        self.erp.answering.callback(None)
        self.assertEqual(0, len([each for each in self.wire.take() if "push" in each]))

    def test_who_has_a_token_of_the_gateways(self) -> None:
        """The ERP is not asked."""
        session, _ = self.from_page("sid=hers", token="operator's")
        asked = self.erp.asked
        self.later(session)
        self.assertEqual(asked, self.erp.asked)
