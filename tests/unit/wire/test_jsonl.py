"""Lines of JSON become events, and what is none is kept whole."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.jsonl import MAX_NESTING, JsonLines, batches_of


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


NUMBERS = st.sampled_from(
    [b"1e999", b"-1E+400", b"1e-999", b"1.5e3", b"9" * 400, b"0." + b"9" * 400, b"-0", b"01", b"1."]
)
VALUES = st.recursive(
    st.sampled_from(
        [b"1", b"null", b"true", b'"x"', b'""', b"1.10", b'"\xc3\xa9"', b'"\xff"', b'"\\u0041"', b'"\\ud800"']
    )
    | NUMBERS
    | st.binary(max_size=6),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]"),
        st.tuples(st.sampled_from([b"a", b"b", b"\\u0061", b"\xff"]), inner).map(lambda kv: b'{"%b":%b}' % kv),
    ),
    max_leaves=4,
)
OBJECTS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"\\u0061", b"\xe4"]), VALUES), max_size=4).map(
    lambda pairs: b"{" + b",".join(b'"%b": %b' % pair for pair in pairs) + b"}"
)
DEEP = st.sampled_from([MAX_NESTING - 1, MAX_NESTING, 400]).map(lambda n: b'{"a":' + b"[" * n + b"]" * n + b"}")
LINES = st.lists(st.one_of(st.just(b'{"a": "1", "b": "two"}'), OBJECTS, VALUES, DEEP), min_size=1, max_size=12)


class BatchTests(SynchronousTestCase):
    """Decoding many lines at once."""

    @settings(max_examples=400)
    @given(LINES, st.sampled_from([None, "a", "a.b", "b"]), st.sampled_from([None, "a", "b", "b.0"]), st.booleans())
    def test_a_batch_is_its_lines(
        self, lines: list[bytes], dedupe: str | None, device: str | None, good: bool
    ) -> None:
        """Whatever stands among them, lines decoded together are what they are one by one."""
        decoder = JsonLines(dedupe=dedupe, device=device)
        if good:
            lines = [line for line in lines if decoder.decode(line).error is None] or [b"{}"]
        lines += [b"{}"] * 5
        one_by_one = [decoder.decode(line, "10.0.0.5") for line in lines]
        self.assertEqual(one_by_one, list(batches_of(decoder)(lines, "10.0.0.5")))

    def test_what_a_decoder_may_skip_is_still_proven(self) -> None:
        """Among good lines, one that is not UTF-8, out of range or nested too deeply is refused as it is alone."""
        for bad in (b'{"x":"\xff"}', b'{"\xff":1}', b'{"x":1e999}', b'{"x":%s}' % (b"9" * 5000), b'{"x":1E+400}'):
            decoder = JsonLines(dedupe="a")
            events = list(batches_of(decoder)([b'{"a":1}'] * 9 + [bad], None))
            self.assertEqual(decoder.decode(bad), events[-1])
            self.assertIsNotNone(events[-1].error)
            self.assertEqual(["1"] * 9, [event.key for event in events[:9]])
