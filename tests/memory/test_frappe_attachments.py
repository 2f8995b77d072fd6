"""Documents with files against the stand-in: each file once, before the submission, whatever fails between."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lineside.edges.frappe.attachments import file_id
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.prepare import prepare
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Attachment, Delivery
from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.filestore import read_content
from lineside.standin.settings import SiteSettings
from lineside.standin.site import make_site

T = TypeVar("T")
LAB = Path(__file__).parents[1] / "data" / "lab-doctypes.json"
FIELD = "lineside_id"
EXIF = b"\xff\xe1\x00\x08Exif\0\0"
PHOTO = b"\xff\xd8" + EXIF + b"\xff\xda\x00\x02 pixels \xff\xd9"
"""As much of a JPEG as the site looks at; the camera's notes are taken out there."""
FAULTS = {
    "error_after_commit": 0.3,
    "error_before_commit": 0.3,
    "hang": 0.2,
    "hang_before": 0.2,
    "deadlock": 0.3,
    "lock_wait": 0.3,
    "cut": 0.3,
    "wrong_content_type": 0.5,
    "bad_gateway": 0.2,
}

Tell = Callable[[str, str], bool]


@implementer(IAgent)
class Line:
    """The network between the gateway and the site, which loses answers, or requests, when a test says so."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent
        self.asked: list[tuple[str, str]] = []
        self.loses_answer: Tell = lambda _verb, _path: False
        self.is_cut: Tell = lambda _verb, _path: False

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        asked = (method.decode(), uri.decode().partition("example")[2].partition("?")[0])
        if self.is_cut(*asked):
            return fail(ResponseFailed([Failure(ConnectionLost())]))
        self.asked.append(asked)
        answer = self._agent.request(method, uri, headers, bodyProducer)
        if self.loses_answer(*asked):
            self.loses_answer = lambda _verb, _path: False
            return answer.addCallback(lambda _: Failure(ResponseFailed([Failure(ConnectionLost())])))
        return answer


def inserts(doctype: str) -> Tell:
    """Tell the requests that insert into a DocType."""
    return lambda verb, path: (verb, path) == ("POST", f"/api/resource/{doctype.replace(' ', '%20')}")


def after(requests: int) -> Tell:
    """Tell all requests but the first ones."""
    left = iter(range(requests))
    return lambda _verb, _path: next(left, None) is None


def writes(verb: str, path: str) -> bool:
    """Tell the requests that change a document."""
    return verb == "PUT"


def photo(content: bytes = PHOTO, name: str = "photo.jpg", **facts: Any) -> Attachment:
    return Attachment(name, content, **facts)


def order(number: int, *files: Attachment, submit: bool = False, action: str = "insert") -> Delivery:
    """Return one of many deliveries."""
    match = {} if action == "insert" else {"order_id": f"SO-{number}"}
    document = {"order_id": f"SO-{number}", "amount": number} if action == "insert" else {"amount": number}
    identity = delivery_id(f"epoch-{number}", f"order {action}")
    return Delivery(identity, action, "Lab Order", document, match=match, submit=submit, files=files)


class WithFiles(SynchronousTestCase):
    """A prepared site whose orders have a field for a photo."""

    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.clock = Clock()
        self.documents = memory_documents(read_library(LAB), random=Random(1))
        self.faults = FaultKnobs(Random(2))
        self.settings = SiteSettings()
        site = make_site(
            self.clock, self.documents, self.faults, Credentials("key", "secret"), settings=self.settings
        )
        self.line = Line(RequestTraversalAgent(site.resource))
        self.client = FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=self.line)
        self.target = FrappeTarget(self.client)
        field = {"dt": "Lab Order", "fieldname": "photo", "label": "Photo", "fieldtype": "Attach Image"}
        self.written(lambda records: records.insert("Custom Field", field, "Administrator"))
        self.eventually(prepare(self.client, ["Lab Order", "File"], FIELD))
        self.line.asked.clear()

    def written(self, work: Callable[[Any], Any]) -> Any:
        return self.successResultOf(self.documents.write(work))

    def changed(self, fields: dict[str, Any], records: Any) -> None:
        records.update("Lab Order", "SO-1", fields, "Administrator")

    def eventually(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Return a coroutine's result, letting as much time pass as it waits for."""
        result = Deferred.fromCoroutine(coroutine)
        while not result.called and (waiting := self.clock.getDelayedCalls()):
            self.clock.advance(min(call.getTime() for call in waiting) - self.clock.seconds())
        return self.successResultOf(result)

    def deliver(self, delivery: Delivery, *, again: bool = False) -> Outcome:
        sent = msgspec.structs.replace(delivery, redelivered=again)
        [outcome] = self.eventually(self.target.deliver([sent]))
        return outcome

    def rows(self, doctype: str, *fields: str) -> list[dict[str, Any]]:
        asked = {"fields": ["name", *fields], "limit_page_length": 0, "order_by": "creation"}
        rows: list[dict[str, Any]] = self.successResultOf(
            self.documents.read(lambda records: records.list(doctype, asked))
        )
        return rows

    def files(self) -> list[dict[str, Any]]:
        return self.rows(
            "File",
            "file_name",
            "file_url",
            "attached_to_name",
            "attached_to_field",
            "is_private",
            "content_hash",
            FIELD,
        )

    def order(self) -> dict[str, Any]:
        [only] = self.rows("Lab Order", "docstatus", "photo", FIELD)
        return only

    def content(self, url: str) -> bytes | None:
        return self.successResultOf(self.documents.read(lambda records: read_content(records.connection, url)))


