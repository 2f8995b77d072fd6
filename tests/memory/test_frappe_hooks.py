"""Webhooks from a stand-in into a journal, and the poll that finds what none of them brought."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from treq.testing import RequestTraversalAgent
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from lineside.delivery.gate import Gate
from lineside.edges.frappe import changedrows, newchanges
from lineside.edges.frappe.changedrows import ChangedRows
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.hooks import WITHIN, HookIntake
from lineside.edges.frappe.newchanges import NewChanges
from lineside.edges.frappe.poll import FrappePoll
from lineside.edges.frappe.target import FrappeTarget
from lineside.edges.frappe.webhook import WebhookFormat, signature
from lineside.edges.http.identification import Identification
from lineside.edges.http.site import Desk, GatewaySite
from lineside.model.errors import JournalFull
from lineside.model.event import NO_SEQ, Record
from lineside.security.identity import Identity
from lineside.security.limits import FREE, BackOff
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.postman import Postman
from lineside.standin.settings import SiteSettings
from lineside.standin.site import make_site
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

T = TypeVar("T")
SECRET = "geheim"
BERLIN = ZoneInfo("Europe/Berlin")
EVERY = 60.0
OVERLAP = 300.0
FIELDS = ("description", "status")
BODY = b'{"name": "T-1", "modified": "2026-03-09 08:00:00.000001", "docstatus": 0}'


class NoTokens:
    """Nobody has one."""

    any = False

    def identify(self, text: str) -> Identity | None:
        return None


class Answered:
    """What the gateway answered."""

    phrase = b""

    def __init__(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.code, self.headers, self.body = code, headers, body

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self.body)
        protocol.connectionLost(Failure(ResponseDone()))


@implementer(IAgent)
class Door:
    """Carries requests into the gateway's HTTP edge, each on a connection of its own; away, it refuses them."""

    def __init__(self, site: GatewaySite) -> None:
        self.site = site
        self.away = False
        self.answers: list[Answered] = []

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None) -> Any:
        if self.away:
            return fail(ConnectError())
        body = bodyProducer._inputFile.read()
        return succeed(
            self.post(
                urlsplit(uri).path,
                body,
                *((name, list(values)) for name, values in (headers or Headers()).getAllRawHeaders()),
            )
        )

    def post(self, path: bytes, body: bytes, *headers: tuple[bytes, list[bytes]]) -> Answered:
        answer = self.send(path, body, *headers)
        assert answer is not None
        return answer

    def send(self, path: bytes, body: bytes, *headers: tuple[bytes, list[bytes]]) -> Answered | None:
        """Send one request; None where it is not answered yet."""
        transport, connection = self.connected()
        lines = [b"POST " + path + b" HTTP/1.1", b"Host: gateway.example", b"Content-Length: %d" % len(body)]
        lines += [name + b": " + value for name, values in headers for value in values]
        connection.dataReceived(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.unanswered = transport
        if not transport.value():
            return None
        answer = self.read(transport)
        connection.connectionLost(Failure(ConnectionDone()))
        return answer

    def connected(self) -> tuple[StringTransport, Any]:
        connection = self.site.buildProtocol(None)
        transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 40000))
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        connection.makeConnection(transport)
        self.addCleanup(lambda: connection.connectionLost(Failure(ConnectionDone())))
        return transport, connection

    def addCleanup(self, cleanup: Any) -> None:
        """Replaced by the test's."""

    def read(self, transport: StringTransport) -> Answered:
        head, _, content = transport.value().partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        answer = Answered(int(first.split()[1]), dict(field.split(": ", 1) for field in fields), content)
        self.answers.append(answer)
        return answer


