"""Deliveries to a played Frappe site through the real HTTP client: whatever fails, one document."""

from __future__ import annotations

from typing import Any

from tests.rig.frappe_case import AGAIN, FIRST, SECOND, Delivering
from tests.rig.played_frappe import Answer, PlayedSite, cut, hang, page, refused, told
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError, DNSLookupError  # noqa: A004
from twisted.web.http import Request
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from lineside.edges.frappe.client import MAX_BODY_BYTES, FrappeClient, url_path
from lineside.edges.frappe.lookup import LOOKUP_SECONDS
from lineside.edges.frappe.meta import REFRESH_SECONDS
from lineside.edges.frappe.prepare import Prepared, prepare
from lineside.edges.frappe.reads import REPEATS
from lineside.edges.frappe.reply import Unreachable
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Refused, Retry, TargetDown
from lineside.model.ports import Delivery, Ready


class Misnaming(Resource):
    """A proxy that calls every answer a page."""

    isLeaf = True  # noqa: N815

    def __init__(self, site: PlayedSite) -> None:
        super().__init__()
        self.site = site

    def render(self, request: Request) -> bytes | int:
        answer = self.site.render(request)
        request.setHeader(b"content-type", b"text/html")
        return answer


class Insert(Delivering):
    def test_a_document_is_inserted_with_its_delivery_id_and_our_key(self) -> None:
        """One POST carries the document, the id in the unique field, the token and no cookie."""
        client = self.connect(self.agent, site="plant.example")
        self.now(client.request("GET", url_path("api", "method", "frappe.auth.get_logged_user")))
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1")])
        self.assertEqual(self.site.documents, [{"name": "DOC-1", "employee": "EMP-1", "lineside_id": FIRST.id}])
        self.assertEqual(self.site.asked, ["get_logged_user", "meta", "insert"])
        first, _, insert = (request.requestHeaders for request in self.site.seen)
        self.assertEqual(first.getRawHeaders("X-Frappe-Site-Name"), ["plant.example"])
        self.assertEqual(insert.getRawHeaders("Authorization"), ["token key:secret"])
        self.assertEqual(insert.getRawHeaders("Accept"), ["application/json"])
        self.assertEqual(insert.getRawHeaders("Content-Type"), ["application/json"])
        self.assertIsNone(insert.getRawHeaders("Cookie"))
        self.assertIsNone(insert.getRawHeaders("X-Frappe-Site-Name"))
        self.assertEqual(self.site.seen[-1].path, b"/api/resource/Employee%20Checkin")

    def test_outcomes_come_in_the_order_of_the_batch(self) -> None:
        """A refused record is told apart from its neighbours, which are delivered."""
        self.site.bad.add("EMP-1")
        refusal, delivered = self.deliver(FIRST, SECOND)
        assert isinstance(refusal, Refused)
        self.assertEqual((refusal.code, refusal.reason), ("MandatoryError", "Value missing: time"))
        self.assertIn("_server_messages", refusal.reply or "")
        self.assertEqual(delivered, Delivered("DOC-1"))

    def test_no_more_requests_are_in_flight_than_the_pool_allows(self) -> None:
        """A batch waits its turn: of nine inserts four are under way."""
        self.deliver(FIRST)
        self.site.facts[FIRST.doctype] = {"is_submittable": 1}
        self.clock.advance(REFRESH_SECONDS)
        for _ in range(9):
            self.site.fault("insert", hang)
        batch = [Delivery(delivery_id(f"x-{n}", "r"), "insert", FIRST.doctype, {}, submit=True) for n in range(9)]
        delivering = Deferred.fromCoroutine(self.target.deliver(batch))
        self.assertEqual(self.site.asked.count("insert"), 1 + 4)
        delivering.cancel()
        self.failureResultOf(delivering, CancelledError)

    def test_what_json_cannot_hold_is_refused_before_it_is_sent(self) -> None:
        """A NaN would become 0 in the ERP, so the record is kept with the reason."""
        [outcome] = self.deliver(Delivery(FIRST.id, "insert", FIRST.doctype, {"weight": float("nan")}))
        assert isinstance(outcome, Refused)
        self.assertEqual(outcome.code, "NotJSON")
        self.assertEqual(self.site.asked, [])

    def test_another_action_waits_for_a_person(self) -> None:
        """What this target cannot do is never done half, nor dead-lettered."""
        [outcome] = self.deliver(Delivery(FIRST.id, "merge", FIRST.doctype, {}))
        assert isinstance(outcome, Blocked)
        self.assertIn("insert", outcome.remedy)

    def test_an_error_of_our_own_is_logged_and_the_record_tried_again(self) -> None:
        """Even a bug loses nothing and raises nothing."""

        @implementer(IAgent)
        class BrokenAgent:
            def request(self, *_: object) -> Deferred[Any]:
                raise AssertionError

        client = self.connect(BrokenAgent())
        self.patch(client, "ask", None)
        target = FrappeTarget(client)
        [outcome] = self.now(target.deliver([FIRST]))
        assert isinstance(outcome, Retry)
        self.assertTrue(outcome.ambiguous)
        self.assertIsInstance(self.now(target.probe()), TargetDown)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)


