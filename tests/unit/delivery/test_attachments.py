"""What a route's attachments make of an event: its files, none where it need not have one, or a refusal."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.attachments import AttachmentTemplate
from lineside.delivery.results import MAX_CONTENT, MAX_TEXT
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_template
from lineside.model.event import Event, Record, Seq
from lineside.model.outcome import Refused
from lineside.model.ports import Attachment, Delivery, Pending, Ready

CONTENT = bytes(range(256))
PHOTO = base64.b64encode(CONTENT).decode()


def rendered(
    payload: dict[str, Any], name: str = "{{ scan }}.jpg", content: str = "{{ photo }}", **facts: Any
) -> tuple[Attachment, ...] | str:
    """Return an event's files, or why it is refused."""
    path = "routes.r.attachments[0]"
    file = AttachmentTemplate(
        path,
        compile_template(name, f"{path}.name"),
        compile_template(content, f"{path}.content", MAX_CONTENT),
        **facts,
    )
    route = Route(
        id="r",
        sources=frozenset({"gate"}),
        target="erp",
        action="insert",
        doctype="Lab Order",
        document=compile_template({"a": 1}, "document"),
        when=None,
        order_by=None,
        concurrency=1,
        attachments=(file,),
    )
    record = Record(Seq(1), "e", "gate", 0, Event(msgspec.json.encode({"scan": "s1", **payload})))
    match route.render(Pending(record, attempt=1), Ready("UTC")):
        case Delivery(files=files):
            return files
        case Refused(code="template", reason=reason):
            return reason.removeprefix(f"{path}.")
        case other:
            raise AssertionError(other)


class Rendering(SynchronousTestCase):
    def test_base64_is_the_default_and_the_file_is_private(self) -> None:
        """The bytes come out as they went in."""
        self.assertEqual(rendered({"photo": PHOTO}), (Attachment("s1.jpg", CONTENT),))
        self.assertEqual(
            rendered({"photo": PHOTO}, private=False, field="photo"),
            (Attachment("s1.jpg", CONTENT, private=False, field="photo"),),
        )

    def test_what_browsers_and_mail_programs_send_is_base64_too(self) -> None:
        """A data URL, and lines of 76 characters."""
        for text in (f"data:image/jpeg;base64,{PHOTO}", base64.encodebytes(CONTENT).decode(), f" {PHOTO}\r\n"):
            self.assertEqual(rendered({"photo": text}), (Attachment("s1.jpg", CONTENT),))

    def test_text_is_stored_as_utf_8(self) -> None:
        """Also of what the template itself writes."""
        for payload, content in (({"note": "Öl"}, "{{ note }}"), ({"note": "l"}, "Ö{{ note }}")):
            expected = (Attachment("n.txt", "Öl".encode()),)
            self.assertEqual(rendered(payload, "n.txt", content, encoding="text"), expected)

    def test_what_is_no_base64_is_refused_and_never_guessed(self) -> None:
        """Half of it would be another file; the error holds nothing of it."""
        for text in ("{}", PHOTO[:-1], PHOTO + "?", "data:image/jpeg," + PHOTO, "§"):
            self.assertEqual(rendered({"photo": text}), "content: the content is no Base64")
            self.assertEqual(rendered({"photo": text}, optional=True), "content: the content is no Base64")

    def test_a_missing_content_is_refused_or_skipped(self) -> None:
        """Missing, null and empty are all no content; only an optional file may have none."""
        nothing = "content: there is no content; optional = true would do without the file"
        for payload, problem in (
            ({}, 'content: no field "photo"'),
            ({"photo": None}, nothing),
            ({"photo": ""}, nothing),
        ):
            self.assertEqual(rendered(payload), problem)
            self.assertEqual(rendered(payload, optional=True), ())
            self.assertEqual(rendered(payload, optional=True, encoding="text"), ())
        self.assertEqual(rendered({"photo": "  "}), nothing)

    def test_a_content_that_is_no_text_is_refused(self) -> None:
        """An optional one too: something is there, and it is not what the route expects."""
        for value, kind in ((7, "int"), ([PHOTO], "list"), ({"a": PHOTO}, "dict"), (False, "bool")):
            for facts in ({}, {"optional": True}, {"encoding": "text"}):
                self.assertEqual(
                    rendered({"photo": value}, **facts), f"content: the content of a file is text, not a {kind}"
                )

    def test_a_name_is_a_file_s_name(self) -> None:
        """No path leads out of the folder, and Frappe has room for it."""
        for scan in ("../x", "a\\b", "a\nb", "a\0"):
            problem = rendered({"photo": PHOTO, "scan": scan})
            self.assertEqual(problem, "name: a file's name has no slash, no backslash and no control character")
        self.assertEqual(rendered({"photo": PHOTO}, ".."), problem)
        for name in ("x" * 121, "ü" * 120 + "x"):
            self.assertIn("at most 120 characters and 240 bytes", str(rendered({"photo": PHOTO}, name)))
        self.assertEqual(rendered({"photo": PHOTO}, "{{ '' }}"), "name: a file needs a name")
        self.assertEqual(rendered({"photo": PHOTO}, "{{ 7 }}"), "name: a file needs a name")
        self.assertEqual(rendered({"photo": PHOTO}, "{{ other }}.jpg"), 'name: no field "other"')
        self.assertEqual(rendered({}, "{{ other }}.jpg", optional=True), ())

    def test_a_file_may_be_longer_than_a_text_of_a_document(self) -> None:
        """A photo of some megabytes is nothing unusual."""
        expected = (Attachment("s1.jpg", bytes(3 * MAX_TEXT)),)
        self.assertTrue(rendered({"photo": "A" * (4 * MAX_TEXT)}) == expected)
