"""The built-in task http-call on real sockets: what is sent, where it can never go, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.rig.certificates import Authority
from tests.rig.task_context import Kept, context_of
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from lineside.edges.http.calltask import CallFailed, CallRefused, Form, HttpCall, HttpCallParams, host_of
from lineside.edges.http.outgoing import CallUnreachable, CallUnsure, Outgoing
from lineside.tasks.task import GiveUp

Answering = Callable[[Request], bytes | int]


class Served(Resource):
    """Answers every request by the test's function, and remembers it."""

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answering = lambda _: b"done"
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.came: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def render(self, request: Request) -> bytes | int:
        assert request.content is not None
        self.requests.append(request)
        self.bodies.append(request.content.read())
        request.notifyFinish().addErrback(lambda _: self.gone.callback(None))
        if not self.came.called:
            self.came.callback(None)
        return self.answer(request)


def empty(status: int, request: Request) -> bytes:
    request.setResponseCode(status)
    return b""


class Calling(TestCase):
    timeout = 20

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        self.reactor: Any = reactor
        self.served = Served()
        site: Any = Site(self.served)
        port: Any = self.reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.address = f"http://127.0.0.1:{port.getHost().port}"
        self.outgoing = Outgoing(self.reactor)
        self.kept = Kept()

    def begin(
        self,
        path: str = "/",
        values: dict[str, Any] | None = None,
        event: Any = None,
        *,
        secrets: dict[str, str] | None = None,
        run: int = 1,
        **params: Any,
    ) -> Deferred[Any]:
        url = path if "://" in path else self.address + path
        asked = msgspec.convert({"url": url, "values": values or {}, "event": event, **params}, HttpCallParams)
        call = HttpCall(Form(asked), secrets or {}, self.outgoing, lambda: "epoch")
        return Deferred.fromCoroutine(call.run(context_of(asked, self.reactor, self.kept, run=run)))

    def header(self, name: str) -> str | None:
        return self.served.requests[-1].getHeader(name)


class Sent(Calling):
    """What a server gets."""

    async def test_a_body_of_templates(self) -> None:
        """The event and the values fill the tables and the header, and types stay."""
        called = await self.begin(
            "/orders",
            {"site": "north"},
            {"order": "SO-1", "qty": 2},
            json={"id": "{{ order }}", "qty": "{{ payload.qty }}", "from": "plant {{ site }}"},
            headers={"X-Order": "{{ order }}"},
        )
        self.assertEqual((200, "done"), (called.status, called.answer))
        self.assertEqual({"id": "SO-1", "qty": 2, "from": "plant north"}, json.loads(self.served.bodies[0]))
        request = self.served.requests[0]
        self.assertEqual((b"POST", b"/orders"), (request.method, request.uri))
        self.assertEqual(("SO-1", "application/json"), (self.header("x-order"), self.header("content-type")))

    async def test_text_and_nothing(self) -> None:
        """A body may be text, and a GET has none."""
        await self.begin(body="order {{ order }}", event={"order": "Größe"}, method="PUT")
        self.assertEqual("order Größe", self.served.bodies[-1].decode())
        await self.begin(method="GET")
        self.assertEqual((b"GET", b""), (self.served.requests[-1].method, self.served.bodies[-1]))

    async def test_secrets_of_which_the_run_knows_nothing(self) -> None:
        """They are sent, and stand in no parameter, no log line and no result."""
        await self.begin(secrets={"Authorization": "token hidden"})
        self.assertEqual("token hidden", self.header("authorization"))
        self.assertNotIn("hidden", repr(self.kept.lines))

    async def test_a_key_by_which_a_repeat_is_known(self) -> None:
        """Each attempt of a run has the same, another run another one, and a header of one's own comes first."""
        keys = []
        for run in (1, 1, 2):
            await self.begin(run=run)
            keys.append(self.header("idempotency-key"))
        self.assertEqual((keys[0], True), (keys[1], keys[0] != keys[2]))
        await self.begin(headers={"idempotency-key": "{{ id }}"}, event={"id": "mine"})
        self.assertEqual("mine", self.header("idempotency-key"))
        await self.begin(method="GET")
        self.assertIsNone(self.header("idempotency-key"))

    async def test_values_cannot_leave_their_place_in_the_address(self) -> None:
        """What a template gives is encoded: it makes no other path, no further argument and no other host."""
        await self.begin("/orders/{{ id }}/lines?by={{ by }}", {"id": "../a?b#c", "by": "x&y=z"})
        self.assertEqual(b"/orders/..%2Fa%3Fb%23c/lines?by=x%26y%3Dz", self.served.requests[-1].uri)
        await self.begin("/orders?by={{ by }}", {"by": ""})
        for segment in ("..", ".", ""):
            await self.assertFailure(self.begin("/orders/{{ id }}/lines", {"id": segment}), GiveUp)
        self.assertEqual(2, len(self.served.requests))

    async def test_nothing_where_the_event_does_not_fit(self) -> None:
        """A field that is missing, or a header with a line end, is given up at once: no attempt can mend it."""
        wrong = await self.assertFailure(self.begin(json={"id": "{{ order }}"}, event={}), GiveUp)
        self.assertIn("order", str(wrong))
        await self.assertFailure(self.begin(headers={"X-A": "{{ payload }}"}, event="a\r\nX-B: b"), GiveUp)
        self.assertEqual([], self.served.requests)