class Attaching(WithFiles):
    def test_a_document_gets_its_file_byte_for_byte(self) -> None:
        """It hangs on the document, is private, carries an id of its own, and its content is what was sent."""
        content = bytes(range(256))
        delivery = order(1, photo(content, "scan.bin"))
        self.assertEqual(self.deliver(delivery), Delivered("SO-1"))
        [file] = self.files()
        self.assertEqual((file["attached_to_name"], file["is_private"]), ("SO-1", 1))
        self.assertEqual(file["content_hash"], hashlib.md5(content, usedforsecurity=False).hexdigest())
        self.assertEqual(file[FIELD], file_id(delivery.id, delivery.files[0]))
        self.assertEqual(self.content(file["file_url"]), content)
        self.assertEqual([verb for verb, _ in self.line.asked if verb == "POST"], ["POST", "POST"])

    def test_a_field_is_filled_and_the_document_submitted_last(self) -> None:
        """The field holds the file's address, and one request does both; a file may be public."""
        self.assertEqual(
            self.deliver(order(1, photo(field="photo", private=False), submit=True)), Delivered("SO-1")
        )
        [file] = self.files()
        self.assertEqual(self.order()["photo"], file["file_url"])
        self.assertEqual((self.order()["docstatus"], file["attached_to_field"]), (1, "photo"))
        self.assertEqual(file["file_url"], "/files/photo.jpg")
        writing = [path for verb, path in self.line.asked if verb != "GET" and "get_list" not in path]
        self.assertEqual(
            writing, ["/api/resource/Lab%20Order", "/api/resource/File", "/api/resource/Lab%20Order/SO-1"]
        )

    def test_two_documents_may_have_files_of_one_name_and_of_one_content(self) -> None:
        """The site may alter a name and share a content; each document has its own file all the same."""
        for number, content in ((1, b"one"), (2, b"two"), (3, b"one")):
            self.assertIsInstance(self.deliver(order(number, photo(content, "note.txt"))), Delivered)
        self.assertEqual([file["attached_to_name"] for file in self.files()], ["SO-1", "SO-2", "SO-3"])
        self.assertEqual([self.content(file["file_url"]) for file in self.files()], [b"one", b"two", b"one"])

    def test_several_files_of_one_document(self) -> None:
        """All of them, each once, also where two are alike but for their names."""
        delivery = order(1, photo(b"a", "1.txt"), photo(b"a", "2.txt"), photo(b"b", "1.txt"))
        self.assertEqual(self.deliver(delivery), Delivered("SO-1"))
        self.assertEqual(len(self.files()), 3)
        self.assertEqual(self.deliver(delivery, again=True), Delivered("SO-1", found=True))
        self.assertEqual(len(self.files()), 3)

    def test_an_update_and_an_upsert_attach_too(self) -> None:
        """To the document that was found or made; the files of each event are added, a repeat's are not."""
        self.deliver(order(1))
        for action, content in (("update", b"one"), ("upsert", b"two")):
            delivery = order(1, photo(content, "note.txt"), action=action)
            self.assertEqual(self.deliver(delivery), Delivered("SO-1"))
            self.assertIsInstance(self.deliver(delivery), Delivered)
            self.assertIsInstance(self.deliver(delivery, again=True), Delivered)
        self.assertEqual([file["attached_to_name"] for file in self.files()], ["SO-1", "SO-1"])
        self.deliver(order(2, photo(b"three", "note.txt"), action="upsert", submit=True))
        self.assertEqual(len(self.files()), 3)
        self.assertEqual([row["docstatus"] for row in self.rows("Lab Order", "docstatus")], [0, 1])

    def test_documents_with_files_go_alone_and_others_together(self) -> None:
        """A batch of inserts knows nothing of files."""
        batch = [order(1), order(2, photo()), order(3), order(4)]
        outcomes = self.eventually(self.target.deliver(batch))
        self.assertEqual([getattr(each, "name", None) for each in outcomes], ["SO-1", "SO-2", "SO-3", "SO-4"])
        self.assertEqual([file["attached_to_name"] for file in self.files()], ["SO-2"])