class Uncertain(Delivering):
    def test_a_500_that_had_committed_is_found(self) -> None:
        """Frappe may answer 500 after the commit (contract, section 10): the look-up finds the document."""

        def commit_then_fail(request: Request) -> bytes:
            self.site.store(request)
            return page(500)(request)

        self.site.fault("insert", commit_then_fail)
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1", found=True)])
        self.assertEqual(self.ids(), [FIRST.id])

    def test_a_500_that_had_not_is_tried_again(self) -> None:
        """Absent is not final: the record is to be tried again, as one that may be stored."""
        self.site.fault("insert", lambda request: refused(request, 500, "QueryDeadlockError", "Deadlock"))
        self.assertEqual(self.deliver(FIRST), [Retry("HTTP 500 Deadlock", ambiguous=True)])
        self.assertEqual(self.deliver(AGAIN), [Delivered("DOC-1")])

    def test_a_connection_cut_after_the_commit_is_found(self) -> None:
        """The answer is lost, the document is not, and it is not sent a second time."""

        def commit_then_cut(request: Request) -> int:
            self.site.store(request)
            return cut(request)

        self.site.fault("insert", commit_then_cut)
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1", found=True)])
        self.assertEqual(self.site.asked, ["meta", "insert", "look-up"])

    def test_a_cut_with_nothing_stored_is_tried_again(self) -> None:
        """Cut before the commit looks the same until it is looked up."""
        self.site.fault("insert", cut)
        [outcome] = self.deliver(FIRST)
        self.assertEqual(outcome, Retry("the connection was lost before the whole answer had come", ambiguous=True))

    def test_a_site_that_hangs_is_given_up_and_then_looked_up(self) -> None:
        """After 30 s the request is aborted; the look-up's own 10 s, twice, tell that the site is down."""
        self.site.fault("insert", hang)
        self.site.fault("look-up", hang, times=2)
        delivering = Deferred.fromCoroutine(self.target.deliver([FIRST]))
        self.clock.advance(29.9)
        self.assertEqual(self.site.asked, ["meta", "insert"])
        self.clock.advance(0.1)
        self.assertEqual(self.site.asked, ["meta", "insert", "look-up"])
        self.assertNoResult(delivering)
        self.clock.advance(LOOKUP_SECONDS)
        self.assertNoResult(delivering)
        self.clock.advance(LOOKUP_SECONDS)
        self.assertEqual(self.successResultOf(delivering), [TargetDown("no answer within 10 s", certain=False)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_page_where_a_document_should_be_is_no_success(self) -> None:
        """A 200 in HTML comes from something between; nothing is taken as stored."""
        for status in [200, 302]:
            self.site.fault("insert", page(status))
            [outcome] = self.deliver(FIRST)
            assert isinstance(outcome, Retry)
            self.assertTrue(outcome.ambiguous)
        self.assertEqual(self.site.documents, [])

    def test_a_document_that_is_called_a_page_is_found(self) -> None:
        """The right answer under the wrong content type: stored or not, the look-up tells."""

        def store_and_misname(request: Request) -> bytes:
            stored = self.site.inserted(request, self.site.store(request))
            request.setHeader(b"content-type", b"text/html")
            return stored

        self.site.fault("insert", store_and_misname)
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1", found=True)])
        self.assertEqual(self.site.asked, ["meta", "insert", "look-up"])
        self.assertEqual(self.ids(), [FIRST.id])

    def test_a_site_that_calls_everything_a_page_still_gets_its_documents(self) -> None:
        """No write is believed, each is looked up, and a look-up is read whatever it is called."""
        self.agent = RequestTraversalAgent(Misnaming(self.site))
        self.target = FrappeTarget(self.connect(self.agent))
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1", found=True)])
        self.assertEqual(self.deliver(AGAIN), [Delivered("DOC-1", found=True)])
        self.assertEqual(self.site.asked, ["meta", "insert", "look-up", "look-up"])
        self.assertEqual(self.ids(), [FIRST.id])

    def test_a_repeat_is_looked_up_before_it_is_sent(self) -> None:
        """What an earlier attempt stored is found without an insert."""
        self.stored_before()
        self.assertEqual(self.deliver(AGAIN), [Delivered("DOC-0", found=True)])
        self.assertNotIn("insert", self.site.asked)

    def test_a_repeat_whose_look_up_fails_is_not_sent(self) -> None:
        """Without knowing, nothing is inserted."""
        self.site.fault("look-up", page(500), times=1 + REPEATS)
        [outcome] = self.deliver(AGAIN)
        assert isinstance(outcome, TargetDown)
        self.assertFalse(outcome.certain)
        self.assertNotIn("insert", self.site.asked)

    def test_a_question_whose_answer_was_lost_is_asked_again(self) -> None:
        """A cut, a page and a deadlock, one after the other, delay a look-up, a probe and a description."""
        lock: Answer = lambda request: refused(request, 500, "QueryDeadlockError", "Deadlock")  # noqa: E731
        for first, second in ((cut, page(500)), (page(502), cut), (page(200), lock)):
            for kind in ("look-up", "meta", "get_logged_user", "get_time_zone"):
                self.site.fault(kind, first)
                self.site.fault(kind, second)
            self.assertIsInstance(self.now(self.target.probe()), Ready)
            [outcome] = self.deliver(AGAIN)
            self.assertIsInstance(outcome, Delivered)
            self.assertEqual(self.site.faults, [])
            self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.ids(), [FIRST.id])

    def test_a_question_that_is_answered_is_asked_once(self) -> None:
        """A site that says it is down, refuses or limits us is not pressed."""
        self.deliver(FIRST)
        for fault in (page(503), page(429), page(502, retry_after="5"), page(403)):
            asked = self.site.asked.count("look-up")
            self.site.fault("look-up", fault)
            [outcome] = self.deliver(AGAIN)
            self.assertNotIsInstance(outcome, Delivered)
            self.assertEqual(self.site.asked.count("look-up"), asked + 1)

    def test_a_row_of_another_id_is_not_taken_for_ours(self) -> None:
        """A filter lost on the way would find any document; the row must carry the id."""
        row = {"name": "DOC-9", "lineside_id": SECOND.id}
        self.site.fault("look-up", lambda request: told(request, 200, {"data": [row]}))
        [outcome] = self.deliver(AGAIN)
        self.assertIsInstance(outcome, TargetDown)


class Conflicts(Delivering):
    def test_a_duplicate_of_our_own_is_delivered(self) -> None:
        """417 on the unique field of a delivery thought to be the first: the document is there."""
        self.stored_before()
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-0", found=True)])
        self.assertEqual(self.ids(), [FIRST.id])

    def test_a_duplicate_of_something_else_is_refused(self) -> None:
        """409 for a name in use, and no document with our id: Frappe's words go to the dead letter."""
        self.site.fault(
            "insert", lambda request: refused(request, 409, "DuplicateEntryError", "Item <b>A</b> already exists")
        )
        [outcome] = self.deliver(FIRST)
        assert isinstance(outcome, Refused)
        self.assertEqual((outcome.code, outcome.reason), ("DuplicateEntryError", "Item A already exists"))
        self.assertEqual(self.site.asked, ["meta", "insert", "look-up"])

    def test_our_own_duplicate_that_we_may_not_read_waits_for_a_person(self) -> None:
        """The index says the document is there; refusing it would be wrong, and so would be guessing its name."""
        self.stored_before()
        self.site.hides.add("DOC-0")
        [outcome] = self.deliver(FIRST)
        assert isinstance(outcome, Blocked)
        self.assertIn("read", outcome.remedy)
        wordless = f"frappe.exceptions.UniqueValidationError: (1062, \"Duplicate entry '{FIRST.id}'\")"
        self.site.fault("insert", lambda request: refused(request, 417, "UniqueValidationError", "x", wordless))
        [outcome] = self.deliver(FIRST)
        self.assertIsInstance(outcome, Blocked)

    def test_a_document_locked_by_someone_is_tried_again(self) -> None:
        """A lock passes; the record is neither refused nor ambiguous."""
        self.site.fault("insert", lambda request: refused(request, 417, "DocumentLockedError", "is being edited"))
        self.assertEqual(self.deliver(FIRST), [Retry("is being edited")])


class Closed(Delivering):
    def test_a_pause_the_site_asks_for_is_passed_on(self) -> None:
        """429 and 503 stop the batch and say for how long; nothing is looked up meanwhile."""
        self.site.fault("insert", page(429, retry_after="7"))
        target = FrappeTarget(self.connect(self.agent, pool_size=1))
        outcomes = self.now(target.deliver([FIRST, SECOND]))
        self.assertEqual(outcomes, [TargetDown("HTTP 429", 7.0)] * 2)
        self.assertEqual(self.site.asked, ["meta", "insert"])

    def test_a_refused_connection_means_the_target_is_down(self) -> None:
        """Nothing was sent, so there is nothing to look up."""

        @implementer(IAgent)
        class NobodyThere:
            asked = 0

            def request(self, *_: object) -> Deferred[Any]:
                self.asked += 1
                return fail(ConnectionRefusedError())

        agent = NobodyThere()
        target = FrappeTarget(self.connect(agent))
        self.assertEqual(self.now(target.deliver([FIRST])), [TargetDown("Connection was refused by other side.")])
        self.assertEqual(agent.asked, 1)
        self.assertEqual(self.now(target.probe()), TargetDown("Connection was refused by other side."))

    def test_a_wrong_key_waits_for_a_person(self) -> None:
        """401 stops the batch at once and names the remedy."""
        self.site.fault("insert", lambda request: told(request, 401, {"exc_type": "AuthenticationError"}))
        target = FrappeTarget(self.connect(self.agent, pool_size=1))
        first, second = self.now(target.deliver([FIRST, SECOND]))
        self.assertEqual(
            first, Blocked("HTTP 401 AuthenticationError", "check the target's api_key and api_secret")
        )
        self.assertEqual(second, first)
        self.assertEqual(self.site.asked.count("insert"), 1)

    def test_a_closed_door_of_one_doctype_leaves_the_others_open(self) -> None:
        """403 for one DocType says nothing about another in the same batch."""
        self.site.fields["ToDo"] = self.site.fields["Employee Checkin"]
        self.site.fault("insert", lambda request: refused(request, 403, "PermissionError", "No permission"))
        target = FrappeTarget(self.connect(self.agent, pool_size=1))
        todo = Delivery(SECOND.id, "insert", "ToDo", {})
        blocked, delivered = self.now(target.deliver([FIRST, todo]))
        self.assertIsInstance(blocked, Blocked)
        self.assertEqual(delivered, Delivered("DOC-1"))

    def test_a_look_up_that_is_refused_waits_for_a_person(self) -> None:
        """Without the right to read, exactly-once cannot be kept."""
        self.site.fault("look-up", lambda request: refused(request, 403, "PermissionError", "No read permission"))
        [outcome] = self.deliver(AGAIN)
        assert isinstance(outcome, Blocked)
        self.site.fault("look-up", lambda request: refused(request, 417, "DataError", "Field not permitted"))
        [outcome] = self.deliver(AGAIN)
        assert isinstance(outcome, Blocked)
        self.assertIn("erp prepare", outcome.remedy)
        self.assertEqual(self.site.asked.count("meta"), 1)
        self.assertEqual(self.deliver(AGAIN), [Delivered("DOC-1")])
        self.assertEqual(self.site.asked.count("meta"), 2)


class TheIdField(Delivering):
    def test_nothing_is_inserted_where_the_field_is_missing(self) -> None:
        """Frappe would drop the id in silence, and a repeat would make a second document."""
        self.site.fields["Employee Checkin"] = [{"fieldname": "employee", "unique": 0}]
        [outcome] = self.deliver(FIRST)
        self.assertEqual(outcome, Blocked("Employee Checkin has no field lineside_id", "run lineside erp prepare"))
        self.assertNotIn("insert", self.site.asked)
        self.site.fields["Employee Checkin"] = [{"fieldname": "lineside_id", "unique": 0}]
        [outcome] = self.deliver(FIRST)
        assert isinstance(outcome, Blocked)
        self.assertIn("not unique", outcome.reason)
        self.assertNotIn("insert", self.site.asked)

    def test_an_unknown_doctype_waits_for_a_person(self) -> None:
        """A misspelt DocType is no reason to run prepare."""
        [outcome] = self.deliver(Delivery(FIRST.id, "insert", "Employe Chekin", {}))
        self.assertEqual(outcome, Blocked("DocType Employe Chekin not found", "check the route's doctype"))

    def test_a_good_field_is_verified_once_an_hour(self) -> None:
        """Concurrent first deliveries ask once; after an hour the field is looked at again."""
        self.deliver(FIRST, SECOND)
        self.assertEqual(self.site.asked.count("meta"), 1)
        self.clock.advance(REFRESH_SECONDS)
        self.site.fields["Employee Checkin"] = []
        [outcome] = self.deliver(Delivery(delivery_id("e-3", "checkin"), "insert", "Employee Checkin", {}))
        self.assertIsInstance(outcome, Blocked)

    def test_version_14_is_asked_for_its_custom_fields(self) -> None:
        """Without an API v2 the list of Custom Fields tells, if we may read it."""
        self.site.without_v2 = True
        self.site.fault("fields", lambda request: refused(request, 403, "PermissionError", "No permission"))
        [outcome] = self.deliver(FIRST)
        self.assertIsInstance(outcome, Blocked)
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1")])
        self.site.fields["ToDo"] = []
        [outcome] = self.deliver(Delivery(SECOND.id, "insert", "ToDo", {}))
        self.assertEqual(outcome, Blocked("ToDo has no field lineside_id", "run lineside erp prepare"))

    def test_a_dropped_id_stops_the_doctype(self) -> None:
        """The one document made is delivered and logged; no other follows it unprotected."""
        self.site.drops_the_id = True
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1")])
        self.site.drops_the_id = False
        self.clock.advance(REFRESH_SECONDS)
        [outcome] = self.deliver(SECOND)
        assert isinstance(outcome, Blocked)
        self.assertIn("lineside_id", outcome.reason)
        self.assertEqual(len(self.site.documents), 1)


class Cancelling(Delivering):
    def test_giving_up_closes_the_connection(self) -> None:
        """A cancelled delivery raises CancelledError, and the site sees its client go."""
        gone: list[object] = []

        def hang_and_watch(request: Request) -> int:
            request.notifyFinish().addErrback(gone.append)
            return NOT_DONE_YET

        self.site.fault("insert", hang_and_watch)
        delivering = Deferred.fromCoroutine(self.target.deliver([FIRST]))
        delivering.cancel()
        self.failureResultOf(delivering, CancelledError)
        self.agent.flush()
        self.assertEqual(len(gone), 1)
        self.assertEqual(self.site.asked, ["meta", "insert"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_giving_up_in_the_middle_of_an_answer_closes_the_connection(self) -> None:
        """A body that never ends holds nothing after the time-out."""
        gone: list[object] = []

        def half(request: Request) -> int:
            request.notifyFinish().addErrback(gone.append)
            request.write(b'{"data": ')
            return NOT_DONE_YET

        self.site.fault("look-up", half)
        asking = Deferred.fromCoroutine(self.client.request("GET", url_path("api", "resource", "ToDo")))
        self.clock.advance(30.0)
        self.assertTrue(self.failureResultOf(asking, Unreachable).value.sent)
        self.agent.flush()
        self.assertEqual(len(gone), 1)

    def test_giving_up_while_a_name_is_looked_up_is_no_failed_look_up(self) -> None:
        """Whatever the agent makes of it: a gateway that stops must not begin to probe a site that is down."""

        @implementer(IAgent)
        class Resolving:
            def request(self, *_: object) -> Deferred[Any]:
                return Deferred(lambda waiting: waiting.errback(DNSLookupError("no results")))

        client = FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=Resolving())
        probing = Deferred.fromCoroutine(FrappeTarget(client).probe())
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_delivery_given_up_leaves_the_pool_whole(self) -> None:
        """Cancelled requests free their places: later deliveries go on."""
        for _ in range(8):
            self.site.fault("insert", hang)
            delivering = Deferred.fromCoroutine(self.target.deliver([FIRST]))
            delivering.cancel()
            self.failureResultOf(delivering, CancelledError)
        self.assertEqual(self.deliver(FIRST), [Delivered("DOC-1")])


class Probe(Delivering):
    def probe(self, time_zone: str | None = None) -> Ready | TargetDown | Blocked:
        return self.now(FrappeTarget(self.client, time_zone=time_zone).probe())

    def test_a_ready_site_tells_its_time_zone(self) -> None:
        """The site's own word wins over the configured zone."""
        self.assertEqual(self.probe("Europe/Berlin"), Ready("Asia/Kolkata"))

    def test_a_site_that_does_not_tell_its_zone(self) -> None:
        """Version 14 has no such call: the configured zone stands in, else UTC; so too for a zone nobody knows."""
        for zone in [None, {"time_zone": "Mars/Olympus"}, "Asia/Kolkata"]:
            self.site.zone = zone
            self.assertEqual(self.probe("Europe/Berlin"), Ready("Europe/Berlin"))
            self.assertEqual(self.probe(), Ready("UTC"))

    def test_a_key_that_nobody_has_blocks(self) -> None:
        """The key is really checked: neither a 401 nor a guest counts as ready."""
        self.site.user = "Guest"
        remedy = "check the target's api_key and api_secret"
        self.assertEqual(self.probe(), Blocked("the site takes us for a guest", remedy))
        self.site.fault("get_logged_user", lambda request: told(request, 401, {"exc_type": "AuthenticationError"}))
        self.assertEqual(self.probe(), Blocked("HTTP 401 AuthenticationError", remedy))
        self.site.fault("get_logged_user", lambda request: told(request, 403, {"exc_type": "PermissionError"}))
        self.assertEqual(self.probe(), Blocked("HTTP 403 PermissionError", remedy))

    def test_a_site_in_trouble_is_down(self) -> None:
        """Maintenance, a gateway's page, a cut and a page in place of the answer all mean: later."""
        faults: list[Answer] = [page(503), page(502), page(500), page(200), cut]
        for fault in faults:
            self.site.fault("get_logged_user", fault, times=1 + REPEATS)
            self.assertIsInstance(self.probe(), TargetDown)
            self.site.faults.clear()
        self.site.fault("get_time_zone", page(503, retry_after="3"))
        self.assertEqual(self.probe(), TargetDown("HTTP 503", 3.0))

    def test_a_zone_that_cannot_be_learned_now_is_not_guessed(self) -> None:
        """An error, a cut answer, a key that counts no more tell no zone, and UTC is not taken for it."""
        for fault in (page(500), cut):
            self.site.fault("get_time_zone", fault, times=1 + REPEATS)
            self.assertIsInstance(self.probe("Europe/Berlin"), TargetDown)
        self.site.fault("get_time_zone", lambda request: told(request, 401, {"exc_type": "AuthenticationError"}))
        self.assertIsInstance(self.probe("Europe/Berlin"), Blocked)
        self.assertEqual(self.probe("Europe/Berlin"), Ready("Asia/Kolkata"))


class TheClient(Delivering):
    def test_only_what_cannot_have_arrived_counts_as_not_sent(self) -> None:
        """No name, no connection: not sent. Anything after that may have been."""

        @implementer(IAgent)
        class Failing:
            def __init__(self, error: Exception) -> None:
                self.error = error

            def request(self, *_: object) -> Deferred[Any]:
                return fail(self.error)

        for error, sent in [
            (ConnectionRefusedError(), False),
            (DNSLookupError("no results"), False),
            (OSError("broken"), True),
        ]:
            asking = Deferred.fromCoroutine(self.connect(Failing(error)).request("GET", "/"))
            self.assertEqual(self.failureResultOf(asking, Unreachable).value.sent, sent, error)

    def test_a_connection_that_is_never_made_is_given_up_unsent(self) -> None:
        """A time-out while connecting is told from one after sending."""

        @implementer(IAgent)
        class Connecting:
            def request(self, *_: object) -> Deferred[Any]:
                return Deferred(lambda waiting: waiting.errback(ConnectingCancelledError(None)))

        asking = Deferred.fromCoroutine(self.connect(Connecting()).request("GET", "/"))
        self.clock.advance(30.0)
        unreachable = self.failureResultOf(asking, Unreachable).value
        self.assertEqual((unreachable.reason, unreachable.sent), ("no answer within 30 s", False))

    def test_an_endless_answer_is_cut_off(self) -> None:
        """Memory is bounded: past 16 MiB the connection is closed."""
        gone: list[object] = []

        def flood(request: Request) -> int:
            request.notifyFinish().addErrback(gone.append)
            request.write(b"x" * (MAX_BODY_BYTES + 1))
            return NOT_DONE_YET

        self.site.fault("look-up", flood)
        asking = Deferred.fromCoroutine(self.client.request("GET", "/"))
        self.assertIn("larger than 16 MiB", self.failureResultOf(asking, Unreachable).value.reason)
        self.agent.flush()
        self.assertEqual(len(gone), 1)

    def test_an_address_that_is_none_is_told_at_once(self) -> None:
        """A wrong url is an error of the configuration, not of each request."""
        for url in [
            "erp.example",
            "ftp://erp",
            "http://",
            "http://u:p@erp",
            "http://erp/?x=1",
            "http://erp:0",
            "http://e rp",
        ]:
            with self.assertRaises(ConfigurationError):
                FrappeClient(self.clock, url, "key", "secret")


class Preparing(Delivering):
    def prepare(self, *doctypes: str) -> list[Prepared]:
        return self.now(prepare(self.client, doctypes, "lineside_id"))

    def problem(self, *doctypes: str) -> str:
        preparing = Deferred.fromCoroutine(prepare(self.client, doctypes, "lineside_id"))
        return str(self.failureResultOf(preparing, LinesideError).value)

    def test_the_field_is_made_where_it_is_absent_and_only_there(self) -> None:
        """Afterwards deliveries go through; a second run changes nothing."""
        self.site.fields["ToDo"] = []
        self.assertEqual(
            self.prepare("Employee Checkin", "ToDo", "ToDo"),
            [Prepared("Employee Checkin", created=False), Prepared("ToDo", created=True)],
        )
        [field] = self.site.fields["ToDo"]
        self.assertEqual(
            {name: field[name] for name in ["fieldname", "fieldtype", "unique", "no_copy", "read_only", "length"]},
            {
                "fieldname": "lineside_id",
                "fieldtype": "Data",
                "unique": 1,
                "no_copy": 1,
                "read_only": 1,
                "length": 140,
            },
        )
        self.assertEqual(self.prepare("ToDo"), [Prepared("ToDo", created=False)])
        self.assertEqual(self.site.asked.count("new field"), 1)
        self.assertEqual(self.deliver(Delivery(FIRST.id, "insert", "ToDo", {})), [Delivered("DOC-1")])

    def test_an_answer_lost_after_the_field_was_made_does_no_harm(self) -> None:
        """The site is asked again, not guessed at."""
        self.site.fields["ToDo"] = []

        def make_then_cut(request: Request) -> int:
            self.site.make_field(request)
            return cut(request)

        self.site.fault("new field", make_then_cut)
        self.assertEqual(self.prepare("ToDo"), [Prepared("ToDo", created=True)])

    def test_every_doctype_that_cannot_be_prepared_has_its_line(self) -> None:
        """Not unique, not there, refused: three lines, and the rest is done."""
        self.site.fields["Item"] = [{"fieldname": "lineside_id", "unique": 0}]
        self.site.fields["Batch"] = []
        self.site.fields["ToDo"] = []
        self.site.fault("new field", lambda request: refused(request, 417, "ValidationError", "Row size too large"))
        lines = self.problem("Item", "Nope", "Batch", "ToDo").split("\n")
        self.assertEqual([line.partition(":")[0] for line in lines], ["Item", "Nope", "Batch"])
        self.assertIn("not unique", lines[0])
        self.assertIn("DocType Nope not found", lines[1])
        self.assertIn("Row size too large", lines[2])
        self.assertEqual(len(self.site.fields["ToDo"]), 1)

    def test_a_missing_role_is_named(self) -> None:
        """Only a System Manager may make a Custom Field."""
        self.site.fields["ToDo"] = []
        self.site.fault("new field", lambda request: refused(request, 403, "PermissionError", "Not permitted"))
        self.assertIn("System Manager", self.problem("ToDo"))

    def test_a_site_that_does_not_answer_is_said_to_be_down(self) -> None:
        """An error of the whole site is one line, not one for each DocType."""
        self.site.fault("meta", page(502), times=1 + REPEATS)
        self.assertEqual(self.problem("ToDo", "Item"), "the site does not answer: HTTP 502")