class Both(SynchronousTestCase):
    """A stand-in, and a gateway with one source."""

    begin: Any = "new"
    begun = datetime(2026, 3, 9, 8, 0, tzinfo=BERLIN)

    def setUp(self) -> None:
        self.clock = Clock()
        self.ahead = timedelta()
        self.stamped: datetime | None = None
        self.documents = memory_documents(now=self.site_time, time_zone=str(BERLIN), random=Random(1))
        self.faults = FaultKnobs(Random(1))
        self.settings = SiteSettings()
        site = make_site(
            self.clock, self.documents, self.faults, Credentials("key", "secret"), settings=self.settings
        )
        self.agent = RequestTraversalAgent(site.resource)
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.end)
        self.poll: FrappePoll | None = None
        self.start()
        self.addCleanup(self.stop)

    def site_time(self) -> datetime:
        """The site's clock, naive; it takes a microsecond to look at it."""
        if self.stamped is not None:
            return self.stamped
        self.ahead += timedelta(microseconds=1)
        now = self.begun.astimezone(UTC) + timedelta(seconds=self.clock.seconds()) + self.ahead
        return now.astimezone(BERLIN).replace(tzinfo=None)

    def start(self, *, polled: bool = True, secret: str | None = SECRET, **options: Any) -> None:
        """Start the gateway."""
        self.poll = None
        if polled:
            client = FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=self.agent)
            self.gate = Gate("erp", FrappeTarget(client), self.clock, Random(1), concurrency=4)
            changes = NewChanges(
                "todos",
                "todos",
                ChangedRows(client, "ToDo", FIELDS, options.pop("filters", ())),
                self.file.journal,
                self.file.database,
                decoder=JsonLines(None, None),
                address="erp",
                overlap=OVERLAP,
                batch=options.pop("batch", 2),
                begin=options.pop("begin", self.begin),
                now=lambda: self.begun.timestamp() + self.clock.seconds(),
            )
            self.poll = FrappePoll("todos", changes, self.gate, self.clock, Random(1), every=EVERY)
        self.hooks = HookIntake(
            "todos",
            WebhookFormat("ToDo"),
            self.file.journal,
            self.clock,
            secret=secret,
            fields=FIELDS,
            poll=None if self.poll is None else self.poll.changes,
        )
        desk = Desk([self.hooks.endpoint], Identification(NoTokens()), max_body=10_000)
        self.door = Door(GatewaySite(desk, self.clock))
        self.door.addCleanup = self.addCleanup  # type: ignore[method-assign, assignment]
        self.postman = Postman(self.clock, self.door, self.documents)
        self.documents.on_webhooks = self.postman.post
        if self.poll is not None:
            self.now(self.poll.start())

    def end(self) -> None:
        self.file.close()

    def stop(self) -> None:
        if self.poll is not None:
            self.now(self.poll.stop())

    def restart(self, **options: Any) -> None:
        """Stop the gateway, and start it as a new process."""
        self.stop()
        self.file.restart()
        self.start(**options)

    def now(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def change_site(self, work: Any) -> Any:
        return self.successResultOf(self.documents.write(work))

    def make(self, description: str, **fields: object) -> str:
        given = {"description": description, **fields}
        made = self.change_site(lambda records: records.insert("ToDo", given, "Administrator"))
        return str(made["name"])

    def close(self, name: str) -> None:
        """Change one."""
        self.change_site(lambda records: records.update("ToDo", name, {"status": "Closed"}, "Administrator"))

    def watch(self, *events: str) -> None:
        """Set up Webhooks, as the guide says."""
        fields = ("name", "modified", "docstatus", *FIELDS)
        for event in events or ("after_insert", "on_update"):
            webhook = {
                "name": f"Lineside {event}",
                "webhook_doctype": "ToDo",
                "webhook_docevent": event,
                "request_url": "http://gateway.example/hooks/todos",
                "enable_security": 1,
                "webhook_secret": SECRET,
                "webhook_data": [{"fieldname": field, "key": field} for field in fields],
            }
            self.change_site(lambda records, webhook=webhook: records.insert("Webhook", webhook, "Administrator"))

    def look(self, times: int = 1) -> None:
        """Let the poll look once more."""
        for _ in range(times):
            self.clock.advance(EVERY)

    def records(self) -> list[Record]:
        return self.now(self.file.journal.read(NO_SEQ, limit=1000)).records

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(record.event.body) for record in self.records()]

    def descriptions(self) -> list[str]:
        return [event["description"] for event in self.events()]


