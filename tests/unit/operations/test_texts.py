"""Stored values as people read them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.templates import scope
from lineside.model.event import Event, Record, Seq
from lineside.operations.texts import body_text, moment


class Texts(SynchronousTestCase):
    """Moments and bodies."""

    @given(st.integers(0, 4_000_000_000_000_000_000))
    @example(1_799_999_999_999_999_999)
    def test_a_moment_reads_as_templates_see_it(self, ns: int) -> None:
        """The time in a list of events is the one that went into the document, cut and never rounded up."""
        seen = scope(Record(Seq(1), "e", "gate", ns, Event(b"{}")), {}, None)
        self.assertEqual(moment(ns), seen.variables["event"]["received"][:-4] + "Z")

    def test_a_body_that_is_no_text_is_escaped(self) -> None:
        """What was received in place of JSON can be read byte by byte."""
        self.assertEqual(body_text(Event(b"", raw=b"M\xfcller", error="utf8: byte 2 is not UTF-8")), "M\\xfcller")
        self.assertEqual(body_text(Event('{"n":"ü"}'.encode(), raw=b"x")), '{"n":"ü"}')
