"""What a request gives."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.errors import FrappeError
from lineside.standin.incoming import Incoming, arguments, document_data

JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"


def posted(body: bytes, content_type: str = JSON, query: str = "") -> Incoming:
    """Return a POST request."""
    return Incoming("POST", ("resource", "ToDo"), 1, query, body, content_type)


class Arguments(SynchronousTestCase):
    def test_a_json_body_hides_the_query(self) -> None:
        """A trap of Frappe's that clients must meet here too."""
        self.assertEqual(arguments(posted(b'{"a": 1}', query="b=2")), {"a": 1})
        self.assertEqual(arguments(posted(b"", query="b=2")), {"b": "2"})

    def test_a_form_and_the_query_come_together(self) -> None:
        """The form wins."""
        self.assertEqual(arguments(posted(b"a=1&c=%C3%A4", FORM, "a=0&b=2")), {"a": "1", "b": "2", "c": "ä"})

    def test_a_document_may_lie_in_data_as_text(self) -> None:
        """The old form, in a form and in JSON."""
        for request in (posted(b"data=%7B%22x%22%3A1%7D", FORM), posted(b'{"data": "{\\"x\\":1}"}')):
            self.assertEqual(document_data(arguments(request)), {"x": 1})

    def test_what_is_no_json_is_told_in_pythons_words(self) -> None:
        """As recorded."""
        error = self.assertRaises(FrappeError, arguments, posted(b"{bad"))
        self.assertEqual(error.status, 500)
        self.assertEqual(
            error.exception,
            "json.decoder.JSONDecodeError: "
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        )

    def test_no_body_whatever_it_holds_raises_anything_else(self) -> None:
        """Nested without end, not text, no object: each is one of Frappe's errors."""
        for body in (b"[" * 100_000, b"\xff\xfe", b"7", b'"text"', b"null"):
            self.assertRaises(FrappeError, arguments, posted(body))