class Failing(WithFiles):
    def test_a_lost_answer_to_the_document_s_insert(self) -> None:
        """The document is found by its id, and the file still attached."""
        self.line.loses_answer = inserts("Lab Order")
        self.assertEqual(self.deliver(order(1, photo(field="photo"), submit=True)), Delivered("SO-1", found=True))
        [file] = self.files()
        self.assertEqual((self.order()["photo"], self.order()["docstatus"]), (file["file_url"], 1))

    def test_a_lost_answer_to_the_file_s_insert(self) -> None:
        """The file is found by its id although the site made another content of it, and hangs there once."""
        self.line.loses_answer = inserts("File")
        self.assertEqual(self.deliver(order(1, photo())), Delivered("SO-1"))
        [file] = self.files()
        self.assertNotEqual(file["content_hash"], hashlib.md5(PHOTO, usedforsecurity=False).hexdigest())
        self.assertEqual(self.content(file["file_url"]), PHOTO.replace(EXIF, b""))

    def test_a_lost_answer_to_the_submission(self) -> None:
        """The next attempt finds everything done, and writes nothing."""
        delivery = order(1, photo(field="photo"), submit=True)
        self.line.loses_answer = writes
        self.assertIsInstance(self.deliver(delivery), Retry)
        self.line.is_cut = writes
        self.assertEqual(self.deliver(delivery, again=True), Delivered("SO-1", found=True))
        self.assertEqual((len(self.files()), self.order()["docstatus"]), (1, 1))

    def test_a_crash_between_any_two_steps(self) -> None:
        """Whatever was the last request that went out, the attempt after the crash completes the document once.

        After a start nothing is marked as sent before: the unique field refuses what is there.
        """
        delivery = order(1, photo(b"a", "1.txt", field="photo"), photo(b"b", "2.txt"), submit=True)
        for marked in (True, False):
            for steps in range(12):
                self.begin()
                self.line.is_cut = after(steps)
                self.deliver(delivery)
                self.line.is_cut = lambda _verb, _path: False
                outcome = self.deliver(delivery, again=marked)
                self.assertEqual(getattr(outcome, "name", outcome), "SO-1", (marked, steps))
                self.assertEqual([file["file_name"] for file in self.files()], ["1.txt", "2.txt"], (marked, steps))
                self.assertEqual(self.order()["docstatus"], 1)
                self.assertEqual(self.order()["photo"], self.files()[0]["file_url"])

    def test_a_site_slower_than_our_patience(self) -> None:
        """What is given up, looked up in vain, sent again and stored twice over by the site, is there once."""
        delivery = order(1, photo())
        late: list[tuple[Any, ...]] = []
        real = self.line

        @implementer(IAgent)
        class Late:
            """Keeps a file on its way for longer than anybody waits."""

            def request(self, *request: Any) -> Deferred[IResponse]:
                if inserts("File")(request[0].decode(), request[1].decode().partition("example")[2]):
                    late.append(request)
                    return Deferred()
                return real.request(*request)

        slow = FrappeTarget(FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=Late()))
        self.assertIsInstance(self.eventually(slow.deliver([delivery]))[0], Retry)
        self.assertIsInstance(self.deliver(delivery, again=True), Delivered)
        # What was given up arrives after all.
        [request] = late
        reply = self.eventually(self.read(real.request(*request)))
        self.assertEqual((reply, len(self.files())), (417, 1))

    async def read(self, answer: Deferred[IResponse]) -> int:
        return int((await answer).code)

    def test_a_refused_file_is_told_with_what_stands(self) -> None:
        """In Frappe's words, and nothing is submitted; a retry after the site was changed completes it."""
        self.settings.turn({"max_file_size": 1024})
        delivery = order(1, photo(b"x" * 1025, "big.bin"), submit=True)
        outcome = self.deliver(delivery)
        assert isinstance(outcome, Refused)
        self.assertEqual(outcome.code, "MaxFileSizeReachedError")
        self.assertRegex(outcome.reason, "^File size exceeded .*; Lab Order SO-1 stands without the file big.bin$")
        self.assertEqual((self.order()["docstatus"], self.files()), (0, []))
        self.settings.turn({"max_file_size": 1025})
        self.assertEqual(self.deliver(delivery, again=True), Delivered("SO-1", found=True))
        self.assertEqual((self.order()["docstatus"], len(self.files())), (1, 1))

    def test_a_refused_submission_leaves_the_draft_with_its_file(self) -> None:
        """And says so."""
        delivery = order(1, photo(), submit=True)
        self.line.is_cut = writes
        self.deliver(delivery)
        self.line.is_cut = lambda _verb, _path: False
        rule = {"dt": "Lab Order", "fieldname": "seen", "label": "Seen", "fieldtype": "Data", "reqd": 1}
        self.written(lambda records: records.insert("Custom Field", rule, "Administrator"))
        outcome = self.deliver(delivery, again=True)
        assert isinstance(outcome, Refused), outcome
        self.assertIn("Lab Order SO-1 stands with its files, but is not submitted", outcome.reason)
        self.assertEqual((self.order()["docstatus"], len(self.files())), (0, 1))

    def test_a_document_that_was_cancelled_meanwhile_is_not_changed(self) -> None:
        """Its file is completed all the same."""
        delivery = order(1, photo(field="photo"), submit=True)
        self.line.is_cut = inserts("File")
        self.assertNotIsInstance(self.deliver(delivery), Delivered)
        self.line.is_cut = lambda _verb, _path: False
        for docstatus in (1, 2):
            self.written(partial(self.changed, {"docstatus": docstatus}))
        self.assertEqual(self.deliver(delivery, again=True), Delivered("SO-1", found=True))
        self.assertEqual((self.order()["docstatus"], self.order()["photo"], len(self.files())), (2, None, 1))

    def test_what_only_a_person_can_mend_is_found_before_anything_is_sent(self) -> None:
        """File is not prepared, the field is none for files, the documents cannot be submitted."""
        wrong = order(1, photo(field="amount"))
        self.assertEqual(
            self.deliver(wrong),
            Blocked(
                "Lab Order has no field amount of the type Attach or Attach Image",
                "check the fieldname of the route's attachments",
            ),
        )
        todo = Delivery("a" * 32, "insert", "ToDo", {"description": "x"}, submit=True, files=(photo(),))
        self.assertIsInstance(self.deliver(todo), Blocked)
        unprepared = FrappeTarget(self.client, "other_id")
        [outcome] = self.eventually(unprepared.deliver([order(1, photo())]))
        self.assertEqual(outcome, Blocked("File has no field other_id", "run lineside erp prepare"))
        self.assertEqual((self.rows("Lab Order"), self.files()), ([], []))


