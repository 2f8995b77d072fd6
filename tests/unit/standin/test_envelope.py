"""The envelopes of both versions, as recorded."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lineside.standin import envelope
from lineside.standin.errors import (
    FrappeError,
    bad_value,
    duplicate_name,
    duplicate_value,
    mandatory,
    not_found,
    raised,
    thrown,
)


def told(error: FrappeError, version: int = 1, *, tracebacks: bool = True) -> dict[str, Any]:
    """Return the envelope of an error."""
    body: dict[str, Any] = json.loads(envelope.failure(error, version, tracebacks=tracebacks).body)
    return body


class First(SynchronousTestCase):
    def test_a_thrown_error_has_json_within_json(self) -> None:
        """`_server_messages` is text of a list of texts of objects, `exc` text of a list of texts."""
        body = told(thrown("LinkValidationError", "Could not find X: y"))
        self.assertEqual(body.keys(), {"exception", "exc_type", "exc", "_server_messages"})
        self.assertEqual(body["exception"], "frappe.exceptions.LinkValidationError: Could not find X: y")
        [entry] = [json.loads(each) for each in json.loads(body["_server_messages"])]
        self.assertEqual(len(entry.pop("__frappe_exc_id")), 56)
        self.assertEqual(
            entry,
            {"message": "Could not find X: y", "title": "Message", "indicator": "red", "raise_exception": 1},
        )
        self.assertIsInstance(json.loads(body["exc"])[0], str)

    def test_a_missing_value_is_told_once_for_each_field(self) -> None:
        """The exception names the document and the fields, the messages their labels."""
        body = told(mandatory("ToDo", "x1", [("description", "Description"), ("role", "Role")]))
        self.assertEqual(body["exception"], "frappe.exceptions.MandatoryError: [ToDo, x1]: description, role")
        self.assertEqual(
            [json.loads(each) for each in json.loads(body["_server_messages"])],
            [
                {"message": "Error: Value missing for ToDo: Description", "title": "Message"},
                {"message": "Error: Value missing for ToDo: Role", "title": "Message"},
            ],
        )

    def test_duplicates_of_names_and_of_values_have_their_own_status(self) -> None:
        """409 for a name, 417 for a unique field."""
        name = envelope.failure(duplicate_name("Order", "SO-1"), 1)
        value = envelope.failure(duplicate_value("Order", "SO-2", "ref", "Ref", "E1"), 1)
        self.assertEqual((name.status, value.status), (409, 417))
        self.assertIn("Duplicate entry 'E1' for key 'ref'", json.loads(value.body)["exception"])

    def test_a_404_never_holds_a_traceback(self) -> None:
        """Nor does anything when the site does not allow it."""
        self.assertEqual(told(not_found("ToDo", "x")).keys(), {"exc_type", "_server_messages"})
        self.assertEqual(told(raised("AuthenticationError"), tracebacks=False), {"exc_type": "AuthenticationError"})

    def test_an_error_without_words_has_no_messages(self) -> None:
        """The class alone, or the database's own line."""
        self.assertEqual(told(raised("AuthenticationError"))["exception"], "frappe.exceptions.AuthenticationError")
        body = told(bad_value("date", "nope", "ToDo", "date"))
        self.assertEqual(body.keys(), {"exception", "exc_type", "exc"})

    def test_a_method_that_returns_nothing_has_an_empty_envelope(self) -> None:
        """The key is absent, not null."""
        self.assertEqual(envelope.success(envelope.Success("message", None)).body, b"{}")
        self.assertEqual(envelope.success(envelope.Success("message", 0)).body, b'{"message":0}')


class Second(SynchronousTestCase):
    def test_an_error_is_an_entry_of_errors(self) -> None:
        """Type, traceback and words in one object."""
        [entry] = told(duplicate_name("Lab Order", "SO-1"), 2)["errors"]
        self.assertEqual(entry.keys(), {"type", "exception", "message", "title", "indicator"})
        self.assertEqual(entry["message"], "Lab Order <strong>SO-1</strong> already exists")

    def test_without_tracebacks_the_words_stay(self) -> None:
        """As recorded with `allow_error_traceback` off."""
        error = mandatory("ToDo", "x1", [("description", "Description")])
        self.assertEqual(
            told(error, 2, tracebacks=False),
            {
                "errors": [
                    {
                        "type": "MandatoryError",
                        "message": "Error: Value missing for ToDo: Description",
                        "title": "Message",
                    }
                ]
            },
        )
