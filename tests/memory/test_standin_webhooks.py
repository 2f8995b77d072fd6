"""The stand-in's webhooks: what is sent, when, how often, and what is written down."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from lineside.standin.documents import memory_documents
from lineside.standin.postman import Postman

URL = "http://gateway.example/hooks/orders"


class Answered:
    """A receiver's answer."""

    phrase = b"OK"

    def __init__(self, code: int, body: bytes = b"") -> None:
        self.code = code
        self._body = body

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


@implementer(IAgent)
class Receiver:
    """Keeps every request; its answers are set beforehand."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, bytes, Headers, bytes]] = []
        self.answers: list[Callable[[], Deferred[Any]]] = []

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[Any]:
        producer: Any = bodyProducer
        self.got.append((method, uri, headers or Headers(), producer._inputFile.read()))
        return self.answers.pop(0)() if self.answers else succeed(Answered(200, b"thanks"))

    def will(self, *answers: Callable[[], Deferred[Any]]) -> None:
        self.answers.extend(answers)


def refused() -> Deferred[Any]:
    return fail(error.ConnectionRefusedError())


def failing() -> Deferred[Any]:
    return succeed(Answered(500, b"no"))


class WebhookTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.documents = memory_documents(random=Random(1))
        self.receiver = Receiver()
        self.postman = Postman(self.clock, self.receiver, self.documents)
        self.documents.on_webhooks = self.postman.post
        self.make("Item", item_code="BOLT", item_group="Products", stock_uom="Nos")
        self.make("Customer", customer_name="Müller")

    def run_now(self, work: Callable[[Any], Any]) -> Any:
        return self.successResultOf(self.documents.write(work))

    def make(self, doctype: str, **fields: object) -> dict[str, Any]:
        made: dict[str, Any] = self.run_now(lambda records: records.insert(doctype, fields, "Administrator"))
        return made

    def change(self, doctype: str, name: str, **fields: object) -> None:
        self.run_now(lambda records: records.update(doctype, name, fields, "Administrator"))

    def watch(self, event: str, doctype: str = "ToDo", **fields: object) -> None:
        data = [{"fieldname": "name", "key": "name"}, {"fieldname": "status", "key": "state"}]
        given = {"webhook_docevent": event, "webhook_data": data, "request_url": URL, **fields}
        self.make("Webhook", name=f"{event} {doctype}", webhook_doctype=doctype, **given)

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, _, body in self.receiver.got]

    def attempts(self) -> list[tuple[str, str]]:
        asked = {"fields": ["response", "error"], "order_by": "creation asc", "limit_page_length": 0}
        rows = self.run_now(lambda records: records.list("Webhook Request Log", asked))
        return [(row["response"], row["error"]) for row in rows]


class Requests(WebhookTests):
    def test_a_body_is_json_with_the_fields_chosen_and_no_content_type(self) -> None:
        """Whatever the structure says; compact with spaces, letters escaped."""
        self.watch("after_insert", request_structure="Form URL-Encoded")
        todo = self.make("ToDo", description="ä")
        [(method, url, headers, body)] = self.receiver.got
        self.assertEqual((method, url), (b"POST", URL.encode()))
        self.assertEqual(body, f'{{"name": "{todo["name"]}", "state": "Open"}}'.encode())
        self.assertFalse(headers.hasHeader("Content-Type"))

    def test_headers_and_signature_are_as_configured(self) -> None:
        """Base64 of HMAC-SHA256 over the very bytes of the body."""
        rows = [{"key": "Content-Type", "value": "application/json"}, {"key": "X-Hook", "value": "orders"}]
        self.watch("after_insert", webhook_headers=rows, enable_security=1, webhook_secret="geheim")
        self.make("ToDo", description="x")
        [(_, _, headers, body)] = self.receiver.got
        self.assertEqual(headers.getRawHeaders("X-Hook"), ["orders"])
        self.assertEqual(headers.getRawHeaders("Content-Type"), ["application/json"])
        expected = base64.b64encode(hmac.new(b"geheim", body, hashlib.sha256).digest()).decode()
        self.assertEqual(headers.getRawHeaders("X-Frappe-Webhook-Signature"), [expected])

    def test_a_template_writes_any_json_and_a_condition_chooses_documents(self) -> None:
        """Both see the document as `doc`; one that fails sends nothing and is told in the log."""
        template = '{"what": {{ doc.description | tojson }}, "deep": [1]}'
        self.watch("after_insert", webhook_data=[], webhook_json=template, condition='doc.priority == "High"')
        self.make("ToDo", description="low", priority="Low")
        self.make("ToDo", description='say "hi"', priority="High")
        self.assertEqual(self.bodies(), [{"what": 'say "hi"', "deep": [1]}])
        self.change("Webhook", "after_insert ToDo", condition="doc.nope.nope")
        with capturedLogs() as events:
            self.make("ToDo", description="x", priority="High")
        self.assertEqual([event["log_format"] for event in events], ["standin.webhook.skipped"])
        self.assertEqual(len(self.receiver.got), 1)

    def test_without_rows_and_template_the_body_is_an_empty_object(self) -> None:
        """So that a receiver knows only that something happened."""
        self.watch("on_update", webhook_data=[])
        self.make("ToDo", description="x")
        self.assertEqual(self.bodies(), [{}])


class Events(WebhookTests):
    def order(self) -> str:
        rows = [{"item_code": "BOLT", "qty": 2, "rate": 3}]
        order = self.make(
            "Sales Order", customer="Müller", company="Stand-in Works", delivery_date="2026-05-01", items=rows
        )
        return str(order["name"])

    def test_each_event_fires_when_frappe_fires_it(self) -> None:
        """on_update also for insert and submit, not for cancel; on_change never for insert."""
        events = ("after_insert", "on_update", "on_submit", "on_cancel", "on_trash", "on_change")
        steps = [
            (lambda _name: None, []),
            (lambda name: self.change("Sales Order", name, po_no="7"), ["on_change", "on_update"]),
            (
                lambda name: self.change("Sales Order", name, docstatus=1),
                ["on_change", "on_submit", "on_update"],
            ),
            (lambda name: self.change("Sales Order", name, po_no="8"), ["on_change"]),
            (lambda name: self.change("Sales Order", name, docstatus=2), ["on_cancel", "on_change"]),
            (lambda name: self.run_now(lambda records: records.delete("Sales Order", name)), ["on_trash"]),
        ]
        for event in (*events, "on_update_after_submit"):
            rows = [{"key": "X-Event", "value": event}]
            self.watch(event, "Sales Order", webhook_headers=rows)
        name = self.order()
        self.assertEqual(self.fired(), ["after_insert", "on_update"])
        for step, expected in steps:
            step(name)
            self.assertEqual(self.fired(), expected)

    def fired(self) -> list[str]:
        got, self.receiver.got = self.receiver.got, []
        return sorted(headers.getRawHeaders("X-Event", [""])[0] for _, _, headers, _ in got)

    def test_one_transaction_sends_the_last_state_of_a_document_once(self) -> None:
        """And one that is undone sends nothing."""
        self.watch("on_update")

        def twice(records: Any) -> None:
            todo = records.insert("ToDo", {"description": "x"}, "Administrator")
            records.update("ToDo", todo["name"], {"status": "Closed"}, "Administrator")

        self.run_now(twice)
        self.assertEqual([body["state"] for body in self.bodies()], ["Closed"])

        def undone(records: Any) -> None:
            twice(records)
            raise ZeroDivisionError

        self.failureResultOf(self.documents.write(undone), ZeroDivisionError)
        self.assertEqual(len(self.receiver.got), 1)

    def test_a_webhook_that_is_switched_off_is_silent(self) -> None:
        """From the next change on."""
        self.watch("after_insert")
        self.change("Webhook", "after_insert ToDo", enabled=0)
        self.make("ToDo", description="x")
        self.assertEqual(self.receiver.got, [])


class Attempts(WebhookTests):
    def test_three_attempts_after_one_and_four_seconds_then_it_is_lost(self) -> None:
        """A status from 400 on and a refused connection count alike; each attempt is written down."""
        self.watch("after_insert")
        self.receiver.will(failing, refused, failing)
        with capturedLogs() as events:
            self.make("ToDo", description="x")
            for wait, number in ((0.9, 1), (0.1, 2), (3.9, 2), (0.1, 3), (60, 3)):
                self.clock.advance(wait)
                self.assertEqual(len(self.receiver.got), number)
        self.assertEqual([event["log_format"] for event in events], ["standin.webhook.lost"])
        self.assertEqual([answer for answer, _ in self.attempts()], ["no", "", "no"])
        self.assertEqual(len({body for _, _, _, body in self.receiver.got}), 1)

    def test_a_receiver_that_recovers_is_asked_no_more(self) -> None:
        """Its answer is written down."""
        self.watch("after_insert")
        self.receiver.will(refused)
        self.make("ToDo", description="x")
        self.clock.advance(1)
        self.clock.advance(60)
        self.assertEqual([error == "" for _, error in self.attempts()], [False, True])
        self.assertEqual(self.attempts()[1][0], "thanks")

    def test_a_time_out_is_tried_again_at_once(self) -> None:
        """After the webhook's own patience."""
        self.watch("after_insert", timeout=2)
        self.receiver.will(Deferred)
        self.make("ToDo", description="x")
        self.clock.advance(1.9)
        self.assertEqual(len(self.receiver.got), 1)
        self.clock.advance(0.1)
        self.assertEqual(len(self.receiver.got), 2)
        self.assertEqual(self.attempts()[0][1], "Read timed out.")

    def test_a_slow_receiver_holds_up_all_others(self) -> None:
        """There is one worker, and the order is kept."""
        self.watch("after_insert")
        slow: Deferred[Any] = Deferred()
        self.receiver.will(lambda: slow)
        first, second = (self.make("ToDo", description=each)["name"] for each in "ab")
        self.assertEqual([body["name"] for body in self.bodies()], [first])
        slow.callback(Answered(200))
        self.assertEqual([body["name"] for body in self.bodies()], [first, second])

    def test_a_stop_in_the_middle_of_an_attempt_waits_for_no_other(self) -> None:
        """Whatever the agent makes of it."""
        self.watch("after_insert")
        self.receiver.will(lambda: Deferred(lambda asked: asked.errback(error.ConnectionLost())))
        self.make("ToDo", description="x")
        self.successResultOf(Deferred.fromCoroutine(self.postman.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_stop_sends_no_more(self) -> None:
        """Nothing is left running."""
        self.watch("after_insert")
        self.receiver.will(failing)
        self.make("ToDo", description="x")
        self.successResultOf(Deferred.fromCoroutine(self.postman.stop()))
        self.make("ToDo", description="y")
        self.clock.advance(60)
        self.assertEqual(len(self.receiver.got), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