class Ledger(WithFiles):
    def survive(self, faults: dict[str, float]) -> Counter[str]:
        """Deliver until all is delivered while the site fails so; each document has exactly its files."""
        self.begin()
        pending = {}
        for number in range(14):
            files = [photo(b"%d" % number, "note.txt"), *([photo(field="photo")] if number % 2 else [])]
            delivery = order(number, *files, submit=number % 3 == 0)
            pending[delivery.id] = delivery
        wanted = {
            file_id(each.id, file): f"SO-{n}" for n, each in enumerate(pending.values()) for file in each.files
        }
        kinds: Counter[str] = Counter()
        self.faults.turn(faults)
        rounds = 0
        while pending and (rounds := rounds + 1) < 400:
            some = list(pending.values())[:5]
            for delivery, outcome in zip(some, self.eventually(self.target.deliver(some)), strict=True):
                kinds[type(outcome).__name__] += 1
                del pending[delivery.id]
                if not isinstance(outcome, Delivered):
                    self.assertIsInstance(outcome, Retry | TargetDown, faults)
                    pending[delivery.id] = msgspec.structs.replace(delivery, redelivered=bool(rounds % 2))
        self.assertEqual(pending, {}, faults)
        held = self.files()
        self.assertEqual({file[FIELD]: file["attached_to_name"] for file in held}, wanted, faults)
        self.assertEqual(len(held), len(wanted), faults)
        self.assertEqual(self.problems(held), [], faults)
        return kinds

    def problems(self, held: Iterable[dict[str, Any]]) -> list[str]:
        addresses = {file["attached_to_name"]: file["file_url"] for file in held if file["attached_to_field"]}
        problems = []
        for row in self.rows("Lab Order", "docstatus", "photo"):
            number = int(row["name"].partition("-")[2])
            if row["docstatus"] != (number % 3 == 0) or row["photo"] != addresses.get(row["name"]):
                problems.append(str(row))
        return problems

    def test_each_fault_alone_loses_and_doubles_no_file(self) -> None:
        """Whatever the site does to requests, each document has exactly its files, and is submitted with them."""
        for fault, share in FAULTS.items():
            kinds = self.survive({fault: share})
            self.assertNotEqual(set(kinds), {"Delivered"}, fault)

    def test_all_faults_at_once(self) -> None:
        """A storm of them."""
        self.survive(dict.fromkeys(FAULTS, 0.05))
