"""DocTypes from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.doctypes import read_library

EXPORTED: dict[str, Any] = {
    "doctype": "DocType",
    "name": "Gauge",
    "module": "Plant",
    "autoname": "field:gauge_id",
    "creation": "2026-01-01 00:00:00",
    "is_submittable": 1,
    "title_field": None,
    "field_order": ["gauge_id"],
    "fields": [
        {"fieldname": "gauge_id", "fieldtype": "Data", "reqd": 1, "bold": 1},
        {"fieldname": "cut", "fieldtype": "Section Break"},
    ],
    "permissions": [{"role": "System Manager"}],
}


class Files(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def write(self, name: str, given: object) -> Path:
        path = self.folder / name
        path.write_text(given if isinstance(given, str) else json.dumps(given))
        return path

    def test_an_export_of_frappe_is_a_definition(self) -> None:
        """What the stand-in does not know of it does no harm; null is the default."""
        kind = read_library(self.write("gauge.json", EXPORTED)).doctypes["Gauge"]
        self.assertEqual((kind.autoname, kind.is_submittable, kind.title_field), ("field:gauge_id", 1, None))
        self.assertEqual([field.fieldname for field in kind.own_columns], ["gauge_id"])

    def test_a_file_holds_one_or_many_and_a_folder_holds_files(self) -> None:
        """Documents that every site begins with come along; other files are left alone."""
        row = {"name": "Plain", "fields": []}
        own = {"doctype": {"name": "Zone", "autoname": "prompt"}, "documents": [row]}
        self.write("many.json", [EXPORTED, own])
        self.write("notes.txt", "no JSON")
        library = read_library(self.folder)
        self.assertLessEqual({"Gauge", "Zone", "ToDo"}, set(library.doctypes))
        self.assertIn({"doctype": "Zone", **row}, library.documents)

    def test_a_doctype_defined_again_replaces_the_one_before(self) -> None:
        """So that a site's own Item can be told."""
        mine = {"doctype": {"name": "ToDo", "fields": [{"fieldname": "mine"}]}}
        kind = read_library(self.write("todo.json", mine)).doctypes["ToDo"]
        self.assertEqual([field.fieldname for field in kind.fields], ["mine"])

    def test_a_file_that_defines_nothing_is_named(self) -> None:
        """With what is wrong in it."""
        for given, reason in (
            ("{", "truncated"),
            ([{"name": "x"}], "unknown field"),
            ({"doctype": {"name": 7}}, "name"),
        ):
            error = self.assertRaises(msgspec.DecodeError, read_library, self.write("bad.json", given))
            self.assertTrue(str(error).startswith("bad.json: "))
            self.assertIn(reason, str(error))