class Taking(Both):
    """What becomes of a webhook."""

    def post(self, body: bytes, given: str | None = None, **headers: str) -> Answered:
        sent = {b"X-Frappe-Webhook-Signature": signature(SECRET, body) if given is None else given}
        sent |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
        return self.door.post(
            b"/hooks/todos", body, *((name, [value.encode()]) for name, value in sent.items() if value)
        )

    def test_a_change_is_an_event_before_frappe_is_told(self) -> None:
        """An insert fires two webhooks of one version: one event, and both are told its sequence."""
        self.watch()
        name = self.make("first")
        [record] = self.records()
        self.assertEqual(
            {"name": name, "description": "first", "status": "Open"}.items() - self.events()[0].items(), set()
        )
        told = [(answer.code, json.loads(answer.body)) for answer in self.door.answers]
        self.assertEqual([(200, {"sequence": record.seq}), (200, {"sequence": record.seq, "repeated": True})], told)
        self.close(name)
        self.assertEqual(["Open", "Closed"], [event["status"] for event in self.events()])

    def test_nothing_is_told_before_the_commit(self) -> None:
        """The answer waits for the disk; one that is too late for Frappe's patience is 503, and a repeat is one."""
        self.file.writer.held = True
        self.assertIsNone(
            self.door.send(
                b"/hooks/todos", BODY, (b"X-Frappe-Webhook-Signature", [signature(SECRET, BODY).encode()])
            )
        )
        waiting = self.door.unanswered
        self.clock.advance(WITHIN)
        late = self.door.read(waiting)
        self.assertEqual((503, "5"), (late.code, late.headers["Retry-After"]))
        self.file.writer.release()
        again = json.loads(self.post(BODY).body)
        self.assertTrue(again["repeated"])
        self.assertEqual(1, len(self.records()))
        self.assertEqual(2, self.hooks.received)

    def test_whatever_the_body_is_called_it_is_json(self) -> None:
        """Frappe names no type unless one is configured."""
        for number, kind in enumerate(("", "application/json", "application/x-www-form-urlencoded", "x")):
            body = BODY.replace(b"T-1", b"T-%d" % number)
            self.assertEqual(200, self.post(body, Content_Type=kind).code)
        self.assertEqual(4, len(self.records()))

    def test_what_is_not_rightly_signed_is_refused_with_an_alarm(self) -> None:
        """One line a minute, with their number, whoever floods."""
        with capturedLogs() as events:
            for given in ("", "x", signature("other", BODY)):
                answer = self.post(BODY, given)
                self.assertEqual(
                    (401, "X-Frappe-Webhook-Signature"), (answer.code, answer.headers["WWW-Authenticate"])
                )
            self.clock.advance(60)
            self.post(BODY, "x")
        alarms = [event for event in events if event["log_format"] == "hook.refused"]
        self.assertEqual([(1, False), (3, True)], [(event["refused"], event["signed"]) for event in alarms])
        self.assertIn("tick Enable Security", alarms[0]["remedy"])
        self.assertEqual(("192.0.2.7", []), (alarms[0]["peer"], self.records()))

    def test_a_replayed_one_is_no_second_event(self) -> None:
        """Whoever kept a signed body sends it again, at once and after a newer one; an altered one is refused."""
        newer = BODY.replace(b"08:00:00", b"09:00:00")
        told = [json.loads(self.post(body).body) for body in (BODY, BODY, newer, BODY, newer)]
        self.assertEqual([one["sequence"] for one in told], [1, 1, 2, 1, 2])
        self.assertEqual([one.get("repeated", False) for one in told], [False, True, False, True, True])
        self.assertEqual(401, self.post(newer.replace(b"09:", b"10:"), signature(SECRET, newer)).code)
        self.assertEqual(2, len(self.records()))

    def test_who_signs_wrongly_too_often_waits(self) -> None:
        """401 at first, then 429; a rightly signed one from the same address is taken all the same."""
        told: list[str] = []
        back_off = BackOff()

        def refused(peer: str) -> float:
            told.append(peer)
            return back_off.failed(peer, self.clock.seconds())

        self.hooks.on_refused = refused
        answers = [self.post(BODY, "forged") for _ in range(FREE + 2)]
        self.assertEqual([401] * (FREE + 1) + [429], [answer.code for answer in answers])
        self.assertEqual("1", answers[-1].headers["Retry-After"])
        self.assertEqual(1, len(set(told)))
        self.assertEqual(200, self.post(BODY).code)
        self.assertEqual(FREE + 2, len(told))

    def test_a_signed_body_that_makes_no_sense_is_a_dead_letter(self) -> None:
        """Frappe is told that it is kept, and why it is one."""
        answer = self.post(b'{"state": "Open"}')
        self.assertEqual(200, answer.code)
        self.assertIn("it lacks name, modified, docstatus", json.loads(answer.body)["error"])
        [record] = self.records()
        self.assertEqual(b'{"state": "Open"}', record.event.raw)
        self.assertEqual((1, 1), (self.hooks.received, self.hooks.undecodable))

    def test_what_cannot_be_stored_is_to_be_sent_again(self) -> None:
        """A full disk, and a source that a person paused, are 503."""
        self.file.journal.refusal = "the journal is full"
        answer = self.post(BODY)
        self.assertEqual((503, "5"), (answer.code, answer.headers["Retry-After"]))
        self.assertIn(b"the journal is full", answer.body)
        self.assertEqual((0, []), (self.hooks.received, self.records()))

    def test_a_body_beyond_the_limit_is_refused(self) -> None:
        """Before it is all there."""
        self.assertEqual(413, self.post(b" " * 10_001).code)

    def test_a_webhook_that_lacks_what_the_poll_brings_is_told_once(self) -> None:
        """Else an event's fields would depend on who was first."""
        with capturedLogs() as events:
            self.post(BODY)
            self.post(BODY.replace(b"T-1", b"T-2"))
        [warning] = [event for event in events if event["log_format"] == "hook.lacks_fields"]
        self.assertEqual("description, status", warning["fields"])

    def test_without_a_secret_only_if_it_is_said(self) -> None:
        """Then everyone is believed."""
        self.restart(polled=False, secret=None)
        self.assertEqual(200, self.post(BODY, "").code)


