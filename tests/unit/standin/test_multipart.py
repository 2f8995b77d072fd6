"""Forms with files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.errors import FrappeError
from lineside.standin.multipart import Part, parse_form

KIND = 'multipart/form-data; boundary="cut here"'


def form(*parts: bytes) -> bytes:
    return b"".join(b"--cut here\r\n" + part + b"\r\n" for part in parts) + b"--cut here--\r\n"


class Forms(SynchronousTestCase):
    def test_fields_and_files_are_told_apart(self) -> None:
        """A file has a name of its own; unknown headers do no harm."""
        body = form(
            b'Content-Disposition: form-data; name="doctype"\r\n\r\nToDo',
            b'X-More: 1\r\ncontent-disposition: form-data; name="file"; filename="a b.txt"\r\n\r\none\r\ntwo',
        )
        self.assertEqual(parse_form(KIND, body), {"doctype": Part(b"ToDo"), "file": Part(b"one\r\ntwo", "a b.txt")})

    @given(st.binary(max_size=200))
    def test_content_comes_out_byte_by_byte(self, content: bytes) -> None:
        """Whatever it is, as long as the boundary is not in it."""
        body = form(b'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + content)
        self.assertEqual(parse_form(KIND, body)["file"].content, content)

    def test_a_malformed_form_is_refused(self) -> None:
        """No boundary, no end, no name, no blank line."""
        good = form(b'Content-Disposition: form-data; name="a"\r\n\r\n1')
        wrong = {
            "multipart/form-data": good,
            KIND: good.removesuffix(b"--cut here--\r\n"),
            f"{KIND} ": form(b"Content-Type: text/plain\r\n\r\n1"),
            f"{KIND}  ": form(b'Content-Disposition: form-data; name="a"'),
            f"{KIND}   ": b"nothing",
        }
        for kind, body in wrong.items():
            self.assertEqual(self.assertRaises(FrappeError, parse_form, kind, body).status, 417)