class Answers(Calling):
    """What becomes of a server's answer."""

    async def test_json_is_decoded(self) -> None:
        """The run's result holds the values; what is called JSON and is none stays text."""

        def answer(request: Request) -> bytes:
            request.setResponseCode(201)
            request.setHeader(b"content-type", b"application/problem+json; charset=utf-8")
            return b'{"id": 7}' if len(self.served.requests) == 1 else b"{"

        self.served.answer = answer
        called = await self.begin()
        self.assertEqual((201, {"id": 7}), (called.status, called.answer))
        self.assertEqual("{", (await self.begin()).answer)

    async def test_other_statuses_are_failures(self) -> None:
        """4xx and 5xx have names of their own for `retry.on`; the answer is in the run's log, not in the error."""
        for status, kind in ((404, CallRefused), (500, CallFailed), (429, CallFailed), (206, CallRefused)):

            def answer(request: Request, status: int = status) -> bytes:
                request.setResponseCode(status)
                return b"customer Meier is unknown"

            self.served.answer = answer
            wrong = await self.assertFailure(self.begin(), kind)
            self.assertNotIn("Meier", str(wrong))
            self.assertEqual(f"HTTP {status}: customer Meier is unknown", self.kept.lines[-1])
        self.served.answer = partial(empty, 404)
        self.assertEqual(404, (await self.begin(expect=[404])).status)

    async def test_no_redirect_is_followed(self) -> None:
        """Neither to another host nor to another path: the error says where it led."""

        def answer(request: Request) -> bytes:
            request.setResponseCode(307)
            request.setHeader(b"location", b"http://169.254.169.254/latest/meta-data?secret")
            return b""

        self.served.answer = answer
        wrong = await self.assertFailure(self.begin(), CallRefused)
        self.assertIn("redirected to 169.254.169.254, which is not followed", str(wrong))
        self.assertEqual(1, len(self.served.requests))

    async def test_a_large_answer_is_cut_off(self) -> None:
        """It was a success; nothing of it is kept, and nothing more of it is read."""

        def answer(request: Request) -> int:
            def more() -> None:
                if not self.served.gone.called:
                    request.write(b"x" * 10_000)
                    self.reactor.callLater(0, more)

            more()
            return NOT_DONE_YET

        self.served.answer = answer
        called = await self.begin(max_answer=50_000)
        self.assertEqual((200, None), (called.status, called.answer))
        self.assertIn("larger than max_answer", self.kept.lines[-1])
        await self.served.gone

    async def test_a_server_that_says_nothing_is_not_waited_for(self) -> None:
        """After the time that is given nobody knows whether the request was carried out."""
        self.served.answer = lambda _: NOT_DONE_YET
        wrong = await self.assertFailure(self.begin(within=0.2), CallUnsure)
        self.assertEqual("no answer within 0.2 s", str(wrong))
        await self.served.gone

    async def test_a_cut_connection_is_unsure(self) -> None:
        """As is an answer that ends in the middle."""

        def answer(request: Request) -> int:
            request.setHeader(b"content-length", b"100")
            request.write(b"half")
            request.loseConnection()
            return NOT_DONE_YET

        self.served.answer = answer
        await self.assertFailure(self.begin(), CallUnsure)

    async def test_a_port_where_nobody_listens_was_sent_nothing(self) -> None:
        """That has a name of its own: such a run may be tried again without a thought."""
        port = self.reactor.listenTCP(0, Site(Resource()), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        await self.assertFailure(self.begin(f"http://127.0.0.1:{number}/"), CallUnreachable)
        await self.assertFailure(self.begin("http://crm.invalid/"), CallUnreachable)

    async def test_cancelling_while_it_connects_is_no_failure(self) -> None:
        """A run that the gateway's stop ends must not count as one whose host is unknown."""
        run = self.begin()
        run.cancel()
        await self.assertFailure(run, CancelledError)
        self.assertEqual([], self.served.requests)

    async def test_cancelling_aborts_the_request(self) -> None:
        """The server sees the connection go."""
        self.served.answer = lambda _: NOT_DONE_YET
        run = self.begin()
        await self.served.came
        run.cancel()
        await self.assertFailure(run, CancelledError)
        await self.served.gone


class Encrypted(Calling):
    """Servers with TLS."""

    async def test_is_sent_to_nobody_whose_certificate_is_not_trusted(self) -> None:
        """With the CA that signed it the request goes out, without it nothing does, and the remedy is told."""
        authority = Authority(self.directory, "plant")
        identity = authority.sign("127.0.0.1")
        factory = DefaultOpenSSLContextFactory(str(identity.key), str(identity.certificate))
        port = self.reactor.listenSSL(0, Site(self.served), factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"https://127.0.0.1:{port.getHost().port}/"
        wrong = await self.assertFailure(self.begin(url), CallUnreachable)
        self.assertIn("set the task's ca", str(wrong))
        self.assertEqual([], self.served.requests)
        self.outgoing = Outgoing(self.reactor, [authority.certificate])
        self.assertEqual("done", (await self.begin(url)).answer)


class Checked(SynchronousTestCase):
    """What no run could mend is told when the configuration is checked."""

    def problems(self, **params: Any) -> list[str]:
        asked = msgspec.convert({"url": "https://crm.example.com/api", **params}, HttpCallParams)
        return str(self.assertRaises(ValueError, Form, asked)).split("\n")

    def test_an_address_leads_to_one_host(self) -> None:
        """Its host is plain text, and so is its port; each address that is none says why."""
        self.assertEqual("crm.example.com", host_of("https://crm.example.com/orders/{{ order }}"))
        self.assertEqual("127.0.0.1:8080", host_of("http://127.0.0.1:8080"))
        for url in (
            "https://{{ host }}/",
            "https://crm.example.com{{ path }}",
            "https://crm.example.com:{{ port }}/",
            "https://crm.example.com?by={{ order }}",
            "{{ url }}",
            "ftp://crm.example.com/",
            "/orders",
            "https://user:secret@crm.example.com/",
            "https://crm.example.com\\@evil.example/",
            "https://crm.example.com/a b",
            "https://crm.example.com/{% if x %}a{% endif %}",
            "https://crm.example.com/größe",
            "https://crm.example.com/#a",
            "http://crm.example.com:0/",
            "http://[::1/",
        ):
            [problem] = self.problems(url=url)
            self.assertTrue(problem.startswith("url: "), problem)

    def test_every_mistake_is_told_at_once(self) -> None:
        """Templates, headers that are the gateway's own, two bodies, and a body that cannot be sent."""
        told = self.problems(
            json={"id": "{{  }}"},
            body="{{",
            headers={"Host": "evil.example", "X-A": "{{ }}"},
            method="GET",
        )
        for part in (
            "json.id: ",
            "body: ",
            "headers.X-A: ",
            "Host: the gateway sets",
            "one body",
            "GET has no body",
        ):
            self.assertTrue(any(part in problem for problem in told), (part, told))