class Repairing(Both):
    """What becomes of a change that no webhook brought."""

    def test_what_frappe_gave_up_is_found_once(self) -> None:
        """Three attempts fail while the gateway is away, others come through; each change is one event."""
        self.watch("after_insert")
        self.make("before")
        self.door.away = True
        lost = self.make("lost")
        self.clock.advance(1)
        self.clock.advance(4)
        attempts = self.change_site(
            lambda records: records.list("Webhook Request Log", {"filters": {"reference_document": lost}})
        )
        self.assertEqual(3, len(attempts))
        self.door.away = False
        self.make("after")
        self.assertEqual(["before", "after"], self.descriptions())
        self.look(10)
        self.assertEqual(["before", "after", "lost"], self.descriptions())
        assert self.poll is not None
        self.assertEqual((2, 1), (self.hooks.received, self.poll.changes.received))

    def test_the_event_is_the_same_whoever_brings_it(self) -> None:
        """The same fields, the same values, the same key."""
        self.watch("after_insert")
        self.make("by the webhook", status="Open")
        self.door.away = True
        self.make("by the poll", status="Open")
        self.look(2)
        first, second = self.events()
        self.assertEqual(list(first), list(second))
        self.assertEqual({type(value) for value in first.values()}, {type(value) for value in second.values()})
        keys = [str(record.event.key) for record in self.records()]
        for key, event in zip(keys, (first, second), strict=True):
            self.assertEqual(f"ToDo/{event['name']}@{event['modified']}/0", key)

    def test_a_gateway_that_was_away_for_long_catches_up(self) -> None:
        """Nothing is lost or doubled when all keys are forgotten, pages overflow and rows share a moment."""
        self.list_in_small_pages()
        self.watch("after_insert")
        self.make("before")
        self.look()
        self.stop()
        self.poll = None
        self.door.away = True
        for number in range(8):
            self.clock.advance(86_400)
            self.make(f"n{number}")

        self.stamped = datetime(2026, 3, 17, 10, 0)  # noqa: DTZ001 (the site's own naive time)
        for number in range(7):
            self.make(f"m{number}")
        self.stamped = None
        self.clock.advance(1)
        self.clock.advance(4)
        self.file.restart()
        self.start()
        self.look(3)
        self.assertEqual(["before", *(f"n{n}" for n in range(8))], self.descriptions()[:9])
        self.assertEqual(sorted(f"m{n}" for n in range(7)), sorted(self.descriptions()[9:]))

    def test_rows_that_become_visible_late_are_found(self) -> None:
        """A transaction stamped its rows and took its time: they lie below what was seen, also over a restart."""
        self.make("early")
        self.look()

        def late() -> None:
            self.stamped = self.site_time() - timedelta(seconds=200)
            self.make("late")
            self.stamped = None

        self.clock.advance(30)
        self.make("on time")
        self.look()
        late()
        self.look()
        self.assertEqual(["early", "on time", "late"], self.descriptions())
        late()
        self.restart()
        self.look(3)
        self.assertEqual(["early", "on time", "late", "late"], self.descriptions())

    def list_in_small_pages(self) -> None:
        """Three versions fill one."""
        for module in (changedrows, newchanges):
            self.patch(module, "PAGE", 3)

    def behind_a_page(self, number: int, happening: Callable[[], object]) -> None:
        """Let something happen once, when that many pages were read and before their documents are."""
        assert self.poll is not None
        rows = self.poll.changes._rows
        versions = rows.versions
        read: list[int] = []

        async def read_and_moved_on(*asked: Any) -> Any:
            page = await versions(*asked)
            read.append(len(page))
            if len(read) == number:
                happening()
            return page

        rows.versions = read_and_moved_on  # type: ignore[method-assign, assignment]

    def test_what_becomes_visible_behind_a_page_of_a_long_look_is_found(self) -> None:
        """Whichever page it is: the look takes longer than the overlap, and new changes come all the while."""
        self.list_in_small_pages()

        def late() -> None:
            self.stamped = self.site_time() - timedelta(seconds=200)
            self.make(f"late {pages}")
            self.stamped = None
            for _ in range(3):
                self.clock.advance(OVERLAP / 2)
                self.make(f"on time {pages}")

        for pages in (1, 2, 3, 4):
            for each in range(7):
                self.make(f"{pages} {each}")
            self.behind_a_page(pages, late)
            self.look(3)
            self.assertEqual(1, self.descriptions().count(f"late {pages}"))
            self.assertEqual(3, self.descriptions().count(f"on time {pages}"))
        self.assertEqual(4 * 11, len(self.descriptions()))

    def test_a_long_look_that_fails_hides_nothing_of_what_it_did_not_see(self) -> None:
        """The site goes down in its midst, and the gateway too: the next look goes as far back as that one."""
        self.list_in_small_pages()

        def late_and_down() -> None:
            self.stamped = self.site_time() - timedelta(seconds=200)
            self.make("late")
            self.stamped = None
            for each in range(9):
                self.clock.advance(OVERLAP / 2)
                self.make(f"on time {each}")
            self.behind_a_page(3, lambda: self.settings.turn({"maintenance_mode": True}))

        for each in range(7):
            self.make(f"n{each}")
        self.behind_a_page(2, late_and_down)
        self.look()
        assert self.poll is not None
        self.assertIn("503", str(self.poll.problem))
        self.assertNotIn("late", self.descriptions())
        self.settings.turn({"maintenance_mode": False})
        self.restart()
        self.look(2)
        told = self.descriptions()
        self.assertEqual((17, 1), (len(told), told.count("late")))

    def test_a_stamp_of_the_future_hides_nothing_of_a_long_look(self) -> None:
        """It is the newest that is there from the beginning to the end."""
        self.list_in_small_pages()
        self.ahead += timedelta(days=1)
        self.make("tomorrow")
        self.ahead -= timedelta(days=1)

        def late() -> None:
            self.make(f"late {pages}")
            self.clock.advance(2 * OVERLAP)

        for pages in (1, 2, 3):
            for each in range(4):
                self.make(f"{pages} {each}")
            self.behind_a_page(pages, late)
            self.look(3)
            self.assertEqual(1, self.descriptions().count(f"late {pages}"))
        self.assertEqual(1 + 3 * 5, len(self.descriptions()))

    def test_a_long_look_at_what_is_there_takes_no_change_to_come_for_it(self) -> None:
        """A source that begins with changes to come was just noting what there is."""
        self.stop()
        self.file.close()
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.list_in_small_pages()
        for each in range(7):
            self.make(f"n{each}")
        self.settings.turn({"maintenance_mode": True})
        self.start()
        self.behind_a_page(2, lambda: self.make("new"))
        self.settings.turn({"maintenance_mode": False})
        self.look(3)
        self.assertEqual(["new"], self.descriptions())

    def test_what_a_webhook_brought_is_not_found_again_when_its_key_is_forgotten(self) -> None:
        """The site could not be asked for longer than keys are remembered; the webhooks came all the time."""
        self.watch("after_insert")
        for restarted in (False, True):
            self.gate.paused = True
            for number in range(5):
                self.clock.advance(86_400)
                self.make(f"{restarted} {number}")
            if restarted:
                self.restart()
            self.file.journal._seen._window_ns = -1
            self.gate.paused = False
            self.look(2)
        self.assertEqual([f"{restarted} {n}" for restarted in (False, True) for n in range(5)], self.descriptions())

    def test_what_was_there_before_is_left_alone_unless_asked_for(self) -> None:
        """A source begins with changes to come, or with all that is there."""
        self.stop()
        self.make("old")
        for begin, expected in (("new", ["new"]), ("all", ["new", "old", "new"])):
            self.file.close()
            self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
            self.start(begin=begin)
            if begin == "new":
                self.make("new")
            self.look()
            self.assertEqual(expected[-len(self.descriptions()) :], self.descriptions())
            self.assertEqual(begin == "all", "old" in self.descriptions())
            self.stop()
            self.poll = None

    def test_only_what_the_filters_let_through_comes(self) -> None:
        """As the Webhook's condition does."""
        self.restart(filters=[("status", "=", "Closed")])
        name = self.make("x")
        self.look()
        self.assertEqual([], self.events())
        self.close(name)
        self.look()
        self.assertEqual(["Closed"], [event["status"] for event in self.events()])

    def test_a_document_that_changes_while_it_is_read_comes_as_it_is(self) -> None:
        """And each change once."""
        name = self.make("x")
        assert self.poll is not None
        whole = self.poll.changes._rows.whole

        async def changed_before(names: Any) -> Any:
            self.poll.changes._rows.whole = whole  # type: ignore[union-attr, method-assign]
            self.close(name)
            return await whole(names)

        self.poll.changes._rows.whole = changed_before  # type: ignore[method-assign]
        self.look(3)
        self.assertEqual(["Closed"], [event["status"] for event in self.events()])

    def test_a_document_that_is_deleted_while_it_is_read_is_left_out(self) -> None:
        """There is nothing to tell of it."""
        name = self.make("x")
        assert self.poll is not None
        whole = self.poll.changes._rows.whole

        async def deleted_before(names: Any) -> Any:
            self.poll.changes._rows.whole = whole  # type: ignore[union-attr, method-assign]
            self.change_site(lambda records: records.delete("ToDo", name))
            return await whole(names)

        self.poll.changes._rows.whole = deleted_before  # type: ignore[method-assign]
        self.look(3)
        self.assertEqual([], self.events())
        self.assertIsNone(self.poll.problem)

    def test_a_stamp_of_the_future_hides_nothing(self) -> None:
        """A document from a clock that was a day ahead: what is made until then comes, and that one once."""
        self.ahead += timedelta(days=1)
        self.make("tomorrow")
        self.look()
        self.ahead -= timedelta(days=1)
        for number in range(3):
            self.make(f"n{number}")
            self.look(4)
        self.restart()
        self.look()
        self.assertEqual(["tomorrow", "n0", "n1", "n2"], self.descriptions())


