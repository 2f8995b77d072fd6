"""What the configuration can say of files, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import filesettings
from lineside.assemble.build import once_only
from lineside.assemble.config import load
from lineside.assemble.files import form_of
from lineside.assemble.rehearsal import Rehearsal
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.model.ports import Delivery
from lineside.wire.rows.reading import About

SOURCE = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ code }} {{ file.row }}" }

[sources.edi]
type = "folder"
path = "in"
"""


WRONG = {
    'format = "cvs"': 'format: unknown format "cvs"; did you mean "csv"?; known: csv, json, fixed, edifact',
    'format = { type = "csv", header = false }': "format: columns is missing: without a header it names the fields",
    'format = { type = "csv", encoding = "utf-99" }': 'format.encoding: unknown encoding "utf-99"',
    'format = { type = "csv", delimiter = "ß" }': "format: delimiter and quotechar are characters of ASCII",
    'format = { type = "csv", columns = ["a"] }\ndedupe = "b"': 'dedupe: the format has no field "b"',
    'format = { type = "csv", columns = ["file"] }': 'about: the format has a field "file" of its own',
    "trailer = 'END'": "trailer: it has no group (?P<count>...) for the number of rows",
    "trailer = '('": "trailer: no regular expression",
    "format = 'edifact'\ntrailer = '(?P<count>.)'": "trailer is not for edifact",
    'outbox = "in"': "outbox: it is the folder itself",
    'done = "done"': "done: ",
}


class FileSettings(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def load(self, more: str = "") -> Settings:
        self.path.write_text(SOURCE + more)
        return load(self.path, {"KEY": "k"})

    def problem(self, more: str) -> str:
        (problem,) = self.assertRaises(ConfigurationError, self.load, more).problems
        return str(problem).partition("lineside.toml: sources.edi")[2]

    def bodies(self, more: str, data: bytes) -> list[bytes]:
        form = form_of(self.load(more).folders["edi"])
        reader = form.reader(About("file", "a", "b"), "acme")
        return reader.batch(reader.feed(data) + reader.end(), 1).bodies

    def rehearsed(self, more: str, data: bytes) -> list[Any]:
        documents = []
        for line in Rehearsal(self.load(more), "edi", lambda: 0).lines([data[:5], data[5:]]):
            note = line.routes.get("note")
            documents.append(note.document["description"] if isinstance(note, Delivery) else line.event.error)
        return documents

    def test_a_folder_needs_a_path_and_nothing_else(self) -> None:
        """Its files are CSV with a header; all beside it lies inside."""
        table = self.load().folders["edi"]
        self.assertEqual(self.path.parent / "in", table.path)
        self.assertIn(b'"a":"1"', self.bodies("", b"a,b\n1,2\n")[0])

    def test_every_format_reads_its_files(self) -> None:
        """In the encoding that the table says."""
        fixed = 'format = { type = "fixed", columns = [{ name = "a", width = 3 }], encoding = "utf-16" }'
        self.assertIn('"a":"ü"'.encode(), self.bodies(fixed, "ü  \r\n".encode("utf-16"))[0])
        self.assertIn(b'"a":1', self.bodies('format = "json"', b'{"a":1}\n')[0])
        bare = 'format = { type = "csv", header = false, columns = ["a", ""], quotechar = "", delimiter = ";" }'
        self.assertIn(b'"a":"\\"x"}', self.bodies(bare, b'"x;y\n')[0])

    def test_what_cannot_be_is_told_with_its_key(self) -> None:
        """One clear line each."""
        for more, told in WRONG.items():
            with self.subTest(more):
                self.assertIn(told, self.problem(more))

    def test_edifact_needs_its_library(self) -> None:
        """Where it is not installed the check says what to do."""
        with mock.patch.object(filesettings, "find_spec", return_value=None):
            self.assertIn("pip install 'lineside[edifact]'", self.problem('format = "edifact"'))

    def test_a_file_can_be_tried(self) -> None:
        """Row by row, without its trailer; one that would be refused is told so."""
        trailer = "trailer = 'END,(?P<count>.)'"
        self.assertEqual(
            ["x 1", "csv: 1 columns, not 2", "y 3"], self.rehearsed(trailer, b"code,b\nx,1\nbad\ny,2\nEND,3\n")
        )
        wrong = self.assertRaises(LinesideError, self.rehearsed, trailer, b"code,b\nx,1\nEND,2\n")
        self.assertEqual("the file would be refused: trailer: it says 2 rows, the file has 1", str(wrong))

    def test_samples_stand_for_rows(self) -> None:
        """A table is one row, text a whole file."""
        rehearsal = Rehearsal(self.load(), "edi", lambda: 0)
        (row,) = rehearsal.example({"code": "x"})
        first, second = rehearsal.example("code\na\nb\n")
        for number, text in ((row, "x 1"), (first, "a 1"), (second, "b 2")):
            document = number.routes["note"]
            assert isinstance(document, Delivery)
            self.assertEqual(text, document.document["description"])

    def test_a_bad_row_is_not_decoded_again(self) -> None:
        """Who retries its dead letter is told what to do instead."""
        self.assertEqual("a row is not decoded again; let it be sent in a new file", once_only(b"x", None).error)
