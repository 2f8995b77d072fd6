"""Lines of JSON become events, and what is none is kept whole."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.jsonl import MAX_NESTING, JsonLines


class JsonLinesTests(SynchronousTestCase):
    """Decoding one line."""

    def test_an_object_is_an_event_as_it_came(self) -> None:
        """The line's bytes are the event's body: codes keep their zeros, numbers their digits."""
        line = b'{"code": "00123", "weight": 1.10, "n": 123456789012345678901234567890}'
        event = JsonLines().decode(line, "10.0.0.5")
        self.assertEqual((line, None, None, "10.0.0.5"), (event.body, event.error, event.key, event.device))

    def test_key_and_device_come_from_the_object(self) -> None:
        """Both are field paths; a number's key is its digits, the same as those of a text."""
        lines = JsonLines(dedupe="scan.id", device="scan.by")
        text = lines.decode(b'{"scan": {"id": "7", "by": "S1"}}', "10.0.0.5")
        self.assertEqual(("7", "S1"), (text.key, text.device))
        none = lines.decode(b'{"scan": {"id": null}}', "10.0.0.5")
        self.assertEqual((None, "10.0.0.5"), (none.key, none.device))
        self.assertEqual("7", lines.decode(b'{"scan": {"id": 7}}').key)

    def test_reasons_name_what_is_wrong(self) -> None:
        """Each kind of nonsense has its code, and its bytes are kept."""
        for line, error in (
            (b"\xff\xfe", "utf8: byte 1 is not UTF-8"),
            (b'{"a": "\xfc"}', "utf8: byte 8 is not UTF-8"),
            (b"[1]", "json: expected an object, got an array"),
            (b'"x"', "json: expected an object, got a string"),
            (b"true", "json: expected an object, got a boolean"),
            (b"null", "json: expected an object, got null"),
            (b"1.5", "json: expected an object, got a number"),
        ):
            event = JsonLines().decode(line)
            self.assertEqual((error, line, b""), (event.error, event.raw, event.body))
        self.assertTrue((JsonLines().decode(b'{"a": }').error or "").startswith("json: "))
        self.assertTrue((JsonLines().decode(b"[" * 100_000).error or "").startswith("json: "))

    def test_nesting_has_a_limit_of_its_own(self) -> None:
        """A line is taken or not whoever decodes it: what is let in can be read again further down the stack."""
        deepest = b'{"a": ' + b"[" * (MAX_NESTING - 1) + b"]" * (MAX_NESTING - 1) + b"}"
        self.assertIsNone(JsonLines(dedupe="a").decode(deepest).error)
        for depth in (MAX_NESTING, 500, 960, 100_000):
            line = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
            event = JsonLines(dedupe="a").decode(line)
            self.assertEqual((f"json: nested more than {MAX_NESTING} deep", line), (event.error, event.raw))
        wide = b'{"a": [' + b"[]," * 1_000 + b"[]]}"
        self.assertIsNone(JsonLines().decode(wide).error)

    @given(st.binary(max_size=200))
    def test_no_line_is_too_strange(self, line: bytes) -> None:
        """Whatever bytes come, they are an event that is an object, or kept with a reason; nothing raises."""
        event = JsonLines(dedupe="a", device="b").decode(line)
        if event.error is None:
            self.assertIsInstance(json.loads(event.body), dict)
        else:
            self.assertEqual(line, event.raw)
            self.assertRegex(event.error, r"^(json|utf8): .")

    @given(
        st.dictionaries(
            st.text(),
            st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=5),
        )
    )
    def test_every_object_is_taken(self, payload: dict[str, object]) -> None:
        """What another program wrote as JSON is an event."""
        line = json.dumps(payload, ensure_ascii=True).encode()
        event = JsonLines(dedupe="a").decode(line)
        surrogates = any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(payload, ensure_ascii=False))
        if not surrogates:
            self.assertIsNone(event.error)