class PutBack(Both):
    """The night in which the site's clock shows two o'clock twice: 2026-10-25, 01:00 UTC."""

    begun = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)

    def test_each_change_of_that_night_is_found_once(self) -> None:
        """One every ten minutes from 01:30 to the second 02:59 and on; the gateway is started anew in between."""
        for number in range(20):
            self.make(f"n{number}")
            self.look(10)
            if number in {8, 11}:
                self.restart()
        self.assertEqual([f"n{number}" for number in range(20)], self.descriptions())


class DayBefore(Both):
    """The day before that night, when the poll begins to look further back."""

    begun = datetime(2026, 10, 23, 23, 30, tzinfo=UTC)

    def test_nothing_comes_again_when_its_key_is_forgotten(self) -> None:
        """What it has passed it never looks at again."""
        self.file.journal._seen._window_ns = -1
        for number in range(20):
            self.make(f"n{number}")
            self.look(10)
        self.assertEqual([f"n{number}" for number in range(20)], self.descriptions())


class Trouble(Both):
    """What hinders a poll, and how it is told."""

    def test_maintenance_is_waited_for(self) -> None:
        """The status says why; afterwards all comes."""
        self.settings.turn({"maintenance_mode": True})
        self.make("x")
        with capturedLogs() as events:
            self.look()
        assert self.poll is not None
        self.assertIn("503", str(self.poll.problem))
        [warning] = [event for event in events if event["log_format"] == "poll.failing"]
        self.assertEqual("todos", warning["source"])
        self.settings.turn({"maintenance_mode": False})
        with capturedLogs() as events:
            self.look()
        self.assertIn("poll.works_again", [event["log_format"] for event in events])
        self.assertEqual((["x"], None), (self.descriptions(), self.poll.problem))

    def test_a_site_that_is_away_at_the_start_is_waited_for(self) -> None:
        """The gate opens when it answers."""
        self.settings.turn({"maintenance_mode": True})
        self.restart()
        self.make("x")
        self.look()
        assert self.poll is not None
        self.assertIn("erp: HTTP 503", str(self.poll.problem))
        self.settings.turn({"maintenance_mode": False})
        self.look(2)
        self.assertEqual((["x"], None), (self.descriptions(), self.poll.problem))

    def test_a_field_that_is_not_there_is_told_with_the_remedy(self) -> None:
        """Nothing is skipped."""
        self.restart(filters=[("nonsense", "=", 1)])
        assert self.poll is not None
        self.assertIn("check the poll's fields and filters", str(self.poll.problem))

    def test_a_target_that_a_person_paused_is_asked_nothing(self) -> None:
        """Until it may go on."""
        self.gate.paused = True
        self.make("x")
        self.look(3)
        assert self.poll is not None
        self.assertEqual(([], "the target erp is paused"), (self.events(), self.poll.problem))
        self.gate.paused = False
        self.look()
        self.assertEqual(["x"], self.descriptions())

    def test_what_the_journal_refuses_is_taken_later(self) -> None:
        """A full disk loses nothing."""
        self.file.journal.refusal = "the journal is full"
        self.make("x")
        self.look()
        assert self.poll is not None
        self.assertIn("the journal is full", str(self.poll.problem))
        self.file.journal.refusal = None
        self.look()
        self.assertEqual((["x"], None), (self.descriptions(), self.poll.problem))

    def test_a_commit_that_nobody_was_told_of_doubles_nothing(self) -> None:
        """Events and progress are one transaction, whatever keys are remembered."""
        append = self.file.journal.append
        self.file.journal._seen._window_ns = -1

        async def stored_and_not_told(*arguments: Any, **more: Any) -> Any:
            await append(*arguments, **more)
            raise JournalFull("power cut")

        self.make("x")
        self.file.journal.append = stored_and_not_told  # type: ignore[method-assign]
        self.look()
        self.file.journal.append = append  # type: ignore[method-assign]
        self.make("y")
        self.look(2)
        self.restart()
        self.look()
        self.assertEqual(["x", "y"], self.descriptions())
