"""Operations over HTTP, in memory: a request's parameters and body become the operation's, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.api import description_endpoint, operation_endpoints
from lineside.operations.registry import Operations
from lineside.operations.requests import ListEvents, RetryDeadLetters
from lineside.operations.results import Done, EventList
from lineside.operations.web import Answer, Call, Endpoint, Problem
from lineside.security.identity import Identity

ADMIN = Identity("anna", "admin")


class Asking(SynchronousTestCase):
    """What an operation is asked."""

    def setUp(self) -> None:
        self.asked: list[Any] = []
        operations = Operations()
        operations.answer(ListEvents, self.listed)
        operations.answer(RetryDeadLetters, self.retried)
        self.endpoints = {endpoint.name: endpoint for endpoint in operation_endpoints(operations)}

    async def listed(self, request: ListEvents) -> EventList:
        self.asked.append(request)
        return EventList([], 0, 0)

    async def retried(self, request: RetryDeadLetters) -> Done:
        self.asked.append(request)
        return Done(0, [])

    def ask(self, name: str, body: bytes = b"", path: dict[str, str] | None = None, **query: str) -> int:
        """Return the status; what was asked is kept."""
        work: Any = self.endpoints[name].answer(Call(ADMIN, path or {}, query, {}, body))
        statuses: list[int] = []
        asking: Deferred[Answer] = Deferred.fromCoroutine(work)
        asking.addCallbacks(lambda answer: statuses.append(answer.status), self.refused, errbackArgs=(statuses,))
        [status] = statuses
        return status

    def refused(self, failure: Failure, statuses: list[int]) -> None:
        failure.trap(Problem)
        assert isinstance(failure.value, Problem)
        statuses.append(failure.value.status)

    def test_parameters_are_read_as_their_types(self) -> None:
        """Text stays text, whatever it looks like, and what is left out has its default."""
        self.assertEqual(self.ask("events_list", before="7", source="null", contains="12", undecodable="true"), 200)
        self.assertEqual(self.asked, [ListEvents(before=7, source="null", contains="12", undecodable=True)])

    def test_a_parameter_that_is_not_of_its_type_is_refused(self) -> None:
        """The word null is no number, and not the same as nothing; a body that nobody asked for changes nothing."""
        for before in ("null", "-1", "1.5", "x", ""):
            self.assertEqual(self.ask("events_list", b"{}", before=before), 400, before)
        self.assertEqual(self.asked, [])

    def test_a_body_is_what_it_says(self) -> None:
        """2.0 is a whole number, as in JSON Schema; 2.5 and the text 2 are none, and no member is made up."""
        self.assertEqual(self.ask("deadletters_retry", b'{"ids": [1, 2.0]}'), 200)
        for wrong in (b'{"ids": [2.5]}', b'{"ids": ["2"]}', b'{"idss": []}', b"[]", b"{", b'{"ids": [1e400]}'):
            self.assertEqual(self.ask("deadletters_retry", wrong), 422, wrong)
        for nonsense in (b'{"ids": %s' % (b"[" * 100_000), b'{"ids": [], "note": "\xff"}', b'{"ids": ["\xff"]}'):
            self.assertEqual(self.ask("deadletters_retry", nonsense), 422)
        self.assertEqual(self.ask("deadletters_retry_one", path={"id": "3"}), 200)
        self.assertEqual(self.ask("deadletters_retry_one", path={"id": "three"}), 400)
        self.assertEqual(self.asked, [RetryDeadLetters(ids=[1, 2]), RetryDeadLetters(ids=[3])])

    def test_what_is_not_described_stands_in_no_description(self) -> None:
        """And everything else does, with 401 for a token that is not valid."""
        hidden = Endpoint("POST", "/hidden", "hidden", "Hidden", None, lambda _: Answer(), described=False)
        own: Any = description_endpoint([*self.endpoints.values(), hidden]).answer(Call(ADMIN, {}, {}, {}))
        told = json.loads(own.body)
        self.assertNotIn("/hidden", told["paths"])
        self.assertIn("401", told["paths"]["/openapi.json"]["get"]["responses"])
        self.assertTrue(told["paths"]["/api/v1/tokens"]["post"]["requestBody"]["required"])
        self.assertFalse(told["paths"]["/api/v1/dead-letters/retry"]["post"]["requestBody"]["required"])
