"""The attachments of a route in the configuration: what they come to, and what is said of every mistake."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.assemble.translation import compile_route
from lineside.model.errors import ConfigurationError

HEAD = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com/"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:7001"
public = true

[routes.checkin]
document = { employee = "{{ employee }}" }
"""
FILE = """
[[routes.checkin.attachments]]
name = "photo.jpg"
content = "{{ photo }}"
"""


def read(files: str, keys: str = 'doctype = "Employee Checkin"') -> Settings:
    """Load a configuration from a file in the current directory."""
    path = Path("lineside.toml")
    path.write_text(f"{HEAD}{keys}\n{files}", encoding="utf-8")
    return load(path, {"KEY": "k", "SECRET": "s"})


class Reading(SynchronousTestCase):
    def problems(self, files: str, keys: str = 'doctype = "Employee Checkin"') -> list[str]:
        with self.assertRaises(ConfigurationError) as caught:
            read(files, keys)
        return [problem.removeprefix("lineside.toml: routes.checkin.") for problem in caught.exception.problems]

    def test_a_file_is_private_base64_and_needed_unless_it_says_otherwise(self) -> None:
        """What is safest where nothing is said."""
        settings = read(
            FILE + 'fieldname = "photo"\n' + FILE + 'is_private = false\nencoding = "text"\noptional = true'
        )
        one, other = compile_route(settings, "checkin").attachments
        self.assertEqual((one.private, one.encoding, one.optional, one.field), (True, "base64", False, "photo"))
        self.assertEqual((other.private, other.encoding, other.optional, other.field), (False, "text", True, ""))

    def test_every_mistake_is_told_with_its_place(self) -> None:
        """In each table, all at once; a key's spelling is suggested from its own table."""
        files = """
[[routes.checkin.attachments]]
name = "photo.jpg"
contnet = "{{ photo }}"
[[routes.checkin.attachments]]
name = "{{ a | nope }}"
content = "{{ photo"
encoding = "hex"
fieldname = "No Field"
"""
        found = self.problems(files)
        self.assertIn("attachments[0].content: is missing", found)
        self.assertIn('attachments[0].contnet: unknown key; did you mean "content"?', found)
        self.assertIn('attachments[1].encoding: unknown encoding "hex"; known: base64, text', found)
        self.assertIn('attachments[1].name: unknown filter "nope"', found)
        for place in ("attachments[1].content: ", "attachments[1].fieldname: "):
            self.assertEqual(len([problem for problem in found if problem.startswith(place)]), 1, found)
        self.assertEqual(len(found), 6, found)

    def test_one_table_is_no_array(self) -> None:
        """The brackets are easily forgotten."""
        found = self.problems('[routes.checkin.attachments]\nname = "a"\ncontent = "b"')
        self.assertEqual(found, ["attachments: expected an array, got a table"])

    def test_a_field_is_filled_once(self) -> None:
        """By the document, or by one file."""
        twice = FILE + 'fieldname = "photo"\n'
        self.assertEqual(
            self.problems(twice + twice),
            [
                "attachments[1].fieldname: routes.checkin.attachments[0].fieldname fills this field already",
            ],
        )
        self.assertEqual(
            self.problems(FILE + 'fieldname = "employee"'),
            ["attachments[0].fieldname: routes.checkin.document.employee fills this field already"],
        )

    def test_a_call_has_no_files_and_a_batch_neither(self) -> None:
        """There is no document; and a batch is one request."""
        self.assertEqual(
            self.problems(FILE, 'action = "call"\nmethod = "app.do"'),
            ["attachments: a call makes no document to attach to; remove them"],
        )
        self.assertEqual(
            self.problems(FILE, 'doctype = "ToDo"\nbatch = 20'),
            ["batch: documents with attachments go one by one; remove it"],
        )
        self.assertEqual(read(FILE).routes["checkin"].at_once, 1)

    def test_file_is_prepared_where_a_route_has_files(self) -> None:
        """Of an update too, whose documents need no id."""
        self.assertEqual(read(FILE).prepared_doctypes("erp"), ["Employee Checkin", "File"])
        update = 'action = "update"\ndoctype = "ToDo"\nmatch = { name = "x" }'
        self.assertEqual(read(FILE, update).prepared_doctypes("erp"), ["File"])
        self.assertEqual(read("").prepared_doctypes("erp"), ["Employee Checkin"])
