"""What the commands tell of attachments before any event is delivered."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import partial
from pathlib import Path
from random import Random

from click.testing import CliRunner
from tests.rig.frappe_case import Delivering
from tests.rig.played_frappe import refused, told
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.soundings import sound
from lineside.cli.try_ import command
from lineside.edges.frappe.attachments import may_attach
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.dryrun import DryRun, Held
from lineside.edges.frappe.prepare import prepare
from lineside.model.outcome import Blocked, TargetDown
from lineside.model.ports import Attachment, Delivery
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://erp.localhost"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"

[routes.note]
doctype = "ToDo"
document = { description = "{{ text }}" }
"""
ATTACHMENTS = """
[[routes.note.attachments]]
name = "{{ text }}.bin"
content = "{{ photo }}"
fieldname = "image"
[[routes.note.attachments]]
name = "note.txt"
content = "{{ note }}"
encoding = "text"
is_private = false
optional = true
"""
CONTENT = bytes(range(64)) * 20
LINE = json.dumps({"text": "a", "photo": base64.b64encode(CONTENT).decode(), "note": "seen"}).encode() + b"\n"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Try(SynchronousTestCase):
    """`lineside try`."""

    def run_try(self, line: bytes, *arguments: str) -> str:
        Path("lineside.toml").write_text(CONFIGURATION + ATTACHMENTS)
        result = CliRunner().invoke(command, ["gate", *arguments], input=line)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def test_a_person_sees_what_would_be_attached_and_not_what_is_in_it(self) -> None:
        """Name, size and hash of each file."""
        shown = self.run_try(LINE)
        self.assertIn(f"file a.bin, 1,280 bytes, md5 {md5(CONTENT)}, private, in image\n", shown)
        self.assertIn(f"file note.txt, 4 bytes, md5 {md5(b'seen')}, public\n", shown)
        self.assertNotIn(base64.b64encode(CONTENT).decode()[:40], shown)

    def test_a_program_sees_the_same(self) -> None:
        """As JSON; a file that an event need not have is not there."""
        line = json.dumps({"text": "a", "photo": "AAAA"}).encode() + b"\n"
        told = json.loads(self.run_try(line, "--json"))["routes"]["note"]
        file = {"name": "a.bin", "bytes": 3, "md5": md5(bytes(3)), "private": True, "field": "image"}
        self.assertEqual(told["files"], [file])

    def test_what_cannot_be_attached_is_refused_with_its_place(self) -> None:
        """Before anything is sent."""
        self.assertIn("refused, routes.note.attachments[0].content: ", self.run_try(b'{"text":"a","photo":"?"}\n'))


class CheckAndDryRun(SynchronousTestCase):
    """`lineside check --connect` and `lineside try --erp`."""

    def setUp(self) -> None:
        self.clock = Clock()
        site = make_site(
            self.clock, memory_documents(random=Random(1)), FaultKnobs(Random(2)), Credentials("key", "secret")
        )
        self.agent = RequestTraversalAgent(site.resource)
        self.client = FrappeClient(self.clock, "http://erp.localhost", "key", "secret", agent=self.agent)
        path = Path("lineside.toml")
        path.write_text(CONFIGURATION + ATTACHMENTS)
        self.settings = load(path, {"KEY": "key", "SECRET": "secret"})

    def test_file_is_checked_and_prepared_as_every_doctype(self) -> None:
        """Missing first; then there, unique, and the user may create it."""
        sounding = self.successResultOf(Deferred.fromCoroutine(sound(self.client, self.settings, "erp")))
        self.assertIn("targets.erp: File has no field lineside_id; run lineside erp prepare", sounding.problems)
        doctypes = self.settings.prepared_doctypes("erp")
        self.successResultOf(Deferred.fromCoroutine(prepare(self.client, doctypes, "lineside_id")))
        sounding = self.successResultOf(Deferred.fromCoroutine(sound(self.client, self.settings, "erp")))
        self.assertEqual(sounding.problems, [])
        self.assertIn("targets.erp: File: lineside_id is there and unique", sounding.found)
        self.assertIn("targets.erp: the API user may create File, for attachments", sounding.found)

    def test_a_dry_run_shows_the_document_and_sends_no_file(self) -> None:
        """The draft is the first request that would write; without the id field none would."""
        files = (Attachment("a.bin", CONTENT),)
        delivery = Delivery("a" * 32, "insert", "ToDo", {"description": "x"}, files=files)
        run = DryRun(
            lambda around: FrappeClient(
                self.clock, "http://erp.localhost", "key", "secret", agent=self.agent, around=around
            ),
            "lineside_id",
        )
        self.successResultOf(Deferred.fromCoroutine(prepare(self.client, ["ToDo"], "lineside_id")))
        unprepared = self.successResultOf(Deferred.fromCoroutine(run.deliver(delivery)))
        self.assertEqual(unprepared, Blocked("File has no field lineside_id", "run lineside erp prepare"))
        self.successResultOf(Deferred.fromCoroutine(prepare(self.client, ["File"], "lineside_id")))
        held = self.successResultOf(Deferred.fromCoroutine(run.deliver(delivery)))
        assert isinstance(held, Held), held
        self.assertEqual((held.method, held.path), ("POST", "/api/resource/ToDo"))
        self.assertNotIn(b"content", held.body)


class MayAttach(Delivering):
    """Whether the API user may create File."""

    def test_the_site_is_believed_and_silence_is_no_refusal(self) -> None:
        """Only a clear no is a problem; a site without that question is let through."""
        for answer, expected in (
            ({"has_permission": True}, None),
            (
                {"has_permission": 0},
                Blocked("the API user may not create File", "give it a role with that permission"),
            ),
        ):
            self.site.fault("has_permission", partial(told, status=200, body={"message": answer}))
            self.assertEqual(self.now(may_attach(self.client)), expected)
        self.site.fault("has_permission", lambda request: refused(request, 417, "ValidationError", "Failed to get"))
        self.assertIsNone(self.now(may_attach(self.client)))
        self.site.fault(
            "has_permission", lambda request: refused(request, 503, "SessionStopped", "Session Stopped")
        )
        self.assertIsInstance(self.now(may_attach(self.client)), TargetDown)
